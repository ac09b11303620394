"""Surfaces of entities, seen in training or new."""

from scoring.seen_entities import surface, surfaces_of


def test_a_surface_has_a_type_and_words_letter_by_letter():
    known = surface("PER", ["Ada", "Lovelace"])
    assert known == surface("PER", ("Ada", "Lovelace"))
    others = [
        surface("LOC", ["Ada", "Lovelace"]),
        surface("PER", ["ada", "lovelace"]),
        surface("PER", ["Ada"]),
        surface("PER", ["Ada Lovelace"]),
        surface("PER", ["AdaLovelace"]),
        surface("", ["PER", "Ada", "Lovelace"]),
    ]
    assert len({known, *others}) == 7


def test_surfaces_of_sentences():
    sentences = [
        (["Ada", "Lovelace", "met", "Ada"], ["B-PER", "I-PER", "O", "B-PER"]),
        (["Ada", "\ud800"], ["B-PER", "I-LOC"]),  # half of a character that JSON may hold
        ([], []),
    ]
    expected = [("PER", ["Ada", "Lovelace"]), ("PER", ["Ada"]), ("LOC", ["\ud800"])]
    assert surfaces_of(sentences) == {surface(*item) for item in expected}


def test_surfaces_are_the_same_in_each_process():
    """Python's own hashes of strings differ."""
    assert surface("PER", ["Zoë"]) == 5062752640212699342
