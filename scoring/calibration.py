"""Scores of entities as probabilities: their calibration, fitted and measured.

    predicted = match_predicted_entities(predictions, lengths, gold)  # scores, which are correct
    reliability(predicted.scores, predicted.are_correct)  # bins, expected calibration error
    fit_calibration(predicted.scores, predicted.are_correct)  # on the validation split

An entity is correct if the gold tags have one of its type with its first and last word. Below,
`lengths` are (sentences,), words of each, and `gold` (words,), the gold labels of a split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scoring.decoding import entity_spans
from scoring.word_predictions import Calibration, WordPredictions, logit

if TYPE_CHECKING:
    from datasets import Dataset

BINS = 10
# `fit_calibration` tries nine temperatures, these factors apart, around 1, and twice more around
# the best so far.
TEMPERATURE_STEPS = (2**0.5, 2**0.125, 2**0.03125)
MAX_OFFSET, BISECTIONS = 50.0, 40

# --- Entities, correct or not -------------------------------------------------------------------


class PredictedEntities(NamedTuple):
    """The predicted entities of a split, in order."""

    are_correct: np.ndarray  # (entities,)
    scores: np.ndarray  # (entities,)
    num_gold: int  # gold entities of the split


def match_predicted_entities(
    predictions: WordPredictions, lengths: np.ndarray, gold: np.ndarray
) -> PredictedEntities:
    """Return the predicted entities of a split with gold labels."""
    words, known = predictions.known_words(lengths)
    names = predictions.label_names
    types, first, last = entity_spans(predictions.tag_ids[words], known, names)
    first, last = words[first], words[last]
    gold_types, gold_first, gold_last = entity_spans(gold, lengths, names)
    type_at, last_at = np.full((2, len(gold)), -1)
    type_at[gold_first], last_at[gold_first] = gold_types, gold_last
    are_correct = (type_at[first] == types) & (last_at[first] == last)
    sums = np.append(0.0, np.cumsum(predictions.entity_scores, dtype=np.float64))
    scores = (sums[last + 1] - sums[first]) / (last + 1 - first)
    return PredictedEntities(are_correct, scores.clip(0.0, 1.0), len(gold_types))


def gold_labels(split: Dataset) -> np.ndarray:
    """Return the labels of the words of a split, (words,)."""
    import pyarrow.compute as pc

    batches = split.with_format("arrow", columns=["labels"]).iter(10_000)
    labels = [pc.list_flatten(batch["labels"]).to_numpy() for batch in batches]
    return np.concatenate([np.zeros(0, np.int64), *labels])


# --- Reliability --------------------------------------------------------------------------------


class Bin(NamedTuple):
    """The predicted entities whose score lies in [start, end); the last bin has 1 too."""

    start: float
    end: float
    entities: int
    mean_score: float | None  # None without an entity
    precision: float | None  # the share of them that is correct


class Reliability(NamedTuple):
    """The scores of entities compared with the share of them that is correct."""

    bins: list[Bin]
    # Mean over all entities of |precision - mean score| of their bin; None without an entity.
    expected_calibration_error: float | None

    def facts(self) -> dict[str, Any]:
        """Return the values as JSON holds them."""
        return self._asdict() | {"bins": [of_bin._asdict() for of_bin in self.bins]}


def reliability(
    scores: Sequence[float] | np.ndarray, are_correct: Sequence[bool] | np.ndarray
) -> Reliability:
    """Return the reliability of scores from 0 to 1, in `BINS` bins of equal width.

    The expected calibration error is that of Guo et al. 2017 (On Calibration of Modern Neural
    Networks, arXiv:1706.04599, equation 3): the sum over bins of the bin's share of all entities
    times |precision - mean score|.
    """
    values, right = np.asarray(scores, np.float64), np.asarray(are_correct, bool)
    numbers = np.minimum((values * BINS).astype(int), BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        of_bin = numbers == number
        count = int(of_bin.sum())
        mean_score = float(values[of_bin].mean()) if count else None
        precision = float(right[of_bin].mean()) if count else None
        bins.append(Bin(number / BINS, (number + 1) / BINS, count, mean_score, precision))
        error += abs(float(values[of_bin].sum() - right[of_bin].sum()))
    return Reliability(bins, error / len(values) if len(values) else None)


# --- Fitting ------------------------------------------------------------------------------------


def fit_calibration(
    probabilities: Sequence[float] | np.ndarray, are_correct: Sequence[bool] | np.ndarray
) -> Calibration:
    """Return the calibration whose scores have the lowest log loss; the identity without entities.

    `probabilities`: (entities,), not calibrated. `are_correct`: (entities,). Only
    true probabilities minimize the log loss; the expected calibration error would depend on the
    edges of its bins. This is the logistic fit of Platt 1999 (Probabilistic Outputs for Support
    Vector Machines, section 2.2), whose targets are not 0 and 1: otherwise a few entities that are
    all correct would all get the score 1. The temperature is from about 1/6 to 6, so that a score
    always increases with the probability.
    """
    right, log_odds = np.asarray(are_correct, bool), logit(np.asarray(probabilities, np.float64))
    if not len(right):
        return Calibration()
    num_right = int(right.sum())
    targets = np.where(right, (num_right + 1) / (num_right + 2), 1 / (len(right) - num_right + 2))

    def with_best_offset(temperature: float) -> tuple[float, Calibration]:
        """Return the log loss of the best calibration with this temperature, and it."""
        values, low, high = log_odds / temperature, -MAX_OFFSET, MAX_OFFSET
        for _ in range(BISECTIONS):  # the sum of the scores grows with the offset
            offset = (low + high) / 2
            too_high = (1 / (1 + np.exp(-values - offset))).sum() > targets.sum()
            low, high = (low, offset) if too_high else (offset, high)
        values += offset
        loss = float((np.logaddexp(0, values) - targets * values).sum())
        return loss, Calibration(float(temperature), offset)

    best = Calibration()
    for step in TEMPERATURE_STEPS:
        candidates = (best.temperature * step**power for power in range(-4, 5))
        _, best = min(map(with_best_offset, candidates))
    return best
