"""Counts by document or sentence, and their resamples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.resampling import CHUNK, UnitCounter, bootstrap_weights, resampled_totals

rows = st.dictionaries(
    st.sampled_from(["LOC", "ORG", "PER"]), st.tuples(*[st.integers(0, 5)] * 3), max_size=3
)
sentences = st.lists(st.tuples(rows, st.sampled_from([None, "a", "b"])))


def counted(sentences) -> UnitCounter:
    counter = UnitCounter()
    for counts, document in sentences:
        counter.add(counts, document)
    return counter


def in_documents(number: int) -> list:
    """Return two sentences for each of some documents, not side by side."""
    return [({"PER": (1, 2, 3)}, f"d{n}") for n in [*range(number), *range(number)]]


def test_sentences_are_units_unless_there_are_twenty_documents():
    few, enough = counted(in_documents(19)).units(), counted(in_documents(20)).units()
    assert (few.unit, few.size) == ("sentence", 38)
    assert (enough.unit, enough.size) == ("document", 20)
    assert enough.dense(0, 1).tolist() == [[[2, 4, 6]]]
    stray = counted([*in_documents(30), ({"PER": (1, 1, 1)}, None)]).units()
    assert (stray.unit, stray.size) == ("sentence", 61)


def test_units_keep_their_counts_by_type():
    counts = counted(
        [({"PER": (1, 2, 1), "LOC": (0, 1, 0)}, None), ({}, None), ({"LOC": (1, 1, 2)}, None)]
    ).units()
    assert counts.types == ["LOC", "PER"]
    assert counts.size == 3
    assert counts.dense(0, 3).tolist() == [
        [[0, 1, 0], [1, 2, 1]],
        [[0, 0, 0], [0, 0, 0]],
        [[1, 1, 2], [0, 0, 0]],
    ]
    assert counts.dense(2, 3).tolist() == [[[1, 1, 2], [0, 0, 0]]]
    assert counts.totals().tolist() == [[1, 2, 2], [1, 2, 1]]


def test_nothing_has_no_types():
    for sentences in ([], [({}, None)]):
        counts = counted(sentences).units()
        assert (counts.size, counts.types) == (len(sentences), [])
        assert resampled_totals(counts).shape == (1000, 0, 3)


@given(sentences, sentences)
def test_merged_counters_are_those_of_all_sentences(first, second):
    merged = counted(first)
    merged.merge(counted(second))
    expected = counted([*first, *second]).units()
    counts = merged.units()
    assert (counts.unit, counts.size, counts.types) == (
        expected.unit,
        expected.size,
        expected.types,
    )
    np.testing.assert_array_equal(counts.cells, expected.cells)


def test_documents_of_two_counters_are_joined():
    merged = counted(in_documents(20))
    merged.merge(counted(in_documents(20)))
    counts = merged.units()
    assert counts.size == 20
    assert counts.dense(0, 20).tolist() == [[[4, 8, 12]]] * 20


@given(st.lists(rows, min_size=1), st.randoms())
def test_resamples_do_not_depend_on_the_order_of_sentences(sentences, random):
    shuffled = random.sample(sentences, len(sentences))
    first, second = (
        resampled_totals(counted([(row, None) for row in rows]).units(), resamples=20)
        for rows in (sentences, shuffled)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("repeated", [1, 50])
def test_resamples_vary_as_much_as_the_units_do(repeated):
    """The weights have mean 1 and variance 1, also if units with equal counts share one."""
    rng = np.random.default_rng(0)
    units = np.repeat(rng.integers(0, 4, (3 * CHUNK // repeated, 3)), repeated, axis=0)
    totals = resampled_totals(counted([({"PER": row}, None) for row in units]).units())[:, 0]
    deviation = np.sqrt((units**2).sum(0))
    np.testing.assert_allclose(totals.mean(0), units.sum(0), atol=4 * deviation.max() / 1000**0.5)
    np.testing.assert_allclose(totals.std(0), deviation, rtol=0.1)
    # Counts of one unit are resampled together.
    covariance = np.cov(totals.T)[0, 1]
    np.testing.assert_allclose(covariance, (units[:, 0] * units[:, 1]).sum(), rtol=0.2)


def test_weights_are_the_same_for_each_side():
    size = CHUNK + 3
    first, second = (list(bootstrap_weights(size, resamples=5)) for _ in range(2))
    assert [(start, stop) for start, stop, _ in first] == [(0, CHUNK), (CHUNK, size)]
    for (*_, left), (*_, right) in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)
    weights = np.hstack([weights for *_, weights in first])
    assert weights.shape == (5, size)
    assert len(np.unique(weights)) == weights.size
