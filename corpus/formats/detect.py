"""Files as people have them, read into sentences of words and tags.

`read` finds a file's format, by content first and by ending second, and opens it with the
generator of `columns` or `records` that reads it. What does not fit is added to `Problems` with
its file and line, and reading goes on, so that all is told at once; nothing is guessed silently.
"""

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from corpus.formats.columns import open_columns
from corpus.formats.records import (
    SENTENCE_COLUMNS,
    SPAN_COLUMNS,
    WRAPPED_RECORDS,
    Record,
    open_records,
    open_table,
    read_csv,
    read_json_array,
    read_json_object,
    read_jsonl,
)
from corpus.sentences import (
    NOTHING,
    TEXT_COLUMNS,
    Opened,
    Problems,
    Sentence,
    Wanted,
    encoding_of,
    first_named,
    label_columns,
    open_bytes,
    reading,
    text_lines,
)

__all__ = ["Opened", "Problems", "Sentence", "Wanted", "read"]

START = 1 << 16  # bytes that the format is found out from
TABLES = (  # no word of a text file is mistaken for one of these beginnings
    (re.compile(rb"PAR1[^\s]"), "parquet"),
    (re.compile(rb"ARROW1\0\0"), "arrow"),
    (re.compile(rb"\xff\xff\xff\xff"), "arrow stream"),
)
NOT_TEXT = (
    (re.compile(rb"PK\x03\x04"), "a zip archive or an Office document"),
    (re.compile(rb"%PDF-\d"), "a PDF"),
    (re.compile(rb"BZh\d1AY&SY"), "packed by bzip2"),
    (re.compile(rb"\xfd7zXZ\0"), "packed by xz"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "packed by zstd"),
)
READABLE = "columns of text, JSON, CSV, parquet or Arrow, plain or packed by gzip"
JSON_ARRAY = re.compile(r'\s*\[\s*(?:\{\s*["}]|\[\s*"|\]?\s*\Z)')
JSON_OBJECT = re.compile(r'\{\s*"[^"\t]*"\s*:')
JSON_READERS = {"array": read_json_array, "object": read_json_object}
DELIMITERS = ",;\t|"


def read(path, wanted: Wanted, problems: Problems) -> Opened:
    """Open a file of whatever format; its sentences are read as they are asked for.

    `problems` gets what is wrong with it, some of it at once, some while it is read.
    """
    name = str(path)
    try:
        with open_bytes(path) as file:
            start = file.read(START)
    except (OSError, EOFError, zlib.error) as error:
        problems.add("unreadable file", name, str(error))
        return NOTHING
    for mark, form in TABLES:
        if mark.match(start):
            return open_table(path, form, wanted, problems)
    wrong = _no_text(start)
    if wrong:
        problems.add("no text", name, wrong, READABLE)
        return NOTHING
    text = start.decode(encoding_of(start), "replace")
    head = [line.removesuffix("\r") for line in text.split("\n")]
    lines = text_lines(path, problems)
    form = json_form(head, name)
    if form in JSON_READERS:
        records = _read(path, JSON_READERS[form], problems)
    elif form == "lines":
        records = read_jsonl(lines, problems, name)
    elif delimiter := csv_delimiter(head, name, wanted):
        records = _read(path, read_csv, problems, delimiter)
    else:
        return open_columns(lines, wanted, problems, name)
    return open_records(records, wanted, problems, name)


def _no_text(start: bytes) -> str | None:
    """What a file that is no text seems to be."""
    for mark, form in NOT_TEXT:
        if mark.match(start):
            return f"it is {form}"
    encoding = encoding_of(start)
    if encoding.startswith("utf-8"):
        if start.count(0) * 10 > len(start):
            return "a binary file, or UTF-16 without its mark"
        if b"\r" in start and b"\n" not in start and start.count(b"\r") > 1:
            return "its lines end in CR alone, which ends no line here"
    return None


def json_form(head: list[str], name: str) -> str | None:
    """ "lines", "array" or "object"; None if the file holds no JSON."""
    filled = [line for line in head if line.strip()]
    first = filled[0].lstrip() if filled else ""
    named = not {".json", ".jsonl", ".ndjson"}.isdisjoint(Path(name).suffixes)
    text = "\n".join(filled)
    if JSON_ARRAY.match(text):
        return "array"
    if WRAPPED_RECORDS.match(text):
        return "object"
    if any(map(_is_record, filled[:2])):
        return "lines"
    if first.startswith("[") and named:
        return "array"
    if JSON_OBJECT.match(text):
        return "object" if len(filled) > 1 else "lines"
    return "lines" if named and any(line.startswith(("{", "[")) for line in filled[:2]) else None


def _is_record(line: str) -> bool:
    """Whether a line is JSON all by itself, and not just a part of a larger value."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) or (
        isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    )


def _read(path, reader, problems: Problems, *options) -> Iterator[Record]:
    with reading(path, problems) as file:
        yield from reader(file, problems, str(path), *options)


def csv_delimiter(head: list[str], name: str, wanted: Wanted) -> str | None:
    """What parts the cells of a CSV file; None if the file is none.

    Its first row names its columns. A tab-separated file is left to `columns`, unless it numbers
    its sentences or has lists in its cells.
    """
    filled = [line for line in head if line.strip()]
    if not filled:
        return None
    texts = (wanted.text or "", *TEXT_COLUMNS)
    others = (wanted.labels or "", *label_columns(wanted.task), *SPAN_COLUMNS, *SENTENCE_COLUMNS)
    for delimiter in DELIMITERS:
        header = [cell.strip('"') for cell in filled[0].split(delimiter)]
        text = first_named(header, texts)
        rest = [cell for position, cell in enumerate(header) if position != text]
        if text is None or first_named(rest, others) is None:
            continue
        numbered = first_named(rest, SENTENCE_COLUMNS) is not None
        listed = any(line.startswith("[") or "\t[" in line for line in filled[1:2])
        if delimiter != "\t" or numbered or listed:
            return delimiter
    if ".csv" in Path(name).suffixes:
        found = [delimiter for delimiter in DELIMITERS if delimiter in filled[0]]
        if first_named([filled[0]], texts) is not None or found in ([","], [";"]):
            return (found or [","])[0]
    return None
