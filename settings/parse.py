"""Command lines and files of flags, parsed into a dataclass of flags.

Built on argparse alone, so that `--help` of `infer.py` does not wait for transformers.
"""

import argparse
import collections
import dataclasses
import enum
import functools
import json
import re
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import (
    Any,
    Literal,
    NoReturn,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    runtime_checkable,
)

from settings.flag_table import (
    LOOP,
    OBSOLETE,
    OF_TRAINER,
    SETTLED,
    SPELLINGS,
    TRAINER,
    is_boolean,
    is_true,
)
from support.errors import UserError
from support.processes import is_main_process
from support.text import CUTOFF, did_you_mean, unknown_flag

FOREIGN_GROUP = "flags of TrainingArguments"  # listed by --help_all only
FOOTER = "\nAll flags: --help"
NO_VALUE = ("none", "null")
_ONLY_TRAINER = OF_TRAINER.keys() | SETTLED.keys()
_ONLY_TRAINER |= {spelling for spelling, name in SPELLINGS.items() if name in OF_TRAINER}
Flags = TypeVar("Flags")


@runtime_checkable
class HasNotes(Protocol):
    """Flags that have notes on accepted values."""

    def notes(self) -> list[str]:
        """Return the notes, one line each."""


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error as one `UserError`, without the usage text."""

    def error(self, message: str) -> NoReturn:
        """Raise a `UserError`; argparse would print every flag above the line that matters."""
        short = re.sub(r"^argument (-[^/:\s]+)\S*:", r"\1:", message)
        raise UserError(short + FOOTER)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help that lists one spelling of each flag."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=34, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        if action.nargs == 0 or (isinstance(action.const, bool) and action.default is not None):
            return action.option_strings[0]
        value = self._format_args(action, "TEXT")
        return f"{action.option_strings[0]} {value}"


def parse_flags(flags_class: type[Flags], doc: str, argv: list[str] | None = None) -> Flags:
    """Return the flags of a command line as an instance of `flags_class`.

    `flags_class`: a dataclass of `settings.flags.flag` fields. `doc`: the script's docstring, which
    becomes the description. `argv`: the words after the script's name; default: `sys.argv`.
    Where `flags_class` has a `config_file_flags` attribute that is true, `--config FILE`, or a
    first positional argument, names a YAML or JSON file of flags; the command line wins over it.
    Prints a note for each old flag. Raises one UserError that lists all problems.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    show_all = "--help_all" in argv
    parser = make_parser(flags_class, doc, show_all)
    if show_all:
        parser.print_help()
        sys.exit(0)
    problems: list[str] = []
    notes: list[str] = []
    if getattr(flags_class, "config_file_flags", False):
        path = _take_config_file(argv)
        if path is not None:
            parser.set_defaults(**_values_of_file(path, flags_class, parser, problems, notes))
        argv = _translate(argv, parser, problems, notes)
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        # What follows an unknown flag is its value.
        words = [word for word in unknown if word.startswith("-")] or unknown
        problems += [_unknown(word.partition("=")[0], flags_class, parser) for word in words]
    values = vars(namespace)
    values.pop("config", None)
    wrong = _take_wrong_values(values, flags_class)
    problems += wrong
    try:
        flags = flags_class(**values)
    except UserError as error:
        problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems) + FOOTER * bool(wrong))
    if isinstance(flags, HasNotes):
        notes += flags.notes()
    if is_main_process():
        for line in notes:
            print(f"note: {line}", file=sys.stderr)
    return flags


def make_parser(flags_class: type, doc: str, show_all: bool = False) -> Parser:
    """Return the parser of a dataclass of flags, its flags in their named groups."""
    head, _, rest = doc.partition("\n")
    positional = [f for f in dataclasses.fields(flags_class) if f.metadata.get("positional")]
    with_file = getattr(flags_class, "config_file_flags", False)
    words = ["FLAGS.yaml"] if with_file else [f.metadata["metavar"] for f in positional]
    parser = Parser(
        usage=f"%(prog)s [{words[0]}] [--flag value ...]"
        if words
        else "%(prog)s [--flag value ...]",
        description=head + "\n" + rest.rstrip(),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    groups: dict[str, Any] = {}
    hints = typing.get_type_hints(flags_class)
    fields = _in_order_of_help(flags_class)
    aliases = {alias[2:] for field in fields for alias in field.metadata.get("aliases", ())}
    for field in fields:
        if field.name in aliases or field.name in OBSOLETE:
            continue
        name = field.metadata.get("group", FOREIGN_GROUP)
        if name not in groups:
            groups[name] = parser.add_argument_group(name)
        shown = show_all or name != FOREIGN_GROUP
        _add_flag(groups[name], field, hints[field.name], shown)
    last = parser.add_argument_group("help")
    if with_file:
        last.add_argument("--config", metavar="FILE", help="YAML or JSON file of flags.")
    last.add_argument("--help", "-h", action="help", help="Show the flags and stop.")
    if FOREIGN_GROUP in groups:
        text = "Show the flags of TrainingArguments too."
        last.add_argument("--help_all", action="store_true", help=text, default=argparse.SUPPRESS)
    return parser


def _in_order_of_help(flags_class: type) -> list["dataclasses.Field[Any]"]:
    """Return the fields as they are declared: those of the first base class first.

    Dataclasses begin with the fields of the last base class, here those of TrainingArguments.
    """
    fields = {field.name: field for field in dataclasses.fields(flags_class)}
    own, *bases = flags_class.__mro__
    declared = [name for base in (*bases, own) for name in getattr(base, "__annotations__", ())]
    return [fields[name] for name in dict.fromkeys(declared) if name in fields]


def _add_flag(group: Any, field: "dataclasses.Field[Any]", hint: Any, shown: bool) -> None:
    """Add a dataclass field to a group of a parser."""
    metadata = dict(field.metadata)
    default = _default(field)
    options = _value_options(hint, default, metadata.get("hint", ""))
    options |= {key: metadata[key] for key in ("nargs", "const", "metavar") if key in metadata}
    help_text = OF_TRAINER.get(field.name) or metadata.get("help", "")
    if field.name in SETTLED:
        help_text = f"Settled by the suite: {SETTLED[field.name].reason}."
    help_text = _help_text(field.name, help_text, default)
    options["help"] = help_text.replace("%", "%%") if shown else argparse.SUPPRESS
    options["default"] = default
    if metadata.get("switch"):  # takes no value, so that a positional argument may follow it
        options = {"action": "store_true", "help": options["help"]}
    if metadata.get("positional"):
        group.add_argument(field.name, **options)
        return
    hyphenated = f"--{field.name.replace('_', '-')}"
    spellings = dict.fromkeys([f"--{field.name}", hyphenated])
    for alias in metadata.get("aliases", ()):
        spellings |= dict.fromkeys([alias, alias[:2] + alias[2:].replace("_", "-")])
    group.add_argument(*spellings, dest=field.name, **options)
    if default is True:
        names = dict.fromkeys([f"--no_{field.name}", f"--no-{hyphenated[2:]}"])
        group.add_argument(
            *names,
            dest=field.name,
            action="store_false",
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _help_text(name: str, text: str, default: object) -> str:
    """Return the help of a flag with one statement of its default."""
    text = " ".join(text.split())
    if default is True:
        return f"{text} On by default; --no_{name} turns it off."
    if "Default:" in text or default is None or default is False or default in ("", []):
        return text
    value = default.value if isinstance(default, enum.Enum) else default
    return f"{text} Default: {value}."


# --- Values -----------------------------------------------------------------------------------


class WrongValue:
    """A value that its flag does not accept; all of them are reported together."""

    def __init__(self, text: str, expected: str, hint: str = ""):
        """`expected`: what the flag accepts. `hint`: a sentence that follows the message."""
        self.text, self.expected, self.hint = text, expected, hint
        self.place = ""  # the file that the value comes from


def _take_wrong_values(values: dict[str, Any], flags_class: type) -> list[str]:
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
            values[field.name] = _default(field)
        for item in wrong:
            line = f"{item.place}--{field.name} {item.text}: expected {item.expected}"
            if item.hint:
                line += f"{'' if line.endswith('?') else '.'} {item.hint}"
            lines.append(line)
    return lines


def _value_options(hint: Any, default: object, advice: str) -> dict[str, Any]:
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
    return tuple(_choice(choices, advice, word.strip()) for word in text.split(",") if word.strip())


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


# --- Names ------------------------------------------------------------------------------------


def _unknown(word: str, flags_class: type, parser: Parser) -> str:
    """Return the line about a word that is not a flag of this script."""
    name = word.lstrip("-").replace("-", "_")
    script = getattr(flags_class, "script", None)
    if script == LOOP and name.removeprefix("no_") in _ONLY_TRAINER:
        return f"unknown argument {word}: {TRAINER} has it, {script} does not"
    hidden = SETTLED.keys() | OBSOLETE.keys()
    known = [
        option
        for option in parser._option_string_actions
        if "-" not in option[2:] and option[2:] not in hidden
    ]
    return unknown_flag(word, known)


def _translate(argv: list[str], parser: Parser, problems: list[str], notes: list[str]) -> list[str]:
    """Return a command line with today's names in place of obsolete ones.

    As in transformers, an obsolete flag takes precedence over today's.
    """
    kept: list[str] = []
    replaced: list[str] = []
    words = collections.deque(argv)
    while words:
        word = words.popleft()
        option, equals, value = word.partition("=")
        name = option[2:].replace("-", "_")
        if not option.startswith("--") or name not in OBSOLETE:
            kept.append(word)
            continue
        obsolete = OBSOLETE[name]
        if not equals:
            follows = bool(words) and (
                is_boolean(words[0])
                if obsolete.switch
                else re.match(r"[^-]|-[.\d]", words[0]) is not None
            )
            value = words.popleft() if follows else "true"
            if not obsolete.switch and not follows and name != "use_auth_token":
                problems.append(f"{option}: expected a value")
                continue
        replaced += _words_of_obsolete(name, value, parser, problems, notes)
    return kept + _with_organization(replaced)


def _with_organization(words: list[str]) -> list[str]:
    """Return obsolete flags as today's, --push_to_hub_organization joined with the model's name."""
    names = [word for word in words if word.startswith("--hub_model_id=")]
    organization = next((word for word in names if word.endswith("/")), None)
    model = next((word for word in names if "/" not in word), None)
    if organization is None or model is None:
        return words
    others = [word for word in words if word not in names]
    return [*others, organization + model.partition("=")[2]]


def _words_of_obsolete(
    name: str, value: str, parser: Parser, problems: list[str], notes: list[str]
) -> list[str]:
    """Return an obsolete flag as words of today's flags, and add a note on its replacement."""
    obsolete = OBSOLETE[name]
    if obsolete.switch and not is_boolean(value):
        problems.append(f"--{name} {value}: expected true or false")
        return []
    try:
        words = obsolete.words(value)
    except ValueError as error:
        problems.append(f"--{name} {value}: {error}")
        return []
    if all(word.partition("=")[0] in parser._option_string_actions for word in words):
        notes.append(f"--{name} {obsolete.line}")
        return words
    notes.append(f"--{name} {obsolete.line} of {TRAINER}; it has no effect here")
    return []


# --- Files of flags -------------------------------------------------------------------------


def _take_config_file(argv: list[str]) -> str | None:
    """Remove the name of the file of flags from a command line, and return it."""
    if argv and not argv[0].startswith("-"):
        return argv.pop(0)
    for position, word in enumerate(argv):
        if word == "--config" and position + 1 < len(argv):
            path = argv[position + 1]
            del argv[position : position + 2]
            return path
        if word.startswith("--config="):
            return argv.pop(position).removeprefix("--config=")
    return None


def _values_of_file(
    path: str, flags_class: type, parser: Parser, problems: list[str], notes: list[str]
) -> dict[str, Any]:
    """Return the values of the flags of a YAML or JSON file.

    Each value is read by its flag's type, because PyYAML would read `no` as a truth value and 2e-5
    as a string. One note lists the flags that only the other script has.
    """
    script = getattr(flags_class, "script", None)
    values: dict[str, Any] = {}
    ignored: list[str] = []
    replaced: list[str] = []
    for name, value in _read_file(path).items():
        name = str(name).removeprefix("--").replace("-", "_")
        option = f"--{name}"
        action = parser._option_string_actions.get(option)
        if name in OBSOLETE:
            if not _is_null(value) and value != []:
                text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
                replaced += _words_of_obsolete(name, text, parser, problems, notes)
        elif action is not None:
            words = _words_of_value(option, value, action)
            values |= _value_of_words(words, parser, path, problems)
        elif script == LOOP and name.removeprefix("no_") in _ONLY_TRAINER:
            ignored += [] if _is_null(value) else [name]
        else:
            problems.append(f"{path}: {_unknown(option, flags_class, parser)}")
    for word in _with_organization(replaced):
        values |= _value_of_words([word], parser, path, problems)
    if ignored:
        notes.append(f"{path}: ignored, because only {TRAINER} has them: {', '.join(ignored)}")
    return values


def _read_file(path: str) -> dict[str, Any]:
    """Return a YAML or JSON file of flags, each value a string, a list or a mapping."""
    import yaml

    try:
        values = yaml.load(Path(path).read_text(encoding="utf-8"), yaml.BaseLoader)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file. The first argument is a YAML or JSON file of flags."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: not a YAML or JSON file of flags: {error}") from None
    if not isinstance(values, dict):
        raise UserError(
            f"{path}: not a file of flags: got {values!r:.80}, expected lines such as "
            "`learning_rate: 2e-5`."
        )
    return values


def _is_null(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in ("", "~", "null")


def _words_of_value(option: str, value: Any, action: argparse.Action) -> list[str]:
    """Return the value of a flag in a file as words of a command line, one for each item."""
    if isinstance(value, dict):
        return [f"{option}={json.dumps(_typed(value))}"]
    if isinstance(value, list):
        return [f"{option}={item}" for item in value]
    if action.nargs == 0:  # --no_label_all_tokens
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


def _value_of_words(
    words: list[str], parser: Parser, path: str, problems: list[str]
) -> dict[str, Any]:
    """Return the value of a flag of a file, given as `words`, by its destination."""
    if not words:
        return {}
    action = parser._option_string_actions[words[0].partition("=")[0]]
    values = []
    for word in words:
        try:
            values.append(getattr(parser.parse_args([word]), action.dest))
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
        problems.append(f"{path}: {words[0].partition('=')[0]}: got a list, expected one value")
        return {}
    return {action.dest: values[0]}
