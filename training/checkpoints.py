"""Where training stands: the order of its data, its checkpoints, resuming, signals.

The order of the data and the dropout of an update depend on the seed and the update's number
alone, so that a resumed run needs nothing but that number to go on as if it had never stopped.
"""

import errno
import json
import math
import os
import re
import shutil
import signal
import sys
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from settings.flags import model_title, sharded_by
from support.errors import UserError

# --- The order of the data ------------------------------------------------------------------


class TrainingOrder:
    """Sampler: the order in which an epoch visits the windows, the same on every process.

    The order is cut into updates of `update_size` windows (batch x processes x accumulation);
    an update's windows are of like length, so that little of a batch is padding. It depends on
    seed and epoch only: 1 process x 8, 2 x 4 and 4 x 2 accumulated make the same updates.
    What the last update lacks are fillers: index `len(lengths)` (see `window_set.WindowSet`).
    """

    POOL = 50  # updates sorted by length together: the larger, the less padding and the less chance

    def __init__(self, lengths: np.ndarray, update_size: int, seed: int, grouped: bool = True):
        self.lengths, self.update_size, self.seed = lengths, update_size, seed
        self.grouped = grouped
        self.epoch = 0  # set it before each epoch

    @property
    def updates(self) -> int:
        """Updates an epoch."""
        return len(self) // self.update_size

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.update_size) * self.update_size

    def __iter__(self):
        random = np.random.default_rng([self.seed, self.epoch])
        order = np.full(len(self), len(self.lengths), np.int32)  # what is left stays a filler
        real = order[: len(self.lengths)]
        real[:] = np.arange(len(real))
        random.shuffle(real)
        updates = order.reshape(-1, self.update_size)
        if self.grouped:
            pool = self.update_size * self.POOL
            for start in range(0, len(real), pool):
                chunk = real[start : start + pool]
                chunk[:] = chunk[np.argsort(self.lengths[chunk], kind="stable")]
            # Fillers stay in the last update, which is shuffled among the others with them.
            updates = random.permutation(updates)
        return iter(updates.ravel())


def evaluation_order(lengths: np.ndarray, round_size: int) -> np.ndarray:
    """Longest windows first, filled up to a multiple of `round_size` (batch x processes).

    Every batch is whole on any number of processes, so that each window is always computed in
    the same company and its scores are the same to the last digit.
    """
    order = np.full(-(-len(lengths) // round_size) * round_size, len(lengths), np.int32)
    order[: len(lengths)] = np.argsort(-lengths, kind="stable")
    return order


def seed_update(seed: int, update: int, process: int) -> None:
    """Make the dropout of an update depend on these three alone."""
    import torch

    number = int(np.random.SeedSequence([seed, update, process]).generate_state(1)[0])
    if torch.accelerator.is_available():
        torch.manual_seed(number)
    else:  # the same, without a search for devices: 1 ms of an update
        torch.default_generator.manual_seed(number)


# --- What a run will do ---------------------------------------------------------------------


class Plan(NamedTuple):
    """Decided before the model is loaded."""

    order: TrainingOrder
    total_updates: int
    # Tokens of an update that are labelled, on average: what the loss of each is divided by, so
    # that every token weighs the same. By its own number, those of short sentences, which are
    # grouped, would weigh more.
    num_labelled: float
    conditions: dict  # what must agree for a run to go on from a checkpoint, to the bit
    checkpoint: Path | None  # to go on from


def plan_training(args, corpus, config, windows: dict, precision: str, state) -> Plan:
    """The updates to make, and where to go on from.

    `windows`: a `window_set.WindowSet` by split. `state`: accelerate's `PartialState`. Raises
    UserError where there is nothing to train on, no such checkpoint, or it belongs to a run under
    other conditions.
    """
    if "train" not in windows or len(windows["train"]) == 0:
        raise UserError(
            f"{corpus.name}: nothing to train on. Name a corpus with --train_file or "
            "--dataset_name, or ask only for --do_eval or --do_predict."
        )
    batch_size, accumulation = args.per_device_train_batch_size, args.gradient_accumulation_steps
    update_size = batch_size * accumulation * state.num_processes
    order = TrainingOrder(windows["train"].lengths, update_size, args.seed, args.group_by_length)
    if args.max_steps > 0:
        total_updates = args.max_steps
    else:
        total_updates = math.ceil(args.num_train_epochs * order.updates)
    conditions = {
        "corpus": f"{corpus.name} {corpus.fingerprint}",
        "labels": corpus.label_names,
        "model": model_title(args.model_name_or_path),
        "window length": config.window_length,
        "label all tokens": args.label_all_tokens,
        "sentences of each split": {name: len(split) for name, split in corpus.splits.items()},
        "sentences a process and step": batch_size,
        "steps an update": accumulation,
        "processes": state.num_processes,
        "sharded by": sharded_by(args),
        "updates": total_updates,
        "learning rate": [args.learning_rate, args.lr_scheduler_type, args.warmup_steps],
        "weight decay, clipping": [args.weight_decay, args.max_grad_norm],
        "seed": args.seed,
        "grouped by length": args.group_by_length,
        "precision": precision,
    }
    output_dir = Path(args.output_dir)
    checkpoint = find_checkpoint(args.resume_from_checkpoint, output_dir, conditions)
    best = checkpoint and args.load_best_model_at_end and read_progress(checkpoint).best_checkpoint
    if best and (problem := damage(output_dir / best)):
        raise UserError(
            f"--load_best_model_at_end: {output_dir / best}, the best epoch so far: {problem}. "
            "Put it back, or leave the flag out to keep the last epoch."
        )
    num_labelled = max(windows["train"].count_labelled(), 1) / order.updates
    return Plan(order, total_updates, num_labelled, conditions, checkpoint)


# --- Where a run stands ---------------------------------------------------------------------


@dataclass
class Progress:
    """What a loop must know to go on; the order of the data follows from `step`."""

    step: int = 0  # updates made
    epochs_done: int = 0  # epochs trained, and scored
    total_loss: float = 0.0  # summed over the updates that are logged
    pending_loss: float = 0.0  # summed over those since
    step_losses: list[dict] = field(default_factory=list)  # step, loss, learning_rate
    history: list[dict] = field(default_factory=list)  # a row an epoch
    best_score: float | None = None
    best_checkpoint: str | None = None  # its name
    epochs_without_better: int = 0

    def note_score(self, score: float, greater_is_better: bool, checkpoint: str) -> None:
        """Remember the checkpoint with the best score; count the epochs since."""
        best = self.best_score
        if best is None or (score > best if greater_is_better else score < best):
            self.best_score, self.best_checkpoint = score, checkpoint
            self.epochs_without_better = 0
        else:
            self.epochs_without_better += 1


# --- Checkpoints ----------------------------------------------------------------------------

MANIFEST = "checkpoint.json"  # written last: files with their CRC-32, the run's conditions


@contextmanager
def written_whole(folder: Path, state, conditions: dict, progress: Progress):
    """A checkpoint's folder, under its name only once everything in it is on the disk.

    Yields the folder to write into, on every process (`state`: accelerate's `PartialState`).
    `conditions` are what a run that goes on from here must agree with.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        with disk_errors_told(folder):
            if state.is_main_process:
                _remove_leftovers(folder.parent)
                partial.mkdir(parents=True)
            state.wait_for_everyone()
            yield partial
            state.wait_for_everyone()
            if state.is_main_process:
                _seal(partial, conditions, progress)
                _put_in_place(partial, folder)
    finally:
        if state.is_main_process:  # on a full disk what it took is needed
            shutil.rmtree(partial, ignore_errors=True)
    state.wait_for_everyone()


@contextmanager
def disk_errors_told(path: Path):
    """What goes wrong in writing `path`, on a disk that is full or may not be written, as a
    UserError. `torch.save` and safetensors do not raise OSError, and torch gives no reason."""
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
            f"{path} could not be written: {reason}. Earlier checkpoints are as they were; once "
            "this is mended, the same command with --resume_from_checkpoint goes on from them."
        ) from error


def _seal(partial: Path, conditions: dict, progress: Progress) -> None:
    """Put all files on the disk, then the list of them with their sums."""
    files = {
        path.relative_to(partial).as_posix(): _crc32(path, sync=True)
        for path in sorted(partial.rglob("*"))
        if path.is_file()
    }
    manifest = {"files": files, "conditions": conditions, "progress": asdict(progress)}
    with open(partial / MANIFEST, "w", encoding="utf-8") as file:
        json.dump(manifest, file)
        file.flush()
        os.fsync(file.fileno())
    for name in files:  # weights, which safetensors keeps to oneself, are for whom the others are
        shutil.copymode(partial / MANIFEST, partial / name)
    _sync_folder(partial)


def _put_in_place(partial: Path, folder: Path) -> None:
    """Give a folder its name. One that has it already, of an earlier run, goes at once or not at
    all: deleted under its own name, it could be found half deleted."""
    old = folder.with_name(f".{folder.name}.deleted")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    _sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(output_dir: Path) -> None:
    """What a run that was killed had begun to write, or to delete."""
    for pattern in (".*.partial", ".*.deleted"):
        for folder in output_dir.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)


def _crc32(path: Path, sync: bool = False) -> int:
    value = 0
    with open(path, "rb+" if sync else "rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
        if sync:
            os.fsync(file.fileno())
    return value


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint's files, or None where each is what was written."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"{MANIFEST} cannot be read ({type(error).__name__})"
    for name, crc in files.items():
        try:
            if _crc32(folder / name) != crc:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None


def read_progress(folder: Path) -> Progress:
    return Progress(**json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["progress"])


def sort_checkpoints(output_dir: Path) -> list[Path]:
    """Finished checkpoints of the folder, the newest last."""
    found = [
        path
        for path in output_dir.glob("*")
        if re.fullmatch(r"(epoch_|step_|checkpoint-)\d+", path.name) and path.is_dir()
    ]
    return sorted(found, key=time_saved)


def time_saved(checkpoint: Path) -> int:
    """When its manifest was written, in nanoseconds; 0 where somebody's copying lost it."""
    manifest = checkpoint / MANIFEST
    return manifest.stat().st_mtime_ns if manifest.exists() else 0


def find_checkpoint(asked: str | None, output_dir: Path, conditions: dict) -> Path | None:
    """The checkpoint to go on from: the one asked for, or for "latest" the newest whole one.

    Damaged ones are named and passed over. Raises UserError where there is none, or where it
    comes from a run under other conditions.
    """
    if asked is None:
        return None
    if asked not in ("latest", "True", "true"):
        folder = Path(asked)
        problem = damage(folder) if folder.is_dir() else "no such folder"
        if problem:
            raise UserError(f"--resume_from_checkpoint {asked}: {problem}")
    else:
        folder = None
        candidates = sort_checkpoints(output_dir)
        candidates.sort(key=lambda path: not (path / MANIFEST).exists())  # named in any case
        for candidate in reversed(candidates):
            problem = damage(candidate)
            if problem is None:
                folder = candidate
                break
            if _is_main():
                print(f"Passed over a damaged checkpoint: {candidate}: {problem}", file=sys.stderr)
        if folder is None:
            raise UserError(
                f"--resume_from_checkpoint: no whole checkpoint in {output_dir}. "
                "Leave the flag out to begin anew."
            )
    found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["conditions"]
    differences = [
        f"  {name}: there {found.get(name)}, now {value}"
        for name, value in conditions.items()
        if found.get(name) != value
    ]
    if differences:
        raise UserError(
            f"{folder} belongs to a run under other conditions:\n"
            + "\n".join(differences)
            + "\nGo on under the same ones, or leave out --resume_from_checkpoint to begin anew."
        )
    return folder


def delete_old(output_dir: Path, limit: int | None, progress: Progress, state) -> None:
    """Keep the newest `limit` checkpoints, and the best one whatever its age."""
    if limit is None or not state.is_main_process:
        return
    for folder in sort_checkpoints(output_dir)[:-limit]:
        if folder.name != progress.best_checkpoint:
            # Renamed first: a folder with a checkpoint's name is whole, even now.
            doomed = folder.rename(folder.with_name(f".{folder.name}.deleted"))
            shutil.rmtree(doomed, ignore_errors=True)


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


# --- Signals --------------------------------------------------------------------------------


class StopSignals:
    """SIGTERM and Ctrl-C end training after the step under way; a second one ends it at once."""

    def __init__(self, state):
        """`state`: accelerate's `PartialState`; the processes stop together."""
        self.state = state
        self.received = 0  # by this process
        self.stopping = False  # all of them, see `stop`
        self.handlers = {
            number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)
        }

    def restore(self) -> None:
        """Signals mean again what they meant before."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        if self.received:
            os._exit(128 + number)
        self.received = number
        if _is_main():
            # Not print: the signal may have come in the middle of one, which Python forbids.
            os.write(2, b"\nStopping after this step; once more to stop at once.\n")

    def exit(self, checkpoint: str) -> None:
        """Say how to go on, and leave with the status that the signal asks for."""
        if _is_main():
            print(
                f"Stopped. The checkpoint is {checkpoint}; the same command with "
                "--resume_from_checkpoint goes on from there.",
                file=sys.stderr,
            )
        sys.exit(128 + self.received)

    def stop(self) -> bool:
        """Whether any process was told to stop; called by all of them, who all get one answer."""
        received = self.received
        if self.state.num_processes > 1:
            import torch
            from accelerate.utils import reduce

            # Ctrl-C reaches every process of a group, a SIGTERM perhaps one. What arrives while
            # they ask each other counts the next time, or they would part ways.
            mine = torch.tensor([received], device=self.state.device)
            of_all = reduce(mine, "sum").item()
            received = received or (of_all and signal.SIGTERM)
        self.stopping = bool(received)
        self.received = self.received or received
        return self.stopping
