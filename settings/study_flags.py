"""The flags of `study.py`, and the flags of training that a study sets itself.

Nothing heavy is imported here, so that `--help` responds immediately.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from settings.flag_table import LOOP, TRAINER
from settings.flags import flag

# Flags of training that each run of a study gets from it, or that would mix its runs.
SET_BY_STUDY = (
    "output_dir",
    "overwrite_output_dir",
    "resume_from_checkpoint",
    "seed",
    "push_to_hub",
    "check",
    "dry_run",
    "log_file",
)
# Flags that choose corpus and model. A study that divides the corpus replaces them with its own
# files and the model that they select.
REPLACED_FLAGS = (
    "model_name_or_path",
    "sample",
    "dataset_name",
    "dataset_config_name",
    "dataset_revision",
    "train_file",
    "validation_file",
    "test_file",
    "text_column_name",
    "label_column_name",
    "label_names",
    "tag_scheme",
    "span_alignment",
    "max_train_samples",
    "max_eval_samples",
    "max_predict_samples",
    "task_name",
)


def without_flags(arguments: Sequence[str], names: Collection[str]) -> list[str]:
    """Return arguments of a command line without some flags and their values."""
    kept, dropping = [], False
    for argument in arguments:
        if argument.startswith("--"):
            dropping = argument[2:].partition("=")[0].replace("-", "_") in names
        if not dropping:
            kept.append(argument)
    return kept


@dataclass
class StudyFlags:
    """The flags of `study.py` as given; those of training follow after `--`."""

    study: list[str] = flag(
        [],
        "The study and its number: `seeds N` trains with N seeds; `folds K` cross-validates with K "
        "folds of the training split; `curve` trains on growing shares of it; `label_errors K` "
        "lists labels that are probably wrong, with K folds (5 by default).",
        group="study",
        positional=True,
        nargs="*",
        metavar="STUDY",
    )
    script: Literal["train_trainer.py", "train_accelerate.py"] = flag(
        TRAINER, f"The training script: {TRAINER} or {LOOP}.", group="study"
    )
    launcher: str | None = flag(
        None,
        'Command that starts the script, such as "accelerate launch --num_processes 4". Default: '
        "Python, in one process.",
        group="study",
    )
    seed: int = flag(42, "The first seed; the next runs have the seeds that follow.", group="study")
    output_dir: str | None = flag(
        None,
        "Folder of all runs. Default: {study}-study, such as seeds-study.",
        "-o",
        group="output",
        metavar="FOLDER",
    )
    keep_models: bool = flag(
        False,
        "Keep the weights of all runs. By default, `seeds` keeps those of the run with the highest "
        "validation score, `curve` those of the whole training split, the other studies none.",
        group="output",
        switch=True,
    )
