"""Command lines of flags, parsed, made into settings, or refused."""

from pathlib import Path

import pytest

from settings.defaults import make_settings
from settings.flags import LoopFlags, SharedFlags
from settings.parse import parse_flags
from settings.run_settings import Settings
from settings.trainer_flags import TrainerFlags
from support.errors import UserError

FLAGS_CLASSES = [TrainerFlags, LoopFlags]


def parse(*argv, script=SharedFlags):
    return parse_flags(script, "A script.", list(argv))


def settings_from(*argv, suffix: str = "", hub_ready: bool = True) -> Settings:
    return make_settings(parse(*argv), suffix, hub_ready)


def refused(*argv, script=SharedFlags) -> str:
    with pytest.raises(UserError) as error:
        parse(*argv, script=script)
    return str(error.value)


def config_file(folder: Path, text: str, name: str = "flags.yaml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)
