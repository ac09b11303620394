"""Flags whose value is JSON or a JSON file."""

import json

import pytest

from settings.trainer_flags import TrainerFlags
from tests.helpers.flags import FLAGS_CLASSES, parse, refused


def test_configuration_files_are_read(tmp_path, installed):
    installed("deepspeed")
    for name, text in (
        *(("list", "[1]"), ("broken", "{"), ("split", '{"split_batches": true}')),
        ("good", json.dumps({"non_blocking": True, "split_batches": False})),
    ):
        (tmp_path / f"{name}.json").write_text(text)
    for flag in ("accelerator_config", "fsdp_config", "deepspeed"):
        for name in ("list", "broken", "missing"):
            path = tmp_path / f"{name}.json"
            assert str(path) in refused(f"--{flag}", str(path), script=TrainerFlags)
    split = refused("--accelerator_config", str(tmp_path / "split.json"), script=TrainerFlags)
    assert "--per_device_train_batch_size" in split  # the reason
    parse("--accelerator_config", str(tmp_path / "good.json"), script=TrainerFlags)
    parse("--deepspeed", str(tmp_path / "good.json"), script=TrainerFlags)


@pytest.mark.parametrize(
    "options",
    [
        {"use_reentrant": "no"},
        {"preserve_rng_state": 1},
        {"early_stop": None},
        {"determinism_check": "all"},
        {"every_n_layers": 0},
        {"every_n_layers": True},
        {"offload": "cpu"},
        {"use_reentrant": True, "debug": True},
    ],
)
def test_options_of_recomputation_that_cannot_be_used(options):
    argv = ("--gradient_checkpointing", "--gradient_checkpointing_kwargs", json.dumps(options))
    message = refused(*argv, script=TrainerFlags)
    assert list(options)[-1] in message


def test_options_of_recomputation_that_can_be_used():
    options = {"use_reentrant": False, "debug": True, "determinism_check": "none"}
    options |= {"every_n_layers": 2, "offload": False, "early_stop": True}
    argv = ("--gradient_checkpointing", "--gradient_checkpointing_kwargs", json.dumps(options))
    assert parse(*argv, script=TrainerFlags).gradient_checkpointing_kwargs == options


def test_missing_file_of_the_launcher(installed, monkeypatch, tmp_path):
    installed("deepspeed")
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(tmp_path / "none.json"))
    for script in FLAGS_CLASSES:
        assert "none.json" in refused(script=script)
