"""The processes of a run, and its precision."""

import os
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch

from encoder.architecture import Architecture
from settings.defaults import make_settings
from settings.trainer_flags import TrainerFlags, training_arguments
from support import reachability
from support.errors import UserError
from tests.helpers.flags import parse, settings_from
from training.runtime import (
    ask_hub,
    export_to_deepspeed,
    hardware_of,
    join_processes,
    start_trackers,
    training_precision,
)

BERT = Architecture("bert", half_precision=True)


@pytest.fixture
def embedded(monkeypatch, tmp_path):
    monkeypatch.setattr("settings.defaults.embedded_encoder", lambda: tmp_path)


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
def test_the_hub_is_contacted_only_if_it_is_needed(argv, expected, monkeypatch):
    requests = []
    monkeypatch.setattr(reachability, "hub_reachable", lambda: requests.append(1) or True)
    state = SimpleNamespace(is_main_process=True, num_processes=1)
    assert ask_hub(parse(*argv), state) is expected
    assert bool(requests) is expected


def test_processes_that_know_nothing_of_each_other_are_refused(monkeypatch):
    monkeypatch.setattr("accelerate.PartialState", lambda **options: "joined")

    def join(devices, use_cpu=False):
        monkeypatch.setattr("torch.accelerator.device_count", lambda: devices)
        return join_processes(use_cpu)

    assert join(0) == "joined"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert join(2) == join(0, use_cpu=True) == "joined"
    for count in (0, 1):
        with pytest.raises(UserError, match="ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2"):
            join(count)


def test_lone_processes_on_several_machines_are_refused(monkeypatch, snapshot):
    """One process on each machine: the number on this machine does not show the others."""
    monkeypatch.setattr("accelerate.PartialState", lambda **options: "joined")
    monkeypatch.setattr("torch.accelerator.device_count", lambda: 0)
    monkeypatch.setattr("sys.argv", ["train_trainer.py"])
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError) as error:
        join_processes(use_cpu=False)
    assert str(error.value) == snapshot


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("ACCELERATE_USE_MEGATRON_LM", "true", "Megatron-LM"),
        ("ACCELERATE_DYNAMO_BACKEND", "NONSENSE", "--dynamo_backend"),
    ],
)
def test_requests_of_the_launcher_that_cannot_be_met(variable, value, named, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"^{named} \\(from the launcher\\)"):
        join_processes(use_cpu=True)


def test_a_precision_of_the_launcher_that_is_not_one_of_training(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp8")
    with pytest.raises(UserError, match=r"fp8 \(from the launcher\): expected no, bf16 or fp16"):
        training_precision(None, True, BERT)


@pytest.mark.parametrize(
    ("argv", "launcher", "expected"),
    [
        (["--mixed_precision", "no"], "bf16", "no"),
        (["--mixed_precision", "fp16"], "no", "refused"),
        (["--bf16"], "no", "bf16"),
        (["--fp16"], None, "refused"),
        ([], "bf16", "bf16"),
        ([], "fp16", "refused"),
        # The launcher always exports "no", so the hardware decides.
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
    training = settings_from(*argv, "--use_cpu").training
    if expected == "refused":  # fp16 needs a GPU
        with pytest.raises(UserError, match=r"--mixed_precision fp16.*needs a GPU"):
            training_precision(training.mixed_precision, training.use_cpu, BERT)
        return
    if expected == "hardware":
        expected = "bf16" if fast else "no"
    assert training_precision(training.mixed_precision, training.use_cpu, BERT) == expected


@pytest.mark.parametrize(("limit", "precision"), [("avx2", "no"), ("AVX512_CORE_BF16", "bf16")])
def test_a_limit_of_onednn_decides_like_the_hardware(limit, precision, monkeypatch):
    """Emulated, a step in bf16 is many times slower than one in fp32."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert training_precision("", True, BERT) == precision


def test_an_architecture_that_fails_in_half_precision_is_trained_in_fp32(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    deberta = Architecture("deberta", half_precision=False)
    assert training_precision(None, True, deberta) == "no"
    assert training_precision("no", True, deberta) == "no"
    with pytest.raises(UserError, match=r"--mixed_precision bf16: deberta"):
        training_precision("bf16", True, deberta)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.raises(UserError, match=r"--mixed_precision bf16 \(from the launcher\): deberta"):
        training_precision(None, True, deberta)


@pytest.mark.parametrize(
    "exported,flags,expected",
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
def test_values_exported_by_a_deepspeed_launcher(exported, flags, expected, monkeypatch, embedded):
    """They apply unless a flag overrides them; DeepSpeed then gets the final values."""
    for name in ("ACCUMULATION_STEPS", "CLIPPING"):
        monkeypatch.setenv(f"ACCELERATE_GRADIENT_{name}", exported.get(name, ""))
    training = settings_from(*flags).training
    assert (training.gradient_accumulation_steps, training.max_grad_norm) == expected
    export_to_deepspeed(training)
    steps, norm = expected
    assert os.environ["ACCELERATE_GRADIENT_ACCUMULATION_STEPS"] == str(steps)
    assert os.environ["ACCELERATE_GRADIENT_CLIPPING"] == str(norm)


def test_a_gpu_of_another_kind_than_cuda_is_used_in_fp32(monkeypatch, tmp_path):
    """Such as a Mac's. Trainer needs an argument for it; the loop uses accelerate's default."""
    import torch

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for available, expected in ((True, "no"), (False, "bf16")):
        monkeypatch.setattr(
            torch.accelerator, "is_available", lambda available=available: available
        )
        flags = parse("--output_dir", str(tmp_path), script=TrainerFlags)
        settings = make_settings(flags, "", hub_ready=True)
        assert training_precision(None, settings.training.use_cpu, BERT) == expected
        assert training_arguments(flags, settings, "no").use_cpu == (not available)


# --- Trackers ---------------------------------------------------------------------------------


def test_tracker_that_cannot_be_started_is_a_user_error():
    class NoAccount:
        log_with = ("wandb",)

        def init_trackers(self, project, flags):
            raise RuntimeError("api_key not configured")

    with pytest.raises(UserError, match=r"--report_to wandb.*api_key not configured"):
        start_trackers(NoAccount(), "ner", {})


# --- The backend of the processes -------------------------------------------------------------


def test_processes_are_joined_through_the_requested_backend(monkeypatch):
    joined = []
    monkeypatch.setattr("accelerate.PartialState", lambda **options: joined.append(options))
    join_processes(True, "gloo", 60)  # one process has none
    monkeypatch.setenv("WORLD_SIZE", "2")
    join_processes(True, "gloo", 60)
    join_processes(True)
    assert joined == [
        {"cpu": True},
        {"cpu": True, "backend": "gloo", "timeout": timedelta(seconds=60)},
        {"cpu": True},
    ]


def test_backend_that_is_not_available(monkeypatch):
    def refuse(**options):
        raise ValueError("Your assigned backend nccl is not available")

    monkeypatch.setattr("accelerate.PartialState", refuse)
    with pytest.raises(UserError, match="--ddp_backend nccl"):
        join_processes(True, "nccl")


def test_the_hardware_of_devices():
    assert hardware_of(torch.device("cpu"))["threads"] == torch.get_num_threads()
    assert hardware_of(torch.device("mps")) == {"device": "mps"}  # torch knows no more about it
