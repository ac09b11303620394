"""The files of a push: those of a folder to upload, and those on the Hub that become outdated."""

import glob
import os
import re
import shlex
import shutil
from pathlib import Path

# Never pushed with a model: the state of optimizers and trainers, and pickles; the pickle
# `training_args.bin` contains the token.
STATE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".distcp"}
STATE_FILES = {"trainer_state.json", "checkpoint.json"}
UNFINISHED_SUFFIXES = {".tmp", ".temp", ".part", ".partial", ".incomplete", ".lock", ".swp"}
CHECKPOINT_IN_REPO = "last-checkpoint"  # Trainer's name for it
WEIGHTS_IN_REPO = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
LARGEST_TEXT = 50_000_000  # bytes; larger files are not searched for the token


def files_to_push(folder: str | Path) -> list[Path]:
    """Return the files of a model: those at the top of `folder`, without state and partial files.

    They are the same for the folders of both training scripts, whatever else those contain.
    """
    return [
        path
        for path in sorted(Path(folder).glob("*"))
        if _is_finished(path) and path.suffix not in STATE_SUFFIXES and path.name not in STATE_FILES
    ]


def checkpoint_files(checkpoint: Path) -> list[Path]:
    """Return the finished files of a checkpoint, optimizer state included.

    `training_args.bin` is left out: it is a pickle that contains the token, and resuming does not
    need it.
    """
    return [
        path
        for path in sorted(checkpoint.rglob("*"))
        if _is_finished(path)
        and path.name != "training_args.bin"
        and not any(part.startswith(".") for part in path.relative_to(checkpoint).parts)
    ]


def _is_finished(path: Path) -> bool:
    return (
        path.is_file()
        and not path.is_symlink()
        and not path.name.startswith((".", "~"))
        and not path.name.endswith("~")
        and path.suffix not in UNFINISHED_SUFFIXES
    )


def holds_token(path: Path, token: str | None) -> bool:
    """Return whether a text file or a small pickle contains the token; tensors cannot."""
    if not token or path.suffix == ".safetensors" or path.stat().st_size > LARGEST_TEXT:
        return False
    return token.encode() in path.read_bytes()


def copy_file(source: Path, target: Path) -> None:
    """Copy a file so that later changes of `source` do not reach the copy.

    Weights are hard-linked, which takes neither time nor space. That is safe because safetensors
    writes a new inode at each save; other files may be rewritten in place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".safetensors":
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copyfile(source, target)


def is_outdated(path_in_repo: str, with_checkpoint: bool) -> bool:
    """Return whether a file of the repository must be deleted if this push does not contain it.

    That applies to weights, which an earlier push in another number of shards may have left, and,
    if the push contains a checkpoint, to files of an older checkpoint. Both would be loaded by
    mistake.
    """
    return bool(WEIGHTS_IN_REPO.fullmatch(path_in_repo)) or (
        with_checkpoint and path_in_repo.startswith(f"{CHECKPOINT_IN_REPO}/")
    )


def upload_command(repo_id: str, folder: str | Path, message: str) -> str:
    """Return the command that pushes the same files of `folder` by hand."""
    pushed = files_to_push(folder)
    left_out = [path for path in sorted(Path(folder).glob("*")) if path not in pushed]
    command = ["hf", "upload", repo_id, str(folder), ".", "--commit-message", message]
    for path in left_out:
        if path.name not in (".cache", ".git"):  # the command leaves these out itself
            command += ["--exclude", glob.escape(path.name) + ("/*" if path.is_dir() else "")]
    return shlex.join(command)
