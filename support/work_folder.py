"""The work folder: all unfinished files of a run, in one hidden folder of its output folder.

    check_output_dir(...)                      # refuses folders that the run must not write into
    work = lock_output_dir(output_dir, state)  # the folder is ours until the run ends
    work / "step_10"                           # where a checkpoint is written before it is named

Files that are being written, replaced or deleted, or wait to be pushed, are in `.run`, on the same
file system as the files that they become. Nothing outside it needs to be recognised as a leftover.
A run holds a lock on a file there. The system releases the lock when the process ends, however it
ends: the next run clears what a killed run left.

Processes on other machines may have disks of their own. Their part of the unfinished files, which
nobody reads, is in a temporary folder.
"""

import errno
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from support.end_of_run import at_end_of_run
from support.errors import UserError, on_main_process
from support.files import write_json
from support.secrets import scrubbed_command
from support.text import on_terminal

NAME = ".run"
# Created first and deleted last, so it also marks the folder as the suite's.
LOCK_FILE = "token_classification_run.lock"
OWNER_FILE = "owner.json"  # the process that holds the lock
CACHED_S = 60  # seconds for which a network file system may remember that a file is absent
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


def work_folder(output_dir: str | Path) -> Path:
    """Return the path of the work folder of `output_dir`; it may not exist."""
    return Path(output_dir) / NAME


def make_work_folder(output_dir: str | Path) -> Path:
    """Return the work folder of `output_dir`, created if necessary.

    Raises UserError if something else has its name, which is left alone.
    """
    folder = work_folder(output_dir)
    with suppress(FileExistsError):
        folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink() or folder.is_file():
        raise UserError(_not_ours(folder, "a link" if folder.is_symlink() else "a file"))
    names = os.listdir(folder)
    if names and LOCK_FILE not in names:
        raise UserError(_not_ours(folder, "a folder that this suite did not make"))
    (folder / LOCK_FILE).touch()
    return folder


def _not_ours(folder: Path, kind: str) -> str:
    return (
        f"{folder}: the name is needed for unfinished files: got {kind}, expected nothing of that "
        "name. Move it away, or choose another folder with --output_dir."
    )


def lock_output_dir(
    output_dir: str | Path,
    state: Any,
    command: Sequence[str] | None = None,
    sharded_by: str | None = None,
) -> Path:
    """Reserve `output_dir` for this run until it ends; return this process's work folder.

    Every process calls it (`state`: accelerate's `PartialState`); the main one holds the lock and
    clears the work folder. Processes that do not share its disk get a temporary folder. `command`:
    the script and its arguments, for the message to other runs; default: those of the process.
    `sharded_by`: the library that shards the model, if one does. At the end, also after an error
    or a signal that Python handles, the work folder is removed, as is each folder that was created
    for it and is still empty. Raises UserError in every process if another run holds the lock, or
    if the model is sharded and a process does not share the disk.
    """
    shown = scrubbed_command(command or [Path(sys.argv[0]).name, *sys.argv[1:]])
    owner = on_main_process(state, lambda: _lock(Path(output_dir), shown))
    if state.num_processes == 1 or (state.is_main_process and sharded_by is None):
        return work_folder(output_dir)
    shares = _sees(output_dir, owner, CACHED_S if sharded_by else 0)
    if sharded_by is not None:
        _check_shared(output_dir, shares, sharded_by)
    if shares:
        return work_folder(output_dir)
    folder = tempfile.mkdtemp(prefix="token-classification-")
    at_end_of_run(shutil.rmtree, folder, True)
    return Path(folder)


def _sees(output_dir: str | Path, owner: str, seconds: float) -> bool:
    """Return whether the owner's file of the main process appears here within some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError, ValueError):
            if (work_folder(output_dir) / OWNER_FILE).read_text(encoding="utf-8") == owner:
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.5)


def _check_shared(output_dir: str | Path, shares: bool, sharded_by: str) -> None:
    from accelerate.utils import gather_object  # takes seconds

    hosts = gather_object([None if shares else socket.gethostname()])
    without = sorted({host for host in hosts if host is not None})
    if without:
        raise UserError(
            f"--output_dir {output_dir}: not on a disk that all machines share: {sharded_by} "
            "writes a part of each checkpoint on every machine, and the folder is not visible "
            f"on {', '.join(without)}. Name a folder on a shared disk, or train without "
            f"{sharded_by}: that needs no shared disk."
        )


def _lock(output_dir: Path, command: str) -> str:
    """Acquire the lock, clear the work folder, and return the content of the owner's file."""
    created = [path for path in (output_dir, *output_dir.parents) if not path.exists()]
    folder = work_folder(output_dir)
    lock = FileLock(folder / LOCK_FILE, fallback_to_soft=False)
    try:
        if not _acquire(lock, output_dir):
            message = (
                f"--output_dir {output_dir}: its file system has no locks. Make sure that no "
                "second run writes into the folder."
            )
            print(on_terminal(message), file=sys.stderr)
        at_end_of_run(_release, lock, output_dir, created, os.getpid())
        _clear(folder)
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
            "command": command,
        }
        write_json(folder / OWNER_FILE, owner)
        return (folder / OWNER_FILE).read_text(encoding="utf-8")
    except Timeout:
        raise UserError(
            f"--output_dir {output_dir}: in use by another run: {_owner(output_dir)}. Wait until "
            "it has ended, or choose another folder with --output_dir."
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--output_dir {output_dir}: {folder} cannot be used: {reason}") from None


def _acquire(lock: FileLock, output_dir: Path) -> bool:
    """Acquire the lock without waiting; return False if the file system has no locks.

    Raises Timeout if another process holds it. A run that is just ending may remove the folder.
    """
    tries = 10
    while True:
        tries -= 1
        try:
            make_work_folder(output_dir)
            lock.acquire(blocking=False)
            return True
        except FileNotFoundError:
            if not tries:
                raise
        except NotImplementedError:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return False


def _owner(output_dir: Path) -> str:
    """Return the process that holds the lock, in words."""
    try:
        owner = json.loads((work_folder(output_dir) / OWNER_FILE).read_text(encoding="utf-8"))
        return "process {pid} on {host}, started {started}: {command}".format(**owner)
    except (OSError, ValueError, KeyError, TypeError):  # the owner's file is incomplete or gone
        return "its process is just starting or ending"


def _clear(folder: Path) -> None:
    """Delete everything in the work folder but the lock."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK_FILE:
            path.unlink(missing_ok=True)


def _release(lock: FileLock, output_dir: Path, created: list[Path], process: int) -> None:
    """Remove the work folder and release the lock, unless this is a forked process."""
    if os.getpid() != process:
        return
    folder = work_folder(output_dir)
    with suppress(OSError):
        _clear(folder)
    if os.name == "nt":  # an open file cannot be deleted
        lock.release()
    # Elsewhere it is deleted while it is locked: a run that has just opened it notices that.
    with suppress(OSError):
        (folder / LOCK_FILE).unlink()
    lock.release()
    with suppress(OSError):  # each must be empty
        for path in (folder, *created):
            path.rmdir()
