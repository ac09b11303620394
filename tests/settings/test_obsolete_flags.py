"""Obsolete flags: accepted with a note."""

from contextlib import suppress

import pytest

from settings.flag_table import OBSOLETE
from settings.flags import LoopFlags
from settings.trainer_flags import TrainerFlags
from support.errors import UserError
from tests.helpers.flags import FLAGS_CLASSES, config_file, parse, refused

# Obsolete name -> its value, and the flags that replace it.
BECOMES = {
    "evaluation_strategy": ("steps", {"eval_strategy": "steps"}),
    "evaluate_during_training": (None, {"eval_strategy": "steps"}),
    "warmup_ratio": ("0.1", {"warmup_steps": 0.1}),
    "no_cuda": (None, {"use_cpu": True}),
    "per_gpu_train_batch_size": ("3", {"per_device_train_batch_size": 3}),
    "per_gpu_eval_batch_size": ("3", {"per_device_eval_batch_size": 3}),
    "push_to_hub_model_id": ("m", {"hub_model_id": "m"}),
    "push_to_hub_organization": ("us", {"hub_model_id": "us/"}),
    "push_to_hub_token": ("hf_x", {"hub_token": "hf_x"}),
    "use_auth_token": ("hf_x", {"hub_token": "hf_x"}),
    "max_val_samples": ("5", {"max_eval_samples": 5}),
    "max_test_samples": ("5", {"max_predict_samples": 5}),
    "data_dir": ("conll", {"dataset_name": "conll"}),
    "labels": ("labels.txt", {"label_names": ["labels.txt"]}),
}
# Only train_trainer.py has the replacements of these.
BECOMES_OF_TRAINER = {
    "adafactor": (None, {"optim": "adafactor"}),
    "xpu_backend": ("gloo", {"ddp_backend": "gloo"}),
    "torchdynamo": ("eager", {"torch_compile_backend": "eager"}),
}


@pytest.mark.parametrize("script", FLAGS_CLASSES)
@pytest.mark.parametrize("name", [name for name in OBSOLETE if name != "adafactor"])
@pytest.mark.parametrize("in_file", [False, True])
def test_obsolete_flag_is_accepted_with_a_note(
    name, script, in_file, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("WORLD_SIZE", "1")  # for FSDP
    value, expected = (BECOMES | BECOMES_OF_TRAINER).get(name, (None, {}))
    if value is None and not OBSOLETE[name].switch:
        value = "1"
    if name in BECOMES_OF_TRAINER and script is LoopFlags:
        expected = {}
    words = [f"--{name}", *([value] if value else [])]
    if in_file:
        words = [config_file(tmp_path, f"{name}: {value or 'true'}\n")]
    fsdp = ["--fsdp"] if script is TrainerFlags and name.startswith("fsdp_") else []
    flags = parse(*words, *fsdp, script=script)
    for new, new_value in expected.items():
        assert getattr(flags, new) == new_value
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"note: --{name} ")
    assert "hf_x" not in lines[0]
    plain = vars(parse(*fsdp, script=script))
    changed = {name for name, value in vars(flags).items() if value != plain[name]}
    assert changed - {"fsdp_config"} == {*expected}


def test_notes_on_obsolete_flags(capsys, snapshot):
    for name, obsolete in OBSOLETE.items():
        words = [f"--{name}"] + ([] if obsolete.switch else ["0"])
        fsdp = ["--fsdp"] if name.startswith("fsdp_") else []
        with suppress(UserError):  # ranges are not the subject here
            parse(*words, *fsdp, script=TrainerFlags)
    parse("--xpu_backend", "gloo", script=LoopFlags)
    assert capsys.readouterr().err == snapshot


def test_adafactor():
    assert parse("--adafactor", script=TrainerFlags).optim == "adafactor"
    assert parse("--adafactor", "false", script=LoopFlags).optim == "adamw_torch_fused"
    assert "train_trainer.py" in refused("--adafactor", script=LoopFlags)


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_obsolete_flags_with_bad_values(script):
    for words in (
        ["--warmup_ratio", "1.5"],
        ["--warmup_ratio", "many"],
        ["--warmup_ratio"],
        ["--evaluation_strategy", "often"],
        ["--no_cuda=maybe"],
        ["--per_gpu_train_batch_size", "0"],
    ):
        assert len(refused(*words, script=script).splitlines()) <= 2


def test_obsolete_flags_beside_others(capsys):
    flags = parse("--no_cuda", "--past_index", "-1", "--seed", "3", "--no-cuda", "false")
    assert (flags.use_cpu, flags.seed) == (True, 3)
    flags = parse("--push_to_hub_organization", "us", "--push_to_hub_model_id", "m")
    assert flags.hub_model_id == "us/m"
    # As in transformers, the obsolete name takes precedence.
    assert parse("--evaluation_strategy", "steps", "--eval_strategy", "no").eval_strategy == "steps"
    assert parse("--warmup_ratio", "0.0", "--warmup_steps", "5").warmup_steps == 5
    assert parse("--no_group_by_length", "--group_by_length").group_by_length is False
    assert parse("--no_group_by_length", "false", "--group_by_length").group_by_length is True
    capsys.readouterr()
