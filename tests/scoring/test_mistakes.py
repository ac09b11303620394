"""Gold and predicted entities paired, and the survey of a model's mistakes."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import entities
from corpus.problems import Place
from scoring import mistakes
from scoring.mistakes import Pair, extent, pair_entities, survey_examples
from tests.helpers.scored_sentences import (
    ENTITY_EXAMPLES,
    PLAIN_EXAMPLES,
    PLAIN_TAGS,
    example,
)

# --- Pairing entities ---------------------------------------------------------------------------

A, B = "A", "B"


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        pytest.param([], [], [], id="nothing"),
        pytest.param([(A, 0, 2)], [(A, 0, 2)], [("exact", (A, 0, 2), (A, 0, 2))], id="exact"),
        pytest.param([(A, 3, 4)], [], [("missed", (A, 3, 4), None)], id="missed"),
        pytest.param([], [(A, 3, 4)], [("spurious", None, (A, 3, 4))], id="spurious"),
        pytest.param([(A, 1, 3)], [(B, 1, 3)], [("wrong type", (A, 1, 3), (B, 1, 3))], id="type"),
        pytest.param(
            [(A, 1, 3)], [(A, 1, 2)], [("wrong boundary", (A, 1, 3), (A, 1, 2))], id="shorter"
        ),
        pytest.param(
            [(A, 1, 3)], [(B, 2, 5)], [("wrong boundary", (A, 1, 3), (B, 2, 5))], id="both wrong"
        ),
        pytest.param(
            [(A, 0, 2)],
            [(A, 2, 3)],
            [("missed", (A, 0, 2), None), ("spurious", None, (A, 2, 3))],
            id="neighbours share no word",
        ),
        pytest.param(
            [(A, 0, 4)],
            [(A, 0, 1), (A, 1, 4)],
            [
                ("wrong boundary", (A, 0, 4), (A, 1, 4)),
                ("wrong boundary", (A, 0, 4), (A, 0, 1), "gold"),
            ],
            id="split in two: the part with more words is the partner",
        ),
        pytest.param(
            [(A, 0, 4)],
            [(A, 0, 1), (B, 1, 4)],
            [
                ("wrong boundary", (A, 0, 4), (A, 0, 1)),
                ("wrong boundary", (A, 0, 4), (B, 1, 4), "gold"),
            ],
            id="the right type comes before more words",
        ),
        pytest.param(
            [(A, 0, 2)],
            [(A, 0, 1), (A, 1, 2)],
            [
                ("wrong boundary", (A, 0, 2), (A, 0, 1)),
                ("wrong boundary", (A, 0, 2), (A, 1, 2), "gold"),
            ],
            id="the earlier of two equals",
        ),
        pytest.param(
            [(A, 0, 2), (A, 2, 4)],
            [(A, 0, 4)],
            [
                ("wrong boundary", (A, 0, 2), (A, 0, 4)),
                ("wrong boundary", (A, 2, 4), (A, 0, 4), "predicted"),
            ],
            id="two run together",
        ),
        pytest.param(
            [(A, 0, 2), (A, 2, 4)],
            [(A, 1, 2), (A, 3, 6)],
            [
                ("wrong boundary", (A, 0, 2), (A, 1, 2)),
                ("wrong boundary", (A, 2, 4), (A, 3, 6)),
            ],
            id="each with its own",
        ),
        pytest.param(
            [(A, 0, 2), (B, 5, 6)],
            [(B, 0, 2), (A, 2, 3)],
            [
                ("wrong type", (A, 0, 2), (B, 0, 2)),
                ("spurious", None, (A, 2, 3)),
                ("missed", (B, 5, 6), None),
            ],
            id="the same words under another type",
        ),
    ],
)
def test_pairs_by_hand(gold, predicted, expected):
    assert pair_entities(gold, predicted) == [Pair(*fields) for fields in expected]


TAGS = st.sampled_from(["O", "O", "B-A", "I-A", "B-B", "I-B"])
TWO_TAGGINGS = st.integers(0, 12).flatmap(
    lambda n: st.tuples(*[st.lists(TAGS, min_size=n, max_size=n)] * 2)
)


@given(TWO_TAGGINGS)
def test_pairs_use_each_entity_once_and_leave_no_overlap(taggings):
    gold, predicted = map(entities, taggings)
    pairs = pair_entities(gold, predicted)
    gold_once = [p.gold for p in pairs if p.gold and p.counted_elsewhere != "gold"]
    assert sorted(gold_once) == sorted(gold)
    predicted_once = [
        p.predicted for p in pairs if p.predicted and p.counted_elsewhere != "predicted"
    ]
    assert sorted(predicted_once) == sorted(predicted)
    for kind, entity, partner, counted_elsewhere in pairs:
        assert counted_elsewhere is None or kind == "wrong boundary"
        shared = entity and partner and len({*range(*entity[1:])} & {*range(*partner[1:])})
        same_words = entity and partner and entity[1:] == partner[1:]
        assert {
            "exact": entity == partner,
            "wrong type": same_words and entity[0] != partner[0],
            "wrong boundary": shared and not same_words,
            "missed": partner is None,
            "spurious": entity is None,
        }[kind]
    # A missed or spurious entity overlaps no entity of the other side.
    for kind, entity, partner, _ in pairs:
        if kind == "missed":
            assert {taggings[1][word] for word in range(*entity[1:])} == {"O"}
        if kind == "spurious":
            assert {taggings[0][word] for word in range(*partner[1:])} == {"O"}


@given(TWO_TAGGINGS)
def test_pairs_mirror_when_gold_and_predicted_change_places(taggings):
    gold, predicted = map(entities, taggings)
    mirror = {"missed": "spurious", "spurious": "missed", "gold": "predicted", "predicted": "gold"}
    mirrored = {
        (mirror.get(kind, kind), partner, entity, mirror.get(counted_elsewhere))
        for kind, entity, partner, counted_elsewhere in pair_entities(gold, predicted)
    }
    assert set(pair_entities(predicted, gold)) == mirrored


@settings(max_examples=60, deadline=None)
@given(st.lists(TWO_TAGGINGS, min_size=1, max_size=6))
def test_pairs_count_as_seqeval_counts(sentences):
    from seqeval.metrics import precision_score, recall_score

    gold, predicted = ([list(taggings[side]) for taggings in sentences] for side in (0, 1))
    examples = [
        {"tokens": gold_tags, "gold": gold_tags, "predicted": predicted_tags}
        for gold_tags, predicted_tags in sentences
    ]
    survey = survey_examples(examples, entity_tags=True)
    in_gold, in_predicted = survey.gold_kinds.total(), survey.predicted_kinds.total()
    assert in_gold == sum(len(entities(tags)) for tags in gold)
    assert in_predicted == sum(len(entities(tags)) for tags in predicted)
    kinds = Counter()
    for (kind, _), count in survey.gold_kinds.items():
        kinds[kind] += count
    exact = kinds["exact"]
    for kind in ("exact", "wrong type"):
        assert kinds[kind] == survey.pair_kinds[kind]
    assert recall_score(gold, predicted, zero_division=0) == (exact / in_gold if in_gold else 0)
    assert precision_score(gold, predicted, zero_division=0) == (
        exact / in_predicted if in_predicted else 0
    )


def test_a_long_document_is_paired_quickly():
    gold = [(A, 2 * n, 2 * n + 2) for n in range(50_000)]
    predicted = [(A, 2 * n + 1, 2 * n + 3) for n in range(50_000)]
    assert Counter(p.kind for p in pair_entities(gold, predicted)) == {"wrong boundary": 50_000}


# --- Surveying the scored sentences -------------------------------------------------------------


def test_survey_counts_by_hand():
    survey = survey_examples(iter(ENTITY_EXAMPLES), entity_tags=True)
    assert (survey.sentences, survey.words) == (3, 10)
    assert survey.gold_kinds == {
        ("exact", "PER"): 1,
        ("wrong type", "ORG"): 1,
        ("missed", "LOC"): 1,
        ("wrong boundary", "LOC"): 1,
    }
    assert survey.predicted_kinds == {
        ("exact", "PER"): 1,
        ("wrong type", "PER"): 1,
        ("spurious", "MISC"): 1,
        ("wrong boundary", "LOC"): 1,
    }
    kinds = ("exact", "missed", "spurious", "wrong type", "wrong boundary")
    assert survey.pair_kinds == dict.fromkeys(kinds, 1)
    assert survey.confusion == {
        ("PER", "PER"): 2,
        (None, None): 3,
        ("ORG", "PER"): 1,
        ("LOC", None): 2,
        (None, "MISC"): 1,
        ("LOC", "LOC"): 1,
    }
    (boundary,) = survey.mistakes["wrong boundary"]
    assert boundary.confidence == pytest.approx((0.5 + 0.9) / 2)
    assert boundary.tokens[boundary.start : boundary.end] == ["New", "York"]
    assert boundary.sentence == 3


def test_survey_of_plain_tags_counts_what_has_no_tag_as_wrong():
    survey = survey_examples(PLAIN_EXAMPLES, False, PLAIN_TAGS)
    assert survey.confusion["NN", None] == 1
    assert {group: len(kept) for group, kept in survey.mistakes.items()} == {
        ("NN", "VB"): 1,
        ("NN", None): 1,
        ("VB", "NN"): 1,
    }


def test_survey_keeps_the_most_confident_and_nothing_more():
    """A corpus is read as a stream, a sentence may be a whole document."""
    chance = random.Random(3)
    values = [chance.random() for _ in range(2000)]

    def corpus():
        for value in values:
            gold = "O " * 500 + "B-A " + "O " * 400
            yield example(gold, "O " * 901, [1.0] * 500 + [value] + [1.0] * 400)

    survey = survey_examples(corpus(), entity_tags=True)
    kept = survey.mistakes["missed"]
    best = sorted(values, reverse=True)[: mistakes.MISTAKES_PER_KIND]
    assert [mistake.confidence for mistake in kept] == best
    assert survey.gold_kinds["missed", "A"] == 2000
    assert all(len(mistake.tokens) == 2 * mistakes.CONTEXT_WORDS + 1 for mistake in kept)
    assert all(mistake.cut_before and mistake.cut_after for mistake in kept)
    assert all(mistake.gold[mistake.start] == "B-A" for mistake in kept)


def test_a_very_long_entity_is_shown_up_to_a_limit():
    (mistake,) = survey_examples([example("B-A " + "I-A " * 999, "O " * 1000)], True).mistakes[
        "missed"
    ]
    assert len(mistake.tokens) == mistakes.MISTAKE_WORDS + mistakes.CONTEXT_WORDS
    assert (mistake.start, mistake.end) == (0, len(mistake.tokens))
    assert mistake.cut_after and not mistake.cut_before


def test_survey_without_probabilities_keeps_the_first():
    many = (example("B-A", "O", tokens=f"word{n}") for n in range(1000))
    kept = survey_examples(many, entity_tags=True).mistakes["missed"]
    assert [mistake.tokens for mistake in kept] == [
        [f"word{n}"] for n in range(mistakes.MISTAKES_PER_KIND)
    ]


@pytest.mark.parametrize("key", ["gold", "predicted"])
def test_survey_refuses_a_sentence_with_a_tag_too_many(key, snapshot):
    broken = ENTITY_EXAMPLES[0] | {key: ["O"] * 4}
    with pytest.raises(ValueError, match=r"\b2\b") as error:
        survey_examples([ENTITY_EXAMPLES[1], broken], entity_tags=True)
    assert str(error.value) == snapshot


@given(st.lists(TWO_TAGGINGS, max_size=5))
def test_every_word_is_in_the_confusion_matrix(sentences):
    examples = [
        {"tokens": gold_tags, "gold": gold_tags, "predicted": predicted_tags}
        for gold_tags, predicted_tags in sentences
    ]
    survey = survey_examples(examples, entity_tags=True)
    names, cells = mistakes.confusion_cells(survey)
    assert sum(map(sum, cells)) == sum(len(gold_tags) for gold_tags, _ in sentences)
    assert len(cells) == len(names) and all(len(row) == len(names) for row in cells)


def test_rare_types_share_a_row_of_the_matrix(monkeypatch):
    monkeypatch.setattr(mistakes, "MATRIX_TYPES", 2)
    confusion = Counter(
        {("a", "a"): 9, ("b", "b"): 8, ("c", "d"): 2, ("c", None): 1, ("d", "a"): 1}
    )
    survey = mistakes.Survey(entity_tags=False, confusion=confusion)
    names, cells = mistakes.confusion_cells(survey)
    assert names == ["a", "b", "2 rarer ones", None]
    assert cells == [[9, 0, 0, 0], [0, 8, 0, 0], [1, 0, 2, 1], [0, 0, 0, 0]]


def test_the_confidence_of_a_mistake_is_the_score_of_its_predicted_entity():
    facts = {"probability": [0.9, 0.7, 0.5, 0.3], "score": [0.0, 0.25, 0.25, 0.0]}
    found = {
        kind: survey_examples([example(*tags) | facts], True).mistakes[kind][0].confidence
        for kind, tags in {
            "wrong boundary": ("B-A I-A I-A O", "O B-A I-A O"),
            "missed": ("B-A I-A O O", "O O O O"),  # no entity is predicted: the mean of O
        }.items()
    }
    assert found == {"wrong boundary": 0.25, "missed": pytest.approx(0.8)}


def test_types_are_ranked_by_gold_entities_and_pairs_of_two_types_are_counted():
    longest = example("B-A I-A I-A O B-B", "B-B I-B I-B B-C B-B", tokens="v w x y z")
    overlap = example("B-B I-B", "O B-A", tokens="y z")
    survey = survey_examples([longest, overlap], entity_tags=True)
    assert survey.type_pairs == {("A", "B"): 1}
    assert survey.both_wrong == 1  # the second pair, with another boundary
    assert survey.gold_counts == {"B": 2, "A": 1}
    assert survey.ranked([None, "C", "A", "B"]) == ["B", "A", "C", None]
    # By words, A would come first: all tables have one order.
    assert mistakes.confusion_cells(survey)[0] == ["B", "A", "C", None]


def test_a_mistake_has_the_place_of_its_first_word():
    place = Place("a.jsonl", 7, "42", lines=tuple(range(70, 90)))
    sentences = [ENTITY_EXAMPLES[0], ENTITY_EXAMPLES[1] | {"place": place}, ENTITY_EXAMPLES[2]]
    survey = survey_examples(sentences, entity_tags=True)
    places = {kind: [m.place for m in mistakes] for kind, mistakes in survey.mistakes.items()}
    first_word = extent(survey.mistakes["missed"][0].pair)[0]
    assert first_word > 0 and places["spurious"] == [None]
    assert places["missed"] == [Place("a.jsonl", 70 + first_word, "42")]
