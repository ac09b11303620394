"""Tests of tagging/entities.py: tags to entities."""

from tagging.entities import TaggedText, entities_of


def test_the_score_is_the_mean_over_the_words():
    words = [("a", 0, 1), ("b", 2, 3)]
    tagged = TaggedText("a b", words, ["B-X", "I-X"], [0.1, 0.2], [0.5, 1.0])
    assert entities_of(tagged) == [
        {"entity_group": "X", "score": 0.75, "word": "a b", "start": 0, "end": 3}
    ]


def test_tags_of_any_scheme_give_the_same_entities():
    words = [(str(i), 2 * i, 2 * i + 1) for i in range(6)]
    for tags in (
        ["B-X", "I-X", "O", "B-Y", "B-X", "I-X"],
        ["B-X", "E-X", "O", "S-Y", "B-X", "E-X"],
        ["B-X", "L-X", "O", "U-Y", "B-X", "L-X"],
    ):
        entities = entities_of(TaggedText("0 1 2 3 4 5", words, tags, [1.0] * 6, [1.0] * 6))
        spans = [(entity["entity_group"], entity["start"], entity["end"]) for entity in entities]
        assert spans == [("X", 0, 3), ("Y", 6, 7), ("X", 8, 11)]
