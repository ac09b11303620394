"""The layout of records: which fields hold words, tags and spans."""

from corpus.formats.blank_words import is_blank_row
from corpus.formats.column_names import (
    DOCUMENT_COLUMNS,
    DOCUMENT_NAME,
    RECORD_ID_COLUMNS,
    SENTENCE_COLUMNS,
    SPAN_COLUMNS,
    TEXT_COLUMNS,
    first_named,
    label_columns,
)
from corpus.formats.field_types import FieldTypes, objects_in
from corpus.formats.foreign import foreign_object
from corpus.formats.hypertext import is_hypertext_span
from corpus.formats.label_column import column_of_types, types_note
from corpus.formats.label_field import (
    are_aligned,
    are_parallel,
    field_of_written_spans,
    fields_of_spans,
    labels_by_content,
    only_text_of_spans,
)
from corpus.formats.records import LISTS_EXAMPLE, Fields, Record, RecordLayout, place_of
from corpus.formats.rows import ROWS_EXAMPLE
from corpus.formats.sentence import LayoutKind, ReadOptions
from corpus.formats.spans import EDGE_KEYS, SPANS_EXAMPLE
from corpus.problems import Place, Problem, ProblemKind, Problems
from corpus.schemes import is_entity_tag
from corpus.spellings import ENTITY_TASKS
from support.text import quote

COLUMNS_EXPECTED = (
    f"{LISTS_EXAMPLE}. Columns with other names: --text_column_name and --label_column_name"
)


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
    columns = FieldTypes(rows)
    tags = label_columns(options.task)
    words = columns.find(options.text_column, TEXT_COLUMNS, "strings", "empty")
    labels = columns.find(options.label_column, tags, "strings", "integers", "empty")
    raw_text = columns.find(options.text_column, (*TEXT_COLUMNS, "data"), "string")  # doccano
    spans = columns.find(options.label_column, SPAN_COLUMNS, "spans")
    spans = spans or columns.find(options.label_column, SPAN_COLUMNS, "empty")
    if spans is not None and columns.types[spans] not in ("spans", "empty"):
        spans = None
    span_fields: list[str] = []
    if spans is None and labels is None and options.label_column is None:
        span_fields = fields_of_spans(rows, columns)
        spans = span_fields[0] if len(span_fields) == 1 else field_of_written_spans(rows, columns)
    no_text = raw_text is None and words is None and options.text_column is None
    if (
        no_text
        and spans is not None
        and (columns.types[spans] == "spans" or not columns.having("spans", "other"))
    ):
        raw_text = only_text_of_spans(rows, columns, spans)
    if spans is not None and labels is not None and options.label_column is None:
        texts = [key for key in (words, raw_text) if key is not None]
        of_texts = columns.types[labels] == "strings" and columns.types[spans] == "spans"
        if of_texts and not any(are_aligned(rows, key, labels) for key in texts):
            labels = None  # classes of the whole text
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
        if len(span_fields) > 1:
            listed = ", ".join(map(repr, span_fields))
            missing = [
                f"several columns hold spans ({listed}), and none has a usual name for texts"
            ]
            expected = "--text_column_name, and --label_column_name with one of them"
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
    labels, notes = labels_by_content(rows, columns, text, labels, spans, options)
    tags = tags if labels is None else (labels.lower(), *tags)
    document = _document_field(columns, text)
    record_id = columns.find(None, RECORD_ID_COLUMNS, "string", "integer")
    layout = RecordLayout(
        LayoutKind.LISTS, text, labels, None, document, record_id, notes=tuple(notes)
    )
    if columns.types[text] != "string":
        return _with_types(layout, rows, columns, options)
    if labels is not None and columns.types[labels] in ("strings", "integers"):
        return layout._replace(joined=True)
    if spans is not None:
        hypertext = any(map(is_hypertext_span, objects_in(rows, spans)))
        return layout._replace(kind=LayoutKind.TEXT, labels=spans, hypertext=hypertext)
    tag = columns.find(options.label_column, tags, "string", "integer")
    sentence = columns.find(None, SENTENCE_COLUMNS, "string", "integer", "float")
    blank = any(is_blank_row(row.get(text), None if tag is None else row.get(tag)) for row in rows)
    grouped = sentence not in (None, text) or len(rows) < len(head) or (blank and tag is not None)
    if grouped and (tag is not None or not any(" " in str(row.get(text)) for row in rows)):
        layout = layout._replace(kind=LayoutKind.ROWS, labels=tag, sentence=sentence)
        return _with_types(layout, rows, columns, options)
    if tag is None:
        return layout._replace(kind=LayoutKind.TEXT)
    if are_parallel(rows, text, tag):
        return layout._replace(labels=tag, joined=True)
    if all(any(key in columns.types for key in keys) for keys in EDGE_KEYS):
        detail = f"one span in each row: {quote(rows[0])}"
        expected = f"the spans of a text together: {SPANS_EXAMPLE}"
        problems.add(Problem(ProblemKind.FOREIGN_FORMAT, place, detail, expected))
        return None
    detail = f"{text!r} and {tag!r} hold one string each, and no column identifies the sentences"
    expected = f"{LISTS_EXAMPLE} in each row, or {ROWS_EXAMPLE}"
    problems.add(Problem(ProblemKind.NO_SUCH_COLUMN, place, detail, expected))
    return None


def _with_types(
    layout: RecordLayout, rows: list[Fields], columns: FieldTypes, options: ReadOptions
) -> RecordLayout:
    """Return the layout with the column of entity types, if the tags have no types."""
    labels = layout.labels
    if labels is None or options.label_column is not None or options.task not in ENTITY_TASKS:
        return layout
    in_lists = layout.kind is LayoutKind.LISTS
    others = {layout.text, labels, layout.sentence, layout.document}
    keys = [key for key in columns.having("strings" if in_lists else "string") if key not in others]
    words = [row for row in rows if not is_blank_row(row.get(layout.text), row.get(labels))]
    if in_lists:  # to one row for each word
        words = [
            dict(zip((layout.text, labels, *keys), values, strict=True))
            for row in rows
            for values in zip(
                *(row.get(key) or () for key in (layout.text, labels, *keys)), strict=False
            )
        ]
    content = {key: [row.get(key) for row in words] for key in keys}
    tags, texts = ([row.get(key) for row in words] for key in (labels, layout.text))
    types = column_of_types(tags, content, texts)
    if types is None:
        return layout
    note = types_note(repr(types), repr(labels))
    return layout._replace(types=types, notes=(*layout.notes, note))


def _document_field(columns: FieldTypes, text: str) -> str | None:
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
