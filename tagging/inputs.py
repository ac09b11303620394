"""Inputs: texts and words, one by one, from files, folders and pipes.

Only the current line is in memory, so streams may have any length. A line that cannot be read
ends the run with an error that names the line, or is skipped and counted.
"""

import io
import itertools
import os
import select
import sys
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeGuard

from corpus.formats.column_names import HEAD_SIZE, TEXT_COLUMNS
from corpus.formats.columns import open_columns
from corpus.formats.exports import records_of_exports
from corpus.formats.json import read_json_array, read_jsonl
from corpus.formats.records import Record
from corpus.formats.sentence import ReadOptions
from corpus.formats.text import bad_byte, encoding_of, open_bytes, reading
from corpus.plausible import plausible
from corpus.problems import Place, Problem, ProblemKind, Problems
from corpus.words import Words
from support.errors import UserError
from support.text import on_terminal, quote
from tagging.input_files import STANDARD_INPUT
from tagging.input_form import form_of

# Fields of a record, the most likely first. Raw texts are strings; the other fields hold words.
RAW_TEXTS = ("text", "sentence")
TEXT_FIELDS = tuple(dict.fromkeys(("text", *TEXT_COLUMNS)))
# Seconds to wait for the next line of a pipe while its form is undecided.
GRACE_S = 0.5
LONGEST_LINE = 1 << 28  # bytes of a line that arrives through a pipe; a device may have no end


class Item(NamedTuple):
    """One text to tag."""

    text: str
    words: Words | None = None  # None: to be split
    tags: list[str] | None = None  # the gold tags, to score against
    fields: dict[str, Any] | None = None  # fields of a JSON record that the output repeats
    source: str | None = None  # the file, if there are several


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

    def __init__(self, path: str):
        self.path = path
        self.name = "standard input" if path == STANDARD_INPUT else path
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
    source: Source, input_format: str, by: str, options: ReadOptions, problems: Problems
) -> Iterator[Item]:
    """Return the texts of one source.

    `input_format`: auto, text, jsonl or conll. `by`: line or document, the unit of plain text.
    """
    lines = _utf8_lines(source, problems)
    form = input_format
    if form == "auto":
        seen: list[bytes] = []
        form = form_of(source.path, _first_lines(lines, seen, source))
        lines = itertools.chain(seen, lines)
    if form == "text" and by == "document":
        text = _decode_whole(b"".join(lines), source.name, "utf-8", problems)
        return iter(() if text is None else (Item(text),))
    decoded = _decode_lines(lines, source.name, problems)
    if form == "text":
        return (Item(line) for line in decoded if line is not None)
    numbered = ("" if line is None else line for line in decoded)
    if form == "conll":
        options = options._replace(needs_labels=False)
        opened = open_columns(numbered, options, problems, source.name)
        for note in opened.notes:
            print(f"{source.name}: {note}.", file=sys.stderr)
        opened = plausible(opened, source.name, problems, words_only=True)
        return (item_of_words(list(sentence.words)) for sentence in opened.sentences)
    if form == "json":
        records = _records_of_array(source.path, numbered, problems)
    else:
        records = read_jsonl(numbered, problems, source.name)
    return _items_of_records(records, options, problems, source.name)


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


def _records_of_array(path: str, lines: Iterable[str], problems: Problems) -> Iterator[Record]:
    """Yield the records of a JSON array; `lines` are those of a pipe, which is read only once."""
    if os.path.isfile(path):
        with reading(path, problems) as file:
            yield from read_json_array(file, problems, path)
    else:
        yield from read_json_array(io.StringIO("\n".join(lines)), problems, path)


def _decode_lines(lines: Iterable[bytes], name: str, problems: Problems) -> Iterator[str | None]:
    """Yield lines without their ends, LF or CRLF; None for a line that is not UTF-8."""
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            place = Place(name, number)
            problems.add(Problem(ProblemKind.WRONG_ENCODING, place, bad_byte(line, error)))
            yield None
        else:
            yield text.removesuffix("\n").removesuffix("\r")


def _decode_whole(content: bytes, name: str, encoding: str, problems: Problems) -> str | None:
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x} is not {encoding.upper()}"
        problems.add(Problem(ProblemKind.WRONG_ENCODING, Place(name, line), found))
        return None


def _items_of_records(
    records: Iterable[Record], options: ReadOptions, problems: Problems, name: str
) -> Iterator[Item]:
    """Yield the texts of records.

    A text is in the field that the user named, or else in `text`, or else in the first of the other
    `TEXT_FIELDS`.
    """
    names = (options.text_column,) if options.text_column else TEXT_FIELDS
    for record in records_of_exports(records):
        place, fields = Place(name, record.line), record.fields or {}
        key = next((key for key in names if fields.get(key) is not None), None)
        value = None if key is None else fields[key]
        may_be_text = bool(options.text_column) or key in RAW_TEXTS
        may_be_words = bool(options.text_column) or key not in RAW_TEXTS
        if key is None:
            expected = " or ".join(map(repr, names if options.text_column else ("text", "tokens")))
            found = f"got {quote(fields)}, expected the field {expected}"
            problems.add(Problem(ProblemKind.RECORD_WITHOUT_TEXT, place, found))
        elif may_be_text and isinstance(value, str):
            others = {name: field for name, field in fields.items() if name != "text"}
            yield Item(value, fields=others)
        elif may_be_words and _are_strings(value):
            yield item_of_words(value, text=fields.get("text"), fields=fields)
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
