"""Partial matching: by hand, and as the package nervaluate counts."""

import random

import pytest
from nervaluate.evaluator import Evaluator

from common import entities
from scoring.partial_matches import OUTCOMES, SCHEMES, credits_of, match_counts

NERVALUATE_NAMES = dict(zip(SCHEMES, ("strict", "exact", "partial", "ent_type"), strict=True))


def outcomes(gold, predicted) -> dict[str, dict[str, int]]:
    """Return the outcomes that occur, by scheme."""
    return {
        scheme: {name: count for name, count in counts.items() if count}
        for scheme, counts in match_counts(gold, predicted).items()
    }


@pytest.mark.parametrize(
    ("gold", "predicted", "strict", "exact", "partial", "type"),
    [
        # The scenarios of the task's definition: the two sides agree ...
        ([("PER", 0, 2)], [("PER", 0, 2)], "correct", "correct", "correct", "correct"),
        # ... one side has nothing ...
        ([], [("PER", 0, 2)], "spurious", "spurious", "spurious", "spurious"),
        ([("PER", 0, 2)], [], "missed", "missed", "missed", "missed"),
        # ... the type differs, the boundaries, or both.
        ([("PER", 0, 2)], [("LOC", 0, 2)], "incorrect", "correct", "correct", "incorrect"),
        ([("PER", 0, 2)], [("PER", 1, 2)], "incorrect", "incorrect", "partial", "correct"),
        ([("PER", 0, 2)], [("LOC", 1, 4)], "incorrect", "incorrect", "partial", "incorrect"),
    ],
)
def test_one_entity(gold, predicted, strict, exact, partial, type):
    expected = {"strict": strict, "exact": exact, "partial": partial, "type": type}
    assert outcomes(gold, predicted) == {name: {value: 1} for name, value in expected.items()}


def test_neighbours_do_not_overlap():
    for scheme in SCHEMES:
        assert outcomes([("PER", 0, 2)], [("PER", 2, 3)])[scheme] == {"spurious": 1, "missed": 1}


def test_a_gold_entity_is_taken_once():
    gold = [("ORG", 0, 4)]
    predicted = [("ORG", 0, 2), ("ORG", 2, 4)]
    assert outcomes(gold, predicted) == {
        "strict": {"incorrect": 1, "spurious": 1},
        "exact": {"incorrect": 1, "spurious": 1},
        "partial": {"partial": 1, "spurious": 1},
        "type": {"correct": 1, "spurious": 1},
    }


def test_of_several_gold_entities_of_the_type_the_nearest_is_taken():
    gold = [("ORG", 0, 1), ("ORG", 1, 4), ("ORG", 4, 5)]
    predicted = [("ORG", 0, 4), ("ORG", 4, 5)]
    assert outcomes(gold, predicted)["type"] == {"correct": 2, "missed": 1}
    # Taking the first one would be the same number, so look at what is left for the next.
    gold, predicted = [("ORG", 0, 1), ("ORG", 1, 9)], [("ORG", 0, 6), ("ORG", 6, 9)]
    assert outcomes(gold, predicted)["type"] == {"correct": 1, "spurious": 1, "missed": 1}


def test_a_partial_match_counts_half():
    counts = match_counts(
        [("PER", 0, 2), ("LOC", 4, 5), ("ORG", 7, 9)], [("PER", 0, 2), ("LOC", 4, 6)]
    )
    assert credits_of(counts["partial"]) == (3, 4, 6)
    assert credits_of(counts["strict"]) == (2, 4, 6)


def random_tags(rng: random.Random, words: int) -> list[str]:
    """Return entities of up to four words, side by side or apart."""
    tags: list[str] = []
    while len(tags) < words:
        name, length = rng.choice(["PER", "LOC", "ORG"]), rng.randint(1, 4)
        tags += ["O"] * rng.randint(0, 2) + [f"B-{name}"] + [f"I-{name}"] * (length - 1)
    return tags[:words]


def changed(rng: random.Random, tags: list[str]) -> list[str]:
    """Return the tags after some errors, as IOB2."""
    wrong = list(tags)
    for position in range(len(tags)):
        if rng.random() < 0.15:
            wrong[position] = rng.choice(["O", "B-PER", "B-LOC", "I-ORG", "I-PER"])
    return wrong


@pytest.mark.parametrize("alike", [True, False])
def test_counts_and_scores_are_those_of_nervaluate(alike):
    rng = random.Random(20)
    differences = 0
    for _ in range(500):
        gold = random_tags(rng, rng.randint(1, 20))
        predicted = changed(rng, gold) if alike else random_tags(rng, len(gold))
        counts = match_counts(entities(gold), entities(predicted))
        theirs = Evaluator([gold], [predicted], ["PER", "LOC", "ORG"], "list").evaluate()["overall"]
        for scheme, their_name in NERVALUATE_NAMES.items():
            ours, their = counts[scheme], theirs[their_name]
            assert ours == {name: getattr(their, name) for name in OUTCOMES}, (gold, predicted)
            correct, num_predicted, num_gold = credits_of(ours)
            assert correct == pytest.approx(their.precision * num_predicted)
            assert correct == pytest.approx(their.recall * num_gold)
        differences += counts["strict"] != counts["type"]
    assert differences > 100
