"""Dropout that is fast on a CPU.

torch draws a random number for each value there, one after another. That takes a tenth of a step
or more with a small encoder, and a larger share with long sentences, because attention drops
values in proportion to the square of their length. Here each drawn 64-bit number serves four
values.
"""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


def drop(values: torch.Tensor, probability: float) -> torch.Tensor:
    """Return `values`, of any shape, with dropout.

    Computes `F.dropout` with the probability, and the scale with it, rounded to 1/65536. Draws
    from torch's generator.
    """
    dropped = round(probability * 2**16)  # of the 2**16 values of a 16-bit number
    if dropped == 0:
        return values
    if dropped == 2**16:
        return values * 0
    drawn = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    drawn = drawn.view(torch.int16)[: values.numel()].view(values.shape)
    factors = torch.empty_like(values, memory_format=torch.contiguous_format)
    torch.ge(drawn, dropped - 2**15, out=factors)
    return values * factors.mul_(2**16 / (2**16 - dropped))


class CpuDropout(nn.Dropout):
    """An `nn.Dropout` that uses `drop`."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return `values` with dropout in training, unchanged otherwise."""
        return drop(values, self.p) if self.training else values


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention that transformers' `sdpa` computes, with `drop` for the dropout.

    With dropout, `sdpa` has no fused kernel on a CPU either, so nothing is lost. `query`, `key`,
    `value`: (batch, heads, tokens, width). `attention_mask`: True where a key is visible, or
    numbers to add. Returns (batch, tokens, heads, width), and None for the weights. Calls that
    encoders do not make (causal, grouped heads, position bias) go to `sdpa`.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    mask, causal = attention_mask, options.get("is_causal")
    causal = mask is None and (getattr(module, "is_causal", True) if causal is None else causal)
    unusual = any(options.get(name) is not None for name in ("position_bias", "softcap", "cache"))
    if not dropout or causal or unusual or query.shape[1] != key.shape[1]:
        return sdpa_attention_forward(
            module, query, key, value, mask, dropout=dropout, scaling=scaling, **options
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query * scaling) @ key.transpose(-1, -2)
    sees_nothing = None  # (batch, 1 or heads, tokens, 1), where a token sees no key
    if mask is not None:
        visible = mask if mask.dtype == torch.bool else mask != -torch.inf
        sees_key = visible.any(-1, keepdim=True)
        if not sees_key.all():  # softmax would give NaN; `sdpa` gives 0
            sees_nothing = ~sees_key
            mask = mask.masked_fill(sees_nothing, True if mask.dtype == torch.bool else 0.0)
        if mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, -torch.inf)
        else:
            scores = scores + mask
    weights = drop(scores.softmax(-1, dtype=torch.float32), dropout)
    mixed = weights.to(value.dtype) @ value
    if sees_nothing is not None:
        mixed = mixed.masked_fill(sees_nothing, 0.0)
    return mixed.transpose(1, 2).contiguous(), None


def use_cpu_dropout(model: PreTrainedModel) -> None:
    """Make the model use `drop` in its layers and, where that is `sdpa`, in its attention.

    Registers `attention` with transformers under the name `cpu_dropout`, for the whole process.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, CpuDropout(child.p))
    if model.config._attn_implementation == "sdpa" and model._can_set_attn_implementation():
        AttentionInterface.register("cpu_dropout", attention)
        AttentionMaskInterface.register("cpu_dropout", sdpa_mask)
        model.set_attn_implementation("cpu_dropout")
