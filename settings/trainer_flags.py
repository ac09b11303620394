"""The flags of `train_trainer.py`, which include `TrainingArguments`, and Trainer's arguments."""

from dataclasses import dataclass, fields

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from settings.flags import SharedFlags, flag
from settings.run_settings import Settings
from support.errors import UserError


@dataclass
class TrainerFlags(SharedFlags, TrainingArguments):
    """All of `TrainingArguments`, with the recipe's defaults in place of Trainer's."""

    lr_scheduler_type: SchedulerType = flag(  # all of Trainer's, not only the loop's
        "linear", "Schedule of the learning rate.", group="training"
    )
    optim: OptimizerNames = flag("adamw_torch_fused", "Optimizer.", group="training")

    def __post_init__(self) -> None:
        """Refuse invalid values; `training_arguments` initializes Trainer's own."""
        SharedFlags.__post_init__(self)


def training_arguments(
    flags: TrainerFlags, settings: Settings, precision: str
) -> TrainingArguments:
    """Return Trainer's arguments, without token and pushes, which `hub` handles.

    `precision`: "no", "bf16" or "fp16". Call it before the model is loaded: ZeRO 3 of DeepSpeed
    needs the arguments by then. Raises UserError for values that Trainer refuses.
    """
    training, hub = settings.training, settings.hub
    values = {field.name: getattr(flags, field.name) for field in fields(TrainingArguments)}
    values |= {name: settings.flags[name] for name in values.keys() & settings.flags.keys()}
    values |= {
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": training.use_cpu or not torch.accelerator.is_available(),
        "train_sampling_strategy": "group_by_length" if training.group_by_length else "random",
        "report_to": list(settings.output.report_to) or "none",
        "push_to_hub": False,
        "hub_token": None,
        "hub_model_id": hub.hub_model_id,
        "batch_eval_metrics": True,
        "remove_unused_columns": False,
        # Trainer's default searches the graph of every step for parameters without a gradient.
        "ddp_find_unused_parameters": bool(flags.ddp_find_unused_parameters),
        "logging_nan_inf_filter": False,
        "resume_from_checkpoint": None,
        "save_total_limit": None,  # `TrainingCallback.on_save` deletes old checkpoints
        "save_only_model": False,  # every checkpoint can be resumed from
        "disable_tqdm": False,
        "logging_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
    }
    try:
        trainer_args = TrainingArguments(**values)
    except ValueError as error:
        raise UserError(str(error)) from None
    # One device per process: with several, Trainer would use DataParallel, which is slow and makes
    # different batches. torchrun and accelerate launch use several GPUs.
    trainer_args._n_gpu = min(trainer_args.n_gpu, 1)
    return trainer_args
