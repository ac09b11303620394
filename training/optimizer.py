"""The optimizer and the schedule of its learning rate, the same in both scripts."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from torch import nn
from transformers import get_scheduler

from encoder.layers import weights_by_depth
from settings.run_settings import TrainingSettings
from support.errors import UserError

# Parameters without weight decay, by name: Trainer's rule.
NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def decaying_parameters(model: nn.Module) -> list[str]:
    """Return the names of the parameters with weight decay: all but biases and norms."""
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    return [
        name
        for name, _ in model.named_parameters()
        if not NO_DECAY.search(name.lower()) and name.rpartition(".")[0] not in norms
    ]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the trained parameters in two groups: with and without weight decay."""
    decaying = set(decaying_parameters(model))
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name in decaying].append(parameter)
    return [
        {"params": groups[True], "weight_decay": weight_decay},
        {"params": groups[False], "weight_decay": 0.0},
    ]


def scale_layer_rates(optimizer: torch.optim.Optimizer, model: nn.Module, decay: float) -> None:
    """Multiply the learning rate of each layer by `decay` once for each layer above it.

    The embeddings count as a layer; the head keeps its rate, which is that of the first group. Call
    this before the schedule is made. Source: Howard and Ruder, "Universal Language Model
    Fine-tuning for Text Classification", ACL 2018 (there: discriminative fine-tuning).
    """
    if decay == 1:
        return
    network: Any = extract_model_from_parallel(model, keep_torch_compile=False)
    depths = weights_by_depth(network, f"--layerwise_lr_decay {decay:g}")
    factors = {
        weight: decay ** (len(depths) - 1 - depth)
        for depth, weights in enumerate(depths)
        for weight in weights
    }
    groups = [
        group | {"params": weights, "lr": group["lr"] * factor}
        for factor in sorted({1.0, *factors.values()}, reverse=True)
        for group in optimizer.param_groups
        if (weights := [w for w in group["params"] if factors.get(w, 1.0) == factor])
    ]
    optimizer.param_groups[:] = groups


def make_optimizer(model: nn.Module, training: TrainingSettings) -> torch.optim.Optimizer:
    """Return the optimizer of the loop, as Trainer constructs it."""
    optimizer = _with_one_rate(model, training)
    scale_layer_rates(optimizer, model, training.layerwise_lr_decay)
    return optimizer


def _with_one_rate(model: nn.Module, training: TrainingSettings) -> torch.optim.Optimizer:
    optimizers: dict[str, Any] = {
        "adamw_torch_fused": torch.optim.AdamW,
        "adamw_torch": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
        "rmsprop": torch.optim.RMSprop,
        "adagrad": torch.optim.Adagrad,
    }
    options: dict[str, Any] = {"lr": training.learning_rate}
    if training.optim.startswith("adamw"):
        options |= {
            "betas": (training.adam_beta1, training.adam_beta2),
            "eps": training.adam_epsilon,
        }
    if training.optim.startswith("adamw_torch"):
        options["fused"] = training.optim == "adamw_torch_fused" or None
    with construction_errors_reported(f"--optim {training.optim}"):
        groups = parameter_groups(model, training.weight_decay)
        if training.optim == "adamw_bnb_8bit":
            return _8_bit_adamw(model, groups, options)
        return optimizers[training.optim](groups, **options)


def _8_bit_adamw(
    model: nn.Module, groups: list[dict[str, Any]], options: dict[str, Any]
) -> torch.optim.Optimizer:
    """Return AdamW of bitsandbytes; its state is in 32 bits for embeddings, as in Trainer."""
    from bitsandbytes.optim import AdamW, GlobalOptimManager

    optimizer: torch.optim.Optimizer = AdamW(groups, optim_bits=8, **options)
    manager = GlobalOptimManager.get_instance()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            manager.register_module_override(module, "weight", {"optim_bits": 32})
    return optimizer


def make_scheduler(
    optimizer: torch.optim.Optimizer,
    name: str,
    warmup_steps: int,
    total_steps: int,
    arguments: dict[str, Any] | None,
) -> Any:
    """Return the schedule of the learning rate; raise UserError for arguments it does not take."""
    place = f"--lr_scheduler_type {name}"
    if arguments:
        place += f", --lr_scheduler_kwargs {arguments}"
        if name in ("constant", "constant_with_warmup"):  # transformers would ignore them
            raise UserError(f"{place}: got arguments, expected none for this schedule.")
    with construction_errors_reported(place):
        return get_scheduler(
            name, optimizer, warmup_steps, total_steps, scheduler_specific_kwargs=arguments
        )


def stand_in() -> nn.Module:
    """Return a module with one parameter, to try an optimizer on; draws no random numbers."""
    return nn.ParameterList([nn.Parameter(torch.zeros(1, 1))])


def check_optimizer(training: TrainingSettings, warmup_steps: int, total_steps: int) -> None:
    """Raise UserError if the loop's optimizer or schedule cannot be constructed."""
    optimizer = _with_one_rate(stand_in(), training)
    name, arguments = training.lr_scheduler_type, training.lr_scheduler_kwargs
    make_scheduler(optimizer, name, warmup_steps, total_steps, arguments)


@contextmanager
def construction_errors_reported(place: str) -> Iterator[None]:
    """Report a library's failure to construct what a flag requests as a UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{place}: cannot be constructed: {reason}") from error
