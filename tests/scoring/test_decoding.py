"""Decoding and scores of entities: against brute force, by hand, and as properties."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import common
from scoring import decoding
from scoring.decoding import (
    entity_spans,
    legal_transitions,
    most_probable_tags,
    sequence_probabilities,
)
from scoring.word_predictions import Calibration, OperatingPoint, WordPredictions
from tests.helpers.sub_words import split_of

# --- Legal sequences of tags ----------------------------------------------------------------

TWO_TYPES = ["O", "B-X", "I-Y", "I-X", "B-Y"]


def is_legal(tags: list[str]) -> bool:
    """Return whether tags are IOB2, by its definition."""
    return all(
        tag[0] != "I" or (before[1:] == tag[1:] and before[0] in "BI")
        for before, tag in zip(["O", *tags], tags, strict=False)
    )


distributions = st.lists(
    st.lists(st.floats(-20, 0, width=32), min_size=5, max_size=5), min_size=1, max_size=5
)


@given(distributions)
@settings(deadline=None)
def test_decoded_tags_are_the_best_of_all_legal_sequences(rows):
    scores = np.array(rows, np.float32)
    labels = most_probable_tags(scores, legal_transitions(TWO_TYPES))
    assert is_legal([TWO_TYPES[label] for label in labels])
    sequences = itertools.product(range(5), repeat=len(rows))
    legal = [s for s in sequences if is_legal([TWO_TYPES[label] for label in s])]
    best = max(sum(float(scores[i, label]) for i, label in enumerate(s)) for s in legal)
    total = sum(float(scores[i, label]) for i, label in enumerate(labels))
    assert total == pytest.approx(best, abs=1e-9)


@given(st.lists(distributions, min_size=1, max_size=5), st.integers(0, 1000))
@settings(deadline=None)
def test_each_sentence_is_decoded_by_itself_without_words_that_have_no_prediction(sentences, seed):
    random = np.random.default_rng(seed)
    scores = torch.tensor([row for rows in sentences for row in rows]).log_softmax(-1)
    known = torch.tensor(random.random(len(scores)) < 0.8).nonzero()[:, 0]
    predictions = WordPredictions(len(scores), TWO_TYPES, decode=True)
    predictions.add_words(scores[known], known)
    lengths = [len(rows) for rows in sentences]
    predictions.decode(lengths)
    start, legal = 0, legal_transitions(TWO_TYPES)
    for length in lengths:
        words = [word for word in range(start, start + length) if word in known]
        start += length
        if words:
            expected = scores[words].numpy()[range(len(words)), predictions.tag_ids[words]].sum()
            labels = most_probable_tags(scores[words].numpy(), legal)
            best = scores[words].numpy()[range(len(words)), labels].sum()
            assert expected == pytest.approx(best, abs=1e-4)
            assert is_legal([TWO_TYPES[label] for label in predictions.tag_ids[words]])
    unknown = sorted(set(range(len(scores))) - set(known.tolist()))
    assert (predictions.tag_ids[unknown] == common.NO_TAG).all()
    np.testing.assert_allclose(
        predictions.probabilities[known],
        np.exp(scores.numpy()[known, predictions.tag_ids[known]]),
        rtol=1e-6,
    )


LABEL_SETS = [
    TWO_TYPES,
    ["O"],
    ["O", "B-X"],
    ["B-X", "I-X"],
    ["I-X", "O", "I-Y"],  # without a B-X, I-X begins an entity
    ["O", "I-P", "B-Q", "I-Q"],
    ["O", "B-X", "I-X", "O", "O"],  # labels that are not entity tags are read as O
]
MOST_WORDS = 4


@st.composite
def sentences_of_words(draw):
    """Return (label names, log probabilities of each sentence's words)."""
    names = draw(st.sampled_from(LABEL_SETS))
    score = st.floats(-20, 0, width=32)
    word = st.lists(score, min_size=len(names), max_size=len(names))
    sentences = draw(st.lists(st.lists(word, max_size=MOST_WORDS), max_size=4))
    return names, sentences


def legal_sequences(names: list[str], length: int) -> list[tuple[int, ...]]:
    """Return all legal sequences of labels, by the definition of IOB2."""
    legal = []
    for labels in itertools.product(range(len(names)), repeat=length):
        tags = [names[label] for label in labels]
        if all(
            tag[0] != "I" or f"B-{tag[2:]}" not in names or (a[1:] == tag[1:] and a[0] in "BI")
            for a, tag in zip(["O", *tags], tags, strict=False)
        ):
            legal.append(labels)
    return legal


@given(sentences_of_words(), st.data())
@settings(deadline=None)
def test_probabilities_are_those_of_all_legal_sequences(drawn, data):
    names, sentences = drawn
    tag_ids, of_words, of_entities = [], [], []
    for scores in sentences:
        legal = legal_sequences(names, len(scores))
        weights = np.array(
            [np.exp(sum(s[i] for s, i in zip(scores, q, strict=True))) for q in legal]
        )
        weights /= weights.sum()
        sequences = [[names[label] for label in labels] for labels in legal]
        chosen = data.draw(st.sampled_from(legal))
        tags = [names[label] for label in chosen]
        tag_ids += chosen
        for position, tag in enumerate(tags):
            has_tag = [sequence[position] == tag for sequence in sequences]
            of_words.append(weights[has_tag].sum())
        for entity in common.entities(tags):
            has_entity = [entity in common.entities(sequence) for sequence in sequences]
            of_entities.append(weights[has_entity].sum())
    log_probabilities = np.array(
        [scores for sentence in sentences for scores in sentence], np.float32
    ).reshape(-1, len(names))
    probabilities = sequence_probabilities(
        log_probabilities,
        np.array(tag_ids, np.int16),
        [len(sentence) for sentence in sentences],
        names,
    )
    np.testing.assert_allclose(probabilities.words, of_words, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(probabilities.entities, of_entities, rtol=1e-6, atol=1e-12)


@given(distributions)
@settings(deadline=None)
def test_each_word_is_outside_or_in_exactly_one_entity(rows):
    """The probabilities of O and of all entities that a word may be in sum to 1."""
    scores = np.array(rows, np.float32)
    totals, seen = np.zeros(len(rows)), set()
    for labels in legal_sequences(TWO_TYPES, len(rows)):
        tags = [TWO_TYPES[label] for label in labels]
        of_words, of_entities = sequence_probabilities(
            scores, np.array(labels), [len(rows)], TWO_TYPES
        )
        outside = [("O", word) for word, tag in enumerate(tags) if tag == "O"]
        for span, probability in [
            *((span, of_words[span[1]]) for span in outside),
            *zip(common.entities(tags), of_entities, strict=True),
        ]:
            if span not in seen:
                seen.add(span)
                totals[slice(*span[1:]) if len(span) == 3 else span[1]] += probability
    np.testing.assert_allclose(totals, 1.0, rtol=1e-9)


def test_probabilities_do_not_depend_on_the_sentences_beside_nor_on_extremes(monkeypatch):
    random = np.random.default_rng(0)
    lengths = random.integers(0, 9, 60)
    scores = random.normal(size=(lengths.sum(), 5)).astype(np.float32) * 4
    scores[::7] = [-np.inf, -1e30, 0, -np.inf, -1e4]  # I-Y alone is possible, where it is illegal
    tag_ids = np.concatenate(
        [
            most_probable_tags(part, legal_transitions(TWO_TYPES))
            for part in np.split(scores, np.cumsum(lengths))
            if len(part)
        ]
    )
    together = sequence_probabilities(scores, tag_ids, lengths, TWO_TYPES)
    assert np.isfinite(together.words).all() and np.isfinite(together.entities).all()
    assert together.words.max() <= 1 and together.entities.max() <= 1
    monkeypatch.setattr(decoding, "CHUNK_VALUES", 1)  # a sentence at a time
    for alone, values in zip(
        sequence_probabilities(scores, tag_ids, lengths, TWO_TYPES), together, strict=True
    ):
        np.testing.assert_allclose(alone, values, rtol=1e-12)


tag_lists = st.lists(st.lists(st.sampled_from([*TWO_TYPES, "E-X", "S-Y"]), max_size=6), max_size=5)


@given(tag_lists)
def test_spans_of_many_sentences_are_the_entities_of_each(sentences):
    names = ["O", "I-Y", "B-X", "E-X", "S-Y", "I-X", "B-Y"]
    lengths = [len(tags) for tags in sentences]
    labels = np.array([names.index(tag) for tags in sentences for tag in tags], int)
    types, first, last = entity_spans(labels, lengths, names)
    starts = np.cumsum(lengths) - lengths if lengths else []
    expected = [
        (name, start + begin, start + end - 1)
        for tags, start in zip(sentences, starts, strict=True)
        for name, begin, end in common.entities(tags)
    ]
    assert [(names[t][2:], f, e) for t, f, e in zip(types, first, last, strict=True)] == expected


def predictions_of(rows, known=None, **options) -> WordPredictions:
    """Return predictions with these log probabilities of words, for `TWO_TYPES`."""
    scores = torch.tensor(rows).log_softmax(-1)
    known = torch.arange(len(scores)) if known is None else torch.tensor(known)
    predictions = WordPredictions(len(scores), TWO_TYPES, True, **options)
    predictions.add_words(scores[known], known)
    return predictions


@given(distributions, st.sampled_from([0.25, 1.7, 4.0]), st.sampled_from([-2.0, 0.0, 1.0]))
@settings(deadline=None)
def test_a_calibration_changes_scores_and_no_tag(rows, temperature, offset):
    calibration = Calibration(temperature, offset)
    plain = predictions_of(rows)
    scored = predictions_of(rows, calibration=calibration)
    for predictions in (plain, scored):
        predictions.decode([len(rows)])
    assert (plain.tag_ids == scored.tag_ids).all()
    assert plain.entity_scores is plain.probabilities
    again = plain.decoded_again([len(rows)], calibration)
    assert (again.tag_ids == plain.tag_ids).all()
    np.testing.assert_array_equal(again.entity_scores, scored.entity_scores)
    np.testing.assert_array_equal(again.probabilities, scored.probabilities)
    back = again.decoded_again([len(rows)])
    np.testing.assert_allclose(back.entity_scores, plain.entity_scores, rtol=1e-6)
    # The order of the scores is that of the probabilities.
    uncalibrated = plain.decoded_again([len(rows)], Calibration()).entity_scores
    # Up to rounding in fp32.
    assert (np.diff(scored.entity_scores[np.argsort(uncalibrated)]) > -1e-6).all()


def test_calibrated_scores_by_hand():
    scores = Calibration(2.0, 1.0).scores(np.array([0.5, 0.9, 0.0, 1.0]))
    odds = scores / (1 - scores)
    assert odds[:2] == pytest.approx([np.e, 3 * np.e])
    assert 0 < scores[2] < 0.001 and 0.999 < scores[3] < 1
    kept = np.array([0.1, 0.7])
    assert Calibration().scores(kept) == pytest.approx(kept)
    assert Calibration.of_config(SimpleNamespace(score_offset=1.0)) is None
    config = SimpleNamespace(score_temperature=2.0, score_offset=None)
    assert Calibration.of_config(config) == (2.0, 0.0)


@given(distributions, st.floats(-15, 15, width=32))
@settings(deadline=None)
def test_a_bias_on_o_changes_tags_as_if_it_were_in_the_model(rows, bias):
    is_outside = torch.tensor([name == "O" for name in TWO_TYPES])
    point = OperatingPoint(bias)
    biased = predictions_of(rows, calibration=Calibration(), operating_point=point)
    biased.decode([len(rows)])
    scores = torch.tensor(rows).log_softmax(-1) + bias * is_outside
    legal = legal_transitions(TWO_TYPES)
    labels = most_probable_tags(scores.numpy(), legal)
    totals = [scores[range(len(rows)), ids].sum().item() for ids in (biased.tag_ids, labels)]
    assert totals[0] == pytest.approx(totals[1], abs=1e-4)
    assert is_legal([TWO_TYPES[label] for label in biased.tag_ids])
    # The scores are those of the model, not of the bias.
    _, of_entities = sequence_probabilities(
        biased.log_probabilities, biased.tag_ids, [len(rows)], TWO_TYPES
    )
    _, first, _ = entity_spans(biased.tag_ids, [len(rows)], TWO_TYPES)
    # Calibrated probabilities are at least EPSILON.
    np.testing.assert_allclose(biased.entity_scores[first], of_entities, rtol=1e-6, atol=1e-7)
    again = predictions_of(rows).decoded_again([len(rows)], Calibration(), point)
    np.testing.assert_array_equal(again.tag_ids, biased.tag_ids)
    np.testing.assert_array_equal(again.entity_scores, biased.entity_scores)


@given(st.lists(distributions, min_size=1, max_size=4), st.sampled_from([0.2, 0.5, 0.9]))
@settings(deadline=None)
def test_entities_below_the_least_score_become_o(sentences, min_score):
    rows = [row for sentence in sentences for row in sentence]
    lengths = [len(sentence) for sentence in sentences]
    split = split_of([["w"] * length for length in lengths])
    calibration, point = Calibration(1.3, -0.2), OperatingPoint(-1.0, min_score)
    without, limited = (
        predictions_of(rows, calibration=calibration, operating_point=p)
        for p in (point._replace(min_score=0.0), point)
    )
    for predictions in (without, limited):
        predictions.decode(lengths)
    for before, after in zip(
        common.postprocess(without, split, TWO_TYPES),
        common.postprocess(limited, split, TWO_TYPES),
        strict=True,
    ):
        spans = common.entities(before.predicted)
        kept = [s for s in spans if common.entity_score(before.entity_scores, *s[1:]) >= min_score]
        assert common.entities(after.predicted) == kept and is_legal(after.predicted)
        for span in kept:
            assert after.entity_scores[span[1]] == before.entity_scores[span[1]]
        assert np.count_nonzero(after.entity_scores) == sum(end - start for _, start, end in kept)
    labels = [TWO_TYPES.index("O")] * len(rows)
    of_words, _ = sequence_probabilities(
        limited.log_probabilities, np.array(labels), lengths, TWO_TYPES
    )
    is_outside = limited.tag_ids == 0
    np.testing.assert_allclose(limited.probabilities[is_outside], of_words[is_outside], rtol=1e-6)


def test_a_word_without_a_sub_word_has_the_score_of_the_entity_around_it():
    rows = np.full((5, 5), -9.0)
    for word, label in enumerate((1, 0, 3, 0, 4)):
        rows[word, label] = 0.0
    predictions = predictions_of(rows.tolist(), known=[0, 2, 3, 4], calibration=Calibration())
    predictions.decode([4, 1])
    split = split_of([[*"abcd"], ["e"]])
    first, second = common.postprocess(predictions, split, TWO_TYPES)
    assert first.predicted == ["B-X", "I-X", "I-X", "O"]
    assert first.probabilities[1] == 0.0
    score = common.entity_score(first.entity_scores, 0, 3)
    assert first.entity_scores == [score, score, score, 0.0] and 0.99 < score < 1
    assert second.entity_scores == [common.entity_score(second.entity_scores, 0, 1)]


def test_without_a_calibration_the_score_is_the_mean_over_the_tags():
    predictions = predictions_of([[0.0, 2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0, 0.0]])
    predictions.decode([2])
    ((*_, probabilities, scores),) = common.postprocess(
        predictions, split_of([["a", "b"]]), TWO_TYPES
    )
    assert scores == probabilities
    expected = (np.exp(2) / (np.exp(2) + 4) + np.exp(3) / (np.exp(3) + 4)) / 2
    assert common.entity_score(scores, 0, 2) == pytest.approx(expected)


def test_a_type_without_a_begin_tag_begins_with_its_inside_tag():
    legal = legal_transitions(["O", "I-X"])
    assert legal.all()
