"""Settings of a run by subject: frozen, complete, every default decided.

`settings.defaults` makes them of the flags. A package function takes the one it needs, or a few
plain values. A field is named like its flag, whose help says what it means.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class CorpusSettings:
    """The corpus to read, and how to read it."""

    task_name: str = "ner"
    sample: bool = False
    dataset_name: str | None = None
    dataset_config_name: str | None = None
    dataset_revision: str | None = None
    train_file: tuple[str, ...] = ()
    validation_file: tuple[str, ...] = ()
    test_file: tuple[str, ...] = ()
    text_column_name: str | None = None
    label_column_name: str | None = None
    label_names: tuple[str, ...] = ()
    tag_scheme: str = "auto"
    span_alignment: str = "strict"
    max_train_samples: int | None = None
    max_eval_samples: int | None = None
    max_predict_samples: int | None = None
    hold_out: bool = True  # part of the training split, if there is no validation split
    seed: int = 42
    overwrite_cache: bool = False
    cache_dir: str | None = None
    hub_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ModelSettings:
    """The encoder to fine-tune, and where it comes from."""

    model_name_or_path: str
    config_name: str | None = None
    tokenizer_name: str | None = None
    model_revision: str = "main"
    cache_dir: str | None = None
    hub_token: str | None = field(default=None, repr=False)
    trust_remote_code: bool = False
    ignore_mismatched_sizes: bool = False
    freeze_layers: int | None = None  # None: all weights are trained
    lora_rank: int | None = None  # None: without LoRA
    decode: str | None = None  # None: as `encoder.model.choose_decoding` chooses

    @property
    def hub_options(self) -> dict[str, Any]:
        """Return the keyword arguments of each `from_pretrained`."""
        return {
            "revision": self.model_revision,
            "cache_dir": self.cache_dir,
            "token": self.hub_token,
            "trust_remote_code": self.trust_remote_code,
        }


@dataclass(frozen=True)
class TuningSettings:
    """The operating point to choose on the validation split."""

    target_precision: float | None = None
    tune_for: str | None = None  # "f1" or "recall"

    @property
    def requested(self) -> str:
        """Return the flag that asks for an operating point, or "" if none does."""
        if self.target_precision is not None:
            return f"--target_precision {self.target_precision}"
        return f"--tune_for {self.tune_for}" if self.tune_for else ""


@dataclass(frozen=True)
class WindowSettings:
    """The making of windows: their length, and which sub-words have labels."""

    max_seq_length: int | None = None  # None: the model's own limit
    context: int | None = None  # None: as `encoder.model.choose_context` chooses
    pad_to_max_length: bool = False
    label_all_tokens: bool = False
    overwrite_cache: bool = False

    def padded_length(self, window_length: int) -> int | None:
        """Return the length that every batch is padded to; None: to its own longest window."""
        return window_length if self.pad_to_max_length else None


@dataclass(frozen=True)
class TrainingSettings:
    """The training of the weights: steps, batches, rate, precision."""

    num_train_epochs: float = 3.0
    fewest_steps: int = 0  # with fewer steps, the corpus gets more epochs, at most `most_epochs`
    most_epochs: int = 0
    max_steps: int = -1  # -1: set by the epochs
    per_device_train_batch_size: int = 8
    per_device_eval_batch_size: int = 32
    gradient_accumulation_steps: int = 1
    learning_rate: float = 2e-5
    layerwise_lr_decay: float = 1.0  # factor of the rate for each layer below the top one
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    label_smoothing_factor: float = 0.0
    optim: str = "adamw_torch_fused"
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    lr_scheduler_type: str = "linear"
    lr_scheduler_kwargs: dict[str, Any] | None = None
    warmup_steps: float = 0.0
    seed: int = 42
    data_seed: int | None = None  # of the order of the data; None: `seed`
    use_cpu: bool = False
    mixed_precision: str | None = None  # None: what the launcher or the hardware says
    gradient_checkpointing: bool = False
    group_by_length: bool = False
    dataloader_num_workers: int = 0
    sharded_by: str | None = None  # "FSDP" or "DeepSpeed"

    def epochs_of(self, epoch_steps: int) -> float:
        """Return the number of epochs of a corpus whose epoch has `epoch_steps` steps."""
        needed = math.ceil(self.fewest_steps / epoch_steps)
        return max(self.num_train_epochs, float(min(needed, self.most_epochs)))


@dataclass(frozen=True)
class IntervalSettings:
    """Intervals of logging, evaluation and saving; a value below 1 is a share of all steps."""

    logging_strategy: str = "steps"  # or "epoch", "no"
    logging_steps: float = 10
    logging_first_step: bool = False
    eval_strategy: str = "epoch"  # or "steps", "no"
    eval_steps: float | None = None  # None: `logging_steps`
    eval_delay: float = 0  # epochs, or steps with "steps", before the first evaluation
    eval_on_start: bool = False
    save_strategy: str = "epoch"  # or "steps", "best", "no"
    save_steps: float = 500
    save_each_epoch: bool = False  # whatever the strategy: for the push of each epoch


@dataclass(frozen=True)
class CheckpointSettings:
    """Checkpoints: which are kept, which is the best, which one training resumes from."""

    save_total_limit: int | None = 2
    resume_from_checkpoint: str | None = None
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = None  # None: f1, or accuracy for plain tags
    greater_is_better: bool | None = None  # None: true, except for a loss
    early_stopping_patience: int | None = None


@dataclass(frozen=True)
class OutputSettings:
    """The output folder, the detail of the results, and the trackers."""

    output_dir: Path
    overwrite_output_dir: bool = False
    return_entity_level_metrics: bool = False
    verbose: bool = False
    disable_tqdm: bool = False
    log_file: str | None = None
    report_to: tuple[str, ...] = ()  # trackers

    @property
    def show_progress(self) -> bool:
        """Return whether to draw a bar of the steps."""
        return not self.disable_tqdm


@dataclass(frozen=True)
class HubSettings:
    """Pushes to the Hub: whether, where to, and how often."""

    push_to_hub: bool = False
    hub_model_id: str | None = None
    hub_token: str | None = field(default=None, repr=False)
    hub_private_repo: bool = False
    hub_strategy: str = "every_save"
    hub_include: tuple[str, ...] = ()  # "predictions", "report": files with corpus text

    @property
    def pushes_epochs(self) -> bool:
        """Return whether the model is pushed at the end of each epoch."""
        return self.push_to_hub and self.hub_strategy != "end"


@dataclass(frozen=True)
class Settings:
    """All settings of a run of a training script."""

    corpus: CorpusSettings
    model: ModelSettings
    tuning: TuningSettings
    windows: WindowSettings
    training: TrainingSettings
    intervals: IntervalSettings
    checkpoints: CheckpointSettings
    output: OutputSettings
    hub: HubSettings
    do_train: bool
    do_eval: bool
    do_predict: bool
    check: bool
    problem_file: str | None  # of --check
    dry_run: bool
    replaced: tuple[str, ...]  # one sentence for each replaced default
    flags: dict[str, Any]  # all, with their final values, without the token: for trackers
    shared_flags: dict[str, Any]  # those that both scripts have: for run.json and the card
    weight_flags: dict[str, Any]  # those that change the weights: equal to resume a run
    command: tuple[str, ...]  # the script and its arguments

    @property
    def output_dir(self) -> Path:
        """Return the folder of the run."""
        return self.output.output_dir

    @property
    def trackers(self) -> list[str] | None:
        """Return the trackers as accelerate takes them."""
        return list(self.output.report_to) or None

    @property
    def simple_flags(self) -> dict[str, int | float | str]:
        """Return the flags as trackers take them."""
        return {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in self.flags.items()
        }
