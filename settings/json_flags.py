"""Flags whose value is JSON or the name of a JSON file."""

import json
from pathlib import Path
from typing import Any

from settings.flag_table import HONOURED_ACCELERATOR_KEYS, SETTLED_ACCELERATOR_KEYS
from settings.launcher import deepspeed_file_of_launcher
from support.text import CUTOFF, did_you_mean, quote

FILE_FLAGS = ("accelerator_config", "fsdp_config", "deepspeed")  # or JSON
FSDP_KEYS = (
    "version",
    "reshard_after_forward",
    "cpu_offload",
    "activation_checkpointing",
    "cpu_ram_efficient_loading",
    "state_dict_type",
    "auto_wrap_policy",
    "min_num_params",
    "transformer_layer_cls_to_wrap",
    "forward_prefetch",
    "backward_prefetch",
    "use_orig_params",
    "sync_module_states",
    "limit_all_gathers",
)
RECOMPUTATION_KEYS = (
    "use_reentrant",
    "preserve_rng_state",
    "determinism_check",
    "debug",
    "early_stop",
    "every_n_layers",
    "offload",
)


def read_json(value: Any) -> Any:
    """Return a flag's value that is JSON or the name of a JSON file.

    Raises OSError or ValueError if the file cannot be read.
    """
    if not isinstance(value, str):
        return value
    return json.loads(Path(value).expanduser().read_text(encoding="utf-8"))


def json_problems(flags: Any) -> list[str]:
    """Return a line for each file that cannot be read, and each key that cannot be honoured."""
    problems = []
    files = {f"--{name}": getattr(flags, name, None) for name in FILE_FLAGS}
    files["the launcher's --deepspeed_config_file"] = deepspeed_file_of_launcher(flags)
    for place, value in files.items():
        if value is None:
            continue
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
    recomputation = getattr(flags, "gradient_checkpointing_kwargs", None) or {}
    if isinstance(recomputation, dict):
        problems += _recomputation_problems(recomputation)
    return problems


def _recomputation_problems(options: dict[str, Any]) -> list[str]:
    """Return a line for each option of --gradient_checkpointing_kwargs that cannot be used."""
    place = "--gradient_checkpointing_kwargs"
    problems = _key_problems(place, options, RECOMPUTATION_KEYS)
    for key, value in options.items():
        if key == "determinism_check":
            is_accepted, expected = value in ("default", "none"), "'default' or 'none'"
        elif key == "every_n_layers":
            is_accepted, expected = type(value) is int and value >= 1, "a number, at least 1"
        else:
            is_accepted, expected = isinstance(value, bool), "true or false"
        if key in RECOMPUTATION_KEYS and not is_accepted:
            problems.append(f"{place} {key}: got {quote(value)}, expected {expected}")
    if options.get("use_reentrant") is True and options.get("debug") is True:
        problems.append(f"{place} debug: torch needs 'use_reentrant': false for it")
    return problems


def _key_problems(place: str, content: Any, known: tuple[str, ...], prefix: str = "") -> list[str]:
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
