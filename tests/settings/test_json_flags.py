"""Flags whose value is JSON or a JSON file."""

import json

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


def test_missing_file_of_the_launcher(installed, monkeypatch, tmp_path):
    installed("deepspeed")
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(tmp_path / "none.json"))
    for script in FLAGS_CLASSES:
        assert "none.json" in refused(script=script)
