"""What `infer.py` reads: texts and words, one by one, from files, globs, folders and pipes.

Nothing is held but the line at hand, so that streams of any length pass. A line that cannot be
read is told with its number and ends the reading, or is passed over and counted.
"""

import glob
import io
import os
import select
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from arguments import UserError
from columns import open_columns
from records import read_json_array, read_jsonl
from sentences import TEXT_COLUMNS, Problems, Wanted, encoding_of, open_bytes, quote, reading
from tagger import Words

COLUMN_ENDINGS = {
    ".bio", ".bio2", ".col", ".conll", ".conllu", ".conllup", ".iob", ".iob2", ".tsv"
}  # fmt: skip
JSON_ENDINGS = {".json", ".jsonl", ".ndjson"}
CHUNK_TEXTS = 1024  # texts sorted by length together: enough for batches without padding
CHUNK_CHARACTERS = 1 << 19
FIRST_CHUNK = 8


class Item(NamedTuple):
    """One text to tag. `words`: where they are given, not to be split; `tags`: the gold ones;
    `fields`: what a JSON record carries along; `source`: the file, where there are several."""

    text: str
    words: Words | None = None
    tags: list[str] | None = None
    fields: dict | None = None
    source: str | None = None


class Broken(Problems):
    """What cannot be read: an error at once, or, to be skipped, told and counted."""

    def __init__(self, skip: bool, tell: bool = True):
        super().__init__()
        self.skip, self.tell, self.skipped = skip, tell, 0

    def add(self, kind: str, place: str, found: str, expected: str = "") -> None:
        # What the readers expect of a corpus has labels, which nobody needs here.
        message = f"{place}: {kind}: {found}"
        if not self.skip:
            raise UserError(f"{message}\nTo pass over what cannot be read: --skip_errors")
        self.skipped += 1
        if self.tell:
            print(f"passed over: {message}", file=sys.stderr)

    def warn(self, kind: str, place: str, found: str, expected: str = "") -> None:
        """Nothing here depends on what training warns of."""


class Source:
    """Lines of bytes of a file or of standard input, counted."""

    def __init__(self, path: str):
        self.path = path
        self.name = "standard input" if path == "-" else path
        self.bytes_read = 0
        self._ready: deque[bytes] = deque()
        self._descriptor: int | None = None  # of a stream

    def __iter__(self) -> Iterator[bytes]:
        # A named pipe, unlike a file, cannot be opened twice to look whether it is packed.
        stream = self.path == "-" or not os.path.isfile(self.path)
        for line in self._stream() if stream else self._file():
            self.bytes_read += len(line)
            yield line

    def _file(self) -> Iterator[bytes]:
        try:
            with open_bytes(self.path) as file:
                yield from file
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{self.path}: {error}") from None

    def _stream(self) -> Iterator[bytes]:
        """Unbuffered, so that a line is out as soon as it is in."""
        is_stdin = self.path == "-"
        self._descriptor = sys.stdin.fileno() if is_stdin else os.open(self.path, os.O_RDONLY)
        parts: list[bytes] = []
        while block := os.read(self._descriptor, 1 << 16):
            parts.append(block)
            if b"\n" in block:
                *lines, rest = b"".join(parts).split(b"\n")
                self._ready.extend(lines)
                parts = [rest]
                while self._ready:
                    yield self._ready.popleft() + b"\n"
        if last := b"".join(parts):
            yield last

    def waiting(self) -> bool:
        """Whether there is no next line yet, and whoever has lines should go on with them."""
        if self._descriptor is None or self._ready:
            return False
        return not select.select([self._descriptor], [], [], 0)[0]


# --- Which files ------------------------------------------------------------------------------


def find_files(patterns: list[str]) -> list[str]:
    """Files of paths, globs and folders, in order; `-` stays. Raises UserError for what is none."""
    found, missing = [], []
    for pattern in patterns:
        if os.path.isdir(pattern):
            paths = [
                str(path)
                for path in sorted(Path(pattern).rglob("*"))
                if path.is_file() and not any(part.startswith(".") for part in path.parts[1:])
            ]
        elif pattern == "-" or os.path.exists(pattern):
            paths = [pattern]
        else:
            paths = [p for p in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(p)]
        if not paths:
            missing.append(f"--input {pattern}: no such file")
        found += paths
    if missing:
        raise UserError("\n".join(missing))
    return list(dict.fromkeys(found))


def form_of(path: str, first_line: str) -> str:
    """text, jsonl, json or conll: by the file's ending, else by its first line."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix != ".gz"]
    ending = suffixes[-1] if suffixes else ""
    if ending in COLUMN_ENDINGS:
        return "conll"
    start = first_line.lstrip()[:1]
    if ending in JSON_ENDINGS:
        return "json" if start == "[" else "jsonl"
    return "jsonl" if start == "{" and first_line.rstrip().endswith("}") else "text"


# --- Items ------------------------------------------------------------------------------------


def read_items(
    source: Source, form: str, by: str, wanted: Wanted, problems: Problems
) -> Iterator[Item]:
    """Texts of one source. `form`: auto, text, jsonl or conll; `by`: line or document."""
    lines = iter(source)
    first = next(lines, b"")
    lines = _chain(first, lines)
    encoding = encoding_of(first)
    if by == "document":
        text = _whole(b"".join(lines), source.name, encoding, problems)
        return iter(() if text is None else (Item(text),))
    decoded = _decoded(lines, source.name, encoding, problems)
    first_line = first.decode("utf-8-sig", "replace") if encoding.startswith("utf-8") else ""
    if form == "auto":
        form = form_of(source.path, first_line)
    if form == "text":
        return (Item(line) for line in decoded if line is not None)
    numbered = ("" if line is None else line for line in decoded)
    if form == "conll":
        opened = open_columns(numbered, wanted, problems, source.name)
        return (item_of_words(sentence.words) for sentence in opened.sentences)
    if form == "json":
        records = _records_of_array(source.path, problems)
    else:
        records = read_jsonl(numbered, problems, source.name)
    return _items_of_records(records, wanted, problems, source.name)


def _records_of_array(path: str, problems: Problems):
    with reading(path, problems) as file:
        yield from read_json_array(file, problems, path)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _decoded(
    lines: Iterator[bytes], name: str, encoding: str, problems: Problems
) -> Iterator[str | None]:
    """Lines without their ends, LF or CRLF; None for one that is not in the encoding."""
    if encoding.startswith("utf-16") or encoding.startswith("utf-32"):
        text = _whole(b"".join(lines), name, encoding, problems)
        lines = (line.encode() for line in io.StringIO(text or "", newline="\n"))
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            likely = line.rstrip(b"\r\n").decode("cp1252", "replace")
            found = f"byte 0x{line[error.start]:02x}, perhaps {quote(likely)}"
            problems.add("not UTF-8", f"{name}:{number}", found)
            yield None
        else:
            yield text.removesuffix("\n").removesuffix("\r")


def _whole(content: bytes, name: str, encoding: str, problems: Problems) -> str | None:
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add(
            f"not {encoding.upper()}", f"{name}:{line}", f"byte 0x{content[error.start]:02x}"
        )
        return None


def _items_of_records(records, wanted: Wanted, problems: Problems, name: str) -> Iterator[Item]:
    asked = (wanted.text,) if wanted.text else TEXT_COLUMNS
    for line, fields in records:
        key = next((key for key in asked if isinstance(fields.get(key), str | list)), None)
        value = fields.get(key)
        if key is None:
            expected = " or ".join(map(repr, asked if wanted.text else ("text", "tokens")))
            problems.add(
                "a record without a text", f"{name}:{line}", f"no {expected} in {quote(fields)}"
            )
        elif isinstance(value, str):
            others = {name: field for name, field in fields.items() if name != "text"}
            yield Item(value, fields=others)
        elif all(isinstance(word, str) for word in value):
            yield item_of_words(value, text=fields.get("text"), fields=fields)
        else:
            problems.add("words that are no text", f"{name}:{line}", quote(fields))


def item_of_words(
    words: list[str],
    tags: list[str] | None = None,
    text: str | None = None,
    fields: dict | None = None,
) -> Item:
    """Words as they are, placed in the text that they come from, else joined by spaces."""
    placed = _placed(words, text) if isinstance(text, str) else None
    if placed is None:
        text, placed = " ".join(words), []
        start = 0
        for word in words:
            placed.append((word, start, start + len(word)))
            start += len(word) + 1
    if fields is not None:
        fields = {name: field for name, field in fields.items() if name != "text"}
    return Item(text, placed, tags, fields)


def _placed(words: list[str], text: str) -> Words | None:
    placed, position = [], 0
    for word in words:
        start = text.find(word, position)
        if start < 0:
            return None
        position = start + len(word)
        placed.append((word, start, position))
    return placed


# --- Chunks -----------------------------------------------------------------------------------


def chunks(items: Iterable[Item], waiting: Callable[[], bool]) -> Iterator[list[Item]]:
    """Items in lists that grow from a few, so that the first answers come at once.

    Where they are cut depends on the items alone, unless `waiting` says that no next one is
    there yet: the same file gives the same chunks, whoever reads it. An error in reading comes
    after the items before it.
    """
    size = FIRST_CHUNK
    chunk: list[Item] = []
    characters = 0
    failure = None
    items = iter(items)
    while True:
        try:
            item = next(items, None)
        except UserError as error:
            item, failure = None, error
        if item is not None:
            chunk.append(item)
            characters += len(item.text)
        full = len(chunk) >= size or characters >= CHUNK_CHARACTERS
        if chunk and (item is None or full or waiting()):
            yield chunk
            chunk, characters = [], 0
            size = min(2 * size, CHUNK_TEXTS)
        if failure is not None:
            raise failure
        if item is None:
            return
