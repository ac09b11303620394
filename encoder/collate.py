"""Windows to batches: joined in one row without padding (`JoinWindows`), or padded (`PadBatch`).

torch is imported by the functions that need it, so that `infer.py` can start without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from common import IGNORED
from encoder.batches import Window
from encoder.unpadded import PADDED_PAIRS, make_layout

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

    from encoder.traits import Traits

SHORTEST = 8  # tokens of a padded batch; Funnel computes no fewer than 5


def make_collator(
    tokenizer: PreTrainedTokenizerFast,
    traits: Traits,
    device: torch.device,
    padded_length: int | None = None,
) -> JoinWindows | PadBatch:
    """Return the collator for a network on a device.

    `padded_length`: see `PadBatch`; it is for traits that were observed without `try_unpadded`.
    """
    if traits.unpadded:
        padded_pairs = PADDED_PAIRS if device.type == "cpu" else math.inf
        return JoinWindows(tokenizer, traits.first_position, padded_pairs)
    return PadBatch(
        tokenizer, multiple_of=8, length=padded_length, padding_leaks=traits.padding_leaks
    )


def fill_values(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """Return the value of padding and fillers in each column of a batch."""
    return {
        "input_ids": tokenizer.pad_token_id or 0,
        "token_type_ids": tokenizer.pad_token_type_id,
        "labels": IGNORED,
        "word_index": IGNORED,
    }


class JoinWindows:
    """Collator: windows one after another, as tensors of (1, tokens) by name.

    `position_ids` begin again in each window, and `windows` is their `Layout`. `attention_mask` is
    that of the windows as rows, (windows, longest), from which models derive which sub-words of a
    window see each other. The windows are put in order of length.
    """

    padding_leaks = False

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        first_position: int,
        padded_pairs: float = PADDED_PAIRS,
    ) -> None:
        """`first_position`: the model's number of a window's first position.

        `padded_pairs`: see `make_layout`.
        """
        self.first_position, self.padded_pairs = first_position, padded_pairs
        self.fill = fill_values(tokenizer)

    def __call__(self, windows: Sequence[Window]) -> dict[str, Any]:
        """Return int64 tensors (1, tokens) by name, and the `Layout` under `windows`."""
        import torch

        windows = sorted(windows, key=lambda window: -len(window["input_ids"]))
        lengths = [len(window["input_ids"]) for window in windows]
        layout = make_layout(lengths, self.padded_pairs)
        fillers = len(layout.from_blocks) - layout.num_tokens
        rows = {
            name: [value for window in windows for value in window[name]]
            + [self.fill[name]] * fillers
            for name in windows[0].keys() & self.fill.keys()
        }
        starts = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
        positions = np.full(len(layout.from_blocks), self.first_position)
        positions[: layout.num_tokens] += np.arange(layout.num_tokens) - starts
        batch: dict[str, Any] = {name: torch.tensor([row]) for name, row in rows.items()}
        return batch | {
            "attention_mask": torch.arange(lengths[0]) < layout.lengths[:, None],
            "position_ids": torch.from_numpy(positions)[None],
            "windows": layout,
        }


class PadBatch:
    """Collator: pads windows of different lengths on the right, into tensors of (batch, longest).

    The tokenizer's side is ignored: padding on the left moves the words to other positions, and
    causal attention never sees what is on the right.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        multiple_of: int = 1,
        length: int | None = None,
        padding_leaks: bool = False,
    ) -> None:
        """Pad with the tokenizer's ids.

        `multiple_of` rounds the length up, so that batches have few shapes: a CPU compiles
        kernels for each, and kernels of a GPU prefer multiples of 8. `length` pads every batch to
        this many tokens. `padding_leaks` (see `encoder.traits`): no padding where all windows of a
        batch have one length, as in evaluation.
        """
        self.multiple_of, self.length = multiple_of, length
        self.padding_leaks = padding_leaks
        self.fill = fill_values(tokenizer)

    def __call__(self, windows: Sequence[Window]) -> dict[str, torch.Tensor]:
        """Return int64 tensors (batch, longest) by name, `attention_mask` among them."""
        import torch

        lengths = [len(window["input_ids"]) for window in windows]
        longest = self.length or -(-max(lengths) // self.multiple_of) * self.multiple_of
        if self.padding_leaks and len(set(lengths)) == 1:
            longest = max(lengths[0], SHORTEST)
        batch = {"attention_mask": np.zeros((len(windows), longest), dtype=np.int64)}
        for name in windows[0].keys() & self.fill.keys():
            batch[name] = np.full((len(windows), longest), self.fill[name], dtype=np.int64)
        for row, length in enumerate(lengths):
            for name, values in batch.items():
                values[row, :length] = 1 if name == "attention_mask" else windows[row][name]
        return {name: torch.from_numpy(values) for name, values in batch.items()}
