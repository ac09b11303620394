"""Problems with the values of flags, found before anything is loaded.

Only what the flags and the environment show is checked here; what needs a library, such as the
arguments of an optimizer, is checked where the library is imported. Nothing heavy is imported.
"""

import json
import math
import os
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from settings.flag_table import (
    HONOURED_ACCELERATOR_KEYS,
    LOOP,
    SETTLED,
    SETTLED_ACCELERATOR_KEYS,
    TRACKERS,
    TRAINER,
)
from support.processes import is_launched, launcher_requests
from support.text import CUTOFF, did_you_mean, quote

TASKS = ("ner", "pos", "chunk")
LARGEST_SEED = 2**32 - 1  # numpy's

AT_LEAST_ONE = (
    *("max_train_samples", "max_eval_samples", "max_predict_samples", "max_seq_length"),
    *("per_device_train_batch_size", "per_device_eval_batch_size"),
    *("gradient_accumulation_steps", "save_total_limit", "early_stopping_patience"),
    *("torch_empty_cache_steps", "dataloader_prefetch_factor", "ddp_bucket_cap_mb", "ddp_timeout"),
)
AT_LEAST_ZERO = (
    *("learning_rate", "weight_decay", "warmup_steps", "max_grad_norm", "adam_epsilon"),
    *("dataloader_num_workers", "eval_delay", "neftune_noise_alpha"),
)
BELOW_ONE = ("label_smoothing_factor", "adam_beta1", "adam_beta2")
INTERVALS = ("logging_steps", "eval_steps", "save_steps")
CHOICES = {
    "ddp_backend": ("nccl", "gloo", "mpi", "ccl", "xccl", "hccl", "cncl", "mccl"),
    "dataloader_multiprocessing_context": ("fork", "spawn", "forkserver"),
    "log_level": ("debug", "info", "warning", "error", "critical", "passive"),
    "log_level_replica": ("debug", "info", "warning", "error", "critical", "passive"),
}
JSON_FLAGS = ("lr_scheduler_kwargs", "gradient_checkpointing_kwargs")
FILE_FLAGS = ("accelerator_config", "fsdp_config", "deepspeed")  # or JSON
FSDP_OPTIONS = ("full_shard", "shard_grad_op", "hybrid_shard", "hybrid_shard_zero2", "no_shard")
NOT_IN_ALL = ("flyte",)  # it works only inside a Flyte task
FSDP_KEYS = (
    *("version", "reshard_after_forward", "cpu_offload", "activation_checkpointing"),
    *("cpu_ram_efficient_loading", "state_dict_type", "auto_wrap_policy", "min_num_params"),
    *("transformer_layer_cls_to_wrap", "forward_prefetch", "backward_prefetch"),
    *("use_orig_params", "sync_module_states", "limit_all_gathers"),
)
RECOMPUTATION_KEYS = (
    *("use_reentrant", "preserve_rng_state", "determinism_check", "debug", "early_stop"),
    *("every_n_layers", "offload"),
)
# Optimizers that have none of AdamW's arguments, by the beginning of their names.
WITHOUT_ADAM = (
    *("sgd", "rmsprop", "adagrad", "adafactor", "galore", "lomo", "adalomo", "grokadamw"),
    "schedule_free_sgd",
)
# The arguments in --optim_args that optimizers take, by the beginning of their names.
OPTIM_ARGS = {
    "sgd": ("momentum", "dampening", "nesterov"),
    "adagrad": ("lr_decay", "eps"),
    "rmsprop": ("momentum", "alpha", "eps", "centered"),
    "ademamix": ("beta1", "beta2", "beta3", "alpha", "eps", "t_alpha", "t_beta3"),
    "paged_ademamix": ("beta1", "beta2", "beta3", "alpha", "eps", "t_alpha", "t_beta3"),
    "adamw_anyprecision": (
        *("use_kahan_summation", "momentum_dtype", "variance_dtype"),
        "compensation_buffer_dtype",
    ),
    "galore": ("rank", "update_proj_gap", "scale", "proj_type"),
    "apollo": ("rank", "proj", "scale_type", "update_proj_gap", "scale", "proj_type"),
    "grokadamw": (
        *("alpha_init", "lamb", "gamma", "grokking_signal_decay_rate", "gradient_clipping"),
    ),
    "adamw_torch_4bit": ("block_size", "bf16_stochastic_round"),
    "adamw_torch_8bit": ("block_size", "bf16_stochastic_round"),
    "schedule_free": ("weight_lr_power", "r"),
    "stable_adamw": ("max_lr", "kahan_sum", "decouple_lr"),
}
TAKES_ANY = "rmsprop_bnb"  # passes all of them on
ADAM_DEFAULTS = {"adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8}


def value_problems(flags: Any) -> list[str]:
    """Return a line for each problem that the flags show without further input.

    `flags`: a `SharedFlags`; those that only one script has are checked if it has them.
    """
    return [
        *_number_problems(flags),
        *_word_problems(flags),
        *_contradictions(flags),
        *_tracker_problems(flags),
        *_file_problems(flags),
        *_settled_problems(flags),
        *_launch_problems(flags),
    ]


def _given(flags: Any, names: Iterable[str]) -> Iterable[tuple[str, Any]]:
    """Yield name and value of the flags that have one."""
    for name in names:
        value = getattr(flags, name, None)
        if value is not None:
            yield name, value


def text_of(value: Any) -> str:
    """Return a flag's value, which may be one of Trainer's enumerations, as text."""
    return str(getattr(value, "value", value))


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


def _word_problems(flags: Any) -> list[str]:
    problems = []
    if flags.task_name.lower() not in TASKS:
        problems.append(f"--task_name {flags.task_name}: expected one of {', '.join(TASKS)}")
    if flags.output_dir == "":
        problems.append("--output_dir: got an empty name, expected the name of a folder")
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
    for name, value in _given(flags, ("optim_args",)):
        problems += _optim_args_problems(f"--{name}", value, text_of(flags.optim))
    for name, value in _given(flags, ("fsdp",)):
        known = (*FSDP_OPTIONS, "offload", "auto_wrap")
        problems += [
            f"--{name} {word}: expected true or some of {', '.join(known)}"
            for word in (value.split() if isinstance(value, str) else [])
            if word not in known
        ]
    return problems


def _optim_args_problems(place: str, value: str, optim: str) -> list[str]:
    parts = value.replace(" ", "").split(",")
    if not all(re.fullmatch(r"[^=]+=[^=]+", part) for part in parts):
        return [f"{place} {value}: expected key=value, separated by commas"]
    if optim.startswith(TAKES_ANY):
        return []
    taken = next((names for start, names in OPTIM_ARGS.items() if optim.startswith(start)), ())
    expected = f"one of {', '.join(taken)}" if taken else "none for this optimizer"
    given = [part.partition("=")[0] for part in parts]
    return [
        f"{place} {name}: --optim {optim} does not take it: expected {expected}"
        for name in given
        if name not in taken
    ]


def _contradictions(flags: Any) -> list[str]:
    problems = []
    if flags.bf16 and flags.fp16:
        problems.append("--bf16 and --fp16: expected one of them")
    for name in ("bf16", "fp16"):
        if getattr(flags, name) and flags.mixed_precision not in (None, name):
            problems.append(
                f"--{name} and --mixed_precision {flags.mixed_precision}: expected one of them"
            )
    if flags.sample and (flags.dataset_name or flags.train_file):
        problems.append("--sample names a corpus: leave out --dataset_name and --train_file")
    if flags.dataset_name and flags.train_file:
        problems.append("--dataset_name and --train_file: expected one corpus")
    if flags.train_sampling_strategy == "group_by_length" and not flags.group_by_length:
        problems.append(
            "--train_sampling_strategy group_by_length and --no_group_by_length: expected one of "
            "them"
        )
    steps = flags.checkpointing_steps
    if steps not in (None, "epoch", "no") and not re.fullmatch("0*[1-9][0-9]*", steps):
        problems.append(f"--checkpointing_steps {steps}: expected 'epoch', 'no' or a number")
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
    optim = text_of(flags.optim)
    for name, default in ADAM_DEFAULTS.items():
        if optim.startswith(WITHOUT_ADAM) and getattr(flags, name) != default:
            problems.append(f"--{name} {getattr(flags, name)}: --optim {optim} does not take it")
    for name, _ in _given(flags, ("optim_target_modules",)):
        if not optim.startswith(("galore", "apollo")):
            problems.append(
                f"--{name}: --optim {optim} does not take it. Use a GaLore or APOLLO optimizer"
            )
    for name, owner in (
        ("fsdp_config", "fsdp"),
        ("gradient_checkpointing_kwargs", "gradient_checkpointing"),
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


# --- Trackers --------------------------------------------------------------------------------


def requested_trackers(flags: Any) -> list[str]:
    """Return the trackers to report to, with "all" replaced by the installed ones."""
    words = [name for item in flags.report_to or [] for name in item.split(",")]
    names = [name.strip().lower() for name in words if name.strip()]
    if "all" in names or (flags.with_tracking and not names):
        return installed_trackers(flags.script)
    return [name for name in dict.fromkeys(names) if name != "none"]


def installed_trackers(script: str | None) -> list[str]:
    """Return the installed trackers of a script; None: those that both scripts have."""
    names = (name for name in _trackers_of(script) if name not in NOT_IN_ALL)
    return [name for name in names if _is_ready(name)]


def _trackers_of(script: str | None) -> list[str]:
    scripts = {script} if script else {LOOP, TRAINER}
    return [name for name, tracker in TRACKERS.items() if scripts <= set(tracker.scripts)]


def _is_ready(name: str) -> bool:
    if name == "kubeflow":
        return "KUBEFLOW_TRAINER_SERVER_URL" in os.environ
    return any(map(_is_installed, TRACKERS[name].modules))


def _is_installed(module: str) -> bool:
    return find_spec(module) is not None


def _tracker_problems(flags: Any) -> list[str]:
    problems = []
    known = _trackers_of(flags.script)
    expected = f"expected some of {', '.join(known)}, all or none"
    for name in requested_trackers(flags):
        if name not in TRACKERS:
            guess = did_you_mean(name, known, CUTOFF)
            problems.append(f"--report_to {name}: {expected}{guess}")
        elif name not in known:
            others = " and ".join(TRACKERS[name].scripts)
            problems.append(f"--report_to {name}: only {others} has it; {expected}")
        elif name == "kubeflow" and not _is_ready(name):
            problems.append(f"--report_to {name}: only a Kubeflow TrainJob can use it")
        elif not _is_ready(name):
            problems.append(
                f"--report_to {name}: not installed. Run `pip install {TRACKERS[name].package}`, "
                "or leave it out"
            )
    return problems


# --- Files, settled flags, launchers ---------------------------------------------------------


def read_json(value: Any) -> Any:
    """Return a flag's value that is JSON or the name of a JSON file.

    Raises OSError or ValueError if the file cannot be read.
    """
    if not isinstance(value, str):
        return value
    return json.loads(Path(value).expanduser().read_text(encoding="utf-8"))


def _file_problems(flags: Any) -> list[str]:
    problems = []
    launched = os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    files = [(f"--{name}", value) for name, value in _given(flags, FILE_FLAGS)]
    if launched.lower() not in ("", "none") and _uses_deepspeed(flags):
        files.append(("the launcher's --deepspeed_config_file", launched))
    for place, value in files:
        try:
            content = read_json(value)
        except OSError as error:
            problems.append(f"{place} {value}: {error.strerror}. Name a JSON file")
        except ValueError as error:
            problems.append(f"{place} {value}: not a JSON file: {error}")
        else:
            if not isinstance(content, dict):
                problems.append(f"{place} {value}: expected a JSON object, got {quote(content)}")
            elif place == "--accelerator_config":
                problems += _accelerator_problems(content)
            elif place == "--fsdp_config":
                problems += _key_problems(place, content, FSDP_KEYS, prefix="fsdp_")
    for name, value in _given(flags, ("gradient_checkpointing_kwargs",)):
        problems += _key_problems(f"--{name}", value, RECOMPUTATION_KEYS)
    return problems


def _key_problems(
    place: str, content: Any, known: tuple[str, ...], prefix: str = ""
) -> Iterable[str]:
    """Return a line for each unknown key; a key may begin with `prefix`."""
    return [
        f"{place} {key}: expected some of {', '.join(known)}{did_you_mean(key, known, CUTOFF)}"
        for key in content
        if key.removeprefix(prefix) not in known
    ]


def _accelerator_problems(config: dict[str, Any]) -> list[str]:
    known = (*HONOURED_ACCELERATOR_KEYS, *SETTLED_ACCELERATOR_KEYS)
    problems = []
    for key, value in config.items():
        place = f"--accelerator_config {key}"
        if key not in known:
            problems.append(f"{place}: expected some of {', '.join(known)}")
        elif key in SETTLED_ACCELERATOR_KEYS:
            settled = SETTLED_ACCELERATOR_KEYS[key]
            if value not in settled.value:
                problems.append(f"{place} {value}: settled by the suite: {settled.reason}")
        elif key == "gradient_accumulation_kwargs":
            if not isinstance(value, dict | None):
                problems.append(f"{place} {value}: expected a JSON object")
                continue
            others = [name for name in value or {} if name != "sync_each_batch"]
            problems += [
                f"{place} {name}: settled by the suite: it plans the steps of a run. Use "
                "--gradient_accumulation_steps"
                for name in others
            ]
        elif not isinstance(value, bool):
            problems.append(f"{place} {value}: expected true or false")
    return problems


def _settled_problems(flags: Any) -> list[str]:
    return [
        f"--{name} {quote_value(getattr(flags, name))}: settled by the suite: {settled.reason}"
        for name, settled in SETTLED.items()
        if not _is_accepted(getattr(flags, name, settled.value), settled.value, settled.harmless)
    ]


def settled_notes(flags: Any) -> list[str]:
    """Return a line for each settled flag that has its other, harmless value."""
    return [
        f"--{name} {quote_value(settled.harmless)} has no effect: {settled.reason}"
        for name, settled in SETTLED.items()
        if settled.harmless is not None and getattr(flags, name, settled.value) == settled.harmless
    ]


def quote_value(value: Any) -> str:
    """Return a flag's value as it is written on a command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_accepted(value: Any, settled: Any, harmless: Any) -> bool:
    if value in (None, settled):
        return True
    return harmless is not None and value == harmless


def _uses_deepspeed(flags: Any) -> bool:
    return bool(getattr(flags, "deepspeed", None)) or launcher_requests("DEEPSPEED")


def _launch_problems(flags: Any) -> list[str]:
    problems = []
    if _uses_deepspeed(flags) and not _is_installed("deepspeed"):
        problems.append("DeepSpeed is not installed. Run `pip install deepspeed`")
    if (getattr(flags, "fsdp", None) or launcher_requests("FSDP")) and not is_launched():
        problems.append(
            "FSDP shards a model across the processes of a launcher, and this run has none. Start "
            "it with `accelerate launch` or torchrun, or leave FSDP out"
        )
    return problems
