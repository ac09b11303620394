"""Folds and growing shares: what stays together, sizes, order."""

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.folds import growing_shares, make_folds
from support.errors import UserError

SENTENCES = [([f"w{number}"], None) for number in range(40)]
corpora = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=2),
        st.sampled_from([None, "x", "y", "z"]),
    ),
    min_size=1,
    max_size=30,
)


def test_sentences_are_dealt_evenly_and_at_random():
    folds = make_folds(SENTENCES, 4, seed=1)
    assert folds.unit == "sentence"
    assert [folds.numbers.count(fold) for fold in range(4)] == [10] * 4
    assert folds == make_folds(SENTENCES, 4, seed=1) != make_folds(SENTENCES, 4, seed=2)


def test_documents_stay_whole():
    sizes = {"a": 9, "b": 5, "c": 4, "d": 1, "e": 1}
    sentences = [([f"{doc}{n}"], doc) for doc, size in sizes.items() for n in range(size)]
    folds = make_folds(sentences, 2, seed=1)
    of_document = defaultdict(set)
    for (_, document), fold in zip(sentences, folds.numbers, strict=True):
        of_document[document].add(fold)
    assert folds.unit == "document" and all(len(folds) == 1 for folds in of_document.values())
    assert sorted(folds.numbers.count(fold) for fold in range(2)) == [10, 10]


@given(corpora, st.integers(2, 4), st.integers(0, 5))
def test_what_belongs_together_is_in_one_fold(sentences, number, seed):
    try:
        folds = make_folds(sentences, number, seed)
    except UserError:
        documents = {document for _, document in sentences}
        distinct = documents if len(documents) > 1 else {tuple(words) for words, _ in sentences}
        assert len(distinct) < number
        return
    assert set(folds.numbers) == set(range(number))
    seen = {}
    for (words, document), fold in zip(sentences, folds.numbers, strict=True):
        unit = document if folds.unit == "document" else tuple(words)
        assert seen.setdefault(unit, fold) == fold


def test_too_few_units_are_one_message(snapshot):
    for sentences in ([(["a"], None)] * 9, [(["a"], "x"), (["b"], "y"), (["c"], "y")]):
        with pytest.raises(UserError) as error:
            make_folds(sentences, 3, seed=1)
        assert str(error.value) == snapshot


def test_shares_grow_and_hold_the_smaller_ones():
    shares = growing_shares(SENTENCES, [1 / 8, 1 / 2, 1], seed=1)
    assert [sum(share) for share in shares] == [5, 20, 40]
    for smaller, larger in pairwise(shares):
        assert all(large for small, large in zip(smaller, larger, strict=True) if small)
    assert shares != growing_shares(SENTENCES, [1 / 8, 1 / 2, 1], seed=2)


def test_shares_take_whole_documents_if_there_are_twenty():
    sentences = [([f"w{n}"], f"doc{n // 3}") for n in range(60)]
    (half,) = growing_shares(sentences, [0.5], seed=1)
    assert sum(half) == 30 and all(len(set(half[n : n + 3])) == 1 for n in range(0, 60, 3))
    (half,) = growing_shares(sentences[:57], [0.5], seed=1)  # 19 documents
    assert any(len(set(half[n : n + 3])) == 2 for n in range(0, 57, 3))


def test_identical_sentences_are_in_the_same_share():
    (half,) = growing_shares([(["a"], None), (["b"], None)] * 10, [0.5], seed=1)
    assert sum(half) == 10 and len(set(half[::2])) == len(set(half[1::2])) == 1
