"""Clipping of gradients for a CPU: torch takes the norm of each tensor there in one thread, and
multiplies by one what need not be clipped, a twelfth of an update altogether."""

import torch


def clip_gradients(accelerator, parameters, max_norm: float) -> torch.Tensor:
    """`accelerator.clip_grad_norm_`: scale all gradients down to `max_norm` together, if their
    norm is larger. Returns the norm that they had, (); None where DeepSpeed keeps it."""
    from accelerate.utils import DistributedType

    whole = accelerator.distributed_type in (DistributedType.NO, DistributedType.MULTI_CPU)
    if accelerator.device.type != "cpu" or not whole:
        return accelerator.clip_grad_norm_(parameters, max_norm)
    parameters = [parameter for parameter in parameters if parameter.grad is not None]
    # Of a matrix the norms of its rows, which threads share.
    rows = [torch.linalg.vector_norm(p.grad, dim=-1) for p in parameters]
    norm = torch.linalg.vector_norm(torch.cat([norms.flatten() for norms in rows]))
    if not norm <= max_norm:  # nor is NaN
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm
