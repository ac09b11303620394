"""Flags: those of transformers' examples mean the same here."""

import dataclasses

import pytest
from transformers import TrainingArguments

from settings.flags import LoopFlags, SharedFlags
from settings.trainer_flags import TrainerFlags
from tests.helpers.flags import FLAGS_CLASSES, parse

# Flag, value (None: a switch), the field it means here, and what it must be there.
RUN_NER = [
    ("model_name_or_path", "bert-base-uncased", "model_name_or_path", "bert-base-uncased"),
    ("config_name", "c", "config_name", "c"),
    ("tokenizer_name", "t", "tokenizer_name", "t"),
    ("cache_dir", "d", "cache_dir", "d"),
    ("model_revision", "v1", "model_revision", "v1"),
    ("token", "hf_x", "hub_token", "hf_x"),
    ("trust_remote_code", None, "trust_remote_code", True),
    ("ignore_mismatched_sizes", None, "ignore_mismatched_sizes", True),
    ("task_name", "pos", "task_name", "pos"),
    ("dataset_config_name", "en", "dataset_config_name", "en"),
    ("train_file", "a.json", "train_file", ["a.json"]),
    ("validation_file", "b.json", "validation_file", ["b.json"]),
    ("test_file", "c.json", "test_file", ["c.json"]),
    ("text_column_name", "words", "text_column_name", "words"),
    ("label_column_name", "tags", "label_column_name", "tags"),
    ("overwrite_cache", None, "overwrite_cache", True),
    ("max_seq_length", "128", "max_seq_length", 128),
    ("pad_to_max_length", None, "pad_to_max_length", True),
    ("max_train_samples", "10", "max_train_samples", 10),
    ("max_eval_samples", "11", "max_eval_samples", 11),
    ("max_predict_samples", "12", "max_predict_samples", 12),
    ("label_all_tokens", None, "label_all_tokens", True),
    ("return_entity_level_metrics", None, "return_entity_level_metrics", True),
    # What people add of TrainingArguments.
    ("output_dir", "out", "output_dir", "out"),
    ("do_train", None, "do_train", True),
    ("do_eval", None, "do_eval", True),
    ("do_predict", None, "do_predict", True),
    ("per_device_train_batch_size", "16", "per_device_train_batch_size", 16),
    ("per_device_eval_batch_size", "64", "per_device_eval_batch_size", 64),
    ("num_train_epochs", "5", "num_train_epochs", 5.0),
    ("max_steps", "100", "max_steps", 100),
    ("learning_rate", "5e-5", "learning_rate", 5e-5),
    ("weight_decay", "0.1", "weight_decay", 0.1),
    ("warmup_steps", "0.1", "warmup_steps", 0.1),
    ("lr_scheduler_type", "cosine", "lr_scheduler_type", "cosine"),
    ("gradient_accumulation_steps", "2", "gradient_accumulation_steps", 2),
    ("max_grad_norm", "0.5", "max_grad_norm", 0.5),
    ("seed", "1", "seed", 1),
    ("bf16", None, "bf16", True),
    ("use_cpu", None, "use_cpu", True),
    ("logging_steps", "50", "logging_steps", 50),
    ("eval_strategy", "steps", "eval_strategy", "steps"),
    ("save_strategy", "steps", "save_strategy", "steps"),
    ("save_steps", "500", "save_steps", 500),
    ("save_total_limit", "3", "save_total_limit", 3),
    ("load_best_model_at_end", None, "load_best_model_at_end", True),
    ("metric_for_best_model", "f1", "metric_for_best_model", "f1"),
    ("greater_is_better", "False", "greater_is_better", False),
    ("label_smoothing_factor", "0.1", "label_smoothing_factor", 0.1),
    ("dataloader_num_workers", "2", "dataloader_num_workers", 2),
    ("report_to", "tensorboard", "report_to", ["tensorboard"]),
    ("push_to_hub", None, "push_to_hub", True),
    ("hub_model_id", "me/m", "hub_model_id", "me/m"),
    ("hub_strategy", "end", "hub_strategy", "end"),
    ("hub_private_repo", None, "hub_private_repo", True),
    ("resume_from_checkpoint", "out/checkpoint-5", "resume_from_checkpoint", "out/checkpoint-5"),
]
RUN_NER_NO_TRAINER = [
    ("dataset_config_name", "en", "dataset_config_name", "en"),
    ("train_file", "a.json", "train_file", ["a.json"]),
    ("validation_file", "b.json", "validation_file", ["b.json"]),
    ("text_column_name", "words", "text_column_name", "words"),
    ("label_column_name", "tags", "label_column_name", "tags"),
    ("max_length", "384", "max_seq_length", 384),
    ("pad_to_max_length", None, "pad_to_max_length", True),
    ("model_name_or_path", "bert-base-cased", "model_name_or_path", "bert-base-cased"),
    ("config_name", "c", "config_name", "c"),
    ("tokenizer_name", "t", "tokenizer_name", "t"),
    ("per_device_train_batch_size", "32", "per_device_train_batch_size", 32),
    ("per_device_eval_batch_size", "8", "per_device_eval_batch_size", 8),
    ("learning_rate", "2e-5", "learning_rate", 2e-5),
    ("weight_decay", "0.0", "weight_decay", 0.0),
    ("num_train_epochs", "3", "num_train_epochs", 3.0),
    ("max_train_steps", "50", "max_steps", 50),
    ("gradient_accumulation_steps", "4", "gradient_accumulation_steps", 4),
    ("lr_scheduler_type", "constant_with_warmup", "lr_scheduler_type", "constant_with_warmup"),
    ("num_warmup_steps", "20", "warmup_steps", 20),
    ("output_dir", "/tmp/ner/", "output_dir", "/tmp/ner/"),
    ("seed", "7", "seed", 7),
    ("label_all_tokens", None, "label_all_tokens", True),
    ("return_entity_level_metrics", None, "return_entity_level_metrics", True),
    ("task_name", "chunk", "task_name", "chunk"),
    ("push_to_hub", None, "push_to_hub", True),
    ("hub_model_id", "me/m", "hub_model_id", "me/m"),
    ("hub_token", "hf_x", "hub_token", "hf_x"),
    ("trust_remote_code", None, "trust_remote_code", True),
    ("checkpointing_steps", "epoch", "checkpointing_steps", "epoch"),
    ("resume_from_checkpoint", "out/epoch_1", "resume_from_checkpoint", "out/epoch_1"),
    ("with_tracking", None, "with_tracking", True),
    ("report_to", "tensorboard", "report_to", ["tensorboard"]),
    ("ignore_mismatched_sizes", None, "ignore_mismatched_sizes", True),
]


@pytest.mark.parametrize(
    ("script", "flags"), [(TrainerFlags, RUN_NER), (LoopFlags, RUN_NER_NO_TRAINER)]
)
def test_flags_of_the_examples_mean_the_same_here(script, flags):
    argv = []
    for name, value, *_ in flags:
        argv += [f"--{name}"] + ([] if value is None else [value])
    args = parse(*argv, script=script)
    for name, _, field, expected in flags:
        assert getattr(args, field) == expected, name


def test_debug_of_run_ner_no_trainer_is_accepted():
    parse("--debug", script=LoopFlags)


def test_task_name_in_capitals():
    assert parse("--task_name", "NER").task_name == "ner"


def test_dataset_name_of_the_examples():
    for script in FLAGS_CLASSES:
        assert parse("--dataset_name", "conll2003", script=script).dataset_name == "conll2003"


def test_trainer_script_takes_all_of_training_arguments():
    ours = {field.name for field in dataclasses.fields(TrainerFlags)}
    missing = {field.name for field in dataclasses.fields(TrainingArguments)} - ours
    assert not missing
    args = parse(
        "--optim", "adafactor", "--fsdp", "false", "--gradient_checkpointing",
        "--eval_accumulation_steps", "3", "--lr_scheduler_kwargs", '{"num_cycles": 2}',
        "--torch_compile", "true",
        script=TrainerFlags,
    )  # fmt: skip
    assert args.optim == "adafactor"
    assert args.torch_compile is True


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(SharedFlags)])
def test_shared_flags_have_one_default_and_one_help_in_both_scripts(name):
    fields = [
        {field.name: field for field in dataclasses.fields(script)}[name]
        for script in FLAGS_CLASSES
    ]
    assert fields[0].default == fields[1].default
    assert fields[0].metadata.get("help") == fields[1].metadata.get("help")
    assert fields[0].metadata.get("help")


def test_switches():
    assert parse().label_all_tokens is False
    assert parse().group_by_length is False
    assert parse("--label_all_tokens").label_all_tokens is True
    assert parse("--label_all_tokens", "false").label_all_tokens is False
    assert parse("--group_by_length").group_by_length is True
    assert parse("--resume_from_checkpoint").resume_from_checkpoint == "latest"
    assert parse("--train_file", "a", "b", "--seed", "3").train_file == ["a", "b"]
    assert parse("--cpu").use_cpu is True


def test_launcher_can_request_the_cpu(monkeypatch):
    assert parse().use_cpu is False
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert parse().use_cpu is True


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_epochs_beside_steps_have_no_effect_and_a_note_says_so(script, capsys):
    parse("--max_steps", "20", "--num_train_epochs", "5", script=script)
    note = "note: --max_steps 20 sets the length of training: --num_train_epochs 5 has no effect\n"
    assert capsys.readouterr().err == note
    parse("--max_steps", "20", script=script)
    parse("--num_train_epochs", "5", "--max_steps", "-1", script=script)
    assert capsys.readouterr().err == ""
