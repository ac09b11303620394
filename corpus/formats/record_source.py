"""Records of any layout, read, converted, and yielded as sentences."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from corpus.formats.cells import with_values
from corpus.formats.column_names import HEAD_SIZE, SPAN_COLUMNS, first_named
from corpus.formats.exports import records_of_exports
from corpus.formats.field_types import type_of_value
from corpus.formats.lists import read_lists
from corpus.formats.offset_units import OffsetUnit
from corpus.formats.record_layout import find_record_layout
from corpus.formats.records import Record, RecordLayout, place_of
from corpus.formats.rows import read_rows
from corpus.formats.sentence import UNREADABLE, LayoutKind, OpenedSource, ReadOptions
from corpus.formats.spans import find_unit, parsed_spans, read_spans
from corpus.problems import TITLES, Place, Problem, ProblemKind, Problems
from corpus.words import word_splitter
from support.text import quote

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
    read: Callable[[Problems], Iterable[Record]],
    options: ReadOptions,
    problems: Problems,
    name: str,
    names_of: Mapping[str, list[str]] | None = None,
    layout: RecordLayout | None = None,
) -> OpenedSource:
    """Open records of any layout.

    `read` returns all records, and adds to the problems that it is given. Spans are read twice, to
    find the unit of their offsets. `names_of`: the names of integer labels by column, if a table
    stores them. `layout`: detected by default.
    """

    def converted(target: Problems) -> Iterator[Record]:
        return records_of_exports(with_values(read(target)))

    records = converted(problems)
    head = list(itertools.islice(records, HEAD_SIZE))
    layout = layout or find_record_layout(head, options, problems, name)
    if layout is not None and len(head) == HEAD_SIZE and _may_have_spans_later(layout, options):
        late = _first_with_spans(converted(Problems()))
        layout = find_record_layout([*head, *late], options, problems, name) if late else layout
    if layout is not None and layout.kind is LayoutKind.TEXT and layout.labels is not None:
        unit, misfit = find_unit(
            lambda: converted(Problems()), layout, word_splitter(options.word_splitter)
        )
        layout = layout._replace(unit=unit)
        if misfit:
            expected = "offsets in one unit. Convert them, or correct those that do not fit"
            problems.add(Problem(ProblemKind.OFFSET_UNIT, Place(name), misfit, expected))
            layout = None
    if layout is None:
        for _ in records:  # read on, to report every line that is not a record
            pass
        return UNREADABLE
    all_records: Iterable[Record] = itertools.chain(head, records)
    if layout.kind is not LayoutKind.ROWS:
        all_records = _annotated(all_records, layout, problems, name)
    sentences = READERS[layout.kind](all_records, layout, options, problems, name)
    description = f"{DESCRIPTIONS[layout.kind]} {layout.text!r}"
    if layout.joined:
        description += ", separated by blanks"
    label_names = None
    if layout.labels is not None:
        tags = "spans" if layout.kind is LayoutKind.TEXT else "tags"
        description += f", {tags} from {layout.labels!r}"
        label_names = (names_of or {}).get(layout.labels)
    if layout.unit is not OffsetUnit.CHARACTERS:
        description += f", whose offsets count {layout.unit}"
    return OpenedSource(
        sentences,
        layout.kind,
        description,
        layout.labels is not None,
        label_names,
        label_column=layout.labels,
        notes=layout.notes,
    )


def _may_have_spans_later(layout: RecordLayout, options: ReadOptions) -> bool:
    """Return whether the first records are texts without entities, or without labels."""
    without_labels = layout.kind is LayoutKind.TEXT and layout.labels is None
    return without_labels and options.needs_labels and options.label_column is None


def _first_with_spans(records: Iterable[Record]) -> list[Record]:
    """Return the first record with spans, alone in a list; an empty list if there is none."""
    for record in records:
        fields = record.fields or {}
        named = first_named(list(fields), SPAN_COLUMNS)
        value = None if named is None else list(fields.values())[named]
        if record.left_out is None and type_of_value(value) == "spans" and parsed_spans(value)[0]:
            return [record]
    return []


def _annotated(
    records: Iterable[Record], layout: RecordLayout, problems: Problems, name: str
) -> Iterator[Record]:
    """Yield the records that somebody has annotated; count the others.

    A file without annotated records is a problem.
    """
    left_out: Counter[ProblemKind] = Counter()
    any_kept = False
    for record in records:
        if record.left_out is None:
            any_kept = True
            yield record
        else:
            left_out[record.left_out] += 1
            detail = quote(record.fields)
            place = place_of(record, layout, name)
            text = record.fields.get(layout.text) if record.fields else None
            text = text if isinstance(text, str) else None
            problems.warnings.add(Problem(record.left_out, place, detail, text=text))
    if left_out and not any_kept:
        detail = "; ".join(f"{TITLES[kind]}: {count:,}" for kind, count in left_out.items())
        expected = "at least one annotated record"
        problems.add(Problem(ProblemKind.NO_SENTENCE, Place(name), detail, expected))
