"""Records: their layout, and the checks that lists, rows and spans share."""

from typing import Any, NamedTuple

from corpus.formats.column_names import SPAN_COLUMNS, first_named, label_columns
from corpus.formats.offset_units import OffsetUnit
from corpus.formats.sentence import LayoutKind, ReadOptions
from corpus.problems import Place, Problem, ProblemKind
from support.text import quote

LISTS_EXAMPLE = '{"tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]}'

Fields = dict[str, Any]


class Fault(NamedTuple):
    """A problem of a record, without its place.

    `span`: the first character of the problem in `text`, and the one after its last.
    """

    kind: ProblemKind
    detail: str
    text: str | None = None
    span: tuple[int, int] | None = None

    def at(self, place: Place, expected: str, text: str | None = None) -> Problem:
        """Return the problem at a place. `text`: that of the record, unless the fault has one."""
        own_text = text if self.text is None else self.text
        return Problem(self.kind, place, self.detail, expected, text=own_text, span=self.span)


class Record(NamedTuple):
    """One record of a file."""

    line: int  # counted from 1; in a table, the row
    fields: Fields | None  # None: a blank row between sentences
    record_id: str | int | None = None  # if it is not among the fields
    left_out: ProblemKind | None = None  # the reason why nothing can be learned from the record
    faults: tuple[Fault, ...] = ()  # of its annotation
    part: int = 0  # the number of the paragraph, if a record of the file has several


class RecordLayout(NamedTuple):
    """The names of the fields that hold words, tags and their origin."""

    kind: LayoutKind
    text: str
    labels: str | None
    sentence: str | None  # identifies the sentence that a row belongs to
    document: str | None
    record_id: str | None
    types: str | None = None  # holds the types of tags that have none
    hypertext: bool = False  # the text may be HTML, whose spans count the characters shown
    by_line: bool = False  # each line of the text is a sentence
    joined: bool = False  # the words of a text, or its tags too, are one string each
    unit: OffsetUnit = OffsetUnit.CHARACTERS  # of the offsets of spans
    notes: tuple[str, ...] = ()  # shown to the user: what was decided by content


def missing_field(fields: Fields, layout: RecordLayout, options: ReadOptions) -> Fault | None:
    """Return a fault if a record lacks a field, or has labels that earlier records lack.

    A text without spans is a text without entities.
    """
    text, labels = layout.text, layout.labels
    required = (text,) if layout.kind is LayoutKind.TEXT or labels is None else (text, labels)
    absent = [key for key in required if fields.get(key) is None]
    if absent:
        detail = f"no {' or '.join(map(repr, absent))} in {quote(fields)}"
        return Fault(ProblemKind.MISSING_COLUMN, detail)
    if labels is None:
        late = first_named(list(fields), (*label_columns(options.task), *SPAN_COLUMNS))
        if late is not None and list(fields.values())[late] is not None:
            return Fault(ProblemKind.LATE_LABELS, quote(fields))
    return None


def lone_surrogate(text: str) -> Fault | None:
    """Return a fault if a text contains half of a surrogate pair, which UTF-8 cannot encode."""
    if text.isascii():  # a fast test
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        detail = f"{text[error.start]!r} in {quote(ascii(text))}"
        return Fault(ProblemKind.HALF_CHARACTER, detail)
    return None


def document_of(fields: Fields, layout: RecordLayout) -> str | None:
    """Return the name of the document that a record belongs to."""
    return None if layout.document is None else identifier(fields.get(layout.document))


def record_id_of(record: Record, layout: RecordLayout) -> str | None:
    """Return the identifier of a record."""
    fields, record_id = record.fields, record.record_id
    if record_id is None and layout.record_id is not None and fields is not None:
        record_id = fields.get(layout.record_id)
    return identifier(record_id)


def place_of(record: Record, layout: RecordLayout, name: str) -> Place:
    """Return the place of a record of the file `name`."""
    document = None if record.fields is None else document_of(record.fields, layout)
    return Place(name, record.line, record_id_of(record, layout), document)


def identifier(value: object) -> str | None:
    """Return a value as a string; None if it is None, empty, or cannot be encoded as UTF-8."""
    if value is None or value == "":
        return None
    text = str(value)
    return text if text.isascii() or not lone_surrogate(text) else None
