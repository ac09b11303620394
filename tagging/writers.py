"""Results written as JSON Lines, CoNLL columns, CSV, an HTML page, or for a terminal.

Each writer takes tagged inputs one by one and yields pieces of text, so streams of any length pass
through in constant memory.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

from settings.tagging_flags import OutputFormat
from tagging.chunks import TaggedItem

FORMATS_BY_EXTENSION: dict[str, OutputFormat] = {
    ".pretty": "pretty",
    ".txt": "pretty",
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".conll": "conll",
    ".iob2": "conll",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
}
LINE_ENDS = re.compile("[\x85\u2028\u2029]")
CELL_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]")


def to_text(
    items: Iterable[TaggedItem],
    output_format: OutputFormat,
    file: IO[str],
    *,
    scores: bool = False,
    with_source: bool = False,
    title: str = "",
) -> Iterator[str]:
    """Yield tagged inputs as text in one of the formats.

    `file` is where the text goes: a terminal gets colours. `scores`: CoNLL columns have the
    probability of each tag. `with_source`: CSV has the file of each row. `title`: the title of an
    HTML page.
    """
    if output_format == "conll":
        return as_conll(items, scores)
    if output_format == "csv":
        return as_csv(items, with_source)
    if output_format == "html":
        return as_html(items, title)
    if output_format == "pretty":
        # Imported here, because programs read the other formats and should not wait for rich.
        from tagging.terminal import as_pretty

        return as_pretty(items, file)
    return as_jsonl(items)


def as_jsonl(items: Iterable[TaggedItem]) -> Iterator[str]:
    """Yield one line for each input: its own fields, its text, and its entities or words."""
    for item in items:
        source = {} if item.source is None else {"file": item.source}
        values = {
            key: _round_scores(value) if isinstance(value, list) else value
            for key, value in item.result.items()
        }
        row = {**source, **item.fields, **values}
        line = json.dumps(row, ensure_ascii=False)
        # JSON allows these in strings, but many readers treat them as line ends.
        yield LINE_ENDS.sub(lambda match: f"\\u{ord(match[0]):04x}", line) + "\n"


def _round_scores(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**span, "score": round(span["score"], 4)} for span in spans]


def as_conll(items: Iterable[TaggedItem], scores: bool = False) -> Iterator[str]:
    """Yield a line for each word, `word TAB tag`, and a blank line after each text."""
    for item in items:
        _, words, tags, probabilities = item.tagged
        rows = []
        for (word, _, _), tag, probability in zip(words, tags, probabilities, strict=True):
            cells = [CELL_BREAKS.sub("_", word) or "_", tag]
            rows.append("\t".join([*cells, f"{probability:.4f}"] if scores else cells) + "\n")
        yield "".join(rows) + "\n"


def as_csv(items: Iterable[TaggedItem], with_source: bool = False) -> Iterator[str]:
    """Yield a row for each entity and word; the column `text` numbers the inputs from 1."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    head = ["text", "kind", "label", "score", "start", "end", "word"]
    writer.writerow(["file", *head] if with_source else head)
    for number, item in enumerate(items, 1):
        rows = [
            (kind, span[key], f"{span['score']:.4f}", span["start"], span["end"], span["word"])
            for kind, group, key in (
                ("entity", "entities", "entity_group"),
                ("word", "words", "tag"),
            )
            for span in item.result.get(group, ())
        ]
        for row in rows:
            writer.writerow([item.source, number, *row] if with_source else [number, *row])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()  # the header row, if there was no text


def as_html(items: Iterable[TaggedItem], title: str = "") -> Iterator[str]:
    """Yield an HTML page with `title`."""
    # Imported here, so that the other formats do not load Jinja2.
    from tagging.page import render_texts

    return render_texts((item.result | {"file": item.source} for item in items), title)
