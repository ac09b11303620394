"""Arguments of optimizers: those in --optim_args, and those with a flag of their own."""

import re
from typing import Any

from settings.value_types import text_of

# Optimizers that have none of AdamW's arguments, by the beginning of their names.
WITHOUT_ADAM = (
    "sgd",
    "rmsprop",
    "adagrad",
    "adafactor",
    "galore",
    "lomo",
    "adalomo",
    "grokadamw",
    "schedule_free_sgd",
)
# Optimizers that take one learning rate for all weights, by the beginning of their names: LOMO
# takes its steps in the backward pass. The others were not tried with several rates.
WITH_ONE_RATE = ("lomo", "adalomo", "galore", "apollo", "stable_adamw")
# The arguments in --optim_args that optimizers take, by the beginning of their names.
OPTIM_ARGS = {
    "sgd": ("momentum", "dampening", "nesterov"),
    "adagrad": ("lr_decay", "eps"),
    "rmsprop": ("momentum", "alpha", "eps", "centered"),
    "ademamix": ("beta1", "beta2", "beta3", "alpha", "eps", "t_alpha", "t_beta3"),
    "paged_ademamix": ("beta1", "beta2", "beta3", "alpha", "eps", "t_alpha", "t_beta3"),
    "adamw_anyprecision": (
        "use_kahan_summation",
        "momentum_dtype",
        "variance_dtype",
        "compensation_buffer_dtype",
    ),
    "galore": ("rank", "update_proj_gap", "scale", "proj_type"),
    "apollo": ("rank", "proj", "scale_type", "update_proj_gap", "scale", "proj_type"),
    "grokadamw": (
        "alpha_init",
        "lamb",
        "gamma",
        "grokking_signal_decay_rate",
        "gradient_clipping",
    ),
    "adamw_torch_4bit": ("block_size", "bf16_stochastic_round"),
    "adamw_torch_8bit": ("block_size", "bf16_stochastic_round"),
    "schedule_free": ("weight_lr_power", "r"),
    "stable_adamw": ("max_lr", "kahan_sum", "decouple_lr"),
}
TAKES_ANY = "rmsprop_bnb"  # passes all of them on
ADAM_DEFAULTS = {"adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8}


def optim_args_problems(flags: Any) -> list[str]:
    """Return a line for each argument in --optim_args that the optimizer does not take."""
    value, optim = getattr(flags, "optim_args", None), text_of(flags.optim)
    if value is None:
        return []
    parts = value.replace(" ", "").split(",")
    if not all(re.fullmatch(r"[^=]+=[^=]+", part) for part in parts):
        return [f"--optim_args {value}: expected key=value, separated by commas"]
    if optim.startswith(TAKES_ANY):
        return []
    taken = next((names for start, names in OPTIM_ARGS.items() if optim.startswith(start)), ())
    expected = f"one of {', '.join(taken)}" if taken else "none for this optimizer"
    given = [part.partition("=")[0] for part in parts]
    return [
        f"--optim_args {name}: --optim {optim} does not take it: expected {expected}"
        for name in given
        if name not in taken
    ]


def optimizer_flag_problems(flags: Any) -> list[str]:
    """Return a line for each flag that the optimizer does not take."""
    optim = text_of(flags.optim)
    problems = [
        f"--{name} {getattr(flags, name)}: --optim {optim} does not take it"
        for name, default in ADAM_DEFAULTS.items()
        if optim.startswith(WITHOUT_ADAM) and getattr(flags, name) != default
    ]
    targets = getattr(flags, "optim_target_modules", None)
    if targets is not None and not optim.startswith(("galore", "apollo")):
        problems.append(
            f"--optim_target_modules: --optim {optim} does not take it. Use a GaLore or APOLLO "
            "optimizer"
        )
    decay = getattr(flags, "layerwise_lr_decay", None)
    if decay not in (None, 1.0) and optim.startswith(WITH_ONE_RATE):
        problems.append(f"--layerwise_lr_decay {decay}: --optim {optim} does not take it")
    return problems
