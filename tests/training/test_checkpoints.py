"""Checkpoints are complete or absent; a run that is killed and resumed equals a straight one."""

import json
import os
import shlex
import shutil
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.errors import UserError
from support.manifests import checkpoint_folders
from support.work_folder import work_folder
from tests.helpers.checkpoints import ALONE, MICRO_BATCH, PLAN, complete, history, name_of
from tests.helpers.messages import stable
from tests.helpers.script_runs import (
    BOTH,
    CHECKSUM,
    LOOP,
    PREDICT_BATCH,
    Run,
    facts,
    interrupt,
    losses,
    results,
    run,
    weights,
)
from training.checkpoints import (
    checkpoint_path,
    checkpoint_staged,
    damage,
    delete_old,
    find_checkpoint,
    other_hardware,
    read_progress,
)
from training.progress import Progress

# --- Killed and resumed ----------------------------------------------------------------------


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
        complete(folder / "killed" / "out")
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
    # In the 8th step, and, resumed from the 6th, in the 14th, which is in the second epoch.
    output = kill_and_resume(script, flags, tmp_path, [(MICRO_BATCH, 15), (MICRO_BATCH, 16)])
    assert name_of(script, 12) in output


@pytest.mark.parametrize("script", BOTH)
def test_killed_while_a_checkpoint_is_written(script, flags, tmp_path):
    """In the second checkpoint's files, of which there are at least six."""
    flags = [*flags, "--checkpointing_steps", 4, "--max_steps", 9]
    kill_and_resume(script, flags, tmp_path, [(CHECKSUM, 9)])
    assert not list((tmp_path / "killed" / "out").glob(".*"))


@pytest.mark.parametrize("script", BOTH)
def test_killed_in_evaluation_the_epoch_is_scored_after_all(script, flags, tmp_path):
    flags = [*flags, "--checkpointing_steps", 5, "--num_train_epochs", 2]
    kill_and_resume(script, flags, tmp_path, [(PREDICT_BATCH, 0)])
    assert len(facts(tmp_path / "killed" / "out")["history"]) == 2


@pytest.mark.parametrize("script", BOTH)
def test_killed_with_the_model_saved_but_not_scored(script, flags, tmp_path):
    """The folder identifies its run: the same command runs again, resumed or not."""
    flags = [*flags, "--max_steps", 2, "--per_device_eval_batch_size", 64]
    # One batch of validation windows, then that of the test split.
    before = partial(interrupt, PREDICT_BATCH, 1, signal.SIGKILL)
    assert Run(script, flags, tmp_path, before=before).wait() == [-signal.SIGKILL]
    saved = weights(tmp_path / "out")
    assert not (tmp_path / "out" / "predictions.txt").exists()
    for resume in (["--resume_from_checkpoint"], []):
        run(script, [*flags, *resume], tmp_path)
        assert weights(tmp_path / "out") == saved
        assert (tmp_path / "out" / "predictions.txt").exists()


@pytest.mark.exhaustive
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("grouping", [[], ["--group_by_length"]], ids=["random", "grouped"])
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("script", BOTH)
def test_killed_and_resumed_matrix(script, accumulation, grouping, processes, flags, tmp_path):
    flags = [*flags, "--checkpointing_steps", 2, "--num_train_epochs", 2, *grouping]
    flags += ["--per_device_train_batch_size", 3, "--gradient_accumulation_steps", accumulation]
    kills = [
        (MICRO_BATCH, 5 * accumulation),
        (MICRO_BATCH, 4 * accumulation),
        (CHECKSUM, 3),
    ]
    if processes == 2:
        kills.pop()  # only the main process computes checksums; the test would wait for the other
    kill_and_resume(script, flags, tmp_path, kills, processes)


@pytest.mark.parametrize("script", BOTH)
def test_resumed_on_two_processes(script, flags, tmp_path):
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 6, "--load_best_model_at_end"]
    flags += ["--per_device_train_batch_size", 3, "--eval_strategy", "steps", "--eval_steps", 1]
    kill_and_resume(script, flags, tmp_path, [(MICRO_BATCH, 5)], processes=2)


@pytest.mark.parametrize("script", BOTH)
def test_finished_run_resumes_to_the_same_model(script, flags, tmp_path):
    flags = [*flags, "--max_steps", 4]
    run(script, flags, tmp_path)
    first = weights(tmp_path / "out"), results(tmp_path / "out")
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    again = weights(tmp_path / "out"), results(tmp_path / "out")
    assert again[0] == first[0]
    kept = [name for name in first[1] if not name.startswith("train_")] + ["train_loss"]
    numbers = [name for name in kept if isinstance(first[1][name], float)]
    assert {n: again[1][n] for n in numbers} == pytest.approx({n: first[1][n] for n in numbers})
    others = [name for name in kept if name not in numbers]  # intervals of the same predictions
    assert {n: again[1][n] for n in others} == {n: first[1][n] for n in others}


# --- What may not be resumed -----------------------------------------------------------------


@pytest.fixture(scope="module", params=BOTH)
def stopped(request, flags, tmp_path_factory):
    """Script, flags and folder of a run of 4 steps with checkpoints at 2 and 4."""
    folder = tmp_path_factory.mktemp("stopped")
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 4]
    run(request.param, flags, folder)
    return request.param, flags, folder


OTHER_CONDITIONS = {
    "--per_device_train_batch_size": ("4", "per_device_train_batch_size"),
    "--gradient_accumulation_steps": ("2", "gradient_accumulation_steps"),
    "--learning_rate": ("3e-3", "learning_rate"),
    "--max_steps": ("5", "steps"),
    "--seed": ("1", "seed"),
    "--data_seed": ("1", "data_seed"),
    "--max_seq_length": ("20", "window length"),
    "--max_train_samples": ("44", "sentences of each split"),
    "--weight_decay": ("0.1", "weight_decay"),
    "--label_smoothing_factor": ("0.1", "label_smoothing_factor"),
    "--optim": ("sgd", "optim"),
    "--adam_beta1": ("0.8", "adam_beta1"),
    "--metric_for_best_model": ("loss", "best score"),
}


def test_every_other_condition_is_refused_by_name(stopped, tmp_path):
    script, flags, folder = stopped
    shutil.copytree(folder / "out", tmp_path / "out")
    for flag, (value, name) in OTHER_CONDITIONS.items():
        resume = [flag, value, "--resume_from_checkpoint"]
        output = run(script, [*flags, *resume], tmp_path, status=2)
        assert f"  {name}" in output, output
    shutil.copytree(flags[flags.index("--model_name_or_path") + 1], tmp_path / "uncased")
    options = json.loads((tmp_path / "uncased" / "tokenizer_config.json").read_text())
    options["do_lower_case"] = True
    (tmp_path / "uncased" / "tokenizer_config.json").write_text(json.dumps(options))
    resume = ["--resume_from_checkpoint", "--overwrite_output_dir"]
    output = run(script, [*flags, "--tokenizer_name", "uncased", *resume], tmp_path, status=2)
    assert "  tokenizer" in output
    output = run(script, [*flags, *resume], tmp_path, processes=2, status=2)
    assert "processes: 1 in the checkpoint, 2 in this run" in output
    changed = Path(flags[flags.index("--train_file") + 1]).read_text() + "Kiwi B-FRUIT\n"
    (tmp_path / "train.conll").write_text(changed)
    flags = [*flags, "--train_file", "train.conll", *resume]
    output = run(script, flags, tmp_path, status=2)
    assert "  corpus" in output and "  labels" in output and "B-FRUIT" in output


def test_a_longer_run_is_told_how_to_train_on(tmp_path, snapshot):
    plan = SimpleNamespace(
        identity={},
        conditions={"steps": 30, "num_train_epochs": 3.0, "seed": 42},
        hardware={},
    )
    folder, work = tmp_path / "epoch_2", work_folder(tmp_path)
    with checkpoint_staged(folder, plan, Progress(step=30), ALONE, work) as partial_folder:
        (partial_folder / "file").write_text("x")
    longer = {"steps": 60, "num_train_epochs": 6.0, "seed": 42}
    for conditions in (longer, longer | {"seed": 1}):
        with pytest.raises(UserError) as error:
            find_checkpoint("latest", tmp_path, conditions)
        assert stable(str(error.value), tmp_path) == snapshot
    assert find_checkpoint("latest", tmp_path, plan.conditions) == tmp_path / "epoch_2"


def test_digests_are_not_shown(tmp_path, snapshot):
    plan = SimpleNamespace(
        identity={}, conditions={"corpus": "a b.conll 0f1e", "tokenizer": "2d3c"}, hardware={}
    )
    folder, work = tmp_path / "epoch_2", work_folder(tmp_path)
    with checkpoint_staged(folder, plan, Progress(step=30), ALONE, work) as partial_folder:
        (partial_folder / "file").write_text("x")
    for corpus in ("a b.conll 4b5a", "c.conll 4b5a"):
        with pytest.raises(UserError) as error:
            find_checkpoint("latest", tmp_path, {"corpus": corpus, "tokenizer": "6978"})
        assert stable(str(error.value), tmp_path) == snapshot


def test_a_refusal_to_resume_for_longer_names_the_best_checkpoint(tmp_path, snapshot):
    work = work_folder(tmp_path)
    for epoch, best in enumerate(("epoch_0", "epoch_0")):
        conditions = {"num_train_epochs": 2.0}
        plan = SimpleNamespace(identity={}, conditions=conditions, hardware={})
        progress = Progress(step=10 + 10 * epoch, best_checkpoint=best)
        with checkpoint_staged(tmp_path / f"epoch_{epoch}", plan, progress, ALONE, work) as folder:
            (folder / "file").write_text("x")
    for name in ("epoch_0", "epoch_1"):
        with pytest.raises(UserError) as error:
            find_checkpoint(str(tmp_path / name), tmp_path, {"num_train_epochs": 3.0})
        assert stable(str(error.value), tmp_path) == snapshot


@pytest.mark.parametrize("script", BOTH)
def test_a_new_run_trains_on_from_a_checkpoint(script, flags, tmp_path):
    """By the command that the refusal to resume with more epochs names."""
    first = [*flags, "--output_dir", "it's out"]
    run(script, [*first, "--num_train_epochs", 1], tmp_path)
    resume = ["--num_train_epochs", 2, "--resume_from_checkpoint"]
    output = run(script, [*first, *resume], tmp_path, status=2)
    command = output[output.index("--model_name_or_path") :].replace("NEW_FOLDER", "new")
    run(script, [*flags, *shlex.split(command), "--num_train_epochs", 1], tmp_path)
    before, after = (losses(tmp_path / name)[:, 0] for name in ("it's out", "new"))
    assert after[0] < before[0] / 2


def test_conditions_hold_all_that_changes_training(flags, tmp_path):
    """Flags that do not change training may differ, such as how often the loss is logged."""
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 4]
    run(LOOP, flags, tmp_path)
    first = weights(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "step_4")
    harmless = ["--logging_steps", 2, "--save_total_limit", 5, "--per_device_eval_batch_size", 3]
    run(LOOP, [*flags, *harmless, "--resume_from_checkpoint"], tmp_path)
    assert weights(tmp_path / "out") == first


def test_the_hardware_is_compared_below_the_same_device(tmp_path):
    folder = tmp_path / "epoch_0"
    write(folder)
    path = folder / "checkpoint.json"
    hardware = {"device": "cpu", "instructions": "AVX512", "threads": 8}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hardware": hardware}))
    assert other_hardware(folder, hardware) is None
    assert "(threads 8 there, 2 here)" in other_hardware(folder, hardware | {"threads": 2})
    assert "(device cpu there, H100 here)" in other_hardware(folder, {"device": "H100"})


def test_other_hardware_is_said_and_resumed_on(stopped, tmp_path):
    """Its weights are not those of an uninterrupted run to the bit."""
    script, flags, folder = stopped
    shutil.copytree(folder / "out", tmp_path / "out")
    path = tmp_path / "out" / complete(tmp_path / "out")[-1] / "checkpoint.json"
    manifest = json.loads(path.read_text())
    assert manifest["hardware"]["device"] == "cpu"
    assert set(manifest["hardware"]) == {"device", "instructions", "threads"}
    output = run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert "hardware" not in output
    path.write_text(json.dumps(manifest | {"hardware": manifest["hardware"] | {"threads": 64}}))
    output = run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert "threads 64 there, 1 here" in " ".join(output.split())
    del manifest["hardware"]  # of an earlier version
    path.write_text(json.dumps(manifest))
    output = run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert "hardware" not in output


# --- Damage ----------------------------------------------------------------------------------


def test_every_truncated_file_is_named_and_the_checkpoint_skipped(stopped, tmp_path):
    script, flags, folder = stopped
    newest = complete(folder / "out")[-1]
    names = {p.relative_to(folder / "out" / newest) for p in (folder / "out" / newest).rglob("*")}
    assert len(names) >= 8
    conditions = json.loads((folder / "out" / newest / "checkpoint.json").read_text())["conditions"]
    for name in sorted(names, key=lambda name: name.name == "checkpoint.json"):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(folder / "out", tmp_path / "out", copy_function=shutil.copy2)
        os.truncate(
            tmp_path / "out" / newest / name, (folder / "out" / newest / name).stat().st_size // 2
        )
        problem = damage(tmp_path / "out" / newest)
        assert problem and problem.startswith(str(name))
        checkpoint = find_checkpoint("latest", tmp_path / "out", conditions)
        assert checkpoint.name == complete(folder / "out")[-2]
        with pytest.raises(UserError, match=str(name)):
            find_checkpoint(str(tmp_path / "out" / newest), tmp_path, conditions)
        (tmp_path / "out" / newest / name).unlink()
        assert damage(tmp_path / "out" / newest)
        checkpoint = find_checkpoint("latest", tmp_path / "out", conditions)
        assert checkpoint.name == complete(folder / "out")[-2]
    output = run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert f"out/{newest}: damaged checkpoint" in output
    assert weights(tmp_path / "out") == weights(folder / "out")
    # Without its manifest the damaged one is not known to be ours: it stays.
    assert complete(tmp_path / "out")[-1] == f"{newest}.2"


def test_one_flipped_bit_is_damage(stopped, tmp_path):
    _, _, folder = stopped
    newest = folder / "out" / complete(folder / "out")[-1]
    shutil.copytree(newest, tmp_path / "copy")
    path = tmp_path / "copy" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert damage(tmp_path / "copy").startswith("model.safetensors ")


def test_a_checkpoint_that_another_machine_may_have(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    for requested in ("latest", str(tmp_path / "step_1")):
        with pytest.raises(UserError, match="that one with --node_rank 0"):
            find_checkpoint(requested, tmp_path, {})


def test_missing_checkpoint_is_reported(tmp_path):
    with pytest.raises(UserError, match="holds no complete checkpoint"):
        find_checkpoint("latest", tmp_path, {})
    (tmp_path / "epoch_0").mkdir()
    with pytest.raises(UserError, match="holds no complete checkpoint"):
        find_checkpoint("latest", tmp_path, {})


# --- Writing, keeping, choosing --------------------------------------------------------------


def write(folder: Path, text: str = "x", progress: Progress | None = None) -> None:
    with checkpoint_staged(
        folder, PLAN, progress or Progress(), ALONE, work_folder(folder.parent)
    ) as partial:
        (partial / "file").write_text(text)
        (partial / "below").mkdir()
        (partial / "below" / "file").write_text(text)


def test_a_checkpoint_without_the_intervals_of_evaluations_is_complete(tmp_path):
    """Those of earlier versions have none."""
    write(tmp_path / "epoch_0", progress=Progress(step=3))
    path = tmp_path / "epoch_0" / "checkpoint.json"
    manifest = json.loads(path.read_text())
    del manifest["progress"]["score_intervals"]
    path.write_text(json.dumps(manifest))
    assert damage(tmp_path / "epoch_0") is None
    assert read_progress(tmp_path / "epoch_0").score_intervals == []
    del manifest["progress"]["history"]
    path.write_text(json.dumps(manifest))
    assert "progress of another version" in damage(tmp_path / "epoch_0")


def test_folder_has_its_name_only_when_complete(tmp_path):
    folder = tmp_path / "epoch_0"
    with checkpoint_staged(folder, PLAN, Progress(step=3), ALONE, work_folder(tmp_path)) as partial:
        (partial / "file").write_text("x")
        assert not folder.exists()
        assert checkpoint_folders(tmp_path) == []
    assert damage(folder) is None
    assert read_progress(folder).step == 3


def test_failed_writing_keeps_the_old_checkpoint_and_nothing_else(tmp_path):
    write(tmp_path / "epoch_0", "old")
    with (
        pytest.raises(ZeroDivisionError),
        checkpoint_staged(
            tmp_path / "epoch_0", PLAN, Progress(), ALONE, work_folder(tmp_path)
        ) as partial,
    ):
        (partial / "file").write_text("new")
        raise ZeroDivisionError
    assert (tmp_path / "epoch_0" / "file").read_text() == "old"
    assert damage(tmp_path / "epoch_0") is None
    assert [path.name for path in tmp_path.iterdir() if path.name != ".run"] == ["epoch_0"]
    assert not any(path.is_dir() for path in (tmp_path / ".run").iterdir())


@pytest.mark.parametrize("call", range(12))
def test_a_complete_checkpoint_exists_at_every_moment_of_replacing(call, tmp_path, monkeypatch):
    """Killed before any call that changes the disk, either the old or the new one is complete."""

    class Dead(BaseException):
        pass

    progress = Progress(step=1)
    write(tmp_path / "epoch_0", "older", progress)
    progress.step = 2
    write(tmp_path / "epoch_1", "old", progress)
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
        write(tmp_path / "epoch_1", "new", progress)
        delete_old(tmp_path, 1, progress, ALONE)
        done = True
    except Dead:
        done = False
    monkeypatch.undo()
    names = complete(tmp_path)
    assert names
    texts = {name: (tmp_path / name / "file").read_text() for name in names}
    assert set(texts.items()) <= {("epoch_0", "older"), ("epoch_1", "old"), ("epoch_1", "new")}
    if done:
        assert texts == {"epoch_1": "new"}


def test_oldest_are_deleted_first_and_the_best_is_kept(tmp_path):
    progress = Progress(best_checkpoint="epoch_1")
    for number in range(5):
        progress.step = number
        write(tmp_path / f"epoch_{number}", progress=progress)
        delete_old(tmp_path, 2, progress, ALONE)
    assert complete(tmp_path) == ["epoch_1", "epoch_3", "epoch_4"]
    delete_old(tmp_path, None, progress, ALONE)
    assert len(complete(tmp_path)) == 3
    delete_old(tmp_path, 1, progress, ALONE)
    assert complete(tmp_path) == ["epoch_1", "epoch_4"]


def test_the_checkpoint_just_saved_stays_where_later_ones_exist(tmp_path):
    """A run that is resumed from an early checkpoint may be stopped before the later ones."""
    progress = Progress()
    for step in (3, 7, 8, 4):
        progress.step = step
        write(tmp_path / f"step_{step}", progress=progress)
    delete_old(tmp_path, 1, progress, ALONE)
    assert complete(tmp_path) == ["step_4", "step_8"]


def test_checkpoints_of_other_runs_are_never_deleted(tmp_path):
    write(tmp_path / "epoch_7", progress=Progress(step=80))
    progress = Progress(step=10)
    write(tmp_path / "epoch_0", progress=progress)
    delete_old(tmp_path, 1, progress, ALONE)
    assert sorted(complete(tmp_path)) == ["epoch_0", "epoch_7"]


def test_folders_without_a_manifest_of_ours_are_not_checkpoints(tmp_path):
    """Whatever their names; a copy under another name is one, but is not deleted."""
    foreign = (
        "epoch_0",
        "step_3",
        "checkpoint-1",
        ".epoch_1.partial",
        "another",
        "null",
    )
    for name in foreign:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("x")
    (tmp_path / "another" / "checkpoint.json").write_text('{"files": []}')
    (tmp_path / "null" / "checkpoint.json").write_text("null")
    for progress in ({}, {"run_id": "a", "step": None}, {"run_id": 1, "step": 1}):
        folder = tmp_path / f"checkpoint-{len(foreign)}"
        folder.mkdir()
        (folder / "mine").write_text("x")
        manifest = {"identity": {}, "conditions": {}, "files": {}, "progress": progress}
        (folder / "checkpoint.json").write_text(json.dumps(manifest))
        foreign += (folder.name,)
    (tmp_path / "epoch_9").write_text("a file")
    progress = Progress(step=9)
    write(tmp_path / "my copy", progress=progress)
    progress.step = 10
    write(tmp_path / "step_10", progress=progress)
    assert complete(tmp_path) == ["my copy", "step_10"]
    progress.step = 11
    write(tmp_path / "step_11.2", progress=progress)
    delete_old(tmp_path, 1, progress, ALONE)
    assert complete(tmp_path) == ["my copy", "step_11.2"]
    assert all((tmp_path / name / "mine").exists() for name in foreign)


def test_progress_of_another_version_is_damage(tmp_path):
    write(tmp_path / "step_1", progress=Progress(step=1))
    file = tmp_path / "step_1" / "checkpoint.json"
    manifest = json.loads(file.read_text())
    manifest["progress"]["new_field"] = 1
    file.write_text(json.dumps(manifest))
    assert "another version" in damage(tmp_path / "step_1")


@pytest.mark.parametrize("script", BOTH)
def test_the_best_checkpoint_of_another_run_is_refused(script, flags, tmp_path):
    """A run that is resumed in the folder of another one finds a checkpoint of the same name."""
    flags = [*flags, "--max_steps", 3, "--eval_strategy", "steps", "--eval_steps", 1]
    flags += ["--load_best_model_at_end", "--save_total_limit", 9, "--checkpointing_steps", 1]
    run(script, [*flags, "--seed", 7], tmp_path / "a")
    run(script, flags, tmp_path / "b")
    newest = checkpoint_folders(tmp_path / "a" / "out")[-1]
    best = read_progress(newest).best_checkpoint
    model = weights(tmp_path / "b" / "out")
    resume = ["--seed", 7, "--resume_from_checkpoint", newest]
    output = run(script, [*flags, *resume], tmp_path / "b", status=2)
    assert f"out/{best}: damaged checkpoint of the best score: it is one of another run" in output
    assert weights(tmp_path / "b" / "out") == model


def test_newest_is_that_of_the_newest_run_with_the_most_steps_whatever_the_file_times(tmp_path):
    old, new = Progress(), Progress()
    for progress, step in ((new, 9), (new, 10), (old, 300)):
        progress.step = step
        write(tmp_path / f"step_{step}", progress=progress)
    assert complete(tmp_path) == ["step_300", "step_9", "step_10"]
    assert find_checkpoint("latest", tmp_path, {"a": 1}).name == "step_10"


def test_a_foreign_folder_is_not_overwritten(tmp_path):
    (tmp_path / "step_3").mkdir()
    assert checkpoint_path(tmp_path, "step_3", PLAN.identity, ALONE).name == "step_3.2"
    write(tmp_path / "step_4")
    assert checkpoint_path(tmp_path, "step_4", PLAN.identity, ALONE).name == "step_4"
    assert checkpoint_path(tmp_path, "step_4", {"corpus": "another"}, ALONE).name == "step_4.2"


@pytest.mark.parametrize("script", BOTH)
def test_folders_of_others_survive_a_run(script, flags, tmp_path):
    """Also those with the names of its checkpoints, and those that look like leftovers."""
    flags = [*flags, "--checkpointing_steps", 2, "--max_steps", 4, "--save_total_limit", 1]
    names = [name_of(script, 2), name_of(script, 3), name_of(script, 4), "epoch_0", "step_1"]
    names += ["checkpoint-9", ".step_3.partial", ".epoch_0.deleted", ".mine", ".push", ".partial"]
    for name in names:
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "notes.txt").write_text(name)
    run(script, flags, tmp_path)
    assert complete(tmp_path / "out") == [name_of(script, 4) + ".2"]
    for name in names:
        assert [path.name for path in (tmp_path / "out" / name).iterdir()] == ["notes.txt"]
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)


def test_progress_is_read_as_it_was_written(tmp_path):
    progress = Progress(step=7, total_loss=1 / 3, pending_loss=0.1)
    progress.step_losses = [{"step": 1, "loss": 2 / 3, "learning_rate": 1e-5}]
    write(tmp_path / "epoch_0", progress=progress)
    assert read_progress(tmp_path / "epoch_0") == progress
