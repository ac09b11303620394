"""Files of flags: YAML or JSON."""

import argparse
import json
from pathlib import Path
from typing import Any

from settings.argument_parser import FOOTER, Parser, only_trainer_has, unknown_argument
from settings.flag_table import OBSOLETE, TRAINER, is_true
from settings.obsolete_flags import arguments_of_obsolete, with_organization
from settings.value_types import WrongValue
from support.errors import UserError


def take_flag_file(argv: list[str]) -> str | None:
    """Remove the name of the file of flags from a command line, and return it; None if absent."""
    if argv and not argv[0].startswith("-"):
        return argv.pop(0)
    for position, argument in enumerate(argv):
        if argument == "--config" and position + 1 < len(argv):
            path = argv[position + 1]
            del argv[position : position + 2]
            return path
        if argument.startswith("--config="):
            return argv.pop(position).removeprefix("--config=")
    return None


def read_flag_file(
    path: str, flags_class: type, parser: Parser, problems: list[str], notes: list[str]
) -> dict[str, Any]:
    """Return the values of the flags of a YAML or JSON file.

    Each value is read by its flag's type, because PyYAML would read `no` as a truth value and 2e-5
    as a string. One note lists the flags that only the other script has.
    """
    values: dict[str, Any] = {}
    ignored: list[str] = []
    replaced: list[str] = []
    names: set[str] = set()
    for name, value in _read_file(path):
        name = name.removeprefix("--").replace("-", "_")
        option = f"--{name}"
        if name in names:
            problems.append(f"{path}: {option}: got two values, expected one")
        names.add(name)
        action = parser._option_string_actions.get(option)
        if name in OBSOLETE:
            if not _is_null(value) and value != []:
                text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
                replaced += arguments_of_obsolete(name, text, parser, problems, notes)
        elif action is not None:
            arguments = _arguments_of_value(option, value, action)
            values |= _value_of_arguments(arguments, parser, path, problems)
        elif only_trainer_has(name, flags_class):
            ignored += [] if _is_null(value) else [name]
        else:
            problems.append(f"{path}: {unknown_argument(option, flags_class, parser)}")
    for argument in with_organization(replaced):
        values |= _value_of_arguments([argument], parser, path, problems)
    if ignored:
        notes.append(f"{path}: ignored, because only {TRAINER} has them: {', '.join(ignored)}")
    return values


def _read_file(path: str) -> list[tuple[str, Any]]:
    """Return the names and values of a YAML or JSON file of flags, in their order.

    Each value is a string, a list or a mapping. Pairs, because a mapping would hide the first of
    two values of a flag.
    """
    import yaml

    try:
        loader = yaml.BaseLoader(Path(path).read_text(encoding="utf-8"))
        node = loader.get_single_node()
        values = None if node is None else loader.construct_document(node)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file. The first argument is a YAML or JSON file of flags."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: not a YAML or JSON file of flags: {error}") from None
    if node is None or not isinstance(values, dict):
        raise UserError(
            f"{path}: not a file of flags: got {values!r:.80}, expected lines such as "
            "`learning_rate: 2e-5`."
        )
    return [
        (str(loader.construct_object(name, deep=True)), loader.construct_object(value, deep=True))
        for name, value in node.value
    ]


def _is_null(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in ("", "~", "null")


def _arguments_of_value(option: str, value: Any, action: argparse.Action) -> list[str]:
    """Return the value of a flag in a file as arguments, one for each item."""
    if isinstance(value, dict):
        return [f"{option}={json.dumps(_typed(value))}"]
    if isinstance(value, list):
        return [f"{option}={item}" for item in value]
    if action.nargs == 0:  # --no_dataloader_pin_memory
        return [option] if is_true(value) else []
    if _is_null(value):
        # Null turns off an optional number; all other flags keep their default.
        number = isinstance(action.default, int | float) and not isinstance(action.default, bool)
        return [f"{option}=null"] if number else []
    return [f"{option}={value}"]


def _typed(value: Any) -> Any:
    """Return a value of a nested mapping with its JSON type; the loader reads text only."""
    if isinstance(value, dict):
        return {name: _typed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if _is_null(value):
        return None
    text = value.lower() if value.lower() in ("true", "false") else value
    try:
        return json.loads(text)
    except ValueError:
        return value


def _value_of_arguments(
    arguments: list[str], parser: Parser, path: str, problems: list[str]
) -> dict[str, Any]:
    """Return the value of a flag of a file, given as `arguments`, by its destination."""
    if not arguments:
        return {}
    action = parser._option_string_actions[arguments[0].partition("=")[0]]
    values = []
    for argument in arguments:
        try:
            values.append(getattr(parser.parse_args([argument]), action.dest))
        except UserError as error:
            problems.append(f"{path}: {error}".removesuffix(FOOTER))
            return {}
    if action.nargs == "+":
        values = [item for value in values for item in value]
    for value in values:
        if isinstance(value, WrongValue):
            value.place = f"{path}: "
    if action.nargs == "+":
        return {action.dest: values}
    if len(values) > 1:
        problems.append(f"{path}: {arguments[0].partition('=')[0]}: got a list, expected one value")
        return {}
    return {action.dest: values[0]}
