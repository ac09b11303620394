"""The flags of `train_trainer.py`, which include `TrainingArguments`, and Trainer's arguments."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from settings.flag_table import SETTLED, TRAINER, is_boolean, is_true
from settings.flags import SharedFlags, flag
from settings.json_flags import read_json
from settings.run_settings import Settings
from settings.trackers import NOT_IN_ALL
from support.errors import UserError
from support.processes import world_size


@dataclass
class TrainerFlags(SharedFlags, TrainingArguments):
    """All of `TrainingArguments`, with the recipe's defaults in place of Trainer's."""

    script: ClassVar[str | None] = TRAINER

    lr_scheduler_type: SchedulerType = flag(  # all of Trainer's, not only the loop's
        "linear", "Schedule of the learning rate.", group="training"
    )
    optim: OptimizerNames = flag("adamw_torch_fused", "Optimizer.", group="training")
    gradient_checkpointing_kwargs: dict[str, Any] | None = flag(
        None, "", "--activation_checkpointing_kwargs", group="flags of TrainingArguments"
    )
    include_num_input_tokens_seen: bool | Literal["all", "non_padding", "no"] = flag(
        "no", "", group="flags of TrainingArguments"
    )
    # The suite's own values of flags that it settles, and one that a command line cannot express.
    logging_nan_inf_filter: bool = flag(False, "", group="flags of TrainingArguments")
    batch_eval_metrics: bool = flag(True, "", group="flags of TrainingArguments")
    remove_unused_columns: bool = flag(False, "", group="flags of TrainingArguments")
    parallelism_config: str | None = flag(None, "", group="flags of TrainingArguments")

    def __post_init__(self) -> None:
        """Refuse invalid values; `training_arguments` initializes Trainer's own."""
        flags: Any = self  # text of a command line becomes the values that Trainer distinguishes
        if isinstance(flags.fsdp, str) and is_boolean(flags.fsdp):
            flags.fsdp = is_true(flags.fsdp)
        flags.fsdp = flags.fsdp or None
        if str(flags.trackio_static_space_id).lower() == "false":
            flags.trackio_static_space_id = False
        modules = flags.optim_target_modules
        if isinstance(modules, list) and len(modules) == 1:
            flags.optim_target_modules = modules[0]  # a regular expression, or all-linear
        SharedFlags.__post_init__(self)


def training_arguments(
    flags: TrainerFlags, settings: Settings, precision: str
) -> TrainingArguments:
    """Return Trainer's arguments, with everything turned off that the suite does itself.

    That is: logging, evaluation, checkpoints, the best checkpoint, pushes, the progress bar.
    `precision`: "no", "bf16" or "fp16". Call it before the model is loaded: ZeRO 3 of DeepSpeed
    needs the arguments by then. Raises UserError for values that Trainer refuses.
    """
    training = settings.training
    values = {field.name: getattr(flags, field.name) for field in fields(TrainingArguments)}
    values |= {name: settings.flags[name] for name in values.keys() & settings.flags.keys()}
    values |= {name: settled.value for name, settled in SETTLED.items() if name in values}
    values |= {
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": training.use_cpu or not torch.accelerator.is_available(),
        "train_sampling_strategy": "group_by_length" if training.group_by_length else "random",
        "label_names": None,  # in Trainer: names of the model's inputs
        "report_to": _ready_trackers(settings.output.report_to, flags.report_to or []) or "none",
        "debug": "",  # in Trainer: options; here: fewer sentences
        "accelerator_config": read_json(flags.accelerator_config),
        # `training.runtime` has joined the processes with it; one process has none.
        "ddp_backend": flags.ddp_backend if world_size() > 1 else None,
        # Trainer's default searches the graph of every step for parameters without a gradient.
        "ddp_find_unused_parameters": bool(flags.ddp_find_unused_parameters),
        # Done by the suite, in the same way for both scripts. `WindowTrainer` turns off Trainer's
        # evaluation later: without one, schedules that follow the scores are refused here.
        "logging_strategy": "no",
        "logging_first_step": False,
        "eval_delay": 0,
        "eval_on_start": False,
        "save_strategy": "no",
        "save_total_limit": None,
        "load_best_model_at_end": False,
        "metric_for_best_model": None,
        "greater_is_better": None,
        "resume_from_checkpoint": None,
        "disable_tqdm": False,
        "push_to_hub": False,
        "hub_token": None,
    }
    for name in ("", "_kwargs"):  # Trainer warns about the old names
        values[f"activation_checkpointing{name}"] = values.pop(f"gradient_checkpointing{name}")
    _check_compiler(values)
    try:
        trainer_args = TrainingArguments(**values)
    except (ValueError, TypeError, KeyError, ImportError, OSError, NotImplementedError) as error:
        raise UserError(f"Trainer refuses its arguments: {error}") from None
    # One device per process: with several, Trainer would use DataParallel, which is slow and makes
    # different batches. torchrun and accelerate launch use several GPUs.
    trainer_args._n_gpu = min(trainer_args.n_gpu, 1)
    return trainer_args


def _ready_trackers(trackers: tuple[str, ...], requested: list[str]) -> list[str]:
    """Return the trackers that Trainer can use; raise UserError if a named one is missing."""
    if not trackers:
        return []
    from transformers.integrations import get_available_reporting_integrations

    ready = {*get_available_reporting_integrations(), *NOT_IN_ALL}
    missing = [name for name in trackers if name not in ready]
    named = [name for name in missing if any(name in item for item in requested)]
    if named:
        raise UserError(
            f"--report_to {' '.join(named)}: installed, but Trainer cannot use it. Update it, set "
            "up its account, or leave it out"
        )
    return [name for name in trackers if name in ready]


def _check_compiler(values: dict[str, Any]) -> None:
    """Raise UserError for a backend or mode of torch.compile that does not exist."""
    backend, mode = values["torch_compile_backend"], values["torch_compile_mode"]
    problems = []
    if backend is not None:
        from accelerate.utils import DynamoBackend
        from torch._dynamo import list_backends

        known = sorted({*list_backends(exclude_tags=())} & {b.lower() for b in DynamoBackend})
        if backend not in known:
            problems.append(
                f"--torch_compile_backend {backend}: expected one of {', '.join(known)}"
            )
    if mode is not None:
        from torch._inductor import list_mode_options

        modes = list(list_mode_options())
        if mode not in modes:
            problems.append(f"--torch_compile_mode {mode}: expected one of {', '.join(modes)}")
        if backend not in (None, "inductor"):
            problems.append(f"--torch_compile_mode {mode}: only the backend inductor has modes")
    if problems:
        raise UserError("\n".join(problems))
