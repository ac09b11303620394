"""Signals end a run with a checkpoint; disks, losses and processes may fail."""

import errno
import os
import shutil
import signal
import subprocess
from functools import partial

import pytest

from tests.helpers.checkpoints import MICRO_BATCH, complete, name_of
from tests.helpers.script_runs import (
    BOTH,
    CHECKSUM,
    LOOP,
    PREDICT_BATCH,
    TRAINER,
    Run,
    facts,
    interrupt,
    pause,
    run,
    weights,
)

# --- Signals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number,status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("script", BOTH)
def test_signal_ends_after_the_step_with_a_checkpoint(script, number, status, flags, tmp_path):
    flags = [*flags, "--max_steps", 6]
    before = partial(interrupt, MICRO_BATCH, 3, number)  # in the fourth step
    output = run(script, flags, tmp_path, status=status, before=before)
    assert "Traceback" not in output
    assert complete(tmp_path / "out") == [name_of(script, 4)]
    assert f"out/{name_of(script, 4)}" in output and "--resume_from_checkpoint" in output
    assert not (tmp_path / "out" / "model.safetensors").exists()
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    run(script, flags, tmp_path / "straight")
    assert weights(tmp_path / "out") == weights(tmp_path / "straight" / "out")


@pytest.mark.parametrize("schedule", ["reduce_lr_on_plateau", "greedy"])
def test_a_schedule_that_waits_for_scores_gets_the_one_that_a_signal_postponed(
    schedule, flags, tmp_path
):
    flags = [*flags, "--max_steps", 6, "--eval_strategy", "steps", "--eval_steps", 1]
    flags += ["--lr_scheduler_type", schedule, "--greater_is_better", "false"]
    flags += ["--lr_scheduler_kwargs", '{"patience": 0, "factor": 0.3}']
    before = partial(interrupt, MICRO_BATCH, 2, signal.SIGTERM)  # in the third step
    run(TRAINER, flags, tmp_path, status=143, before=before)
    run(TRAINER, [*flags, "--resume_from_checkpoint"], tmp_path)
    run(TRAINER, flags, tmp_path / "straight")
    straight, resumed = (facts(folder / "out") for folder in (tmp_path / "straight", tmp_path))
    rates = [row["learning_rate"] for row in straight["step_losses"]]
    assert len(set(rates)) > 1  # the scores matter
    assert [row["learning_rate"] for row in resumed["step_losses"]] == rates
    assert weights(tmp_path / "out") == weights(tmp_path / "straight" / "out")


@pytest.mark.parametrize("script", BOTH)
def test_second_signal_ends_immediately(script, flags, tmp_path):
    before = partial(interrupt, MICRO_BATCH, 3, pause)
    stuck = Run(script, [*flags, "--max_steps", 6], tmp_path, before=before)
    stuck.wait_for(lambda: "a long step" in stuck.output)
    stuck.send(signal.SIGTERM)
    stuck.wait_for(lambda: "Repeat to stop immediately." in stuck.output)
    stuck.send(signal.SIGTERM)
    assert stuck.wait(timeout=10) == [143]
    assert complete(tmp_path / "out") == []


def test_a_run_mentions_an_earlier_one_in_its_folder(flags, tmp_path):
    """A stopped run could be resumed; a finished one is about to be replaced."""
    flags = [*flags, "--max_steps", 6, "--save_total_limit", 9]
    stopped = {"status": 143, "before": partial(interrupt, MICRO_BATCH, 3, signal.SIGTERM)}
    offer = "to resume out/step_4: --resume_from_checkpoint"
    first = run(LOOP, flags, tmp_path, **stopped)
    assert "to resume" not in first and "replaces" not in first
    assert offer in run(LOOP, flags, tmp_path)
    again = run(LOOP, flags, tmp_path, **stopped)
    assert "replaces  the run in out" in again and "to resume" not in again
    assert offer in run(LOOP, flags, tmp_path, **stopped), "step_4 is newer than the finished run"
    resumed = run(LOOP, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert "to resume" not in resumed and "replaces" not in resumed


@pytest.mark.parametrize("script", BOTH)
def test_signal_in_the_last_evaluation_ends_the_run(script, flags, tmp_path):
    """Nothing is left to train, but a stopped run does not score the test split."""
    flags = [*flags, "--max_steps", 3, "--checkpointing_steps", "no"]
    before = partial(interrupt, PREDICT_BATCH, 0, signal.SIGTERM)
    run(script, flags, tmp_path, status=143, before=before)
    assert complete(tmp_path / "out") == [name_of(script, 3)]
    assert not (tmp_path / "out" / "predictions.txt").exists()
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert len(facts(tmp_path / "out")["history"]) == 1


@pytest.mark.parametrize("script", BOTH)
def test_two_processes_stop_together(script, flags, tmp_path):
    flags = [*flags, "--max_steps", 80, "--per_device_train_batch_size", 2]
    both = Run(script, flags, tmp_path, processes=2)
    both.wait_for(lambda: "loss=" in both.output)
    both.send(signal.SIGTERM, rank=1)
    assert both.wait() == [143, 143]
    assert len(complete(tmp_path / "out")) == 1


# --- Failing disks, losses, processes --------------------------------------------------------


@pytest.mark.parametrize("script", BOTH)
def test_loss_that_is_not_finite(script, flags, tmp_path):
    flags = [*flags, "--max_steps", 12, "--checkpointing_steps", 2]
    run(script, [*flags[:-2], "--max_steps", 2], tmp_path)
    good = weights(tmp_path / "out")
    kept = complete(tmp_path / "out")
    diverging = [*flags, "--learning_rate", 1e30, "--max_grad_norm", 0]
    output = run(script, diverging, tmp_path, status=2)
    assert "error: Training has diverged" in output and "--learning_rate" in output
    assert "Traceback" not in output
    # A loss that is neither logged nor saved before the end is detected at the end.
    quiet = ["--logging_steps", 500, "--checkpointing_steps", "no"]
    output = run(script, [*diverging, *quiet], tmp_path, status=2)
    assert "error: Training has diverged" in output
    assert weights(tmp_path / "out") == good
    assert set(kept) <= set(complete(tmp_path / "out"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, room for one checkpoint but not for three."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("script", BOTH)
def test_full_disk(script, flags, small_disk, tmp_path):
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 12, "--save_total_limit", 9]
    flags += ["--output_dir", small_disk / "out"]
    output = run(script, flags, tmp_path, status=2)
    assert "error: " in output and "Traceback" not in output
    assert "No space left" in output and str(small_disk) in output
    left = complete(small_disk / "out")
    assert left
    assert not list((small_disk / "out").glob(".*"))  # what could not be completed is removed
    for path in (small_disk / "out").iterdir():  # make room
        if path.name != left[-1]:
            shutil.rmtree(path)
    run(script, [*flags, "--save_total_limit", 1, "--resume_from_checkpoint"], tmp_path)


@pytest.mark.parametrize("script", BOTH)
def test_full_disk_while_checksums_are_computed(script, flags, tmp_path):
    """The same, injected where no file system can be mounted."""
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 6]
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    before = partial(interrupt, CHECKSUM, 12, full)
    output = run(script, flags, tmp_path, status=2, before=before)
    assert "No space left" in output and "Traceback" not in output
    assert complete(tmp_path / "out") == [name_of(script, 2)]


@pytest.mark.parametrize("script", BOTH)
def test_process_that_dies(script, flags, tmp_path):
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 400]
    both = Run(script, flags, tmp_path, processes=2)
    both.wait_for(lambda: (tmp_path / "out" / name_of(script, 4)).exists())
    both.send(signal.SIGKILL, rank=1)
    statuses = both.wait(timeout=60)
    assert statuses[1] == -signal.SIGKILL and statuses[0] == 1
    assert "another process of this run has died" in both.output
    assert complete(tmp_path / "out")
