"""The optimizer and the schedule of its learning rate, the same in both scripts."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import get_scheduler

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


def make_optimizer(model: nn.Module, training: TrainingSettings) -> torch.optim.Optimizer:
    """Return the optimizer of the loop, as Trainer constructs it."""
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
    optimizer = make_optimizer(stand_in(), training)
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
