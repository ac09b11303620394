"""Suspected label errors: kinds, scores, corrections."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import entities
from scoring.label_errors import Suspect, corrected, relative_probabilities, suspected_errors

BOTH = 1 - (0.2 * 0.4) ** 0.5
LABELS = ["O", "B-X", "I-X", "B-Y", "I-Y"]


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("B-X O", "B-X O", []),
        ("O O", "O B-X", [("missing entity", 0.6, [], [("X", 1, 2)], 1, 2)]),
        ("B-X O", "O O", [("not an entity", 0.8, [("X", 0, 1)], [], 0, 1)]),
        ("B-X O", "B-Y O", [("other type", 0.8, [("X", 0, 1)], [("Y", 0, 1)], 0, 1)]),
        # Only the second word differs.
        ("B-X O", "B-X I-X", [("other boundary", 0.6, [("X", 0, 1)], [("X", 0, 2)], 0, 2)]),
        # Here an entity begins at the second word, and that is the difference.
        ("B-X I-X", "O B-X", [("other boundary", BOTH, [("X", 0, 2)], [("X", 1, 2)], 0, 2)]),
        # Two labels in place of one, and the reverse, are one suspect.
        (
            "B-X B-Y",
            "B-X I-X",
            [("other boundary", 0.6, [("X", 0, 1), ("Y", 1, 2)], [("X", 0, 2)], 0, 2)],
        ),
        (
            "B-X I-X",
            "B-X B-Y",
            [("other boundary", 0.6, [("X", 0, 2)], [("X", 0, 1), ("Y", 1, 2)], 0, 2)],
        ),
        # Neighbours that do not overlap are two.
        (
            "B-X B-Y",
            "B-Y B-X",
            [
                ("other type", 0.8, [("X", 0, 1)], [("Y", 0, 1)], 0, 1),
                ("other type", 0.6, [("Y", 1, 2)], [("X", 1, 2)], 1, 2),
            ],
        ),
    ],
)
def test_suspects_of_entity_tags(gold, predicted, expected):
    """The probabilities are those of the labels; the score is 1 - their geometric mean."""
    suspects = suspected_errors(gold.split(), predicted.split(), [0.2, 0.4], entity_tags=True)
    assert suspects == [(kind, pytest.approx(score), *rest) for kind, score, *rest in expected]


def test_suspects_of_plain_tags_are_words():
    suspects = suspected_errors(["NN", "VB"], ["NN", "NN"], [0.9, 0.25], entity_tags=False)
    assert suspects == [Suspect("other tag", 0.75, [("VB", 1, 2)], [("NN", 1, 2)], 1, 2)]


def test_a_label_without_any_probability_has_the_highest_score():
    (suspect,) = suspected_errors(["B-X"], ["O"], [0.0], entity_tags=True)
    assert suspect.score == pytest.approx(1)


def test_probabilities_are_relative_to_the_mean_of_the_same_label():
    """O has a mean of 0.6; B-X occurs once, so its probability is what it usually is."""
    rows = np.log([[0.9, 0.025, 0.025, 0.025, 0.025], [0.3, 0.1, 0.5, 0.05, 0.05]])
    first, second = relative_probabilities([["O", "O"], ["B-X"]], [rows, rows[1:]], LABELS)
    assert first.tolist() == pytest.approx([1, 0.5]) and second.tolist() == pytest.approx([1])


tags = st.sampled_from(LABELS)


@given(st.lists(st.tuples(tags, tags), min_size=1, max_size=8))
def test_a_correction_holds_the_suggestion_and_overlaps_nothing(rows):
    gold, predicted = (list(side) for side in zip(*rows, strict=True))
    labelled = entities(gold)
    for suspect in suspected_errors(gold, predicted, [0.5] * len(gold), entity_tags=True):
        assert suspect.score == pytest.approx(0.5)
        spans = corrected(labelled, suspect)
        assert set(suspect.suggested) <= set(spans) <= {*labelled, *suspect.suggested}
        assert not set(suspect.labels) & set(spans) - set(suspect.suggested)
        words = [word for _, start, end in spans for word in range(start, end)]
        assert words == sorted(set(words))
        untouched = [e for e in labelled if e[2] <= suspect.start or e[1] >= suspect.end]
        assert set(untouched) <= set(spans)
