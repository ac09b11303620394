"""Mistakes that are new, gone or changed between two sides."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import entities
from corpus.problems import Place
from scoring.mistake_changes import MistakeChanges, agreed_entities, compare_mistakes
from scoring.mistakes import pair_entities

PLACE = Place("a.conll", 7, "42")


def changes(gold: str, a: str, b: str) -> tuple[list[tuple], int]:
    """Return kind, first and last word, kinds of A's and B's mistakes; and those of both."""
    found, same = compare_mistakes(*(entities(tags.split()) for tags in (gold, a, b)))
    rows = [
        (c.kind, c.start, c.end, [p.kind for p in c.before], [p.kind for p in c.after])
        for c in found
    ]
    return rows, same


@pytest.mark.parametrize(
    ("gold", "a", "b", "expected", "same"),
    [
        ("B-PER O", "B-PER O", "B-PER O", [], 0),
        ("B-PER O", "O O", "O O", [], 1),
        ("B-PER O", "B-PER O", "O O", [("new", 0, 1, [], ["missed"])], 0),
        ("B-PER O", "O O", "B-PER O", [("gone", 0, 1, ["missed"], [])], 0),
        ("B-PER O", "O O", "B-LOC O", [("changed", 0, 1, ["missed"], ["wrong type"])], 0),
        ("O O", "B-PER O", "O B-PER",
         [("gone", 0, 1, ["spurious"], []), ("new", 1, 2, [], ["spurious"])], 0),
        # B's wrong boundary reaches two words further.
        ("B-PER I-PER O O", "B-PER O O O", "B-PER I-PER I-PER I-PER",
         [("changed", 0, 4, ["wrong boundary"], ["wrong boundary"])], 0),
        # Three mistakes in a chain belong together.
        ("B-PER I-PER B-LOC I-LOC", "O O O O", "O B-LOC I-LOC O",
         [("changed", 0, 4, ["missed", "missed"], ["wrong boundary", "wrong boundary"])], 0),
        # A mistake of both sides beside a new one.
        ("B-PER O B-LOC", "O O B-LOC", "O O B-PER", [("new", 2, 3, [], ["wrong type"])], 1),
    ],
)  # fmt: skip
def test_changes_of_a_sentence(gold, a, b, expected, same):
    assert changes(gold, a, b) == (expected, same)


tag_lists = st.lists(
    st.tuples(*[st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])] * 3), min_size=1, max_size=8
)


@given(tag_lists)
def test_every_mistake_is_counted_once(rows):
    gold, a, b = (entities(tags) for tags in zip(*rows, strict=True))
    found, same = compare_mistakes(gold, a, b)
    for side, field in ((a, "before"), (b, "after")):
        mistakes = [pair for pair in pair_entities(gold, side) if pair.kind != "exact"]
        listed = [pair for change in found for pair in getattr(change, field)]
        assert len(mistakes) == len(listed) + same
        assert all(pair in mistakes for pair in listed)
    ends = [(change.start, change.end) for change in found]
    assert all(end <= start for (_, end), (start, _) in pairwise(ends))


@given(tag_lists)
def test_exchanging_the_sides_exchanges_new_and_gone(rows):
    gold, a, b = (entities(tags) for tags in zip(*rows, strict=True))
    other = {"new": "gone", "gone": "new", "changed": "changed"}
    forward, same = compare_mistakes(gold, a, b)
    backward, same_backward = compare_mistakes(gold, b, a)
    assert same == same_backward
    assert [(other[c.kind], c.after, c.before) for c in forward] == [
        (c.kind, c.before, c.after) for c in backward
    ]


def test_a_side_predicts_what_more_than_half_of_its_runs_predict():
    runs = [entities(tags.split()) for tags in ("B-X I-X O", "B-X I-X B-Y", "B-X O B-Y")]
    assert agreed_entities(runs) == [("X", 0, 2), ("Y", 2, 3)]
    assert agreed_entities(runs[1:]) == [("Y", 2, 3)]  # one of two is not more than half
    assert agreed_entities(runs[:1]) == runs[0]


@given(st.lists(st.lists(st.sampled_from(["O", "B-X", "I-X"]), min_size=6, max_size=6), min_size=1))
def test_agreed_entities_do_not_overlap(runs):
    agreed = agreed_entities([entities(tags) for tags in runs])
    assert all(end <= start for (_, _, end), (_, start, _) in pairwise(agreed))


def test_a_change_has_its_place_and_the_words_around_it():
    survey = MistakeChanges((1, 1), entity_tags=True)
    words = [f"w{number}" for number in range(60)]
    gold = ["O"] * 30 + ["B-PER", "I-PER"] + ["O"] * 28
    survey.add(["x"], ["O"], [["O"], ["O"]], Place("a.conll", 1))
    survey.add(words, gold, [gold, ["O"] * 60], PLACE)
    ((placed),) = survey.kept["new"]
    assert (placed.sentence, placed.place) == (2, PLACE)
    assert [word.text for word in placed.words] == words[10:52]
    assert placed.cut_before and placed.cut_after
    wrong = [tuple(word)[:4] for word in placed.words if word.wrong]
    assert wrong == [("w30", "B-PER", "B-PER", "O"), ("w31", "I-PER", "I-PER", "O")]
    assert survey.kept["gone"] == survey.kept["changed"] == []


def test_runs_that_do_not_agree_on_a_plain_tag_have_none():
    survey = MistakeChanges((1, 2), entity_tags=False)
    survey.add(["a", "b"], ["NN", "VB"], [["NN", "VB"], ["NN", "VB"], ["VB", "VB"]], PLACE)
    ((placed),) = survey.kept["new"]
    assert placed.words[0] == ("a", "NN", "NN", "", True)
    assert placed.words[1] == ("b", "VB", "VB", "VB", False)


def test_a_change_has_the_place_of_its_first_word():
    collected = MistakeChanges((1, 1), entity_tags=True)
    gold = ["B-PER", "O", "B-LOC", "I-LOC"]
    collected.add([*"abcd"], gold, [gold, ["B-PER", "O", "O", "O"]], Place("a", 7, line_step=1))
    (change,) = collected.kept["new"]
    assert change.place == Place("a", 9)
