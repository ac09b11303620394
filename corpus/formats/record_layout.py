"""The layout of records: which fields hold words, tags and spans, and which reader fits."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from corpus.formats.blank_words import is_blank_row
from corpus.formats.column_names import (
    DOCUMENT_COLUMNS,
    HEAD_SIZE,
    RECORD_ID_COLUMNS,
    SENTENCE_COLUMNS,
    SPAN_COLUMNS,
    TEXT_COLUMNS,
    first_named,
    label_columns,
    requested_column,
)
from corpus.formats.lists import read_lists
from corpus.formats.records import LISTS_EXAMPLE, Fields, Record, RecordLayout
from corpus.formats.rows import ROWS_EXAMPLE, read_rows
from corpus.formats.sentence import UNREADABLE, LayoutKind, OpenedSource, ReadOptions
from corpus.formats.spans import read_spans
from corpus.problems import Place, Problem, ProblemKind, Problems

READERS = {
    LayoutKind.LISTS: read_lists,
    LayoutKind.ROWS: read_rows,
    LayoutKind.TEXT: read_spans,
}
DESCRIPTIONS = {
    LayoutKind.LISTS: "words from",
    LayoutKind.ROWS: "one word per row from",
    LayoutKind.TEXT: "text from",
}


def open_records(
    records: Iterable[Record],
    options: ReadOptions,
    problems: Problems,
    name: str,
    names_of: Mapping[str, list[str]] | None = None,
) -> OpenedSource:
    """Open records of any layout.

    `names_of`: the names of integer labels by column, if a table stores them.
    """
    records = iter(records)
    head = list(itertools.islice(records, HEAD_SIZE))
    layout = find_record_layout(head, options, problems, name)
    if layout is None:
        for _ in records:  # read on, to report every line that is not a record
            pass
        return UNREADABLE
    sentences = READERS[layout.kind](
        itertools.chain(head, records), layout, options, problems, name
    )
    description = f"{DESCRIPTIONS[layout.kind]} {layout.text!r}"
    label_names = None
    if layout.labels is not None:
        tags = "spans" if layout.kind is LayoutKind.TEXT else "tags"
        description += f", {tags} from {layout.labels!r}"
        label_names = (names_of or {}).get(layout.labels)
    return OpenedSource(
        sentences,
        layout.kind,
        description,
        layout.labels is not None,
        label_names,
        label_column=layout.labels,
    )


def find_record_layout(
    head: list[Record], options: ReadOptions, problems: Problems, name: str
) -> RecordLayout | None:
    """Return the layout of the first records; if there is none, report it and return None."""
    rows = [record.fields for record in head if record.fields is not None]
    if not rows:
        if not problems.concern(name):  # otherwise the file is unreadable, not empty
            problem = Problem(
                ProblemKind.NO_SENTENCE, Place(name), "the file has no records", LISTS_EXAMPLE
            )
            problems.add(problem)
        return None
    columns = _Columns(rows)
    tags = label_columns(options.task)
    words = columns.find(options.text_column, TEXT_COLUMNS, "strings", "empty")
    labels = columns.find(options.label_column, tags, "strings", "integers", "empty")
    raw_text = columns.find(options.text_column, TEXT_COLUMNS, "string")
    spans = columns.find(options.label_column, SPAN_COLUMNS, "spans", "empty")
    if spans is not None and columns.types[spans] not in ("spans", "empty"):
        spans = None
    only_spans = spans is not None and labels in (None, spans)
    text = raw_text if raw_text is not None and (words is None or only_spans) else words
    missing = [
        f"no column {requested!r}"
        for requested, column in ((options.text_column, text), (options.label_column, labels))
        if requested is not None and column is None
    ]
    if text is None and not missing:
        missing = ["no column with words"]
    place = Place(name, head[0].line)
    for lacking in missing:
        detail = f"{lacking}; the columns are {', '.join(map(repr, columns.types))}"
        problems.add(Problem(ProblemKind.NO_SUCH_COLUMN, place, detail, LISTS_EXAMPLE))
    if text is None or missing:
        return None
    document = columns.find(None, DOCUMENT_COLUMNS, "string", "integer")
    record_id = columns.find(None, RECORD_ID_COLUMNS, "string", "integer")
    if columns.types[text] != "string":
        return RecordLayout(LayoutKind.LISTS, text, labels, None, document, record_id)
    if spans is not None:
        return RecordLayout(LayoutKind.TEXT, text, spans, None, document, record_id)
    tag = columns.find(options.label_column, tags, "string", "integer")
    sentence = columns.find(None, SENTENCE_COLUMNS, "string", "integer")
    blank = any(is_blank_row(row.get(text), None if tag is None else row.get(tag)) for row in rows)
    grouped = sentence not in (None, text) or len(rows) < len(head) or (blank and tag is not None)
    if grouped and (tag is not None or not any(" " in str(row.get(text)) for row in rows)):
        return RecordLayout(LayoutKind.ROWS, text, tag, sentence, document, record_id)
    if tag is None:
        return RecordLayout(LayoutKind.TEXT, text, None, None, document, record_id)
    detail = f"{text!r} and {tag!r} hold one string each, and no column identifies the sentences"
    expected = f"{LISTS_EXAMPLE} in each row, or {ROWS_EXAMPLE}"
    problems.add(Problem(ProblemKind.NO_SUCH_COLUMN, place, detail, expected))
    return None


class _Columns:
    """The columns of some records, and the type of the values in each."""

    def __init__(self, rows: list[Fields]):
        keys = dict.fromkeys(itertools.chain(*rows))
        self.types = {key: _type_of_column(rows, key) for key in keys}

    def find(self, requested: str | None, candidates: Iterable[str], *types: str) -> str | None:
        """Return the requested column, or else the first candidate of one of the types."""
        columns = list(self.types)
        if requested is not None:
            position = requested_column(requested, columns, len(columns))
        else:
            columns = [key for key in columns if self.types[key] in types]
            position = first_named(columns, candidates)
        return None if position is None else columns[position]


def _type_of_column(rows: list[Fields], key: str) -> str | None:
    """Return the type of most values; "empty" if all lists are empty, None without values."""
    types = Counter(_type_of_value(row.get(key)) for row in rows)
    del types[None]
    empty = types.pop("empty", 0)
    return types.most_common(1)[0][0] if types else "empty" if empty else None


def _type_of_value(value: Any) -> str | None:
    """Return the type of a value or of the first element of a list; None for no value."""
    if isinstance(value, list):
        if not value:
            return "empty"
        return {str: "strings", int: "integers", dict: "spans", list: "spans"}.get(
            type(value[0]), "other"
        )
    return {type(None): None, str: "string", int: "integer"}.get(type(value), "other")
