"""The 95 % interval of each score: where the score on more text of the same kind would lie.

    score_intervals(counts).by_type       # (types, 3, 2): precision, recall and F1

Documents or sentences are resampled (`scoring.resampling`). Each resample gives the log odds of
precision, log(TP / FP), where both are its weighted counts plus a random number from the gamma
distribution of shape `PRIOR`; recall and F1 likewise. The interval is their median, plus or minus
their standard deviation times a factor, turned back into a score.

The random numbers stand for what few counts cannot show. If each unit holds one entity, the
resamples are draws from the posterior of Jeffreys' prior; for F1 see Goutte and Gaussier (2005).
Scores of 0 and 1 and types with few entities therefore need no rule of their own, and no interval
has width 0. The factor is 1.96 if each unit holds one entity. It grows towards Student's t if few
units hold many entities, because then the standard deviation itself is uncertain.

A score without data lies between 0 and 1: precision without predictions, recall and F1 without gold
entities. The interval of a score of 0 begins at 0, that of a score of 1 ends at 1.
`benchmarks/intervals.py` measures how often an interval holds the true score.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from scoring.resampling import SEED, UnitCounts, resampled_totals

LEVEL = 0.95
PRIOR = 0.5
SCORES = ("precision", "recall", "f1")
DIGITS = 6  # the last digits of a sum depend on the number of threads


class Intervals(NamedTuple):
    """The intervals of scores: the lower and the upper end, in the last axis.

    `by_type`: (types, 3, 2), in the order of `SCORES`. `overall`: (3, 2), of all types together
    (micro average). `macro_f1`: (2,), of the mean F1 of all types.
    """

    by_type: np.ndarray
    overall: np.ndarray
    macro_f1: np.ndarray


def score_intervals(counts: UnitCounts, item: float = 1.0) -> Intervals:
    """Return the intervals of the scores of these counts.

    `item`: the value of a count; 0.5 if items are counted in halves.
    """
    resampled, totals = resampled_totals(counts) * item, counts.totals() * item
    num_units = np.array([len(np.unique(counts.cells[:, 0]))])
    overall = resampled.sum(1, keepdims=True), totals.sum(0, keepdims=True)
    return Intervals(
        _intervals(resampled, totals, counts.units_by_type()),
        _intervals(*overall, num_units)[0],
        _macro_interval(resampled, totals, num_units),
    )


def _macro_interval(resampled: np.ndarray, totals: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the interval of the mean F1 of rows of counts: (2,).

    It is centred at the score itself: in each row, the random numbers of `PRIOR` draw the F1 of a
    resample a little towards the middle, which adds up over many rare types.
    """
    if not totals.any():
        return np.array([0.0, 1.0])
    correct, spurious, missed = _with_prior(resampled)
    means = (2 * correct / (2 * correct + spurious + missed)).mean(1)
    half = _factor(units, _items(totals).sum()) * means.std()
    score = _scores(totals)[:, 2].mean()
    return np.concatenate([score - half, score + half]).clip(0, 1).round(DIGITS)


def _intervals(resampled: np.ndarray, totals: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the intervals of rows of counts: (rows, 3, 2).

    `resampled`: (resamples, rows, 3). `totals`: (rows, 3). `units`: (rows,), units with any item.
    """
    correct, spurious, missed = _with_prior(resampled)
    odds = correct / spurious, correct / missed, 2 * correct / (spurious + missed)
    log_odds = np.log(np.stack(odds, axis=-1))  # (resamples, rows, 3)
    middle = np.median(log_odds, axis=0)
    half = _factor(units, _items(totals))[:, None] * log_odds.std(axis=0)
    low, high = (1 / (1 + np.exp(-end)) for end in (middle - half, middle + half))
    scores = _scores(totals)
    low = np.where(scores == 0, 0, np.minimum(low, scores))
    high = np.where(scores == 1, 1, np.maximum(high, scores))
    _, predicted, gold = totals.T
    no_data = np.stack([predicted == 0, gold == 0, gold == 0], axis=1)
    ends = np.stack([np.where(no_data, 0, low), np.where(no_data, 1, high)], axis=-1)
    return ends.round(DIGITS)


def _with_prior(resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return correct, spurious and missed items of each resample, each with its random number."""
    correct, predicted, gold = np.moveaxis(resampled, -1, 0)
    prior = np.random.default_rng(SEED + 1).standard_gamma(PRIOR, (3, *correct.shape))
    prior = np.maximum(prior, np.finfo(float).tiny)  # a draw may be 0
    # A difference of two equal sums may be a little below 0.
    spurious, missed = np.maximum(predicted - correct, 0), np.maximum(gold - correct, 0)
    return correct + prior[0], spurious + prior[1], missed + prior[2]


def _factor(units: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return the standard deviations from the middle of an interval to its end.

    `units`: how many units have any item. `items`: how many items there are.
    """
    from scipy.special import stdtrit  # costs half as much to import as numpy

    normal = NormalDist().inv_cdf((1 + LEVEL) / 2)
    freedom = np.maximum(units - 1, 1)
    # The variance of the weights is that of the plain bootstrap, too small by this factor.
    student = stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt((units + 1) / freedom)
    clustered = np.sqrt(np.maximum(1 - units / np.maximum(items, 1), 0))
    return normal + (student - normal) * clustered


def _items(totals: np.ndarray) -> np.ndarray:
    """Return the number of different items of both sides: gold, predicted, or both."""
    return totals[..., 1] + totals[..., 2] - totals[..., 0]


def _scores(totals: np.ndarray) -> np.ndarray:
    """Return precision, recall and F1 of counts: (rows, 3); 0 without data."""
    correct, predicted, gold = totals.T
    ratios = (correct, predicted), (correct, gold), (2 * correct, predicted + gold)
    return np.stack([top / np.maximum(bottom, 0.5) for top, bottom in ratios], axis=1)
