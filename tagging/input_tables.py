"""Tables of texts: whether lines are one, its delimiter, and the column of the texts."""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from corpus.formats.column_names import (
    SENTENCE_COLUMNS,
    TEXT_COLUMNS,
    first_named,
    requested_column,
)
from corpus.formats.detect import DELIMITERS
from corpus.spellings import entity_types
from support.errors import UserError
from support.text import quote

# Fields of a record, the most likely first. Raw texts are strings; the other fields hold words.
RAW_TEXTS = ("text", "sentence")
TEXT_FIELDS = tuple(dict.fromkeys(("text", *TEXT_COLUMNS)))
WORD_COLUMNS = ("token", "word", "form")  # of one word in each row
HEADER_CELL = re.compile(r"[^\W\d][\w .#:/()-]{0,40}")
ROWS_SHOWN = 10  # the rows under a header that show whether lines are a table


class TextColumn(NamedTuple):
    """The column of a table that is tagged."""

    name: str
    sentence: str | None  # the column that says which sentence a word belongs to
    words: bool  # each row holds one word
    note: str | None  # shown to the user, if the name does not say what the column holds


def is_header(line: str, text_column: str | None) -> bool:
    """Return whether a line may name the columns of a table, one of which holds texts."""
    header = _header(line, delimiter_of([line], text_column))
    named = _named(header, text_column) is not None
    return len(header) > 1 and named and all(map(HEADER_CELL.fullmatch, header))


def is_table(lines: Sequence[str], text_column: str | None, *, named_tsv: bool = False) -> bool:
    """Return whether the first lines of a file are certainly a header and rows of a table.

    The header names a column of texts (see `is_header`), and all rows are as wide. `named_tsv`: the
    file is called .tsv, so it is a table or CoNLL columns; only a table has blanks in its cells.
    """
    delimiter = "\t" if named_tsv else delimiter_of(lines, text_column)
    rows = [row for row in _rows(lines, delimiter) if any(row)]
    if len(rows) < 2 or len({len(row) for row in rows}) > 1:
        return False
    header, body = rows[0], rows[1:]
    if len(header) > 1 and delimiter == "\t" and _are_columns_of_words(lines, header, body):
        return False
    if named_tsv and any(" " in cell.strip() for row in body for cell in row):
        return True
    return len(header) > 1 and _named(header, text_column) is not None


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the rows of lines without line ends; the last may be cut inside quotes."""
    ends = [f"{line}\n" for line in lines]
    if delimiter == "\t" and not any('"' in line for line in lines):
        return [line.split("\t") for line in lines]
    try:
        rows = list(csv.reader(ends, delimiter=delimiter))
    except csv.Error:
        return []
    return rows if len(rows) < 3 else rows[:-1]


def _are_columns_of_words(lines: Sequence[str], header: list[str], body: list[list[str]]) -> bool:
    """Return whether tab-separated rows are CoNLL columns, one word in each."""
    columns = [Counter(row[position].strip() for row in body) for position in range(len(header))]
    has_blanks = any(" " in cell for column in columns for cell in column)
    if any(entity_types(column) for column in columns) and not has_blanks:
        return True
    between = itertools.pairwise(lines[:-1])
    return not has_blanks and any(not line.strip() for pair in between for line in pair)


def _named(header: Sequence[str], text_column: str | None) -> int | None:
    if text_column is not None:
        return requested_column(text_column, header, len(header))
    return first_named(header, TEXT_FIELDS)


def delimiter_of(lines: Iterable[str], text_column: str | None) -> str:
    """Return the delimiter of a table: of its header, best where that names a column of texts."""
    first = next(filter(str.strip, lines), "")
    headers = {delimiter: _header(first, delimiter) for delimiter in DELIMITERS}
    for delimiter, header in headers.items():
        name = None if (text_column or "").removeprefix("-").isdecimal() else text_column
        if len(header) > 1 and _named(header, name) is not None:
            return delimiter
    return max(headers, key=lambda delimiter: len(headers[delimiter]))


def _header(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def text_column_of(names: Sequence[str], text_column: str | None, place: str) -> TextColumn:
    """Return the column to tag: the one that the user named, or one with a usual name.

    A table of one column has no other. Raises UserError if there is none.
    """
    position = _named(names, text_column)
    note = None
    if position is None and text_column is None and len(names) == 1:
        position = 0
        note = f"the texts are in the only column, {quote(names[0])}, which the first row names"
    if position is None:
        expected = repr(text_column) if text_column else ", ".join(map(repr, TEXT_FIELDS))
        raise UserError(
            f"{place}: the first row names no column of texts: got "
            f"{', '.join(map(quote, names))}, expected "
            f"{'' if text_column else 'one of '}{expected}\n"
            "To name the column of the texts: --text_column_name"
        )
    name = names[position]
    if text_column is not None and name != text_column:
        note = f"the first row names the columns: {', '.join(map(quote, names))}"
    sentence = first_named([column if column != name else "" for column in names], SENTENCE_COLUMNS)
    lowered = name.lower()
    words = lowered in WORD_COLUMNS or (lowered in ("tokens", "words") and sentence is not None)
    sentence_name = None if sentence is None or not words else names[sentence]
    if words and sentence_name is None:
        note = f"one word in each row from {quote(name)}; blank rows end sentences"
    return TextColumn(name, sentence_name, words, note)
