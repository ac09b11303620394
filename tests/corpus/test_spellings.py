"""Spellings of entity tags: read if they fit all tags, otherwise left alone."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.spellings import (
    SPELLINGS,
    composed,
    entity_types,
    read_tags_as_types,
    spelling_of,
    type_of_column,
)

ENTITY_TAGS = ["B-PER", "I-PER", "B-LOC", "O"]


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        ("B-PER I-PER O", "B-PER I-PER O"),
        ("b-per i-per o", "B-per I-per O"),
        ("b-PER O", "B-PER O"),
        ("PER-B PER-I O", "B-PER I-PER O"),
        ("SUB-PER-B O", "B-SUB-PER O"),
        ("per-b per-i o", "B-per I-per O"),
        ("B_PER I_PER", "B-PER I-PER"),
        ("B\u2013PER I\u2013PER O", "B-PER I-PER O"),
        ("B\u2011PER O", "B-PER O"),
        ("S_PER B_LOC E_LOC O", "S-PER B-LOC E-LOC O"),
        ("B I O", "B-ENTITY I-ENTITY O"),
        ("b i o", "B-ENTITY I-ENTITY O"),
        ("B I E S O", "B-ENTITY I-ENTITY E-ENTITY S-ENTITY O"),
        ("I O", "I-ENTITY O"),
    ],
)
def test_tags_are_read_as_prefix_hyphen_type(tags, read):
    spelling = spelling_of(tags.split())
    assert spelling is not None
    assert " ".join(str(spelling.read(tag)) for tag in tags.split()) == read


@pytest.mark.parametrize(
    "tags",
    [
        "O",
        "NN VBZ O",
        "PER LOC O",
        "B-PER b-PER",  # one of them is misspelt
        "B-PER I_PER O",
        "B I O X",
        "B b O",
        "S M",  # codes without the beginning or the inside of an entity
        "B L M",  # prefixes of different schemes
        "N.S N.M",
        "B- I- O",
    ],
)
def test_other_tags_have_no_spelling(tags):
    assert spelling_of(tags.split()) is None


@given(
    st.sampled_from(SPELLINGS),
    st.lists(st.sampled_from(["PER", "SUB-X", "é", "a.b"]), min_size=1),
    st.sampled_from(["BI", "BIES", "BILU", "BMES"]),
)
def test_every_spelling_is_read_back(spelling, types, prefixes):
    def written(prefix: str, type_: str) -> str:
        prefix = prefix.lower() if spelling.lower else prefix
        parts = [prefix, spelling.separator, type_]
        return "".join(parts if spelling.prefix_first else reversed(parts))

    tags = {written(prefix, type_): f"{prefix}-{type_}" for type_ in types for prefix in prefixes}
    assert {tag: spelling.read(tag) for tag in tags} == tags


@pytest.mark.parametrize(
    ("cells", "types"),
    [
        ("O O", set()),
        ("O B-PER I-PER", {"PER"}),
        ("O O B-PER b-PER", {"PER"}),  # one misspelt tag
        ("B-PER NN NN NN", None),
        ("O b_per", {"per"}),
        ("O O O b_per", {"per"}),
        ("O O O B I", {"ENTITY"}),
        ("O O O X", set()),
        ("NN O", None),
        ("_ _", None),
    ],
)
def test_types_of_a_column(cells, types):
    assert entity_types(Counter(cells.split())) == types


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["O", "B-B-PER", "B-I-PER"], ["O", "B-PER", "I-PER"]),
        (["B-B-PER", "I-B-PER", "B-I-PER", "I-I-PER"], ["B-PER", "I-PER", "I-PER", "I-PER"]),
        (["B-O", "I-O", "B-B-X", "B-I-X"], ["O", "O", "B-X", "I-X"]),
        (["B-O", "I-O", "O", "B-XY"], ["O", "O", "O", "B-XY"]),
        (["B-S-X", "B-B-X", "B-I-X", "B-E-X"], ["S-X", "B-X", "I-X", "E-X"]),
    ],
)
def test_types_that_are_tags_are_read_as_tags(names, read):
    assert read_tags_as_types(names)[0] == read
    assert read_tags_as_types(names)[1] is not None


@pytest.mark.parametrize(
    "names",
    [
        ["O", "B-PER", "I-PER"],
        ["O", "B-E-mail", "I-E-mail", "B-PER"],
        ["O", "B-B-cell", "I-B-cell", "B-T-cell"],
        ["O", "B-B-X", "B-I-X", "B-PER"],
        ["B-O", "I-O"],
        ["O", "B-P", "B-L", "B-O", "I-O"],  # persons, locations, organisations
        ["NOUN", "O"],
    ],
)
def test_other_types_stay_as_they_are(names):
    assert read_tags_as_types(names) == (names, None)


def test_a_type_is_named_after_a_column_that_says_more_than_tags():
    names = ["disease", "ner_tags", "Label", None]
    assert [type_of_column(name, "ner") for name in names] == ["disease", *["ENTITY"] * 3]


def test_types_are_composed():
    assert composed("B-Perso\u0308n") == "B-Pers\u00f6n"
