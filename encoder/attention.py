"""Attention for batches without padding (`encoder.unpadded`).

transformers lets a function replace the attention of every architecture that calls its attention
interface. This one takes the row of a batch apart into blocks of windows, computes the attention
that the network used before, and puts the row together again. It knows the windows from the keyword
argument `windows` of the model's call, which transformers hands down to every layer.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import bidirectional_mask_function, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from encoder.unpadded import Layout

PREFIX = "unpadded_"  # of the names that are registered


class TakeRows(torch.autograd.Function):
    """Rows of a matrix by index, with a gradient that takes rows by another index.

    torch's own gradient adds row by row, in case an index occurs twice. This is several times
    faster.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, index: torch.Tensor, back: torch.Tensor, num_tokens: int
    ) -> torch.Tensor:
        """Return `rows[index]`; `back` and `num_tokens` are for the gradient.

        The gradient of the first `num_tokens` rows is that of the rows `back` of the result; that
        of all other rows is zero.
        """
        ctx.save_for_backward(back)
        ctx.num_tokens = num_tokens
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        """Return the gradient of `rows`."""
        (back,) = ctx.saved_tensors
        taken = gradient.index_select(0, back)
        taken[ctx.num_tokens :] = 0
        return taken, None, None, None


# Not compiled by torch.compile: the blocks of a batch differ from those of the next, so every batch
# would be compiled anew. Everything between two calls is compiled once.
@torch.compiler.disable
def attend(
    inner: Callable[..., tuple[torch.Tensor, Any]],
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    windows: Layout | None = None,
    **options: Any,
) -> tuple[torch.Tensor, Any]:
    """Return the attention of each window, computed by `inner`, an attention of transformers.

    `query`, `key`, `value`: (1, heads, tokens, width), all windows in one row. `attention_mask`:
    see `mask`. Returns (1, tokens, heads, width), and None for the weights. Without `windows`,
    the batch is padded, and `inner` computes it as it is.
    """
    if windows is None:
        return inner(module, query, key, value, attention_mask, **options)
    if options.get("position_bias") is not None:
        raise NotImplementedError("a position bias, which belongs to padded batches")
    if attention_mask is None and has_kernel(query, key, value, options.get("dropout")):
        return _attend_on_gpu(query, key, value, windows, options.get("scaling")), None
    options["is_causal"] = False  # a mask says so
    sizes = [block.rows.stop - block.rows.start for block in windows.blocks]

    def in_blocks(values: torch.Tensor) -> list[torch.Tensor]:
        """Return (windows, heads, length, width) of each block."""
        _, heads, tokens, width = values.shape
        flat = values.transpose(1, 2).reshape(tokens, heads * width)
        rows: torch.Tensor = TakeRows.apply(
            flat, windows.to_blocks, windows.from_blocks, windows.num_tokens
        )
        return [
            part.view(-1, block.length, heads, width).transpose(1, 2)
            for part, block in zip(rows.split(sizes), windows.blocks, strict=True)
        ]

    mixed = []
    parts = zip(windows.blocks, *map(in_blocks, (query, key, value)), strict=True)
    for block, *operands in parts:
        visible = block.padding
        if attention_mask is not None:
            visible = attention_mask[block.windows, :, : block.length, : block.length]
        result, _ = inner(module, *operands, visible, **options)
        mixed.append(result.reshape(-1, *result.shape[2:]))
    rows = torch.cat(mixed)
    # The gradient of padding is that of a filler: zero.
    taken: torch.Tensor = TakeRows.apply(
        rows.flatten(1), windows.from_blocks, windows.to_blocks, len(rows)
    )
    return taken.view(1, -1, *rows.shape[1:]), None


def has_kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, dropout: float | None
) -> bool:
    """Return whether torch has a kernel for windows of different lengths, which drops nothing."""
    if query.device.type != "cuda" or dropout or torch.version.hip:
        return False
    width = query.shape[-1]
    fits = width <= 256 and width % 8 == 0 and width == key.shape[-1] == value.shape[-1]
    half = query.dtype in (torch.float16, torch.bfloat16)
    return fits and half and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _attend_on_gpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    windows: Layout,
    scaling: float | None,
) -> torch.Tensor:
    """Return the attention of each window, in which all sub-words see each other.

    Arguments and result are those of `attend`.
    """
    from torch.nn.attention.varlen import varlen_attn

    def tokens_first(values: torch.Tensor) -> torch.Tensor:
        return values[0, :, : windows.num_tokens].transpose(0, 1)

    mixed: Any = varlen_attn(
        query=tokens_first(query),
        key=tokens_first(key),
        value=tokens_first(value),
        cu_seq_q=windows.bounds,
        cu_seq_k=windows.bounds,
        max_q=windows.longest,
        max_k=windows.longest,
        scale=scaling,
        enable_gqa=key.shape[1] != query.shape[1],
    )
    fillers = query.shape[2] - windows.num_tokens
    return torch.nn.functional.pad(mixed, (0, 0, 0, 0, 0, fillers))[None]


def mask(
    batch_size: int,
    q_length: int,
    attention_mask: torch.Tensor | None = None,
    mask_function: Any = bidirectional_mask_function,
    **options: Any,
) -> torch.Tensor | None:
    """Return which sub-words see each other, (windows, 1, longest, longest).

    The arguments are those of transformers' `sdpa_mask`, but `attention_mask` is that of the
    windows as rows. None, if all sub-words of a window see each other. A padded batch gets the mask
    of `sdpa`.
    """
    if attention_mask is None or attention_mask.shape == (batch_size, q_length):
        return sdpa_mask(
            batch_size=batch_size,
            q_length=q_length,
            attention_mask=attention_mask,
            mask_function=mask_function,
            **options,
        )
    if mask_function is bidirectional_mask_function:
        return None
    num_windows, longest = attention_mask.shape
    options |= {"kv_length": longest, "allow_is_causal_skip": False}
    options |= {"allow_is_bidirectional_skip": False}
    return sdpa_mask(
        batch_size=num_windows,
        q_length=longest,
        attention_mask=attention_mask,
        mask_function=mask_function,
        **options,
    )


def let_run_unpadded(network: PreTrainedModel) -> bool:
    """Make the network's attention accept batches without padding; return whether that worked.

    Padded batches are computed as before. Registers `attend` and `mask` with transformers for the
    whole process, under a name that begins with `PREFIX`.
    """
    name = network.config._attn_implementation
    inner = ALL_ATTENTION_FUNCTIONS.get(name)
    if inner is None or not network._can_set_attn_implementation():
        return False
    AttentionInterface.register(PREFIX + name, partial(attend, inner))
    AttentionMaskInterface.register(PREFIX + name, mask)
    network.set_attn_implementation(PREFIX + name)
    return True
