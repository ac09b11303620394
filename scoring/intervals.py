"""The 95 % interval of each score, for the score on more text of the same kind.

    score_intervals(counts).by_type       # (types, 3, 2): precision, recall and F1

Documents or sentences are resampled (`scoring.resampling`). Each resample gives log odds: of
precision log(TP / FP), of recall log(TP / FN), of F1 log(2 TP / (FP + FN)). Numerator and
denominator are weighted counts plus a random number from the exponential distribution, which
accounts for counts of 0 and very small counts. So scores of 0 and 1 need no special rule, and no
interval has width 0. The interval of the log odds is a mixture of two. The weight of the second is
the share of entities that are not alone in their unit:

- The quantiles of the resamples. If each unit has one entity, they are those of the posterior with
  a uniform prior; for F1 see Goutte and Gaussier (2005).
- The log odds plus and minus the standard deviation times the quantile of Student's t. If few units
  have many entities, the standard deviation is uncertain, and the quantiles are biased. With two or
  three units, Student's t is so large that the interval would be almost 0 to 1. So it is limited to
  the interval of as many independent entities as there are units: three correct entities in one
  sentence show at least as much as one correct entity alone.

The interval of a score without data is 0 to 1: of precision without predictions, of recall and F1
without gold entities. The interval of a score of 0 begins at 0, that of a score of 1 ends at 1.
`benchmarks/intervals.py` measures the coverage of the intervals.
"""

from typing import NamedTuple

import numpy as np

from scoring.resampling import SEED, UnitCounts, resampled_totals

LEVEL = 0.95
SCORES = ("precision", "recall", "f1")
DIGITS = 6  # further digits of a sum depend on the number of threads


class Intervals(NamedTuple):
    """The intervals of scores: the lower and the upper end, in the last axis.

    `by_type`: (types, 3, 2), in the order of `SCORES`. `overall`: (3, 2), of all types together
    (micro average). `macro_f1`: (2,), of the mean F1 of all types.
    """

    by_type: np.ndarray
    overall: np.ndarray
    macro_f1: np.ndarray


def score_intervals(
    counts: UnitCounts, resampled: np.ndarray | None = None, item: float = 1.0
) -> Intervals:
    """Return the intervals of the scores of these counts.

    `resampled`: (resamples, types, 3), if the counts have been resampled together with others.
    `item`: the value of a count; 0.5 if items are counted in halves.
    """
    if resampled is None:
        resampled = resampled_totals(counts)
    resampled, totals = resampled * item, counts.totals() * item
    overall = resampled.sum(1, keepdims=True), totals.sum(0, keepdims=True)
    units, types, correct, predicted, gold = counts.cells.T
    items = (predicted + gold - correct) * item  # a correct item is counted once
    spread_of_all = _spread(
        np.zeros(counts.size, np.int64), np.bincount(units, items, counts.size), 1
    )
    return Intervals(
        _intervals(resampled, totals, _spread(types, items, len(counts.types))),
        _intervals(*overall, spread_of_all)[0],
        _macro_interval(resampled, totals, spread_of_all),
    )


class Spread(NamedTuple):
    """The spread of items over units: (rows,) each.

    `clustered`: the share of items that are not alone in their unit. `student`: the quantile of
    Student's t, times the factor by which resamples vary less than units do. `share`: the number of
    independent items as a share of all items, if those of a unit depend on each other fully.
    """

    clustered: np.ndarray
    student: np.ndarray
    share: np.ndarray


def _spread(rows: np.ndarray, items: np.ndarray, num_rows: int) -> Spread:
    """Return the spread of items: `rows` and `items` hold the row and the number of each unit.

    The more items are clustered, the less a small unit counts beside large ones. The number of
    units is then Kish's effective number: the square of the sum, divided by the sum of squares.
    """
    from scipy.special import stdtrit  # imports faster than scipy.stats

    units, total, squares = (
        np.bincount(rows, weights, num_rows) for weights in (items > 0, items, items**2)
    )
    clustered = 1 - units / np.maximum(total, 1)
    effective = (1 - clustered) * units + clustered * total**2 / np.maximum(squares, 1)
    freedom = np.maximum(effective - 1, 1)
    student = stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt((effective + 1) / freedom)
    return Spread(clustered, student, effective / np.maximum(total, 1))


def _macro_interval(resampled: np.ndarray, totals: np.ndarray, spread: Spread) -> np.ndarray:
    """Return the interval of the mean F1 of rows of counts: (2,).

    It is centred at the score itself: the random numbers shift the F1 of each row slightly towards
    the middle, which adds up over many rare types.
    """
    if not totals.any():
        return np.array([0.0, 1.0])
    odds = np.exp(_log_odds(resampled, *_prior(len(resampled), len(totals)))[..., 2])
    half = spread.student * (odds / (1 + odds)).mean(1).std()
    score = _scores(totals)[:, 2].mean()
    return np.concatenate([score - half, score + half]).clip(0, 1).round(DIGITS)


def _intervals(resampled: np.ndarray, totals: np.ndarray, spread: Spread) -> np.ndarray:
    """Return the intervals of rows of counts: (rows, 3, 2).

    `resampled`: (resamples, rows, 3). `totals`: (rows, 3).
    """
    # With the same random numbers, rows of equal counts have equal intervals.
    log_odds = _log_odds(resampled, *_prior(len(resampled), 1))
    tail = (1 - LEVEL) / 2
    quantiles = np.quantile(log_odds, [tail, 1 - tail], axis=0)
    middle = _log_odds(totals, 1, 1)
    clustered, student, share = (part[:, None] for part in spread)
    half = student * log_odds.std(axis=0)
    widest_low, widest_high = _widest(totals * share)
    student_low = np.maximum(middle - half, widest_low)
    student_high = np.minimum(middle + half, widest_high)
    low, high = (
        1 / (1 + np.exp(-(1 - clustered) * quantile - clustered * end))
        for quantile, end in zip(quantiles, (student_low, student_high), strict=True)
    )
    scores = _scores(totals)
    low = np.where(scores == 0, 0, np.minimum(low, scores))
    high = np.where(scores == 1, 1, np.maximum(high, scores))
    _, predicted, gold = totals.T
    no_data = np.stack([predicted == 0, gold == 0, gold == 0], axis=1)
    ends = np.stack([np.where(no_data, 0, low), np.where(no_data, 1, high)], axis=-1)
    return ends.round(DIGITS)


def _widest(independent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the widest useful intervals of the log odds: lower, upper; (rows, 3) each.

    They are those of the posterior with a uniform prior if the items of a unit count as one.
    Whatever the number of units, more items in them do not make an interval wider. `independent`:
    counts, (rows, 3), which need not be whole numbers.
    """
    from scipy.special import betaincinv, logit

    correct, predicted, gold = independent.T
    spurious, missed = predicted - correct, gold - correct
    wrong = np.stack([spurious, missed, spurious + missed], axis=1)
    tail = (1 - LEVEL) / 2
    low, high = (logit(betaincinv(correct[:, None] + 1, wrong + 1, p)) for p in (tail, 1 - tail))
    twice = np.log([1, 1, 2])  # each correct item counts twice in F1
    return low + twice, high + twice


def _prior(resamples: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random numbers from the exponential distribution: (resamples, rows), twice.

    They are added to the counts of correct and of wrong items.
    """
    right, wrong = np.random.default_rng(SEED + 1).standard_exponential((2, resamples, rows))
    return right, wrong


def _log_odds(
    counts: np.ndarray, right: np.ndarray | float, wrong: np.ndarray | float
) -> np.ndarray:
    """Return the log odds of precision, recall and F1 of counts, (..., rows, 3).

    `right` and `wrong` are added to the counts of items.
    """
    correct, predicted, gold = np.moveaxis(counts, -1, 0)
    # A difference of two equal sums may be a little below 0.
    spurious, missed = np.maximum(predicted - correct, 0), np.maximum(gold - correct, 0)
    right = correct + right
    odds = (
        right / (spurious + wrong),
        right / (missed + wrong),
        2 * right / (spurious + missed + wrong),
    )
    return np.log(np.stack(odds, axis=-1))


def _scores(totals: np.ndarray) -> np.ndarray:
    """Return precision, recall and F1 of counts: (rows, 3); 0 without data."""
    correct, predicted, gold = totals.T
    ratios = (correct, predicted), (correct, gold), (2 * correct, predicted + gold)
    return np.stack([top / np.maximum(bottom, 0.5) for top, bottom in ratios], axis=1)
