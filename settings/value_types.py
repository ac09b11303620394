"""Types of values: the text of a flag, read by the type of its field, and written.

Built on argparse's options alone: nothing heavy is imported.
"""

import dataclasses
import enum
import functools
import json
from collections.abc import Callable
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from settings.flag_table import is_boolean, is_true
from support.text import CUTOFF, did_you_mean

NO_VALUE = ("none", "null")


class WrongValue:
    """A value that its flag does not accept; all of them are reported together."""

    def __init__(self, text: str, expected: str, hint: str = ""):
        """`expected`: what the flag accepts. `hint`: a sentence that follows the message."""
        self.text, self.expected, self.hint = text, expected, hint
        self.place = ""  # the file that the value comes from


def take_wrong_values(values: dict[str, Any], flags_class: type) -> list[str]:
    """Replace wrong values by the defaults; return a line about each.

    Flattens lists whose items were split at commas.
    """
    lines = []
    for field in dataclasses.fields(flags_class):
        value = values.get(field.name)
        if isinstance(value, list):
            items = [part for item in value for part in (item if type(item) is tuple else (item,))]
            values[field.name] = items
        else:
            items = [value]
        wrong = [item for item in items if isinstance(item, WrongValue)]
        if wrong:
            values[field.name] = default_of(field)
        for item in wrong:
            line = f"{item.place}--{field.name} {item.text}: expected {item.expected}"
            if item.hint:
                line += f"{'' if line.endswith('?') else '.'} {item.hint}"
            lines.append(line)
    return lines


def default_of(field: "dataclasses.Field[Any]") -> Any:
    """Return the default of a field of a dataclass; None if it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def value_options(hint: Any, default: object, advice: str) -> dict[str, Any]:
    """Return argparse's options for a value of the type `hint`.

    `advice`: follows the message about a wrong value.
    """
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    optional = type(None) in members
    members = tuple(member for member in members if member is not type(None))
    kinds = [get_origin(member) or member for member in members]
    choices: tuple[Any, ...] = ()
    read: Callable[[str], Any]
    if Literal in kinds:
        choices = get_args(members[kinds.index(Literal)])
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            choices = tuple(item.value for item in kind)
    if choices and bool in kinds:
        read = functools.partial(_choice_or_boolean, choices)
        return {"type": read, "nargs": "?", "const": True, "metavar": "true|false"}
    if choices and (kinds == [Literal] or Literal not in kinds):
        read = functools.partial(_choice, choices, advice)
        return {"type": read, "metavar": "{" + ",".join(map(str, choices)) + "}"}
    if list in kinds:
        item = get_args(members[kinds.index(list)])
        if item and get_origin(item[0]) is Literal:
            read_all = functools.partial(_choices, get_args(item[0]), advice)
            return {"type": read_all, "nargs": "+", "metavar": "TEXT"}
        return {"type": str, "nargs": "+", "metavar": "TEXT"}
    if dict in kinds:
        return {"type": _json if str not in kinds else _json_or_text, "metavar": "TEXT"}
    if kinds == [bool]:
        read = functools.partial(_boolean, advice)
        read = _or_none(read) if optional else read
        return {"type": read, "nargs": "?", "const": True, "metavar": "true|false"}
    number = {int: _whole_number, float: _number}.get(kinds[0])
    if number is not None:
        # A flag whose default is a number may be turned off.
        return {
            "type": _or_none(number) if optional else number,
            "metavar": "N" if kinds[0] is int else "X",
        }
    return {"type": str, "metavar": "TEXT"}


def _whole_number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        number = _number(text)  # 1e3 and 100.0 are whole too
        whole = isinstance(number, float) and number.is_integer()
        return int(number) if whole else WrongValue(text, "a whole number")


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return WrongValue(text, "a number")


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text.lower() in NO_VALUE else read(text)


def _boolean(advice: str, text: str) -> Any:
    return is_true(text) if is_boolean(text) else WrongValue(text, "true or false", advice)


def _choice(choices: tuple[Any, ...], advice: str, text: str) -> Any:
    by_text = {str(choice): choice for choice in choices}
    if text in by_text:
        return by_text[text]
    guess = did_you_mean(text, by_text, CUTOFF)
    return WrongValue(text, f"one of {', '.join(by_text)}{guess}", advice)


def _choice_or_boolean(choices: tuple[Any, ...], text: str) -> Any:
    if text in choices or text == "":
        return text
    return (
        is_true(text)
        if is_boolean(text)
        else WrongValue(text, f"true, false or {', '.join(choices)}")
    )


def _choices(choices: tuple[Any, ...], advice: str, text: str) -> tuple[Any, ...]:
    return tuple(_choice(choices, advice, item.strip()) for item in text.split(",") if item.strip())


def _json_or_text(text: str) -> Any:
    return _json(text) if text.lstrip().startswith("{") else text


def _json(text: str) -> Any:
    if text.lower() in ("", *NO_VALUE):
        return None
    expected = 'a JSON object such as {"name": 1}'
    try:
        value = json.loads(text)
    except ValueError as error:
        return WrongValue(text, f"{expected}: {error}")
    return value if isinstance(value, dict) else WrongValue(text, expected)


def text_of(value: Any) -> str:
    """Return a flag's value as it is written on a command line; it may be an enumeration's."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(getattr(value, "value", value))
