"""Layouts of batches without padding: every sub-word has its place, and comes back to it."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from encoder.unpadded import PADDED_PAIRS, Layout, make_layout, round_up

descending = st.lists(st.integers(1, 600), min_size=1, max_size=40).map(
    lambda lengths: sorted(lengths, reverse=True)
)
limits = st.sampled_from([0.0, 500.0, PADDED_PAIRS, math.inf])  # of padded pairs in a block


def padding_of(layout: Layout) -> torch.Tensor:
    """Return which rows of the blocks are padding, by the masks of the blocks."""
    is_padding = torch.zeros(len(layout.to_blocks), dtype=torch.bool)
    for block in layout.blocks:
        if block.padding is not None:
            is_padding[block.rows] = ~block.padding.flatten()
    return is_padding


def test_layout_by_hand():
    layout = make_layout([4, 3, 1, 1], 7.0)
    assert layout.lengths.tolist() == [4, 3, 1, 1]
    assert layout.bounds.tolist() == [0, 4, 7, 8, 9]
    assert (layout.num_tokens, layout.longest) == (9, 4)
    assert [(b.windows, b.rows, b.length) for b in layout.blocks] == [
        (slice(0, 2), slice(0, 8), 4),
        (slice(2, 4), slice(8, 10), 1),
    ]
    long, short = layout.blocks
    assert long.padding.tolist() == [[[[True] * 4]], [[[True, True, True, False]]]]
    assert short.padding is None
    assert layout.to_blocks.tolist() == [0, 1, 2, 3, 4, 5, 6, 9, 7, 8]
    assert layout.from_blocks.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9, 0]


@given(descending, limits)
@example([1], 0.0)
@example([600] * 40, math.inf)
def test_every_subword_has_one_row_in_the_blocks(lengths, limit):
    layout = make_layout(lengths, limit)
    is_padding = padding_of(layout)
    own = layout.to_blocks[~is_padding]
    assert sorted(own.tolist()) == list(range(sum(lengths)))
    # Padding takes the values of a filler, whose gradient is zero.
    fillers = range(layout.num_tokens, len(layout.from_blocks))
    assert set(layout.to_blocks[is_padding].tolist()) <= set(fillers)


@given(descending, limits)
def test_from_blocks_inverts_to_blocks(lengths, limit):
    layout = make_layout(lengths, limit)
    row = torch.arange(len(layout.from_blocks))
    again = row[layout.to_blocks][layout.from_blocks]
    assert torch.equal(again[: layout.num_tokens], row[: layout.num_tokens])
    assert layout.from_blocks[layout.num_tokens :].eq(0).all()
    # The other way, which the gradient takes.
    rows = torch.arange(len(layout.to_blocks))
    own = ~padding_of(layout)
    assert torch.equal(rows[layout.from_blocks][layout.to_blocks][own], rows[own])


@given(descending, limits)
def test_blocks_hold_the_windows_in_order(lengths, limit):
    """A window occupies the first sub-words of its own part of its block."""
    layout = make_layout(lengths, limit)
    assert layout.lengths.tolist() == lengths
    assert (layout.num_tokens, layout.longest) == (sum(lengths), lengths[0])
    assert layout.bounds.dtype == torch.int32
    assert layout.bounds.tolist() == [0, *np.cumsum(lengths)]
    windows = [n for b in layout.blocks for n in range(len(lengths))[b.windows]]
    assert windows == list(range(len(lengths)))
    rows = [n for b in layout.blocks for n in range(len(layout.to_blocks))[b.rows]]
    assert rows == list(range(len(layout.to_blocks)))
    starts = np.cumsum([0, *lengths])
    for block in layout.blocks:
        parts = layout.to_blocks[block.rows].view(-1, block.length)
        numbers = range(len(lengths))[block.windows]
        assert len(parts) == len(numbers)
        for number, part in zip(numbers, parts.tolist(), strict=True):
            assert part[: lengths[number]] == list(range(starts[number], starts[number + 1]))


@given(descending, limits)
def test_blocks_are_as_long_as_their_padding_allows(lengths, limit):
    def padded_pairs(own):
        return sum(own[0] ** 2 - length**2 for length in own)

    layout = make_layout(lengths, limit)
    for block in layout.blocks:
        own = lengths[block.windows]
        assert block.length == own[0]
        assert padded_pairs(own) <= limit
        padded = len(set(own)) > 1
        assert (block.padding is not None) == padded
        if padded:
            assert block.padding.shape == (len(own), 1, 1, block.length)
            assert block.padding.sum((1, 2, 3)).tolist() == own
    # No block ends early.
    for block, following in itertools.pairwise(layout.blocks):
        assert padded_pairs([*lengths[block.windows], following.length]) > limit
    assert limit < math.inf or len(layout.blocks) == 1


@given(descending)
def test_a_row_ends_with_a_few_fillers(lengths):
    layout = make_layout(lengths)
    fillers = len(layout.from_blocks) - sum(lengths)
    assert 1 <= fillers <= 1 + sum(lengths) / 16


def test_rows_have_few_sizes():
    """At most 16 between a number and its double: a CPU compiles a kernel for each."""
    sizes = [round_up(number) for number in range(1, 4097)]
    assert all(size >= number for number, size in enumerate(sizes, 1))
    assert all(16 * (size - number) <= number for number, size in enumerate(sizes, 1))
    assert sizes == sorted(sizes)
    for start in (16, 64, 256, 1024, 2048):
        assert len({size for size in sizes if start < size <= 2 * start}) <= 16
    assert {round_up(size) for size in sizes} == set(sizes)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_layout_moves_to_a_device(device):
    layout = make_layout([5, 4, 2])
    moved = layout.to(device)
    assert type(moved) is Layout
    assert [(b.windows, b.rows, b.length) for b in moved.blocks] == [
        (b.windows, b.rows, b.length) for b in layout.blocks
    ]
    assert (moved.num_tokens, moved.longest) == (layout.num_tokens, layout.longest)
    tensors = [moved.lengths, moved.bounds, moved.to_blocks, moved.from_blocks]
    tensors += [block.padding for block in moved.blocks if block.padding is not None]
    assert len(tensors) == 5
    assert {tensor.device.type for tensor in tensors} == {device}
