"""The parameters as AdamW takes them."""

from typing import Any


def parameter_groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Return the trained parameters in two groups: matrices decay, biases and norms do not."""
    groups: dict[bool, list[Any]] = {True: [], False: []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            # DeepSpeed may have partitioned the parameter; `ds_shape` is its full shape.
            shape = getattr(parameter, "ds_shape", parameter.shape)
            groups[len(shape) > 1].append(parameter)
    return [
        {"params": groups[True], "weight_decay": weight_decay},
        {"params": groups[False], "weight_decay": 0.0},
    ]
