"""Command lines: mistakes in them, reported together."""

import re

import pytest

from settings.flags import LoopFlags
from settings.tagging_flags import TaggingFlags
from tests.helpers.flags import FLAGS_CLASSES, config_file, parse, refused


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("learning_rte", "learning_rate"),
        ("learning-rate-", "learning_rate"),
        ("sed", "seed"),
        ("trian_file", "train_file"),
        ("val_file", "validation_file"),
        ("max_seq_len", "max_seq_length"),
        ("outputdir", "output_dir"),
        ("train_batch_size", "per_device_train_batch_size"),
        ("cachedir", "cache_dir"),
        ("bf_16", "bf16"),
        ("logging_step", "logging_steps"),
        *((word, None) for word in ("past_idx", "n_gpu", "use_gpu", "data", "data_set", "fp32")),
        *((word, None) for word in ("server_ip", "model", "index", "lr", "dropout", "use_crf")),
        *((word, None) for word in ("config_overrides", "streaming", "eval", "name")),
    ],
)
@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_guesses_of_what_was_meant(word, meant, script, tmp_path):
    """Wrong guesses are never made, neither in a file nor on the command line."""
    for message in (
        refused(f"--{word}", "1", script=script),
        refused(config_file(tmp_path, f"{word}: 1\n"), script=script),
    ):
        guess = re.search(r"did you mean --(\w+)\?", message)
        assert (guess and guess[1]) == meant


def test_guesses_of_infer():
    for word, meant in (("modle", "model"), ("min_scor", "min_score"), ("past_index", None)):
        message = refused(f"--{word}", script=TaggingFlags)
        assert ("did you mean" in message) == (meant is not None)
        assert meant is None or message.endswith(f"--{meant}?")


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_unknown_flags_are_reported_together_with_what_was_meant(script):
    message = refused("--learning_rte=1", "--sed", "--xyzzy", script=script)
    lines = message.splitlines()
    assert len(lines) == 3
    assert "--learning_rte" in lines[0] and lines[0].endswith("did you mean --learning_rate?")
    assert lines[1].endswith("did you mean --seed?")
    assert "did you mean" not in lines[2]
    assert "unknown argument stray" in refused("--do_train", "--seed", "1", "stray", script=script)


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_names_of_files_that_are_not_utf8_are_refused(script):
    message = refused("--train_file", "n\udce9.conll", "--output_dir", "café", script=script)
    assert message == (
        "n\udce9.conll: not UTF-8, the encoding of the files of a run. Rename the file or folder."
    )
    assert parse("n\udce9.txt", script=TaggingFlags).texts == ["n\udce9.txt"]


def test_flags_are_not_abbreviated():
    assert "--learn" in refused("--learn", "1")


def test_all_bad_values_are_reported_together():
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


def test_flag_of_the_other_script_on_the_command_line():
    message = refused("--neftune_noise_alpha", "5", "--tf32", "--foo", script=LoopFlags)
    lines = message.splitlines()
    assert len(lines) == 3
    assert all("train_trainer.py" in line for line in lines[:2])
    assert "train_trainer.py" not in lines[2]


def test_value_of_an_unknown_flag_is_not_reported():
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
def test_values_that_would_fail_later_are_refused(flag):
    assert flag[0] in refused(*flag)


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_the_file_of_problems_is_not_taken_for_the_folder_of_a_run(script):
    message = refused("--train_file", "a.conll", "--output", "out", script=script)
    assert "--check" in message and "--output_dir" in message
