"""Values of cells: lists and objects written as text, in the notation of JSON, Python or numpy."""

import ast
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from corpus.formats.column_names import HEAD_SIZE
from corpus.formats.json import is_deep
from corpus.formats.records import Record

# Values that are safe for `ast.literal_eval`: a comma, a colon or a closing bracket follows each
# item. Without this check, numpy's "['EU' 'rejects']" would be read as the word "EUrejects".
_STRING = r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_ITEM = rf"(?:{_STRING}|-?\d++(?:\.\d*+)?|None|True|False)"
_MARK = r"[\[\](){},:]"
PYTHON_VALUE = re.compile(rf"(?:\s*+(?:{_MARK}|{_ITEM}(?=\s*+[\]),}}:])))*+\s*+", re.DOTALL)
# A list as numpy prints it, and pandas writes it into a cell: without commas between the items. A
# list of more than a thousand items has "..." inside.
NUMPY_VALUE = re.compile(
    rf"\[\s*+(?:(?:(?:{_STRING})(?=[\s\]])\s*+)++|(?:\d++(?=[\s\]])\s*+)++)\]", re.DOTALL
)
NUMPY_ITEM = re.compile(rf"{_STRING}|\d++", re.DOTALL)


def cell_value(cell: str) -> Any:
    """Return a cell, or the list or object that it holds in the notation of JSON or Python.

    Tuples become lists.
    """
    if cell[:1] + cell[-1:] not in ("[]", "{}", "()"):
        return cell
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        if NUMPY_VALUE.fullmatch(cell):
            return list(map(ast.literal_eval, NUMPY_ITEM.findall(cell)))
        if not PYTHON_VALUE.fullmatch(cell):
            return cell
        try:
            value = ast.literal_eval(cell)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return cell
    holds_items = isinstance(value, list) or (isinstance(value, tuple | dict) and value)
    return _with_lists(value) if holds_items and not is_deep(value) else cell


def _with_lists(value: Any) -> Any:
    """Return a value with lists in place of tuples."""
    if isinstance(value, list | tuple):
        return [_with_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    return value


def with_values(records: Iterable[Record]) -> Iterator[Record]:
    """Return records with lists in place of strings that hold them.

    All strings of a field must hold lists, so that the word [1] stays a word.
    """
    records = iter(records)
    head = list(itertools.islice(records, HEAD_SIZE))
    keys, others = set[str](), set[str]()
    for record in head:
        for key, value in (record.fields or {}).items():
            if isinstance(value, str) and value and key not in others:
                (others if isinstance(cell_value(value), str) else keys).add(key)
    keys -= others
    records = itertools.chain(head, records)
    return (_with_values(record, keys) for record in records) if keys else records


def _with_values(record: Record, keys: set[str]) -> Record:
    fields = record.fields
    if fields is None:
        return record
    values = {
        key: cell_value(value) if key in keys and isinstance(value, str) else value
        for key, value in fields.items()
    }
    return record._replace(fields=values)
