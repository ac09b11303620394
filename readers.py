"""Files as people have them, read into sentences of words and tags.

Each format has a generator; `read` finds the format, by content first and by ending second.
Nothing is guessed silently: what does not fit is added to `Problems` with its file and line,
and the reader goes on with what comes after, so that all is told at once.
"""

import codecs
import gzip
import io
import itertools
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tag_schemes import is_entity_tag

HEAD = 1000  # lines or records that a layout is found out from
SHOWN = 20  # lines told of each kind of problem
TEXT_COLUMNS = ("tokens", "words", "token", "word", "form", "text", "sentence")
SPAN_COLUMNS = ("spans", "entities", "label", "labels")
CONLLU_COLUMNS = ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"]
NUMBER = re.compile(r"-?\d+")
INDEX = re.compile(r"\d+(?:[-.]\d+)?")
NEW_DOCUMENT = re.compile(r"#\s*(?:newdoc(?:\s+id)?|doc_id|document_id)(?:\s*=\s*(.*))?$")
CONLL2003_COLUMNS = {"pos": 1, "chunk": 2, "ner": 3}
ROW_EXAMPLE = "EU\tB-ORG"
RECORD_EXAMPLE = '{"tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]}'
ENCODINGS = (  # the longer mark first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Sentence(NamedTuple):
    words: Sequence[str]
    tags: Sequence[str] | Sequence[int] | None  # integers are numbers of label names
    document: str | None
    lines: Sequence[int]  # where each word stands: the line, or the row of a table


class Wanted(NamedTuple):
    """What the user asked for; columns are names or numbers from 0, negative from the end."""

    task: str = "ner"
    text: str | None = None
    labels: str | None = None


class Opened(NamedTuple):
    """A file whose layout is known; `sentences` reads it."""

    sentences: Iterator[Sentence]
    layout: str  # for people: where words and tags were found
    labelled: bool
    label_names: list[str] | None = None  # of integer labels, where the file itself has them
    raw_text: bool = False  # words come from the suite's own splitter


class Problems:
    """What is wrong with a corpus: all kinds at once, of each kind the first lines, counted."""

    def __init__(self):
        self.kinds: dict[str, _Kind] = {}

    def add(self, kind: str, place: str, found: str, expected: str = "") -> None:
        entry = self.kinds.setdefault(kind, _Kind(expected))
        entry.count += 1
        if len(entry.lines) < SHOWN:
            entry.lines.append(f"{place}: {found}")

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def __str__(self) -> str:
        return "\n".join(line for kind, entry in self.kinds.items() for line in entry.text(kind))


class _Kind:
    def __init__(self, expected: str):
        self.expected, self.count, self.lines = expected, 0, []

    def text(self, kind: str) -> list[str]:
        left = self.count - len(self.lines)
        return [
            f"{kind}:" if self.count == 1 else f"{kind} ({self.count:,}):",
            *(f"  {line}" for line in self.lines),
            *([f"  ... and {left:,} more"] if left else []),
            *([f"  expected: {self.expected}"] if self.expected else []),
        ]


def quote(value) -> str:
    """What was found, on one line of bearable length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return repr(text) if len(text) <= 80 else f"{text[:77]!r}..."


# --- Text -----------------------------------------------------------------------------------


def open_bytes(path):
    """The file's bytes, unpacked if it is gzip's (known by content)."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")


def encoding_of(path) -> str:
    with open_bytes(path) as file:
        head = file.read(4)
    return next((name for mark, name in ENCODINGS if head.startswith(mark)), "utf-8")


def text_lines(path, problems: Problems) -> Iterator[str]:
    """Lines without their ends. Only LF and CRLF end a line: other controls belong to words."""
    try:
        encoding = encoding_of(path)
        with io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n").removesuffix("\r")
    except UnicodeError:
        _report_bad_bytes(path, encoding, problems)
    except (OSError, EOFError, zlib.error) as error:
        problems.add("unreadable file", str(path), str(error))


def _report_bad_bytes(path, encoding: str, problems: Problems) -> None:
    expected = "UTF-8; convert with: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEWFILE"
    if not encoding.startswith("utf-8"):
        problems.add("wrong encoding", str(path), f"not all of it is {encoding.upper()}", expected)
        return
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                found = (
                    f"byte 0x{line[error.start]:02x} in {quote(line.decode('cp1252', 'replace'))}"
                )
                problems.add("wrong encoding", f"{path}:{number}", found, expected)


# --- Columns ----------------------------------------------------------------------------------


class Columns(NamedTuple):
    """Layout of a file with one word a line."""

    separator: str  # "\t", or " " for any run of spaces and tabs
    width: int
    text: int
    labels: int | None
    indexed: bool  # the first column counts the words: 1, 2, 3
    header: bool
    example: str  # a good row
    tags_seen: frozenset[str]  # in the head of the file

    def split(self, line: str) -> list[str]:
        if self.separator == "\t":
            return line.split("\t")
        cells = line.split(" ")
        if "" in cells or "\t" in line:
            cells = [cell for cell in re.split("[ \t]+", line) if cell]
        return cells


def open_columns(lines: Iterable[str], wanted: Wanted, problems: Problems, name: str) -> Opened:
    """One word a line, blank lines between sentences: CoNLL's many forms."""
    lines = iter(lines)
    head = list(itertools.islice(lines, HEAD))
    layout = find_columns(head, wanted, problems, name)
    if layout is None:
        return Opened(iter(()), "", labelled=False)
    lines = itertools.chain(head, lines)
    labelled = layout.labels is not None
    where = f"words from column {layout.text}"
    if labelled:
        where += f", tags from column {layout.labels}"
    kind = "tab" if layout.separator == "\t" else "space"
    where += f" of {layout.width} (counted from 0, {kind}-separated)"
    return Opened(read_columns(lines, layout, problems, name), where, labelled)


def find_columns(head: list[str], wanted: Wanted, problems: Problems, name: str) -> Columns | None:
    """The layout that most of the first lines have."""
    rows = [line for line in head if line.strip(" \t") and not _is_boundary(line)]
    rows = [line for line in rows if not line.startswith("#")] or rows
    if not rows:
        problems.add("empty file", name, "it has no row of a word and its tag", ROW_EXAMPLE)
        return None
    tabbed = sum("\t" in line for line in rows)
    draft = Columns(
        "\t" if 2 * tabbed > len(rows) else " ", 0, 0, None, False, False, "", frozenset()
    )
    cells = [draft.split(line) for line in rows]
    width = Counter(map(len, cells)).most_common(1)[0][0]
    cells = [row for row in cells if len(row) == width]
    names = _column_names(head, cells[0], wanted, width)
    header = names is not None and cells[0] == names
    body = cells[1:] if header else cells
    indexed = width > 2 and bool(body) and all(INDEX.fullmatch(row[0]) for row in body)
    if indexed and width == len(CONLLU_COLUMNS) and names is None:
        names = CONLLU_COLUMNS
    text = _asked_column(wanted.text, names, width)
    labels = _asked_column(wanted.labels, names, width)
    for asked, found, flag in ((wanted.text, text, "text"), (wanted.labels, labels, "label")):
        if asked is not None and found is None:
            has = f"names {', '.join(names)}" if names else "no names"
            problems.add(
                "no such column",
                name,
                f"--{flag}_column_name {asked}; the file has {width} columns and {has}",
                f"a number from 0 to {width - 1}, or negative from the end",
            )
    if (wanted.text and text is None) or (wanted.labels and labels is None):
        return None
    if text is None:
        text = _first_named(names, TEXT_COLUMNS)
        text = (1 if indexed else 0) if text is None else text
    if labels is None:
        labels = _default_labels(body, names, wanted.task, width, text, indexed)
    seen = frozenset() if labels is None else frozenset(row[labels] for row in body)
    example = draft.separator.join(body[0]) if body else ROW_EXAMPLE
    return Columns(draft.separator, width, text, labels, indexed, header, example, seen)


def _column_names(head, first_row, wanted: Wanted, width: int) -> list[str] | None:
    """From CoNLL-U Plus's comment, or the first row where it is a header."""
    if head[0].startswith("# global.columns"):
        return head[0].partition("=")[2].lower().split()
    asked = [
        column for column in (wanted.text, wanted.labels) if column and not NUMBER.fullmatch(column)
    ]
    if asked and all(column in first_row for column in asked):
        return first_row
    known = [cell.lower() for cell in first_row]
    has_text = _first_named(known, TEXT_COLUMNS) is not None
    has_labels = _first_named(known, label_columns(wanted.task)) is not None
    return first_row if width > 1 and has_text and has_labels else None


def label_columns(task: str) -> tuple[str, ...]:
    """Names of the label column, the likeliest first."""
    names = (f"{task}_tags", task, f"{task}_tag", f"{task}_labels")
    if task == "pos":
        names += ("upos", "upos_tags")
    return (*names, "labels", "tags", "label", "tag")


def _first_named(names: list[str] | None, candidates: Iterable[str]) -> int | None:
    lowered = [name.lower() for name in names or ()]
    return next((lowered.index(name) for name in candidates if name in lowered), None)


def _asked_column(asked: str | None, names: list[str] | None, width: int) -> int | None:
    if asked is None:
        return None
    if names and asked in names:
        return names.index(asked)
    if names and asked.lower() in [name.lower() for name in names]:
        return [name.lower() for name in names].index(asked.lower())
    if NUMBER.fullmatch(asked) and -width <= int(asked) < width:
        return int(asked) % width
    return None


def _default_labels(body, names, task: str, width: int, text: int, indexed: bool) -> int | None:
    """Where the tags of the task are, if nobody said."""
    if width == 1 or (indexed and width == 2):
        return None
    named = _first_named(names, label_columns(task))
    if named is not None:
        return named

    def all_entity_tags(column: int) -> bool:
        return all(is_entity_tag(row[column]) for row in body)

    if indexed:
        after = [column for column in range(width) if column > text]
        return next((column for column in after if all_entity_tags(column)), width - 1)
    if width == 4:
        return CONLL2003_COLUMNS.get(task, 3)
    if width == 3 and task == "pos" and all_entity_tags(2):
        return 1  # CoNLL-2000: word, part of speech, chunk
    return width - 1


def _is_boundary(line: str) -> bool:
    return line.startswith("-DOCSTART-")


def read_columns(lines: Iterable[str], layout: Columns, problems: Problems, name: str):
    """Sentences of a file in `layout`; yields `Sentence`s."""
    documents = _Documents(Path(name).name)
    block: list[str] = []
    number = 0
    for number, line in enumerate(lines, 1):
        if line.strip(" \t"):
            block.append(line)
        elif block:
            yield from _read_block(block, number - len(block), layout, problems, name, documents)
            block = []
    if block:
        yield from _read_block(block, number + 1 - len(block), layout, problems, name, documents)


class _Documents:
    """The document that the reader is in, if the file has documents."""

    def __init__(self, name: str):
        self.name, self.count, self.current = name, 0, None

    def begin(self, title: str | None = None) -> None:
        self.count += 1
        self.current = title or f"{self.name}#{self.count}"


def _read_block(block, first: int, layout: Columns, problems: Problems, name: str, documents):
    """The sentences of the lines between two blank ones (several where -DOCSTART- parts them)."""
    rows = list(map(layout.split, block))
    special = layout.indexed or block[0][0] == "#" or (layout.header and first == 1)
    if not special and set(map(len, rows)) == {layout.width}:
        columns = list(zip(*rows, strict=True))
        if not any(map(_is_boundary, columns[0])):
            tags = None if layout.labels is None else columns[layout.labels]
            lines = range(first, first + len(rows))
            yield Sentence(columns[layout.text], tags, documents.current, lines)
            return
    yield from _read_lines(block, rows, first, layout, problems, name, documents)


def _read_lines(block, rows, first: int, layout: Columns, problems: Problems, name, documents):
    """The same line by line: comments, documents, index columns, rows that do not fit."""
    words, tags, lines = [], [], []
    for number, (line, row) in enumerate(zip(block, rows, strict=True), first):
        if _is_boundary(line):
            if words:
                yield _sentence(words, tags, lines, layout, documents)
                words, tags, lines = [], [], []
            documents.begin()
        elif layout.header and number == 1:
            continue
        elif not words and _is_comment(line, row, layout):
            new_document = NEW_DOCUMENT.match(line)
            if new_document:
                documents.begin(new_document[1])
        elif len(row) != layout.width:
            found = f"{_counted(len(row), 'column')} in {quote(line)}, the file has {layout.width}"
            problems.add("rows of another width", f"{name}:{number}", found, quote(layout.example))
        elif layout.indexed and not row[0].isdecimal() and INDEX.fullmatch(row[0]):
            continue  # CoNLL-U's multi-word tokens (3-4) and empty nodes (3.1) are no words
        elif layout.indexed and row[0] != str(len(words) + 1):
            found = f"index {quote(row[0])} where {len(words) + 1} was due, in {quote(line)}"
            expected = "1, 2, 3, ... in each sentence, a blank line between sentences"
            problems.add("a word's index out of order", f"{name}:{number}", found, expected)
        else:
            words.append(row[layout.text])
            tags.append(None if layout.labels is None else row[layout.labels])
            lines.append(number)
    if words:
        yield _sentence(words, tags, lines, layout, documents)


def _sentence(words, tags, lines, layout: Columns, documents) -> Sentence:
    return Sentence(words, None if layout.labels is None else tags, documents.current, lines)


def _is_comment(line: str, row: list[str], layout: Columns) -> bool:
    """A first column that merely begins with # (a hashtag, the word #) is a word."""
    if line[0] != "#":
        return False
    if len(row) != layout.width or layout.indexed:
        return line == "#" or line[1] in " \t" or " = " in line
    return (
        layout.labels is not None
        and row[0] == "#"
        and row[layout.labels] not in layout.tags_seen
        and "=" in line
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


# --- Records: JSON, tables ----------------------------------------------------------------------


class Record(NamedTuple):
    """One row of JSON or of a table."""

    line: int
    fields: dict


class RecordLayout(NamedTuple):
    text: str
    labels: str | None


def read_jsonl(lines: Iterable[str], problems: Problems, name: str) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            found = f"{error} in {quote(line)}"
            problems.add("not JSON", f"{name}:{number}", found, RECORD_EXAMPLE)
            continue
        if isinstance(fields, dict):
            yield Record(number, fields)
        else:
            problems.add("not a JSON object", f"{name}:{number}", quote(line), RECORD_EXAMPLE)


def open_records(
    records: Iterable[Record],
    wanted: Wanted,
    problems: Problems,
    name: str,
    names_of: Mapping[str, list[str]] | None = None,
) -> Opened:
    """`names_of`: for integer labels, the names that a table itself has, by column."""
    records = iter(records)
    head = list(itertools.islice(records, HEAD))
    layout = find_record_layout(head, wanted, problems, name)
    if layout is None:
        for _ in records:  # so that every line that is no record is told
            pass
        return Opened(iter(()), "", labelled=False)
    sentences = read_records(itertools.chain(head, records), layout, problems, name)
    where = f"words from {layout.text!r}"
    if layout.labels is not None:
        where += f", tags from {layout.labels!r}"
    return Opened(sentences, where, layout.labels is not None, (names_of or {}).get(layout.labels))


def find_record_layout(
    head: list[Record], wanted: Wanted, problems: Problems, name: str
) -> RecordLayout | None:
    if not head:
        if not problems:
            problems.add("empty file", name, "it has no sentence", RECORD_EXAMPLE)
        return None
    keys = list(dict.fromkeys(key for record in head for key in record.fields))
    text, labels = _asked_key(wanted.text, keys), _asked_key(wanted.labels, keys)
    if wanted.text is None:
        text = _first_key(keys, TEXT_COLUMNS)
    if wanted.labels is None:
        labels = _first_key(keys, label_columns(wanted.task))
    missing = [
        f"--{flag}_column_name {asked}"
        for flag, asked, found in (("text", wanted.text, text), ("label", wanted.labels, labels))
        if asked is not None and found is None
    ]
    if text is None and not missing:
        missing = ["no column of words"]
    for found in missing:
        found = f"{found}; the columns are {', '.join(map(repr, keys))}"
        problems.add("no such column", f"{name}:{head[0].line}", found, RECORD_EXAMPLE)
    return None if missing else RecordLayout(text, labels)


def _asked_key(asked: str | None, keys: list[str]) -> str | None:
    if asked is None or asked in keys:
        return asked
    position = _asked_column(asked, keys, len(keys))
    return None if position is None else keys[position]


def _first_key(keys: list[str], candidates: Iterable[str]) -> str | None:
    position = _first_named(keys, candidates)
    return None if position is None else keys[position]


def read_records(
    records: Iterable[Record], layout: RecordLayout, problems: Problems, name: str
) -> Iterator[Sentence]:
    for line, fields in records:
        place = f"{name}:{line}"
        missing = [key for key in layout if key is not None and fields.get(key) is None]
        if missing:
            found = f"no {' and no '.join(map(repr, missing))} in {quote(fields)}"
            problems.add("records without a column", place, found, RECORD_EXAMPLE)
            continue
        words = fields[layout.text]
        tags = None if layout.labels is None else fields[layout.labels]
        wrong = _wrong_words(words, layout.text) or _wrong_tags(tags, words, layout.labels)
        if wrong:
            problems.add(*wrong[:1], place, wrong[1], RECORD_EXAMPLE)
            continue
        yield Sentence(words, tags, None, (line,) * len(words))


def _wrong_words(words, key: str) -> tuple[str, str] | None:
    """The kind of problem and what was found, if `words` is no list of strings."""
    if not isinstance(words, list):
        return "words that are no list", f"{key!r} is {quote(words)}"
    for position, word in enumerate(words):
        if not isinstance(word, str):
            return "words that are no text", f"{key!r}[{position}] is {quote(word)}"
    try:
        "".join(words).encode()
    except UnicodeEncodeError as error:
        return "half a character", f"{key!r} has {error.object[error.start]!r} in {quote(words)}"
    return None


def _wrong_tags(tags, words: list[str], key: str | None) -> tuple[str, str] | None:
    if key is None:
        return None
    if not isinstance(tags, list):
        return "labels that are no list", f"{key!r} is {quote(tags)}"
    if len(tags) != len(words):
        found = f"{len(words)} words but {len(tags)} labels: {quote(words)}, {quote(tags)}"
        return "words and labels of different number", found
    kinds = set(map(type, tags))
    if not (kinds <= {str} or kinds <= {int}):
        return "labels of another kind", f"{key!r} is {quote(tags)}, not all names or all integers"
    return None


# --- Any file -----------------------------------------------------------------------------------


def read(path, wanted: Wanted, problems: Problems) -> Opened:
    """Find out what a file is and open it; `problems` fills while its sentences are read."""
    name = str(path)
    lines = text_lines(path, problems)
    first = next((line for line in text_lines(path, Problems()) if line.strip()), "")
    if first.lstrip().startswith("{") and "\t" not in first:
        return open_records(read_jsonl(lines, problems, name), wanted, problems, name)
    return open_columns(lines, wanted, problems, name)
