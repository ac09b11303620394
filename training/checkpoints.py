"""Checkpoints: complete or absent, checked when resumed from.

A checkpoint takes its name once all its files are on the disk; the manifest, written last, lists
them with their CRC-32 and holds the conditions of the run and its progress.
"""

import json
import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support.errors import UserError
from support.files import (
    CHECKPOINT_MANIFEST,
    checkpoint_folders,
    disk_errors_reported,
    share_file_modes,
    sync_folder,
)
from support.processes import is_main_process
from training.progress import Progress


@contextmanager
def checkpoint_staged(
    folder: Path, state: Any, conditions: dict[str, Any], progress: Progress
) -> Iterator[Path]:
    """Yield a folder to write a checkpoint into; it takes the name `folder` once it is complete.

    Entered by every process (`state`: accelerate's `PartialState`). `conditions`: what a run that
    resumes from here must agree with.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        with disk_errors_reported(folder):
            if state.is_main_process:
                remove_leftovers(folder.parent)
                partial.mkdir(parents=True)
            state.wait_for_everyone()
            yield partial
            seal(partial, folder, state, conditions, progress)
    finally:
        if state.is_main_process:  # a full disk needs the space
            shutil.rmtree(partial, ignore_errors=True)
    state.wait_for_everyone()


def seal(
    partial: Path, folder: Path, state: Any, conditions: dict[str, Any], progress: Progress
) -> None:
    """Write the manifest once every process has written its files, and name the folder `folder`."""
    state.wait_for_everyone()
    if state.is_main_process:
        _write_manifest(partial, conditions, progress)
        _put_in_place(partial, folder)


def remove_leftovers(output_dir: Path) -> None:
    """Remove folders that a killed run was writing or deleting."""
    for pattern in (".*.partial", ".*.deleted"):
        for folder in output_dir.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)


def save_model(accelerator: Any, model: Any, tokenizer: Any, folder: Path) -> None:
    """Save a model and its tokenizer in the layout that `from_pretrained` reads.

    Every process collects the weights, also under FSDP and DeepSpeed; the main one writes.
    """
    weights = accelerator.get_state_dict(model)
    if accelerator.is_main_process:
        # torch.compile, which a launcher may request, adds a prefix to the names.
        weights = {name.replace("_orig_mod.", ""): weight for name, weight in weights.items()}
        unwrapped = accelerator.unwrap_model(model, keep_torch_compile=False)
        unwrapped.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)


def _write_manifest(partial: Path, conditions: dict[str, Any], progress: Progress) -> None:
    """Sync all files to the disk, then write the list of them with their checksums."""
    files = {
        path.relative_to(partial).as_posix(): _crc32(path, sync=True)
        for path in sorted(partial.rglob("*"))
        if path.is_file()
    }
    manifest = {"files": files, "conditions": conditions, "progress": asdict(progress)}
    with open(partial / CHECKPOINT_MANIFEST, "w", encoding="utf-8") as file:
        json.dump(manifest, file)
        file.flush()
        os.fsync(file.fileno())
    share_file_modes(partial / CHECKPOINT_MANIFEST, [partial / name for name in files])
    sync_folder(partial)


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename a complete checkpoint to its final name.

    An earlier folder of that name is renamed before it is deleted, because a killed run could
    leave it half deleted under its own name.
    """
    old = folder.with_name(f".{folder.name}.deleted")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _crc32(path: Path, sync: bool = False) -> int:
    value = 0
    with open(path, "rb+" if sync else "rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
        if sync:
            os.fsync(file.fileno())
    return value


def _read_manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / CHECKPOINT_MANIFEST).read_text(encoding="utf-8"))


def damage(folder: Path) -> str | None:
    """Return the damage to the files of a checkpoint as a message, or None."""
    try:
        files = _read_manifest(folder)["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"{CHECKPOINT_MANIFEST} cannot be read ({type(error).__name__})"
    for name, crc in files.items():
        try:
            if _crc32(folder / name) != crc:
                return f"{name} does not match its checksum"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None


def read_progress(folder: Path) -> Progress:
    """Return the progress that a checkpoint holds."""
    return Progress(**_read_manifest(folder)["progress"])


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
        problem = damage(folder) if folder.is_dir() else "no such folder"
        if problem:
            raise UserError(
                f"--resume_from_checkpoint {requested}: {problem}. Name another checkpoint, or "
                "'latest' for the newest complete one of this run."
            )
    saved = _read_manifest(folder)["conditions"]
    differences = [
        f"  {name}: {saved.get(name)} there, {value} now"
        for name, value in conditions.items()
        if saved.get(name) != value
    ]
    if differences:
        raise UserError(
            f"{folder}: checkpoint of a run under other conditions:\n"
            + "\n".join(differences)
            + "\nResume under the same conditions, or leave out --resume_from_checkpoint to start "
            "from the beginning."
        )
    return folder


def _newest_complete(output_dir: Path) -> Path:
    candidates = checkpoint_folders(output_dir)
    # Those without a manifest come last, so that each is visited and reported.
    candidates.sort(key=lambda path: not (path / CHECKPOINT_MANIFEST).exists())
    for candidate in reversed(candidates):
        problem = damage(candidate)
        if problem is None:
            return candidate
        if is_main_process():
            print(f"{candidate}: damaged checkpoint, skipped: {problem}", file=sys.stderr)
    raise UserError(
        f"--resume_from_checkpoint: {output_dir} holds no complete checkpoint. Leave the flag out "
        "to start from the beginning."
    )


def delete_old(output_dir: Path, limit: int | None, progress: Progress, state: Any) -> None:
    """Keep the newest `limit` checkpoints, and the best one whatever its age."""
    if limit is None or not state.is_main_process:
        return
    for folder in checkpoint_folders(output_dir)[:-limit]:
        if folder.name != progress.best_checkpoint:
            # Renamed first, so that a folder with a checkpoint's name is always complete.
            doomed = folder.rename(folder.with_name(f".{folder.name}.deleted"))
            shutil.rmtree(doomed, ignore_errors=True)
