"""CoNLL columns: one word on each line, blank lines between sentences."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from corpus.formats.blank_words import BLANK_WORDS, EMPTY_QUOTES, is_blank_tag
from corpus.formats.column_names import (
    HEAD_SIZE,
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
    typed_tag,
    types_note,
)
from corpus.formats.sentence import UNREADABLE, LayoutKind, OpenedSource, ReadOptions, Sentence
from corpus.formats.text import BLANK
from corpus.problems import Place, Problem, ProblemKind, Problems
from corpus.schemes import is_entity_tag
from corpus.spellings import ENTITY_TASKS, entity_types
from support.text import counted, quote

INDEX = re.compile(r"\d{1,9}(?:[-.]\d{1,9})?")  # 3-4: a multi-word token, 3.1: an empty node
NEW_DOCUMENT = re.compile(  # MEDLINE: JNLPBA
    r"#\s*(?:newdoc(?:\s+id)?|doc_id|document_id)(?:\s*=\s*(.*))?$|###(?=(MEDLINE:\S+$))"
)
SENTENCE_ID = re.compile(r"#\s*sent_id\s*=\s*(.*\S)")
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


# --- Layout -------------------------------------------------------------------------------------


def find_column_layout(
    head: list[str], options: ReadOptions, problems: Problems, name: str
) -> ColumnLayout | None:
    """Return the layout of most of the first lines; if there is none, report it and return None."""
    rows = _rows(head)
    if not rows:
        if not problems.concern(name):  # otherwise the file is unreadable, not empty
            detail = "the file has no row with a word and a tag"
            problems.add(Problem(ProblemKind.NO_SENTENCE, Place(name), detail, EXAMPLE))
        return None
    separator = "\t" if 2 * sum("\t" in line for line in rows) > len(rows) else " "
    cells = split_rows(rows, separator)
    width = Counter(map(len, cells)).most_common(1)[0][0]
    names = _column_names(head[0], cells, options, width)
    header = head.index(rows[0]) + 1 if names == cells[0] else 0
    body = [row for row in cells[bool(header) :] if len(row) == width]
    indexed = _is_indexed(body, width)
    if indexed and width == len(CONLLU_COLUMNS) and not names:
        names = CONLLU_COLUMNS
    if not _columns_exist(options, names, width, problems, name):
        return None
    types = [entity_types(_content(body, column)) for column in range(width)]
    asked = None
    if options.label_column is not None:
        asked = requested_column(options.label_column, names, width)
    numeric = _numeric_columns(body, width)
    identifying = {c for c in _identifying_columns(body, width) if types[c] is None}
    blank = {column for column in range(width) if not any(row[column].strip() for row in body)}
    text, notes = _text_column(options, names, types, indexed, asked, numeric, identifying, blank)
    identified = 0 in identifying or (0 in numeric and not names)
    text_notes = list(notes)
    if identified and text != 0 and not indexed:
        unended = _numbered_sentences(head, body, "numbers" if 0 in numeric else "identifiers")
        if unended:
            problems.add(Problem(ProblemKind.IMPLAUSIBLE, Place(name), unended, NUMBERED_EXAMPLE))
            return None
    if asked is not None:
        choice = LabelChoice(asked)
    else:
        choice = choose_label_column(types, names, options.task, text, indexed)
        if options.needs_labels:
            notes += choice.notes(names, options.task)
    labels = choice.column
    feature = None
    no_tags = labels is None or (labels == MISC and types[MISC] is None)
    if (
        names == CONLLU_COLUMNS
        and options.task in ENTITY_TASKS
        and options.needs_labels
        and no_tags
    ):
        feature = _feature_of_entities(row[MISC] for row in body)
    if feature is not None:
        labels = MISC
        notes.append(f"{options.task} tags are in the feature {feature!r} of column {MISC} (misc)")
    type_column = None
    if asked is None and labels is not None and options.task in ENTITY_TASKS:
        rest = {c: [row[c] for row in body] for c in range(width) if c not in (text, labels)}
        tag_cells, word_cells = ([row[c] for row in body] for c in (labels, text))
        type_column = column_of_types(tag_cells, rest, word_cells)
    if type_column is not None:
        notes = [*text_notes, types_note(f"column {type_column}", f"column {labels}")]
    if labels is None and names == CONLLU_COLUMNS and options.needs_labels:
        detail = f"CoNLL-U has no column for {options.task} tags"
        expected = f"--task_name pos, or --label_column_name with one of {', '.join(names)}"
        problems.add(Problem(ProblemKind.NO_SUCH_COLUMN, Place(name), detail, expected))
        return None
    tags = frozenset() if labels is None else frozenset(row[labels] for row in body)
    if options.label_column is None and tags == {"_"}:  # CoNLL's empty value: a file without labels
        labels = None
    layout = ColumnLayout(
        separator,
        width,
        text,
        labels,
        indexed,
        header,
        example=separator.join(body[0]) if body else EXAMPLE,
        tags_seen=tags,
        label_name=feature or (names[labels] if names and labels is not None else None),
        types=type_column,
        feature=feature,
        notes=tuple(notes),
        has_documents=any(map(_begins_document, head)),
    )
    with_quotes = layout._replace(blank_words=BLANK_WORDS)
    return with_quotes if _quotes_end_sentences(head, with_quotes) else layout


def _quotes_end_sentences(head: list[str], layout: ColumnLayout) -> bool:
    """Return whether rows of two quotes and O, empty cells of a CSV file, end sentences.

    They may also be words, so they must be frequent where no blank line ends the sentence anyway.
    """
    rows = split_rows(head, layout.separator)
    ends = sum(
        len(row) == layout.width
        and row[layout.text] == EMPTY_QUOTES
        and _ends_sentence(line, row, layout)
        and bool(before.strip(BLANK) and after.strip(BLANK))
        for before, line, row, after in zip(head, head[1:], rows[1:], head[2:], strict=False)
    )
    return ends >= max(1, MIN_SHARE_OF_ENDS * len(head))


def _begins_document(line: str) -> bool:
    """Return whether a document begins at a line."""
    return DOCUMENT_MARK.match(line) is not None or NEW_DOCUMENT.match(line) is not None


def _content(rows: list[list[str]], column: int) -> Counter[str]:
    """Return how often each value occurs in a column."""
    return Counter(row[column].strip() for row in rows)


def _text_column(
    options: ReadOptions,
    names: list[str],
    types: list[set[str] | None],
    indexed: bool,
    labels: int | None,
    numeric: set[int],
    identifying: set[int],
    blank: set[int],
) -> tuple[int, list[str]]:
    """Return the column of words, and notes if it is not the usual one.

    `types`: the entity types in each column. `labels`: the column of labels that the user asked
    for. `numeric`: the columns that hold numbers only. `identifying`: those that hold identifiers.
    `blank`: those that hold nothing.
    """
    if labels is None:
        labels = first_named(names, label_columns(options.task))
    if options.text_column is not None:
        requested = requested_column(options.text_column, names, len(types))
        assert requested is not None  # `_columns_exist` has checked it
        return requested, []
    named = first_named(names, TEXT_COLUMNS)
    if named is not None:
        return named, []
    text = 1 if indexed else 0
    if labels == text and len(types) > 1:
        return next(column for column in range(len(types)) if column != labels), []
    if len(types) == 2 and labels is None and types[0] is not None and types[1] is None:
        return 1, ["column 0 holds entity tags, so the words are in column 1"]
    no_words = numeric | identifying | blank
    if text in no_words:
        rest = (c for c in range(len(types)) if c not in no_words and c != labels)
        words = next((column for column in rest if types[column] is None), None)
        if words is not None and len(types) > 2:
            holds = "holds numbers" if text in numeric else "holds identifiers"
            holds = "is empty" if text in blank else holds
            return words, [f"column {text} {holds}, so the words are in column {words}"]
    return text, []


def _feature_of_entities(cells: Iterable[str]) -> str | None:
    """Return the feature in CoNLL-U's last column that holds entity tags, as Stanza writes it."""
    values: dict[str, Counter[str]] = {}
    for cell in cells:
        for key, value in _features(cell).items():
            values.setdefault(key, Counter())[value] += 1
    types = {key: entity_types(counts) for key, counts in values.items()}
    of_entities = sorted(
        (key for key in types if types[key] is not None), key=lambda k: not types[k]
    )
    return next(iter(of_entities), None)


def _features(cell: str) -> dict[str, str]:
    """Return the features of a cell such as ner=B-PER|SpaceAfter=No."""
    pairs = (feature.partition("=") for feature in cell.split("|"))
    return {key: value for key, separator, value in pairs if separator}


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


def _numbered_sentences(head: list[str], rows: list[list[str]], holds: str) -> str | None:
    """Describe a first column that identifies the sentences if no blank line ends them.

    `holds`: the kind of its values, "numbers" or "identifiers".
    """
    if any(not line.strip(BLANK) for line in head[:-1]) or len({row[0] for row in rows}) == 1:
        return None
    return f"column 0 holds {holds}, {quote(rows[0][0])} first, and no blank line ends a sentence"


def _rows(head: list[str]) -> list[str]:
    """Return the lines that are certainly rows, or else those that begin with a hashtag."""
    rows = [line for line in head if line.strip(BLANK) and not DOCUMENT_MARK.match(line)]
    certain = [line for line in rows if not line.startswith("#")]
    return certain or [line for line in rows if line[1:2] not in ("", " ", "\t")]


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


# --- Sentences ----------------------------------------------------------------------------------


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
            elif _ends_sentence(line, row, layout):
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
                tags = [_features(tag).get(layout.feature, "") for tag in tags]
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


def _ends_sentence(line: str, row: list[str], layout: ColumnLayout) -> bool:
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
