"""The input files: paths, globs and folders expanded to a list of files."""

import glob
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from support.errors import UserError

COLUMN_EXTENSIONS = {
    ".bio", ".bio2", ".col", ".conll", ".conllu", ".conllup", ".iob", ".iob2", ".tsv"
}  # fmt: skip
JSON_EXTENSIONS = {".json", ".jsonl", ".ndjson"}
PROSE_EXTENSIONS = {"", ".log", ".markdown", ".md", ".text", ".txt"}
TABLE_EXTENSIONS = {".arrow", ".csv", ".parquet"}
# In a folder, files with these extensions are read; the help of --input lists them.
TEXT_EXTENSIONS = PROSE_EXTENSIONS | COLUMN_EXTENSIONS | JSON_EXTENSIONS | TABLE_EXTENSIONS
STANDARD_INPUT = "-"


def find_files(patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return (files to read, files passed over) for paths, globs and folders, in order.

    A folder contributes its files with one of `TEXT_EXTENSIONS`; a file that is named itself is
    read whatever its extension; `-` stays as it is. Raises one UserError about all patterns that
    give no file.
    """
    files: list[str] = []
    passed_over: list[str] = []
    missing = []
    for pattern in patterns:
        if os.path.isdir(pattern):
            inside = _files_of_folder(Path(pattern))
            paths = [path for path in inside if extension_of(path) in TEXT_EXTENSIONS]
            if inside and not paths:
                missing.append(f"--input {pattern}: {_no_text(inside)}")
                continue
            passed_over += [path for path in inside if extension_of(path) not in TEXT_EXTENSIONS]
        elif pattern != STANDARD_INPUT and stat.S_ISSOCK(_mode(pattern)):
            missing.append(f"--input {pattern}: got a socket, expected a file or a pipe")
            continue
        elif pattern == STANDARD_INPUT or os.path.exists(pattern):
            paths = [pattern]
        else:
            paths = [p for p in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(p)]
        if not paths:
            missing.append(f"--input {pattern}: no such file")
        files += paths
    if missing:
        raise UserError("\n".join(missing))
    files = list(dict.fromkeys(files))
    return files, [path for path in dict.fromkeys(passed_over) if path not in files]


def _mode(path: str) -> int:
    """Return the mode of a file; 0 if there is none, or the name cannot be one."""
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):
        return 0


def _files_of_folder(folder: Path) -> list[str]:
    """Return the files in a folder and its subfolders, sorted, without hidden ones."""
    return [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _no_text(inside: list[str]) -> str:
    known = ", ".join(sorted(filter(None, TEXT_EXTENSIONS)))
    return (
        f"no text files in this folder: got {shortened(inside)}, expected files without an "
        f"extension or with one of {known}, optionally followed by .gz. To read a file with "
        "another extension, name the file itself."
    )


def shortened(paths: list[str], shown: int = 8) -> str:
    """Return the first paths, separated by commas, and the number of the remaining ones."""
    remaining = len(paths) - shown
    return ", ".join(paths[:shown]) + (f" and {remaining:,} more" if remaining > 0 else "")


def extension_of(path: str) -> str:
    """Return the extension in lower case, ignoring .gz and the numbers of logs (app.log.1.gz).

    The extension may be empty.
    """
    suffixes = (suffix.lower() for suffix in reversed(Path(path).suffixes))
    return next((s for s in suffixes if s != ".gz" and not s[1:].isdecimal()), "")
