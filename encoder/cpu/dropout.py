"""Dropout for a CPU: torch draws a number of its own for each value there, one after another.

With a small encoder that is a tenth of an update or more, and with long sentences more yet, as
attention drops values by their square. Here each drawn 64-bit number serves four values.
"""

import torch
from torch import nn


def drop(values: torch.Tensor, probability: float) -> torch.Tensor:
    """(any shape) to the same; draws from torch's generator.

    `F.dropout` with its probability rounded to 1/65536, and the scale with it.
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
    """`nn.Dropout` by `drop`."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return drop(values, self.p) if self.training else values


def attention(module, query, key, value, attention_mask, dropout=0.0, scaling=None, **options):
    """transformers' `sdpa` attention, which with dropout goes step by step on a CPU in any case:
    here it does so with `drop`. What encoders don't have is left to `sdpa`.

    `query`, `key`, `value`: (batch, heads, tokens, width); `attention_mask`: True where a key is
    to be seen, or numbers to add. Returns (batch, tokens, heads, width), and no weights.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    mask, causal = attention_mask, options.get("is_causal")
    causal = mask is None and (getattr(module, "is_causal", True) if causal is None else causal)
    others = ("position_bias", "softcap", "cache")
    unusual = any(options.get(name) is not None for name in others)
    if not dropout or causal or unusual or query.shape[1] != key.shape[1]:
        return sdpa_attention_forward(
            module, query, key, value, mask, dropout=dropout, scaling=scaling, **options
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query * scaling) @ key.transpose(-1, -2)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        scores = scores + mask
    weights = drop(scores.softmax(-1, dtype=torch.float32), dropout)
    return (weights.to(value.dtype) @ value).transpose(1, 2).contiguous(), None


def use_cpu_dropout(model: nn.Module) -> None:
    """Let the model drop by `drop`, in its layers and in its attention where that is `sdpa`."""
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
