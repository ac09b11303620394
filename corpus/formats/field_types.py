"""The types of the values in the fields of records."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from corpus.formats.column_names import first_named, requested_column
from corpus.formats.records import Fields


class FieldTypes:
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

    def having(self, *types: str) -> list[str]:
        """Return the columns whose type is one of these."""
        return [key for key, column_type in self.types.items() if column_type in types]


def _type_of_column(rows: list[Fields], key: str) -> str | None:
    """Return the type of most values; "empty" if all lists are empty, None without values.

    Empty strings may stand for missing values, and count only if there are no other values.
    """
    types = Counter(type_of_value(row.get(key)) for row in rows)
    del types[None]
    for rest in ("empty", "empty string"):
        if types.pop(rest, 0) and not types:
            return "empty" if rest == "empty" else "string"
    return types.most_common(1)[0][0] if types else None


def type_of_value(value: Any) -> str | None:
    """Return the type of a value or of the first element of a list; None for no value."""
    if value == "":
        return "empty string"
    if isinstance(value, float) and value != value:  # NaN, as Python writes a missing value
        return None
    if isinstance(value, dict) and len(value) == 1:  # spaCy's {"entities": [...]}
        (inner,) = value.values()
        return type_of_value(inner) if isinstance(inner, list) else "other"
    if isinstance(value, list):
        if not value:
            return "empty"
        return {str: "strings", int: "integers", dict: "spans", list: "spans"}.get(
            type(value[0]), "other"
        )
    return {type(None): None, str: "string", int: "integer", float: "float"}.get(
        type(value), "other"
    )


def objects_in(rows: list[Fields], key: str) -> Iterator[Fields]:
    """Yield the objects in the lists of a column."""
    for row in rows:
        values = row.get(key)
        yield from (v for v in values if isinstance(v, dict)) if isinstance(values, list) else ()
