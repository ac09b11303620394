"""Scores of entities as probabilities: bins by hand, the temperature that made them recovered."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import common
from scoring.calibration import (
    Bin,
    fit_temperature,
    gold_labels,
    judge_entities,
    reliability,
)
from tests.helpers.sub_words import split_of

NAMES = ["O", "B-X", "I-X", "B-Y", "I-Y"]
LEGAL = common.legal_transitions(NAMES)


def predictions_of(scores: np.ndarray, lengths, **options) -> common.WordPredictions:
    """Return decoded predictions with these log probabilities, (words, labels)."""
    predictions = common.WordPredictions(len(scores), NAMES, True, **options)
    predictions.add_words(torch.from_numpy(scores).log_softmax(-1), torch.arange(len(scores)))
    predictions.decode(lengths)
    return predictions


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


@pytest.mark.parametrize("temperature", [None, 1.5])
@given(drawn=sentences, seed=st.integers(0, 99))
@settings(deadline=None)
def test_judged_entities_are_those_of_the_written_predictions(drawn, seed, temperature):
    """With words that have no sub-word, and gold tags that IOB2 does not allow."""
    count = sum(map(len, drawn))
    gold = [[label for label, _, _ in sentence] for sentence in drawn]
    is_known = [known for sentence in drawn for *_, known in sentence]
    known = np.flatnonzero(is_known) if count else np.zeros(0, int)
    scores = np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32) * 3
    predictions = common.WordPredictions(count, NAMES, True, temperature)
    log_probabilities = torch.from_numpy(scores).log_softmax(-1)[known]
    predictions.add_words(log_probabilities, torch.from_numpy(known))
    lengths = np.array([len(sentence) for sentence in drawn], int)
    predictions.decode(lengths)
    labels = np.array([label for sentence in gold for label in sentence], int)
    judged = judge_entities(predictions, lengths, labels)

    split = split_of([["w"] * len(sentence) for sentence in gold], gold) if drawn else []
    expected, num_gold = [], 0
    for sentence in common.postprocess(predictions, split, NAMES):
        gold_entities = common.entities(sentence.gold)
        num_gold += len(gold_entities)
        for entity in common.entities(sentence.predicted):
            score = common.entity_score(sentence.entity_scores, *entity[1:])
            expected.append((entity in gold_entities, pytest.approx(score, abs=1e-6)))
    assert [*zip(judged.are_right.tolist(), judged.scores.tolist(), strict=True)] == expected
    assert judged.num_gold == num_gold


def test_gold_labels_of_a_split():
    assert gold_labels(split_of([["a", "b"], [], ["c"]], [[1, 2], [], [0]])).tolist() == [1, 2, 0]


# --- Temperature --------------------------------------------------------------------------------


def draw_tags(scores: np.ndarray, random: np.random.Generator) -> list[int]:
    """Draw legal labels of a sentence with the probability that the scores give them.

    Word by word, by the probability of all legal sequences that go on from there.
    """
    ends = [np.zeros(len(NAMES))]
    for row in scores[:0:-1]:
        steps = np.where(LEGAL[:-1], row + ends[-1], -np.inf)
        ends.append(np.logaddexp.reduce(steps, axis=1))
    labels, legal = [], LEGAL[-1]
    for row, end in zip(scores, reversed(ends), strict=True):
        values = np.where(legal, row + end, -np.inf)
        weights = np.exp(values - np.logaddexp.reduce(values))
        labels.append(int(random.choice(len(NAMES), p=weights / weights.sum())))
        legal = LEGAL[labels[-1]]
    return labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_of_the_labels_is_found(temperature):
    """Gold tags drawn from the model's own distribution at a temperature."""
    random = np.random.default_rng(7)
    lengths = np.full(1500, 4)
    scores = random.normal(size=(lengths.sum(), len(NAMES))).astype(np.float32) * 2
    gold = [
        label
        for sentence in np.split(scores, len(lengths))
        for label in draw_tags(sentence / temperature, random)
    ]
    predictions = predictions_of(scores, lengths)
    gold = np.array(gold)
    fitted = fit_temperature(
        predictions, lengths, judge_entities(predictions, lengths, gold).are_right
    )
    assert fitted == pytest.approx(temperature, rel=0.1)
    calibrated = judge_entities(predictions.decoded_again(lengths, fitted), lengths, gold)
    assert reliability(calibrated.scores, calibrated.are_right).expected_calibration_error < 0.03


def test_a_few_entities_that_are_all_right_do_not_make_a_model_certain():
    """Three of three: the score is that of four of five, by Platt's targets."""
    scores, lengths = np.full((3, 5), -3.0, np.float32), np.ones(3, int)
    scores[:, 1] = 0.0
    predictions = predictions_of(scores, lengths)
    temperature = fit_temperature(predictions, lengths, np.full(3, True))
    scored = predictions.decoded_again(lengths, temperature)
    assert scored.entity_scores == pytest.approx([0.8] * 3, abs=0.01)
    # All wrong: as uncertain as the temperatures that are tried allow.
    assert 4 <= fit_temperature(predictions, lengths, np.full(3, False)) < 7


def test_without_an_entity_the_temperature_is_1():
    scores = np.tile(np.array([[3.0, 0, 0, 0, 0]], np.float32), (4, 1))
    predictions = predictions_of(scores, [4])
    assert fit_temperature(predictions, np.array([4]), np.zeros(0, bool)) == 1.0
