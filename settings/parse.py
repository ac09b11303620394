"""Command lines and files of flags, parsed into a dataclass of flags.

Built on argparse alone, so that `--help` of `infer.py` does not wait for transformers.
"""

import argparse
import dataclasses
import enum
import json
import re
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from support.errors import UserError
from support.text import unknown_flag

FOREIGN_GROUP = "flags of TrainingArguments"  # listed by --help_all only
METAVARS: dict[Any, str] = {int: "N", float: "X"}
Flags = TypeVar("Flags")


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error as one `UserError`, without a usage."""

    def error(self, message: str) -> NoReturn:
        """Raise a `UserError`; argparse would print every flag above the line that matters."""
        short = re.sub(r"^argument (-[^/:\s]+)\S*:", r"\1:", message)
        raise UserError(f"{short}\nAll flags: --help")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help that lists one spelling of each flag."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=34, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        if action.nargs == 0 or isinstance(action.const, bool):
            return action.option_strings[0]
        value = self._format_args(action, METAVARS.get(action.type, "TEXT"))
        return f"{action.option_strings[0]} {value}"


def parse_flags(flags_class: type[Flags], doc: str, argv: list[str] | None = None) -> Flags:
    """Return the flags of a command line as an instance of `flags_class`.

    `flags_class`: a dataclass of `settings.flags.flag` fields. `doc`: the script's docstring, which
    becomes the description. `argv`: the words after the script's name; default: `sys.argv`.
    Where `flags_class` has a `config_file_flags` attribute that is true, `--config FILE`, or a
    first positional argument, names a YAML or JSON file of flags; the command line wins over it.
    Raises UserError for everything that is wrong, all unknown flags together.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    with_file = getattr(flags_class, "config_file_flags", False)
    show_all = "--help_all" in argv
    parser = make_parser(flags_class, doc, show_all)
    if show_all:
        parser.print_help()
        sys.exit(0)
    if with_file:
        actions = {option: a for a in parser._actions for option in a.option_strings}
        path = _take_config_file(argv)
        if path is not None:
            argv = _flags_of_file(path, actions) + argv
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        # What follows an unknown flag is its value.
        words = [word for word in unknown if word.startswith("-")] or unknown
        known = [option for action in parser._actions for option in action.option_strings]
        lines = (unknown_flag(word.partition("=")[0], known) for word in words)
        raise UserError("\n".join(lines))
    values = vars(namespace)
    values.pop("config", None)
    return flags_class(**values)


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
    for field in _in_order_of_help(flags_class):
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
    default = field.default
    if default is dataclasses.MISSING:
        default = None
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
    options = _value_options(hint, default)
    options |= {key: metadata[key] for key in ("nargs", "const", "metavar") if key in metadata}
    help_text = _help_text(field.name, metadata.get("help", ""), default, options)
    options["help"] = help_text.replace("%", "%%") if shown else argparse.SUPPRESS
    options["default"] = default
    if metadata.get("switch"):  # takes no value, so that a positional argument may follow it
        options = {"action": "store_true", "help": options["help"]}
    if metadata.get("positional"):
        group.add_argument(field.name, **options)
        return
    if options.pop("unsupported", False):
        return
    hyphenated = f"--{field.name.replace('_', '-')}"
    spellings = dict.fromkeys([f"--{field.name}", hyphenated, *metadata.get("aliases", ())])
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


def _value_options(hint: Any, default: object) -> dict[str, Any]:
    """Return argparse's options for a value of the type `hint`."""
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    members = tuple(member for member in members if member is not type(None))
    kinds = [get_origin(member) or member for member in members]
    if Literal in kinds:
        choices = get_args(members[kinds.index(Literal)])
        return {"choices": choices, "type": _choice(choices)} if kinds == [Literal] else {}
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return {"choices": [item.value for item in kind], "type": str}
    if list in kinds:
        return {"type": str, "nargs": "+"}
    if dict in kinds:
        return {"type": _json_or_text}
    if kinds == [bool]:
        optional = {} if default is None else {"nargs": "?", "const": True}
        return {"type": _boolean, "metavar": "true|false"} | optional
    if kinds[0] in (int, float):
        return {"type": kinds[0]}
    if str in kinds:
        return {"type": str}
    return {"unsupported": True}  # an object, which no command line can write


def _help_text(name: str, text: str, default: object, options: dict[str, Any]) -> str:
    """Return the help of a flag with one statement of its default."""
    text = " ".join(text.split())
    if default is True:
        return f"{text} On by default; --no_{name} turns it off."
    if "Default:" in text or default is None or default is False or default in ("", []):
        return text
    value = default.value if isinstance(default, enum.Enum) else default
    return f"{text} Default: {value}."


def _boolean(text: str) -> bool:
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise argparse.ArgumentTypeError(f"got {text}, expected true or false")


def _choice(choices: tuple[Any, ...]) -> Callable[[str], Any]:
    by_text = {str(choice): choice for choice in choices}
    return lambda text: by_text.get(text, text)


def _json_or_text(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"got {text}, expected JSON: {error}") from None


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


def _flags_of_file(path: str, actions: dict[str, argparse.Action]) -> list[str]:
    """Return the flags of a YAML or JSON file as words of a command line.

    `actions`: argparse's, by option. Each value is read by its flag's type, so that `no` and 2e-5,
    which PyYAML reads as a truth value and a string, mean what the flag makes of them.
    """
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
    words: list[str] = []
    problems = []
    for name, value in values.items():
        option = f"--{name}"
        if option not in actions:
            problems.append(f"{path}: {unknown_flag(option, actions)}")
        elif isinstance(value, list):
            words += [option, *value] if len(value) != 1 else [f"{option}={value[0]}"]
        elif isinstance(value, dict):
            words.append(f"{option}={json.dumps(value)}")
        elif actions[option].nargs == 0:  # --no_label_all_tokens
            words += [option] if value.lower() in ("true", "yes") else []
        elif value.lower() not in ("", "~", "null"):
            words.append(f"{option}={value}")
    if problems:
        raise UserError("\n".join(problems))
    return words
