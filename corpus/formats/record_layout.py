"""The layout of records: which fields hold words, tags and spans, and which reader fits."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from corpus.formats.blank_words import is_blank_row
from corpus.formats.cells import with_values
from corpus.formats.column_names import (
    DOCUMENT_COLUMNS,
    DOCUMENT_NAME,
    HEAD_SIZE,
    RECORD_ID_COLUMNS,
    SENTENCE_COLUMNS,
    SPAN_COLUMNS,
    TEXT_COLUMNS,
    first_named,
    label_columns,
    requested_column,
)
from corpus.formats.exports import records_of_exports
from corpus.formats.foreign import foreign_object
from corpus.formats.hypertext import is_hypertext_span
from corpus.formats.lists import read_lists, split_at_blanks, split_tags
from corpus.formats.offset_units import OffsetUnit
from corpus.formats.records import LISTS_EXAMPLE, Fields, Record, RecordLayout, place_of
from corpus.formats.rows import ROWS_EXAMPLE, read_rows
from corpus.formats.sentence import UNREADABLE, LayoutKind, OpenedSource, ReadOptions
from corpus.formats.spans import (
    EDGE_KEYS,
    LABEL_KEYS,
    SPANS_EXAMPLE,
    find_unit,
    parsed_spans,
    read_spans,
)
from corpus.problems import TITLES, Place, Problem, ProblemKind, Problems
from corpus.schemes import is_entity_tag
from corpus.spellings import ENTITY_TASKS, entity_types
from corpus.words import word_splitter
from support.text import quote

COLUMNS_EXPECTED = (
    f"{LISTS_EXAMPLE}. Columns with other names: --text_column_name and --label_column_name"
)
SAMPLE_SIZE = 50  # records in which a column of any name must hold spans
SUGGESTED = ("prediction", "predictions", "suggestion", "suggestions")  # not by annotators

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

    `read` returns the records from the first one on, and adds to the problems that it is given;
    spans are read twice, to find the unit of their offsets. `names_of`: the names of integer labels
    by column, if a table stores them. `layout`: found if it is not given.
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
        if record.left_out is None and _type_of_value(value) == "spans" and parsed_spans(value)[0]:
            return [record]
    return []


def _annotated(
    records: Iterable[Record], layout: RecordLayout, problems: Problems, name: str
) -> Iterator[Record]:
    """Yield the records that somebody has annotated; report the others.

    If there are only others, that is a problem.
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


def find_record_layout(
    head: list[Record], options: ReadOptions, problems: Problems, name: str
) -> RecordLayout | None:
    """Return the layout of the first records; if there is none, report it and return None.

    Labels that cannot be tags or spans of the texts or words are reported, too.
    """
    layout = _find_layout(head, options, problems, name)
    if layout is None or layout.labels is not None or not options.needs_labels:
        return layout
    names = (*label_columns(options.task), *SPAN_COLUMNS)
    for record in head:
        fields = record.fields or {}
        position = first_named(list(fields), names)
        key, value = ("", None) if position is None else list(fields.items())[position]
        if record.left_out is None and value not in (None, "", [], {}):
            words = "a list of words" if layout.kind is LayoutKind.LISTS else "a text"
            detail = f"{key!r} of {words} is {quote(value)}"
            expected = LISTS_EXAMPLE if layout.kind is LayoutKind.LISTS else SPANS_EXAMPLE
            problems.add(
                Problem(ProblemKind.LABEL_FORM, place_of(record, layout, name), detail, expected)
            )
            return None
    return layout


def _find_layout(
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
    raw_text = columns.find(options.text_column, (*TEXT_COLUMNS, "data"), "string")  # doccano
    spans = columns.find(options.label_column, SPAN_COLUMNS, "spans", "empty")
    if spans is not None and columns.types[spans] not in ("spans", "empty"):
        spans = None
    if spans is None and labels is None and options.label_column is None:
        spans = _only_column_of_spans(rows, columns) or _column_of_written_spans(rows, columns)
    if raw_text is None and words is None and spans is not None and options.text_column is None:
        raw_text = _only_text_of_spans(rows, columns, spans)
    only_spans = spans is not None and labels in (None, spans)
    text = raw_text if raw_text is not None and (words is None or only_spans) else words
    missing = [
        f"no column {requested!r}"
        for requested, column in ((options.text_column, text), (options.label_column, labels))
        if requested is not None and column is None
    ]
    expected = LISTS_EXAMPLE
    if text is None and not missing:
        missing, expected = ["no column with words"], COLUMNS_EXPECTED
        if any(map(is_entity_tag, columns.types)):
            missing, expected = ["the first row is not a header"], ROWS_EXAMPLE
    place = Place(name, head[0].line)
    if missing and (foreign := foreign_object(rows[0])) is not None:
        problems.add(Problem(ProblemKind.FOREIGN_FORMAT, place, *foreign))
        return None
    for lacking in missing:
        detail = f"{lacking}; the columns are {', '.join(map(repr, columns.types))}"
        problems.add(Problem(ProblemKind.NO_SUCH_COLUMN, place, detail, expected))
    if text is None or missing:
        return None
    labels, notes = _labels_by_content(rows, columns, text, labels, spans, options)
    tags = tags if labels is None else (labels.lower(), *tags)
    document = _document_column(columns, text)
    record_id = columns.find(None, RECORD_ID_COLUMNS, "string", "integer")
    layout = RecordLayout(
        LayoutKind.LISTS, text, labels, None, document, record_id, notes=tuple(notes)
    )
    if columns.types[text] != "string":
        return layout
    if labels is not None and columns.types[labels] in ("strings", "integers"):
        return layout._replace(joined=True)
    if spans is not None:
        hypertext = any(map(is_hypertext_span, _dicts(rows, spans)))
        return layout._replace(kind=LayoutKind.TEXT, labels=spans, hypertext=hypertext)
    tag = columns.find(options.label_column, tags, "string", "integer")
    sentence = columns.find(None, SENTENCE_COLUMNS, "string", "integer")
    blank = any(is_blank_row(row.get(text), None if tag is None else row.get(tag)) for row in rows)
    grouped = sentence not in (None, text) or len(rows) < len(head) or (blank and tag is not None)
    if grouped and (tag is not None or not any(" " in str(row.get(text)) for row in rows)):
        return layout._replace(kind=LayoutKind.ROWS, labels=tag, sentence=sentence)
    if tag is None:
        return layout._replace(kind=LayoutKind.TEXT)
    if _are_parallel(rows, text, tag):
        return layout._replace(labels=tag, joined=True)
    detail = f"{text!r} and {tag!r} hold one string each, and no column identifies the sentences"
    expected = f"{LISTS_EXAMPLE} in each row, or {ROWS_EXAMPLE}"
    problems.add(Problem(ProblemKind.NO_SUCH_COLUMN, place, detail, expected))
    return None


def _document_column(columns: "_Columns", text: str) -> str | None:
    """Return the column that names the documents: doc_id and the like, or article_id."""
    named = columns.find(None, DOCUMENT_COLUMNS, "string", "integer")
    if named not in (None, text):
        return named
    return next(
        (
            key
            for key, column_type in columns.types.items()
            if key != text and column_type in ("string", "integer") and DOCUMENT_NAME.fullmatch(key)
        ),
        None,
    )


def _labels_by_content(
    rows: list[Fields],
    columns: "_Columns",
    text: str,
    labels: str | None,
    spans: str | None,
    options: ReadOptions,
) -> tuple[str | None, list[str]]:
    """Return the column of labels, and notes if its content decided.

    If the column with a usual name holds no entity tags, or if there is none, it is the first
    column that does hold some, one for each word of `text`.
    """
    asked = options.label_column is not None or not options.needs_labels
    if asked or options.task not in ENTITY_TASKS or spans is not None:
        return labels, []
    if labels is None:  # one tag in each row has the type of a string
        labels = columns.find(None, label_columns(options.task), "string", "integer")
    if labels is not None and _entity_types(rows, labels) is not None:
        return labels, []
    if labels is not None and columns.types[labels] in ("integers", "integer"):
        return labels, []
    candidates = [
        key
        for key, column_type in columns.types.items()
        if column_type in ("strings", "string") and key not in (text, labels)
        if _entity_types(rows, key) and _are_aligned(rows, text, key)
    ]
    if not candidates:
        return labels, []
    chosen, *layers = candidates
    usual = "no column has a usual name" if labels is None else f"{labels!r} holds no such tags"
    notes = [
        f"{options.task} tags are in {chosen!r} ({usual}); another column: --label_column_name"
    ]
    if layers:
        notes.append(
            f"entity tags are also in {', '.join(map(repr, layers))}; {chosen!r} is the first"
        )
    return chosen, notes


def _entity_types(rows: list[Fields], key: str) -> set[str] | None:
    """Return the entity types in a column of tags; None if it does not hold entity tags."""
    values = (split_tags(row.get(key)) for row in rows)
    return entity_types(
        Counter(tag for tags in values if isinstance(tags, list) for tag in map(str, tags) if tag)
    )


def _are_aligned(rows: list[Fields], text: str, tag: str) -> bool:
    """Return whether most rows have as many tags as words."""
    pairs = [(split_at_blanks(row.get(text)), split_tags(row.get(tag))) for row in rows]
    both = [(w, t) for w, t in pairs if isinstance(w, list) and isinstance(t, list)]
    return 2 * sum(len(words) == len(tags) for words, tags in both) > len(pairs)


def _only_column_of_spans(rows: list[Fields], columns: "_Columns") -> str | None:
    """Return the only column that holds spans, whatever its name; None if several do, or none.

    Spans that cannot be read, such as those with numbers for labels, count if there are no others.
    """
    candidates = [
        key
        for key, column_type in columns.types.items()
        if column_type == "spans" and key.lower() not in SUGGESTED
    ]
    with_spans = []
    for key in candidates:
        parsed = [parsed_spans(row[key]) for row in rows[:SAMPLE_SIZE] if row.get(key)]
        if parsed and all(spans and not faults for spans, faults in parsed):
            with_spans.append(key)
    if not with_spans:
        keys = [{label, start} for label in LABEL_KEYS for start in EDGE_KEYS[0]]
        with_spans = [
            key
            for key in candidates
            if any(needed <= span.keys() for span in _dicts(rows, key) for needed in keys)
        ]
    return with_spans[0] if len(with_spans) == 1 else None


def _column_of_written_spans(rows: list[Fields], columns: "_Columns") -> str | None:
    """Return the column of spans by its name whose cells look like lists but cannot be read."""
    key = columns.find(None, SPAN_COLUMNS, "string")
    cells = [row[key] for row in rows if isinstance(row.get(key), str) and row[key]] if key else []
    return key if cells and all(cell.lstrip()[:1] in tuple("[({") for cell in cells) else None


def _only_text_of_spans(rows: list[Fields], columns: "_Columns", spans_key: str) -> str | None:
    """Return the only column whose texts contain the texts that the spans carry.

    If the spans carry none, or what a browser shows, the texts are in the only column of strings.
    """
    carried = [
        (row, span.text)
        for row in rows[:SAMPLE_SIZE]
        for span in parsed_spans(row.get(spans_key))[0]
        if span.text is not None
    ]
    strings = [key for key, column_type in columns.types.items() if column_type == "string"]
    texts = [key for key in strings if all(text in str(row.get(key)) for row, text in carried)]
    if not carried or (not texts and any(map(is_hypertext_span, _dicts(rows, spans_key)))):
        texts = strings
    return texts[0] if len(texts) == 1 else None


def _are_parallel(rows: list[Fields], text: str, tag: str) -> bool:
    """Return whether two columns of strings have as many words each, and some have several."""
    pairs = [(split_at_blanks(row.get(text)), split_tags(row.get(tag))) for row in rows]
    both = [pair for pair in pairs if all(isinstance(words, list) for words in pair)]
    parallel = sum(len(words) == len(tags) for words, tags in both)
    # A row may be wrong: that is a problem to report, not another layout.
    return parallel >= 0.9 * len(pairs) and any(len(words) > 1 for words, _ in both)


def _dicts(rows: list[Fields], key: str) -> Iterator[Fields]:
    """Yield the objects in the lists of a column."""
    for row in rows:
        values = row.get(key)
        yield from (v for v in values if isinstance(v, dict)) if isinstance(values, list) else ()


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
    """Return the type of most values; "empty" if all lists are empty, None without values.

    Empty strings may stand for missing values, and count only if there is nothing else.
    """
    types = Counter(_type_of_value(row.get(key)) for row in rows)
    del types[None]
    for rest in ("empty", "empty string"):
        if types.pop(rest, 0) and not types:
            return "empty" if rest == "empty" else "string"
    return types.most_common(1)[0][0] if types else None


def _type_of_value(value: Any) -> str | None:
    """Return the type of a value or of the first element of a list; None for no value."""
    if value == "":
        return "empty string"
    if isinstance(value, dict) and len(value) == 1:  # spaCy's {"entities": [...]}
        (inner,) = value.values()
        return _type_of_value(inner) if isinstance(inner, list) else "other"
    if isinstance(value, list):
        if not value:
            return "empty"
        return {str: "strings", int: "integers", dict: "spans", list: "spans"}.get(
            type(value[0]), "other"
        )
    return {type(None): None, str: "string", int: "integer"}.get(type(value), "other")
