"""Gradient clipping that is fast on a CPU.

torch takes the norm of each tensor in one thread there, and multiplies gradients that need no
clipping by one: together a twelfth of a step.
"""

from collections.abc import Iterable

import torch
from accelerate import Accelerator
from torch import nn

from encoder.cpu import enabled


def clip_gradients(
    accelerator: Accelerator,
    parameters: Iterable[nn.Parameter],
    max_norm: float,
    *,
    cpu_clipping: bool = True,
) -> torch.Tensor | None:
    """Scale all gradients down together if their norm exceeds `max_norm`.

    Does the same as `accelerator.clip_grad_norm_`, which is used on a GPU, for sharded gradients,
    and where the speed-up is off: by `cpu_clipping` or by `encoder.cpu.enabled`. Returns the norm
    before clipping, a scalar; None under DeepSpeed, which clips by itself.
    """
    from accelerate.utils import DistributedType

    whole = accelerator.distributed_type in (DistributedType.NO, DistributedType.MULTI_CPU)
    on_cpu = accelerator.device.type == "cpu"
    if not (whole and on_cpu and cpu_clipping and enabled("clipping")):
        return accelerator.clip_grad_norm_(parameters, max_norm)
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    # The norm of each row of a matrix: threads share the rows.
    row_norms = [torch.linalg.vector_norm(p.grad, dim=-1) for p in with_gradient]
    norm = torch.linalg.vector_norm(torch.cat([norms.flatten() for norms in row_norms]))
    if not norm <= max_norm:  # true for NaN as well
        torch.nn.utils.clip_grads_with_norm_(with_gradient, max_norm, norm)
    return norm
