"""Records and tables to tag: JSON, JSON Lines, CSV, parquet and Arrow, to items."""

import io
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, TypeGuard

from corpus.formats.column_names import DOCUMENT_COLUMNS, HEAD_SIZE, document_field, first_named
from corpus.formats.json import read_json_array, read_json_object
from corpus.formats.lists import split_at_blanks
from corpus.formats.records import Record, RecordLayout, identifier
from corpus.formats.rows import read_rows
from corpus.formats.sentence import LayoutKind, ReadOptions
from corpus.formats.tables import read_csv, read_table
from corpus.formats.text import reading
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import quote
from tagging.input_lines import GRACE_S, Source
from tagging.input_tables import RAW_TEXTS, TEXT_FIELDS, TextColumn, delimiter_of, text_column_of
from tagging.items import Item, document_key, item_of_words


class _TextOfLines(io.TextIOBase):
    """A text that comes in lines; it is read as far as it has arrived."""

    def __init__(self, lines: Iterable[str], source: Source):
        self._lines, self._source = iter(lines), source

    def read(self, size: int | None = -1, /) -> str:
        """Return the next lines: about `size` characters, or those that have arrived."""
        parts: list[str] = []
        length = 0
        for line in self._lines:
            parts.append(line)
            length += len(line)
            if (size is not None and 0 <= size <= length) or self._source.is_waiting():
                break
        return "".join(parts)


def records_of_json(
    source: Source, lines: Iterable[str], opening: str, problems: Problems
) -> Iterator[Record]:
    """Yield the records of a JSON array or object; `lines` are those of a pipe."""
    read = partial(read_json_array, texts=True) if opening == "[" else read_json_object
    if os.path.isfile(source.path):  # it may be one line, too long for the memory
        with reading(source.path, problems) as file:
            yield from read(file, problems, source.name)
    else:
        yield from read(_TextOfLines(lines, source), problems, source.name)


def unwrapped(
    records: Iterable[Record], options: ReadOptions, problems: Problems, source: Source
) -> Iterator[Record]:
    """Yield records; those of an object that is wrapped around a list of them, one by one.

    The other fields of the object are copied to each of them.
    """
    noted = False
    for record in records:
        fields = record.fields or {}
        lists = [key for key, value in fields.items() if _are_records(value, options)]
        if not lists or _text_key(fields, options) is not None:
            yield record
            continue
        if len(lists) > 1:
            found = f"got records in {' and '.join(map(quote, lists))}, expected one list of them"
            problems.add(Problem(ProblemKind.FIELD_TYPE, Place(source.name, record.line), found))
            continue
        (key,) = lists
        if not noted:
            noted = True
            source.note(f"the records are in the field {quote(key)}")
        outer = {name: value for name, value in fields.items() if name != key}
        yield from (record._replace(fields=outer | inner) for inner in fields[key])


def _are_records(value: object, options: ReadOptions) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(element, dict) for element in value)
        and any(_text_key(element, options) is not None for element in value)
    )


def _text_key(fields: dict[str, Any], options: ReadOptions) -> str | None:
    names = (options.text_column,) if options.text_column else TEXT_FIELDS
    return next((key for key in names if fields.get(key) is not None), None)


def items_of_records(
    records: Iterable[Record], options: ReadOptions, problems: Problems, source: Source
) -> Iterator[Item]:
    """Yield the texts of records.

    A text is in the field that the user named, or else in `text`, or else in the first of the other
    `TEXT_FIELDS`.
    """
    names = (options.text_column,) if options.text_column else TEXT_FIELDS
    for record in records:
        place, fields = Place(source.name, record.line), record.fields or {}
        document = _document_of_record(fields, source)
        key = _text_key(fields, options)
        value = None if key is None else fields[key]
        may_be_text = bool(options.text_column) or key in RAW_TEXTS
        may_be_words = bool(options.text_column) or key not in RAW_TEXTS
        if key is None:
            expected = " or ".join(map(repr, names if options.text_column else ("text", "tokens")))
            found = f"got {quote(fields)}, expected the field {expected}"
            problems.add(Problem(ProblemKind.RECORD_WITHOUT_TEXT, place, found))
        elif may_be_text and isinstance(value, str):
            yield Item(value, fields=_carried(fields), document=document)
        elif may_be_words and _are_strings(value):
            item = item_of_words(value, text=fields.get("text"), fields=fields)
            yield item._replace(document=document)
        else:
            kind = ProblemKind.FIELD_TYPE
            expected = "a list of strings" if may_be_words else "a string"
            if options.text_column:
                expected = "a string or a list of strings"
            elif _are_strings(value):
                kind = ProblemKind.RECORD_WITHOUT_TEXT
                expected += f" (for a list of words: --text_column_name {key})"
            found = f"{key!r}: got {quote(value)}, expected {expected}"
            problems.add(Problem(kind, place, found))


def _document_of_record(fields: dict[str, Any], source: Source) -> tuple[str, str | None] | None:
    """Return the document of a record: the value of its document field, as in training."""
    name = document_field(fields)
    return None if name is None else document_key(source.path, identifier(fields[name]))


def _carried(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that the output repeats beside the text."""
    return {name: field for name, field in fields.items() if name != "text"}


# --- Tables -----------------------------------------------------------------------------------


def records_of_table(
    source: Source, lines: Iterable[bytes], table: str, problems: Problems
) -> Iterator[Record]:
    """Yield the rows of parquet or Arrow; the `lines` of a pipe are copied to a file."""
    if os.path.isfile(source.path):
        yield from read_table(source.path, table, None, problems)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.writelines(lines)
        file.flush()
        yield from read_table(file.name, table, None, problems, source.name)


def items_of_csv(
    source: Source, lines: Iterator[str], options: ReadOptions, problems: Problems
) -> Iterator[Item]:
    """Return the texts of a table with a header, from a pipe as they come."""
    head: list[str] = []
    for line in itertools.islice(lines, HEAD_SIZE):
        head.append(line)
        if source.is_waiting(0 if len(head) > 1 else GRACE_S):
            break
    delimiter = delimiter_of(head, options.text_column)
    records = read_csv(lines, problems, source.name, delimiter, head)
    return items_of_table(records, options, problems, source)


def items_of_table(
    records: Iterator[Record], options: ReadOptions, problems: Problems, source: Source
) -> Iterator[Item]:
    """Yield the texts of the rows of a table; the words of rows of one word are joined."""
    first = next((record for record in records if record.fields is not None), None)
    if first is None or first.fields is None:
        return
    names = list(first.fields)
    column = text_column_of(names, options.text_column, source.name)
    if column.note is not None:
        source.note(column.note)
    records = itertools.chain([first], records)
    if column.words:
        yield from _items_of_rows(records, names, column, options, problems, source)
        return
    joined = options.text_column is None and column.name.lower() in ("tokens", "words")
    for record in records:
        if record.fields is None:
            continue
        value = record.fields.get(column.name)
        if joined:
            value = split_at_blanks(value)
        document = _document_of_record(record.fields, source)
        if isinstance(value, str):
            yield Item(value, fields=_carried(record.fields), document=document)
        elif _are_strings(value):
            item = item_of_words(value, text=record.fields.get("text"), fields=record.fields)
            yield item._replace(document=document)
        else:
            found = f"{column.name!r}: got {quote(value)}, expected a string or a list of strings"
            problems.add(Problem(ProblemKind.FIELD_TYPE, Place(source.name, record.line), found))


def _items_of_rows(
    records: Iterable[Record],
    names: list[str],
    column: TextColumn,
    options: ReadOptions,
    problems: Problems,
    source: Source,
) -> Iterator[Item]:
    """Yield the sentences of rows of one word each, with the sentence's id and document."""
    document = first_named(names, DOCUMENT_COLUMNS)
    document_name = None if document is None else names[document]
    layout = RecordLayout(LayoutKind.ROWS, column.name, None, column.sentence, document_name, None)
    for sentence in read_rows(records, layout, options, problems, source.name):
        origin = {document_name: sentence.document, column.sentence: sentence.record_id}
        fields = {key: value for key, value in origin.items() if key is not None}
        document_of = document_key(source.path, sentence.document, of_file=source.is_one_of_several)
        yield item_of_words(list(sentence.words), fields=fields)._replace(document=document_of)


def _are_strings(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)
