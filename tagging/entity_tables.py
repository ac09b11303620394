"""Tables of entities, as CSV or parquet: a row for each entity, with the fields of its record."""

import base64
import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from support.errors import UserError
from support.text import quote
from tagging.chunks import TaggedItem

NUMBER, TEXT, SOURCE = "text_number", "text", "file"
# Columns of the table, by the keys of an entity, and of a word.
ENTITY_COLUMNS = {
    "entity": "word",
    "entity_type": "entity_group",
    "entity_score": "score",
    "entity_start": "start",
    "entity_end": "end",
}
WORD_COLUMNS = {
    "word": "word",
    "tag": "tag",
    "tag_score": "score",
    "word_start": "start",
    "word_end": "end",
}
POSITIONS = frozenset((NUMBER, "entity_start", "entity_end", "word_start", "word_end"))
SCORES = frozenset(("entity_score", "tag_score"))
HEAD_TEXTS = 1000  # texts whose fields are columns, where the input has an end
ROW_GROUP = 10_000
FORMULA = re.compile(r"[=+\-@\t\r]")  # how a cell begins that a spreadsheet may compute
PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")


def own_columns(result: Iterable[str], with_source: bool = False) -> list[str]:
    """Return the columns beside the fields of the records, for the keys of a result."""
    return [
        *([SOURCE] if with_source else ()),
        *(NUMBER, TEXT),
        *(ENTITY_COLUMNS if "entities" in result else ()),
        *(WORD_COLUMNS if "words" in result else ()),
    ]


class EntityTable:
    """The rows of tagged texts; the first texts decide the columns.

    A text has one row for each entity, then one for each word if there are words; without either,
    one row. `head_texts`: the number of texts whose fields are columns. `done`: the number of texts
    that an interrupted job has written, with these `columns`. Iterating raises UserError for a
    later text with another field.
    """

    def __init__(
        self,
        items: Iterable[TaggedItem],
        head_texts: int,
        with_source: bool,
        done: int = 0,
        columns: Sequence[str] = (),
    ):
        self._items, self._with_source, self.done = iter(items), with_source, done
        self._head = [] if done else list(itertools.islice(self._items, head_texts))
        if done:
            self.columns = list(columns)
            return
        own = own_columns(self._head[0].result if self._head else ("entities",), with_source)
        fields = dict.fromkeys(key for item in self._head for key in item.fields if key not in own)
        after = own.index(TEXT)
        self.columns = [*own[:after], *fields, *own[after:]]

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of each text."""
        known = set(self.columns)
        for number, item in enumerate(itertools.chain(self._head, self._items), self.done + 1):
            if unknown := item.fields.keys() - known:
                first = f"the first {len(self._head):,}" if self._head else "the first"
                raise UserError(
                    f"text {number:,}: the fields of a table are those of {first} "
                    f"texts: got {', '.join(map(quote, sorted(unknown)))} too. "
                    "Write JSON Lines: --output_format jsonl"
                )
            shared = item.fields | {NUMBER: number, TEXT: item.tagged.text}
            if self._with_source:
                shared[SOURCE] = item.source
            rows = [
                shared | {column: span[key] for column, key in columns.items()}
                for group, columns in (("entities", ENTITY_COLUMNS), ("words", WORD_COLUMNS))
                for span in item.result.get(group, ())
            ]
            yield rows or [shared]


def as_csv(table: EntityTable, *, safe: bool = False) -> Iterator[str]:
    """Yield the header, unless it is written, and the rows of each text.

    `safe`: write no cell as a formula.
    """
    buffer = io.StringIO()
    # This line end causes cells with a carriage return to be quoted: readers would end a row there.
    writer = csv.writer(buffer, lineterminator="\r\n")

    def shown(value: Any, column: str = "") -> Any:
        if isinstance(value, list | dict | bytes):
            value = to_json(value)
        elif value is not None and column in SCORES:
            value = f"{value:.4f}"
        is_formula = safe and isinstance(value, str) and FORMULA.match(value)
        return f"'{value}" if is_formula and not PLAIN_NUMBER.fullmatch(value) else value

    def line_of(cells: Iterable[Any]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(cells)
        return buffer.getvalue().removesuffix("\r\n") + "\n"

    header = "" if table.done else line_of(map(shown, table.columns))
    for rows in table:
        lines = [
            line_of([shown(row.get(column), column) for column in table.columns]) for row in rows
        ]
        yield header + "".join(lines)
        header = ""
    yield header  # if there was no text


def written_columns(path: Path, *, safe: bool) -> list[str]:
    """Return the columns of a CSV file that `as_csv` has begun."""
    with open(path, encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    if not safe:
        return header
    return [name[1:] if name[:1] == "'" and FORMULA.match(name[1:]) else name for name in header]


def to_json(value: Any) -> str:
    """Return a value as JSON; values that JSON lacks become strings, NaN becomes null.

    Dates are written as in ISO 8601, bytes in base64.
    """
    try:
        return json.dumps(value, ensure_ascii=False, default=_json_value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=_json_value)


def _json_value(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


# --- Parquet ----------------------------------------------------------------------------------


class _Pieces(io.RawIOBase):
    """A file whose content is taken from it piece by piece."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, content: Any, /) -> int:
        self._parts.append(bytes(content))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def take(self) -> bytes:
        """Return what was written since the last call."""
        content = b"".join(self._parts)
        self._parts.clear()
        return content


def as_parquet(table: EntityTable) -> Iterator[bytes]:
    """Yield the file in pieces, one for each row group; it is complete with the last.

    The first rows decide the types. A column without one type holds JSON. Raises UserError for a
    later value of another type.
    """
    # Imported here because only this format needs it.
    import pyarrow
    import pyarrow.parquet

    pieces = _Pieces()
    rows = itertools.chain.from_iterable(table)
    group = list(itertools.islice(rows, ROW_GROUP))
    schema = pyarrow.schema(
        [(column, _type_of(column, [row.get(column) for row in group])) for column in table.columns]
    )
    with pyarrow.parquet.ParquetWriter(pieces, schema) as writer:
        while group:
            writer.write_table(_table_of(group, schema))
            yield pieces.take()
            group = list(itertools.islice(rows, ROW_GROUP))
    yield pieces.take()


def _type_of(column: str, values: list[Any]) -> Any:
    """Return the pyarrow type of a column; a string for values without a type in common."""
    import pyarrow

    if column in POSITIONS:
        return pyarrow.int64()
    if column in SCORES:
        return pyarrow.float64()
    try:
        inferred = pyarrow.array(values).type
    except (pyarrow.ArrowException, ValueError, OverflowError):
        return pyarrow.string()
    has_null = pyarrow.types.is_null(inferred) or "null" in str(inferred).replace(" not null", "")
    is_empty = pyarrow.types.is_struct(inferred) and not inferred.num_fields
    return pyarrow.string() if has_null or is_empty else inferred


def _table_of(rows: list[dict[str, Any]], schema: Any) -> Any:
    import pyarrow

    arrays = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if pyarrow.types.is_string(field.type):
            values = [
                value if value is None or isinstance(value, str) else to_json(value)
                for value in values
            ]
            values = [
                value and value.encode("utf-8", "backslashreplace").decode() for value in values
            ]
        try:
            arrays.append(pyarrow.array(values, field.type))
        except (pyarrow.ArrowException, OverflowError, TypeError, ValueError) as error:
            raise UserError(
                f"--output_format parquet: the field {quote(field.name)} of texts "
                f"{rows[0][NUMBER]:,} to {rows[-1][NUMBER]:,}: expected {field.type}, as in the "
                f"texts before: {error}. Write JSON Lines: --output_format jsonl"
            ) from None
    return pyarrow.Table.from_arrays(arrays, schema=schema)
