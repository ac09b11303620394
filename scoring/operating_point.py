"""The operating point of a model: the bias on O that gives a wanted precision, or more recall.

    choose_operating_point(predictions, lengths, gold, tuning)     # on the validation split

A positive bias gives fewer entities and a higher precision, a negative one more entities and a
higher recall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common import WordPredictions
from scoring.calibration import judge_entities
from settings.run_settings import Settings, TuningSettings
from support.errors import UserError

BIASES = [number / 4 for number in range(-64, 65)]  # natural logarithms of odds


def check_operating_point(
    settings: Settings, decode: str, entity_tags: bool, splits: Mapping[str, Any]
) -> None:
    """Raise UserError if an operating point is requested that this run cannot choose.

    `decode`: of the model's configuration. `splits`: of the corpus.
    """
    requested = settings.tuning.requested
    if not requested:
        return
    problem = ""
    validation = splits.get("validation")
    if not entity_tags:
        problem = "got plain tags, expected entity tags."
    elif decode != "viterbi":
        problem = (
            "got a model that takes the most probable tag of each word, expected legal sequences "
            "of tags. Add --decode viterbi if its labels are IOB2."
        )
    elif validation is None or "labels" not in validation.column_names:
        problem = "got no labelled validation split to choose it on. Add --validation_file."
    elif not settings.do_train and (
        Path(settings.model.model_name_or_path).resolve() != settings.output_dir.resolve()
    ):
        problem = (
            f"without training it is stored in the model: got --output_dir {settings.output_dir}, "
            "expected the model's own folder."
        )
    if problem:
        raise UserError(f"{requested}: {problem}")


@dataclass(frozen=True)
class OperatingPoint:
    """A bias on O, and the scores with it."""

    outside_bias: float
    precision: float
    recall: float

    def f_score(self, beta: float) -> float:
        """Return the F score in which recall weighs `beta` times as much as precision."""
        weighted = beta**2 * self.precision + self.recall
        return (1 + beta**2) * self.precision * self.recall / weighted if weighted else 0.0

    def facts(self) -> dict[str, Any]:
        """Return the values as JSON holds them."""
        return asdict(self) | {"f1": self.f_score(1)}


def operating_points(
    predictions: WordPredictions, lengths: np.ndarray, gold: np.ndarray
) -> list[OperatingPoint]:
    """Return the operating points of all biases with which there are entities, nearest to 0 first.

    `predictions`: of a split, with log probabilities. `lengths`, `gold`: see `scoring.calibration`.
    """
    points = []
    for bias in sorted(BIASES, key=abs):
        entities = judge_entities(predictions.decoded_again(lengths, None, bias), lengths, gold)
        num_right = int(entities.are_right.sum())
        if len(entities.are_right):
            precision = num_right / len(entities.are_right)
            points.append(OperatingPoint(bias, precision, num_right / max(entities.num_gold, 1)))
    return points


def choose_operating_point(
    points: list[OperatingPoint], tuning: TuningSettings
) -> OperatingPoint | None:
    """Return the best of `operating_points`, of equals the nearest to 0; None if there is none.

    With a target, it has the highest recall of those that reach the precision.
    """
    if tuning.target_precision is not None:
        target = tuning.target_precision
        reached = [point for point in points if point.precision >= target]
        return max(reached, key=lambda point: point.recall, default=None)
    beta = {"f1": 1, "recall": 2}[tuning.tune_for or "f1"]
    return max(points, key=lambda point: point.f_score(beta), default=None)
