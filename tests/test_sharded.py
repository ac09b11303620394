"""FSDP and DeepSpeed on two CPU processes that accelerate takes for GPUs.

Both must reach the same weights as plain processes (DDP), which are the reference.
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
    trains_without_padding,
    weights,
    without_dropout,
    write_corpus,
)

# The environment that `accelerate launch --use_fsdp --fsdp_version 2` gives its processes.
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
    """Make accelerate treat several CPU processes as several GPUs, which FSDP requires."""
    from accelerate import state
    from accelerate.utils import DistributedType

    init = state.PartialState.__init__

    def renamed(self, *args, **kwargs):
        init(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    state.PartialState.__init__ = renamed


def ignore_use_cpu() -> None:
    """Hide --use_cpu from accelerate, which would not use DeepSpeed then."""
    from accelerate import state

    init = state.AcceleratorState.__init__

    def without_cpu(self, *args, **kwargs):
        init(self, *args, **kwargs | {"cpu": False})

    state.AcceleratorState.__init__ = without_cpu


@pytest.fixture(scope="module")
def flags(tiny_encoder, tmp_path_factory) -> list:
    encoder = without_dropout(tiny_encoder, tmp_path_factory.mktemp("encoder") / "tiny")
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    flags = ["--model_name_or_path", encoder, *corpus, "--mixed_precision", "no"]
    flags += ["--num_train_epochs", 2, "--per_device_train_batch_size", 2, "--output_dir", "out"]
    flags += ["--gradient_accumulation_steps", 2, "--max_grad_norm", 0.1]
    # Without weight decay: sharded runs train whole embedding tables, plain runs the rows in use.
    flags += ["--learning_rate", 1e-2, "--layerwise_lr_decay", 0.5, "--weight_decay", 0]
    return [*flags, "--load_best_model_at_end"]


@pytest.fixture(scope="module")
def plain(flags, tmp_path_factory) -> Path:
    """Output folder of two plain processes."""
    folder = tmp_path_factory.mktemp("plain")
    assert trains_without_padding(run(LOOP, flags, folder, processes=2))
    return folder / "out"


def assert_same_model(sharded: Path, plain: Path) -> None:
    assert {path.name for path in plain.iterdir()} - {"epoch_0", "epoch_1"} <= {
        path.name for path in sharded.iterdir()
    }
    actual = load_file(sharded / "model.safetensors")
    # transformers saves a model that ZeRO 3 loaded under BERT's oldest parameter names.
    actual = {
        n.replace(".gamma", ".weight").replace(".beta", ".bias"): w for n, w in actual.items()
    }
    expected = load_file(plain / "model.safetensors")
    assert actual.keys() == expected.keys()
    for name, values in actual.items():
        np.testing.assert_allclose(values, expected[name], atol=2e-4, err_msg=name)


def check(script: str, flags: list, plain: Path, folder: Path, **options) -> None:
    """Train; resume from the first epoch's checkpoint; evaluate the plain model."""
    output = run(script, flags, folder / "straight", processes=2, **options)
    assert trains_without_padding(output)
    straight = folder / "straight" / "out"
    assert_same_model(straight, plain)

    resumed = folder / "resumed" / "out"
    resumed.mkdir(parents=True)
    (straight / EPOCH_0[script]).rename(resumed / EPOCH_0[script])
    flags_again = [*flags, "--resume_from_checkpoint"]
    output = run(script, flags_again, resumed.parent, processes=2, **options)
    assert EPOCH_0[script] in output
    assert weights(resumed) == weights(straight)

    evaluate = [*flags, "--do_eval", "--do_predict", "--model_name_or_path", plain]
    run(script, evaluate, folder / "scored", processes=2, **options)
    for name in RESULTS:
        assert (folder / "scored" / "out" / name).read_bytes() == (plain / name).read_bytes()


@pytest.mark.parametrize("script,policy", [(LOOP, {}), (TRAINER, BY_LAYER)])
def test_fsdp_reaches_the_same_weights(script, policy, flags, plain, tmp_path):
    check(script, flags, plain, tmp_path, before=take_processes_for_gpus, **FSDP, **policy)


@pytest.mark.parametrize("script", BOTH)
def test_an_unsharded_checkpoint_is_refused_under_fsdp(script, flags, plain, snapshot, tmp_path):
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
def test_deepspeed_reaches_the_same_weights(script, stage, flags, plain, tmp_path):
    options = {**DEEPSPEED, "ACCELERATE_DEEPSPEED_ZERO_STAGE": stage}
    check(script, [*flags, "--use_cpu"], plain, tmp_path, before=ignore_use_cpu, **options)
