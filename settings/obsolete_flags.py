"""Obsolete flags of a command line or a file, translated to today's."""

import collections
import re

from settings.argument_parser import Parser
from settings.flag_table import OBSOLETE, TRAINER, is_boolean


def translate_obsolete(
    argv: list[str], parser: Parser, problems: list[str], notes: list[str]
) -> list[str]:
    """Return a command line with today's names in place of obsolete ones.

    As in transformers, an obsolete flag takes precedence over today's. Adds a line to `problems`
    for each wrong value, and to `notes` for each obsolete flag.
    """
    kept: list[str] = []
    replaced: list[str] = []
    arguments = collections.deque(argv)
    while arguments:
        argument = arguments.popleft()
        option, equals, value = argument.partition("=")
        name = option[2:].replace("-", "_")
        if not option.startswith("--") or name not in OBSOLETE:
            kept.append(argument)
            continue
        obsolete = OBSOLETE[name]
        if not equals:
            follows = bool(arguments) and (
                is_boolean(arguments[0])
                if obsolete.switch
                else re.match(r"[^-]|-[.\d]", arguments[0]) is not None
            )
            value = arguments.popleft() if follows else "true"
            if not obsolete.switch and not follows and name != "use_auth_token":
                problems.append(f"{option}: expected a value")
                continue
        replaced += arguments_of_obsolete(name, value, parser, problems, notes)
    return kept + with_organization(replaced)


def arguments_of_obsolete(
    name: str, value: str, parser: Parser, problems: list[str], notes: list[str]
) -> list[str]:
    """Return an obsolete flag as arguments of today's flags, and add a note on its replacement."""
    obsolete = OBSOLETE[name]
    if obsolete.switch and not is_boolean(value):
        problems.append(f"--{name} {value}: expected true or false")
        return []
    try:
        arguments = obsolete.arguments(value)
    except ValueError as error:
        problems.append(f"--{name} {value}: {error}")
        return []
    if all(item.partition("=")[0] in parser._option_string_actions for item in arguments):
        notes.append(f"--{name} {obsolete.line}")
        return arguments
    notes.append(f"--{name} {obsolete.line} of {TRAINER}; it has no effect here")
    return []


def with_organization(arguments: list[str]) -> list[str]:
    """Return obsolete flags as today's, --push_to_hub_organization joined with the model's name."""
    names = [argument for argument in arguments if argument.startswith("--hub_model_id=")]
    organization = next((name for name in names if name.endswith("/")), None)
    model = next((name for name in names if "/" not in name), None)
    if organization is None or model is None:
        return arguments
    others = [argument for argument in arguments if argument not in names]
    return [*others, organization + model.partition("=")[2]]
