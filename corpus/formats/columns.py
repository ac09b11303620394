"""One word a line, blank lines between sentences: the many forms of CoNLL's columns."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from corpus.schemes import is_entity_tag
from corpus.sentences import (
    BLANK,
    HEAD,
    NOTHING,
    TEXT_COLUMNS,
    Opened,
    Problems,
    Sentence,
    Wanted,
    asked_column,
    counted,
    first_named,
    label_columns,
    quote,
)

CONLLU_COLUMNS = ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"]
CONLL2003_COLUMNS = {"pos": 1, "chunk": 2, "ner": 3}
INDEX = re.compile(r"\d{1,9}(?:[-.]\d{1,9})?")  # 3-4: a multi-word token, 3.1: an empty node
NEW_DOCUMENT = re.compile(r"#\s*(?:newdoc(?:\s+id)?|doc_id|document_id)(?:\s*=\s*(.*))?$")
DOCUMENT_START = "-DOCSTART-"
EXAMPLE = "EU\tB-ORG"


class Layout(NamedTuple):
    separator: str  # "\t", or " " for any run of spaces and tabs
    width: int
    text: int
    labels: int | None
    indexed: bool  # the first column counts the words: 1, 2, 3
    header: int  # the line that names the columns; 0: none does
    example: str  # a good row
    tags_seen: frozenset[str]  # at the head of the file


def open_columns(
    lines: Iterable[str], wanted: Wanted, problems: Problems, name: str = "-"
) -> Opened:
    lines = iter(lines)
    head = list(itertools.islice(lines, HEAD))
    layout = find_layout(head, wanted, problems, name)
    if layout is None:
        return NOTHING
    where = f"words in column {layout.text}"
    if layout.labels is not None:
        where += f", tags in column {layout.labels}"
    kind = "tab" if layout.separator == "\t" else "space"
    where += f" of {layout.width} (counted from 0, {kind}-separated)"
    sentences = read_columns(itertools.chain(head, lines), layout, problems, name)
    return Opened(sentences, where, layout.labels is not None)


# --- Which column is what ---------------------------------------------------------------------


def find_layout(head: list[str], wanted: Wanted, problems: Problems, name: str) -> Layout | None:
    """The layout that most of the first lines have; None, and a problem, if there is none."""
    rows = _rows(head)
    if not rows:
        if not problems.tell_of(name):  # else the file is not empty, only unreadable
            problems.add("no sentence", name, "the file has no row of a word and a tag", EXAMPLE)
        return None
    separator = "\t" if 2 * sum("\t" in line for line in rows) > len(rows) else " "
    cells = split_rows(rows, separator)
    width = Counter(map(len, cells)).most_common(1)[0][0]
    names = _column_names(head[0], cells[0], wanted, width)
    header = head.index(rows[0]) + 1 if names == cells[0] else 0
    body = [row for row in cells[bool(header) :] if len(row) == width]
    indexed = _is_indexed(body, width)
    if indexed and width == len(CONLLU_COLUMNS) and not names:
        names = CONLLU_COLUMNS
    if not _are_there(wanted, names, width, problems, name):
        return None
    text = first_named(names, TEXT_COLUMNS)
    if wanted.text is not None:
        text = asked_column(wanted.text, names, width)
    elif text is None:
        text = 1 if indexed else 0
    if wanted.labels is not None:
        labels = asked_column(wanted.labels, names, width)
    else:
        labels = _default_labels(body, names, wanted.task, width, text, indexed)
    if labels is None and names == CONLLU_COLUMNS:
        found = f"CoNLL-U has no column of {wanted.task} tags"
        expected = f"--task_name pos, or --label_column_name with one of {', '.join(names)}"
        problems.add("no such column", name, found, expected)
        return None
    tags = frozenset() if labels is None else frozenset(row[labels] for row in body)
    if wanted.labels is None and tags == {"_"}:  # CoNLL's blank: a file to be tagged
        labels = None
    example = separator.join(body[0]) if body else EXAMPLE
    return Layout(separator, width, text, labels, indexed, header, example, tags)


def _rows(head: list[str]) -> list[str]:
    """Lines that are rows for certain; those with a hashtag only if there are no others."""
    rows = [line for line in head if line.strip(BLANK) and not line.startswith(DOCUMENT_START)]
    certain = [line for line in rows if not line.startswith("#")]
    return certain or [line for line in rows if line[1:2] not in ("", " ", "\t")]


def _are_there(wanted: Wanted, names: list[str], width: int, problems: Problems, name: str) -> bool:
    """Whether the file has the columns that the user asked for; problems if not."""
    missing = [
        f"--{flag}_column_name {asked}"
        for flag, asked in (("text", wanted.text), ("label", wanted.labels))
        if asked is not None and asked_column(asked, names, width) is None
    ]
    called = f" called {', '.join(names)}" if names else " without names"
    expected = f"a number from 0 to {width - 1}, or negative from the end"
    for asked in missing:
        found = f"{asked}: there are {counted(width, 'column')}{called}"
        problems.add("no such column", name, found, expected)
    return not missing


def split_rows(lines: list[str], separator: str) -> list[list[str]]:
    if separator == "\t":
        return [line.split("\t") for line in lines]
    return [_split_at_spaces(line) for line in lines]


def _split_at_spaces(line: str) -> list[str]:
    cells = line.split(" ")
    if "" in cells or "\t" in line:
        cells = [cell for cell in re.split("[ \t]+", line) if cell]
    return cells


def _column_names(first_line: str, first_row: list[str], wanted: Wanted, width: int) -> list[str]:
    """Names of the columns, if a comment (CoNLL-U Plus) or the first row has them."""
    if first_line.startswith("# global.columns"):
        names = first_line.partition("=")[2].lower().split()
        return names if len(names) == width else []
    asked = [
        column
        for column in (wanted.text, wanted.labels)
        if column is not None and not column.removeprefix("-").isdecimal()
    ]
    named = bool(asked) and all(column in first_row for column in asked)
    has_text = first_named(first_row, TEXT_COLUMNS) is not None
    has_labels = first_named(first_row, label_columns(wanted.task)) is not None
    header = len(first_row) == width > 1 and (named or (has_text and has_labels))
    return first_row if header else []


def _is_indexed(rows: list[list[str]], width: int) -> bool:
    """Whether the first column counts the words of each sentence from 1."""
    if width < 3 or not rows or not all(INDEX.fullmatch(row[0]) for row in rows):
        return False
    counts = [int(row[0]) for row in rows if row[0].isdecimal()]
    steps = sum(after in (before + 1, 1) for before, after in itertools.pairwise(counts))
    # Not each: a file with a broken index should be told so, not be read as numbers.
    return counts[:1] == [1] and steps >= 0.9 * (len(counts) - 1)


def _default_labels(
    rows: list[list[str]], names: list[str], task: str, width: int, text: int, indexed: bool
) -> int | None:
    """Where the tags of the task are, if nobody said; None where there are none."""

    def all_entity_tags(column: int) -> bool:
        return all(is_entity_tag(row[column]) for row in rows)

    named = first_named(names, label_columns(task))
    if named is not None or names == CONLLU_COLUMNS:
        return named
    after = range(text + 1, width)
    if indexed:  # GermEval and Universal NER have further columns behind the tag
        return next((column for column in after if all_entity_tags(column)), width - 1)
    if width == 1:
        return None
    if width == 4:
        return CONLL2003_COLUMNS[task]
    if width == 3 and task == "pos" and all_entity_tags(2):
        return 1  # CoNLL-2000: word, part of speech, chunk
    return width - 1


# --- Sentences --------------------------------------------------------------------------------


def read_columns(
    lines: Iterable[str], layout: Layout, problems: Problems, name: str
) -> Iterator[Sentence]:
    documents = _Documents(Path(name).name)
    block: list[str] = []
    number = 0
    for number, line in enumerate(lines, 1):
        if line >= "!" or line.strip(BLANK):  # the comparison spares nearly all the stripping
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


def _read_block(
    block: list[str], first: int, layout: Layout, problems: Problems, name: str, documents
) -> Iterator[Sentence]:
    """The sentence between two blank lines: at once where nothing is special about it."""
    special = layout.indexed or block[0][0] == "#" or first == layout.header
    cells = None if special else _cells(block, layout)
    if cells is None or DOCUMENT_START in cells[:: layout.width]:
        yield from _read_rows(block, first, layout, problems, name, documents)
        return
    words = cells[layout.text :: layout.width]
    tags = None if layout.labels is None else cells[layout.labels :: layout.width]
    yield Sentence(words, tags, documents.current, range(first, first + len(block)))


def _cells(block: list[str], layout: Layout) -> list[str] | None:
    """The cells of all lines, row after row; None if a row is not as wide as it should be."""
    if layout.separator == "\t":
        if {line.count("\t") for line in block} != {layout.width - 1}:
            return None
        return "\t".join(block).split("\t")
    rows = split_rows(block, layout.separator)
    return list(itertools.chain(*rows)) if set(map(len, rows)) == {layout.width} else None


def _read_rows(
    block: list[str], first: int, layout: Layout, problems: Problems, name: str, documents
) -> Iterator[Sentence]:
    """The same row by row: comments, document starts, index columns, rows that do not fit."""
    kept: list[tuple[int, list[str]]] = []
    rows = split_rows(block, layout.separator)
    for number, (line, row) in enumerate(zip(block, rows, strict=True), first):
        place = f"{name}:{number}"
        if row[0] == DOCUMENT_START:
            yield from _sentence(kept, layout, documents)
            kept = []
            documents.begin()
        elif number == layout.header:
            continue
        elif not kept and _is_comment(line, row, layout):
            new_document = NEW_DOCUMENT.match(line)
            if new_document:
                documents.begin(new_document[1])
        elif len(row) != layout.width:
            found = f"{counted(len(row), 'column')} in {quote(line)}, elsewhere {layout.width}"
            problems.add("rows of another width", place, found, quote(layout.example))
        elif layout.indexed and not row[0].isdecimal() and INDEX.fullmatch(row[0]):
            continue  # a multi-word token or an empty node is no word
        elif layout.indexed and row[0] != str(len(kept) + 1):
            found = f"index {quote(row[0])} where {len(kept) + 1} was due, in {quote(line)}"
            expected = "1, 2, 3, ... in each sentence, a blank line between sentences"
            problems.add("an index out of order", place, found, expected)
        else:
            kept.append((number, row))
    yield from _sentence(kept, layout, documents)


def _sentence(kept: list[tuple[int, list[str]]], layout: Layout, documents) -> Iterator[Sentence]:
    if kept:
        words = [row[layout.text] for _, row in kept]
        tags = None if layout.labels is None else [row[layout.labels] for _, row in kept]
        yield Sentence(words, tags, documents.current, [number for number, _ in kept])


def _is_comment(line: str, row: list[str], layout: Layout) -> bool:
    """Only at a sentence's start; a first column that merely begins with # is a word."""
    if line[0] != "#":
        return False
    if layout.indexed:  # GermEval's source lines have tabs
        return True
    cells = line.split()
    if layout.labels is not None and len(cells) == layout.width and cells[0] == "#":
        if cells[layout.labels] in layout.tags_seen:
            return False  # the word # and its tag
        return len(row) != layout.width or "=" in line
    return len(row) != layout.width and (line[:2] in ("#", "# ") or " = " in line)
