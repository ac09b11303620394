"""Scripts and folders in the commands that a run prints, which work in the current folder."""

import shlex
from pathlib import Path

from support.text import as_argument

SUITE = Path(__file__).resolve().parents[1]


def suite_folder() -> str:
    """Return the folder of the scripts for a command; "" if it is the current folder."""
    return "" if Path.cwd() == SUITE else str(SUITE)


def as_place(folder: Path) -> str:
    """Return the name of a folder in a sentence; for `.` and `..`, its absolute path."""
    return str(folder if folder.name.strip(".") else folder.resolve())


def tagging_command(folder: Path) -> str:
    """Return the command that tags a text with the model in `folder`."""
    words = ["python", str(Path(suite_folder()) / "infer.py"), "--model", as_argument(folder)]
    return f'{shlex.join(words)} "The text to tag."'
