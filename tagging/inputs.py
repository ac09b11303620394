"""Inputs: texts and words, one by one, from files, folders and pipes.

Only the current line is in memory, so streams may have any length. A line that cannot be read
ends the run with an error that names the line, or is skipped and counted.
"""

import io
import itertools
import os
import select
import sys
import tempfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeGuard

from corpus.formats.column_names import (
    DOCUMENT_COLUMNS,
    HEAD_SIZE,
    document_field,
    first_named,
)
from corpus.formats.columns import open_columns
from corpus.formats.detect import NOT_TEXT, READABLE
from corpus.formats.exports import records_of_exports
from corpus.formats.json import read_json_array, read_json_object, read_jsonl
from corpus.formats.label_column import CONLLU_COLUMNS
from corpus.formats.lists import split_at_blanks
from corpus.formats.records import Record, RecordLayout, identifier
from corpus.formats.rows import read_rows
from corpus.formats.sentence import LayoutKind, ReadOptions
from corpus.formats.tables import read_csv, read_table
from corpus.formats.text import bad_byte, encoding_of, open_bytes, reading
from corpus.plausible import plausible, plausible_items
from corpus.problems import Place, Problem, ProblemKind, Problems
from corpus.words import Words
from settings.tagging_flags import InputFormat
from support.errors import UserError
from support.processes import is_main_process
from support.text import on_terminal, quote
from tagging.input_files import STANDARD_INPUT, extension_of
from tagging.input_form import Form, form_of, json_form, table_format
from tagging.input_tables import (
    RAW_TEXTS,
    TEXT_FIELDS,
    TextColumn,
    delimiter_of,
    text_column_of,
)

# Seconds to wait for the next line of a pipe while its form is undecided.
GRACE_S = 0.5
LONGEST_LINE = 1 << 28  # bytes of a line that arrives through a pipe; a device may have no end


class Item(NamedTuple):
    """One text to tag."""

    text: str
    words: Words | None = None  # None: to be split
    tags: list[str] | None = None  # the gold tags, to score against
    fields: dict[str, Any] | None = None  # fields of the record that the output repeats
    source: str | None = None  # the file, if there are several
    # The lines of a sentence of CoNLL-U, each with the position of its word, if it is one.
    rows: list[tuple[str, int | None]] | None = None
    # Neighbours in the same document are context of each other; None has no context.
    document: tuple[str, str | None] | None = None
    place: Place | None = None  # of a labelled sentence


class BrokenLines(Problems):
    """Lines that cannot be read: an error at the first, or skipped and counted.

    `skip`: skip such lines. `verbose`: report each skipped line on standard error.
    """

    def __init__(self, *, skip: bool, verbose: bool = True):
        super().__init__()
        self.skip, self.verbose = skip, verbose
        self._places: set[Place] = set()

    @property
    def skipped(self) -> int:
        """The number of lines that were skipped."""
        return len(self._places)

    def add(self, problem: Problem) -> None:
        """Raise UserError, or count and report the problem."""
        # `problem.expected` is left out: it asks for labels, which a text to tag does not need.
        message = f"{problem.place}: {problem.title}: {problem.detail}"
        if problem.kind in (ProblemKind.ROW_WIDTH, ProblemKind.NOT_CSV):
            message += f"; expected {problem.expected}"
        if not self.skip:
            advice = "To skip lines that cannot be read: --skip_errors"
            if problem.kind is ProblemKind.RECORD_WITHOUT_TEXT:  # probably of every line
                advice = "To name the field of the text or the words: --text_column_name"
            raise UserError(f"{message}\n{advice}")
        is_new = problem.place not in self._places
        self._places.add(problem.place)
        if self.verbose and is_new:
            print(f"skipped: {on_terminal(message)}", file=sys.stderr)


class Source:
    """The lines, in bytes, of a file, a named pipe or standard input."""

    def __init__(self, path: str, *, is_one_of_several: bool = False):
        self.path, self.is_one_of_several = path, is_one_of_several
        self.name = "standard input" if path == STANDARD_INPUT else path
        self.form: Form | None = None  # known once `read_items` has seen the first lines
        self.bytes_read = 0
        self._ready: deque[bytes] = deque()
        self._descriptor: int | None = None  # of a pipe

    def __iter__(self) -> Iterator[bytes]:
        # A named pipe cannot be opened twice to find out whether it is compressed.
        is_pipe = self.path == STANDARD_INPUT or not os.path.isfile(self.path)
        for line in self._lines_of_pipe() if is_pipe else self._lines_of_file():
            self.bytes_read += len(line)
            yield line

    def _lines_of_file(self) -> Iterator[bytes]:
        try:
            with open_bytes(self.path) as file:
                yield from file
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{self.path}: {error}") from None

    def _lines_of_pipe(self) -> Iterator[bytes]:
        """Yield lines as soon as they arrive; Python's own buffer would hold them back."""
        if self.path == STANDARD_INPUT:
            self._descriptor = sys.stdin.fileno()
        else:
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY)
            except OSError as error:
                raise UserError(f"{self.path}: cannot be read: {error.strerror}") from None
        parts: list[bytes] = []
        size = 0
        while block := os.read(self._descriptor, 1 << 16):
            parts.append(block)
            size += len(block)
            if size > LONGEST_LINE:
                raise UserError(
                    f"{self.name}: not text: got a line of more than {LONGEST_LINE >> 20} MB"
                )
            if b"\n" in block:
                *lines, rest = b"".join(parts).split(b"\n")
                self._ready.extend(lines)
                parts, size = [rest], len(rest)
                while self._ready:
                    yield self._ready.popleft() + b"\n"
        if last := b"".join(parts):
            yield last

    def is_waiting(self, seconds: float = 0) -> bool:
        """Return whether no further line arrives within `seconds`.

        The lines collected so far should then be processed.
        """
        if self._descriptor is None or self._ready:
            return False
        try:
            return not select.select([self._descriptor], [], [], seconds)[0]
        except OSError:  # Windows waits for sockets only; lines are processed as they arrive
            return True


# --- Items ------------------------------------------------------------------------------------


def read_items(
    source: Source, input_format: InputFormat, by: str, options: ReadOptions, problems: Problems
) -> Iterator[Item]:
    """Return the texts of one source, whose form is in `source.form` from then on.

    `by`: line or document, the unit of plain text. Raises UserError for a file that is not text,
    and for a table without a column of texts.
    """
    lines = _utf8_lines(source, problems)
    first = next(lines, b"")
    for mark, description in NOT_TEXT:
        if mark.match(first):
            raise UserError(f"{source.name}: not text: got {description}, expected {READABLE}")
    lines = itertools.chain(filter(None, [first]), lines)
    table = table_format(first)
    if table is not None:
        source.form = "parquet"
        records = _records_of_table(source, lines, table, problems)
        items = _items_of_table(records, options, problems, source)
        return _plausible(items, source, problems)
    opening = ""
    if input_format == "auto" or input_format == "json":
        seen: list[bytes] = []
        head = _first_lines(lines, seen, source)
        if input_format == "json":
            source.form = json_form(next(filter(str.strip, head), ""), head)
        else:
            source.form = form_of(source.path, head, options.text_column)
            if source.form == "csv" and extension_of(source.path) not in (".csv", ".tsv"):
                _note(source.name, "read as a table; to tag each line: --input_format text")
        opening = b"".join(seen).decode("utf-8-sig", "replace").lstrip()[:1]
        lines = itertools.chain(seen, lines)
    else:
        source.form = input_format
    if source.form == "text" and by == "document":
        text = _decode_whole(b"".join(lines), source.name, "utf-8", problems)
        return iter(() if text is None else (Item(text),))
    decoded = _decode_lines(lines, source.name, problems)
    if source.form == "text":
        return (Item(_without_end(line)) for line in decoded if line is not None)
    with_ends = ("\n" if line is None else line for line in decoded)
    if source.form == "csv":
        items = _items_of_csv(source, with_ends, options, problems)
        return _plausible(items, source, problems)
    without_ends = map(_without_end, with_ends)
    if source.form == "conll":
        return _items_of_columns(source, without_ends, options, problems)
    if source.form == "json":
        records = _records_of_json(source, with_ends, opening, problems)
    else:
        records = read_jsonl(without_ends, problems, source.name)
    records = records_of_exports(_unwrapped(records, options, problems, source.name))
    items = _items_of_records(records, options, problems, source)
    return _plausible(items, source, problems)


def _plausible(items: Iterator[Item], source: Source, problems: Problems) -> Iterator[Item]:
    """Yield items, if the words that come with them can be words."""

    def given_words(item: Item) -> list[str]:
        return [word for word, _, _ in item.words or ()]

    return plausible_items(items, given_words, source.name, problems, source.is_waiting)


def _utf8_lines(source: Source, problems: Problems) -> Iterator[bytes]:
    """Yield lines of UTF-8 as they are, those of UTF-16 and UTF-32 converted to UTF-8."""
    lines = iter(source)
    first = next(lines, b"")
    encoding = encoding_of(first)
    if encoding.startswith("utf-8"):
        yield from filter(None, [first])
        yield from lines
    else:
        text = _decode_whole(first + b"".join(lines), source.name, encoding, problems)
        yield from (line.encode() for line in io.StringIO(text or "", newline="\n"))


def _first_lines(lines: Iterator[bytes], seen: list[bytes], source: Source) -> Iterator[str]:
    """Yield the lines that show the form, and append them to `seen`; stop when a pipe stalls."""
    for line in itertools.islice(lines, HEAD_SIZE):
        seen.append(line)
        yield line.decode("utf-8-sig" if len(seen) == 1 else "utf-8", "replace").rstrip("\r\n")
        if source.is_waiting(GRACE_S):
            return


def _decode_lines(lines: Iterable[bytes], name: str, problems: Problems) -> Iterator[str | None]:
    """Yield lines with their ends; None for a line that is not UTF-8."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            place = Place(name, number)
            problems.add(Problem(ProblemKind.WRONG_ENCODING, place, bad_byte(line, error)))
            yield None


def _without_end(line: str) -> str:
    """Return a line without its end, LF or CRLF."""
    return line.removesuffix("\n").removesuffix("\r")


def _decode_whole(content: bytes, name: str, encoding: str, problems: Problems) -> str | None:
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x} is not {encoding.upper()}"
        problems.add(Problem(ProblemKind.WRONG_ENCODING, Place(name, line), found))
        return None


def _note(name: str, text: str) -> None:
    if is_main_process():
        print(on_terminal(f"{name}: {text}."), file=sys.stderr)


# --- Columns ----------------------------------------------------------------------------------


class _KeptLines:
    """Lines that a reader takes, kept until the sentence that they belong to is complete."""

    def __init__(self, lines: Iterable[str]):
        self._lines = iter(lines)
        self._kept: deque[tuple[int, str]] = deque()
        self._number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._number += 1
        self._kept.append((self._number, line))
        return line

    def take(self, last: int) -> list[tuple[int, str]]:
        """Return the numbered lines up to the blank line after the line `last`."""
        taken = []
        while self._kept and (self._kept[0][0] <= last or self._kept[0][1].strip()):
            taken.append(self._kept.popleft())
        return list(itertools.dropwhile(lambda numbered: not numbered[1].strip(), taken))


def _items_of_columns(
    source: Source, lines: Iterable[str], options: ReadOptions, problems: Problems
) -> Iterator[Item]:
    """Yield the sentences of columns, from a pipe as they come."""
    kept = _KeptLines(lines)
    head = _first_sentences(kept, source)
    options = options._replace(needs_labels=False)
    opened = open_columns(kept, options, problems, source.name, head)
    for note in opened.notes:
        _note(source.name, note)
    opened = plausible(opened, source.name, problems, words_only=True, is_waiting=source.is_waiting)
    for sentence in opened.sentences:
        numbers = {line: position for position, line in enumerate(sentence.lines)}
        rows = [(line, numbers.get(number)) for number, line in kept.take(sentence.lines[-1])]
        fields = {"sent_id": sentence.record_id} if sentence.record_id else None
        yield item_of_words(list(sentence.words), fields=fields)._replace(
            rows=rows if _are_conllu(rows) else None,
            document=document_key(source.path, sentence.document, of_file=source.is_one_of_several),
        )


def _first_sentences(lines: Iterator[str], source: Source) -> list[str]:
    """Return the lines that show the layout: those before a pipe stalls after a sentence."""
    head = []
    has_row = False
    for line in itertools.islice(lines, HEAD_SIZE):
        head.append(line)
        has_row = has_row or (bool(line.strip()) and not line.startswith("#"))
        if has_row and not line.strip() and source.is_waiting():
            break
    return head


def _are_conllu(rows: list[tuple[str, int | None]]) -> bool:
    return all(
        position is None or line.count("\t") == len(CONLLU_COLUMNS) - 1 for line, position in rows
    )


# --- Records ----------------------------------------------------------------------------------


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


def _records_of_json(
    source: Source, lines: Iterable[str], opening: str, problems: Problems
) -> Iterator[Record]:
    """Yield the records of a JSON array or object; `lines` are those of a pipe."""
    read = partial(read_json_array, texts=True) if opening == "[" else read_json_object
    if os.path.isfile(source.path):  # it may be one line, too long for the memory
        with reading(source.path, problems) as file:
            yield from read(file, problems, source.name)
    else:
        yield from read(_TextOfLines(lines, source), problems, source.name)


def _unwrapped(
    records: Iterable[Record], options: ReadOptions, problems: Problems, name: str
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
            problems.add(Problem(ProblemKind.FIELD_TYPE, Place(name, record.line), found))
            continue
        (key,) = lists
        if not noted:
            noted = True
            _note(name, f"the records are in the field {quote(key)}")
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


def _items_of_records(
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


def document_key(
    path: str, document: str | None, *, of_file: bool = False
) -> tuple[str, str | None] | None:
    """Return the document of a sentence of the file `path`, distinct from those of other files.

    `of_file`: all sentences of the file without a `document` belong to one document.
    """
    return None if document is None and not of_file else (path, document)


def _document_of_record(fields: dict[str, Any], source: Source) -> tuple[str, str | None] | None:
    """Return the document of a record: the value of its document field, as in training."""
    name = document_field(fields)
    return None if name is None else document_key(source.path, identifier(fields[name]))


def _carried(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that the output repeats beside the text."""
    return {name: field for name, field in fields.items() if name != "text"}


# --- Tables -----------------------------------------------------------------------------------


def _records_of_table(
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


def _items_of_csv(
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
    return _items_of_table(records, options, problems, source)


def _items_of_table(
    records: Iterator[Record], options: ReadOptions, problems: Problems, source: Source
) -> Iterator[Item]:
    """Yield the texts of the rows of a table; the words of rows of one word are joined."""
    first = next((record for record in records if record.fields is not None), None)
    if first is None or first.fields is None:
        return
    names = list(first.fields)
    column = text_column_of(names, options.text_column, source.name)
    if column.note is not None:
        _note(source.name, column.note)
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


def item_of_words(
    words: list[str],
    tags: list[str] | None = None,
    text: object = None,
    fields: dict[str, Any] | None = None,
) -> Item:
    """Return the item of given words, located in `text` if it has all of them, else joined.

    Joined words are separated by spaces.
    """
    placed = _place_words(words, text) if isinstance(text, str) else None
    if placed is None:
        text, placed = " ".join(words), []
        start = 0
        for word in words:
            placed.append((word, start, start + len(word)))
            start += len(word) + 1
    if fields is not None:
        fields = {name: field for name, field in fields.items() if name != "text"}
    return Item(str(text), placed, tags, fields)


def _place_words(words: list[str], text: str) -> Words | None:
    """Return words with their positions in a text; None if the text lacks one of them."""
    placed, position = [], 0
    for word in words:
        start = text.find(word, position)
        if start < 0:
            return None
        position = start + len(word)
        placed.append((word, start, position))
    return placed
