"""Scores of entities as probabilities: bins by hand, the calibration behind labels recovered."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import common
from scoring.calibration import (
    Bin,
    fit_calibration,
    gold_labels,
    match_predicted_entities,
    reliability,
)
from scoring.word_predictions import Calibration, WordPredictions, logit
from tests.helpers.sub_words import split_of

NAMES = ["O", "B-X", "I-X", "B-Y", "I-Y"]


# --- Reliability --------------------------------------------------------------------------------


def test_bins_and_error_by_hand():
    scores = [0.0, 0.05, 0.1, 0.75, 0.79, 0.95, 1.0, 1.0]
    right = [False, True, False, True, False, True, True, False]
    result = reliability(scores, right)
    first, second, *_ = result.bins
    assert len(result.bins) == 10
    assert first == Bin(0.0, 0.1, 2, pytest.approx(0.025), 0.5)
    assert second == Bin(0.1, 0.2, 1, pytest.approx(0.1), 0.0)  # a bin begins with its lower end
    assert result.bins[7] == Bin(0.7, 0.8, 2, pytest.approx(0.77), 0.5)
    assert result.bins[9] == Bin(0.9, 1.0, 3, pytest.approx(2.95 / 3), pytest.approx(2 / 3))
    assert result.bins[5] == Bin(0.5, 0.6, 0, None, None)
    by_hand = 2 / 8 * 0.475 + 1 / 8 * 0.1 + 2 / 8 * 0.27 + 3 / 8 * (2.95 / 3 - 2 / 3)
    assert result.expected_calibration_error == pytest.approx(by_hand)
    facts = result.facts()
    assert facts["bins"][0]["entities"] == 2
    assert facts["expected_calibration_error"] == result.expected_calibration_error


def test_without_an_entity_there_is_no_error():
    result = reliability([], [])
    assert result.expected_calibration_error is None
    assert {of_bin.entities for of_bin in result.bins} == {0}


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_each_entity_is_in_the_bin_of_its_score(pairs):
    scores, right = zip(*pairs, strict=True)
    result = reliability(scores, right)
    for of_bin in result.bins:
        inside = [
            is_right
            for score, is_right in pairs
            if int(score * 10) == round(of_bin.start * 10) or (score == 1 and of_bin.end == 1)
        ]
        assert of_bin.entities == len(inside)
        if inside:
            assert of_bin.precision == pytest.approx(np.mean(inside))
    assert 0 <= result.expected_calibration_error <= 1


# --- Entities, right or wrong -------------------------------------------------------------------

sentences = st.lists(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(NAMES), st.booleans()), min_size=1, max_size=6
    ),
    max_size=5,
)


@pytest.mark.parametrize("calibration", [None, Calibration(1.5, -1.0)])
@given(drawn=sentences, seed=st.integers(0, 99))
@settings(deadline=None)
def test_judged_entities_are_those_of_the_written_predictions(drawn, seed, calibration):
    """With words that have no sub-word, and gold tags that IOB2 does not allow."""
    count = sum(map(len, drawn))
    gold = [[label for label, _, _ in sentence] for sentence in drawn]
    is_known = [known for sentence in drawn for *_, known in sentence]
    known = np.flatnonzero(is_known) if count else np.zeros(0, int)
    scores = np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32) * 3
    predictions = WordPredictions(count, NAMES, True, calibration)
    log_probabilities = torch.from_numpy(scores).log_softmax(-1)[known]
    predictions.add_words(log_probabilities, torch.from_numpy(known))
    lengths = np.array([len(sentence) for sentence in drawn], int)
    predictions.decode(lengths)
    labels = np.array([label for sentence in gold for label in sentence], int)
    judged = match_predicted_entities(predictions, lengths, labels)

    split = split_of([["w"] * len(sentence) for sentence in gold], gold) if drawn else []
    expected, num_gold = [], 0
    for sentence in common.postprocess(predictions, split, NAMES):
        gold_entities = common.entities(sentence.gold)
        num_gold += len(gold_entities)
        for entity in common.entities(sentence.predicted):
            score = common.entity_score(sentence.entity_scores, *entity[1:])
            expected.append((entity in gold_entities, pytest.approx(score, abs=1e-6)))
    assert [*zip(judged.are_correct.tolist(), judged.scores.tolist(), strict=True)] == expected
    assert judged.num_gold == num_gold


def test_gold_labels_of_a_split():
    assert gold_labels(split_of([["a", "b"], [], ["c"]], [[1, 2], [], [0]])).tolist() == [1, 2, 0]


# --- Fitting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("true", [(1.0, 0.0), (0.5, 0.5), (2.0, -1.0)])
def test_the_calibration_that_made_the_labels_is_found(true):
    random = np.random.default_rng(7)
    probabilities = random.beta(3, 1, 20_000)
    right = random.random(20_000) < Calibration(*true).scores(probabilities)
    fitted = fit_calibration(probabilities, right)
    assert fitted == pytest.approx(true, rel=0.1, abs=0.1)
    result = reliability(fitted.scores(probabilities), right)
    assert result.expected_calibration_error < 0.015


def test_the_fit_is_the_best():
    from scipy.optimize import minimize

    random = np.random.default_rng(3)
    probabilities = random.beta(4, 1, 300)
    right = random.random(300) < probabilities**2
    num_right = right.sum()
    targets = np.where(right, (num_right + 1) / (num_right + 2), 1 / (302 - num_right))

    def loss(parameters):
        values = logit(probabilities) / np.exp(parameters[0]) + parameters[1]
        return (np.logaddexp(0, values) - targets * values).sum()

    best = minimize(loss, [0.0, 0.0], method="Nelder-Mead")
    temperature, offset = fit_calibration(probabilities, right)
    assert loss([np.log(temperature), offset]) == pytest.approx(best.fun, rel=1e-4)


@pytest.mark.parametrize("is_right", [True, False])
def test_a_few_entities_that_are_all_alike_do_not_make_a_model_certain(is_right):
    """The score of three of three is that of four of five, by Platt's targets."""
    fitted = fit_calibration([0.9, 0.9, 0.9], [is_right] * 3)
    assert fitted.scores(np.array([0.9])) == pytest.approx([0.8 if is_right else 0.2], abs=1e-6)


def test_a_score_grows_with_the_probability_whatever_was_right():
    fitted = fit_calibration([0.2, 0.3, 0.8, 0.9], [True, True, False, False])
    assert 0 < fitted.temperature < 7
    assert (np.diff(fitted.scores(np.linspace(0.01, 0.99, 50))) > 0).all()


def test_without_an_entity_nothing_is_changed():
    assert fit_calibration([], []) == Calibration()
