"""The trial of a run: which steps represent it, and how their time becomes that of the run."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.trial import representative, sub_words

WINDOWS = SimpleNamespace(lengths=np.array([5, 9, 7]), lengths_alone=np.array([4, 9, 3]))


class Windows(SimpleNamespace):
    def __len__(self):
        return len(self.lengths)


def test_sub_words_of_windows_fillers_and_windows_without_context():
    windows = Windows(**vars(WINDOWS))
    # Windows 0 to 2, a filler, the fillers of windows 0 and 2, windows 0 and 2 without context.
    indices = np.array([[0, 1, 2, 3], [4, 6, 8, 10]])
    assert sub_words(windows, indices).tolist() == [[5, 9, 7, 0], [0, 0, 4, 3]]


@pytest.mark.parametrize(
    ("sizes", "count", "positions"),
    [
        ([30, 10, 20], 1, [2]),
        ([30, 10, 20], 3, [2, 0, 1]),
        ([30, 10, 20], 5, [2, 0, 1]),
        ([5], 5, [0]),
        ([*range(100)], 5, [50, 30, 70, 10, 90]),
    ],
)
def test_representative_items(sizes, count, positions):
    assert representative(np.array(sizes), count) == positions


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.integers(1, 9))
def test_representative_items_are_distinct_and_near_the_mean(sizes, count):
    chosen = representative(np.array(sizes), count)
    assert len(set(chosen)) == len(chosen) == min(count, len(sizes))
    # Each is in the middle of its share of the sorted sizes.
    off = abs(np.mean([sizes[i] for i in chosen]) - np.mean(sizes))
    assert off <= (max(sizes) - min(sizes)) / (2 * len(chosen)) + 1e-6
