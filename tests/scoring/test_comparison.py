"""Comparisons: scores, intervals and p values against slow plain-Python references."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest

from common import entities
from scoring.comparison import (
    MIN_PREDICTIONS,
    Comparison,
    Difference,
    PairedCounter,
    score_keys,
    scores_of_totals,
)
from scoring.scores import score_tags

ENTITY_TAGS = ["O", "O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
PLAIN_TAGS = ["NN", "VB", "DT"]


def random_tags(source: random.Random, lengths: list[int], tags: list[str]) -> list[list[str]]:
    return [[source.choice(tags) for _ in range(length)] for length in lengths]


def worse(source: random.Random, gold: list[list[str]], rate: float, tags: list[str]):
    """Return tags that differ from the gold tags in about `rate` of the words."""
    return [
        [source.choice(tags) if source.random() < rate else tag for tag in sentence]
        for sentence in gold
    ]


def made_up(seed: int, entity_tags: bool, runs: int = 2, sentences: int = 12):
    """Return gold tags and the tags of some runs, whose error rates differ."""
    source = random.Random(seed)
    tags = ENTITY_TAGS if entity_tags else PLAIN_TAGS
    gold = random_tags(source, [source.randint(1, 8) for _ in range(sentences)], tags)
    return gold, [worse(source, gold, 0.2 + 0.1 * run, tags) for run in range(runs)]


def compare(gold, runs_a, runs_b, entity_tags=True, documents=None, **options) -> Comparison:
    counter = PairedCounter((len(runs_a), len(runs_b)), entity_tags)
    documents = documents or [None] * len(gold)
    for tags, document, *predictions in zip(gold, documents, *runs_a, *runs_b, strict=True):
        counter.add(tags, predictions, document)
    return counter.compare(**options)


def row_of(comparison: Comparison, type_: str | None, score: str) -> Difference:
    (row,) = (r for r in comparison.differences if (r.type, r.score) == (type_, score))
    return row


def slow_scores(gold, predicted, entity_tags) -> dict:
    """Return each score that is compared, by type and name, as `scoring.scores` computes it."""
    scores = score_tags(gold, predicted, entity_tags)
    names = ("precision", "recall", "f1") if entity_tags else ("accuracy", "macro_f1")
    flat = {(None, name): scores["overall"][name] for name in names}
    for type_, values in scores["per_type"].items():
        flat |= {(type_, name): values[name] for name in ("precision", "recall", "f1")}
    return flat


# --- Scores ---------------------------------------------------------------------------------


@pytest.mark.parametrize("entity_tags", [True, False])
def test_scores_are_those_of_training(entity_tags):
    for seed in range(20):
        gold, (a, b) = made_up(seed, entity_tags)
        comparison = compare(gold, [a], [b], entity_tags, resamples=100, shuffles=1)
        of_a, of_b = (slow_scores(gold, side, entity_tags) for side in (a, b))
        assert {(r.type, r.score) for r in comparison.differences} == {*of_a, *of_b}
        for row in comparison.differences:
            key = row.type, row.score
            assert row.a == pytest.approx(of_a.get(key, 0)), key
            assert row.b == pytest.approx(of_b.get(key, 0)), key
            assert row.difference == pytest.approx(of_b.get(key, 0) - of_a.get(key, 0))


def test_the_score_of_a_side_is_the_mean_of_its_runs():
    gold, runs = made_up(1, True, runs=5)
    comparison = compare(gold, runs[:2], runs[2:], resamples=100, shuffles=1)
    means = [
        np.mean([slow_scores(gold, run, True)[None, "f1"] for run in side])
        for side in (runs[:2], runs[2:])
    ]
    row = row_of(comparison, None, "f1")
    assert [row.a, row.b] == pytest.approx(means)
    assert comparison.main == row and comparison.runs == (2, 3)


def test_numbers_count_gold_items_and_sizes_are_reported():
    gold = [["B-PER", "I-PER"], ["B-LOC", "O", "B-PER"]]
    comparison = compare(gold, [gold], [gold], resamples=100, shuffles=1)
    numbers = {row.type: row.number for row in comparison.differences}
    assert numbers == {None: 3, "PER": 2, "LOC": 1}
    assert (comparison.sentences, comparison.words) == (2, 5)
    assert (comparison.unit, comparison.units) == ("sentence", 2)


def test_a_type_that_one_side_alone_predicts_has_a_row():
    gold = [["O", "B-PER"]]
    comparison = compare(gold, [gold], [[["B-LOC", "B-PER"]]], resamples=100, shuffles=1)
    row = row_of(comparison, "LOC", "f1")
    assert (row.number, row.a, row.b) == (0, 0, 0)


def test_accuracy_and_macro_f1_are_the_main_scores_of_plain_tags():
    gold = [["NN", "VB"]]
    comparison = compare(gold, [gold], [[["NN", "NN"]]], False, resamples=100, shuffles=1)
    assert comparison.main.score == "accuracy"
    assert comparison.main.difference == pytest.approx(-0.5)
    assert score_keys([], False) == [(None, "accuracy"), (None, "macro_f1")]


def test_macro_f1_leaves_out_tags_that_do_not_occur():
    totals = np.array([[[1.0, 2, 1], [0, 0, 0]]])  # one run, two tags
    scores = scores_of_totals(totals, entity_tags=False)[0]
    assert scores[1] == pytest.approx(2 / 3)


# --- p values -------------------------------------------------------------------------------


def enumerated_p_values(gold, a, b, entity_tags) -> dict:
    """Return the exact p values: all ways in which sentences exchange the two sides' tags."""
    observed = distances(gold, a, b, entity_tags)
    extreme, total = Counter(), 0
    for exchange in itertools.product([False, True], repeat=len(gold)):
        sides = [(y, x) if flip else (x, y) for flip, x, y in zip(exchange, a, b, strict=True)]
        left, right = ([side[i] for side in sides] for i in (0, 1))
        for key, distance in distances(gold, left, right, entity_tags).items():
            extreme[key] += distance >= observed[key] - 1e-9
        total += 1
    return {key: extreme[key] / total for key in observed}


def distances(gold, a, b, entity_tags) -> dict:
    of_a, of_b = (slow_scores(gold, side, entity_tags) for side in (a, b))
    sizes = {key: abs(of_b.get(key, 0) - of_a.get(key, 0)) for key in {*of_a, *of_b}}
    for type_, score in sizes:
        if score == "precision":
            variances = (variance_of_precision(gold, side, type_, entity_tags) for side in (a, b))
            sizes[type_, score] /= sum(variances) ** 0.5
    return sizes


def variance_of_precision(gold, predicted, type_, entity_tags) -> float:
    """Return p (1 - p) / n, with half an item added that is correct and half a wrong one."""
    of_gold, of_predicted = (
        {
            (number, *item)
            for number, tags in enumerate(side)
            for item in (entities(tags) if entity_tags else zip(tags, itertools.count()))
            if type_ in (None, item[0])
        }
        for side in (gold, predicted)
    )
    total = len(of_predicted) + 1
    share = (len(of_gold & of_predicted) + 0.5) / total
    return share * (1 - share) / total


@pytest.mark.parametrize("entity_tags", [True, False])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_p_values_of_two_runs_are_close_to_exact_enumeration(seed, entity_tags):
    gold, (a, b) = made_up(seed, entity_tags, sentences=7)
    exact = enumerated_p_values(gold, a, b, entity_tags)
    comparison = compare(gold, [a], [b], entity_tags, resamples=100, shuffles=9999)
    assert not comparison.exact and comparison.arrangements == 9999
    judged = [row for row in comparison.differences if row.p_value is not None]
    assert len(judged) > 4
    for row in judged:
        # Four standard errors of a share of 9,999 shuffles.
        assert row.p_value == pytest.approx(exact[row.type, row.score], abs=0.02)


@pytest.mark.parametrize("predictions", [0, 1, MIN_PREDICTIONS - 1, MIN_PREDICTIONS])
def test_a_precision_of_few_predictions_is_not_judged(predictions):
    gold = [["B-PER"]] * 60
    a = [*gold[:50], *[["B-LOC"]] * 10]
    b = [["B-LOC"]] * predictions + [["O"]] * (60 - predictions)
    comparison = compare(gold, [a], [b], resamples=200, shuffles=99)
    for type_ in (None, "LOC"):
        row = row_of(comparison, type_, "precision")
        evidence = row.low, row.high, row.p_value
        assert (evidence == (None, None, None)) == (predictions < MIN_PREDICTIONS)
    assert row_of(comparison, "PER", "precision")[-3:] == (None, None, None)
    assert not row_of(comparison, "PER", "precision").is_clear
    assert None not in comparison.main[-3:] and None not in row_of(comparison, "PER", "recall")[-3:]


def test_a_precision_of_few_predictions_is_not_extreme_by_chance():
    """Equal precision, but B predicts a tenth of A's items: p < 0.05 in about 5 % of corpora.

    Without division by the standard error, it would be in about a quarter of them.
    """
    source, significant = random.Random(1), 0
    for _ in range(100):
        gold = [["B-X"] if source.random() < 0.8 else ["O"] for _ in range(100)]
        b = [["B-X"]] * 10 + [["O"]] * 90
        comparison = compare(gold, [[["B-X"]] * 100], [b], resamples=100, shuffles=99)
        significant += row_of(comparison, "X", "precision").p_value < 0.05
    assert significant <= 12  # by chance in 1 of 600 tests if it is 5 %


def test_p_values_of_several_runs_are_exact():
    gold, runs = made_up(7, True, runs=5)
    comparison = compare(gold, runs[:2], runs[2:], resamples=100)
    scores = [slow_scores(gold, run, True)[None, "f1"] for run in runs]

    def distance(chosen) -> float:
        left = [scores[i] for i in chosen]
        right = [scores[i] for i in range(5) if i not in chosen]
        return abs(np.mean(right) - np.mean(left))

    ways = [distance(chosen) for chosen in itertools.combinations(range(5), 2)]
    expected = np.mean([way >= distance((0, 1)) - 1e-12 for way in ways])
    assert comparison.exact and comparison.arrangements == 10
    assert comparison.main.p_value == pytest.approx(expected)
    assert comparison.smallest_p_value == 0.1


def test_many_runs_are_divided_at_random():
    gold, runs = made_up(8, True, runs=10)
    exact = compare(gold, runs[:5], runs[5:], resamples=100)
    at_random = compare(gold, runs[:5], runs[5:], resamples=100, shuffles=200)
    assert (exact.exact, exact.arrangements) == (True, 252)
    assert (at_random.exact, at_random.arrangements) == (False, 200)
    for row, other in zip(exact.differences, at_random.differences, strict=True):
        assert row.p_value == pytest.approx(other.p_value, abs=0.15)
    assert exact.smallest_p_value == pytest.approx(2 / 252)
    assert at_random.smallest_p_value == pytest.approx(1 / 201)


def test_equal_predictions_have_p_value_1_and_an_interval_with_a_width():
    gold, (a, _) = made_up(9, True, sentences=40)
    comparison = compare(gold, [a], [a])
    for row in comparison.differences:
        assert row.difference == 0 and row.p_value == 1
        assert row.low < 0 < row.high and not row.is_clear


def test_documents_exchange_their_tags_together():
    """With every sentence twice in a document, p is that of the documents."""
    gold, (a, b) = made_up(3, True, sentences=30)
    documents = [str(number) for number in range(30)]
    once = compare(gold, [a], [b], documents=documents)
    twice = compare(gold * 2, [a * 2], [b * 2], documents=documents * 2)
    assert (once.unit, twice.unit, twice.units) == ("document", "document", 30)
    assert twice.main.p_value == pytest.approx(once.main.p_value, abs=0.02)
    as_sentences = compare(gold * 2, [a * 2], [b * 2])
    assert as_sentences.main.p_value < twice.main.p_value - 0.02


# --- Intervals ------------------------------------------------------------------------------


def slow_interval(gold, a, b, resamples=2000) -> tuple[float, float]:
    """Return the interval of the difference of F1, with the tags of each sentence resampled.

    A plain bootstrap that draws sentences, without the items that the suite adds.
    """
    source = random.Random(0)
    counts = []
    for tags, x, y in zip(gold, a, b, strict=True):
        counts.append([counts_of(tags, x), counts_of(tags, y)])
    differences = []
    for _ in range(resamples):
        drawn = source.choices(counts, k=len(counts))
        f1 = []
        for side in (0, 1):
            correct, total = (sum(unit[side][i] for unit in drawn) for i in (0, 1))
            f1.append(2 * correct / total if total else 0)
        differences.append(f1[1] - f1[0])
    ranked = sorted(differences)
    return ranked[resamples // 40], ranked[-resamples // 40 - 1]


def counts_of(gold, predicted) -> tuple[int, int]:
    gold_entities, predicted_entities = set(entities(gold)), set(entities(predicted))
    both = len(gold_entities & predicted_entities)
    return both, len(gold_entities) + len(predicted_entities)


def test_the_interval_is_close_to_a_slow_bootstrap():
    gold, (a, b) = made_up(11, True, sentences=150)
    row = compare(gold, [a], [b], shuffles=1).main
    low, high = slow_interval(gold, a, b)
    width = high - low
    assert row.low == pytest.approx(low, abs=0.1 * width)
    assert row.high == pytest.approx(high, abs=0.1 * width)


def test_pairing_makes_the_interval_narrow():
    """Two sides that make the same mistakes differ less than each score varies."""
    gold, (a, _) = made_up(12, True, sentences=200)
    b = [*gold[:2], *a[2:]]
    row = compare(gold, [a], [b], shuffles=1).main
    alone = slow_interval(gold, a, gold)
    assert row.high - row.low < 0.5 * (alone[1] - alone[0])


def test_one_differing_sentence_is_not_clear():
    """A bootstrap without added items would exclude 0: all its resamples have one sign."""
    gold = [["B-PER"]] * 30
    b = [["O"], *gold[1:]]
    row = compare(gold, [gold], [b]).main
    assert row.low < row.difference < 0 < row.high
    assert not row.is_clear and row.p_value == 1


def test_a_large_difference_is_clear():
    gold = [["B-PER"]] * 60
    b = [["O"] if number < 30 else ["B-PER"] for number in range(60)]
    row = compare(gold, [gold], [b]).main
    assert row.is_clear and row.high < 0 and row.p_value == pytest.approx(1e-4)


def test_the_spread_of_seeds_widens_the_interval():
    gold, (a, b, c) = made_up(13, True, runs=3, sentences=200)
    one = compare(gold, [a], [b], shuffles=1).main
    several = compare(gold, [a, a, a], [b, b, c], shuffles=1).main
    same = compare(gold, [a, a, a], [b, b, b], shuffles=1).main
    assert several.high - several.low > 1.5 * (one.high - one.low)
    # Runs that are all the same add nothing.
    assert [same.low, same.high] == pytest.approx([one.low, one.high], abs=0.01)


def test_results_do_not_depend_on_when_they_are_computed():
    gold, (a, b) = made_up(14, True)
    assert compare(gold, [a], [b]) == compare(gold, [a], [b])


def test_a_sentence_with_too_few_tags_is_an_error():
    with pytest.raises(ValueError, match="expected 2"):
        compare([["O", "O"]], [[["O"]]], [[["O", "O"]]])
