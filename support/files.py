"""Files: written whole or not at all, permissions, disk errors."""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from support.errors import UserError


@contextmanager
def written_whole(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file for writing that takes the name `path` only once it is complete.

    `mode`: "w" for text in UTF-8, "wb" for bytes. Until the end, and after an error, an earlier
    file of that name stays as it was.
    """
    # A name of its own, and mode "x": a user's file is never overwritten or deleted.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with open(
            partial, mode.replace("w", "x"), encoding=None if "b" in mode else "utf-8"
        ) as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with written_whole(path) as file:
        file.write(text)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    A lone surrogate is written as an escape: it is a byte of a file name that is not UTF-8.
    """
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    write_text(path, text.encode("utf-8", "backslashreplace").decode())


def sync_folder(folder: Path) -> None:
    """Sync a folder's list of names to the disk; its files are synced one by one."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows cannot open a folder
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def share_file_modes(source: Path, files: Iterable[Path]) -> None:
    """Give files the permissions of `source`: safetensors lets only the owner read its files."""
    for file in files:
        shutil.copymode(source, file)


@contextmanager
def disk_errors_reported(path: Path) -> Iterator[None]:
    """Turn an error of writing `path`, such as a full disk, into a `UserError`.

    `torch.save` and safetensors do not raise OSError, and torch gives no reason.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        nearest = next(p for p in (path, *path.absolute().parents) if p.exists())
        full = "No space left" in str(error) or shutil.disk_usage(nearest).free < 1 << 16
        if not full and not isinstance(error, OSError):
            raise
        reason = os.strerror(errno.ENOSPC) if full else error
        raise UserError(
            f"{path} could not be written: {reason}. Earlier checkpoints are unchanged. Once this "
            "is fixed, the same command with --resume_from_checkpoint resumes from them."
        ) from error
