"""The operating point of a model: more precision, or more recall.

    choose_operating_point(predictions, lengths, gold, tuning)     # on the validation split

A negative bias on O gives more entities and a higher recall. A minimum score leaves out the
entities that are most likely wrong. A positive bias would leave out others: most mistakes are a
wrong type or wrong boundaries, and neither makes O more probable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scoring.calibration import match_predicted_entities
from scoring.word_predictions import OperatingPoint, WordPredictions
from settings.run_settings import Settings, TuningSettings
from support.errors import UserError

BIASES = [-number / 4 for number in range(33)]  # 0 to -8, natural logarithms of odds
BETAS = {"f1": 1, "recall": 2}  # of --tune_for: the weight of recall in the F score


def check_operating_point(
    settings: Settings,
    decode: str,
    label_names: Sequence[str],
    entity_tags: bool,
    splits: Mapping[str, Any],
) -> None:
    """Raise UserError if an operating point is requested that this run cannot choose.

    `decode`: of the model's configuration. `label_names`, `entity_tags`, `splits`: of the corpus.
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
            "got a model that takes the most probable tag of each word, expected one that "
            "decodes legal sequences. Add --decode viterbi if its labels are IOB2."
        )
    elif "O" not in label_names:
        problem = (
            "got labels without O, expected O among them: entities that are left out become O."
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


class ScoredPoint(NamedTuple):
    """An operating point, and its scores on a split."""

    operating_point: OperatingPoint
    precision: float
    recall: float

    def facts(self) -> dict[str, Any]:
        """Return the values as JSON holds them."""
        f1 = float(f_scores(np.array(self.precision), np.array(self.recall), 1))
        scores = {"precision": self.precision, "recall": self.recall, "f1": f1}
        return self.operating_point._asdict() | scores


def choose_operating_point(
    predictions: WordPredictions, lengths: np.ndarray, gold: np.ndarray, tuning: TuningSettings
) -> ScoredPoint | None:
    """Return the best operating point of a split; None if there is none.

    With a target, it has the highest recall of those that reach the precision with at least
    2 / (1 - target) entities: with fewer, a single mistake would decide. `predictions`:
    calibrated. `lengths`, `gold`: see `scoring.calibration`.
    """
    best, best_value = None, 0.0
    for bias in BIASES:
        point = OperatingPoint(bias)
        again = predictions.decoded_again(lengths, predictions.calibration, point)
        entities = match_predicted_entities(again, lengths, gold)
        order = np.argsort(-entities.scores, kind="stable")
        scores = entities.scores[order].astype(np.float32).astype(float)
        # The best N entities, for each N after which a lower score follows.
        (last,) = np.nonzero(np.diff(scores, append=-1.0) < 0)
        num_right = np.cumsum(entities.are_correct[order])[last]
        precision, recall = num_right / (last + 1), num_right / max(entities.num_gold, 1)
        if tuning.target_precision is not None:
            enough = last + 1 >= 2 / (1 - tuning.target_precision)
            values = np.where(enough & (precision >= tuning.target_precision), recall, 0.0)
        else:
            values = f_scores(precision, recall, BETAS[tuning.tune_for or "f1"])
        if len(values) and values.max() > best_value:
            chosen = int(values.argmax())
            between = scores[last[chosen] : last[chosen] + 2].mean()
            min_score = float(between) if last[chosen] + 1 < len(scores) else 0.0
            best_value = values[chosen]
            best = ScoredPoint(
                point._replace(min_score=min_score), float(precision[chosen]), float(recall[chosen])
            )
    return best


def f_scores(precision: np.ndarray, recall: np.ndarray, beta: float) -> np.ndarray:
    """Return the F scores in which recall weighs `beta` times as much as precision."""
    weighted = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / np.where(weighted > 0, weighted, 1.0)
