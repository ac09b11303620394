"""Batches without padding: the windows of a batch lie one after another, in one row.

Every layer but attention treats each sub-word by itself, so it computes no padding. Attention
(`encoder.attention`) sees single windows, by the `Layout` of the batch. Whether a network can be
run this way is observed (`encoder.traits`).

torch is imported by the functions that need it, so that `infer.py` can start without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# On a CPU, a block takes the next window as long as no more pairs of sub-words than this are
# padding: computing them takes as long as another block. On a GPU, one block is best.
PADDED_PAIRS = 4096.0


def round_up(rows: int) -> int:
    """Round a number of rows up to one of a few sizes, by at most a sixteenth.

    A CPU compiles a kernel for each size, which takes longer than a matrix product in bf16.
    """
    step = 1 << max(0, rows.bit_length() - 5)
    return -(-rows // step) * step


# --- The windows of a batch -------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Windows of similar length that attention computes together, padded to the longest."""

    windows: slice  # of the batch
    rows: slice  # of the blocks' rows, end to end
    length: int  # of the longest window
    padding: torch.Tensor | None  # (windows, 1, 1, length), True at sub-words; None without padding


@dataclass(frozen=True)
class Layout:
    """The places of the windows of a batch: in its row, and where attention computes them.

    The windows are in order of length, the longest first. The row ends with at least one filler,
    so that there are few lengths of rows. Attention computes blocks of windows; the rows of all
    blocks lie one after another too.
    """

    lengths: torch.Tensor  # (windows,)
    bounds: torch.Tensor  # (windows + 1,), int32, where each window begins in the row, and the end
    blocks: tuple[Block, ...]
    to_blocks: torch.Tensor  # (rows of the blocks,), index in the row; of a filler for padding
    from_blocks: torch.Tensor  # (row,), index in the rows of the blocks; 0 for fillers
    num_tokens: int  # of the row, without fillers
    longest: int  # tokens of the longest window

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Layout:
        """Return the layout with its tensors on a device."""

        def move(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        blocks = (
            Block(b.windows, b.rows, b.length, None if b.padding is None else move(b.padding))
            for b in self.blocks
        )
        return Layout(
            move(self.lengths),
            move(self.bounds),
            tuple(blocks),
            move(self.to_blocks),
            move(self.from_blocks),
            self.num_tokens,
            self.longest,
        )


def make_layout(lengths: Sequence[int], padded_pairs: float = PADDED_PAIRS) -> Layout:
    """Return the layout of windows of these lengths, the longest first.

    `padded_pairs`: the most pairs of sub-words that may be padding in a block.
    """
    import torch

    num_tokens = sum(lengths)
    filler = num_tokens
    starts = np.cumsum([0, *lengths])
    from_blocks = np.zeros(round_up(num_tokens + 1), np.int64)
    to_blocks: list[np.ndarray] = []
    blocks: list[Block] = []
    first = row = 0
    while first < len(lengths):
        length = lengths[first]
        last, padded = first, 0
        while last < len(lengths):
            padded += length**2 - lengths[last] ** 2
            if padded > padded_pairs:
                break
            last += 1
        count = last - first
        own = np.asarray(lengths[first:last])[:, None]
        positions = np.arange(length)
        is_token = positions < own
        index = np.where(is_token, starts[first:last, None] + positions, filler)
        to_blocks.append(index.ravel())
        rows = np.arange(row, row + count * length).reshape(count, length)
        from_blocks[starts[first] : starts[last]] = rows[is_token]
        padding = None if is_token.all() else torch.from_numpy(is_token[:, None, None])
        blocks.append(Block(slice(first, last), slice(row, row + count * length), length, padding))
        first, row = last, row + count * length
    return Layout(
        torch.tensor(lengths),
        torch.from_numpy(starts.astype(np.int32)),
        tuple(blocks),
        torch.from_numpy(np.concatenate(to_blocks)),
        torch.from_numpy(from_blocks),
        num_tokens,
        lengths[0],
    )
