"""The main facts of a run: its best step, its strongest and weakest type, its last improvement."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from training.progress import BestScore


class Extremes(NamedTuple):
    """The types with the highest and the lowest F1; `clear`: their intervals do not overlap."""

    strongest: str
    weakest: str
    clear: bool


def extremes(scores: Mapping[str, Any]) -> Extremes | None:
    """Return the strongest and the weakest type of a split; None with fewer than two types.

    A type counts if it has gold entities. `scores`: with intervals, see `scoring.evidence`.
    """
    rows = {name: row for name, row in scores["per_type"].items() if row["number"]}
    if len(rows) < 2:
        return None
    ranked = sorted(rows, key=lambda name: (-rows[name]["f1"], name))
    strongest, weakest = ranked[0], ranked[-1]
    clear = rows[weakest]["f1_interval"][1] < rows[strongest]["f1_interval"][0]
    return Extremes(strongest, weakest, clear)


def best_step(history: Sequence[Mapping[str, Any]], best: BestScore) -> int | None:
    """Return the step of the best evaluation of a run, the first of equals; None without any."""
    step, best_score = None, None
    for row in history:
        if best.improves(score := row[f"eval_{best.name}"], best_score):
            step, best_score = row["step"], score
    return step


def still_improved(history: Sequence[Mapping[str, Any]], best: BestScore) -> bool | None:
    """Return whether the last evaluation of a run was its best; None with fewer than two."""
    return None if len(history) < 2 else best_step(history, best) == history[-1]["step"]
