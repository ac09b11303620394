"""DeepSpeed and FSDP, requested by a flag or the launcher."""

from types import SimpleNamespace

import pytest

from settings.launcher import sharding_library
from settings.trainer_flags import TrainerFlags
from tests.helpers.flags import FLAGS_CLASSES, parse, refused


def test_deepspeed_is_not_installed(installed, monkeypatch):
    installed()
    assert "pip install deepspeed" in refused("--deepspeed", '{"a": 1}', script=TrainerFlags)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    for script in FLAGS_CLASSES:
        assert "pip install deepspeed" in refused(script=script)


def test_fsdp_needs_a_launcher(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert "FSDP" in refused("--fsdp", script=TrainerFlags)
    with monkeypatch.context() as launched:
        launched.setenv("ACCELERATE_USE_FSDP", "true")
        for script in FLAGS_CLASSES:
            assert "FSDP" in refused(script=script)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert parse("--fsdp", "full_shard auto_wrap", script=TrainerFlags).fsdp is not None
    assert parse("--fsdp", "false", script=TrainerFlags).fsdp is None


@pytest.mark.parametrize(
    ("environment", "flags", "expected"),
    [
        ({}, {}, None),
        ({"ACCELERATE_USE_FSDP": "true"}, {}, "FSDP"),
        ({"ACCELERATE_USE_DEEPSPEED": "True"}, {}, "DeepSpeed"),
        ({}, {"fsdp": "full_shard"}, "FSDP"),
    ],
)
def test_sharding_is_asked_for_by_launcher_or_flag(environment, flags, expected, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert sharding_library(SimpleNamespace(**flags)) == expected
