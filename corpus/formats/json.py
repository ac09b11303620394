"""JSON Lines, JSON arrays and JSON objects, read into records."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from corpus.formats.records import LISTS_EXAMPLE, Record
from corpus.formats.spans import EDGE_KEYS
from corpus.formats.text import CHUNK_SIZE, MAX_LINE, TooLarge
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import quote

# The beginning of an object around all records, as an annotation tool for spaCy writes it.
WRAPPED_RECORDS = re.compile(
    r'\s*+\{(?:\s*+"(?!text"|tokens"|content"|document")\w++"\s*+:\s*+(?:"[^"]*+"|\d++|\[[^\[\]{}]*+\])\s*+,)*'
    r'\s*+"(?:data|annotations|examples)"\s*+:\s*+(?=\[\s*+([\[{]))'
)
JSON_SPACE = re.compile("[ \t\r\n]*")
MAX_DEPTH = 100  # lists and objects inside each other
ARRAY_EXAMPLE = f"[{LISTS_EXAMPLE}, ...]"


class _Decoder:
    """Decodes JSON values, and notes the keys that an object has twice."""

    def __init__(self) -> None:
        self.repeated: list[str] = []  # keys in the last value
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.repeated += [key for key, count in counts.items() if count > 1]
        return fields

    def decode(self, text: str, position: int = 0) -> tuple[Any, int]:
        """Return the value at a position, and the position after it.

        Raises ValueError for what is not JSON, or too deeply nested.
        """
        self.repeated.clear()
        try:
            value, end = self._decoder.raw_decode(text, position)
        except RecursionError:
            raise TooDeep from None
        brackets = text.count("[", position, end) + text.count("{", position, end)
        if brackets > MAX_DEPTH and is_deep(value):
            raise TooDeep
        return value, end


class TooDeep(ValueError):
    """A value with more lists and objects inside each other than any corpus has."""

    def __str__(self) -> str:
        return f"lists and objects are nested more than {MAX_DEPTH} deep"


def is_deep(value: Any) -> bool:
    """Return whether lists and objects are nested more than `MAX_DEPTH` deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for container in level:
            if isinstance(container, dict):
                inner += container.values()
            elif isinstance(container, list | tuple):
                inner += container
        level = inner
    return any(isinstance(value, dict | list | tuple) for value in level)


def read_jsonl(lines: Iterable[str], problems: Problems, name: str) -> Iterator[Record]:
    """Yield the records of JSON Lines; add lines that are not JSON to `problems`."""
    decoder = _Decoder()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        try:
            value, end = decoder.decode(text)
            if end < len(text):
                raise json.JSONDecodeError("Extra data", text, end)
        except ValueError as error:
            detail = f"{_reason(error)} in {quote(line)}"
            _add_not_json(problems, Place(name, number), detail, LISTS_EXAMPLE)
        else:
            yield from _records_of_value(value, number, decoder.repeated, problems, name)


def _add_not_json(problems: Problems, place: Place, detail: str, expected: str) -> None:
    problems.add(Problem(ProblemKind.NOT_JSON, place, detail, expected))


def _reason(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def _records_of_value(
    value: Any, line: int, repeated: list[str], problems: Problems, name: str
) -> Iterator[Record]:
    """Yield the record that a JSON value holds; `repeated` are keys that it has twice."""
    if value is None:  # an annotation tool for spaCy writes null for a text without annotations
        yield Record(line, {}, left_out=ProblemKind.NOT_ANNOTATED)
        return
    if isinstance(value, list) and list(map(type, value)) == [str, dict]:
        value = {"text": value[0], **value[1]}  # spaCy's training format
    place = Place(name, line)
    if repeated:
        detail = f"{', '.join(map(quote, dict.fromkeys(repeated)))} in {quote(value)}"
        problems.add(
            Problem(ProblemKind.REPEATED_COLUMN_NAME, place, detail, "each name once in an object")
        )
    if isinstance(value, dict):
        yield Record(line, value)
    else:
        problems.add(Problem(ProblemKind.NOT_JSON_OBJECT, place, quote(value), LISTS_EXAMPLE))


class _JsonText:
    """The unread part of a JSON text; only as much as one value needs is in memory."""

    def __init__(self, file: io.TextIOBase):
        self.file, self.buffer, self.position, self.line = file, "", 0, 1
        self.decoder = _Decoder()

    def _read_more(self, size: int = CHUNK_SIZE) -> bool:
        more = self.file.read(size)
        self.buffer, self.position = self.buffer[self.position :] + more, 0
        return bool(more)

    def rest(self, size: int | None = None) -> str:
        """Return the next characters, at most `size` of those in memory."""
        return self.buffer[self.position :][:size]

    def skip(self, end: int) -> None:
        """Advance to the position `end` of the buffer, counting lines."""
        self.line += self.buffer.count("\n", self.position, end)
        self.position = end

    def holds_annotation(self, position: int) -> bool:
        """Return whether the value at a position of the buffer is an annotation, not a record."""
        try:
            value, _ = self.decoder.decode(self.buffer, position)
        except ValueError:  # a large record, or an error to report
            return False
        if isinstance(value, dict):
            placed = any(key in value for keys in EDGE_KEYS for key in keys)
            inner = (v for key, v in value.items() if not key.endswith("labels"))
            return "result" in value or (placed and not any(isinstance(v, list) for v in inner))
        return list(map(type, value)) != [str, dict]

    def next_character(self) -> str:
        """Advance to the next character that is not white space; return it, or "" at the end."""
        while True:
            space = JSON_SPACE.match(self.buffer, self.position)
            assert space is not None  # it matches the empty string
            self.skip(space.end())
            if self.position < len(self.buffer) or not self._read_more():
                return self.buffer[self.position : self.position + 1]

    def value(self) -> Any:
        """Decode the value at the position.

        Raises ValueError if there is none, `TooLarge` if it has no end within `MAX_LINE`.
        """
        size = CHUNK_SIZE
        while True:
            try:
                value, end = self.decoder.decode(self.buffer, self.position)
                self.skip(end)
                return value
            except TooDeep:
                raise
            except ValueError as error:
                if len(self.buffer) - self.position > MAX_LINE:
                    raise TooLarge(
                        f"the value on line {self.line} has more than {MAX_LINE:,} characters, or "
                        f"is not JSON ({_reason(error)})"
                    ) from None
                if not self._read_more(size):
                    raise
            size *= 2


def read_json_array(
    file: io.TextIOBase, problems: Problems, name: str, *, texts: bool = False
) -> Iterator[Record]:
    """Yield the records of a JSON array; report a problem and stop where it is not JSON.

    `texts`: a string is a record with that text.
    """
    text = _JsonText(file)
    yield from _array_elements(text, problems, name, texts=texts)
    rest = text.next_character()
    if rest and not problems.concern(name):
        detail = f"{quote(text.rest(60))} after the end of the array"
        _add_not_json(problems, Place(name, text.line), detail, ARRAY_EXAMPLE)


def _array_elements(
    text: _JsonText, problems: Problems, name: str, *, texts: bool = False
) -> Iterator[Record]:
    separator = "["
    while True:
        character = text.next_character()
        if character != separator and not (separator == "," and character == "]"):
            detail = f"got {quote(text.rest(60))}, expected {separator!r}"
            if not character:
                detail = "the array has no ']' at its end"
            _add_not_json(problems, Place(name, text.line), detail, ARRAY_EXAMPLE)
            return
        text.skip(text.position + 1)
        if character == "]":
            return
        if character == "[" and text.next_character() == "]":
            text.skip(text.position + 1)
            return
        text.next_character()
        separator, line = ",", text.line
        try:
            value = text.value()
        except ValueError as error:
            detail = f"{_reason(error)} in {quote(text.rest())}"
            _add_not_json(problems, Place(name, line), detail, ARRAY_EXAMPLE)
            return
        if texts and isinstance(value, str):
            value = {"text": value}
        yield from _records_of_value(value, line, text.decoder.repeated, problems, name)


def read_json_object(file: io.TextIOBase, problems: Problems, name: str) -> Iterator[Record]:
    """Yield a JSON object as a record, or the records in an array inside it."""
    text = _JsonText(file)
    text.next_character()
    wrapping = WRAPPED_RECORDS.match(text.buffer)
    if wrapping and not text.holds_annotation(wrapping.start(1)):
        text.skip(wrapping.end())
        yield from _array_elements(text, problems, name)
        return
    try:
        value, rest = text.value(), text.next_character()
    except ValueError as error:
        _add_not_json(problems, Place(name, text.line), _reason(error), LISTS_EXAMPLE)
        return
    if rest:
        detail = f"{quote(text.rest(60))} after the end of the object"
        expected = "one object on each line, or an array of objects"
        _add_not_json(problems, Place(name, text.line), detail, expected)
    yield from _records_of_value(value, 1, text.decoder.repeated, problems, name)
