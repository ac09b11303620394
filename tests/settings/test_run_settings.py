"""Each flag of both scripts reaches the settings; those that change the weights are conditions."""

import dataclasses
import json
import operator
from pathlib import Path

import pytest

from encoder.cpu import VARIABLE
from settings import defaults
from settings.defaults import make_settings
from settings.flag_table import OF_TRAINER, THROUGH_OTHERS, WEIGHT_FLAGS
from settings.flags import SharedFlags
from settings.run_settings import TrainingSettings
from settings.trainer_flags import TrainerFlags
from tests.helpers.flags import FLAGS_CLASSES, parse

# Flag -> its words, the setting that it determines, and the value of the setting.
EFFECTS = {
    "train_file": (["a", "b"], "corpus.train_file", ("a", "b")),
    "validation_file": (["a"], "corpus.validation_file", ("a",)),
    "test_file": (["a"], "corpus.test_file", ("a",)),
    "dataset_name": (["d"], "corpus.dataset_name", "d"),
    "dataset_config_name": (["en"], "corpus.dataset_config_name", "en"),
    "dataset_revision": (["v1"], "corpus.dataset_revision", "v1"),
    "sample": ([], "corpus.sample", True),
    "task_name": (["POS"], "corpus.task_name", "pos"),
    "check": ([], "check", True),
    "output": (["problems.jsonl", "--check"], "problem_file", "problems.jsonl"),
    "dry_run": ([], "dry_run", True),
    "text_column_name": (["0"], "corpus.text_column_name", "0"),
    "label_column_name": (["tags"], "corpus.label_column_name", "tags"),
    "label_names": (["O", "B-X"], "corpus.label_names", ("O", "B-X")),
    "tag_scheme": (["bioes"], "corpus.tag_scheme", "bioes"),
    "span_alignment": (["skip"], "corpus.span_alignment", "skip"),
    "max_train_samples": (["5"], "corpus.max_train_samples", 5),
    "max_eval_samples": (["5"], "corpus.max_eval_samples", 5),
    "max_predict_samples": (["5"], "corpus.max_predict_samples", 5),
    "overwrite_cache": ([], "corpus.overwrite_cache", True),
    "debug": ([], "corpus.max_train_samples", 100),
    "model_name_or_path": (["m"], "model.model_name_or_path", "m"),
    "config_name": (["c"], "model.config_name", "c"),
    "tokenizer_name": (["t"], "model.tokenizer_name", "t"),
    "model_revision": (["v1"], "model.model_revision", "v1"),
    "cache_dir": (["d"], "model.cache_dir", "d"),
    "trust_remote_code": ([], "model.trust_remote_code", True),
    "ignore_mismatched_sizes": ([], "model.ignore_mismatched_sizes", True),
    "lora": ([], "model.lora_rank", 16),
    "lora_rank": (["8", "--lora"], "model.lora_rank", 8),
    "freeze_layers": (["2"], "model.freeze_layers", 2),
    "decode": (["argmax"], "model.decode", "argmax"),
    "target_precision": (["0.9"], "tuning.target_precision", 0.9),
    "tune_for": (["recall"], "tuning.tune_for", "recall"),
    "max_seq_length": (["64"], "windows.max_seq_length", 64),
    "context": (["64"], "windows.context", 64),
    "pad_to_max_length": ([], "windows.pad_to_max_length", True),
    "label_all_tokens": ([], "windows.label_all_tokens", True),
    "do_train": ([], "do_predict", False),
    "do_eval": ([], "do_train", False),
    "do_predict": ([], "do_eval", False),
    "output_dir": (["out"], "output.output_dir", Path("out")),
    "overwrite_output_dir": ([], "output.overwrite_output_dir", True),
    "return_entity_level_metrics": ([], "output.return_entity_level_metrics", True),
    "verbose": ([], "output.verbose", True),
    "num_train_epochs": (["7"], "training.num_train_epochs", 7.0),
    "max_steps": (["7"], "training.max_steps", 7),
    "per_device_train_batch_size": (["7"], "training.per_device_train_batch_size", 7),
    "per_device_eval_batch_size": (["7"], "training.per_device_eval_batch_size", 7),
    "gradient_accumulation_steps": (["7"], "training.gradient_accumulation_steps", 7),
    "learning_rate": (["7e-5"], "training.learning_rate", 7e-5),
    "layerwise_lr_decay": (["0.7"], "training.layerwise_lr_decay", 0.7),
    "weight_decay": (["0.7"], "training.weight_decay", 0.7),
    "max_grad_norm": (["0"], "training.max_grad_norm", 0.0),
    "label_smoothing_factor": (["0.1"], "training.label_smoothing_factor", 0.1),
    "optim": (["sgd"], "training.optim", "sgd"),
    "adam_beta1": (["0.8"], "training.adam_beta1", 0.8),
    "adam_beta2": (["0.8"], "training.adam_beta2", 0.8),
    "adam_epsilon": (["1e-7"], "training.adam_epsilon", 1e-7),
    "lr_scheduler_type": (["cosine"], "training.lr_scheduler_type", "cosine"),
    "lr_scheduler_kwargs": (['{"a": 1}'], "training.lr_scheduler_kwargs", {"a": 1}),
    "warmup_steps": (["0.1"], "training.warmup_steps", 0.1),
    "seed": (["7"], "training.seed", 7),
    "data_seed": (["7"], "training.data_seed", 7),
    "use_cpu": ([], "training.use_cpu", True),
    "bf16": ([], "training.mixed_precision", "bf16"),
    "fp16": ([], "training.mixed_precision", "fp16"),
    "mixed_precision": (["no"], "training.mixed_precision", "no"),
    "group_by_length": ([], "training.group_by_length", True),
    "train_sampling_strategy": (["group_by_length"], "training.group_by_length", True),
    "gradient_checkpointing": ([], "training.gradient_checkpointing", True),
    "dataloader_num_workers": (["2"], "training.dataloader_num_workers", 2),
    "logging_strategy": (["epoch"], "intervals.logging_strategy", "epoch"),
    "logging_steps": (["0.5"], "intervals.logging_steps", 0.5),
    "eval_strategy": (["steps"], "intervals.eval_strategy", "steps"),
    "logging_first_step": ([], "intervals.logging_first_step", True),
    "eval_delay": (["2"], "intervals.eval_delay", 2.0),
    "eval_on_start": ([], "intervals.eval_on_start", True),
    "eval_steps": (["7"], "intervals.eval_steps", 7.0),
    "save_strategy": (["best"], "intervals.save_strategy", "best"),
    "save_steps": (["7"], "intervals.save_steps", 7.0),
    "checkpointing_steps": (["7"], "intervals.save_steps", 7.0),
    "save_total_limit": (["none"], "checkpoints.save_total_limit", None),
    "resume_from_checkpoint": ([], "checkpoints.resume_from_checkpoint", "latest"),
    "load_best_model_at_end": ([], "checkpoints.load_best_model_at_end", True),
    "metric_for_best_model": (["loss"], "checkpoints.metric_for_best_model", "loss"),
    "greater_is_better": (["false"], "checkpoints.greater_is_better", False),
    "early_stopping_patience": (["7"], "checkpoints.early_stopping_patience", 7),
    "log_file": (["steps.jsonl"], "output.log_file", "steps.jsonl"),
    "disable_tqdm": ([], "output.disable_tqdm", True),
    "with_tracking": ([], "output.report_to", ("tensorboard",)),
    "report_to": (["tensorboard"], "output.report_to", ("tensorboard",)),
    "push_to_hub": ([], "hub.push_to_hub", True),
    "hub_model_id": (["us/"], "hub.hub_model_id", "us/bert-finetuned-ner"),
    "hub_token": (["hf_x"], "hub.hub_token", "hf_x"),
    "hub_private_repo": ([], "hub.hub_private_repo", True),
    "hub_include": (["report"], "hub.hub_include", ("report",)),
    "hub_strategy": (["end"], "hub.hub_strategy", "end"),
}


@pytest.fixture
def settings(embedded, installed):
    """Return a function that turns a command line into settings."""
    installed("tensorboard", "peft==0.21.0")

    def make(*argv: str, script=SharedFlags):
        return make_settings(parse(*argv, script=script), "", True)

    return make


def test_each_flag_has_a_case():
    assert EFFECTS.keys() == {field.name for field in dataclasses.fields(SharedFlags)}


@pytest.mark.parametrize("script", FLAGS_CLASSES)
@pytest.mark.parametrize("name", EFFECTS)
def test_flag_reaches_the_settings(name, script, settings):
    words, place, expected = EFFECTS[name]
    value = operator.attrgetter(place)
    assert value(settings(f"--{name}", *words, script=script)) == expected
    assert value(settings(script=script)) != expected


@pytest.mark.parametrize(
    ("recipe", "epoch_steps", "epochs"),
    [
        (3.0, 1, 30),
        (3.0, 20, 30),  # 600 steps
        (3.0, 21, 29),
        (3.0, 199, 4),
        (3.0, 200, 3),
        (3.0, 1756, 3),
        (6.0, 116, 6),
        (2.5, 300, 2.5),
        (40.0, 2, 40),  # never fewer than the recipe's
    ],
)
def test_epochs_of_a_corpus_by_the_steps_of_an_epoch(recipe, epoch_steps, epochs):
    training = TrainingSettings(num_train_epochs=recipe, fewest_steps=600, most_epochs=30)
    assert training.epochs_of(epoch_steps) == epochs
    assert TrainingSettings(num_train_epochs=recipe).epochs_of(epoch_steps) == recipe


# --- The conditions of a checkpoint -----------------------------------------------------------


@pytest.mark.parametrize("name", EFFECTS)
def test_flags_that_change_the_weights_are_conditions(name, settings):
    plain = settings("--model_name_or_path", "m", "--optim", "adamw_torch").weight_flags
    beside = [] if name == "model_name_or_path" else ["--model_name_or_path", "m"]
    beside += [] if name == "optim" else ["--optim", "adamw_torch"]
    changed = settings(*beside, f"--{name}", *EFFECTS[name][0]).weight_flags
    if name not in THROUGH_OTHERS:
        assert (changed != plain) == (name in WEIGHT_FLAGS)
    assert changed.keys() == plain.keys() == {*WEIGHT_FLAGS, VARIABLE}
    assert json.loads(json.dumps(changed)) == changed


@pytest.mark.parametrize(
    "argv",
    [
        ["--optim", "stable_adamw", "--optim_args", "max_lr=1"],
        ["--neftune_noise_alpha", "5"],
        ["--torch_compile_backend", "eager"],
        ["--tf32", "false"],
        ["--full_determinism", "true"],
        ["--deepspeed", '{"optimizer": {"type": "Adam"}}'],
    ],
)
def test_conditions_of_the_trainer_script(argv, settings, installed):
    installed("deepspeed")
    plain = settings(script=TrainerFlags).weight_flags
    changed = settings(*argv, script=TrainerFlags).weight_flags
    differing = {name for name in plain if plain[name] != changed[name]}
    assert argv[-2].removeprefix("--") in differing
    assert json.loads(json.dumps(changed)) == changed


def test_both_scripts_have_the_same_conditions(settings):
    """So that resuming with the other script names real differences alone."""
    for argv in ([], ["--seed", "3", "--max_steps", "20", "--lora"]):
        assert settings(*argv).weight_flags == settings(*argv, script=TrainerFlags).weight_flags


def test_conditions_that_the_environment_sets(settings, monkeypatch):
    assert defaults.CPU_SPEEDUPS == VARIABLE
    plain = settings().weight_flags
    monkeypatch.setenv(VARIABLE, "dropout, Clipping")
    one = settings().weight_flags
    monkeypatch.setenv(VARIABLE, "clipping,dropout")
    assert settings().weight_flags == one != plain
    monkeypatch.setenv(VARIABLE, "all")
    assert settings().weight_flags == plain
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "NO")
    assert settings().weight_flags == plain
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")
    assert settings().weight_flags["torch_compile"] is True


def test_equal_seeds_are_equal_conditions(settings):
    assert settings("--data_seed", "42").weight_flags == settings().weight_flags
    assert {*WEIGHT_FLAGS} - {*EFFECTS} <= OF_TRAINER.keys()
