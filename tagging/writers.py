"""Results written in the format that the user chose; each format has one writer.

A writer takes tagged inputs one by one and yields pieces of text or bytes, so that streams of any
length pass through in constant memory. Only spaCy's DocBin holds all of them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from corpus.formats.column_names import RECORD_ID_COLUMNS, first_named
from settings.tagging_flags import OutputFormat
from tagging.chunks import TaggedItem
from tagging.entity_tables import HEAD_TEXTS, EntityTable, as_csv, own_columns, to_json

FORMATS_BY_EXTENSION: dict[str, OutputFormat] = {
    ".pretty": "pretty",
    ".txt": "pretty",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".conll": "conll",
    ".bio": "conll",
    ".iob2": "conll",
    ".tsv": "conll",
    ".conllu": "conllu",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".parquet": "parquet",
    ".ann": "brat",
    ".spacy": "spacy",
}
BINARY: tuple[OutputFormat, ...] = ("parquet", "spacy")  # of no use before they are complete
ENTITIES_ONLY: tuple[OutputFormat, ...] = (
    "conllu",
    "brat",
    "spacy",
    "doccano",
    "label_studio",
)
EVERY_TAG: tuple[OutputFormat, ...] = ("conll", "conllu")  # whatever the score of an entity
LINE_ENDS = re.compile("[\x85\u2028\u2029]")
CELL_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]")


class WriterOptions(NamedTuple):
    """Facts for the writers, besides the tagged inputs.

    `scores`: CoNLL columns have the probability of each tag. `with_source`: tables have the file
    of each row. `finite`: the input has an end. `title`: of an HTML page. `csv_safe`: write no CSV
    cell as a formula. `brat_text`: the file for the text of a brat document, if it is written.
    `done`: the number of texts that an interrupted job has written; `columns`: those of its table.
    """

    model: str
    label_names: Sequence[str]
    scores: bool = False
    with_source: bool = False
    finite: bool = False
    title: str = ""
    csv_safe: bool = False
    brat_text: Path | None = None
    done: int = 0
    columns: Sequence[str] = ()


def to_pieces(
    items: Iterable[TaggedItem],
    output_format: OutputFormat,
    file: IO[Any],
    options: WriterOptions,
) -> Iterator[str] | Iterator[bytes]:
    """Yield tagged inputs in one of the formats: bytes for those of `BINARY`, else text.

    `file` is where the text goes: a terminal gets colours.
    """
    if output_format in ("csv", "parquet"):
        head_texts = HEAD_TEXTS if options.finite else 1
        table = EntityTable(items, head_texts, options.with_source, options.done, options.columns)
        if output_format == "csv":
            return as_csv(table, safe=options.csv_safe)
    # The following modules are imported here, so that the other formats do not wait for them.
    match output_format:
        case "conll":
            return as_conll(items, options.scores)
        case "conllu":
            from tagging.conllu import as_conllu

            return as_conllu(items, options.label_names)
        case "parquet":
            from tagging.entity_tables import as_parquet

            return as_parquet(table)
        case "html":
            return as_html(items, options.title, options.label_names)
        case "pretty":
            from tagging.terminal import as_pretty

            return as_pretty(items, file, label_names=options.label_names)
        case "doccano":
            from tagging.annotation_tools import as_doccano

            return as_doccano(items)
        case "label_studio":
            from tagging.annotation_tools import as_label_studio

            return as_label_studio(items, options.model)
        case "brat":
            from tagging.annotation_tools import write_brat

            return write_brat(items, options.brat_text)
        case "spacy":
            from tagging.doc_bin import as_doc_bin

            return as_doc_bin(items)
        case "json":
            return as_json(items)
    return as_jsonl(items)


def replaced_fields(
    output_format: OutputFormat, result: Iterable[str], with_source: bool
) -> set[str]:
    """Return the fields of a record that the output replaces by its own, for a result's keys."""
    if output_format in ("csv", "parquet"):
        return {*own_columns(result, with_source)} - {"text"}
    if output_format in ("json", "jsonl"):
        return {*result} - {"text"}
    return {"label"} if output_format == "doccano" else set()


def as_jsonl(items: Iterable[TaggedItem]) -> Iterator[str]:
    """Yield one line for each input: its own fields, its text, and its entities or words."""
    return (f"{_json_of(item)}\n" for item in items)


def as_json(items: Iterable[TaggedItem]) -> Iterator[str]:
    """Yield one array with the objects of `as_jsonl`."""
    opening = "[\n"
    for item in items:
        yield opening + _json_of(item)
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def _json_of(item: TaggedItem) -> str:
    source = {} if item.source is None else {"file": item.source}
    values = {
        key: _round_scores(value) if isinstance(value, list) else value
        for key, value in item.result.items()
    }
    line = to_json({**source, **item.fields, **values})
    # JSON allows these in strings, but many readers treat them as line ends.
    return LINE_ENDS.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def _round_scores(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**span, "score": round(span["score"], 4)} for span in spans]


def as_conll(items: Iterable[TaggedItem], scores: bool = False) -> Iterator[str]:
    """Yield a line for each word, `word TAB tag`, and a blank line after each text."""
    for item in items:
        _, words, tags, probabilities, _ = item.tagged
        rows = []
        for (word, _, _), tag, probability in zip(words, tags, probabilities, strict=True):
            cells = [CELL_BREAKS.sub("_", word) or "_", tag]
            rows.append("\t".join([*cells, f"{probability:.4f}"] if scores else cells) + "\n")
        yield "".join(rows) + "\n"


def as_html(
    items: Iterable[TaggedItem], title: str = "", label_names: Sequence[str] = ()
) -> Iterator[str]:
    """Yield an HTML page with `title`. `label_names`: of the model."""
    # Imported here, so that the other formats do not load Jinja2.
    from tagging.page import render_texts

    return render_texts(map(_page_result, items), title, label_names)


def _page_result(item: TaggedItem) -> dict[str, Any]:
    """Return a result with its file and the identifier of its record."""
    names = list(item.fields)
    position = first_named(names, RECORD_ID_COLUMNS)
    record_id = None if position is None else item.fields[names[position]]
    is_id = isinstance(record_id, str | int)
    return item.result | {"file": item.source, "record_id": str(record_id) if is_id else None}
