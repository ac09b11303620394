"""The field of labels among those of records: tags or spans, found by their content."""

from collections import Counter

from corpus.formats.column_names import SPAN_COLUMNS, label_columns
from corpus.formats.field_types import FieldTypes, objects_in
from corpus.formats.hypertext import is_hypertext_span
from corpus.formats.lists import split_at_blanks, split_tags
from corpus.formats.records import Fields
from corpus.formats.sentence import ReadOptions
from corpus.formats.spans import EDGE_KEYS, LABEL_KEYS, parsed_spans
from corpus.spellings import ENTITY_TASKS, entity_types

SAMPLE_SIZE = 50  # records in which a column of any name must hold spans
SUGGESTED = ("prediction", "predictions", "suggestion", "suggestions")  # by models, not annotators

# --- Tags ---------------------------------------------------------------------------------------


def labels_by_content(
    rows: list[Fields],
    columns: FieldTypes,
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
        if _entity_types(rows, key) and are_aligned(rows, text, key)
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


def are_aligned(rows: list[Fields], text: str, tag: str) -> bool:
    """Return whether most rows have as many tags as words."""
    pairs = [(split_at_blanks(row.get(text)), split_tags(row.get(tag))) for row in rows]
    both = [(w, t) for w, t in pairs if isinstance(w, list) and isinstance(t, list)]
    return 2 * sum(len(words) == len(tags) for words, tags in both) > len(pairs)


def are_parallel(rows: list[Fields], text: str, tag: str) -> bool:
    """Return whether two columns of strings have as many words each, and some have several."""
    pairs = [(split_at_blanks(row.get(text)), split_tags(row.get(tag))) for row in rows]
    both = [pair for pair in pairs if all(isinstance(words, list) for words in pair)]
    parallel = sum(len(words) == len(tags) for words, tags in both)
    # A single wrong row is a problem to report, not another layout.
    return parallel >= 0.9 * len(pairs) and any(len(words) > 1 for words, _ in both)


# --- Spans --------------------------------------------------------------------------------------


def fields_of_spans(rows: list[Fields], columns: FieldTypes) -> list[str]:
    """Return the columns that hold spans, whatever their names.

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
            if any(needed <= span.keys() for span in objects_in(rows, key) for needed in keys)
        ]
    return with_spans


def field_of_written_spans(rows: list[Fields], columns: FieldTypes) -> str | None:
    """Return the column of spans by its name whose cells look like lists but cannot be read."""
    key = columns.find(None, SPAN_COLUMNS, "string")
    cells = [row[key] for row in rows if isinstance(row.get(key), str) and row[key]] if key else []
    return key if cells and all(cell.lstrip()[:1] in tuple("[({") for cell in cells) else None


def only_text_of_spans(rows: list[Fields], columns: FieldTypes, spans_key: str) -> str | None:
    """Return the only column whose texts contain the texts that the spans carry.

    If the spans carry no texts, or those that a browser shows, it is the only column of strings.
    """
    carried = [
        (row, span.text)
        for row in rows[:SAMPLE_SIZE]
        for span in parsed_spans(row.get(spans_key))[0]
        if span.text is not None
    ]
    strings = [key for key, column_type in columns.types.items() if column_type == "string"]
    texts = [key for key in strings if all(text in str(row.get(key)) for row, text in carried)]
    if not carried or (not texts and any(map(is_hypertext_span, objects_in(rows, spans_key)))):
        texts = strings
    return texts[0] if len(texts) == 1 else None
