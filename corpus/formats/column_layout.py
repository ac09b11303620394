"""The layout of CoNLL columns, determined from the first lines of a file.

In order: the separator, the names and the content of the columns (`Head`), the column of words, and
the columns of the tags (`TagColumns`).
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from corpus.formats.blank_words import BLANK_WORDS, EMPTY_QUOTES, is_blank_tag
from corpus.formats.column_names import (
    TEXT_COLUMNS,
    first_named,
    label_columns,
    requested_column,
)
from corpus.formats.label_column import (
    CONLLU_COLUMNS,
    LabelChoice,
    choose_label_column,
    column_of_types,
    types_note,
)
from corpus.formats.sentence import ReadOptions
from corpus.formats.text import BLANK
from corpus.problems import Place, Problem, ProblemKind, Problems
from corpus.schemes import is_entity_tag
from corpus.spellings import ENTITY_TASKS, entity_types
from support.text import counted, quote

INDEX = re.compile(r"\d{1,9}(?:[-.]\d{1,9})?")  # 3-4: a multi-word token, 3.1: an empty node
NEW_DOCUMENT = re.compile(  # MEDLINE: JNLPBA
    r"#\s*(?:newdoc(?:\s+id)?|doc_id|document_id)(?:\s*=\s*(.*))?$|###(?=(MEDLINE:\S+$))"
)
MISC = CONLLU_COLUMNS.index("misc")
DOCUMENT_START = "-DOCSTART-"
# A number or a name may follow, as in AIDA. Lower-cased corpora have it in lower case.
DOCUMENT_MARK = re.compile(rf"{DOCUMENT_START}(?=\s|$)", re.IGNORECASE)
MIN_SHARE_OF_ENDS = 0.01  # of the first lines; sentences rarely have a hundred words
EXAMPLE = "EU\tB-ORG"
NUMBERED_EXAMPLE = (
    "a blank line between sentences or, if the numbers are those of the sentences, names in the "
    "first line: sentence_id, token, ner_tag, separated like the columns"
)
NUMBERS = re.compile(r"-?\d++(?:[.,:-]\d++)*+")  # 7, times, ranges of offsets, indices
MIN_ROWS = 3  # a column of fewer numbers may be words
# A word rarely repeats the word before it or counts on from it; an identifier often does.
MIN_IDENTIFIED = 5  # rows; fewer may be words
SHARE_OF_IDENTIFIED = 0.5
NUMBER_AT_END = re.compile(r"(.*\D)(\d{1,9})", re.DOTALL)


class ColumnLayout(NamedTuple):
    """The columns of a file, counted from 0."""

    separator: str  # "\t", or " " for any run of spaces and tabs
    width: int
    text: int
    labels: int | None
    indexed: bool  # the first column counts the words: 1, 2, 3
    header: int  # the line that names the columns, counted from 1; 0 without such a line
    example: str  # a row of the usual width
    tags_seen: frozenset[str]  # in the first lines of the file
    label_name: str | None = None  # the name of the column `labels`, if the columns have names
    blank_words: frozenset[str] = BLANK_WORDS - {EMPTY_QUOTES}  # with O, they end a sentence
    types: int | None = None  # the column of the entity types, if the tags have no types
    feature: str | None = None  # of CoNLL-U, in the column `labels`: it holds the tags
    notes: tuple[str, ...] = ()  # columns that were not chosen by their position
    has_documents: bool = False  # the first lines mark where documents begin


class Head(NamedTuple):
    """The first lines of a file as rows, and what its columns hold."""

    separator: str
    names: list[str]  # of the columns; empty without names
    header: int  # see `ColumnLayout`
    rows: list[list[str]]  # those of the usual width, without the names
    width: int
    indexed: bool
    types: list[set[str] | None]  # the entity types in each column; None without entity tags
    numeric: set[int]  # columns of numbers only
    identifying: set[int]  # columns that identify documents, sentences or words
    blank: set[int]  # empty columns

    def column(self, number: int) -> list[str]:
        """Return the cells of a column."""
        return [row[number] for row in self.rows]


class TagColumns(NamedTuple):
    """The columns of the tags: see `ColumnLayout`."""

    labels: int | None
    types: int | None
    feature: str | None
    notes: list[str]


def find_column_layout(
    lines: list[str], options: ReadOptions, problems: Problems, name: str
) -> ColumnLayout | None:
    """Return the layout of most of the first lines; if there is none, report it and return None."""

    def report(kind: ProblemKind, detail: str, expected: str) -> None:
        problems.add(Problem(kind, Place(name), detail, expected))

    rows = _certain_rows(lines)
    if not rows:
        if not problems.concern(name):  # otherwise the file is unreadable, not empty
            report(ProblemKind.NO_SENTENCE, "the file has no row with a word and a tag", EXAMPLE)
        return None
    head = _read_head(lines, rows, options)
    if not _columns_exist(options, head.names, head.width, problems, name):
        return None
    text, notes = _text_column(head, options)
    if unended := _unended_sentences(head, lines, text):
        report(ProblemKind.IMPLAUSIBLE, unended, NUMBERED_EXAMPLE)
        return None
    tags = _tag_columns(head, text, options)
    if tags.labels is None and head.names == CONLLU_COLUMNS and options.needs_labels:
        detail = f"CoNLL-U has no column for {options.task} tags"
        expected = f"--task_name pos, or --label_column_name with one of {', '.join(head.names)}"
        report(ProblemKind.NO_SUCH_COLUMN, detail, expected)
        return None
    labels = tags.labels
    seen = frozenset() if labels is None else frozenset(head.column(labels))
    if options.label_column is None and seen == {"_"}:  # CoNLL's empty value: a file without labels
        labels = None
    name_of_labels = head.names[labels] if head.names and labels is not None else None
    layout = ColumnLayout(
        head.separator,
        head.width,
        text,
        labels,
        head.indexed,
        head.header,
        example=head.separator.join(head.rows[0]) if head.rows else EXAMPLE,
        tags_seen=seen,
        label_name=tags.feature or name_of_labels,
        types=tags.types,
        feature=tags.feature,
        notes=(*notes, *tags.notes),
        has_documents=any(map(_begins_document, lines)),
    )
    with_quotes = layout._replace(blank_words=BLANK_WORDS)
    return with_quotes if _quotes_end_sentences(lines, with_quotes) else layout


# --- Rows ---------------------------------------------------------------------------------------


def _certain_rows(lines: list[str]) -> list[str]:
    """Return the lines that are certainly rows, or else those that begin with a hashtag."""
    rows = [line for line in lines if line.strip(BLANK) and not DOCUMENT_MARK.match(line)]
    certain = [line for line in rows if not line.startswith("#")]
    return certain or [line for line in rows if line[1:2] not in ("", " ", "\t")]


def _read_head(lines: list[str], certain: list[str], options: ReadOptions) -> Head:
    """Return the first lines as rows; `certain`: those that are rows, at least one."""
    separator = "\t" if 2 * sum("\t" in line for line in certain) > len(certain) else " "
    cells = split_rows(certain, separator)
    width = Counter(map(len, cells)).most_common(1)[0][0]
    names = _column_names(lines[0], cells, options, width)
    header = lines.index(certain[0]) + 1 if names == cells[0] else 0
    rows = [row for row in cells[bool(header) :] if len(row) == width]
    indexed = _is_indexed(rows, width)
    if indexed and width == len(CONLLU_COLUMNS) and not names:
        names = CONLLU_COLUMNS
    types = [entity_types(_content(rows, column)) for column in range(width)]
    return Head(
        separator,
        names,
        header,
        rows,
        width,
        indexed,
        types,
        numeric=_numeric_columns(rows, width),
        identifying={c for c in _identifying_columns(rows, width) if types[c] is None},
        blank={c for c in range(width) if not any(row[c].strip() for row in rows)},
    )


def split_rows(lines: list[str], separator: str) -> list[list[str]]:
    """Return the cells of each line; the separator is a tab, or a space for any run of blanks."""
    if separator == "\t":
        return [line.split("\t") for line in lines]
    return [_split_at_blanks(line) for line in lines]


def _split_at_blanks(line: str) -> list[str]:
    cells = line.split(" ")
    if "" in cells or "\t" in line:
        cells = [cell for cell in re.split("[ \t]+", line) if cell]
    return cells


def _content(rows: list[list[str]], column: int) -> Counter[str]:
    """Return how often each value occurs in a column."""
    return Counter(row[column].strip() for row in rows)


# --- Content of the columns ---------------------------------------------------------------------


def _column_names(
    first_line: str, rows: list[list[str]], options: ReadOptions, width: int
) -> list[str]:
    """Return the names of the columns from a comment (CoNLL-U Plus) or the first row, if any."""
    if first_line.startswith("# global.columns"):
        names = first_line.partition("=")[2].lower().split()
        return names if len(names) == width else []
    first_row = rows[0]
    if not len(first_row) == width > 1:
        return []
    requested = [
        column
        for column in (options.text_column, options.label_column)
        if column is not None and not column.removeprefix("-").isdecimal()
    ]
    if requested and all(column in first_row for column in requested):
        return first_row
    text = first_named(first_row, TEXT_COLUMNS)
    labels = first_named(first_row, label_columns(options.task))
    if text is not None and labels is not None:
        return first_row
    known = labels if text is None else text
    return first_row if known is not None and _are_names(rows, known, width) else []


def _are_names(rows: list[list[str]], known: int, width: int) -> bool:
    """Return whether the first row names the columns, given that its cell `known` is a usual name.

    That cell may be a word, such as "text", and the row the first of a sentence. The other cells
    would then occur again, or be tags.
    """
    body = [row for row in rows[1:] if len(row) == width]
    content = {column: _content(body, column) for column in range(width) if column != known}
    cells = {column: rows[0][column].strip() for column in content}
    if not body or any(cell in content[column] for column, cell in cells.items()):
        return False
    if any(entity_types(content[column]) is not None for column in content):
        return not any(map(is_entity_tag, cells.values()))
    return not any(cell.isupper() or cell.isdecimal() for cell in cells.values())  # NN, 7


def _is_indexed(rows: list[list[str]], width: int) -> bool:
    """Return whether the first column counts the words of each sentence from 1."""
    if width < 3 or not rows or not all(INDEX.fullmatch(row[0]) for row in rows):
        return False
    counts = [int(row[0]) for row in rows if row[0].isdecimal()]
    steps = sum(after in (before + 1, 1) for before, after in itertools.pairwise(counts))
    # Some steps may be wrong, the first one too: a broken index is a problem to report, not a
    # column of numbers.
    return 1 in counts and steps >= 0.9 * (len(counts) - 1)


def _columns_exist(
    options: ReadOptions, names: list[str], width: int, problems: Problems, name: str
) -> bool:
    """Return whether the file has the columns that the user asked for; add problems if not."""
    missing = [
        f"--{kind}_column_name {column}"
        for kind, column in (("text", options.text_column), ("label", options.label_column))
        if column is not None and requested_column(column, names, width) is None
    ]
    naming = f" named {', '.join(names)}" if names else " without names"
    expected = f"a number from 0 to {width - 1}, or a negative number, counted from the end"
    for flag in missing:
        detail = f"{flag}: the file has {counted(width, 'column')}{naming}"
        problems.add(Problem(ProblemKind.NO_SUCH_COLUMN, Place(name), detail, expected))
    return not missing


def _numeric_columns(rows: list[list[str]], width: int) -> set[int]:
    """Return the columns that hold numbers only; no column of very few rows."""
    if len(rows) < MIN_ROWS:
        return set()
    return {
        column for column in range(width) if all(NUMBERS.fullmatch(row[column]) for row in rows)
    }


def _identifying_columns(rows: list[list[str]], width: int) -> set[int]:
    """Return the columns that may identify documents, sentences or words.

    Most of their values repeat the value in the row before, or count on from it.
    """
    least = max(MIN_IDENTIFIED, SHARE_OF_IDENTIFIED * len(rows))
    pairs = list(itertools.pairwise(rows))
    return {
        column
        for column in range(width)
        if sum(_identifies(row[column], after[column]) for row, after in pairs) >= least
    }


def _identifies(before: str, after: str) -> bool:
    """Return whether a value repeats the value before it, or counts on from it: s1-1, s1-2."""
    if before == after:
        return True
    first, second = NUMBER_AT_END.fullmatch(before), NUMBER_AT_END.fullmatch(after)
    if first is None or second is None:
        return False
    return first[1] == second[1] and int(second[2]) == int(first[2]) + 1


# --- Choice of the columns ----------------------------------------------------------------------


def _requested_labels(head: Head, options: ReadOptions) -> int | None:
    """Return the column of labels that the user asked for."""
    if options.label_column is None:
        return None
    return requested_column(options.label_column, head.names, head.width)


def _text_column(head: Head, options: ReadOptions) -> tuple[int, list[str]]:
    """Return the column of words, and notes if it is not the usual one."""
    names, types = head.names, head.types
    labels = _requested_labels(head, options)
    if labels is None:
        labels = first_named(names, label_columns(options.task))
    if options.text_column is not None:
        requested = requested_column(options.text_column, names, head.width)
        assert requested is not None  # `_columns_exist` has checked it
        return requested, []
    named = first_named(names, TEXT_COLUMNS)
    if named is not None:
        return named, []
    text = 1 if head.indexed else 0
    if labels == text and head.width > 1:
        return next(column for column in range(head.width) if column != labels), []
    if head.width == 2 and labels is None and types[0] is not None and types[1] is None:
        return 1, ["column 0 holds entity tags, so the words are in column 1"]
    no_words = head.numeric | head.identifying | head.blank
    if text in no_words:
        rest = (c for c in range(head.width) if c not in no_words and c != labels)
        words = next((column for column in rest if types[column] is None), None)
        if words is not None and head.width > 2:
            holds = "holds numbers" if text in head.numeric else "holds identifiers"
            holds = "is empty" if text in head.blank else holds
            return words, [f"column {text} {holds}, so the words are in column {words}"]
    return text, []


def _unended_sentences(head: Head, lines: list[str], text: int) -> str | None:
    """Describe a first column that identifies the sentences if no blank line ends them."""
    identifies = 0 in head.identifying or (0 in head.numeric and not head.names)
    if not identifies or text == 0 or head.indexed:
        return None
    first_column = head.column(0)
    if any(not line.strip(BLANK) for line in lines[:-1]) or len(set(first_column)) == 1:
        return None
    holds = "numbers" if 0 in head.numeric else "identifiers"
    return (
        f"column 0 holds {holds}, {quote(first_column[0])} first, and no blank line ends a sentence"
    )


def _tag_columns(head: Head, text: int, options: ReadOptions) -> TagColumns:
    """Return the columns of the tags; `text`: the column of words."""
    requested = _requested_labels(head, options)
    if requested is None:
        choice = choose_label_column(head.types, head.names, options.task, text, head.indexed)
    else:
        choice = LabelChoice(requested)
    labels = choice.column
    notes = choice.notes(head.names, options.task) if options.needs_labels else []
    if options.task not in ENTITY_TASKS:
        return TagColumns(labels, None, None, notes)
    no_tags = labels is None or (labels == MISC and head.types[MISC] is None)
    if head.names == CONLLU_COLUMNS and options.needs_labels and no_tags:
        feature = _feature_of_entities(head.column(MISC))
        if feature is not None:
            note = f"{options.task} tags are in the feature {feature!r} of column {MISC} (misc)"
            return TagColumns(MISC, None, feature, [*notes, note])
    if requested is not None or labels is None:
        return TagColumns(labels, None, None, notes)
    rest = {c: head.column(c) for c in range(head.width) if c not in (text, labels)}
    types = column_of_types(head.column(labels), rest, head.column(text))
    if types is not None:
        notes = [types_note(f"column {types}", f"column {labels}")]
    return TagColumns(labels, types, None, notes)


def _feature_of_entities(cells: Iterable[str]) -> str | None:
    """Return the feature in CoNLL-U's last column that holds entity tags, as Stanza writes it."""
    values: dict[str, Counter[str]] = {}
    for cell in cells:
        for key, value in features_of(cell).items():
            values.setdefault(key, Counter())[value] += 1
    types = {key: entity_types(counts) for key, counts in values.items()}
    of_entities = sorted(
        (key for key in types if types[key] is not None), key=lambda k: not types[k]
    )
    return next(iter(of_entities), None)


def features_of(cell: str) -> dict[str, str]:
    """Return the features of a cell such as ner=B-PER|SpaceAfter=No."""
    pairs = (feature.partition("=") for feature in cell.split("|"))
    return {key: value for key, separator, value in pairs if separator}


# --- Ends of sentences and documents ------------------------------------------------------------


def _quotes_end_sentences(head: list[str], layout: ColumnLayout) -> bool:
    """Return whether rows of two quotes and O, empty cells of a CSV file, end sentences.

    They may also be words, so they must be frequent where no blank line ends the sentence anyway.
    """
    rows = split_rows(head, layout.separator)
    ends = sum(
        len(row) == layout.width
        and row[layout.text] == EMPTY_QUOTES
        and ends_sentence(line, row, layout)
        and bool(before.strip(BLANK) and after.strip(BLANK))
        for before, line, row, after in zip(head, head[1:], rows[1:], head[2:], strict=False)
    )
    return ends >= max(1, MIN_SHARE_OF_ENDS * len(head))


def _begins_document(line: str) -> bool:
    """Return whether a document begins at a line."""
    return DOCUMENT_MARK.match(line) is not None or NEW_DOCUMENT.match(line) is not None


def ends_sentence(line: str, row: list[str], layout: ColumnLayout) -> bool:
    """Return whether a row stands for a blank line: its word is blank, and its tag O or blank."""
    if len(row) == 1 < layout.width and row[0] in BLANK_WORDS:
        return True
    if layout.width == 1 or (layout.indexed and row[0] not in BLANK_WORDS):
        return False
    if len(row) == layout.width:
        tags = row if layout.labels is None else [row[layout.labels]]
        return row[layout.text] in layout.blank_words and is_blank_tag(*tags)
    # Separated by spaces, an empty word leaves only the spaces around it.
    first_is_empty = layout.text == 0 and line[0] in BLANK
    last_is_empty = layout.text == layout.width - 1 and line[-1] in BLANK
    missing = layout.separator == " " and len(row) == layout.width - 1
    return missing and (first_is_empty or last_is_empty) and row == ["O"] * len(row)
