"""Suspected label errors: kinds, scores, corrections."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import entities
from scoring.label_errors import Suspect, corrected, error_log_odds, suspected_errors

ODDS = [math.log(4), math.log(1.5)]  # scores of 0.8 and 0.6
BOTH = 6**0.5 / (1 + 6**0.5)
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
    """The score is that of the mean log odds of the words that differ."""
    suspects = suspected_errors(gold.split(), predicted.split(), ODDS, entity_tags=True)
    assert suspects == [(kind, pytest.approx(score), *rest) for kind, score, *rest in expected]


def test_suspects_of_plain_tags_are_words():
    suspects = suspected_errors(["NN", "VB"], ["NN", "NN"], [0.0, math.log(3)], entity_tags=False)
    assert suspects == [
        Suspect("other tag", pytest.approx(0.75), [("VB", 1, 2)], [("NN", 1, 2)], 1, 2)
    ]


def test_odds_are_corrected_for_the_frequency_of_both_labels():
    """O occurs five times among labels and predictions, B-X once."""
    rows = np.log([[0.9, 0.025, 0.025, 0.025, 0.025], [0.3, 0.1, 0.5, 0.05, 0.05]])
    tags = [["O", "O"], ["O"]], [["O", "O"], ["B-X"]]
    first, second = error_log_odds(*tags, [rows, rows[1:]], LABELS)
    assert first.tolist() == [0, 0]
    assert second.tolist() == pytest.approx([math.log(0.1 / 0.3 * (5 / 1) ** 0.5)])
    # A predicted tag that is not a label says nothing.
    (plain,) = error_log_odds([["NN"]], [["O"]], [np.log([[0.5, 0.5]])], ["NN", "VB"])
    assert plain.tolist() == [0]


tags = st.sampled_from(LABELS)


@given(st.lists(st.tuples(tags, tags), min_size=1, max_size=8))
def test_a_correction_holds_the_suggestion_and_overlaps_nothing(rows):
    gold, predicted = (list(side) for side in zip(*rows, strict=True))
    labelled = entities(gold)
    for suspect in suspected_errors(gold, predicted, [0.0] * len(gold), entity_tags=True):
        assert suspect.score == pytest.approx(0.5)
        spans = corrected(labelled, suspect)
        assert set(suspect.suggested) <= set(spans) <= {*labelled, *suspect.suggested}
        assert not set(suspect.labels) & set(spans) - set(suspect.suggested)
        words = [word for _, start, end in spans for word in range(start, end)]
        assert words == sorted(set(words))
        untouched = [e for e in labelled if e[2] <= suspect.start or e[1] >= suspect.end]
        assert set(untouched) <= set(spans)
