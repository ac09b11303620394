"""CoNLL columns: one word on each line, blank lines between sentences."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from corpus.formats.column_layout import (
    DOCUMENT_MARK,
    DOCUMENT_START,
    INDEX,
    NEW_DOCUMENT,
    ColumnLayout,
    ends_sentence,
    features_of,
    find_column_layout,
    split_rows,
)
from corpus.formats.column_names import HEAD_SIZE
from corpus.formats.label_column import typed_tag
from corpus.formats.sentence import UNREADABLE, LayoutKind, OpenedSource, ReadOptions, Sentence
from corpus.formats.text import BLANK
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import counted, quote

SENTENCE_ID = re.compile(r"#\s*sent_id\s*=\s*(.*\S)")


def open_columns(
    lines: Iterable[str],
    options: ReadOptions,
    problems: Problems,
    name: str = "-",
    head: list[str] | None = None,
) -> OpenedSource:
    """Open CoNLL columns, given as lines without line ends.

    `head`: the first lines, if the caller has taken them from `lines`, as from a slow pipe.
    """
    lines = iter(lines)
    if head is None:
        head = list(itertools.islice(lines, HEAD_SIZE))
    layout = find_column_layout(head, options, problems, name)
    if layout is None:
        return UNREADABLE
    description = f"words in column {layout.text}"
    if layout.labels is not None:
        description += f", tags in column {layout.labels}"
    separated = "tab" if layout.separator == "\t" else "space"
    description += f" of {layout.width} (counted from 0, {separated}-separated)"
    return OpenedSource(
        read_columns(itertools.chain(head, lines), layout, problems, name),
        LayoutKind.COLUMNS,
        description,
        layout.labels is not None,
        label_column=layout.label_name,
        notes=layout.notes,
    )


def read_columns(
    lines: Iterable[str], layout: ColumnLayout, problems: Problems, name: str
) -> Iterator[Sentence]:
    """Yield the sentences of CoNLL columns; add rows that do not fit to `problems`."""
    reader = _BlockReader(layout, problems, name)
    block: list[str] = []
    number = 0
    for number, line in enumerate(lines, 1):
        if line >= "!" or line.strip(BLANK):  # the comparison avoids most calls of strip
            block.append(line)
        elif block:
            yield from reader.sentences(block, number - len(block))
            block = []
    if block:
        yield from reader.sentences(block, number + 1 - len(block))


class _BlockReader:
    """Reads the lines between two blank lines, and tracks the document they belong to."""

    def __init__(self, layout: ColumnLayout, problems: Problems, name: str):
        self.layout, self.problems, self.name = layout, problems, name
        # The sentences before the first document begins are a document too.
        self.document = f"{Path(name).name}#0" if layout.has_documents else None
        self._document_count = 0

    def sentences(self, block: list[str], first: int) -> Iterable[Sentence]:
        """Return the sentences of a block, usually one; `first` is the number of its first line."""
        layout = self.layout
        special = (
            layout.indexed
            or layout.types is not None
            or block[0][0] in "#-"
            or first == layout.header
        )
        cells = None if special else _cells(block, layout)
        step = layout.width + 1
        if cells is None or DOCUMENT_START in cells[::step]:
            return self._read_rows(block, first)
        words = cells[layout.text :: step]
        if not layout.blank_words.isdisjoint(words):
            return self._read_rows(block, first)
        tags = None if layout.labels is None else cells[layout.labels :: step]
        lines = range(first, first + len(block))
        return (Sentence(words, tags, self.document, lines, self.name, None),)

    def _begin_document(self, title: str | None = None) -> None:
        self._document_count += 1
        self.document = title or f"{Path(self.name).name}#{self._document_count}"

    def _read_rows(self, block: list[str], first: int) -> Iterator[Sentence]:
        """Read row by row: comments, document starts, index columns, rows that do not fit."""
        layout = self.layout
        kept: list[tuple[int, list[str]]] = []
        record_id = None
        rows = split_rows(block, layout.separator)
        for number, (line, row) in enumerate(zip(block, rows, strict=True), first):
            if DOCUMENT_MARK.match(row[0]):
                yield from self._sentence(kept, record_id)
                kept, record_id = [], None
                self._begin_document()
            elif number == layout.header:
                continue
            elif ends_sentence(line, row, layout):
                yield from self._sentence(kept, record_id)
                kept, record_id = [], None
                place = Place(self.name, number)
                self.problems.warnings.add(Problem(ProblemKind.BLANK_ROW, place, quote(line)))
            elif not kept and _is_comment(line, row, layout):
                if new_document := NEW_DOCUMENT.match(line):
                    self._begin_document(new_document[1] or new_document[2])
                elif sentence_id := SENTENCE_ID.match(line):
                    record_id = sentence_id[1]
            elif len(row) != layout.width:
                width = counted(len(row), "column")
                detail = f"{width} in {quote(line)}; other rows have {layout.width}"
                self._add_problem(ProblemKind.ROW_WIDTH, number, detail, quote(layout.example))
            elif layout.indexed and not row[0].isdecimal() and INDEX.fullmatch(row[0]):
                continue  # a multi-word token or an empty node is not a word
            elif layout.indexed and row[0] != str(len(kept) + 1):
                detail = f"got {quote(row[0])}, expected {len(kept) + 1}, in {quote(line)}"
                expected = "1, 2, 3, ... in each sentence, and a blank line between sentences"
                self._add_problem(ProblemKind.WORD_INDEX, number, detail, expected)
            else:
                kept.append((number, row))
        yield from self._sentence(kept, record_id)

    def _add_problem(self, kind: ProblemKind, line: int, detail: str, expected: str) -> None:
        self.problems.add(Problem(kind, Place(self.name, line), detail, expected))

    def _sentence(
        self, kept: Sequence[tuple[int, list[str]]], record_id: str | None
    ) -> Iterator[Sentence]:
        layout = self.layout
        if kept:
            words = [row[layout.text] for _, row in kept]
            tags = None if layout.labels is None else [row[layout.labels] for _, row in kept]
            if layout.types is not None and tags is not None:
                types = [row[layout.types] for _, row in kept]
                tags = list(map(typed_tag, tags, types))
            if layout.feature is not None and tags is not None:
                tags = [features_of(tag).get(layout.feature, "") for tag in tags]
            lines = [number for number, _ in kept]
            yield Sentence(words, tags, self.document, lines, self.name, record_id)


def _cells(block: list[str], layout: ColumnLayout) -> list[str] | None:
    """Return the cells of all lines and, after each but the last, a line feed.

    Returns None if a row has another width.
    """
    if layout.separator == "\t":
        cells = "\t\n\t".join(block).split("\t")
    else:
        rows = split_rows(block, layout.separator)
        cells = list(itertools.chain(*(row for line in rows for row in (line, "\n"))))[:-1]
    step = layout.width + 1
    whole = len(cells) == step * len(block) - 1
    return cells if whole and cells[layout.width :: step] == ["\n"] * (len(block) - 1) else None


def _is_comment(line: str, row: list[str], layout: ColumnLayout) -> bool:
    """Return whether a line before the first word of a sentence is a comment.

    A row whose word begins with # is not a comment.
    """
    if line[0] != "#":
        return False
    if layout.indexed:  # GermEval's source lines have tabs
        return True
    cells = line.split()
    if layout.labels is not None and len(cells) == layout.width and cells[0] == "#":
        if cells[layout.labels] in layout.tags_seen:
            return False  # the word # and its tag
        return len(row) != layout.width or "=" in line
    known = line[:2] in ("#", "# ") or " = " in line or NEW_DOCUMENT.match(line)
    return len(row) != layout.width and bool(known)
