"""Two sides that tagged the same sentences, compared: differences of scores with intervals.

    counter = PairedCounter(runs=(1, 1), entity_tags=True)
    counter.add(gold, [tags_of_a, tags_of_b], document="news-7")     # a sentence
    comparison = counter.compare()
    comparison.differences[0]       # precision, of all types: A, B, B - A, interval, p value

A side has one run or several, such as the seeds of one configuration. Its score is the mean of its
runs' scores. A difference is B - A.

The 95 % interval is a bootstrap over documents, or over sentences, and both sides share their
resamples. If a side has several runs, these are resampled too. The p value is two-sided. For two
runs it comes from approximate randomization (Noreen 1989; Yeh 2000): in each shuffle, each document
or sentence exchanges the tags of the two sides or not. For several runs it comes from a permutation
test that divides all runs between the sides in other ways. A precision that rests on fewer than
`MIN_PREDICTIONS` items has neither.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from scoring.resampling import CHUNK, UnitCounter, UnitCounts, bootstrap_weights
from scoring.scores import KINDS, count_tags

RESAMPLES, SHUFFLES, SEED = 2000, 9999, 20
SHUFFLES_AT_ONCE = 250
ROUNDING = 1e-12  # differences closer than this are equal
SCORES = ("precision", "recall", "f1")
TAIL = 0.025  # of each side of a 95 % interval
PRIOR = 0.5
MIN_PREDICTIONS = 5  # of each run; a precision of fewer is not compared


class Difference(NamedTuple):
    """The difference of a score, B - A, with its 95 % interval and two-sided p value.

    `type`: None for the score of all types together. `score`: "precision", "recall", "f1", or
    "accuracy" and "macro_f1" of all plain tags. `a` and `b`: the mean of each side's runs.
    `number`: the gold entities, or words, of the type. `low`, `high` and `p_value` are None for a
    precision that rests on too few predictions.
    """

    type: str | None
    score: str
    number: int
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def is_clear(self) -> bool:
        """Return whether the interval excludes 0 and p is below 0.05."""
        if self.low is None or self.high is None or self.p_value is None:
            return False
        return not self.low <= 0 <= self.high and self.p_value < 2 * TAIL


@dataclass(frozen=True)
class Comparison:
    """The differences of all scores, those of all types together first.

    `unit` and `units`: what was resampled, "document" or "sentence", and their number. `runs`: the
    number of runs of A and of B. `exact`: the p value counts all `arrangements` of the runs;
    otherwise `arrangements` is the number of random shuffles.
    """

    entity_tags: bool
    sentences: int
    words: int
    unit: str
    units: int
    runs: tuple[int, int]
    resamples: int
    arrangements: int
    exact: bool
    differences: list[Difference]

    @property
    def main(self) -> Difference:
        """The main difference: of F1 for entity tags, of accuracy for plain tags."""
        name = "f1" if self.entity_tags else "accuracy"
        return next(row for row in self.differences if row.type is None and row.score == name)

    @property
    def smallest_p_value(self) -> float:
        """The smallest p value that the test can give.

        If both sides have the same number of runs, exchanging the sides gives a difference of the
        same size.
        """
        if not self.exact:
            return 1 / (self.arrangements + 1)
        return (1 + (self.runs[0] == self.runs[1])) / self.arrangements


class PairedCounter:
    """Counts the sentences that all runs of both sides tagged."""

    def __init__(self, runs: tuple[int, int], entity_tags: bool):
        self.runs, self.entity_tags = runs, entity_tags
        self.sentences = self.words = 0
        self._counters = [UnitCounter() for _ in range(sum(runs))]

    def add(
        self,
        gold: Sequence[str],
        predictions: Sequence[Sequence[str]],
        document: Hashable | None = None,
    ) -> None:
        """Add a sentence: its gold tags, and the predicted tags of each run, those of A first.

        `document`: identifies its document.
        """
        self.sentences += 1
        self.words += len(gold)
        for counter, predicted in zip(self._counters, predictions, strict=True):
            counts = count_tags([gold], [predicted], self.entity_tags)
            types = {key[1] for key in counts if isinstance(key, tuple)}
            rows = {name: [counts[kind, name] for kind in KINDS] for name in types}
            counter.add(rows, document)

    def compare(self, resamples: int = RESAMPLES, shuffles: int = SHUFFLES) -> Comparison:
        """Return the comparison of the sentences that were added."""
        counts = PairedCounts([counter.units() for counter in self._counters])
        num_a = self.runs[0]
        totals = counts.totals()
        scores = scores_of_totals(totals, self.entity_tags)
        a, b = scores[:num_a].mean(0), scores[num_a:].mean(0)
        low, high = _intervals(counts, num_a, self.entity_tags, resamples)
        exact = sum(self.runs) > 2
        if exact:
            p_values, arrangements, exact = _p_values_of_runs(scores, num_a, shuffles)
        else:
            p_values, arrangements = (
                _p_values_of_units(counts, self.entity_tags, shuffles),
                shuffles,
            )
        gold = dict(zip(counts.types, totals[0, :, 2].astype(int).tolist(), strict=True))
        columns = np.stack(
            [a, b, b - a, np.minimum(low, b - a), np.maximum(high, b - a), p_values], axis=1
        )
        keys = score_keys(counts.types, self.entity_tags)
        fewest = dict(zip(counts.types, totals[..., 1].min(0).tolist(), strict=True))
        fewest_of_all = totals[..., 1].sum(1).min()
        differences = []
        for (name, score), row in zip(keys, columns.tolist(), strict=True):
            number = sum(gold.values()) if name is None else gold[name]
            difference = Difference(name, score, number, *row)
            predictions = fewest_of_all if name is None else fewest[name]
            if score == "precision" and predictions < MIN_PREDICTIONS:
                difference = difference._replace(low=None, high=None, p_value=None)
            differences.append(difference)
        return Comparison(
            entity_tags=self.entity_tags,
            sentences=self.sentences,
            words=self.words,
            unit=counts.runs[0].unit,
            units=counts.runs[0].size,
            runs=self.runs,
            resamples=resamples,
            arrangements=arrangements,
            exact=exact,
            differences=differences,
        )


class PairedCounts:
    """The counts of several runs on the same units, with the types of all of them."""

    def __init__(self, runs: Sequence[UnitCounts]):
        self.runs = runs
        self.types = sorted({name for run in runs for name in run.types})
        self._columns = [[self.types.index(name) for name in run.types] for run in runs]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the counts of the first units, then of the next: (units, runs, types, 3)."""
        size = self.runs[0].size
        for start in range(0, size, CHUNK):
            yield self.dense(start, min(start + CHUNK, size))

    def dense(self, start: int, stop: int) -> np.ndarray:
        """Return the counts of some units: (units, runs, types, 3)."""
        table = np.zeros((stop - start, len(self.runs), len(self.types), 3))
        for number, (run, columns) in enumerate(zip(self.runs, self._columns, strict=True)):
            table[:, number, columns] = run.dense(start, stop)
        return table

    def totals(self) -> np.ndarray:
        """Return the counts of each run: (runs, types, 3)."""
        totals = np.zeros((len(self.runs), len(self.types), 3))
        for number, (run, columns) in enumerate(zip(self.runs, self._columns, strict=True)):
            totals[number, columns] = run.totals()
        return totals

    def resampled_totals(self, resamples: int) -> np.ndarray:
        """Return the weighted counts in each resample: (resamples, runs, types, 3)."""
        shape = (len(self.runs), len(self.types), 3)
        totals = np.zeros((resamples, math.prod(shape)))
        for start, stop, weights in bootstrap_weights(self.runs[0].size, resamples, SEED):
            totals += weights @ self.dense(start, stop).reshape(stop - start, -1)
        return totals.reshape(resamples, *shape)


def score_keys(types: Sequence[str], entity_tags: bool) -> list[tuple[str | None, str]]:
    """Return the (type, score) of each score that is compared; the type is None for all types."""
    overall = SCORES if entity_tags else ("accuracy", "macro_f1")
    keys: list[tuple[str | None, str]] = [(None, score) for score in overall]
    return keys + [(name, score) for name in types for score in SCORES]


def scores_of_totals(totals: np.ndarray, entity_tags: bool) -> np.ndarray:
    """Return the scores of counts, in the order of `score_keys`: (..., scores).

    `totals`: (..., types, 3), correct, predicted and gold items; they may be weighted.
    """
    by_type = _precision_recall_f1(totals)
    overall = _precision_recall_f1(totals.sum(-2))
    if not entity_tags:
        present = totals[..., 1:].sum(-1) > 0
        macro_f1 = by_type[..., 2].sum(-1) / np.maximum(present.sum(-1), 1)
        # Each word has one gold and one predicted tag, so accuracy is the recall of all words.
        overall = np.stack([overall[..., 1], macro_f1], -1)
    return _joined(overall, by_type)


def _joined(overall: np.ndarray, by_type: np.ndarray) -> np.ndarray:
    return np.concatenate([overall, by_type.reshape(*by_type.shape[:-2], -1)], -1)


def _precision_recall_f1(counts: np.ndarray) -> np.ndarray:
    """Return precision, recall and F1, 0 where there is nothing to divide by: (..., 3)."""
    correct, predicted, gold = counts[..., 0], counts[..., 1], counts[..., 2]
    pairs = ((correct, predicted), (correct, gold), (2 * correct, predicted + gold))
    return np.stack(
        [np.divide(part, whole, np.zeros(whole.shape), where=whole > 0) for part, whole in pairs],
        -1,
    )


# --- Intervals ----------------------------------------------------------------------------------


def _intervals(
    counts: PairedCounts, num_a: int, entity_tags: bool, resamples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of each difference's 95 % interval.

    A resample also includes an item that only A has correct and one that only B has correct, each
    with a random weight from the gamma distribution of shape `PRIOR`. Otherwise the interval would
    have no width where both sides predict the same, and would exclude 0 where they differ in one
    item.
    """
    rng = np.random.default_rng(SEED + 1)
    totals = counts.resampled_totals(resamples)
    is_a = np.arange(totals.shape[1]) < num_a
    scores = scores_of_totals(totals, entity_tags)
    overall_totals = totals.sum(-2)
    overall = _precision_recall_f1(overall_totals + _prior(overall_totals.shape[:-2], is_a, rng))
    by_type = _precision_recall_f1(
        totals + _prior((resamples, len(counts.types)), is_a, rng).swapaxes(1, 2)
    )
    if not entity_tags:
        # Macro F1 gets the same addition as the accuracy.
        added = overall[..., 1] - scores[..., 0]
        overall = np.stack([overall[..., 1], scores[..., 1] + added], -1)
    scores = _joined(overall, by_type)
    differences = _mean_of_drawn(scores[:, num_a:], rng) - _mean_of_drawn(scores[:, :num_a], rng)
    low, middle, high = np.quantile(differences, [TAIL, 0.5, 1 - TAIL], axis=0)
    width = _widening(counts, len(score_keys((), entity_tags)))
    ends = middle - width * (middle - low), middle + width * (high - middle)
    return np.maximum(ends[0], -1), np.minimum(ends[1], 1)


def _widening(counts: PairedCounts, num_overall: int) -> np.ndarray:
    """Return the factor by which each score's interval is widened, (scores,), for few units.

    Their spread is itself uncertain, which Student's t corrects for, and resamples vary less than
    units do. Only units with an item of the type count.
    """
    from scipy.special import stdtrit  # imports faster than scipy.stats

    present = np.concatenate([block.sum(axis=(1, 3)) > 0 for block in counts.blocks()])
    overall = np.repeat(np.sum(present.sum(1) > 0), num_overall)
    units = np.concatenate([overall, np.repeat(present.sum(0), len(SCORES))])
    freedom = np.maximum(units - 1, 1)
    student = stdtrit(freedom, 1 - TAIL) / stdtrit(np.inf, 1 - TAIL)
    return student * np.sqrt((units + 1) / freedom)


def _prior(shape: tuple[int, ...], is_a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the counts of the two items in each run: (*shape, runs, 3)."""
    only_a, only_b = rng.standard_gamma(PRIOR, (2, *shape, 1))
    both = np.broadcast_to(only_a + only_b, (*shape, len(is_a)))
    return np.stack([np.where(is_a, only_a, only_b), both, both], -1)


def _mean_of_drawn(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the mean score of runs drawn with replacement in each resample.

    `scores`: (resamples, runs, scores). The spread of n runs' means is widened by the root of
    n / (n - 1): drawn from few runs, it would be too small (Rao and Wu 1988).
    """
    resamples, num_runs, _ = scores.shape
    mean = scores.mean(1)
    if num_runs == 1:
        return mean
    shares = rng.multinomial(num_runs, [1 / num_runs] * num_runs, resamples) / num_runs
    drawn = np.einsum("rn,rns->rs", shares, scores)
    return mean + math.sqrt(num_runs / (num_runs - 1)) * (drawn - mean)


# --- p values -----------------------------------------------------------------------------------


def _p_values_of_units(counts: PairedCounts, entity_tags: bool, shuffles: int) -> np.ndarray:
    """Return the p value of each score, by approximate randomization of the units of two runs.

    p = (c + 1) / (n + 1), where c of n shuffles have a difference at least as large.
    """
    total_a, total_b = counts.totals()
    observed = _distance(total_a, total_b, entity_tags)
    changed = [block[:, 1] - block[:, 0] for block in counts.blocks()]
    moves = np.concatenate([move[move.any(axis=(1, 2))] for move in changed])
    rng = np.random.default_rng(SEED + 2)
    extreme = np.zeros(len(observed), np.int64)
    for start in range(0, shuffles, SHUFFLES_AT_ONCE):
        size = min(SHUFFLES_AT_ONCE, shuffles - start)
        exchanged = rng.integers(0, 2, (size, len(moves))).astype(float)
        moved = np.tensordot(exchanged, moves, axes=1)
        distance = _distance(total_a + moved, total_b - moved, entity_tags)
        extreme += (distance >= observed - ROUNDING).sum(0)
    return (extreme + 1) / (shuffles + 1)


def _distance(total_a: np.ndarray, total_b: np.ndarray, entity_tags: bool) -> np.ndarray:
    """Return the size of the difference of each score: (..., scores).

    A difference of precision is divided by its standard error (Janssen 1997). Shuffled sides
    predict about equally many items. If one of the real sides predicts few, its precision varies
    more than theirs, and the difference would seem extreme by chance.
    """
    a, b = (scores_of_totals(total, entity_tags) for total in (total_a, total_b))
    by_type, overall = (
        np.sqrt(_variance_of_precision(a) + _variance_of_precision(b))
        for a, b in ((total_a, total_b), (total_a.sum(-2), total_b.sum(-2)))
    )
    scale = np.ones(a.shape)
    scale[..., a.shape[-1] - 3 * by_type.shape[-1] :: 3] = by_type
    if entity_tags:
        scale[..., 0] = overall
    return np.abs(b - a) / scale


def _variance_of_precision(counts: np.ndarray) -> np.ndarray:
    """Return the variance of the precision, which is never 0. `counts`: (..., 3)."""
    correct, predicted = counts[..., 0], counts[..., 1]
    share = (correct + PRIOR) / (predicted + 2 * PRIOR)
    return share * (1 - share) / (predicted + 2 * PRIOR)


def _p_values_of_runs(
    scores: np.ndarray, num_a: int, shuffles: int
) -> tuple[np.ndarray, int, bool]:
    """Return the p value of each score, the number of arrangements, and whether these are all.

    `scores`: (runs, scores). An arrangement chooses the `num_a` runs that count as side A. All
    arrangements are tried if there are no more than `shuffles`; otherwise p = (c + 1) / (n + 1)
    from n random ones.
    """
    num_runs = len(scores)
    observed = _distance_of_means(scores, np.arange(num_runs) < num_a)
    exact = math.comb(num_runs, num_a) <= shuffles
    chosen: Iterator[Sequence[int]] = combinations(range(num_runs), num_a)
    if not exact:
        rng = np.random.default_rng(SEED + 2)
        chosen = (rng.permutation(num_runs)[:num_a].tolist() for _ in range(shuffles))
    arrangements, extreme = 0, np.zeros(scores.shape[1], np.int64)
    for runs in chosen:
        is_a = np.isin(np.arange(num_runs), runs)
        extreme += _distance_of_means(scores, is_a) >= observed - ROUNDING
        arrangements += 1
    p_values = extreme / arrangements if exact else (extreme + 1) / (arrangements + 1)
    return p_values, arrangements, exact


def _distance_of_means(scores: np.ndarray, is_a: np.ndarray) -> np.ndarray:
    return np.abs(scores[~is_a].mean(0) - scores[is_a].mean(0))
