"""The runs of a study of seeds, compared on the validation split.

    kept = compare_with_kept(folder, "seed_43", ["seed_42", "seed_43", "seed_44"])
    kept_lines(folder, kept)

The run with the highest score is not the best one as long as chance explains the difference.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from results.prediction_files import PredictionFile
from results.result_files import PREDICTIONS
from scoring.comparison import PairedCounter
from support.errors import UserError
from support.text import shortened

LEVEL = 0.05
RESAMPLES = 100  # of the interval, which is not used


class KeptRun(NamedTuple):
    """The run with the highest score on validation, compared with the others.

    `worse`: those that are clearly worse. None: the runs were not scored on the same sentences.
    """

    name: str
    others: list[str]
    worse: list[str] | None


def compare_with_kept(folder: Path, kept: str, names: Sequence[str]) -> KeptRun:
    """Compare a run with the others of a study on the predictions for the validation split.

    Another run is clearly worse if its p value (`scoring.comparison`) is below `LEVEL`, divided by
    the number of all pairs of runs: the highest score was chosen among them.
    """
    others = [name for name in names if name != kept]
    pairs = len(names) * (len(names) - 1) / 2
    worse = []
    for name in others:
        p_value = _p_value(folder / kept, folder / name)
        if p_value is None:
            return KeptRun(kept, others, None)
        if p_value < LEVEL / pairs:
            worse.append(name)
    return KeptRun(kept, others, worse)


def _p_value(kept: Path, other: Path) -> float | None:
    """Return the p value of the main score of two runs; None without the same sentences."""
    try:
        files = [
            PredictionFile(run / f"{PREDICTIONS['validation']}.jsonl") for run in (kept, other)
        ]
    except (UserError, OSError):
        return None
    entity_tags = all(file.entity_tags for file in files)
    counter = PairedCounter((1, 1), entity_tags)
    for sides in itertools.zip_longest(*(file.sentences() for file in files)):
        if None in sides or sides[0][:2] != sides[1][:2]:
            return None
        place = sides[0].place
        predicted = [side.predicted for side in sides]
        counter.add(sides[0].gold, predicted, place.document_in_file)
    return counter.compare(resamples=RESAMPLES).main.p_value


def kept_lines(folder: Path, kept: KeptRun) -> list[str]:
    """Return which run is kept, and whether it is clearly better, one sentence each."""
    lines = [f"Kept: {folder / kept.name}, which has the highest score on validation."]
    if kept.worse is None:
        lines.append(
            "This does not make it the best: the seeds were not scored on the same sentences. Add "
            "--validation_file to compare them."
        )
    elif not kept.worse:
        lines.append(
            "This does not make it the best: the differences between the seeds are within noise."
        )
    elif len(kept.worse) < len(kept.others):
        equal = [name for name in kept.others if name not in kept.worse]
        lines.append(
            f"It is clearly better than {shortened(kept.worse)}; its difference from "
            f"{shortened(equal)} is within noise."
        )
    else:
        lines.append("It is clearly better than all others.")
    return lines
