"""Command lines, parsed into a dataclass of flags.

Nothing heavy is imported, so that `--help` of `infer.py` does not wait for transformers.
"""

import sys
from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from settings.argument_parser import FOOTER, make_parser, unknown_argument
from settings.flag_files import read_flag_file, take_flag_file
from settings.obsolete_flags import translate_obsolete
from settings.value_types import take_wrong_values
from support.errors import UserError
from support.processes import is_main_process
from support.text import on_terminal

Flags = TypeVar("Flags")
# Python decodes bytes of the command line that are not UTF-8 to lone surrogates.
NOT_UTF8 = "not UTF-8, the encoding of the files of a run. Rename the file or folder."


def arguments_of(argv: Sequence[object] | None) -> list[str]:
    """Return the arguments of a run as text; None for those of the process."""
    if isinstance(argv, str | bytes) or not isinstance(argv, Sequence | None):
        kind = type(argv).__name__
        raise TypeError(f'argv: got {kind}, expected a list such as ["--learning_rate", 2e-5]')
    return list(map(str, sys.argv[1:] if argv is None else argv))


def _is_utf8(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


@runtime_checkable
class HasNotes(Protocol):
    """Flags that have notes on accepted values."""

    def notes(self) -> list[str]:
        """Return the notes, one line each."""


def parse_flags(flags_class: type[Flags], doc: str, argv: Sequence[object] | None = None) -> Flags:
    """Return the flags of a command line as an instance of `flags_class`.

    `flags_class`: a dataclass of `settings.flags.flag` fields. `doc`: the script's docstring, which
    becomes the description. `argv`: the arguments after the script's name, as strings, numbers or
    paths; default: those of `sys.argv`.
    Where `flags_class` has a `config_file_flags` attribute that is true, `--config FILE`, or a
    first positional argument, names a YAML or JSON file of flags; the command line wins over it.
    Prints a note for each old flag. Raises one UserError that lists all problems, and TypeError for
    a command line that is not a list.
    """
    argv = arguments_of(argv)
    show_all = "--help_all" in argv
    parser = make_parser(flags_class, doc, show_all)
    if show_all:
        parser.print_help()
        sys.exit(0)
    problems: list[str] = []
    notes: list[str] = []
    if getattr(flags_class, "config_file_flags", False):
        problems += [f"{argument}: {NOT_UTF8}" for argument in argv if not _is_utf8(argument)]
        path = take_flag_file(argv)
        if path is not None:
            parser.set_defaults(**read_flag_file(path, flags_class, parser, problems, notes))
        argv = translate_obsolete(argv, parser, problems, notes)
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        # What follows an unknown flag is its value.
        named = [argument for argument in unknown if argument.startswith("-")] or unknown
        names = [argument.partition("=")[0] for argument in named]
        problems += [unknown_argument(name, flags_class, parser) for name in names]
    values = vars(namespace)
    values.pop("config", None)
    wrong = take_wrong_values(values, flags_class)
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
            print(on_terminal(f"note: {line}"), file=sys.stderr)
    return flags
