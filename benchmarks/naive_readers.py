"""Random corpora, their writers, and a naive reader of each format, for `fuzz.py`.

The readers share no code with the suite. They read their format in the simplest way that is correct
for whole files, and may fail on damaged ones.
"""

import ast
import csv
import html
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet

WORDS = (
    *("Anna", "Müller", "works", "in", "Paris", "東", "ran", "Zoë", "😀", "San", "José", "yes"),
    *("U.S.", "#1", '"', "ไทย", "1,000", "&", "Ze\u0301"),
)
TYPES = ("PER", "LOC", "ORG")

Sentence = list[tuple[str, str]]  # words and tags
Entities = list[tuple[str, str]]  # type and characters, without white space
Document = list[Sentence]
Write = Callable[[list[Document]], str | bytes]


class Format(NamedTuple):
    """A format: its file name, a function that writes documents, and a naive reader.

    `read` takes the content of the file, decoded if `is_text`, and that of the file beside it, if
    there is one. `task`: pos for plain tags, which are read as entities of one word.
    """

    name: str
    write: Write
    read: Callable[..., Entities]
    task: str = "ner"
    beside: tuple[str, Write] | None = None  # the name and the writer of a second file
    is_text: bool = True


# --- Random corpora -------------------------------------------------------------------------------


def sentence(generator: random.Random) -> Sentence:
    """Return a random sentence with its IOB2 tags."""
    pairs: Sentence = []
    for _ in range(generator.randint(1, 4)):
        pairs += [(word, "O") for word in generator.choices(WORDS, k=generator.randint(0, 3))]
        words, type_ = generator.choices(WORDS, k=generator.randint(1, 3)), generator.choice(TYPES)
        pairs += [(word, f"{'I' if i else 'B'}-{type_}") for i, word in enumerate(words)]
    return [*pairs, ("said", "O"), ("nothing", "O")]


def documents(generator: random.Random) -> list[Document]:
    """Return random documents."""
    return [
        [sentence(generator) for _ in range(generator.randint(1, 4))]
        for _ in range(generator.randint(2, 5))
    ]


def text_and_spans(pairs: Sentence) -> tuple[str, list[tuple[int, int, str]]]:
    """Return a sentence as text, with its entities as (start, end, type)."""
    text, spans = "", []
    for word, tag in pairs:
        text += " " if text else ""
        if tag[0] == "B":
            spans.append((len(text), len(text) + len(word), tag[2:]))
        elif tag[0] == "I":
            spans[-1] = (spans[-1][0], len(text) + len(word), spans[-1][2])
        text += word
    return text, spans


def entities_of(pairs: Sentence) -> Entities:
    """Return the entities of IOB2 tags."""
    entities: Entities = []
    before = "O"
    for word, tag in pairs:
        if tag[0] == "B" or (tag[0] == "I" and before[2:] != tag[2:]):
            entities.append((tag[2:], squeezed(word)))
        elif tag[0] == "I":
            entities[-1] = (tag[2:], entities[-1][1] + squeezed(word))
        before = tag
    return entities


def squeezed(text: str) -> str:
    """Return a text without white space."""
    return "".join(text.split())


def sentences_of(corpus: list[Document]) -> Iterator[Sentence]:
    """Yield the sentences of all documents."""
    for document in corpus:
        yield from document


def utf16(text: str, position: int) -> int:
    """Return a position counted in UTF-16 units."""
    return len(text[:position].encode("utf-16-le")) // 2


# --- Formats: columns and rows --------------------------------------------------------------------


def columns(row: str, end: str = "") -> Callable[[list[Document]], str]:
    """Return a writer of columns; `row` has the fields word and tag, and `end` ends a sentence."""

    def write(corpus: list[Document]) -> str:
        return "".join(
            "".join(row.format(word=word, tag=tag) + "\n" for word, tag in pairs) + f"{end}\n"
            for pairs in sentences_of(corpus)
        )

    return write


def spelt(change: Callable[[str], str]) -> Callable[[list[Document]], str]:
    """Return a writer of columns whose entity tags are spelt in another way."""

    def write(corpus: list[Document]) -> str:
        changed = [
            [[(w, "O" if t == "O" else change(t)) for w, t in pairs] for pairs in document]
            for document in corpus
        ]
        return columns("{word}\t{tag}")(changed)

    return write


def read_columns(
    word: int, tag: int, separator: str = "\t", as_usual: Callable[[str], str] = str
) -> Callable[[str], Entities]:
    """Return a naive reader of columns; a blank row, or a blank word and O, ends a sentence."""

    def read(content: str) -> Entities:
        entities: Entities = []
        pairs: Sentence = []
        for line in [*content.split("\n"), ""]:
            cells = re.split(separator, line.removesuffix("\r"))
            if line.startswith("# ") and separator not in line:
                continue
            if not line.strip() or (not cells[word].strip() and cells[tag] == "O"):
                entities += entities_of(pairs)
                pairs = []
            else:
                label = cells[tag]
                pairs.append((cells[word], label if label == "O" else as_usual(label)))
        return entities

    return read


def write_rows(corpus: list[Document]) -> str:
    """Write one word per row; sentence ids begin again in each document."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["doc_id", "sentence_id", "token", "ner_tag"])
    for i, document in enumerate(corpus):
        for j, pairs in enumerate(document):
            writer.writerows([f"d{i}", j, word, tag] for word, tag in pairs)
    return file.getvalue()


def write_interleaved(corpus: list[Document]) -> str:
    """Write one word per row, of all sentences in turn."""
    sentences = list(sentences_of(corpus))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["sentence_id", "token", "ner_tag"])
    for position in range(max(map(len, sentences))):
        for number, pairs in enumerate(sentences):
            if position < len(pairs):
                writer.writerow([f"s{number}", *pairs[position]])
    return file.getvalue()


def read_rows(content: str) -> Entities:
    """Read rows naively: one sentence for each id; a blank row ends one, unless ids are mixed."""
    delimiter = next(d for d in ",;\t" if d in content.split("\n")[0])
    header, *rows = csv.reader(io.StringIO(content), delimiter=delimiter)
    at = {name: header.index(name) for name in header}
    keys: list[tuple[str, str] | None] = []
    for row in rows:
        blank = not any(row) or (not row[at["token"]].strip() and not row[at["sentence_id"]])
        document = row[at["doc_id"]] if "doc_id" in at and not blank else ""
        sentence_id = "" if blank else row[at["sentence_id"]]
        before = next((key for key in reversed(keys) if key), ("", ""))
        keys.append(None if blank else (document, sentence_id or before[1]))
    groups: dict[Any, Sentence] = {}
    part, mixed = 0, _is_mixed([key for key in keys if key])
    for row, key in zip(rows, keys, strict=True):
        part += key is None and not mixed
        if key is not None:
            groups.setdefault((key, part), []).append((row[at["token"]], row[at["ner_tag"]]))
    return [entity for pairs in groups.values() for entity in entities_of(pairs)]


def _is_mixed(keys: list[tuple[str, str]]) -> bool:
    """Return whether the rows of a sentence are apart."""
    runs = [key for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key]
    return len(runs) > len(set(runs))


def write_kaggle(corpus: list[Document]) -> str:
    """Write one word per row; only the first row of a sentence has its id."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n", delimiter=";")
    writer.writerow(["sentence_id", "token", "POS", "ner_tag"])
    for number, pairs in enumerate(sentences_of(corpus), 1):
        for position, (word, tag) in enumerate(pairs):
            writer.writerow(["" if position else f"Sentence: {number}", word, "NN", tag])
    return file.getvalue()


# --- Formats: CoNLL with more than words and tags -------------------------------------------------

UPOS = {"O": "VERB", "B": "PROPN", "I": "NOUN"}


def write_conllu(corpus: list[Document]) -> str:
    """Write CoNLL-U with documents, comments, multi-word tokens and empty nodes."""
    lines = []
    for i, document in enumerate(corpus):
        lines.append(f"# newdoc id = d{i}")
        for j, pairs in enumerate(document):
            lines += [f"# sent_id = d{i}-{j}", f"# text = {' '.join(w for w, _ in pairs)}"]
            for number, (word, tag) in enumerate(pairs, 1):
                if number == 1:
                    lines.append(f"1-2\t{word}{word}" + "\t_" * 8)
                fields = [word.lower(), UPOS[tag[0]], "_", "_", str(number - 1), "dep", "_", "_"]
                lines.append("\t".join([str(number), word, *fields]))
                if number == 2:
                    lines.append("2.1\tghost" + "\t_" * 8)
            lines.append("")
    return "\n".join(lines) + "\n"


def read_conllu(content: str) -> Entities:
    """Read the parts of speech of CoNLL-U."""
    rows = [line.removesuffix("\r").split("\t") for line in content.split("\n")]
    return [(row[3], squeezed(row[1])) for row in rows if row[0].isdigit()]


def write_uner(corpus: list[Document]) -> str:
    """Write the IOB2 files of Universal NER: index, word, tag, and two further columns."""
    lines = []
    for number, pairs in enumerate(sentences_of(corpus)):
        lines += [f"# sent_id = s{number}", f"# text = {' '.join(word for word, _ in pairs)}"]
        lines += [f"{i}\t{word}\t{tag}\t-\tx" for i, (word, tag) in enumerate(pairs, 1)]
        lines.append("")
    return "\n".join(lines) + "\n"


def write_conll2003(corpus: list[Document]) -> str:
    """Write CoNLL-2003: word, part of speech, chunk, entity, and document starts."""
    parts = []
    for document in corpus:
        parts.append("-DOCSTART- -X- -X- O\n\n")
        for pairs in document:
            parts += [f"{word} NN B-NP {tag}\n" for word, tag in pairs]
            parts.append("\n")
    return "".join(parts)


def last_letters(pairs: Sentence, single: str, last: str) -> Sentence:
    """Return IOB2 tags with other prefixes for single words and for the last of several."""
    after = [tag for _, tag in pairs[1:]] + ["O"]
    return [
        (word, (single if tag[0] == "B" else last) + tag[1:])
        if tag != "O" and not following.startswith("I")
        else (word, tag)
        for (word, tag), following in zip(pairs, after, strict=True)
    ]


def write_bioes(corpus: list[Document]) -> str:
    """Write columns in BIOES."""
    changed = [[last_letters(pairs, "S", "E") for pairs in document] for document in corpus]
    return columns("{word} {tag}")(changed)


def from_bioes(tag: str) -> str:
    """Return a tag of BIOES or BILUO in IOB2."""
    return {"S": "B", "U": "B", "E": "I", "L": "I"}.get(tag[0], tag[0]) + tag[1:]


# --- Formats: records -----------------------------------------------------------------------------


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


def doccano(number: int, pairs: Sentence) -> Any:
    """Return a record of doccano."""
    text, spans = text_and_spans(pairs)
    return {"id": number, "text": text, "label": [list(span) for span in spans]}


def doccano_entities(record: Any) -> Entities:
    """Read a record of doccano."""
    return spans_in(record["text"], [tuple(span) for span in record["label"]])


def prodigy(number: int, pairs: Sentence) -> Any:
    """Return a record of Prodigy; every fourth is rejected."""
    text, spans = text_and_spans(pairs)
    listed = [{"start": start, "end": end, "label": label} for start, end, label in spans]
    return {"text": text, "spans": listed, "answer": "reject" if number % 4 == 3 else "accept"}


def prodigy_entities(record: Any) -> Entities:
    """Read a record of Prodigy."""
    if record["answer"] == "reject":
        return []
    spans = [(span["start"], span["end"], span["label"]) for span in record["spans"]]
    return spans_in(record["text"], spans)


def label_studio(number: int, pairs: Sentence) -> Any:
    """Return a task of Label Studio, whose offsets count UTF-16 units; every fourth is skipped."""
    text, spans = text_and_spans(pairs)
    results = [
        {
            "id": f"r{i}",
            "type": "labels",
            "value": {
                "start": utf16(text, start),
                "end": utf16(text, end),
                "text": text[start:end],
                "labels": [label],
            },
        }
        for i, (start, end, label) in enumerate(spans)
    ]
    results.append({"type": "choices", "value": {"choices": ["a"]}})
    annotation = {"result": results, "was_cancelled": number % 4 == 3}
    return {"id": number, "data": {"text": text}, "annotations": [annotation]}


def label_studio_entities(record: Any) -> Entities:
    """Read a task of Label Studio, by the text that it carries."""
    (annotation,) = record["annotations"]
    if annotation["was_cancelled"]:
        return []
    values = [r["value"] for r in annotation["result"] if r["type"] == "labels"]
    values.sort(key=lambda value: value["start"])
    return [(value["labels"][0], squeezed(value["text"])) for value in values]


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


def argilla(number: int, pairs: Sentence) -> Any:
    """Return a record of Argilla 2; every fourth is a draft."""
    text, spans = text_and_spans(pairs)
    value = [{"start": start, "end": end, "label": label} for start, end, label in spans]
    status = "draft" if number % 4 == 3 else "submitted"
    responses = {"ner": [{"value": value, "status": status}]}
    return {"id": str(number), "fields": {"text": text}, "responses": responses}


def argilla_entities(record: Any) -> Entities:
    """Read a record of Argilla 2."""
    (answer,) = record["responses"]["ner"]
    if answer["status"] != "submitted":
        return []
    spans = [(span["start"], span["end"], span["label"]) for span in answer["value"]]
    return spans_in(record["fields"]["text"], spans)


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


def dialogue(number: int, pairs: Sentence) -> Any:
    """Return a task of Label Studio with two paragraphs; the spans are in the second."""
    text, spans = text_and_spans(pairs)
    paragraphs = [{"author": "A", "text": "Hello there"}, {"author": "B", "text": text}]
    results = [
        {
            "type": "paragraphlabels",
            "value": {
                "start": "1",
                "end": "1",
                "startOffset": utf16(text, start),
                "endOffset": utf16(text, end),
                "text": text[start:end],
                "paragraphlabels": [label],
            },
        }
        for start, end, label in spans
    ]
    annotation = {"result": results, "was_cancelled": False}
    return {"id": number, "data": {"dialogue": paragraphs}, "annotations": [annotation]}


def dialogue_entities(record: Any) -> Entities:
    """Read the spans of paragraphs by the text that they carry."""
    (annotation,) = record["annotations"]
    if annotation["was_cancelled"]:
        return []
    values = [result["value"] for result in annotation["result"]]
    return [(value["paragraphlabels"][0], squeezed(value["text"])) for value in values]


def hypertext(number: int, pairs: Sentence) -> Any:
    """Return a task of Label Studio whose text is HTML."""
    text, spans = text_and_spans(pairs)
    results = [
        {
            "type": "hypertextlabels",
            "value": {
                "start": "/p[1]/text()[1]",
                "end": "/p[1]/text()[1]",
                "globalOffsets": {"start": utf16(text, start), "end": utf16(text, end)},
                "text": text[start:end],
                "hypertextlabels": [label],
            },
        }
        for start, end, label in spans
    ]
    source = f"<p>{html.escape(text)}</p>"
    annotation = {"result": results, "was_cancelled": False}
    return {"id": number, "data": {"html": source}, "annotations": [annotation]}


def hypertext_entities(record: Any) -> Entities:
    """Read the spans of HTML by the text that they carry."""
    (annotation,) = record["annotations"]
    if annotation["was_cancelled"]:
        return []
    values = [result["value"] for result in annotation["result"]]
    return [(value["hypertextlabels"][0], squeezed(value["text"])) for value in values]


def studio_min(number: int, pairs: Sentence) -> dict[str, Any]:
    """Return a record of Label Studio's JSON-MIN."""
    text, spans = text_and_spans(pairs)
    values = [
        {
            "start": utf16(text, start),
            "end": utf16(text, end),
            "text": text[start:end],
            "labels": [label],
        }
        for start, end, label in spans
    ]
    return {"text": text, "id": number, "label": values, "annotator": 1, "annotation_id": number}


def studio_min_entities(record: Any) -> Entities:
    """Read a record of Label Studio's JSON-MIN, by the text that the spans carry."""
    values = sorted(record["label"], key=lambda value: value["start"])
    return [(value["labels"][0], squeezed(value["text"])) for value in values]


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


def argilla_1(number: int, pairs: Sentence) -> Any:
    """Return a record of Argilla 1; every fourth is discarded."""
    text, spans = text_and_spans(pairs)
    status = "Discarded" if number % 4 == 3 else "Validated"
    annotation = [[label, start, end] for start, end, label in spans]
    return {"id": str(number), "text": text, "annotation": annotation, "prediction": None} | {
        "status": status
    }


def argilla_1_entities(record: Any) -> Entities:
    """Read a record of Argilla 1."""
    if record["status"] == "Discarded":
        return []
    return spans_in(
        record["text"], [(start, end, label) for label, start, end in record["annotation"]]
    )


def argilla_flat(number: int, pairs: Sentence) -> Any:
    """Return a record of Argilla 2 as exported to a data set, in flat columns."""
    text, spans = text_and_spans(pairs)
    value = [{"start": start, "end": end, "label": label} for start, end, label in spans]
    return {
        "id": str(number),
        "text": text,
        "ner.responses": [value],
        "ner.responses.status": ["submitted"],
    }


def argilla_flat_entities(record: Any) -> Entities:
    """Read a record of Argilla 2 in flat columns."""
    (value,) = record["ner.responses"]
    if record["ner.responses.status"] != ["submitted"]:
        return []
    return spans_in(record["text"], [(s["start"], s["end"], s["label"]) for s in value])


def light_tag(number: int, pairs: Sentence) -> Any:
    """Return an example of LightTag."""
    text, spans = text_and_spans(pairs)
    listed = [
        {"start": start, "end": end, "tag": label, "value": text[start:end]}
        for start, end, label in spans
    ]
    return {"example_id": str(number), "content": text, "annotations": listed}


def light_tag_entities(record: Any) -> Entities:
    """Read an example of LightTag, by the text that the spans carry."""
    listed = sorted(record["annotations"], key=lambda span: span["start"])
    return [(span["tag"], squeezed(span["value"])) for span in listed]


def dataturks(number: int, pairs: Sentence) -> Any:
    """Return a record of Dataturks, whose ends are the last characters."""
    text, spans = text_and_spans(pairs)
    listed = [
        {"label": [label], "points": [{"start": start, "end": end - 1, "text": text[start:end]}]}
        for start, end, label in spans
    ]
    return {"content": text, "annotation": listed, "extras": None}


def dataturks_entities(record: Any) -> Entities:
    """Read a record of Dataturks, by the text that the points carry."""
    listed = [(a["points"][0], a["label"][0]) for a in record["annotation"]]
    listed.sort(key=lambda pair: pair[0]["start"])
    return [(label, squeezed(point["text"])) for point, label in listed]


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


# --- Formats: PubTator and CoNLL-2012 -------------------------------------------------------------


def write_pubtator(corpus: list[Document]) -> str:
    """Write a document of two sentences for each two: a title and an abstract."""
    sentences = list(sentences_of(corpus))
    parts = []
    for number, (title, abstract) in enumerate(zip(sentences[::2], sentences[1::2], strict=False)):
        first, spans = text_and_spans(title)
        second, more = text_and_spans(abstract)
        after = len(first) + 1
        spans += [(start + after, end + after, label) for start, end, label in more]
        whole = f"{first} {second}"
        parts += [f"{number}|t|{first}", f"{number}|a|{second}"]
        parts += [f"{number}\t{a}\t{b}\t{whole[a:b]}\t{label}\tD1" for a, b, label in spans]
        parts += [f"{number}\tCID\tD1\tD2", ""]
    return "\n".join(parts) + "\n"


def read_pubtator(content: str) -> Entities:
    """Read the mentions of PubTator, by the text that they carry."""
    rows = [line.removesuffix("\r").split("\t") for line in content.split("\n")]
    return [(row[4], squeezed(row[3])) for row in rows if len(row) > 4]


def write_conll2012(corpus: list[Document]) -> str:
    """Write CoNLL-2012, with entities in brackets and columns for predicates."""
    lines = []
    for number, document in enumerate(corpus):
        lines.append(f"#begin document (d{number}); part 000")
        for predicates, pairs in enumerate(document):
            for position, (word, tag) in enumerate(pairs):
                last = position + 1 == len(pairs) or pairs[position + 1][1][0] != "I"
                cell = f"({tag[2:]}" if tag[0] == "B" else ""
                cell += ")" if tag != "O" and last else ""
                cell = cell if cell[:1] == "(" and last else cell.replace(")", "*)") or "*"
                cell = f"{cell}*" if cell[:1] == "(" and not last else cell
                row = [f"d{number}", "0", str(position), word, "NN", "*", "-", "-", "-", "A", cell]
                lines.append("   ".join([*row, *["*"] * predicates, "-"]))
            lines.append("")
        lines.append("#end document")
    return "\n".join(lines) + "\n"


def read_conll2012(content: str) -> Entities:
    """Read the brackets of CoNLL-2012."""
    entities: Entities = []
    label, words = "", ""
    for line in content.split("\n"):
        row = line.split()
        if len(row) < 12 or line.startswith("#"):
            assert not label
            continue
        if row[10].startswith("("):
            assert not label
            label, words = row[10].strip("(*)"), ""
        words += row[3]
        if row[10].endswith(")"):
            entities.append((label, words))
            label = ""
    return entities


# --- Formats: tables of Arrow ---------------------------------------------------------------------

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


# --- Formats: brat --------------------------------------------------------------------------------


def write_brat_text(corpus: list[Document]) -> str:
    """Write the text of brat, one sentence on each line."""
    return "".join(text_and_spans(pairs)[0] + "\n" for pairs in sentences_of(corpus))


def write_brat_annotations(corpus: list[Document]) -> str:
    """Write the annotations of brat, with a note and a relation."""
    lines = ["#1\tAnnotatorNotes T1\tsure"]
    offset = number = 0
    for pairs in sentences_of(corpus):
        text, spans = text_and_spans(pairs)
        for start, end, label in spans:
            number += 1
            placed = f"{offset + start} {offset + end}"
            lines.append(f"T{number}\t{label} {placed}\t{text[start:end]}")
        offset += len(text) + 1
    return "\n".join([*lines, "R1\tKnows Arg1:T1 Arg2:T2"]) + "\n"


def read_brat(text: str, annotations: str) -> Entities:
    """Read the annotations of brat, by the text that they carry."""
    rows = [line.removesuffix("\r").split("\t") for line in annotations.split("\n")]
    spans = [(*row[1].split(" "), row[2]) for row in rows if row[0][:1] == "T"]
    ordered = sorted(spans, key=lambda span: int(span[1]))
    assert all(squeezed(own) in squeezed(text) for *_, own in ordered)
    return [(label, squeezed(own)) for label, _, _, own in ordered]


# --- Formats: WebAnno -----------------------------------------------------------------------------


def write_webanno(corpus: list[Document]) -> str:
    """Write WebAnno TSV 3."""
    lines = ["#FORMAT=WebAnno TSV 3.3", "#T_SP=custom.NamedEntity|value", ""]
    offset, entity = 0, 0
    for number, pairs in enumerate(sentences_of(corpus), 1):
        lines += ["", f"#Text={' '.join(word for word, _ in pairs)}"]
        for position, (word, tag) in enumerate(pairs, 1):
            entity += tag[0] == "B"
            cell = "_" if tag == "O" else f"{tag[2:]}[{entity}]"
            end = offset + utf16(word, len(word))
            lines.append(f"{number}-{position}\t{offset}-{end}\t{word}\t{cell}\t")
            offset = end + 1
    return "\n".join(lines) + "\n"


def read_webanno(content: str) -> Entities:
    """Read WebAnno TSV 3: neighbouring words with one number are an entity."""
    entities: Entities = []
    before = "_"
    for line in content.split("\n"):
        cell = line.split("\t")[3] if line[:1].isdigit() else "_"
        if cell != "_":
            word = squeezed(line.split("\t")[2])
            if cell == before:
                entities[-1] = (entities[-1][0], entities[-1][1] + word)
            else:
                entities.append((re.sub(r"\[\d+\]$", "", cell), word))
        before = cell
    return entities


FORMATS = (
    Format("a.conll", columns("{word} {tag}"), read_columns(0, 1, "[ \t]+")),
    Format("a.tsv", columns("{word}\t{tag}"), read_columns(0, 1)),
    Format("pos-last.tsv", columns("{word}\t{tag}\tNN"), read_columns(0, 1)),
    Format("confidence.conll", columns("{word} NN {tag} 0.93"), read_columns(0, 2, "[ \t]+")),
    Format("label-first.bio", columns("{tag}\t{word}"), read_columns(1, 0)),
    Format("numbered.tsv", columns("7\t{word}\t{tag}"), read_columns(1, 2)),
    Format("blank-word.tsv", columns("{word}\t{tag}", "\tO"), read_columns(0, 1)),
    Format(
        "suffix.tsv",
        spelt(lambda tag: f"{tag[2:]}-{tag[0]}"),
        read_columns(0, 1, as_usual=lambda tag: f"{tag[-1]}-{tag[:-2]}"),
    ),
    Format(
        "lower.tsv",
        spelt(lambda tag: tag[0].lower() + tag[1:]),
        read_columns(0, 1, as_usual=lambda tag: tag[0].upper() + tag[1:]),
    ),
    Format(
        "underscore.tsv",
        spelt(lambda tag: tag.replace("-", "_")),
        read_columns(0, 1, as_usual=lambda tag: tag.replace("_", "-", 1)),
    ),
    Format(
        "dash.tsv",
        spelt(lambda tag: tag.replace("-", "\u2013")),
        read_columns(0, 1, as_usual=lambda tag: tag.replace("\u2013", "-", 1)),
    ),
    Format(
        "bare.tsv",
        spelt(lambda tag: tag[0]),
        read_columns(0, 1, as_usual=lambda tag: f"{tag}-ENTITY"),
    ),
    Format("bioes.conll", write_bioes, read_columns(0, 1, "[ \t]+", from_bioes)),
    Format("conll2003.txt", write_conll2003, read_columns(0, 3, "[ \t]+")),
    Format("uner.iob2", write_uner, read_columns(1, 2)),
    Format("upos.conllu", write_conllu, read_conllu, "pos"),
    Format("rows.csv", write_rows, read_rows),
    Format("kaggle.csv", write_kaggle, read_rows),
    Format("interleaved.csv", write_interleaved, read_rows),
    Format("lists.jsonl", lines_of(lists), each(lists_entities)),
    Format("doccano.jsonl", lines_of(doccano), each(doccano_entities)),
    Format("prodigy.jsonl", lines_of(prodigy), each(prodigy_entities)),
    Format("studio.json", array_of(label_studio), each(label_studio_entities)),
    Format("gliner.json", array_of(gliner), each(gliner_entities)),
    Format("argilla.json", array_of(argilla), each(argilla_entities)),
    Format("spacy.json", array_of(spacy_2), each(spacy_2_entities)),
    Format("min.json", array_of(studio_min), each(studio_min_entities)),
    Format(
        "studio.csv",
        table_of(studio_min, ",", json.dumps),
        cells(studio_min_entities, ",", json.loads, "label"),
    ),
    Format(
        "studio.tsv",
        table_of(studio_min, "\t", json.dumps),
        cells(studio_min_entities, "\t", json.loads, "label"),
    ),
    Format("dialogue.json", array_of(dialogue), each(dialogue_entities)),
    Format("hypertext.json", array_of(hypertext), each(hypertext_entities)),
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
    Format("argilla1.json", array_of(argilla_1), each(argilla_1_entities)),
    Format("flat.jsonl", lines_of(argilla_flat), each(argilla_flat_entities)),
    Format("webanno.tsv", write_webanno, read_webanno),
    Format("lighttag.json", array_of(light_tag), each(light_tag_entities)),
    Format("dataturks.json", lines_of(dataturks), each(dataturks_entities)),
    Format("dygie.jsonl", write_dygie, each(dygie_entities)),
    Format("pubtator.txt", write_pubtator, read_pubtator),
    Format("ontonotes.conll", write_conll2012, read_conll2012),
    Format("a.parquet", write_parquet, read_parquet, is_text=False),
    Format("a.arrow", write_arrow, read_arrow, is_text=False),
    Format("brat.txt", write_brat_text, read_brat, beside=("brat.ann", write_brat_annotations)),
)
