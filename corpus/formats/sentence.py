"""Types that all readers share: a sentence, the requested columns, an opened source."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from corpus.problems import Place


class Sentence(NamedTuple):
    """A sentence as written in its file, and its origin."""

    words: Sequence[str]
    tags: Sequence[str] | Sequence[int] | None  # integers are positions in a list of label names
    document: str | None
    lines: Sequence[int]  # the line, or row of a table, of each word; counted from 1
    file: str  # a file, or a split of a data set
    record_id: str | None  # such as doccano's id or CoNLL-U's sent_id

    def place(self, word: int = 0) -> Place:
        """Return the place of a word, given by its position in the sentence."""
        return Place(self.file, self.lines[word], self.record_id)


class ReadOptions(NamedTuple):
    """The task and the columns that the user requested.

    A column is a name, or a number from 0; negative numbers count from the end.
    """

    task: str = "ner"
    text_column: str | None = None
    label_column: str | None = None
    needs_labels: bool = True  # False for a text to tag
    span_alignment: str = "strict"  # of spans inside a word: strict, expand or skip
    word_splitter: str | None = None  # of a model; None for the newest one


class LayoutKind(StrEnum):
    """Ways in which a file holds words and tags."""

    COLUMNS = "columns"  # lines of CoNLL columns
    ROWS = "rows"  # records of one word each, such as rows of a CSV file
    LISTS = "lists"  # records of a list of words and a list of tags
    TEXT = "text"  # records of raw text, with spans if there are labels


# Those in which a file has one word in each row, so that its sentences follow each other in a text.
ROW_LAYOUTS = (LayoutKind.COLUMNS, LayoutKind.ROWS)


class OpenedSource(NamedTuple):
    """A file, or a split of a data set, whose layout is known.

    Iterating over `sentences` reads the source and adds to the `Problems` that it was opened with.
    If it cannot be read at all, `layout_kind` is None and there are no sentences.
    """

    sentences: Iterator[Sentence]
    layout_kind: LayoutKind | None = None
    layout: str = ""  # shown to the user: the columns that words and tags come from
    labelled: bool = False
    label_names: list[str] | None = None  # names of integer tags, if the file has them
    label_column: str | None = None  # the name of the column of labels, if it has one
    notes: tuple[str, ...] = ()  # shown to the user: what was decided by content

    @property
    def raw_text(self) -> bool:
        """Return whether the words come from the suite's word splitter."""
        return self.layout_kind is LayoutKind.TEXT


UNREADABLE = OpenedSource(iter(()))
