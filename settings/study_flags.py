"""The flags of `study.py`, and the flags of training that a study sets itself.

Nothing heavy is imported here, so that `--help` responds immediately.
"""

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
)


@dataclass
class StudyFlags:
    """The flags of `study.py` as given; those of training follow after `--`."""

    study: list[str] = flag(
        [],
        "The study, and a number where it needs one: `seeds N` trains with N seeds.",
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
        'Starts the script, such as "accelerate launch --num_processes 4". Default: Python, in '
        "one process.",
        group="study",
    )
    seed: int = flag(42, "The first seed; the next runs have the seeds that follow.", group="study")
    output_dir: str | None = flag(
        None,
        "Folder of all runs. Default: the name of the study and -study, such as seeds-study.",
        "-o",
        group="output",
        metavar="FOLDER",
    )
    keep_models: bool = flag(
        False,
        "Keep the weights of all runs. Otherwise those of the best run by validation are kept.",
        group="output",
        switch=True,
    )
