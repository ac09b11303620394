"""Detect the format of a corpus file, by content first and by extension second.

`read` opens a file of any format. What does not fit is added to `Problems`, with its file and line,
and reading continues, so that all problems are reported together. Nothing is guessed silently.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from corpus.formats.brat import BRAT_LAYOUT, files_of_brat, read_brat
from corpus.formats.cells import cell_value
from corpus.formats.column_names import (
    SENTENCE_COLUMNS,
    SPAN_COLUMNS,
    TEXT_COLUMNS,
    first_named,
    label_columns,
)
from corpus.formats.columns import open_columns
from corpus.formats.conll2012 import HEADER as CONLL2012
from corpus.formats.conll2012 import open_conll2012
from corpus.formats.doc_bin import (
    CONVERT_DOC_BIN,
    is_doc_bin,
    read_doc_bin,
    spacy_is_installed,
)
from corpus.formats.foreign import foreign_archive, foreign_text
from corpus.formats.json import WRAPPED_RECORDS, read_json_array, read_json_object, read_jsonl
from corpus.formats.pubtator import HEADER as PUBTATOR
from corpus.formats.pubtator import PUBTATOR_LAYOUT, read_pubtator
from corpus.formats.record_source import open_records
from corpus.formats.records import Record
from corpus.formats.sentence import UNREADABLE, OpenedSource, ReadOptions
from corpus.formats.tables import DELIMITER_LINE, open_table, read_csv
from corpus.formats.text import (
    READ_ERRORS,
    FilePath,
    encoding_of,
    lines_with_ends,
    open_bytes,
    reading,
    report_unreadable,
    text_lines,
)
from corpus.formats.webanno import HEADER as WEBANNO
from corpus.formats.webanno import open_webanno
from corpus.problems import Place, Problem, ProblemKind, Problems

START_SIZE = 1 << 16  # bytes that the format is detected from
TABLES = (  # no text file begins like this
    (re.compile(rb"PAR1[^\s]"), "parquet"),
    (re.compile(rb"ARROW1\0\0"), "arrow"),
    (re.compile(rb"\xff\xff\xff\xff"), "arrow stream"),
)
NOT_TEXT = (
    (re.compile(rb"PK\x03\x04"), "a zip archive or an Office document"),
    (re.compile(rb"%PDF-\d"), "a PDF"),
    (re.compile(rb"BZh\d1AY&SY"), "a file compressed with bzip2"),
    (re.compile(rb"\xfd7zXZ\0"), "a file compressed with xz"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "a file compressed with zstd"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a file compressed with 7-Zip"),
    (re.compile(rb"Rar!\x1a\x07"), "a file compressed with RAR"),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar archive"),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an old Office document"),
    (re.compile(rb"\{\\rtf"), "an RTF document"),
    (re.compile(rb"SQLite format 3\0"), "a database of SQLite"),
    (re.compile(rb"\x80[\x02-\x05][\x00-\x1f\x5b-\x7f\x95].*", re.DOTALL), "a pickle of Python"),
)
READABLE = "CoNLL columns, JSON, CSV, parquet or Arrow, plain or compressed with gzip"
JSON_EXTENSIONS = {".json", ".jsonl", ".ndjson"}
# Quantifiers are possessive: white space is matched once, however long it is.
JSON_ARRAY = re.compile(r'\s*+\[\s*+(?:\{\s*+["}]|\[\s*+"|(?:\]\s*+)?+\Z)')
JSON_OBJECT = re.compile(r'\{\s*+"[^"\t]*+"\s*+:')
JSON_READERS = {"array": read_json_array, "object": read_json_object}
DELIMITERS = ",;\t|"
LIST_ROWS = 50  # lines of a table in which a list must occur


def read(path: FilePath, options: ReadOptions, problems: Problems) -> OpenedSource:
    """Open a file of any format; its sentences are read lazily.

    The problems of the file are added to `problems`, some only while its sentences are read.
    """
    name = str(path)
    try:
        with open_bytes(path) as file:
            start = file.read(START_SIZE)
    except READ_ERRORS as error:
        report_unreadable(path, error, problems)
        return UNREADABLE
    for mark, table_format in TABLES:
        if mark.match(start):
            return open_table(path, table_format, options, problems)
    if is_doc_bin(start) and spacy_is_installed():
        return open_records(
            lambda target: read_doc_bin(path, options.task, target), options, problems, name
        )
    binary = _describe_binary(start)
    if binary:
        expected = foreign_archive(path) or READABLE
        if is_doc_bin(start):
            expected = f"pip install spacy; or a file converted where it is: {CONVERT_DOC_BIN}"
        problems.add(Problem(ProblemKind.NOT_TEXT, Place(name), binary, expected))
        return UNREADABLE
    if (brat := files_of_brat(path)) is not None:

        def read_document(target: Problems) -> Iterator[Record]:
            return read_brat(*brat, target)

        return open_records(read_document, options, problems, name, layout=BRAT_LAYOUT)
    text = start.decode(encoding_of(start), "replace")
    if WEBANNO.match(text):
        return open_webanno(text_lines(path, problems), options, problems, name)
    if CONLL2012.match(text):
        return open_conll2012(text_lines(path, problems), options, problems, name)
    if PUBTATOR.match(text):

        def read_documents(target: Problems) -> Iterator[Record]:
            return read_pubtator(text_lines(path, target), target, name)

        return open_records(read_documents, options, problems, name, layout=PUBTATOR_LAYOUT)
    head = [line.removesuffix("\r") for line in text.split("\n")]
    json_kind = json_format(head, name)
    delimiter = None if json_kind else csv_delimiter(head, name, options)
    if json_kind is None and delimiter is None:
        if (foreign := foreign_text(text)) is not None:
            problems.add(Problem(ProblemKind.FOREIGN_FORMAT, Place(name), *foreign))
            return UNREADABLE
        return open_columns(text_lines(path, problems), options, problems, name)

    def read_records(target: Problems) -> Iterator[Record]:
        if json_kind == "lines":
            return read_jsonl(text_lines(path, target), target, name)
        if delimiter is not None:
            return _read_csv_file(path, target, delimiter)
        return _read_json_file(path, JSON_READERS[str(json_kind)], target)

    return open_records(read_records, options, problems, name)


def _describe_binary(start: bytes) -> str | None:
    """Describe a file that is not text, by its first bytes; None for text."""
    for mark, description in NOT_TEXT:
        if mark.match(start):
            return description
    if is_doc_bin(start):
        return "a DocBin of spaCy, which is read where spaCy is installed"
    if encoding_of(start).startswith("utf-8"):
        if start.count(0) * 10 > len(start):
            return "a binary file, or UTF-16 without a byte-order mark"
        if b"\r" in start and b"\n" not in start and start.count(b"\r") > 1:
            return "lines that end in CR instead of LF or CRLF"
    return None


def json_format(head: list[str], name: str) -> str | None:
    """Return "lines", "array" or "object" for JSON; None if the file does not hold JSON.

    `head`: the first lines of the file called `name`.
    """
    filled = [line for line in head if line.strip()]
    first = filled[0].lstrip() if filled else ""
    named_json = not JSON_EXTENSIONS.isdisjoint(Path(name).suffixes)
    text = "\n".join(filled)
    if JSON_ARRAY.match(text):
        return "array"
    if len(filled) > 1 and _is_record(filled[0]):
        return "lines"
    if WRAPPED_RECORDS.match(text):
        return "object"
    if any(map(_is_record, filled[:2])):
        return "lines"
    if first.startswith("[") and named_json:
        return "array"
    if JSON_OBJECT.match(text):
        return "object" if len(filled) > 1 else "lines"
    if named_json and any(line.startswith(("{", "[")) for line in filled[:2]):
        return "lines"
    return None


def _is_record(line: str) -> bool:
    """Return whether a line is a complete record in JSON, not part of a larger value."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) or (
        isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    )


def _read_json_file(
    path: FilePath, reader: Callable[..., Iterator[Record]], problems: Problems
) -> Iterator[Record]:
    with reading(path, problems) as file:
        yield from reader(file, problems, str(path))


def _read_csv_file(path: FilePath, problems: Problems, delimiter: str) -> Iterator[Record]:
    with reading(path, problems) as file:
        yield from read_csv(lines_with_ends(file), problems, str(path), delimiter)


def csv_delimiter(head: list[str], name: str, options: ReadOptions) -> str | None:
    """Return the delimiter of a CSV file, whose first row names its columns; None for other files.

    `head`: the first lines of the file called `name`. A tab-separated file is CoNLL columns,
    unless it numbers its sentences or has lists in its cells.
    """
    filled = [line for line in head if line.strip()]
    if not filled:
        return None
    text_names = (*filter(None, [options.text_column]), *TEXT_COLUMNS)
    other_names = (
        *filter(None, [options.label_column]),
        *label_columns(options.task),
        *SPAN_COLUMNS,
        *SENTENCE_COLUMNS,
    )
    if (delimiter_line := DELIMITER_LINE.fullmatch(filled[0])) is not None:
        return delimiter_line[1]
    for delimiter in DELIMITERS:
        header = [cell.strip(' "') for cell in filled[0].split(delimiter)]
        text = first_named(header, text_names)
        rest = [cell for position, cell in enumerate(header) if position != text]
        if text is None or first_named(rest, other_names) is None:
            continue
        numbered = first_named(rest, SENTENCE_COLUMNS) is not None
        if delimiter != "\t" or numbered or _has_lists(filled, other_names):
            return delimiter
    if ".csv" in Path(name).suffixes:
        present = [delimiter for delimiter in DELIMITERS if delimiter in filled[0]]
        if first_named([filled[0]], text_names) is not None or present in ([","], [";"]):
            return (present or [","])[0]
    return None


def _has_lists(lines: list[str], names: Sequence[str]) -> bool:
    """Return whether the first tab-separated rows have lists in a column with one of the names."""
    try:
        header, *rows = csv.reader(lines[:LIST_ROWS], delimiter="\t")
    except csv.Error:
        return False
    columns = [position for position, name in enumerate(header) if name.lower() in names]
    return any(
        not isinstance(cell_value(row[column]), str)
        for row in rows
        for column in columns
        if column < len(row)
    )
