"""The argument parser of a dataclass of flags, and its help.

Built on argparse alone, so that `--help` of `infer.py` does not wait for transformers.
"""

import argparse
import dataclasses
import enum
import re
import typing
from typing import Any, NoReturn

from settings.flag_table import LOOP, OBSOLETE, OF_TRAINER, SETTLED, SPELLINGS, TRAINER
from settings.value_types import default_of, value_options
from support.errors import UserError
from support.text import unknown_flag

FOREIGN_GROUP = "flags of TrainingArguments"  # listed by --help_all only
FOOTER = "\nAll flags: --help"
_ONLY_TRAINER = OF_TRAINER.keys() | SETTLED.keys()
_ONLY_TRAINER |= {spelling for spelling, name in SPELLINGS.items() if name in OF_TRAINER}


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


def make_parser(flags_class: type, doc: str, show_all: bool = False) -> Parser:
    """Return the parser of a dataclass of flags, its flags in their named groups."""
    head, _, rest = doc.partition("\n")
    positional = [f for f in dataclasses.fields(flags_class) if f.metadata.get("positional")]
    with_file = getattr(flags_class, "config_file_flags", False)
    names = ["FLAGS.yaml"] if with_file else [f.metadata["metavar"] for f in positional]
    parser = Parser(
        usage=f"%(prog)s [{names[0]}] [--flag value ...]"
        if names
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
    default = default_of(field)
    options = value_options(hint, default, metadata.get("hint", ""))
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


def _help_text(name: str, text: str, default: object) -> str:
    """Return the help of a flag with one statement of its default."""
    text = " ".join(text.split())
    if default is True:
        return f"{text} On by default; --no_{name} turns it off."
    if "Default:" in text or default is None or default is False or default in ("", []):
        return text
    value = default.value if isinstance(default, enum.Enum) else default
    return f"{text} Default: {value}."


def only_trainer_has(name: str, flags_class: type) -> bool:
    """Return whether a flag is missing from `flags_class` because only train_trainer.py has it."""
    script = getattr(flags_class, "script", None)
    return script == LOOP and name.removeprefix("no_") in _ONLY_TRAINER


def unknown_argument(argument: str, flags_class: type, parser: Parser) -> str:
    """Return the line about an argument that is not a flag of this script."""
    if only_trainer_has(argument.lstrip("-").replace("-", "_"), flags_class):
        return f"unknown argument {argument}: {TRAINER} has it, {LOOP} does not"
    hidden = SETTLED.keys() | OBSOLETE.keys()
    known = [
        option
        for option in parser._option_string_actions
        if "-" not in option[2:] and option[2:] not in hidden
    ]
    return unknown_flag(argument, known)
