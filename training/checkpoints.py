"""Checkpoints: complete or absent, checked when resumed from.

A checkpoint takes its name once all its files are on the disk; the manifest, written last, lists
them with their CRC-32 and holds the run's identity, its conditions and its progress. Only folders
with a manifest of this run are ever deleted.
"""

import json
import os
import re
import shlex
import shutil
import socket
import sys
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from support.errors import UserError, on_main_process
from support.files import disk_errors_reported, share_file_modes, sync_folder
from support.manifests import (
    MANIFEST,
    Manifest,
    checkpoint_folders,
    manifests_in,
    read_manifest,
)
from support.processes import is_main_process, on_several_machines
from support.text import as_argument, on_terminal
from support.work_folder import work_folder
from training.calendar import Calendar
from training.progress import Progress

NAME = re.compile(r"(epoch_|step_|checkpoint-)[0-9]+(\.[0-9]+)?")  # of `checkpoint_path`

# --- Writing --------------------------------------------------------------------------------


@contextmanager
def checkpoint_staged(
    folder: Path, plan: Any, progress: Progress, state: Any, work: Path
) -> Iterator[Path]:
    """Yield a folder to write a checkpoint into; it takes the name `folder` once it is complete.

    Entered by every process (`state`: accelerate's `PartialState`). `plan`: the `Plan` of the run.
    `work`: see `lock_output_dir`. A process that does not share the disk of the output folder adds
    nothing to the checkpoint, which then lacks its random state; each step sets that again.
    """
    partial = work / folder.name
    is_shared = work.name == work_folder(folder.parent).name  # a temporary one has another name
    try:
        with disk_errors_reported(folder):
            if state.is_main_process:
                partial.mkdir(parents=True)
            state.wait_for_everyone()
            yield partial
            seal(partial, folder, plan, progress, state)
    finally:
        if state.is_main_process or not is_shared:  # a full disk needs the space
            shutil.rmtree(partial, ignore_errors=True)
    state.wait_for_everyone()


def seal(partial: Path, folder: Path, plan: Any, progress: Progress, state: Any) -> None:
    """Write the manifest once every process has written its files, and name the folder `folder`."""
    state.wait_for_everyone()
    if state.is_main_process:
        _write_manifest(partial, plan, progress)
        replaced = _move_away(folder) if folder.exists() else None
        partial.rename(folder)
        sync_folder(folder.parent)
        if replaced is not None:
            shutil.rmtree(replaced, ignore_errors=True)


def checkpoint_path(output_dir: Path, name: str, identity: dict[str, Any], state: Any) -> Path:
    """Return the folder to save a checkpoint in; other folders of that name are kept.

    The main process decides (`state`: accelerate's `PartialState`): others may not see the folder.
    """

    def free() -> Path:
        folder, number = output_dir / name, 1
        while folder.exists() and not is_replaceable(folder, identity):
            number += 1
            folder = output_dir / f"{name}.{number}"
        return folder

    return on_main_process(state, free)


def is_replaceable(folder: Path, identity: dict[str, Any]) -> bool:
    """Return whether a folder is a checkpoint of this run, or of an earlier one that it repeats."""
    manifest = read_manifest(folder)
    return manifest is not None and manifest.identity == json.loads(json.dumps(identity))


def checkpoint_name(saved_by: str, calendar: Calendar, step: int) -> str:
    """Return the name of the checkpoint of a step; `saved_by`: "accelerate" or "Trainer"."""
    if saved_by == "Trainer":
        return f"checkpoint-{step}"
    by_epoch = calendar.intervals.save_strategy in ("epoch", "best")
    if calendar.ends_epoch(step) and (by_epoch or calendar.intervals.save_each_epoch):
        return f"epoch_{calendar.epoch_of(step)}"
    return f"step_{step}"


def _write_manifest(partial: Path, plan: Any, progress: Progress) -> None:
    """Sync all files to the disk, then write the list of them with their checksums."""
    files = {
        path.relative_to(partial).as_posix(): _crc32(path, sync=True)
        for path in sorted(partial.rglob("*"))
        if path.is_file()
    }
    manifest = {
        "identity": plan.identity,
        "conditions": plan.conditions,
        "hardware": plan.hardware,
        "progress": asdict(progress),
        "files": files,
    }
    with open(partial / MANIFEST, "w", encoding="utf-8") as file:
        json.dump(manifest, file)
        file.flush()
        os.fsync(file.fileno())
    share_file_modes(partial / MANIFEST, [partial / name for name in files])
    sync_folder(partial)


def _crc32(path: Path, sync: bool = False) -> int:
    value = 0
    with open(path, "rb+" if sync else "rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
        if sync:
            os.fsync(file.fileno())
    return value


def _move_away(folder: Path) -> Path:
    """Take its name from a checkpoint, before it is deleted: a named checkpoint is complete."""
    doomed = work_folder(folder.parent) / f"{folder.name}.deleted"
    doomed.parent.mkdir(parents=True, exist_ok=True)
    return folder.rename(doomed)


def delete_old(output_dir: Path, limit: int | None, progress: Progress, state: Any) -> None:
    """Delete the checkpoints of this run but the newest `limit`, the current and the best.

    If the run was resumed from an early checkpoint, later steps count as newer. A copy that
    the user has renamed stays.
    """
    if limit is None or not state.is_main_process:
        return
    own = [
        (folder, manifest.step)
        for folder, manifest in manifests_in(output_dir).items()
        if NAME.fullmatch(folder.name) and manifest.run_id == progress.run_id
    ]
    for folder, step in own[:-limit]:
        if folder.name != progress.best_checkpoint and step != progress.step:
            shutil.rmtree(_move_away(folder), ignore_errors=True)


# --- Reading --------------------------------------------------------------------------------


def damage(folder: Path) -> str | None:
    """Return the damage to the files of a checkpoint as a message, or None."""
    return _damage(folder, read_manifest(folder))


def _damage(folder: Path, manifest: Manifest | None) -> str | None:
    if not folder.is_dir():
        return "no such folder"
    if manifest is None:
        return f"{MANIFEST} is missing, or was not written by this version of the suite"
    # Checkpoints of earlier versions lack the intervals of evaluations.
    if manifest.progress.keys() | {"score_intervals"} != {field.name for field in fields(Progress)}:
        return f"{MANIFEST} holds the progress of another version of the suite"
    for name, crc in manifest.files.items():
        try:
            if _crc32(folder / name) != crc:
                return f"{name} does not match its checksum"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None


def damage_of_best(output_dir: Path, progress: Progress) -> str | None:
    """Return why the checkpoint of a run's best score cannot be used, or None.

    A run that is resumed in another folder may find another run's checkpoint of that name.
    """
    folder = output_dir / str(progress.best_checkpoint)
    manifest = read_manifest(folder)
    if problem := _damage(folder, manifest):
        return problem
    is_own = manifest is not None and manifest.run_id == progress.run_id
    return None if is_own else "it is one of another run"


def read_progress(folder: Path) -> Progress:
    """Return the progress that a checkpoint holds."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f"{folder}: {damage(folder)}")
    return Progress(**manifest.progress)


def other_hardware(folder: Path, hardware: dict[str, Any]) -> str | None:
    """Return a note if a checkpoint was made on other hardware than this run has, or None."""
    manifest = read_manifest(folder)
    saved = manifest.hardware if manifest else {}
    if saved.get("device") != hardware.get("device"):
        saved = {name: value for name, value in saved.items() if name == "device"}
    differences = [
        f"{name} {value} there, {hardware.get(name)} here"
        for name, value in saved.items()
        if value != hardware.get(name)
    ]
    if not differences:
        return None
    return (
        f"{folder} comes from other hardware ({'; '.join(differences)}), which rounds differently: "
        "the weights will not equal those of an uninterrupted run to the bit."
    )


def find_checkpoint(
    requested: str | None, output_dir: Path, conditions: dict[str, Any]
) -> Path | None:
    """Return the checkpoint to resume from; for "latest" the newest complete one.

    Damaged checkpoints are reported and skipped. Raises UserError if there is none, or if it
    comes from a run under other conditions.
    """
    if requested is None:
        return None
    if requested in ("latest", "True", "true"):
        folder = _newest_complete(output_dir)
    else:
        folder = Path(requested)
        if problem := damage(folder):
            raise UserError(
                f"--resume_from_checkpoint {requested}: {problem}. Name another checkpoint, or "
                f"'latest' for the newest complete one of this run.{_on_this_machine()}"
            )
    manifest = read_manifest(folder)
    saved = manifest.conditions if manifest else {}
    differing = [
        name
        for name in dict.fromkeys([*conditions, *saved])
        if saved.get(name) != conditions.get(name)
    ]
    if differing:
        rows = (_difference(name, saved.get(name), conditions.get(name)) for name in differing)
        raise UserError(
            f"{folder}: checkpoint of a run under other conditions:\n"
            + "\n".join(rows)
            + "\nResume under the same conditions, or leave out --resume_from_checkpoint to start "
            "from the beginning." + _other_length(folder, manifest, differing)
        )
    return folder


def _difference(name: str, saved: Any, now: Any) -> str:
    """Describe a condition that differs. Digests mean nothing to the user and are left out."""
    if saved is None and name in ("tokenizer", "corpus"):
        return f"  {name}: not recorded in the checkpoint"
    if name == "tokenizer":
        return "  tokenizer: its rules differ from those of the checkpoint"
    if name == "corpus":
        (saved, *_), (now, *_) = (str(value).rpartition(" ") for value in (saved, now))
        if saved == now:
            return f"  corpus: words or labels of {now} have changed since the checkpoint was saved"
    return f"  {name}: {saved} in the checkpoint, {now} in this run"


def _other_length(folder: Path, manifest: Manifest | None, differing: Collection[str]) -> str:
    """Return how to continue from a checkpoint, if only the length of the run differs."""
    if manifest is None or not {*differing} <= {"steps", "max_steps", "num_train_epochs"}:
        return ""
    best = folder.parent / (manifest.progress.get("best_checkpoint") or folder.name)
    has_better = best.name != folder.name and best.is_dir()
    better = f" The checkpoint with the best score is {best}." if has_better else ""
    return (
        " The learning rate follows a schedule over all steps of a run, so a longer run is another "
        f"run.{better} To continue training from the weights of the checkpoint, start a new run "
        "from them, without --resume_from_checkpoint: "
        f"--model_name_or_path {shlex.quote(as_argument(folder))} --output_dir NEW_FOLDER"
    )


def _newest_complete(output_dir: Path) -> Path:
    candidates = checkpoint_folders(output_dir)[::-1]
    named = (path for path in output_dir.glob("*") if NAME.fullmatch(path.name) and path.is_dir())
    # First those that only have the name of a checkpoint, so that each of them is reported.
    for candidate in [*sorted(set(named) - set(candidates)), *candidates]:
        problem = damage(candidate)
        if problem is None:
            return candidate
        if is_main_process():
            message = f"{candidate}: damaged checkpoint, skipped: {problem}"
            print(on_terminal(message), file=sys.stderr)
    raise UserError(
        f"--resume_from_checkpoint: {output_dir} holds no complete checkpoint. Leave the flag out "
        f"to start from the beginning.{_on_this_machine()}"
    )


def _on_this_machine() -> str:
    """Return what to do if another machine of the run has the checkpoint."""
    if not on_several_machines():
        return ""
    return (
        f" Process 0, which reads checkpoints, is on {socket.gethostname()}: if another machine "
        "has them, start that one with --node_rank 0."
    )
