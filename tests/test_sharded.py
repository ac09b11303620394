"""FSDP and DeepSpeed, on two processes of a CPU that accelerate is made to take for GPUs.

Neither is anything but another way to the same weights: plain processes (DDP) are the reference.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.helpers.messages import stable
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    TRAINER,
    error_message,
    run,
    weights,
    without_dropout,
    write_corpus,
)

# As `accelerate launch --use_fsdp --fsdp_version 2` says it to its processes.
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "FSDP_SYNC_MODULE_STATES": "true",
}
BY_LAYER = {"FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"}
DEEPSPEED = {
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1",  # the launcher's default
    "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL": "true",
    "ACCELERATE_USE_CPU": "false",
    "DS_ACCELERATOR": "cpu",
}
EPOCH_0 = {LOOP: "epoch_0", TRAINER: "checkpoint-7"}  # 50 windows by 2 x 2 x 2
RESULTS = ("eval_results.json", "predict_results.json", "predictions.txt")


def take_processes_for_gpus() -> None:
    """For FSDP: what accelerate does with several GPUs, it does with several processes."""
    from accelerate import state
    from accelerate.utils import DistributedType

    init = state.PartialState.__init__

    def renamed(self, *args, **kwargs):
        init(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    state.PartialState.__init__ = renamed


def take_no_notice_of_cpu() -> None:
    """For DeepSpeed, which accelerate leaves out where it is told to keep to the CPU."""
    from accelerate import state

    init = state.AcceleratorState.__init__

    def told_nothing(self, *args, **kwargs):
        init(self, *args, **kwargs | {"cpu": False})

    state.AcceleratorState.__init__ = told_nothing


@pytest.fixture(scope="module")
def flags(tiny_encoder, tmp_path_factory) -> list:
    encoder = without_dropout(tiny_encoder, tmp_path_factory.mktemp("encoder") / "tiny")
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    flags = ["--model_name_or_path", encoder, *corpus, "--mixed_precision", "no"]
    flags += ["--num_train_epochs", 2, "--per_device_train_batch_size", 2, "--output_dir", "out"]
    flags += ["--gradient_accumulation_steps", 2, "--max_grad_norm", 0.1]
    # Without decay: whole tables of embeddings are trained here, and elsewhere rows of them.
    return [*flags, "--learning_rate", 1e-2, "--weight_decay", 0, "--load_best_model_at_end"]


@pytest.fixture(scope="module")
def plain(flags, tmp_path_factory) -> Path:
    """What two plain processes leave."""
    folder = tmp_path_factory.mktemp("plain")
    run(LOOP, flags, folder, processes=2)
    return folder / "out"


def assert_same_model(sharded: Path, plain: Path) -> None:
    assert {path.name for path in plain.iterdir()} - {"epoch_0", "epoch_1"} <= {
        path.name for path in sharded.iterdir()
    }
    one = load_file(sharded / "model.safetensors")
    # transformers saves what it loaded for ZeRO 3 under BERT's oldest names.
    one = {n.replace(".gamma", ".weight").replace(".beta", ".bias"): w for n, w in one.items()}
    other = load_file(plain / "model.safetensors")
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_allclose(values, other[name], atol=2e-4, err_msg=name)


def check(script: str, flags: list, plain: Path, folder: Path, **options) -> None:
    """Train; train again from the first epoch's checkpoint; only score what was left."""
    run(script, flags, folder / "straight", processes=2, **options)
    left = folder / "straight" / "out"
    assert_same_model(left, plain)

    again = folder / "again" / "out"
    again.mkdir(parents=True)
    (left / EPOCH_0[script]).rename(again / EPOCH_0[script])
    output = run(script, [*flags, "--resume_from_checkpoint"], again.parent, processes=2, **options)
    assert EPOCH_0[script] in output
    assert weights(again) == weights(left)

    only = [*flags, "--do_eval", "--do_predict", "--model_name_or_path", plain]
    run(script, only, folder / "scored", processes=2, **options)
    for name in RESULTS:
        assert (folder / "scored" / "out" / name).read_bytes() == (plain / name).read_bytes()


@pytest.mark.parametrize("script,policy", [(LOOP, {}), (TRAINER, BY_LAYER)])
def test_fsdp_is_another_way_to_the_same_weights(script, policy, flags, plain, tmp_path):
    check(script, flags, plain, tmp_path, before=take_processes_for_gpus, **FSDP, **policy)


@pytest.mark.parametrize("script", BOTH)
def test_a_whole_checkpoint_is_not_taken_for_a_sharded_one(
    script, flags, plain, snapshot, tmp_path
):
    output = run(
        script,
        [*flags, "--output_dir", tmp_path / "out", "--resume_from_checkpoint", plain / "epoch_1"],
        tmp_path,
        processes=2,
        status=2,
        before=take_processes_for_gpus,
        **FSDP,
    )
    message = error_message(output)
    assert "FSDP" in message
    assert stable(message, tmp_path, plain) == snapshot


@pytest.mark.exhaustive
@pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed"
)
@pytest.mark.parametrize("stage", ["1", "2", "3"])
@pytest.mark.parametrize("script", BOTH)
def test_deepspeed_is_another_way_to_the_same_weights(script, stage, flags, plain, tmp_path):
    options = {**DEEPSPEED, "ACCELERATE_DEEPSPEED_ZERO_STAGE": stage}
    check(script, [*flags, "--use_cpu"], plain, tmp_path, before=take_no_notice_of_cpu, **options)
