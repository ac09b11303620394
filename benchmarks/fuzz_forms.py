"""Random texts in the forms that `infer.py` reads, for `fuzz_tagging.py`."""

import csv
import io
import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

WORDS = (
    *("Anna", "Müller", "works", "in", "Paris", "Peter", "Blackburn", "東", "東京", "Zoë", "😀"),
    *("José", "yes", "it's", "l'Italie", "U.S.", "12.5", "Ankara'da", "สวัสดี", "مرحبا", "e\u0301"),
    *("a\u200db", "\u200f", "\u2061", "#", "O", "B-PER", "-", "...", "x" * 40, "👩\u200d👧"),
)
CHARACTERS = (
    *("\t", "\x0b", "\x0c", "\x1b", "\x1c", "\x85", "\xa0", "\u2028", "\u202e", "\x00", "\r"),
)


class Text(NamedTuple):
    """A random text, as a record of one of the forms has it."""

    text: str
    words: list[str]
    note: str


class Form(NamedTuple):
    """A form of input: its file name, a writer, the texts that a result must have, and flags."""

    name: str
    write: Callable[[list[Text]], str | bytes]
    texts: Callable[[list[Text]], list[str]]
    flags: tuple[str, ...] = ()
    any_text: bool = True  # also texts of several lines, and with control characters
    notes: bool = False  # results repeat the field `note`


# --- Random texts ---------------------------------------------------------------------------------


def random_text(generator: random.Random, *, any_text: bool) -> Text:
    """Return a random text; `any_text`: with line ends and control characters too."""
    count = generator.choice((0, 1, 1, 2, 3, 5, 8, 13, 200 if generator.random() < 0.05 else 3))
    words = [generator.choice(WORDS) for _ in range(count)]
    pieces = []
    for word in words:
        pieces += [word, generator.choice((" ", " ", " ", "  ", ""))]
        if any_text and generator.random() < 0.05:
            pieces.append(generator.choice((*CHARACTERS, "\n", "\r\n", '"', ",", ";", "|", "\\")))
    return Text("".join(pieces), words, generator.choice(("", "x", "é,;\t", "=1+1", "0")))


# --- Text and records -----------------------------------------------------------------------------


def whole_texts(texts: list[Text]) -> list[str]:
    """Return the texts as they are."""
    return [text.text for text in texts]


def joined_words(texts: list[Text]) -> list[str]:
    """Return the words joined by blanks; sentences without a word are none."""
    return [" ".join(text.words) for text in texts if text.words]


def as_lines(texts: list[Text]) -> str:
    """Write a text in each line."""
    return "".join(f"{text.text}\n" for text in texts)


def record(number: int, text: Text) -> dict[str, Any]:
    """Return a record of JSON."""
    return {"id": number, "note": text.note, "text": text.text, "more": {"a": [1, None]}}


def jsonl_of(make: Callable[[int, Text], Any]) -> Callable[[list[Text]], str]:
    """Return a writer of JSON Lines."""

    def write(texts: list[Text]) -> str:
        values = (make(number, text) for number, text in enumerate(texts))
        return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)

    return write


def json_of(make: Callable[[list[Text]], Any], indent: int | None) -> Callable[[list[Text]], str]:
    """Return a writer of one JSON value."""
    return lambda texts: json.dumps(make(texts), ensure_ascii=False, indent=indent)


def records(texts: list[Text]) -> list[dict[str, Any]]:
    """Return an array of records."""
    return [record(number, text) for number, text in enumerate(texts)]


def wrapped(texts: list[Text]) -> dict[str, Any]:
    """Return records inside an object."""
    return {"version": "1", "records": records(texts)}


def tokens(number: int, text: Text) -> dict[str, Any]:
    """Return a record of words."""
    return {"id": number, "note": text.note, "tokens": text.words}


def doccano(number: int, text: Text) -> dict[str, Any]:
    """Return a record of doccano."""
    return {"id": number, "text": text.text, "label": [[0, 1, "PER"]], "note": text.note}


def prodigy(number: int, text: Text) -> dict[str, Any]:
    """Return a record of Prodigy; every third is rejected, and tagged all the same."""
    answer = "reject" if number % 3 == 2 else "accept"
    return {"text": text.text, "spans": [], "answer": answer, "note": text.note}


def label_studio(texts: list[Text]) -> list[dict[str, Any]]:
    """Return tasks of Label Studio without annotations."""
    return [{"id": number, "data": {"text": text.text}} for number, text in enumerate(texts)]


def argilla(number: int, text: Text) -> dict[str, Any]:
    """Return a record of Argilla 2."""
    return {"id": str(number), "fields": {"text": text.text}, "responses": {}}


# --- Tables and columns ---------------------------------------------------------------------------


def table_of(delimiter: str, text: str = "text") -> Callable[[list[Text]], str]:
    """Return a writer of CSV; `text` names the column of the texts."""

    def write(texts: list[Text]) -> str:
        file = io.StringIO()
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["ref", text, "note"])
        writer.writerows([number, item.text, item.note] for number, item in enumerate(texts))
        return file.getvalue()

    return write


def rows_of_words(texts: list[Text]) -> str:
    """Write a word in each row, with the number of its sentence."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["sentence_id", "token"])
    for number, text in enumerate(texts):
        writer.writerows([number, word] for word in text.words)
    return file.getvalue()


def arrow_of(form: str) -> Callable[[list[Text]], bytes]:
    """Return a writer of parquet or Arrow."""

    def write(texts: list[Text]) -> bytes:
        import pyarrow
        import pyarrow.parquet

        columns = {"text": [text.text for text in texts], "note": [text.note for text in texts]}
        table = pyarrow.table(columns, pyarrow.schema({name: pyarrow.string() for name in columns}))
        file = io.BytesIO()
        if form == "parquet":
            pyarrow.parquet.write_table(table, file)
        else:
            maker = pyarrow.ipc.new_file if form == "arrow" else pyarrow.ipc.new_stream
            with maker(file, table.schema) as writer:
                writer.write_table(table)
        return file.getvalue()

    return write


def columns_of(row: str) -> Callable[[list[Text]], str]:
    """Return a writer of CoNLL columns."""

    def write(texts: list[Text]) -> str:
        return "".join(
            "".join(
                row.format(word=word, tag="B-PER" if word[0].isupper() else "O", number=number)
                for number, word in enumerate(text.words, 1)
            )
            + "\n"
            for text in texts
            if text.words
        )

    return write


def conllu(texts: list[Text]) -> str:
    """Write CoNLL-U with comments."""
    row = "{number}\t{word}\t_\tX\t_\t_\t0\troot\t_\t_\n"
    sentences = columns_of(row)(texts).split("\n\n")[:-1]
    return "".join(f"# sent_id = s{number}\n{s}\n\n" for number, s in enumerate(sentences))


SHORT = Text("Anna works in Paris", ["Anna", "works", "in", "Paris"], "")
TEXT = ("--input_format", "text")
FORMS = (
    Form("a.txt", as_lines, whole_texts, TEXT, any_text=False),
    Form("a.md", as_lines, lambda texts: [as_lines(texts)], (*TEXT, "--by", "document")),
    Form("a.jsonl", jsonl_of(record), whole_texts, notes=True),
    Form("a.ndjson", jsonl_of(record), whole_texts, ("--input_format", "jsonl"), notes=True),
    Form("array.json", json_of(records, None), whole_texts, notes=True),
    Form("pretty.json", json_of(records, 2), whole_texts, notes=True),
    Form("wrapped.json", json_of(wrapped, 1), whole_texts, notes=True),
    Form("strings.json", json_of(whole_texts, None), whole_texts),
    Form("tokens.jsonl", jsonl_of(tokens), lambda texts: [" ".join(t.words) for t in texts]),
    Form("doccano.jsonl", jsonl_of(doccano), whole_texts, notes=True),
    Form("prodigy.jsonl", jsonl_of(prodigy), whole_texts, notes=True),
    Form("studio.json", json_of(label_studio, 1), whole_texts),
    Form("argilla.jsonl", jsonl_of(argilla), whole_texts),
    Form("comma.csv", table_of(","), whole_texts, notes=True),
    Form("semicolon.csv", table_of(";"), whole_texts, notes=True),
    Form("bar.csv", table_of("|"), whole_texts, notes=True),
    Form("tab.csv", table_of("\t"), whole_texts, notes=True),
    Form("named.csv", table_of(",", "body"), whole_texts, ("--text_column_name", "body")),
    Form("rows.csv", rows_of_words, joined_words),
    Form("a.parquet", arrow_of("parquet"), whole_texts, notes=True),
    Form("a.arrow", arrow_of("arrow"), whole_texts, notes=True),
    Form("stream.arrow", arrow_of("stream"), whole_texts, notes=True),
    Form("a.conll", columns_of("{word}\t{tag}\n"), joined_words),
    Form("blank.conll", columns_of("{word} NN {tag}\n"), joined_words),
    Form("first.bio", columns_of("{tag}\t{word}\n"), joined_words),
    Form("a.conllu", conllu, joined_words),
)
