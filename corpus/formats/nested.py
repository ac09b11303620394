"""Records of documents: a list of texts or sentences, each with its own annotation."""

from collections.abc import Iterator
from typing import Any

from corpus.formats.column_names import TEXT_COLUMNS
from corpus.formats.records import Fields, Record


def parts_of(fields: Fields) -> list[Fields] | None:
    """Return the annotated texts or sentences of a record that itself has no text and no spans.

    Several lists of them, such as two splits, are not one document.
    """
    has_text = any(_holds_text(fields.get(key)) for key in TEXT_COLUMNS)
    if has_text or any(map(_are_spans, fields.values())):
        return None
    if len(fields) > 1 and _are_parts(list(fields.values())):  # records by their identifier
        return [{"id": key, **part} for key, part in fields.items()]
    lists = list(filter(_are_parts, fields.values()))
    return lists[0] if len(lists) == 1 else None


def records_of_parts(record: Record, parts: list[Fields]) -> Iterator[Record]:
    """Yield a record for each part, with the strings and numbers of the whole record added."""
    fields: Fields = record.fields or {}
    shared = {key: value for key, value in fields.items() if isinstance(value, str | int)}
    for number, part in enumerate(parts):
        yield record._replace(fields={**shared, **part}, part=number)


def _are_spans(value: Any) -> bool:
    return isinstance(value, list) and any(map(_is_span, value))


def _is_span(value: Any) -> bool:
    if isinstance(value, list):
        return list(map(type, value[:3])) == [int, int, str]
    return isinstance(value, dict) and "start" in value


def _are_parts(value: Any) -> bool:
    parts = isinstance(value, list) and bool(value) and all(map(_has_text, value))
    return parts and any(map(_is_annotated, value))


def _has_text(part: Any) -> bool:
    return isinstance(part, dict) and any(_holds_text(part.get(key)) for key in TEXT_COLUMNS)


def _is_annotated(part: Fields) -> bool:
    """Return whether a part may hold spans, or tags of its words; not only numbers of a text."""
    lists = [v for key, v in part.items() if key not in TEXT_COLUMNS and isinstance(v, list)]
    spans = [v for v in part.values() if isinstance(v, dict)]  # a list for each of their keys
    lists += [v for by_key in spans for v in by_key.values() if isinstance(v, list)]
    has_words = any(isinstance(part.get(key), list) for key in TEXT_COLUMNS)
    return any(has_words or not v or not isinstance(v[0], int | float) for v in lists)


def _holds_text(value: Any) -> bool:
    first = next(iter(value), None) if isinstance(value, list) else value
    return isinstance(first, str)
