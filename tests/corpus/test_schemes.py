"""Tag schemes: read by conlleval's rule, and converted to IOB2 without changing an entity."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import are_entity_tags
from corpus.schemes import SCHEMES, TagTable, guess_scheme, iob2_names, is_entity_tag, split_tag

TYPES = ["LOC", "PER", "SUB-X", "B-I-O"]  # hyphens belong to the type


# --- The inverse: tags written by the definitions of the schemes ----------------------------------


def write_entities(sentence, scheme: str) -> list[str]:
    """Return the tags, in a scheme, of a sentence given as [(type or None, length), ...].

    Definitions: Ramshaw & Marcus 1995 (IOB1), Ratnaparkhi 1998 (IOB2). The other schemes have
    letters for the first, an inner, the last and the only word.
    """
    letters = {"bioes": "BIES", "bilou": "BILU", "bmes": "BMES"}
    tags = []
    for (kind, length), before in zip(sentence, [(None, 0), *sentence], strict=False):
        if kind is None:
            tags += ["O"] * length
        elif scheme in letters:
            first, inner, last, only = letters[scheme]
            inside = [first, *[inner] * (length - 2), last] if length > 1 else [only]
            tags += [f"{letter}-{kind}" for letter in inside]
        else:
            begins = scheme == "iob2" or (scheme == "iob1" and before[0] == kind)
            tags += [f"{'B' if begins else 'I'}-{kind}"] + [f"I-{kind}"] * (length - 1)
    return tags


def to_iob2(sentences: list[list[str]]) -> list[list[str]]:
    """Convert sentences with the code that converts a corpus."""
    names = sorted(set(itertools.chain(*sentences)))
    table = TagTable(names)
    labels = iob2_names(table.types)
    tags = np.array([names.index(tag) for sentence in sentences for tag in sentence], int)
    converted = [labels[number] for number in table.to_iob2(tags, starts_of(sentences), labels)]
    ends = list(itertools.accumulate(map(len, sentences)))
    return [
        converted[end - len(sentence) : end] for sentence, end in zip(sentences, ends, strict=True)
    ]


def starts_of(sentences) -> np.ndarray:
    return np.array(
        [number == 0 for sentence in sentences for number in range(len(sentence))], bool
    )


parts = st.tuples(st.sampled_from([None, *TYPES]), st.integers(1, 4))
sentence_lists = st.lists(st.lists(parts, min_size=1, max_size=6), min_size=1, max_size=4)


@given(sentence_lists, st.sampled_from(["iob1", "iob2", "bioes", "bilou", "bmes"]))
def test_every_scheme_becomes_the_same_iob2(sentences, scheme):
    written = [write_entities(sentence, scheme) for sentence in sentences]
    assert to_iob2(written) == [write_entities(sentence, "iob2") for sentence in sentences]


@given(sentence_lists)
def test_io_loses_only_the_border_of_adjacent_entities(sentences):
    written = [write_entities(sentence, "io") for sentence in sentences]
    merged = [
        [
            (kind, sum(length for _, length in group))
            for kind, group in itertools.groupby(sentence, key=lambda part: part[0])
        ]
        for sentence in sentences
    ]
    assert to_iob2(written) == [write_entities(sentence, "iob2") for sentence in merged]


@given(sentence_lists)
def test_iob2_stays_as_it_is(sentences):
    written = [write_entities(sentence, "iob2") for sentence in sentences]
    assert to_iob2(written) == written


@given(sentence_lists, st.sampled_from(sorted(SCHEMES)))
def test_tags_are_legal_in_their_own_scheme(sentences, scheme):
    written = [write_entities(sentence, scheme) for sentence in sentences]
    assert not illegal(written, scheme).any()


def illegal(sentences, scheme: str) -> np.ndarray:
    names = sorted(set(itertools.chain(*sentences)))
    tags = np.array([names.index(tag) for sentence in sentences for tag in sentence], int)
    return TagTable(names).illegal(tags, starts_of(sentences), scheme)


# --- Examples by hand --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "iob2"),
    [
        ("I-X", "B-X"),
        ("O I-X I-X", "O B-X I-X"),
        ("B-X I-Y", "B-X B-Y"),
        ("I-X I-Y I-X", "B-X B-Y B-X"),
        ("I-X B-X", "B-X B-X"),
        ("B-X B-X I-X", "B-X B-X I-X"),
        ("S-X I-X", "B-X B-X"),  # a tag after the end of an entity begins another
        ("B-X E-X E-X", "B-X I-X B-X"),
        ("B-X E-X I-X", "B-X I-X B-X"),
        ("U-X L-X", "B-X B-X"),
        ("B-X S-X", "B-X B-X"),  # an entity of one word is never continued
        ("B-X U-X", "B-X B-X"),
        ("B-X L-Y", "B-X B-Y"),
        ("O E-X", "O B-X"),
        ("M-X M-X E-X", "B-X I-X I-X"),
        ("B-A-B I-A-B", "B-A-B I-A-B"),
        ("B-A I-A-B", "B-A B-A-B"),
        ("O O", "O O"),
    ],
)
def test_stray_tags_begin_entities_as_in_conlleval(tags, iob2):
    assert to_iob2([tags.split()]) == [iob2.split()]


def test_a_sentence_does_not_continue_the_one_before():
    assert to_iob2([["O", "I-X"], ["I-X"], ["I-X", "I-X"]]) == [
        ["O", "B-X"],
        ["B-X"],
        ["B-X", "I-X"],
    ]


@pytest.mark.parametrize(
    ("scheme", "tags", "where"),
    [
        ("iob2", "O I-X I-X B-X I-Y", [1, 4]),
        ("iob1", "I-X B-X O B-X I-Y B-X", [3, 5]),
        ("io", "I-X B-X", [1]),
        ("bioes", "B-X O", [0]),  # never closed
        ("bioes", "B-X I-X", [1]),
        ("bioes", "O E-X S-X", [1]),
        ("bioes", "B-X E-Y", [0, 1]),
        ("bioes", "S-X I-X E-X", [1]),
        ("bilou", "B-X L-X U-X", []),
        ("bilou", "B-X B-X L-X", [0]),
        ("bmes", "B-X M-X E-X S-X", []),
    ],
)
def test_tags_out_of_place(scheme, tags, where):
    assert np.flatnonzero(illegal([tags.split()], scheme)).tolist() == where


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        ("I-X I-X O", "io"),
        ("I-X B-X O I-X", "iob1"),
        ("B-X I-X O", "iob2"),
        ("B-X O I-X I-X", "iob2"),  # a stray tag in IOB2
        ("B-X", "iob2"),
        ("S-X O B-X E-X", "bioes"),
        ("B-X I-X E-X", "bioes"),
        ("U-X O B-X I-X L-X", "bilou"),
        ("B-X M-X E-X S-X", "bmes"),
        ("O O", "iob2"),
    ],
)
def test_the_scheme_is_detected(sentences, scheme):
    tags = sentences.split()
    used = {split_tag(tag)[0] for tag in tags} - {"O"}
    assert guess_scheme(used, bool(illegal([tags], "iob1").any())) == scheme


def test_label_names_are_complete_and_sorted_by_type():
    assert iob2_names({"PER", "LOC", "A-B"}) == [
        *("O", "B-A-B", "I-A-B", "B-LOC", "I-LOC", "B-PER", "I-PER")
    ]


@pytest.mark.parametrize(
    ("tag", "parts"),
    [("B-SUB-X", ("B", "SUB-X")), ("O", ("O", "")), ("U--", ("U", "-")), ("M-é", ("M", "é"))],
)
def test_a_tag_is_its_prefix_and_type(tag, parts):
    assert split_tag(tag) == parts


@given(st.text(alphabet="BIESLUMO-xé\n", max_size=5))
def test_entity_tags_are_the_same_everywhere_in_the_suite(tag):
    assert is_entity_tag(tag) == are_entity_tags([tag])
