"""Suspected label errors: kinds, scores, corrections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import entities
from scoring.label_errors import Suspect, corrected, suspected_errors


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("B-X O", "B-X O", []),
        ("O O", "O B-X", [("missing entity", 0.6, None, ("X", 1, 2), 1, 2)]),
        ("B-X O", "O O", [("not an entity", 0.8, ("X", 0, 1), None, 0, 1)]),
        ("B-X O", "B-Y O", [("other type", 0.8, ("X", 0, 1), ("Y", 0, 1), 0, 1)]),
        ("B-X O", "B-X I-X", [("other boundary", 0.7, ("X", 0, 1), ("X", 0, 2), 0, 2)]),
    ],
)
def test_suspects_of_entity_tags(gold, predicted, expected):
    suspects = suspected_errors(gold.split(), predicted.split(), [0.8, 0.6], entity_tags=True)
    assert suspects == [(kind, pytest.approx(score), *rest) for kind, score, *rest in expected]


def test_suspects_of_plain_tags_are_words():
    suspects = suspected_errors(["NN", "VB"], ["NN", "NN"], [0.9, 0.7], entity_tags=False)
    assert suspects == [Suspect("other tag", 0.7, ("VB", 1, 2), ("NN", 1, 2), 1, 2)]


tags = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])


@given(st.lists(st.tuples(tags, tags), min_size=1, max_size=8))
def test_a_correction_holds_the_suggestion_and_overlaps_nothing(rows):
    gold, predicted = (list(side) for side in zip(*rows, strict=True))
    labelled = entities(gold)
    for suspect in suspected_errors(gold, predicted, [1.0] * len(gold), entity_tags=True):
        spans = corrected(labelled, suspect)
        assert (suspect.suggested in spans) == (suspect.suggested is not None)
        assert suspect.label not in spans
        assert set(spans) <= {*labelled, suspect.suggested}
        words = [word for _, start, end in spans for word in range(start, end)]
        assert words == sorted(set(words))
        untouched = [e for e in labelled if e[2] <= suspect.start or e[1] >= suspect.end]
        assert set(untouched) <= set(spans)
