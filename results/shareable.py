"""Names of local files as a push sends them: without the folders of this machine.

The folders say who has which data where, and are of no use elsewhere.
"""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

LONGEST_PATH = 4096  # characters


def without_folders(value: object) -> object:
    """Return an argument, or a list of them, with local paths as their names alone."""
    if isinstance(value, str):
        return shareable(value)
    if isinstance(value, Sequence):
        return [without_folders(item) for item in value]
    return value


def shareable(word: str) -> str:
    """Return a word of a command line; a local path, also after `--flag=`, as its name alone."""
    flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return flag + equals + (Path(value).name or value if _is_local_path(value) else value)


def _is_local_path(value: str) -> bool:
    """Return whether a value is a path of this machine, rather than a name on the Hub or a URL."""
    has_folder = "/" in value or os.sep in value
    if not has_folder or "://" in value or "\0" in value or len(value) > LONGEST_PATH:
        return False
    if Path(value).is_absolute() or value.startswith(("~", "./", "../")):
        return True
    if value.count("/") > 1 and value[0] not in "{[":  # a name on the Hub has one, JSON any number
        return True
    return os.path.lexists(value) or next(glob.iglob(value), None) is not None
