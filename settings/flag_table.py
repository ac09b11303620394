"""Every flag of the training scripts: honoured, settled by the suite, or obsolete.

The flags are those of `settings.flags`, all fields of `TrainingArguments`, and names that older
versions of transformers' examples had. A test fails if transformers has a field that is not here.
`settings.document_flags` generates docs/flags.md from this table. Nothing heavy is imported.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

LOOP, TRAINER = "train_accelerate.py", "train_trainer.py"

# The flags that change the weights. A run resumes only from a checkpoint made with equal values.
# The checkpoint has conditions of its own for corpus, model, processes and precision.
WEIGHT_FLAGS = (
    "max_steps",
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "freeze_layers",
    "lora_rank",
    "learning_rate",
    "layerwise_lr_decay",
    "weight_decay",
    "max_grad_norm",
    "label_smoothing_factor",
    "optim",
    "optim_args",
    "optim_target_modules",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "warmup_steps",
    "seed",
    "data_seed",
    "group_by_length",
    "label_all_tokens",
    "pad_to_max_length",
    "neftune_noise_alpha",
    "torch_compile",
    "torch_compile_backend",
    "torch_compile_mode",
    "tf32",
    "full_determinism",
    "deepspeed",
    "config_name",
    "model_revision",
)
# These change the weights too, but only through a flag or condition that is compared already.
THROUGH_OTHERS = {
    "lora": "lora_rank",
    "bf16": "precision",
    "fp16": "precision",
    "mixed_precision": "precision",
    "train_sampling_strategy": "group_by_length",
    "fsdp": "sharded by",
    "fsdp_config": "sharded by",
    "debug": "sentences of each split",
    "max_train_samples": "sentences of each split",
    "max_seq_length": "window length",
    "context": "context",
    "model_name_or_path": "model",
    "tokenizer_name": "tokenizer",
    **dict.fromkeys(
        (
            "train_file",
            "dataset_name",
            "dataset_config_name",
            "dataset_revision",
            "sample",
            "task_name",
            "text_column_name",
            "label_column_name",
            "label_names",
            "tag_scheme",
            "span_alignment",
        ),
        "corpus",
    ),
}

# Flags of TrainingArguments that only train_trainer.py has.
OF_TRAINER = {
    "optim_args": "Arguments of the optimizer: key=value, separated by commas.",
    "optim_target_modules": "Modules that GaLore and APOLLO optimize.",
    "tf32": "Use TensorFloat-32 on GPUs that have it.",
    "gradient_checkpointing_kwargs": "Arguments of --gradient_checkpointing, as JSON.",
    "torch_compile": "Compile the model. For the loop: accelerate launch --dynamo_backend.",
    "torch_compile_backend": "Backend of torch.compile; turns --torch_compile on.",
    "torch_compile_mode": "Mode of torch.compile; turns --torch_compile on.",
    "neftune_noise_alpha": "Add noise of this strength to the embeddings (NEFTune).",
    "torch_empty_cache_steps": "Empty the cache of the GPU's memory every N steps.",
    "log_on_each_node": "Log on the main process of each node, not only on the first node.",
    "include_num_input_tokens_seen": "Log the number of sub-words seen: all, non_padding or no.",
    "log_level": "Level of transformers' own messages on the main process.",
    "log_level_replica": "Level of transformers' own messages on the other processes.",
    "run_name": "Name of the run in the trackers.",
    "project": "Project of the run in trackio.",
    "trackio_space_id": "Space on the Hub that trackio reports to.",
    "trackio_bucket_id": "Bucket on the Hub that trackio reports to.",
    "trackio_static_space_id": "Space on the Hub that trackio freezes the results in.",
    "full_determinism": "Use only deterministic operations; slower.",
    "accelerator_config": "A JSON file or JSON: `non_blocking`, and `sync_each_batch` in "
    "`gradient_accumulation_kwargs`. The suite settles the other keys.",
    "dataloader_pin_memory": "Pin the memory of batches for a GPU.",
    "dataloader_persistent_workers": "Keep the workers of --dataloader_num_workers between epochs.",
    "dataloader_prefetch_factor": "Batches that each worker prepares in advance.",
    "dataloader_multiprocessing_context": "Start method of the workers: fork, spawn or forkserver.",
    "ddp_find_unused_parameters": "Search each step for parameters without a gradient. It is on "
    "whenever the model needs it.",
    "ddp_bucket_cap_mb": "Size of the buckets in which DDP sends gradients, in MB.",
    "ddp_broadcast_buffers": "Broadcast the model's buffers before each forward pass.",
    "ddp_static_graph": "Promise DDP that the graph is the same in each step.",
    "ddp_backend": "Backend that connects the processes.",
    "ddp_timeout": "Seconds that a process waits for the others.",
    "fsdp": "Shard the model with FSDP.",
    "fsdp_config": "Configuration of FSDP: a JSON file or JSON.",
    "deepspeed": "Configuration of DeepSpeed: a JSON file or JSON.",
}
# Other spellings of a flag that are fields of TrainingArguments too.
SPELLINGS = {
    "activation_checkpointing": "gradient_checkpointing",
    "activation_checkpointing_kwargs": "gradient_checkpointing_kwargs",
}


@dataclass(frozen=True)
class Settled:
    """A flag that has one value in this suite; any other is refused with the reason."""

    value: Any
    reason: str  # completes "settled by the suite: "
    harmless: Any = None  # another value with the same result, accepted with a note


SETTLED = {
    "average_tokens_across_devices": Settled(
        True, "the loss is divided by the tokens of the step on all processes"
    ),
    "bf16_full_eval": Settled(False, "scores are computed in fp32"),
    "fp16_full_eval": Settled(False, "scores are computed in fp32"),
    "use_liger_kernel": Settled(
        False, "Liger replaces the forward pass of language models, which has no token labels"
    ),
    "liger_kernel_config": Settled(None, "Liger's kernels are not used: see --use_liger_kernel"),
    "use_cache": Settled(False, "a token classifier does not generate text"),
    "auto_find_batch_size": Settled(
        False,
        "the steps are planned before training starts. Use a smaller --per_device_train_batch_size "
        "with more --gradient_accumulation_steps, which gives the same weights",
    ),
    "logging_nan_inf_filter": Settled(
        False, "training stops when the loss is not a finite number", harmless=True
    ),
    "prediction_loss_only": Settled(False, "an evaluation scores the tags of all words"),
    "eval_do_concat_batches": Settled(
        True, "predictions are placed by the index of their word, batch by batch"
    ),
    "eval_use_gather_object": Settled(
        False, "predictions are gathered as tensors, without the duplicates of the last batch"
    ),
    "include_for_metrics": Settled([], "scores are computed from the tags of all words alone"),
    "batch_eval_metrics": Settled(True, "predictions are collected batch by batch", harmless=False),
    "save_only_model": Settled(False, "training can be resumed from every checkpoint"),
    "save_on_each_node": Settled(
        False, "the main process writes, and sends a checkpoint to nodes without its disk"
    ),
    "hub_always_push": Settled(
        False, "pushes run one after another in the background, and failed ones are retried"
    ),
    "hub_revision": Settled(None, "pushes go to the main branch of the repository"),
    "ignore_data_skip": Settled(
        False, "a resumed run continues with the remaining sentences and ends with the same weights"
    ),
    "restore_callback_states_from_checkpoint": Settled(
        False, "a checkpoint restores the suite's own progress, patience included"
    ),
    "parallelism_config": Settled(
        None, "the suite trains with data parallelism, FSDP or DeepSpeed"
    ),
    "dataloader_drop_last": Settled(False, "each sentence counts once per epoch"),
    "dataloader_in_order": Settled(True, "the order of the data depends only on seed and epoch"),
    "remove_unused_columns": Settled(
        False, "batches hold only what the model takes", harmless=True
    ),
    "length_column_name": Settled("length", "the suite counts the sub-words itself"),
    "skip_memory_metrics": Settled(True, "memory is not among the results of a run"),
}
# Keys of --accelerator_config that the suite settles, with the values that it accepts.
SETTLED_ACCELERATOR_KEYS = {
    "split_batches": Settled((False,), "--per_device_train_batch_size is the batch of a process"),
    "dispatch_batches": Settled((None, False), "each process reads its own batches"),
    "even_batches": Settled((True,), "the last step of an epoch is completed with fillers"),
    "use_seedable_sampler": Settled((True, False), ""),  # the suite's own sampler is not replaced
    "use_configured_state": Settled((False,), "Trainer sets up its own processes"),
}
HONOURED_ACCELERATOR_KEYS = ("non_blocking", "gradient_accumulation_kwargs")


# --- Obsolete flags --------------------------------------------------------------------------


@dataclass(frozen=True)
class Obsolete:
    """An old flag, accepted with a note: its replacement, or why it has no effect."""

    line: str  # completes the name of the flag
    # Returns the value as arguments of today's flags. Raises ValueError if it is wrong.
    arguments: Callable[[str], list[str]]
    switch: bool = False  # takes no value, or true or false


def _renamed(new: str, switch: bool = False, more: str = "") -> Obsolete:
    return Obsolete(f"is now --{new}{more}", lambda value: [f"--{new}={value}"], switch)


def _without_effect(reason: str, switch: bool = False) -> Obsolete:
    return Obsolete(f"has no effect: {reason}", lambda value: [], switch)


def _turns_on(argument: str, more: str = "") -> Obsolete:
    """Return an old switch that `argument` replaces; switched off it has no effect."""

    def when_on(value: str) -> list[str]:
        return [argument] if is_true(value) else []

    return Obsolete(f"is now {argument.replace('=', ' ')}{more}", when_on, switch=True)


def is_true(text: str) -> bool:
    """Return whether the text of a switch's value turns it on."""
    return text.lower() in ("true", "yes", "on", "y", "t", "1")


def is_boolean(text: str) -> bool:
    """Return whether a text is the value of a switch."""
    return is_true(text) or text.lower() in ("false", "no", "off", "n", "f", "0")


def _fsdp_config(**config: Any) -> list[str]:
    return [f"--fsdp_config={json.dumps(config)}"]


def _token(value: str) -> list[str]:
    return [] if is_boolean(value) else [f"--hub_token={value}"]


def _share_of_steps(value: str) -> list[str]:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise ValueError("expected a share of all steps, at least 0 and below 1")
    return [f"--warmup_steps={value}"] if share else []


_APEX = "fp16 runs through torch's autocast: --fp16"
_TPU = "accelerate launch starts a process for each device"
_CURRENT_TOKENIZER = "the tokenizer's own files state it"
OBSOLETE = {
    # TrainingArguments of today and of older versions.
    "evaluation_strategy": _renamed("eval_strategy"),
    "evaluate_during_training": _turns_on("--eval_strategy=steps"),
    "warmup_ratio": Obsolete(
        "is now --warmup_steps, where a value below 1 is a share of all steps",
        _share_of_steps,
    ),
    "no_cuda": _turns_on("--use_cpu"),
    "use_mps_device": _without_effect("an MPS device is used if there is one", switch=True),
    "logging_dir": _without_effect(
        "trackers write into the folder `runs` of --output_dir. For TensorBoard in "
        "train_trainer.py, the environment variable TENSORBOARD_LOGGING_DIR names another folder"
    ),
    "per_gpu_train_batch_size": _renamed("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": _renamed("per_device_eval_batch_size"),
    "push_to_hub_model_id": _renamed("hub_model_id"),
    "push_to_hub_token": _renamed("hub_token"),
    "push_to_hub_organization": Obsolete(
        "is now part of --hub_model_id: organization/name",
        lambda value: [f"--hub_model_id={value}/"],  # completed by `settings.defaults`
    ),
    "save_safetensors": _without_effect("weights are always saved as safetensors", switch=True),
    "adafactor": _turns_on("--optim=adafactor"),
    "fp16_opt_level": _without_effect(_APEX),
    "fp16_backend": _without_effect(_APEX),
    "half_precision_backend": _without_effect(_APEX),
    "tpu_num_cores": _without_effect(_TPU),
    "tpu_metrics_debug": _without_effect(_TPU, switch=True),
    "past_index": _without_effect("a token classifier keeps no state of earlier batches"),
    "xpu_backend": _renamed("ddp_backend"),
    "local_rank": _without_effect("launchers export LOCAL_RANK"),
    "sharded_ddp": _without_effect("FairScale is gone; --fsdp of train_trainer.py replaces it"),
    "fsdp_min_num_params": Obsolete(
        "is now part of --fsdp_config",
        lambda value: _fsdp_config(auto_wrap_policy="SIZE_BASED_WRAP", min_num_params=int(value)),
    ),
    "fsdp_transformer_layer_cls_to_wrap": Obsolete(
        "is now part of --fsdp_config",
        lambda value: _fsdp_config(transformer_layer_cls_to_wrap=value),
    ),
    "include_inputs_for_metrics": _without_effect(
        "scores are computed from the tags of all words alone", switch=True
    ),
    "include_tokens_per_second": _without_effect(
        "train_samples_per_second is among the results", switch=True
    ),
    "jit_mode_eval": _without_effect("transformers has dropped it", switch=True),
    "use_ipex": _without_effect("transformers has dropped it", switch=True),
    "mp_parameters": _without_effect("transformers has dropped SageMaker's model parallelism"),
    "ray_scope": _without_effect("the suite does not search for hyperparameters"),
    "torchdynamo": _renamed("torch_compile_backend"),
    "split_batches": _without_effect(
        "--per_device_train_batch_size is always the batch of one process", switch=True
    ),
    "dispatch_batches": _without_effect("each process reads its own batches", switch=True),
    "use_legacy_prediction_loop": _without_effect("there is one evaluation loop", switch=True),
    "eval_accumulation_steps": _without_effect(
        "the predictions of each batch leave the device immediately"
    ),
    "enable_jit_checkpoint": _without_effect(
        "a run that is sent SIGTERM always saves a checkpoint", switch=True
    ),
    # Of version 0.3.0, where these were on by default.
    "no_group_by_length": _turns_on("--group_by_length=false", more=", the default"),
    "no_label_all_tokens": _turns_on("--label_all_tokens=false", more=", the default"),
    # run_ner.py and run_ner_no_trainer.py.
    "use_auth_token": Obsolete(
        "is now --hub_token; the token of `hf auth login` is used without a flag", _token
    ),
    "max_val_samples": _renamed("max_eval_samples"),
    "max_test_samples": _renamed("max_predict_samples"),
    "data_dir": _renamed("dataset_name", more=", which takes a folder too"),
    "labels": _renamed("label_names", more=", which takes a file too"),
    "use_fast": _without_effect("fast tokenizers are always used", switch=True),
    "use_fast_tokenizer": _without_effect("fast tokenizers are always used", switch=True),
    "use_slow_tokenizer": _without_effect("fast tokenizers are always used", switch=True),
    "do_lower_case": _without_effect(_CURRENT_TOKENIZER, switch=True),
    "keep_accents": _without_effect(_CURRENT_TOKENIZER, switch=True),
    "strip_accents": _without_effect(_CURRENT_TOKENIZER, switch=True),
    "eval_all_checkpoints": _without_effect(
        "--eval_strategy decides when the model is scored", switch=True
    ),
    "model_type": _without_effect("the model states its type"),
    "preprocessing_num_workers": _without_effect("the tokenizer uses every core by itself"),
}

# --- Trackers --------------------------------------------------------------------------------


class Tracker(NamedTuple):
    """A tracker of --report_to."""

    package: str  # as pip installs it
    modules: tuple[str, ...]  # one of them must be installed
    scripts: tuple[str, ...]


_BOTH = (LOOP, TRAINER)
TRACKERS = {
    "aim": Tracker("aim", ("aim",), (LOOP,)),
    "azure_ml": Tracker("azureml-core", ("azureml",), (TRAINER,)),
    "clearml": Tracker("clearml", ("clearml",), _BOTH),
    "codecarbon": Tracker("codecarbon", ("codecarbon",), (TRAINER,)),
    "comet_ml": Tracker("comet-ml", ("comet_ml",), _BOTH),
    "dagshub": Tracker("dagshub", ("dagshub",), (TRAINER,)),
    "dvclive": Tracker("dvclive", ("dvclive",), _BOTH),
    "flyte": Tracker("flytekit", ("flytekit",), (TRAINER,)),
    "kubeflow": Tracker("kubeflow", (), (TRAINER,)),  # Trainer has it; a TrainJob turns it on
    "mlflow": Tracker("mlflow", ("mlflow",), _BOTH),
    "neptune": Tracker("neptune", ("neptune",), (TRAINER,)),
    "swanlab": Tracker("swanlab", ("swanlab",), _BOTH),
    "tensorboard": Tracker("tensorboard", ("tensorboard", "tensorboardX"), _BOTH),
    "trackio": Tracker("trackio", ("trackio",), _BOTH),
    "wandb": Tracker("wandb", ("wandb",), _BOTH),
}
