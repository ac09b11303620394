"""Checkpoints of the training scripts, for the tests of training."""

from pathlib import Path
from types import SimpleNamespace

from support.manifests import checkpoint_folders
from tests.helpers.script_runs import TOKEN_LOSS, TRAINER, facts
from training.checkpoints import damage

ALONE = SimpleNamespace(is_main_process=True, num_processes=1, wait_for_everyone=lambda: None)
PLAN = SimpleNamespace(identity={"corpus": "a"}, conditions={"a": 1}, hardware={"device": "cpu"})
MICRO_BATCH = TOKEN_LOSS  # a function that is called once for each batch
SETTINGS = ["--mixed_precision", "no", "--max_seq_length", 24, "--learning_rate", 1e-2]
SETTINGS += ["--logging_steps", 1, "--output_dir", "out"]


def complete(folder: Path) -> list[str]:
    """Return the names of the checkpoints, the newest last; assert that all are complete."""
    paths = checkpoint_folders(folder)
    assert [damage(path) for path in paths] == [None] * len(paths)
    return [path.name for path in paths]


def history(folder: Path) -> dict:
    """Return every value of every epoch, by its number and name."""
    rows = facts(folder)["history"]
    return {f"{row['epoch']} {name}": value for row in rows for name, value in row.items()}


def name_of(script: str, step: int, epoch: int | None = None) -> str:
    """Return the name of a script's checkpoint of a step, or of the end of an epoch."""
    if script == TRAINER:
        return f"checkpoint-{step}"
    return f"step_{step}" if epoch is None else f"epoch_{epoch}"
