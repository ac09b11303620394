"""What `infer.py` reads: texts and words, one by one, from files, globs, folders and pipes.

Nothing is held but the line at hand, so that streams of any length pass. A line that cannot be
read is told with its number and ends the reading, or is passed over and counted.
"""

import glob
import io
import itertools
import os
import re
import select
import sys
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from corpus.formats.columns import CONLLU_COLUMNS, DOCUMENT_START, open_columns
from corpus.formats.json import read_json_array, read_jsonl
from corpus.formats.layout import HEAD, TEXT_COLUMNS
from corpus.formats.sentence import Wanted
from corpus.formats.text import bad_byte, encoding_of, open_bytes, reading
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.errors import UserError
from support.text import quote
from tagging.tagger import Words

COLUMN_ENDINGS = {
    ".bio", ".bio2", ".col", ".conll", ".conllu", ".conllup", ".iob", ".iob2", ".tsv"
}  # fmt: skip
JSON_ENDINGS = {".json", ".jsonl", ".ndjson"}
# What is read of a folder: files of texts by their ending, and those that have none.
TEXT_ENDINGS = {"", ".log", ".markdown", ".md", ".text", ".txt"} | COLUMN_ENDINGS | JSON_ENDINGS
LABELLED_ENDINGS = TEXT_ENDINGS | {".arrow", ".csv", ".parquet"}  # training's readers know these
# Fields of a record, the likeliest first: the raw ones hold a string, the others words.
RAW_TEXTS = ("text", "sentence")
TEXT_FIELDS = tuple(dict.fromkeys(("text", *TEXT_COLUMNS)))
# Of an entity. The type begins with a letter: vitamin B-12 is none.
TAG = re.compile(r"[BIESLUM]-[^\W\d_]\S*")
CONLLU_COMMENT = re.compile(r"# (?:(?:sent_id|text|newdoc id|global\.columns) = |newdoc$|newpar\b)")
SURE_ROWS = 10
GRACE_S = 0.5  # how long a pipe's next line is awaited where the one at hand may be columns
CHUNK_TEXTS = 1024  # texts sorted by length together: enough for batches without padding
CHUNK_CHARACTERS = 1 << 19
FIRST_CHUNK = 8


class Item(NamedTuple):
    """One text to tag. `words`: where they are given, not to be split; `tags`: the gold ones;
    `fields`: what a JSON record carries along; `source`: the file, where there are several.
    """

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

    def add(self, problem: Problem) -> None:
        # What the readers expect of a corpus has labels, which nobody needs here.
        message = f"{problem.place}: {problem.title}: {problem.found}"
        if not self.skip:
            raise UserError(f"{message}\nTo pass over what cannot be read: --skip_errors")
        self.skipped += 1
        if self.tell:
            print(f"passed over: {message}", file=sys.stderr)


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

    def waiting(self, seconds: float = 0) -> bool:
        """Whether there is no next line (within so many seconds), and whoever has lines should
        go on with them.
        """
        if self._descriptor is None or self._ready:
            return False
        try:
            return not select.select([self._descriptor], [], [], seconds)[0]
        except OSError:  # Windows waits for sockets alone: what has come goes on at once
            return True


# --- Which files ------------------------------------------------------------------------------


def find_files(
    patterns: list[str], endings: Iterable[str] = TEXT_ENDINGS
) -> tuple[list[str], list[str]]:
    """Files of paths, globs and folders, in order, and what was passed over; `-` stays.

    Of a folder the files with one of these endings are taken; what is named is taken whatever it
    is. Raises UserError where there is nothing.
    """
    found, others, missing = [], [], []
    for pattern in patterns:
        if os.path.isdir(pattern):
            inside = _files_of_folder(Path(pattern))
            paths = [path for path in inside if ending_of(path) in endings]
            if inside and not paths:
                missing.append(f"--input {pattern}: {_no_text_there(inside, endings)}")
                continue
            others += [path for path in inside if ending_of(path) not in endings]
        elif pattern == "-" or os.path.exists(pattern):
            paths = [pattern]
        else:
            paths = [p for p in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(p)]
        if not paths:
            missing.append(f"--input {pattern}: no such file")
        found += paths
    if missing:
        raise UserError("\n".join(missing))
    found = dict.fromkeys(found)
    return list(found), [path for path in dict.fromkeys(others) if path not in found]


def _files_of_folder(folder: Path) -> list[str]:
    """All but hidden ones, in order."""
    return [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _no_text_there(inside: list[str], endings: Iterable[str]) -> str:
    known = ", ".join(sorted(ending for ending in endings if ending))
    return (
        f"no file of texts in this folder, only {listed(inside)}. Expected files that end in "
        f"{known} (each perhaps with .gz) or have no ending; a file that is named itself is read "
        "whatever its ending"
    )


def listed(paths: list[str], shown: int = 8) -> str:
    rest = len(paths) - shown
    return ", ".join(paths[:shown]) + (f" and {rest:,} more" if rest > 0 else "")


def ending_of(path: str) -> str:
    """In lower case, without .gz and the numbers of logs (app.log.1.gz); may be empty."""
    suffixes = (suffix.lower() for suffix in reversed(Path(path).suffixes))
    return next((one for one in suffixes if one != ".gz" and not one[1:].isdecimal()), "")


def form_of(path: str, lines: Iterable[str]) -> str:
    """text, jsonl, json or conll: by the file's ending, else by its first lines.

    Asks for no more of these than it takes to be sure.
    """
    ending = ending_of(path)
    if ending in COLUMN_ENDINGS:
        return "conll"
    lines = iter(lines)
    first = next(filter(str.strip, lines), "")
    start = first.lstrip()[:1]
    if ending in JSON_ENDINGS:
        return "json" if start == "[" else "jsonl"
    if start == "{" and first.rstrip().endswith("}"):
        return "jsonl"
    return "conll" if are_columns(itertools.chain([first], lines)) else "text"


def are_columns(lines: Iterable[str]) -> bool:
    """Whether these are CoNLL columns for certain; prose answers at its first line, or nearly.

    One row is sure only with -DOCSTART-, two tags, or what CoNLL-U has: a line of prose may end in
    "blood group O" or "die S-Bahn". Three rows of one width that end in tags are (two where there
    are no more) if an entity and an O are among them, or an entity of two words; else ten.
    """
    tags: list[str] = []
    width = None
    for line in lines:
        if not line.strip() or (not tags and line.startswith("#\t")):  # GermEval's sources
            continue
        cells = line.split("\t") if "\t" in line.strip() else line.split()
        if not tags and _is_sure_row(line, cells):
            return True
        if width not in (None, len(cells)) or not _is_row(cells):
            return False
        width = len(cells)
        tags.append(cells[-1])
        if len(tags) >= SURE_ROWS or (len(tags) > 2 and _vary_as_tags_do(tags)):
            return True
    return len(tags) > 1 and _vary_as_tags_do(tags)


def _vary_as_tags_do(tags: list[str]) -> bool:
    has_o, has_entity = "O" in tags, any(tag != "O" for tag in tags)
    pairs = itertools.pairwise(tags)
    return (has_o and has_entity) or any(
        f"B-{tag[2:]}" == before for before, tag in pairs if tag[:2] == "I-"
    )


def _is_sure_row(line: str, cells: list[str]) -> bool:
    if cells[0] == DOCUMENT_START or CONLLU_COMMENT.match(line):
        return True
    if len(cells) == len(CONLLU_COLUMNS) and "\t" in line and cells[0] in ("1", "1-2", "1-3"):
        return True
    return len(cells) > 2 and _is_row(cells) and TAG.fullmatch(cells[-2]) is not None


def _is_row(cells: list[str]) -> bool:
    """A word and perhaps more, none with a space in it, and at last a tag."""
    if len(cells) < 2 or not all(cells) or any(" " in cell for cell in cells):
        return False
    return cells[-1] == "O" or TAG.fullmatch(cells[-1]) is not None


def is_prose(path: str) -> bool:
    """Whether a file is no columns by its ending and its first lines, nor of rows of one width."""
    with open_bytes(path) as file:
        head = [line.decode("utf-8", "replace") for line in itertools.islice(file, HEAD)]
    if form_of(path, head) != "text":
        return False
    widths = Counter(len(line.split()) for line in head if line.strip())
    commonest = max(widths.values(), default=0)
    return commonest < 2 or commonest < 0.9 * widths.total()


# --- Items ------------------------------------------------------------------------------------


def read_items(
    source: Source, form: str, by: str, wanted: Wanted, problems: Problems
) -> Iterator[Item]:
    """Texts of one source. `form`: auto, text, jsonl or conll; `by`, of plain text: line or
    document.
    """
    lines = _utf8_lines(source, problems)
    if form == "auto":
        seen: list[bytes] = []
        form = form_of(source.path, _first_lines(lines, seen, source))
        lines = itertools.chain(seen, lines)
    if form == "text" and by == "document":
        text = _whole(b"".join(lines), source.name, "utf-8", problems)
        return iter(() if text is None else (Item(text),))
    decoded = _decoded(lines, source.name, problems)
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


def _utf8_lines(source: Source, problems: Problems) -> Iterator[bytes]:
    """Lines as they are, those in UTF-16 and UTF-32 in UTF-8."""
    lines = iter(source)
    first = next(lines, b"")
    encoding = encoding_of(first)
    if encoding.startswith("utf-8"):
        yield from filter(None, [first])
        yield from lines
    else:
        text = _whole(first + b"".join(lines), source.name, encoding, problems)
        yield from (line.encode() for line in io.StringIO(text or "", newline="\n"))


def _first_lines(lines: Iterator[bytes], seen: list[bytes], source: Source) -> Iterator[str]:
    """Lines to find out the form by, kept in `seen`; no more where a pipe keeps them waiting."""
    for line in itertools.islice(lines, HEAD):
        seen.append(line)
        yield line.decode("utf-8-sig" if len(seen) == 1 else "utf-8", "replace").rstrip("\r\n")
        if source.waiting(GRACE_S):
            return


def _records_of_array(path: str, problems: Problems):
    with reading(path, problems) as file:
        yield from read_json_array(file, problems, path)


def _decoded(lines: Iterable[bytes], name: str, problems: Problems) -> Iterator[str | None]:
    """Lines without their ends, LF or CRLF; None for one that is not in UTF-8."""
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            place = Place(name, number)
            problems.add(Problem(ProblemKind.WRONG_ENCODING, place, bad_byte(line, error)))
            yield None
        else:
            yield text.removesuffix("\n").removesuffix("\r")


def _whole(content: bytes, name: str, encoding: str, problems: Problems) -> str | None:
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x} is not {encoding.upper()}"
        problems.add(Problem(ProblemKind.WRONG_ENCODING, Place(name, line), found))
        return None


def _items_of_records(records, wanted: Wanted, problems: Problems, name: str) -> Iterator[Item]:
    """The field asked for, else `text`, else the first of the other fields for texts or words."""
    asked = (wanted.text,) if wanted.text else TEXT_FIELDS
    for line, fields, _ in records:
        place = Place(name, line)
        key = next((key for key in asked if fields.get(key) is not None), None)
        value = fields.get(key)
        is_text = isinstance(value, str) and (bool(wanted.text) or key in RAW_TEXTS)
        may_be_words = bool(wanted.text) or key not in RAW_TEXTS
        if key is None:
            expected = " or ".join(map(repr, asked if wanted.text else ("text", "tokens")))
            found = f"no {expected} in {quote(fields)}"
            problems.add(Problem(ProblemKind.RECORD_WITHOUT_TEXT, place, found))
        elif is_text:
            others = {name: field for name, field in fields.items() if name != "text"}
            yield Item(value, fields=others)
        elif may_be_words and _are_strings(value):
            yield item_of_words(value, text=fields.get("text"), fields=fields)
        else:
            expected = "a list of strings" if may_be_words else "a string"
            if wanted.text:
                expected = "a string or a list of strings"
            elif _are_strings(value):
                expected += f" (for a list of words: --text_column_name {key})"
            found = f"{key!r} is {quote(value)}, expected {expected}"
            problems.add(Problem(ProblemKind.FIELD_TYPE, place, found))


def _are_strings(value) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


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
