"""Intervals of scores: how often they hold the true score, and their rules for few entities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.intervals import LEVELS, Population, TaggedPopulation, coverage, tag_coverage
from scoring.intervals import score_intervals
from scoring.resampling import UnitCounter, UnitCounts

CORPORA = 300
# The intervals hold the true score in 93 to 97 % of all corpora; of so few, in this many.
FEWEST = stats.binom.ppf(0.001, CORPORA, 0.93) / CORPORA
MOST = stats.binom.ppf(0.999, CORPORA, 0.97) / CORPORA


def units_of(rows, types=("PER",)) -> UnitCounts:
    """Return sentences with these counts; each has those of all types."""
    counter = UnitCounter()
    for row in rows:
        counter.add(dict.fromkeys(types, row))
    return counter.units()


@pytest.mark.parametrize("documents", [None, 20])
@pytest.mark.parametrize("entities", [50, 500])
def test_intervals_hold_the_true_score(entities, documents):
    population = Population(LEVELS["middle"], documents)
    held = coverage(population, entities, CORPORA, rivals=False).held
    assert (held[-1] >= FEWEST).all() and (held[-1] <= MOST).all(), held
    assert (held >= FEWEST).all(), held  # rare types may have wider intervals than needed


def test_intervals_of_plain_tags_hold_the_true_score():
    held = tag_coverage(TaggedPopulation(3.0), 1500, CORPORA)
    assert (held >= FEWEST).all() and (held <= MOST).all(), held


def test_units_of_one_entity_have_the_interval_of_a_uniform_prior():
    rows = [(1, 1, 1)] * 30 + [(0, 1, 0)] * 6 + [(0, 0, 1)] * 4
    precision, recall, f1 = score_intervals(units_of(rows)).by_type[0]
    np.testing.assert_allclose(precision, stats.beta(31, 7).ppf([0.025, 0.975]), atol=0.015)
    np.testing.assert_allclose(recall, stats.beta(31, 5).ppf([0.025, 0.975]), atol=0.015)
    # Goutte and Gaussier: F1 = U / (U + V), U from the gamma distribution of scale 2, V of scale 1.
    rng = np.random.default_rng(0)
    u, v = 2 * rng.standard_gamma(31, 100_000), rng.standard_gamma(10 + 1, 100_000)
    np.testing.assert_allclose(f1, np.quantile(u / (u + v), [0.025, 0.975]), atol=0.015)


def test_scores_of_1_and_0_have_an_interval_with_a_width():
    right = score_intervals(units_of([(1, 1, 1)] * 50)).by_type[0]
    assert (right[:, 1] == 1).all()
    assert ((right[:, 0] > 0.85) & (right[:, 0] < 0.97)).all()
    wrong = score_intervals(units_of([(0, 1, 1)] * 50)).by_type[0]
    assert (wrong[:, 0] == 0).all()
    assert ((wrong[:, 1] > 0.03) & (wrong[:, 1] < 0.15)).all()


def test_what_was_not_measured_lies_between_0_and_1():
    no_gold = score_intervals(units_of([(0, 1, 0)] * 5)).by_type[0]
    assert no_gold[0, 0] == 0 and no_gold[0, 1] < 0.6  # five predictions, all wrong
    assert no_gold[1:].tolist() == [[0, 1], [0, 1]]
    no_prediction = score_intervals(units_of([(0, 0, 1)] * 5)).by_type[0]
    assert no_prediction[0].tolist() == [0, 1]
    assert (no_prediction[1:, 1] < 0.7).all()
    nothing = score_intervals(units_of([]))
    assert nothing.by_type.shape == (0, 3, 2)
    assert nothing.overall.tolist() == [[0, 1]] * 3
    assert nothing.macro_f1.tolist() == [0, 1]


counts = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)).map(
    lambda row: (row[0], row[0] + row[1], row[0] + row[2])
)


@given(st.lists(counts))
def test_each_interval_holds_its_score_and_has_a_width(rows):
    units = units_of(rows, ("LOC", "PER"))
    intervals = score_intervals(units)
    correct, predicted, gold = np.sum(rows, axis=0) if rows else (0, 0, 0)
    ratios = (correct, predicted), (correct, gold), (2 * correct, predicted + gold)
    scores = np.array([top / bottom if bottom else 0 for top, bottom in ratios])
    for low, high in ((ends[:, 0], ends[:, 1]) for ends in (intervals.overall, *intervals.by_type)):
        assert (low >= 0).all() and (high <= 1).all()
        assert (low <= scores + 1e-6).all() and (scores - 1e-6 <= high).all()
        assert (high - low > 1e-4).all()
    low, high = intervals.macro_f1
    assert 0 <= low <= scores[2] + 1e-6 and scores[2] - 1e-6 <= high <= 1 and high - low > 1e-4


def test_intervals_become_narrow_with_more_entities():
    rows = [(1, 1, 1)] * 8 + [(0, 1, 1)] * 2
    few, many = (score_intervals(units_of(rows * n)).overall for n in (5, 500))
    widths = [ends[:, 1] - ends[:, 0] for ends in (few, many)]
    np.testing.assert_allclose(widths[0] / widths[1], 10, rtol=0.2)


def test_errors_in_few_units_make_a_wide_interval():
    """80 errors, spread over all sentences or in two of them."""
    spread = [(8, 10, 10)] * 40
    together = [(0, 40, 40)] * 2 + [(8, 8, 8)] * 40
    narrow, wide = (score_intervals(units_of(rows)).overall[2] for rows in (spread, together))
    assert narrow[1] - narrow[0] < 0.1
    assert wide[1] - wide[0] > 0.2
    (alone,) = score_intervals(units_of([(40, 50, 50)])).by_type
    assert (alone[:, 0] < 0.2).all() and (alone[:, 1] > 0.9).all()  # one sentence shows no spread


def of_correct(*units: int) -> tuple[float, float]:
    """Return the lower ends of precision and F1 of units with these numbers of correct entities."""
    precision, _, f1 = score_intervals(units_of([(n, n, n) for n in units])).by_type[0]
    assert precision[1] == f1[1] == 1
    return precision[0], f1[0]


def test_more_correct_entities_do_not_make_an_interval_wider():
    """However they are divided into units; with more units of equal size it becomes narrow."""
    for number in range(2, 30):
        assert of_correct(number) >= of_correct(1), number
        assert of_correct(*[1] * number) >= of_correct(number), number
        pairs = [2] * (number // 2)
        assert of_correct(*pairs) >= of_correct(*[1] * len(pairs)), number
        assert of_correct(*pairs, 2) > of_correct(*pairs), number
    assert of_correct(*[1] * 3) > of_correct(2, 1) > of_correct(3) > of_correct(1) > (0.1, 0.2)


def test_few_wrong_entities_leave_room():
    for number in range(1, 10):
        (precision, recall, f1) = score_intervals(units_of([(0, number, number)])).by_type[0]
        assert precision[0] == recall[0] == f1[0] == 0
        assert 0.8 < precision[1] == recall[1] < 1 and 0.8 < f1[1] < 1


def test_halves_are_counted():
    rows = [(1, 1, 1)] * 9 + [(0, 1, 1)] * 3
    doubled = units_of(np.array(rows) * 2)
    np.testing.assert_allclose(
        score_intervals(doubled, item=0.5).overall, score_intervals(units_of(rows)).overall
    )
