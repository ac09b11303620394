"""Train many times and study the results. The flags of training follow after --.

    python study.py seeds 5 -- --train_file my.conll     # mean and spread over seeds, the best kept
    python study.py seeds 3 --script train_accelerate.py --launcher "accelerate launch" -- --sample

Each run has a folder of its own in the folder of the study, and a file of its output. The same
command again resumes a study: finished runs are not repeated, and an interrupted run resumes from
its newest checkpoint. `compare.py` compares two studies of seeds.
"""

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settings.parse import parse_flags
from settings.study_flags import SET_BY_STUDY, StudyFlags
from support.errors import UserError, run_script
from support.text import counted, did_you_mean, on_terminal

if TYPE_CHECKING:
    from results.study_folder import StudyFolder

STUDIES = ("seeds",)
EXAMPLE = "python study.py seeds 5 -- --train_file my.conll"


def main() -> None:
    """Make the runs of a study, and conclude from them."""
    # --- Settings -----------------------------------------------------------------------------
    own_arguments, training_arguments = split_at_dashes(sys.argv[1:])
    try:
        flags = parse_flags(StudyFlags, __doc__, own_arguments)
    except UserError as error:
        raise UserError(
            f"{error}\nThe flags of training follow after --, as in: {EXAMPLE}"
        ) from None
    number = check(flags, training_arguments)
    # Imported here so that `--help` and a mistyped flag respond immediately.
    from results.study_folder import StudyFolder
    from support.secrets import scrub

    identity = {
        "study": flags.study[0],
        "script": flags.script,
        "flags": scrub(shlex.join(training_arguments)),
        "first_seed": flags.seed,
    }
    study = StudyFolder(Path(flags.output_dir or f"{flags.study[0]}-study"), identity)
    study.folder.mkdir(parents=True, exist_ok=True)
    say(
        f"{counted(number, 'run')} of {flags.script} in {study.folder}; the output of each run is "
        f"in {study.folder}/*.log"
    )

    # --- Runs ---------------------------------------------------------------------------------
    runs = []
    for seed in range(flags.seed, flags.seed + number):
        arguments = [*training_arguments, "--seed", str(seed)]
        runs.append(finished_run(study, flags, f"seed_{seed}", arguments))
        if not flags.keep_models:
            keep_best(study, runs)

    # --- Conclusion ---------------------------------------------------------------------------
    conclude_seeds(study, runs)


# --- Settings -----------------------------------------------------------------------------------


def split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before the first `--` and those after it."""
    if "--" not in arguments:
        return list(arguments), []
    position = arguments.index("--")
    return list(arguments[:position]), list(arguments[position + 1 :])


def check(flags: StudyFlags, training_arguments: Sequence[str]) -> int:
    """Return the number of runs; report everything wrong with the flags in one error."""
    problems = []
    name, *numbers = flags.study or [""]
    if name not in STUDIES:
        expected = f"expected {' or '.join(STUDIES)}{did_you_mean(name, STUDIES)}"
        problems.append(f"the study: got {name or 'nothing'}, {expected}")
    elif len(numbers) != 1 or not numbers[0].isdecimal() or int(numbers[0]) < 2:
        got = " ".join(numbers) or "nothing"
        problems.append(f"the number of {name}: got {got}, expected a number, 2 or more")
    names = [argument.partition("=")[0].replace("-", "_") for argument in training_arguments]
    for flag in SET_BY_STUDY:
        if f"__{flag}" in names:
            problems.append(f"--{flag} after --: the study decides on it. Leave it out.")
    if problems:
        raise UserError("\n".join(problems))
    return int(numbers[0])


def say(line: str) -> None:
    """Print a line immediately."""
    print(on_terminal(line), flush=True)


# --- Runs ---------------------------------------------------------------------------------------


def finished_run(
    study: "StudyFolder", flags: StudyFlags, name: str, arguments: Sequence[str]
) -> dict[str, Any]:
    """Return the record of a run, which is made unless it is finished; print a line about it."""
    from results.study_folder import scores_of_run
    from results.study_runs import run_training
    from support.html import duration
    from support.manifests import checkpoint_folders

    run = study.finished(name)
    if run is None:
        folder = study.folder / name
        script = Path(__file__).parent / flags.script
        launcher = shlex.split(flags.launcher or "") or [sys.executable]
        command = [*launcher, str(script), *arguments, "--output_dir", str(folder)]
        if checkpoint_folders(folder):
            command.append("--resume_from_checkpoint")
        started = time.monotonic()
        run_training(command, name, study.folder / f"{name}.log")
        seconds = round(time.monotonic() - started, 1)
        run = {"name": name, "scores": scores_of_run(folder), "seconds": seconds}
        study.add(run)
        ending = duration(seconds)
    else:
        ending = "finished earlier"
    scores = "   ".join(f"{split} {score:.4f}" for split, score in run["scores"].items())
    say(f"{name:12}{scores}   {ending}")
    return run


def best_run(runs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the run with the best score on validation; None if none was scored there."""
    scored = [run for run in runs if "validation" in run["scores"]]
    return max(scored, key=lambda run: run["scores"]["validation"], default=None)


def keep_best(study: "StudyFolder", runs: Sequence[dict[str, Any]]) -> None:
    """Delete the weights of all runs but the best one."""
    from results.study_folder import delete_weights

    best = best_run(runs)
    for run in runs:
        if best is not None and run is not best:
            delete_weights(study.folder / run["name"])


# --- Conclusions --------------------------------------------------------------------------------


def conclude_seeds(study: "StudyFolder", runs: Sequence[dict[str, Any]]) -> None:
    """Print and record mean and spread of the scores, and the best run."""
    from results.study_folder import spread
    from support.terminal import table_text

    splits = [split for split in runs[0]["scores"] if all(split in run["scores"] for run in runs)]
    summary = {split: spread([run["scores"][split] for run in runs]) for split in splits}
    best = best_run(runs)
    study.write({"summary": summary, "best": best and best["name"]})
    rows = [
        [split, *(f"{value:.4f}" for value in figures.values())]
        for split, figures in summary.items()
    ]
    say("\n" + table_text(["", "mean", "standard deviation", "lowest", "highest"], rows))
    if best is None:
        say("No run was scored on a validation split: all models are kept.")
    else:
        say(f"Best on validation: {study.folder / best['name']}")


if __name__ == "__main__":
    run_script(main)
