"""Read random corpora in many formats, whole and damaged, and compare with naive readers.

    python benchmarks/fuzz.py                          # for a minute
    python benchmarks/fuzz.py --seconds 3600 --seed 7

Each round writes a random corpus in one of the formats, and often damages it. The suite and a naive
reader of that format, which shares no code with it, read the file. A traceback, a file that takes
more than 5 seconds, and a whole file that is refused or read differently are failures. A damaged
file may be refused. If both sides read it, they must agree on the entities.
"""

import argparse
import contextlib
import csv
import io
import json
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from corpus.formats import detect  # noqa: E402
from corpus.formats.sentence import ReadOptions  # noqa: E402
from corpus.plausible import plausible  # noqa: E402
from corpus.problems import Problems  # noqa: E402
from corpus.spellings import spelling_of  # noqa: E402

SLOW = 5  # seconds
WORDS = ("Anna", "Müller", "works", "in", "Paris", "東", "ran", "Zoë", "😀", "San", "José", "yes")
TYPES = ("PER", "LOC", "ORG")

Sentence = list[tuple[str, str]]  # words and tags
Entities = list[tuple[str, str]]  # type and characters, without white space
Document = list[Sentence]


class Format(NamedTuple):
    """A format: its file name, a function that writes documents, and a naive reader."""

    name: str
    write: Callable[[list[Document]], str]
    read: Callable[[str], Entities]


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
            if len(cells) <= max(word, tag) or (not cells[word].strip() and cells[tag] == "O"):
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
    lines = ["sentence_id,token,ner_tag"]
    for position in range(max(map(len, sentences))):
        for number, pairs in enumerate(sentences):
            lines += [f"s{number},{','.join(pairs[position])}"] if position < len(pairs) else []
    return "\n".join(lines) + "\n"


def read_rows(content: str) -> Entities:
    """Read rows naively: one sentence for each id."""
    rows = list(csv.DictReader(io.StringIO(content)))
    groups: dict[tuple[str, str], Sentence] = {}
    for row in rows:
        key = (row.get("doc_id") or "", row["sentence_id"])
        groups.setdefault(key, []).append((row["token"], row["ner_tag"]))
    return [entity for pairs in groups.values() for entity in entities_of(pairs)]


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
    """Return words and tags, the tags in a column whose name says nothing."""
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
    Format("rows.csv", write_rows, read_rows),
    Format("interleaved.csv", write_interleaved, read_rows),
    Format("lists.jsonl", lines_of(lists), each(lists_entities)),
    Format("doccano.jsonl", lines_of(doccano), each(doccano_entities)),
    Format("prodigy.jsonl", lines_of(prodigy), each(prodigy_entities)),
    Format("studio.json", array_of(label_studio), each(label_studio_entities)),
    Format("gliner.json", array_of(gliner), each(gliner_entities)),
    Format("argilla.json", array_of(argilla), each(argilla_entities)),
    Format("spacy.json", array_of(spacy_2), each(spacy_2_entities)),
    Format("webanno.tsv", write_webanno, read_webanno),
)


# --- Damage ---------------------------------------------------------------------------------------


def with_harmless_change(content: str, generator: random.Random) -> bytes:
    """Return a file with CRLF, a byte-order mark, or in UTF-16, which change nothing."""
    if generator.random() < 0.25:
        content = content.replace("\n", "\r\n")
    if generator.random() < 0.1:
        return content.encode("utf-16")
    return content.encode("utf-8-sig" if generator.random() < 0.2 else "utf-8")


def damaged(data: bytes, generator: random.Random) -> bytes:
    """Return a file with some bytes or lines changed, removed, repeated or exchanged."""
    for _ in range(generator.randint(1, 3)):
        at, length = generator.randrange(len(data) + 1), generator.choice((1, 1, 2, 8, 200))
        kind = generator.randrange(6)
        if kind == 0:
            data = data[:at] + data[at + length :]
        elif kind == 1:
            data = data[:at] + bytes(generator.choices(range(256), k=length)) + data[at:]
        elif kind == 2:
            data = data[:at] + data[at : at + length] * 2 + data[at + length :]
        elif kind == 3:
            data = data[:at]
        else:
            lines = data.split(b"\n")
            first, second = generator.randrange(len(lines)), generator.randrange(len(lines))
            if kind == 4:
                lines[first], lines[second] = lines[second], lines[first]
            else:
                lines[first:first] = [generator.choice((b"", b"\t", b" ", b"[", b"{}", b"O\tO"))]
            data = b"\n".join(lines)
    return data


# --- Comparison -----------------------------------------------------------------------------------


def read_by_suite(path: Path) -> tuple[Entities | None, str]:
    """Return the entities that the suite reads; None with its message if it refuses the file."""
    problems = Problems()
    opened = plausible(detect.read(path, ReadOptions(), problems), str(path), problems)
    sentences = list(opened.sentences)
    if problems or not opened.labelled:
        return None, str(problems)
    tags = {tag for s in sentences for tag in s.tags or () if isinstance(tag, str)}
    spelling = spelling_of(tags)
    if spelling is None:
        return ([], "") if tags <= {"O"} else (None, f"no entity tags: {sorted(tags)[:5]}")
    entities: Entities = []
    for s in sentences:
        read = [spelling.read(str(tag)) or "O" for tag in s.tags or ()]
        iob2 = [{"U": "B", "L": "I"}.get(tag[0], tag[0]) + tag[1:] for tag in read]
        entities += entities_of(list(zip(s.words, iob2, strict=True)))
    return entities, ""


def main() -> None:
    """Read the command line, and run until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files of failures")
    parser.add_argument("--whole", action="store_true", help="damage no file")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    end, seed = time.monotonic() + options.seconds, options.seed
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            outcome, data, name, detail = one_round(
                Path(folder), random.Random(seed), whole=options.whole
            )
            counts["files"] += 1
            counts[outcome] += 1
            if outcome.isupper():
                print(f"{outcome} seed {seed} {name}: {detail}", flush=True)
                if options.keep:
                    options.keep.mkdir(exist_ok=True, parents=True)
                    (options.keep / f"{seed}-{name}").write_bytes(data)
            seed += 1
    print(dict(sorted(counts.items())))
    sys.exit(any(key.isupper() for key in counts))


def one_round(
    folder: Path, generator: random.Random, *, whole: bool
) -> tuple[str, bytes, str, str]:
    """Return the outcome of one file, in capitals if it is a failure, its content and a detail."""
    form = generator.choice(FORMATS)
    data = with_harmless_change(form.write(documents(generator)), generator)
    whole = whole or generator.random() < 0.3
    data = data if whole else damaged(data, generator)
    path = folder / form.name
    path.write_bytes(data)
    start = time.monotonic()
    try:
        entities, message = read_by_suite(path)
    except Exception:  # any is a failure, and is reported
        return "TRACEBACK", data, form.name, traceback.format_exc()
    if time.monotonic() - start > SLOW:
        return "SLOW", data, form.name, f"{time.monotonic() - start:.1f} s"
    expected = None
    with contextlib.suppress(Exception):  # the naive reader fails on most damaged files
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        expected = form.read(data.decode(encoding))
    if whole and entities is None:
        return "REFUSED", data, form.name, message
    if entities is None:
        return "damaged, refused", data, form.name, message
    if expected is None:
        return "damaged, read by the suite only", data, form.name, ""
    if Counter(entities) != Counter(expected):
        extra, lost = Counter(entities) - Counter(expected), Counter(expected) - Counter(entities)
        kind = "DIFFERENT" if whole else "DAMAGED AND DIFFERENT"
        return kind, data, form.name, f"suite only {dict(extra)}, naive only {dict(lost)}"
    return "whole, equal" if whole else "damaged, equal", data, form.name, ""


if __name__ == "__main__":
    main()
