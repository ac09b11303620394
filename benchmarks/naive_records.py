"""Writers and naive readers of records, for `fuzz.py`."""

import ast
import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from random_corpora import (
    TYPES,
    Document,
    Entities,
    Format,
    Sentence,
    Write,
    entities_of,
    sentences_of,
    squeezed,
    text_and_spans,
)


def lines_of(record: Callable[[int, Sentence], Any]) -> Callable[[list[Document]], str]:
    """Return a writer of JSON Lines."""

    def write(corpus: list[Document]) -> str:
        values = (record(i, pairs) for i, pairs in enumerate(sentences_of(corpus)))
        return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)

    return write


def array_of(record: Callable[[int, Sentence], Any]) -> Callable[[list[Document]], str]:
    """Return a writer of a JSON array."""

    def write(corpus: list[Document]) -> str:
        records = [record(i, pairs) for i, pairs in enumerate(sentences_of(corpus))]
        return json.dumps(records, ensure_ascii=False, indent=1)

    return write


def each(entities: Callable[[Any], Entities]) -> Callable[[str], Entities]:
    """Return a naive reader of JSON, an array or lines, by a function for one record."""

    def read(content: str) -> Entities:
        try:
            records = json.loads(content)
        except ValueError:
            records = [json.loads(line) for line in content.split("\n") if line.strip()]
        records = records if isinstance(records, list) else [records]
        return [entity for record in records for entity in entities(record)]

    return read


def spans_in(text: str, spans: list[tuple[int, int, str]]) -> Entities:
    """Return the entities of spans, in their order in the text."""
    return [(label, squeezed(text[start:end])) for start, end, label in sorted(spans)]


def gliner(number: int, pairs: Sentence) -> Any:
    """Return a record of GLiNER."""
    spans: list[list[Any]] = []
    for position, (_, tag) in enumerate(pairs):
        if tag[0] == "B":
            spans.append([position, position, tag[2:]])
        elif tag[0] == "I":
            spans[-1][1] = position
    return {"tokenized_text": [word for word, _ in pairs], "ner": spans}


def gliner_entities(record: Any) -> Entities:
    """Read a record of GLiNER."""
    words = record["tokenized_text"]
    return [(label, squeezed("".join(words[a : b + 1]))) for a, b, label in sorted(record["ner"])]


def lists(number: int, pairs: Sentence) -> Any:
    """Return words and tags, the tags in a column with an arbitrary name."""
    return {"id": number, "tokens": [word for word, _ in pairs], "gold": [tag for _, tag in pairs]}


def lists_entities(record: Any) -> Entities:
    """Read words and tags."""
    return entities_of(list(zip(record["tokens"], record["gold"], strict=True)))


def spacy_2(number: int, pairs: Sentence) -> Any:
    """Return a document of spaCy 2 of one sentence, in BILUO."""
    ends = [not after.startswith("I") for _, after in [*pairs[1:], ("", "O")]]
    letters = {("B", True): "U", ("I", True): "L"}
    tokens = [
        {"orth": word, "ner": letters.get((tag[0], end), tag[0]) + tag[1:]}
        for (word, tag), end in zip(pairs, ends, strict=True)
    ]
    return {"id": number, "paragraphs": [{"sentences": [{"tokens": tokens}]}]}


def spacy_2_entities(record: Any) -> Entities:
    """Read a document of spaCy 2."""
    usual = {"U": "B", "L": "I"}
    return [
        entity
        for paragraph in record["paragraphs"]
        for part in paragraph["sentences"]
        for entity in entities_of(
            [
                (t["orth"], usual.get(t["ner"][0], t["ner"][0]) + t["ner"][1:])
                for t in part["tokens"]
            ]
        )
    ]


def table_of(
    record: Callable[[int, Sentence], dict[str, Any]], delimiter: str, cell: Callable[[Any], str]
) -> Write:
    """Return a writer of CSV; `cell` writes a list."""

    def write(corpus: list[Document]) -> str:
        rows = [record(i, pairs) for i, pairs in enumerate(sentences_of(corpus))]
        file = io.StringIO()
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(rows[0])
        for row in rows:
            writer.writerow([cell(v) if isinstance(v, list) else v for v in row.values()])
        return file.getvalue()

    return write


def cells(
    entities: Callable[[Any], Entities], delimiter: str, value: Callable[[str], Any], *keys: str
) -> Callable[[str], Entities]:
    """Return a naive reader of CSV; `value` reads the cells of the columns `keys`."""

    def read(content: str) -> Entities:
        rows = list(csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter))
        for row in rows:
            row.update({key: value(row[key]) for key in keys})
        return [entity for row in rows for entity in entities(row)]

    return read


def tuples(number: int, pairs: Sentence) -> dict[str, Any]:
    """Return a text with spans as Python tuples."""
    text, spans = text_and_spans(pairs)
    return {"id": number, "text": text, "entities": [tuple(span) for span in spans]}


def tuples_entities(record: Any) -> Entities:
    """Read a text with spans as Python tuples."""
    return spans_in(record["text"], list(record["entities"]))


def word_lists(number: int, pairs: Sentence) -> dict[str, Any]:
    """Return words and tags under their usual names."""
    return {"id": number, "tokens": [w for w, _ in pairs], "ner_tags": [t for _, t in pairs]}


def word_lists_entities(record: Any) -> Entities:
    """Read words and tags."""
    return entities_of(list(zip(record["tokens"], record["ner_tags"], strict=True)))


def joined(number: int, pairs: Sentence) -> dict[str, Any]:
    """Return a text of words separated by blanks, and its tags in another string."""
    return {
        "id": number,
        "text": " ".join(word for word, _ in pairs),
        "labels": " ".join(tag for _, tag in pairs),
    }


def joined_entities(record: Any) -> Entities:
    """Read a text and its tags, both separated by blanks."""
    pairs = zip(record["text"].split(" "), record["labels"].split(" "), strict=True)
    return entities_of(list(pairs))


def relations(number: int, pairs: Sentence) -> Any:
    """Return a record of doccano with relations, whose spans are objects."""
    text, spans = text_and_spans(pairs)
    entities = [
        {"id": i, "label": label, "start_offset": start, "end_offset": end}
        for i, (start, end, label) in enumerate(spans)
    ]
    return {"id": number, "text": text, "entities": entities, "relations": [], "Comments": []}


def relations_entities(record: Any) -> Entities:
    """Read a record of doccano with relations."""
    listed = [(e["start_offset"], e["end_offset"], e["label"]) for e in record["entities"]]
    return spans_in(record["text"], listed)


def byte_spans(number: int, pairs: Sentence) -> Any:
    """Return a text whose spans count bytes, and carry their text."""
    text, spans = text_and_spans(pairs)
    listed = [
        {
            "start": len(text[:start].encode()),
            "end": len(text[:end].encode()),
            "label": label,
            "text": text[start:end],
        }
        for start, end, label in spans
    ]
    return {"text": text, "spans": listed}


def carried_entities(record: Any) -> Entities:
    """Read spans by the text that they carry."""
    listed = sorted(record["spans"], key=lambda span: span["start"])
    return [(span["label"], squeezed(span["text"])) for span in listed]


def training_pair(number: int, pairs: Sentence) -> Any:
    """Return a text and its annotations, as in the training data of spaCy."""
    text, spans = text_and_spans(pairs)
    return [text, {"entities": [list(span) for span in spans]}]


def training_pair_entities(record: Any) -> Entities:
    """Read a text and its annotations."""
    text, annotations = record
    return spans_in(text, [tuple(span) for span in annotations["entities"]])


def write_wrapped(corpus: list[Document]) -> str:
    """Write an object around the training data of spaCy, as its annotators do."""
    records = [training_pair(i, pairs) for i, pairs in enumerate(sentences_of(corpus))]
    return json.dumps({"classes": list(TYPES), "annotations": records}, ensure_ascii=False)


def read_wrapped(content: str) -> Entities:
    """Read an object around the training data of spaCy."""
    records = json.loads(content)["annotations"]
    return [entity for record in records for entity in training_pair_entities(record)]


def write_dygie(corpus: list[Document]) -> str:
    """Write the documents of DyGIE++: sentences, and spans that count the document's words."""
    lines = []
    for number, document in enumerate(corpus):
        spans, first = [], 0
        for pairs in document:
            own = gliner(0, pairs)["ner"]
            spans.append([[start + first, end + first, label] for start, end, label in own])
            first += len(pairs)
        words = [[word for word, _ in pairs] for pairs in document]
        lines.append(json.dumps({"doc_key": f"d{number}", "sentences": words, "ner": spans}))
    return "\n".join(lines) + "\n"


def dygie_entities(record: Any) -> Entities:
    """Read a document of DyGIE++."""
    words = [word for sentence in record["sentences"] for word in sentence]
    assert len(record["sentences"]) == len(record["ner"])
    spans = [tuple(span) for spans in record["ner"] for span in sorted(spans)]
    return [(label, squeezed("".join(words[start : end + 1]))) for start, end, label in spans]


# --- Tables of Arrow ------------------------------------------------------------------------------


CLASSES = ["O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI")]


def write_parquet(corpus: list[Document]) -> bytes:
    """Write words and integer tags, whose names `datasets` stores beside the schema."""
    names = {"feature": {"names": CLASSES, "_type": "ClassLabel"}, "_type": "List"}
    features = {"tokens": {"feature": {"dtype": "string"}, "_type": "List"}, "ner_tags": names}
    rows = [
        {"tokens": [w for w, _ in pairs], "ner_tags": [CLASSES.index(t) for _, t in pairs]}
        for pairs in sentences_of(corpus)
    ]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.Table.from_pylist(rows).replace_schema_metadata(metadata)
    file = io.BytesIO()
    pa.parquet.write_table(table, file)
    return file.getvalue()


def read_parquet(content: bytes) -> Entities:
    """Read words and integer tags."""
    rows = pa.parquet.read_table(io.BytesIO(content)).to_pylist()
    return [
        entity
        for row in rows
        for entity in entities_of(
            [(word, CLASSES[tag]) for word, tag in zip(row["tokens"], row["ner_tags"], strict=True)]
        )
    ]


def write_arrow(corpus: list[Document]) -> bytes:
    """Write texts with spans as an Arrow stream."""
    rows = [relations(i, pairs) for i, pairs in enumerate(sentences_of(corpus))]
    rows = [{key: row[key] for key in ("id", "text", "entities")} for row in rows]
    table = pa.Table.from_pylist(rows)
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return file.getvalue()


def read_arrow(content: bytes) -> Entities:
    """Read texts with spans."""
    table = pa.ipc.open_stream(io.BytesIO(content)).read_all()
    table.validate(full=True)  # a damaged table could crash the process otherwise
    return [entity for row in table.to_pylist() for entity in relations_entities(row)]


FORMATS = (
    Format("lists.jsonl", lines_of(lists), each(lists_entities)),
    Format("gliner.json", array_of(gliner), each(gliner_entities)),
    Format("spacy.json", array_of(spacy_2), each(spacy_2_entities)),
    Format(
        "tuples.csv",
        table_of(tuples, ",", str),
        cells(tuples_entities, ",", ast.literal_eval, "entities"),
    ),
    Format(
        "lists.csv",
        table_of(word_lists, ";", str),
        cells(word_lists_entities, ";", ast.literal_eval, "tokens", "ner_tags"),
    ),
    Format("joined.csv", table_of(joined, ",", str), cells(joined_entities, ",", str)),
    Format("joined.jsonl", lines_of(joined), each(joined_entities)),
    Format("relations.jsonl", lines_of(relations), each(relations_entities)),
    Format("bytes.jsonl", lines_of(byte_spans), each(carried_entities)),
    Format("training.json", array_of(training_pair), each(training_pair_entities)),
    Format("training.jsonl", lines_of(training_pair), each(training_pair_entities)),
    Format("wrapped.json", write_wrapped, read_wrapped),
    Format("dygie.jsonl", write_dygie, each(dygie_entities)),
    Format("a.parquet", write_parquet, read_parquet, is_text=False),
    Format("a.arrow", write_arrow, read_arrow, is_text=False),
)
