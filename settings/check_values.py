"""Problems with the values of flags, found before anything is loaded.

Only what the flags and the environment show is checked here; what needs a library, such as the
arguments of a schedule, is checked where the library is imported. Nothing heavy is imported.
"""

import dataclasses
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from settings.flag_table import SETTLED
from settings.json_flags import json_problems
from settings.launcher import launch_problems, sharding_library
from settings.optimizer_arguments import optim_args_problems, optimizer_flag_problems
from settings.optional_packages import package_problems
from settings.trackers import tracker_problems
from settings.value_types import text_of
from support.text import CUTOFF, did_you_mean

TASKS = ("ner", "pos", "chunk")
LARGEST_SEED = 2**32 - 1  # numpy's

AT_LEAST_ONE = (
    "max_train_samples",
    "max_eval_samples",
    "max_predict_samples",
    "max_seq_length",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "save_total_limit",
    "early_stopping_patience",
    "lora_rank",
    "torch_empty_cache_steps",
    "dataloader_prefetch_factor",
    "ddp_bucket_cap_mb",
    "ddp_timeout",
)
AT_LEAST_ZERO = (
    "context",
    "freeze_layers",
    "learning_rate",
    "weight_decay",
    "warmup_steps",
    "max_grad_norm",
    "adam_epsilon",
    "dataloader_num_workers",
    "eval_delay",
    "neftune_noise_alpha",
)
BELOW_ONE = ("label_smoothing_factor", "adam_beta1", "adam_beta2")
INTERVALS = ("logging_steps", "eval_steps", "save_steps")
PARTLY_TRAINED = ("freeze_layers", "lora")  # only a part of the weights is trained
CHOICES = {
    "ddp_backend": ("nccl", "gloo", "mpi", "ccl", "xccl", "hccl", "cncl", "mccl"),
    "dataloader_multiprocessing_context": ("fork", "spawn", "forkserver"),
    "log_level": ("debug", "info", "warning", "error", "critical", "passive"),
    "log_level_replica": ("debug", "info", "warning", "error", "critical", "passive"),
}
JSON_FLAGS = ("lr_scheduler_kwargs", "gradient_checkpointing_kwargs")
FSDP_OPTIONS = ("full_shard", "shard_grad_op", "hybrid_shard", "hybrid_shard_zero2", "no_shard")


def value_problems(flags: Any) -> list[str]:
    """Return a line for each problem that the flags show without further input.

    `flags`: a `SharedFlags`; those that only one script has are checked if it has them.
    """
    return [
        *_number_problems(flags),
        *_choice_problems(flags),
        *_contradictions(flags),
        *tracker_problems(flags),
        *json_problems(flags),
        *_settled_problems(flags),
        *launch_problems(flags),
        *package_problems(flags),
    ]


def _given(flags: Any, names: Iterable[str]) -> Iterable[tuple[str, Any]]:
    """Yield name and value of the flags that have one."""
    for name in names:
        value = getattr(flags, name, None)
        if value is not None:
            yield name, value


def _number_problems(flags: Any) -> list[str]:
    problems = []
    for name, value in _given(flags, AT_LEAST_ONE):
        if value < 1:
            problems.append(f"--{name} {value}: expected at least 1")
    for name, value in _given(flags, ("num_train_epochs",)):
        if not 0 < value < math.inf:
            problems.append(f"--{name} {value}: expected more than 0")
    for name, value in _given(flags, AT_LEAST_ZERO):
        if not 0 <= value < math.inf:
            problems.append(f"--{name} {value}: expected 0 or more")
    for name, value in _given(flags, BELOW_ONE):
        if not 0 <= value < 1:
            problems.append(f"--{name} {value}: expected at least 0 and below 1")
    for name, value in _given(flags, ("layerwise_lr_decay",)):
        if not 0 < value <= 1:
            problems.append(f"--{name} {value}: expected more than 0 and at most 1")
    for name, value in _given(flags, ("target_precision",)):
        if not 0 < value < 1:
            problems.append(f"--{name} {value}: expected more than 0 and less than 1")
    for name, value in _given(flags, ("seed", "data_seed")):
        if not 0 <= value <= LARGEST_SEED:
            problems.append(f"--{name} {value}: expected a number from 0 to {LARGEST_SEED}")
    for name, value in _given(flags, INTERVALS):
        if not 0 < value < math.inf or (value > 1 and value % 1):
            problems.append(
                f"--{name} {value}: expected a number of steps, or a share of all steps below 1"
            )
    if flags.max_steps < 1 and flags.max_steps != -1:
        problems.append(
            f"--max_steps {flags.max_steps}: expected at least 1, or -1 for --num_train_epochs"
        )
    return problems


def _choice_problems(flags: Any) -> list[str]:
    problems = []
    if flags.task_name.lower() not in TASKS:
        problems.append(f"--task_name {flags.task_name}: expected one of {', '.join(TASKS)}")
    if flags.output_dir == "":
        problems.append("--output_dir: got an empty name, expected the name of a folder")
    if flags.log_file is not None and (not flags.log_file or Path(flags.log_file).is_dir()):
        problems.append(f"--log_file {flags.log_file}: expected the name of a file")
    for name, value in _given(flags, CHOICES):
        choices = CHOICES[name]
        if str(value).lower() not in choices:
            problems.append(
                f"--{name} {value}: expected one of {', '.join(choices)}"
                f"{did_you_mean(str(value), choices, CUTOFF)}"
            )
    for name, value in _given(flags, JSON_FLAGS):
        if not isinstance(value, dict):
            problems.append(f'--{name} {value}: expected JSON such as {{"name": 1}}')
    problems += optim_args_problems(flags)
    for name, value in _given(flags, ("fsdp",)):
        known = (*FSDP_OPTIONS, "offload", "auto_wrap")
        problems += [
            f"--{name} {option}: expected true or some of {', '.join(known)}"
            for option in (value.split() if isinstance(value, str) else [])
            if option not in known
        ]
    return problems


def _contradictions(flags: Any) -> list[str]:
    problems = []
    if flags.bf16 and flags.fp16:
        problems.append("--bf16 and --fp16: expected one of them")
    for name in ("bf16", "fp16"):
        if getattr(flags, name) and flags.mixed_precision not in (None, name):
            problems.append(
                f"--{name} and --mixed_precision {flags.mixed_precision}: expected one of them"
            )
    tuned = list(_given(flags, ("target_precision", "tune_for")))
    if len(tuned) == 2:
        problems.append("--target_precision and --tune_for: got both, expected one of them")
    for name, value in tuned:
        if not flags.scores_epochs:
            problems.append(
                f"--{name} {value}: the validation split is not scored. Add --do_eval, or leave "
                f"out --{name}"
            )
        if flags.decode == "argmax":
            problems.append(
                f"--{name} {value}: got --decode argmax, expected legal sequences. Leave out one "
                "of them"
            )
    if flags.output and not flags.check:
        problems.append("--output: only with --check; the folder of a run is --output_dir")
    if flags.check and flags.dry_run:
        problems.append("--check and --dry_run: got both, expected one of them")
    if flags.sample and (flags.dataset_name or flags.train_file):
        problems.append("--sample names a corpus: leave out --dataset_name and --train_file")
    if flags.dataset_name and flags.train_file:
        problems.append("--dataset_name and --train_file: expected one corpus")
    if flags.train_sampling_strategy == "random" and flags.group_by_length:
        problems.append(
            "--train_sampling_strategy random and --group_by_length: expected one of them"
        )
    steps = flags.checkpointing_steps
    if steps not in (None, "epoch", "no") and not re.fullmatch("0*[1-9][0-9]*", steps):
        problems.append(f"--checkpointing_steps {steps}: expected 'epoch', 'no' or a number")
    elif steps is not None:
        problems += _save_contradictions(flags, steps)
    needing_scores = [
        f"--{name}"
        for name in ("load_best_model_at_end", "early_stopping_patience", "eval_on_start")
        if getattr(flags, name)
    ]
    if flags.save_strategy == "best":
        needing_scores.append("--save_strategy best")
    schedule = text_of(flags.lr_scheduler_type)
    if schedule in ("reduce_lr_on_plateau", "greedy"):
        needing_scores.append(f"--lr_scheduler_type {schedule}")
    trains = flags.do_train or not (flags.do_eval or flags.do_predict)
    if needing_scores and trains and (flags.eval_strategy == "no" or not flags.scores_epochs):
        advice = "Leave out --eval_strategy no" if flags.scores_epochs else "Add --do_eval"
        problems.append(
            f"{' and '.join(needing_scores)}: nothing is evaluated during training. {advice}"
        )
    problems += optimizer_flag_problems(flags)
    problems += _partial_training_problems(flags)
    for name, owner in (
        ("fsdp_config", "fsdp"),
        ("gradient_checkpointing_kwargs", "gradient_checkpointing"),
        ("lora_rank", "lora"),
    ):
        if getattr(flags, name, None) and not getattr(flags, owner, None):
            problems.append(f"--{name}: --{owner} is off. Add it, or leave out --{name}")
    if flags.dataloader_num_workers == 0:
        workers = (
            "dataloader_prefetch_factor",
            "dataloader_multiprocessing_context",
            "dataloader_persistent_workers",
        )
        problems += [
            f"--{name}: there are no workers. Add --dataloader_num_workers, or leave out --{name}"
            for name, value in _given(flags, workers)
            if value is not False
        ]
    return problems


def _save_contradictions(flags: Any, steps: str) -> list[str]:
    """Return a line for each flag that contradicts --checkpointing_steps.

    `steps`: the value of --checkpointing_steps. A flag at its default contradicts nothing.
    """
    named = {
        "save_strategy": (text_of(flags.save_strategy), "steps" if steps.isdigit() else steps),
        "save_steps": (flags.save_steps, float(steps) if steps.isdigit() else None),
    }
    defaults = {field.name: field.default for field in dataclasses.fields(flags)}
    return [
        f"--checkpointing_steps {steps} and --{name} {text_of(value)}: expected one of them"
        for name, (value, meant) in named.items()
        if meant is not None and value not in (meant, defaults[name])
    ]


def _partial_training_problems(flags: Any) -> list[str]:
    """Return a line for each contradiction of the flags that train a part of the weights."""
    problems = []
    recomputation = getattr(flags, "gradient_checkpointing_kwargs", None)
    reentrant = isinstance(recomputation, dict) and recomputation.get("use_reentrant")
    library = sharding_library(flags)
    for name in [name for name, value in _given(flags, PARTLY_TRAINED) if value is not False]:
        if library:
            problems.append(
                f"--{name}: not available with {library}, which splits the weights among "
                f"processes. Leave out --{name} or {library}"
            )
        if reentrant:
            problems.append(
                f"--gradient_checkpointing_kwargs use_reentrant: not available with --{name}: "
                "layers above weights that are not trained would get no gradient. Leave out "
                "use_reentrant"
            )
    return problems


def _settled_problems(flags: Any) -> list[str]:
    return [
        f"--{name} {text_of(getattr(flags, name))}: settled by the suite: {settled.reason}"
        for name, settled in SETTLED.items()
        if not _is_accepted(getattr(flags, name, settled.value), settled.value, settled.harmless)
    ]


def settled_notes(flags: Any) -> list[str]:
    """Return a line for each settled flag that has its other, harmless value."""
    return [
        f"--{name} {text_of(settled.harmless)} has no effect: {settled.reason}"
        for name, settled in SETTLED.items()
        if settled.harmless is not None and getattr(flags, name, settled.value) == settled.harmless
    ]


def _is_accepted(value: Any, settled: Any, harmless: Any) -> bool:
    if value in (None, settled):
        return True
    return harmless is not None and value == harmless
