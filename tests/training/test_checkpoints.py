"""Checkpoints are whole or not there; what is killed and resumed equals what never stopped."""

import errno
import json
import os
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from support.errors import UserError
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    TRAINER,
    Run,
    facts,
    interrupt,
    losses,
    pause,
    results,
    run,
    weights,
    write_corpus,
)
from training import checkpoints
from training.checkpoints import Progress

ALONE = SimpleNamespace(is_main_process=True, wait_for_everyone=lambda: None)
UPDATE = "common.token_loss"  # called once a batch
SETTINGS = ["--mixed_precision", "no", "--max_seq_length", 24, "--learning_rate", 1e-2]
SETTINGS += ["--logging_steps", 1, "--output_dir", "out"]


@pytest.fixture(scope="module")
def flags(tiny_encoder, tmp_path_factory) -> list:
    """A corpus, an encoder with dropout, and settings; 10 updates an epoch of batch 8."""
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    return ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS]


def whole(folder: Path) -> list[str]:
    """Names of the checkpoints, which are all whole; the newest last."""
    found = checkpoints.sort_checkpoints(folder)
    assert [checkpoints.damage(path) for path in found] == [None] * len(found)
    return [path.name for path in found]


def history(folder: Path) -> dict:
    """Every value of every epoch, by its number and name."""
    rows = facts(folder)["history"]
    return {f"{row['epoch']} {name}": value for row in rows for name, value in row.items()}


def name_of(script: str, step: int, epoch: int | None = None) -> str:
    """What a script calls its checkpoint of an update, or of an epoch's end."""
    if script == TRAINER:
        return f"checkpoint-{step}"
    return f"step_{step}" if epoch is None else f"epoch_{epoch}"


# --- Killed and resumed ---------------------------------------------------------------------


def kill_and_resume(script, flags, folder: Path, kills: list[tuple[str, int]], processes=1):
    """Train straight; train again, killed at each of `kills` and resumed; compare to the bit.

    A kill: the function in whose call it happens, and the number of the call in that session.
    """
    run(script, flags, folder / "straight", processes)
    number = 0
    for number, (where, call) in enumerate(kills):
        resume = ["--resume_from_checkpoint"] if number else []
        killed = Run(
            script,
            [*flags, *resume],
            folder / "killed",
            processes,
            before=partial(interrupt, where, call, signal.SIGKILL),
        )
        killed.wait_for(lambda k=killed: any(p.exitcode for p in k.processes))
        killed.send(signal.SIGKILL)
        assert -signal.SIGKILL in killed.wait()
        whole(folder / "killed" / "out")
    output = run(script, [*flags, "--resume_from_checkpoint"], folder / "killed", processes)
    straight, resumed = folder / "straight" / "out", folder / "killed" / "out"
    assert weights(straight) == weights(resumed)
    name = "predictions.txt"
    assert (straight / name).read_bytes() == (resumed / name).read_bytes()
    for name, value in results(straight).items():
        if name.startswith("train_"):
            continue
        assert value == results(resumed)[name], name
    assert history(resumed) == pytest.approx(history(straight), rel=1e-6)
    return output


@pytest.mark.parametrize("script", BOTH)
def test_killed_and_resumed_equals_straight(script, flags, tmp_path):
    """Twice within an epoch, with dropout, windows, length grouping and accumulation."""
    flags = [*flags, "--checkpointing_steps", 3, "--num_train_epochs", 2]
    flags += ["--per_device_train_batch_size", 4, "--gradient_accumulation_steps", 2]
    # In the 8th update, and, resumed from the 6th, in the 14th, which is in the second epoch.
    output = kill_and_resume(script, flags, tmp_path, [(UPDATE, 15), (UPDATE, 16)])
    assert name_of(script, 12) in output


@pytest.mark.parametrize("script", BOTH)
def test_killed_while_a_checkpoint_is_written(script, flags, tmp_path):
    """In the second checkpoint's files, of which there are at least six."""
    flags = [*flags, "--checkpointing_steps", 4, "--max_steps", 9]
    kill_and_resume(script, flags, tmp_path, [("checkpoints._crc32", 9)])
    assert not list((tmp_path / "killed" / "out").glob(".*"))


@pytest.mark.parametrize("script", BOTH)
def test_killed_in_evaluation_the_epoch_is_scored_after_all(script, flags, tmp_path):
    flags = [*flags, "--checkpointing_steps", 5, "--num_train_epochs", 2]
    kill_and_resume(script, flags, tmp_path, [("common.predict_batch", 0)])
    assert len(facts(tmp_path / "killed" / "out")["history"]) == 2


@pytest.mark.parametrize("script", BOTH)
def test_killed_with_the_model_saved_but_not_scored(script, flags, tmp_path):
    """The folder says whose the model is: the same command runs again, resumed or not."""
    flags = [*flags, "--max_steps", 2, "--per_device_eval_batch_size", 64]
    # One batch of validation windows, then that of the test split.
    before = partial(interrupt, "common.predict_batch", 1, signal.SIGKILL)
    assert Run(script, flags, tmp_path, before=before).wait() == [-signal.SIGKILL]
    saved = weights(tmp_path / "out")
    assert not (tmp_path / "out" / "predictions.txt").exists()
    for resume in (["--resume_from_checkpoint"], []):
        run(script, [*flags, *resume], tmp_path)
        assert weights(tmp_path / "out") == saved
        assert (tmp_path / "out" / "predictions.txt").exists()


@pytest.mark.exhaustive
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("grouping", ["--group_by_length", "--no_group_by_length"])
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("script", BOTH)
def test_killed_and_resumed_matrix(script, accumulation, grouping, processes, flags, tmp_path):
    flags = [*flags, "--checkpointing_steps", 2, "--num_train_epochs", 2, grouping]
    flags += ["--per_device_train_batch_size", 3, "--gradient_accumulation_steps", accumulation]
    kills = [(UPDATE, 5 * accumulation), (UPDATE, 4 * accumulation), ("checkpoints._crc32", 3)]
    if processes == 2:
        kills.pop()  # only the main process writes sums: the other would be waited for
    kill_and_resume(script, flags, tmp_path, kills, processes)


@pytest.mark.parametrize("script", BOTH)
def test_resumed_on_two_processes(script, flags, tmp_path):
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 6]
    flags += ["--per_device_train_batch_size", 3]
    kill_and_resume(script, flags, tmp_path, [(UPDATE, 5)], processes=2)


@pytest.mark.parametrize("script", BOTH)
def test_finished_run_resumes_to_the_same_model(script, flags, tmp_path):
    flags = [*flags, "--max_steps", 4]
    run(script, flags, tmp_path)
    first = weights(tmp_path / "out"), results(tmp_path / "out")
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    again = weights(tmp_path / "out"), results(tmp_path / "out")
    assert again[0] == first[0]
    kept = [name for name in first[1] if not name.startswith("train_")] + ["train_loss"]
    assert {n: again[1][n] for n in kept} == pytest.approx({n: first[1][n] for n in kept})


# --- What may not be resumed ----------------------------------------------------------------


@pytest.fixture(scope="module", params=BOTH)
def stopped(request, flags, tmp_path_factory):
    """Script, flags and folder of a run of 4 updates with checkpoints at 2 and 4."""
    folder = tmp_path_factory.mktemp("stopped")
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 4]
    run(request.param, flags, folder)
    return request.param, flags, folder


OTHER_CONDITIONS = {
    "--per_device_train_batch_size": ("4", "sentences a process"),
    "--gradient_accumulation_steps": ("2", "steps an update"),
    "--learning_rate": ("3e-3", "learning rate"),
    "--max_steps": ("5", "updates"),
    "--seed": ("1", "seed"),
    "--max_seq_length": ("20", "window length"),
    "--max_train_samples": ("44", "sentences of each split"),
    "--weight_decay": ("0.1", "weight decay"),
}


def test_every_other_condition_is_refused_by_name(stopped, tmp_path):
    script, flags, folder = stopped
    shutil.copytree(folder / "out", tmp_path / "out")
    for flag, (value, name) in OTHER_CONDITIONS.items():
        resume = [flag, value, "--resume_from_checkpoint"]
        output = run(script, [*flags, *resume], tmp_path, status=2)
        assert "other conditions" in output and f"  {name}" in output, output
    resume = ["--resume_from_checkpoint", "--overwrite_output_dir"]
    output = run(script, [*flags, *resume], tmp_path, processes=2, status=2)
    assert "processes: there 1, now 2" in output
    changed = Path(flags[flags.index("--train_file") + 1]).read_text() + "Kiwi B-FRUIT\n"
    (tmp_path / "train.conll").write_text(changed)
    flags = [*flags, "--train_file", "train.conll", *resume]
    output = run(script, flags, tmp_path, status=2)
    assert "  corpus" in output and "  labels" in output and "B-FRUIT" in output


def test_conditions_hold_all_that_changes_training(flags, tmp_path):
    """Flags that do not change training may differ, such as how often the loss is logged."""
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 4]
    run(LOOP, flags, tmp_path)
    first = weights(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "step_4")
    harmless = ["--logging_steps", 2, "--save_total_limit", 5, "--per_device_eval_batch_size", 3]
    run(LOOP, [*flags, *harmless, "--resume_from_checkpoint"], tmp_path)
    assert weights(tmp_path / "out") == first


# --- Damage ---------------------------------------------------------------------------------


def test_every_truncated_file_is_named_and_the_checkpoint_passed_over(stopped, tmp_path):
    script, flags, folder = stopped
    newest = whole(folder / "out")[-1]
    names = {p.relative_to(folder / "out" / newest) for p in (folder / "out" / newest).rglob("*")}
    assert len(names) >= 8
    conditions = json.loads((folder / "out" / newest / "checkpoint.json").read_text())["conditions"]
    for name in sorted(names, key=lambda name: name.name == "checkpoint.json"):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(folder / "out", tmp_path / "out", copy_function=shutil.copy2)
        os.truncate(
            tmp_path / "out" / newest / name, (folder / "out" / newest / name).stat().st_size // 2
        )
        problem = checkpoints.damage(tmp_path / "out" / newest)
        assert problem and problem.startswith(str(name))
        found = checkpoints.find_checkpoint("latest", tmp_path / "out", conditions)
        assert found.name == whole(folder / "out")[-2]
        with pytest.raises(UserError, match=str(name)):
            checkpoints.find_checkpoint(str(tmp_path / "out" / newest), tmp_path, conditions)
        (tmp_path / "out" / newest / name).unlink()
        assert checkpoints.damage(tmp_path / "out" / newest)
        found = checkpoints.find_checkpoint("latest", tmp_path / "out", conditions)
        assert found.name == whole(folder / "out")[-2]
    output = run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert f"damaged checkpoint: out/{newest}" in output
    assert weights(tmp_path / "out") == weights(folder / "out")
    assert newest in whole(tmp_path / "out")  # the damaged one was replaced


def test_one_flipped_bit_is_damage(stopped, tmp_path):
    _, _, folder = stopped
    newest = folder / "out" / whole(folder / "out")[-1]
    shutil.copytree(newest, tmp_path / "copy")
    path = tmp_path / "copy" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert checkpoints.damage(tmp_path / "copy") == "model.safetensors is not what was written"


def test_no_whole_checkpoint_is_said(tmp_path):
    with pytest.raises(UserError, match="no whole checkpoint in"):
        checkpoints.find_checkpoint("latest", tmp_path, {})
    (tmp_path / "epoch_0").mkdir()
    with pytest.raises(UserError, match="no whole checkpoint in"):
        checkpoints.find_checkpoint("latest", tmp_path, {})


# --- Writing, keeping, choosing -------------------------------------------------------------


def write(folder: Path, text: str = "x", progress: Progress | None = None) -> None:
    with checkpoints.written_whole(folder, ALONE, {"a": 1}, progress or Progress()) as partial:
        (partial / "file").write_text(text)
        (partial / "below").mkdir()
        (partial / "below" / "file").write_text(text)


def test_folder_has_its_name_only_when_whole(tmp_path):
    folder = tmp_path / "epoch_0"
    with checkpoints.written_whole(folder, ALONE, {}, Progress(step=3)) as partial:
        (partial / "file").write_text("x")
        assert not folder.exists()
        assert checkpoints.sort_checkpoints(tmp_path) == []
    assert checkpoints.damage(folder) is None
    assert checkpoints.read_progress(folder).step == 3


def test_failed_writing_leaves_the_old_one_and_nothing_else(tmp_path):
    write(tmp_path / "epoch_0", "old")
    with (
        pytest.raises(ZeroDivisionError),
        checkpoints.written_whole(tmp_path / "epoch_0", ALONE, {}, Progress()) as partial,
    ):
        (partial / "file").write_text("new")
        raise ZeroDivisionError
    assert (tmp_path / "epoch_0" / "file").read_text() == "old"
    assert checkpoints.damage(tmp_path / "epoch_0") is None
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_0"]


@pytest.mark.parametrize("call", range(12))
def test_at_every_moment_of_replacing_there_is_a_whole_one(call, tmp_path, monkeypatch):
    """Stopped dead before any of the calls that change the disk, the old or new one is whole."""

    class Dead(BaseException):
        pass

    write(tmp_path / "epoch_0", "older")
    write(tmp_path / "epoch_1", "old")
    calls = iter(range(100))

    def dying(function):
        def wrapped(*args, **kwargs):
            if next(calls) == call:
                raise Dead
            return function(*args, **kwargs)

        return wrapped

    for owner, name in ((os, "fsync"), (os, "rename"), (os, "unlink"), (os, "rmdir")):
        monkeypatch.setattr(owner, name, dying(getattr(os, name)))
    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))
    monkeypatch.setattr(shutil, "rmtree", dying(shutil.rmtree))
    try:
        write(tmp_path / "epoch_1", "new")
        checkpoints.delete_old(tmp_path, 1, Progress(), ALONE)
        done = True
    except Dead:
        done = False
    monkeypatch.undo()
    found = whole(tmp_path)
    assert found
    texts = {name: (tmp_path / name / "file").read_text() for name in found}
    assert set(texts.items()) <= {("epoch_0", "older"), ("epoch_1", "old"), ("epoch_1", "new")}
    if done:
        assert texts == {"epoch_1": "new"}


def test_leftovers_of_killed_runs_go(tmp_path):
    for name in (".step_3.partial", ".epoch_0.deleted"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / ".mine").mkdir()
    write(tmp_path / "epoch_1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "epoch_1"]


def test_oldest_go_first_and_the_best_stays(tmp_path):
    progress = Progress(best_checkpoint="epoch_1")
    for number in range(5):
        write(tmp_path / f"epoch_{number}")
        checkpoints.delete_old(tmp_path, 2, progress, ALONE)
    assert whole(tmp_path) == ["epoch_1", "epoch_3", "epoch_4"]
    checkpoints.delete_old(tmp_path, None, progress, ALONE)
    assert len(whole(tmp_path)) == 3
    checkpoints.delete_old(tmp_path, 1, progress, ALONE)
    assert whole(tmp_path) == ["epoch_1", "epoch_4"]


def test_other_folders_are_no_checkpoints(tmp_path):
    for name in (
        "epoch_x",
        "step_",
        "checkpoint-1a",
        "my_epoch_1",
        "epoch_1.bak",
        ".epoch_1.partial",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "epoch_9").write_text("a file")
    write(tmp_path / "step_10")
    write(tmp_path / "step_9")  # the newest is the one written last, whatever its number
    assert whole(tmp_path) == ["step_10", "step_9"]
    checkpoints.delete_old(tmp_path, 1, Progress(), ALONE)
    assert (tmp_path / "epoch_1.bak").is_dir() and whole(tmp_path) == ["step_9"]


@pytest.mark.parametrize(
    "scores,greater,best,without_better",
    [
        ([0.1, 0.5, 0.4], True, 1, 1),
        ([0.5, 0.5, 0.5], True, 0, 2),  # the first of equals
        ([3.0, 1.0, 2.0, 0.5], False, 3, 0),
        ([0.0, 0.0], True, 0, 1),
    ],
)
def test_best_score_and_epochs_since(scores, greater, best, without_better):
    progress = Progress()
    for number, score in enumerate(scores):
        progress.note_score(score, greater, f"epoch_{number}")
    assert progress.best_checkpoint == f"epoch_{best}"
    assert progress.best_score == scores[best]
    assert progress.epochs_without_better == without_better


def test_progress_comes_back_as_it_was(tmp_path):
    progress = Progress(7, 1 / 3, 0.1, [{"step": 1, "loss": 2 / 3, "learning_rate": 1e-5}])
    write(tmp_path / "epoch_0", progress=progress)
    assert checkpoints.read_progress(tmp_path / "epoch_0") == progress


# --- Signals --------------------------------------------------------------------------------


@pytest.mark.parametrize("number,status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("script", BOTH)
def test_signal_ends_after_the_step_with_a_checkpoint(script, number, status, flags, tmp_path):
    flags = [*flags, "--max_steps", 6]
    before = partial(interrupt, UPDATE, 3, number)  # in the fourth update
    output = run(script, flags, tmp_path, status=status, before=before)
    assert "Traceback" not in output
    assert whole(tmp_path / "out") == [name_of(script, 4)]
    assert f"out/{name_of(script, 4)}" in output and "--resume_from_checkpoint" in output
    assert not (tmp_path / "out" / "model.safetensors").exists()
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    run(script, flags, tmp_path / "straight")
    assert weights(tmp_path / "out") == weights(tmp_path / "straight" / "out")


@pytest.mark.parametrize("script", BOTH)
def test_second_signal_ends_at_once(script, flags, tmp_path):
    before = partial(interrupt, UPDATE, 3, pause)
    stuck = Run(script, [*flags, "--max_steps", 6], tmp_path, before=before)
    stuck.wait_for(lambda: "a long step" in stuck.output)
    stuck.send(signal.SIGTERM)
    stuck.wait_for(lambda: "once more to stop at once" in stuck.output)
    stuck.send(signal.SIGTERM)
    assert stuck.wait(timeout=10) == [143]
    assert whole(tmp_path / "out") == []


def test_a_run_tells_of_an_earlier_one_in_its_folder(flags, tmp_path):
    """A stopped one could be gone on with; a finished one is about to be replaced."""
    flags = [*flags, "--max_steps", 6, "--save_total_limit", 9]
    stopped = {"status": 143, "before": partial(interrupt, UPDATE, 3, signal.SIGTERM)}
    anew = "--resume_from_checkpoint would go on from out/step_4"
    first = run(LOOP, flags, tmp_path, **stopped)
    assert "would go on" not in first and "replaces" not in first
    assert anew in run(LOOP, flags, tmp_path)
    again = run(LOOP, flags, tmp_path, **stopped)
    assert "replaces  the run that is in out" in again and "would go on" not in again
    assert anew in run(LOOP, flags, tmp_path, **stopped), "step_4 is newer than the finished run"
    resumed = run(LOOP, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert "would go on" not in resumed and "replaces" not in resumed


@pytest.mark.parametrize("script", BOTH)
def test_signal_in_the_last_evaluation_is_heeded(script, flags, tmp_path):
    """Nothing is left to train, but a run that was told to stop does not score the test split."""
    flags = [*flags, "--max_steps", 3, "--checkpointing_steps", "no"]
    before = partial(interrupt, "common.predict_batch", 0, signal.SIGTERM)
    run(script, flags, tmp_path, status=143, before=before)
    assert whole(tmp_path / "out") == [name_of(script, 3)]
    assert not (tmp_path / "out" / "predictions.txt").exists()
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert len(facts(tmp_path / "out")["history"]) == 1


@pytest.mark.parametrize("script", BOTH)
def test_two_processes_stop_together(script, flags, tmp_path):
    flags = [*flags, "--max_steps", 40, "--per_device_train_batch_size", 2]
    both = Run(script, flags, tmp_path, processes=2)
    both.wait_for(lambda: "loss=" in both.output)
    both.send(signal.SIGTERM, rank=1)
    assert both.wait() == [143, 143]
    assert len(whole(tmp_path / "out")) == 1


# --- Disks, losses and ranks that fail ------------------------------------------------------


@pytest.mark.parametrize("script", BOTH)
def test_loss_that_is_not_finite(script, flags, tmp_path):
    flags = [*flags, "--max_steps", 12, "--checkpointing_steps", 2]
    run(script, [*flags[:-2], "--max_steps", 2], tmp_path)
    good = weights(tmp_path / "out")
    kept = whole(tmp_path / "out")
    diverging = [*flags, "--learning_rate", 1e30, "--max_grad_norm", 0]
    output = run(script, diverging, tmp_path, status=2)
    assert "error: The loss is " in output and "--learning_rate" in output
    assert "Traceback" not in output
    # Neither logged nor saved before the end, it is seen at the end.
    quiet = ["--logging_steps", 500, "--checkpointing_steps", "no"]
    output = run(script, [*diverging, *quiet], tmp_path, status=2)
    assert "error: The loss is " in output
    assert weights(tmp_path / "out") == good
    assert set(kept) <= set(whole(tmp_path / "out"))


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
    left = whole(small_disk / "out")
    assert left
    assert not list((small_disk / "out").glob(".*"))  # what could not be written is gone
    for path in (small_disk / "out").iterdir():  # room is made
        if path.name != left[-1]:
            shutil.rmtree(path)
    run(script, [*flags, "--save_total_limit", 1, "--resume_from_checkpoint"], tmp_path)


@pytest.mark.parametrize("script", BOTH)
def test_no_space_while_the_sums_are_written(script, flags, tmp_path):
    """The same, injected where no file system can be mounted."""
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 6]
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    before = partial(interrupt, "checkpoints._crc32", 12, full)
    output = run(script, flags, tmp_path, status=2, before=before)
    assert "No space left" in output and "Traceback" not in output
    assert whole(tmp_path / "out") == [name_of(script, 2)]


@pytest.mark.parametrize("script", BOTH)
def test_dead_rank(script, flags, tmp_path):
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 400]
    both = Run(script, flags, tmp_path, processes=2)
    both.wait_for(lambda: (tmp_path / "out" / name_of(script, 4)).exists())
    both.send(signal.SIGKILL, rank=1)
    statuses = both.wait(timeout=60)
    assert statuses[1] == -signal.SIGKILL and statuses[0] == 1
    assert "another process of this run has died" in both.output
    assert whole(tmp_path / "out")


# --- The best epoch -------------------------------------------------------------------------


def expected_best(history: list[dict], name: str, greater: bool) -> int:
    scores = [row[f"eval_{name}"] for row in history]
    return int(np.argmax(scores) if greater else np.argmin(scores))


@pytest.mark.parametrize("metric,greater", [("f1", True), ("loss", False)])
@pytest.mark.parametrize("script", BOTH)
def test_model_saved_is_the_one_that_scored_best(script, metric, greater, flags, tmp_path):
    # At a constant rate the scores rise and fall.
    flags = [*flags, "--num_train_epochs", 10, "--lr_scheduler_type", "constant"]
    flags += ["--save_total_limit", 1]
    flags += ["--metric_for_best_model", metric, "--load_best_model_at_end"]
    run(script, flags, tmp_path)
    rows = facts(tmp_path / "out")["history"]
    best = expected_best(rows, metric, greater)
    assert best != len(rows) - 1, "this test needs a best epoch that is not the last"
    assert results(tmp_path / "out")[f"eval_{metric}"] == rows[best][f"eval_{metric}"]
    names = [name_of(script, row["step"], row["epoch"]) for row in (rows[best], rows[-1])]
    assert whole(tmp_path / "out") == names
    assert weights(tmp_path / "out") == weights(tmp_path / "out" / names[0])
    assert weights(tmp_path / "out") != weights(tmp_path / "out" / names[1])


@pytest.mark.parametrize("script", BOTH)
def test_early_stopping_after_patience(script, flags, tmp_path):
    flags = [*flags, "--num_train_epochs", 9, "--lr_scheduler_type", "constant"]
    flags += ["--early_stopping_patience", 2, "--metric_for_best_model", "loss"]
    run(script, flags, tmp_path)
    rows = facts(tmp_path / "out")["history"]
    assert len(rows) < 9
    assert expected_best(rows, "loss", greater=False) == len(rows) - 3
    last = name_of(script, rows[-1]["step"], rows[-1]["epoch"])
    assert weights(tmp_path / "out") == weights(tmp_path / "out" / last)
    # Resumed, it has nothing left to do.
    first = weights(tmp_path / "out")
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert len(facts(tmp_path / "out")["history"]) == len(rows)
    assert weights(tmp_path / "out") == first


def test_both_scripts_stop_and_choose_alike(flags, tmp_path):
    flags = [*flags, "--num_train_epochs", 9, "--lr_scheduler_type", "constant"]
    flags += ["--load_best_model_at_end", "--early_stopping_patience", 2]
    for script in BOTH:
        run(script, flags, tmp_path / script)
    one, other = (tmp_path / script / "out" for script in BOTH)
    histories = [facts(folder)["history"] for folder in (one, other)]
    assert [row["step"] for row in histories[0]] == [row["step"] for row in histories[1]]
    np.testing.assert_allclose(losses(one), losses(other), rtol=1e-5)
    assert results(one)["eval_f1"] == results(other)["eval_f1"]


@pytest.mark.parametrize("script", BOTH)
def test_best_epoch_must_be_there_when_resumed(script, flags, tmp_path):
    flags = [*flags, "--load_best_model_at_end", "--num_train_epochs", 2]
    before = partial(interrupt, "common.token_loss", 13, signal.SIGKILL)
    assert Run(script, flags, tmp_path, before=before).wait() == [-signal.SIGKILL]
    (first,) = whole(tmp_path / "out")
    shutil.move(tmp_path / "out" / first, tmp_path / "elsewhere")
    resume = ["--resume_from_checkpoint", "elsewhere"]
    output = run(script, [*flags, *resume], tmp_path, status=2)
    assert "--load_best_model_at_end" in output and first in output


@pytest.mark.parametrize("script", BOTH)
def test_steps_checkpoints_cannot_hold_the_best_epoch(script, flags, tmp_path):
    flags = [*flags, "--load_best_model_at_end", "--checkpointing_steps", 3]
    output = run(script, flags, tmp_path, status=2)
    assert "--load_best_model_at_end needs a checkpoint of each epoch" in output
