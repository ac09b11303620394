"""Dropout for a CPU: torch draws a number of its own for each value there, one after another.

With a small encoder that is a tenth of an update or more. Here each drawn 64-bit number serves
four values.
"""

import torch
from torch import nn


class CpuDropout(nn.Dropout):
    """`nn.Dropout` with its probability rounded to 1/65536, and the scale with it."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(any shape) to the same; draws from torch's generator."""
        dropped = round(self.p * 2**16)  # of the 2**16 values of a 16-bit number
        if not self.training or dropped == 0:
            return values
        if dropped == 2**16:
            return values * 0
        drawn = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        drawn = drawn.view(torch.int16)[: values.numel()].view(values.shape)
        factors = torch.empty_like(values, memory_format=torch.contiguous_format)
        torch.ge(drawn, dropped - 2**15, out=factors)
        return values * factors.mul_(2**16 / (2**16 - dropped))


def use_cpu_dropout(model: nn.Module) -> None:
    """Put `CpuDropout` where the model has `nn.Dropout`; other kinds stay as they are."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, CpuDropout(child.p))
