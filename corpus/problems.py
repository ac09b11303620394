"""Problems of a corpus: coded, placed, grouped by kind, and rendered to text."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from support.errors import UserError
from support.files import written_whole
from support.text import quote

ALL = sys.maxsize  # the limit of problems that are all kept
MAX_SHOWN = 20  # problems of one group that are listed; the others are counted


class ProblemKind(StrEnum):
    """Codes of the problems; `TITLES` has the wording."""

    # Files
    UNREADABLE_FILE = "unreadable-file"
    TOO_LARGE = "too-large"
    WRONG_ENCODING = "wrong-encoding"
    NOT_TEXT = "not-text"
    FOREIGN_FORMAT = "foreign-format"
    NO_SENTENCE = "no-sentence"
    NO_SUCH_COLUMN = "no-such-column"
    NO_LABELS = "no-labels"
    REPEATED_FILE = "repeated-file"
    # Rows and records
    ROW_WIDTH = "row-width"
    WORD_INDEX = "word-index"
    BLANK_ROW = "blank-row"
    IMPLAUSIBLE = "implausible"
    REPEATED_COLUMN_NAME = "repeated-column-name"
    NOT_CSV = "not-csv"
    OPEN_QUOTES = "open-quotes"
    NOT_JSON = "not-json"
    NOT_JSON_OBJECT = "not-json-object"
    MISSING_COLUMN = "missing-column"
    LATE_LABELS = "late-labels"
    WORD_WITHOUT_SENTENCE = "word-without-sentence"
    SCATTERED_SENTENCE = "scattered-sentence"
    JOINED_ROWS = "joined-rows"
    REPEATED_IDS = "repeated-ids"
    RECORD_WITHOUT_TEXT = "record-without-text"
    FIELD_TYPE = "field-type"
    # Words, labels, texts and spans
    WORDS_NOT_LIST = "words-not-list"
    WORD_NOT_STRING = "word-not-string"
    LABELS_NOT_LIST = "labels-not-list"
    LABEL_COUNT = "label-count"
    LABEL_TYPE = "label-type"
    LABEL_FORM = "label-form"
    TEXT_NOT_STRING = "text-not-string"
    HALF_CHARACTER = "half-character"
    SEVERAL_ANNOTATIONS = "several-annotations"
    SEVERAL_TEXTS = "several-texts"
    UNKNOWN_ANSWER = "unknown-answer"
    SPANS_NOT_LIST = "spans-not-list"
    SPAN_FORM = "span-form"
    SPAN_OUTSIDE_TEXT = "span-outside-text"
    SPANS_OVERLAP = "spans-overlap"
    SPAN_WITHOUT_WORD = "span-without-word"
    SPAN_CUTS_WORD = "span-cuts-word"
    SPAN_TEXT = "span-text"
    SPAN_REPEATED = "span-repeated"
    SPAN_EXPANDED = "span-expanded"
    SPAN_LEFT_OUT = "span-left-out"
    REGION_LEFT_OUT = "region-left-out"
    OFFSET_UNIT = "offset-unit"
    NOT_ANNOTATED = "not-annotated"
    NO_SPANS = "no-spans"
    EMPTY_SENTENCE = "empty-sentence"
    REJECTED_ANSWER = "rejected-answer"
    # Tags
    NOT_ENTITY_TAG = "not-entity-tag"
    PLAIN_TAGS = "plain-tags"
    INTEGER_WITHOUT_NAME = "integer-without-name"
    TOO_FEW_NAMES = "too-few-names"
    EMPTY_LABEL = "empty-label"
    FOREIGN_PREFIX = "foreign-prefix"
    UNDECLARED_LABEL = "undeclared-label"
    UNTRAINED_LABEL = "untrained-label"
    RARE_TYPE = "rare-type"
    SIMILAR_TYPES = "similar-types"
    STRAY_TAG = "stray-tag"
    # The corpus as a whole
    UNKNOWN_WORD = "unknown-word"
    EMPTY_WORD = "empty-word"
    LONG_SENTENCE = "long-sentence"
    SHARED_SENTENCE = "shared-sentence"
    NO_ENTITY = "no-entity"


# The title of each group in a report. `title_values` of a `Problem` fill the braces.
TITLES: dict[ProblemKind, str] = {
    ProblemKind.UNREADABLE_FILE: "unreadable file",
    ProblemKind.TOO_LARGE: "too large to be read",
    ProblemKind.WRONG_ENCODING: "wrong encoding",
    ProblemKind.NOT_TEXT: "not a text file",
    ProblemKind.FOREIGN_FORMAT: "a format that is not read",
    ProblemKind.NO_SENTENCE: "no sentences",
    ProblemKind.NO_SUCH_COLUMN: "no such column",
    ProblemKind.NO_LABELS: "no labels",
    ProblemKind.REPEATED_FILE: "files that repeat another one, read twice",
    ProblemKind.ROW_WIDTH: "rows with the wrong number of columns",
    ProblemKind.WORD_INDEX: "word indices out of order",
    ProblemKind.BLANK_ROW: "rows of a blank word and O, read as ends of sentences",
    ProblemKind.IMPLAUSIBLE: "not words and tags",
    ProblemKind.REPEATED_COLUMN_NAME: "repeated column names",
    ProblemKind.NOT_CSV: "not CSV",
    ProblemKind.OPEN_QUOTES: "words over several lines, as from a quote that is not doubled",
    ProblemKind.NOT_JSON: "not JSON",
    ProblemKind.NOT_JSON_OBJECT: "not a JSON object",
    ProblemKind.MISSING_COLUMN: "records that lack a column",
    ProblemKind.LATE_LABELS: "labels that earlier records lack",
    ProblemKind.WORD_WITHOUT_SENTENCE: "words that do not belong to a sentence",
    ProblemKind.SCATTERED_SENTENCE: "sentences whose rows are far apart",
    ProblemKind.JOINED_ROWS: "rows away from the others of their sentence, joined by its id",
    ProblemKind.REPEATED_IDS: "sentence ids that begin again, read as new sentences",
    ProblemKind.RECORD_WITHOUT_TEXT: "records without text",
    ProblemKind.FIELD_TYPE: "fields of the wrong type",
    ProblemKind.WORDS_NOT_LIST: "words that are not a list",
    ProblemKind.WORD_NOT_STRING: "words that are not strings",
    ProblemKind.LABELS_NOT_LIST: "labels that are not a list",
    ProblemKind.LABEL_COUNT: "different numbers of words and labels",
    ProblemKind.LABEL_TYPE: "labels of the wrong type",
    ProblemKind.LABEL_FORM: "labels that are neither tags nor spans",
    ProblemKind.TEXT_NOT_STRING: "texts that are not strings",
    ProblemKind.HALF_CHARACTER: "half of a surrogate pair",
    ProblemKind.SEVERAL_ANNOTATIONS: "several annotations of one text",
    ProblemKind.SEVERAL_TEXTS: "spans of several texts in one record",
    ProblemKind.UNKNOWN_ANSWER: "answers that the tool does not give",
    ProblemKind.SPANS_NOT_LIST: "spans that are not a list",
    ProblemKind.SPAN_FORM: "spans that cannot be read",
    ProblemKind.SPAN_OUTSIDE_TEXT: "spans outside the text",
    ProblemKind.SPANS_OVERLAP: "overlapping spans",
    ProblemKind.SPAN_WITHOUT_WORD: "spans without a word",
    ProblemKind.SPAN_CUTS_WORD: "spans that cut a word",
    ProblemKind.SPAN_TEXT: "spans whose own text differs from the text at their offsets",
    ProblemKind.SPAN_REPEATED: "spans with the offsets and label of another span, read once",
    ProblemKind.SPAN_EXPANDED: "spans inside a word, widened to whole words",
    ProblemKind.SPAN_LEFT_OUT: "spans inside a word, left out",
    ProblemKind.REGION_LEFT_OUT: "regions outside texts, such as boxes in images, left out",
    ProblemKind.OFFSET_UNIT: "offsets that do not fit the texts",
    ProblemKind.NOT_ANNOTATED: "records that nobody has annotated, left out",
    ProblemKind.NO_SPANS: "records without a list of spans, read as texts without entities",
    ProblemKind.EMPTY_SENTENCE: "sentences without words, skipped",
    ProblemKind.REJECTED_ANSWER: "records rejected, ignored or cancelled in the tool, left out",
    ProblemKind.NOT_ENTITY_TAG: "tags that are not entity tags",
    ProblemKind.PLAIN_TAGS: "plain tags in place of entity tags",
    ProblemKind.INTEGER_WITHOUT_NAME: "integer labels without names",
    ProblemKind.TOO_FEW_NAMES: "integer labels outside the {} declared names",
    ProblemKind.EMPTY_LABEL: "empty labels",
    ProblemKind.FOREIGN_PREFIX: "tags that do not exist in {}",
    ProblemKind.UNDECLARED_LABEL: "labels missing from --label_names",
    ProblemKind.UNTRAINED_LABEL: "labels of the {} split missing from the training split",
    ProblemKind.RARE_TYPE: "rare entity types spelled almost like a frequent one",
    ProblemKind.SIMILAR_TYPES: "entity types spelled almost alike, learned as different types",
    ProblemKind.STRAY_TAG: "tags out of place in {}, read as conlleval reads them",
    ProblemKind.UNKNOWN_WORD: "words without a known sub-word",
    ProblemKind.EMPTY_WORD: "empty words",
    ProblemKind.LONG_SENTENCE: "sentences of more than {} words",
    ProblemKind.SHARED_SENTENCE: "sentences of the {} split that also occur in the {} split",
    ProblemKind.NO_ENTITY: "no entities to learn from",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a corpus.

    `file`: a file, or a split of a data set; several names, separated by commas, if the problem
    concerns all of them. `line`: counted from 1; in a table, the row. `record_id` and `document`:
    the identifiers that the file gives to the record (doccano's `id`, CoNLL-U's `sent_id`) and to
    its document. The place of a sentence also has the lines of its words: each is `line_step`
    lines after the one before, 0 for a record on one line. If the steps differ, `lines` has the
    line of each word.
    """

    file: str
    line: int | None = None
    record_id: str | None = None
    document: str | None = None
    line_step: int = field(default=0, compare=False)
    lines: tuple[int, ...] | None = field(default=None, compare=False, repr=False)

    def at(self, word: int) -> "Place":
        """Return the place of a word of the sentence at this place; `word` counts from 0."""
        line = self.line
        if line is not None:
            line = self.lines[word] if self.lines else line + word * self.line_step
        return Place(self.file, line, self.record_id, self.document)

    @property
    def document_in_file(self) -> tuple[str, str] | None:
        """Return what identifies the document in a corpus of several files; None if it has none."""
        return None if self.document is None else (self.file, self.document)

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return place if self.record_id is None else f"{place} (record {quote(self.record_id)})"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: its kind, its place, a detail, and what was expected.

    `text`: the text of the record, or the words of the sentence joined by spaces. `span`: the first
    character of the problem in the text and the one after its last.
    """

    kind: ProblemKind
    place: Place
    detail: str
    expected: str = ""
    title_values: tuple[str, ...] = ()  # fill the braces of the kind's title
    text: str | None = None
    span: tuple[int, int] | None = None

    @property
    def title(self) -> str:
        """The title of the group that the problem belongs to."""
        return TITLES[self.kind].format(*self.title_values)

    def __str__(self) -> str:
        return f"{self.place}: {self.detail}"


@dataclass(slots=True)
class ProblemGroup:
    """Problems with one title: their number, and those of them that are kept."""

    count: int = 0
    kept: list[Problem] = field(default_factory=list)

    @property
    def shown(self) -> list[Problem]:
        """The first problems, at most `MAX_SHOWN`."""
        return self.kept[:MAX_SHOWN]

    @property
    def kind(self) -> ProblemKind:
        """The kind of all problems in the group."""
        return self.kept[0].kind

    @property
    def title(self) -> str:
        """The title of the group."""
        return self.kept[0].title

    def lines(self) -> list[str]:
        """Return the group as lines of text: title, problems, and what was expected."""
        shown = self.shown
        left, expected = self.count - len(shown), shown[0].expected
        return [
            f"{self.title}:" if self.count == 1 else f"{self.title} ({self.count:,}):",
            *(f"  {problem}" for problem in shown),
            *([f"  ... and {left:,} more"] if left else []),
            *([f"  expected: {expected}"] if expected else []),
        ]


class GroupedProblems:
    """Problems grouped by title, in the order in which the titles first occurred.

    `limit`: the number of problems of a group that are kept; the others are only counted.
    """

    def __init__(self, limit: int = MAX_SHOWN) -> None:
        self.limit = limit
        self._groups: dict[tuple[ProblemKind, tuple[str, ...]], ProblemGroup] = {}

    @property
    def groups(self) -> list[ProblemGroup]:
        """The groups, in the order in which their titles first occurred."""
        return list(self._groups.values())

    def add(self, problem: Problem) -> None:
        """Add one problem."""
        self.add_counted([problem], 1)

    def add_counted(self, first: Sequence[Problem], count: int) -> None:
        """Add `count` problems with one title, of which only the `first` are given in full.

        There should be `limit` of them, or all.
        """
        if not first:
            return
        key = (first[0].kind, first[0].title_values)
        group = self._groups.setdefault(key, ProblemGroup())
        group.count += count
        group.kept += first[: self.limit - len(group.kept)]

    def concern(self, file: str) -> bool:
        """Return whether one of the listed problems is in this file."""
        return any(problem.place.file == file for group in self.groups for problem in group.shown)

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __str__(self) -> str:
        return "\n".join(line for group in self.groups for line in group.lines())


class Problems(GroupedProblems):
    """Problems that stop training; `warnings` holds those that do not."""

    def __init__(self, limit: int = MAX_SHOWN) -> None:
        super().__init__(limit)
        self.warnings = GroupedProblems(limit)


class CorpusError(UserError):
    """The problems that stop training, as one error for the user."""

    def __init__(self, problems: Problems):
        super().__init__(str(problems))
        self.problems = problems


def write_problems(path: Path, problems: Problems, error: UserError | None = None) -> None:
    """Write every problem and warning that was kept to a file, one JSON object per line.

    `error`: what ended the check before the corpus was read. Raises UserError if the file cannot
    be written.
    """
    try:
        with written_whole(path) as file:
            for row in _rows(problems, error):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as reason:
        message = f"--output {path}: cannot be written: {reason.strerror}. Name another file."
        raise UserError(message) from None


def _rows(problems: Problems, error: UserError | None) -> Iterator[dict[str, Any]]:
    if error is not None and not isinstance(error, CorpusError):
        yield {"severity": "error", "kind": "not-read", "detail": str(error)}
    for severity, groups in (("error", problems.groups), ("warning", problems.warnings.groups)):
        for problem in (problem for group in groups for problem in group.kept):
            yield {
                "severity": severity,
                "kind": problem.kind,
                "file": problem.place.file,
                "line": problem.place.line,
                "record_id": problem.place.record_id,
                "document": problem.place.document,
                "span": problem.span,
                "text": problem.text,
                "title": problem.title,
                "detail": problem.detail,
                "expected": problem.expected or None,
            }
