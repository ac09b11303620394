"""The output folder: refusals, and the replacement of an old model by a new one."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from encoder.lora import ADAPTER, ADAPTER_WEIGHTS, FROZEN, saved_checksum
from results.output_folder import RUN_FILE, check_output_dir, earlier_run, run_identity, staged
from settings.defaults import make_settings
from settings.flags import SharedFlags
from support.errors import UserError
from support.files import write_json
from support.manifests import MANIFEST
from tests.helpers.messages import stable

LABELS = ["O", "B-PER", "I-PER"]
ALONE = SimpleNamespace(is_main_process=True, num_processes=1, wait_for_everyone=lambda: None)


def run_of(folder, corpus="news", labels=LABELS, **changes):
    """Return settings and corpus of a run."""
    values = {"model_name_or_path": "bert-base-cased", "do_train": True, **changes}
    if not values["do_train"]:
        values["do_eval"] = True
    flags = SharedFlags(output_dir=str(folder), train_file=["x"], **values)
    settings = make_settings(flags, "", hub_ready=True)
    return settings, SimpleNamespace(name=corpus, label_names=labels)


def check(folder, **changes) -> None:
    settings, corpus = run_of(folder, **changes)
    check_output_dir(settings, run_identity(settings, corpus), ALONE)


def refused(folder, **changes) -> str:
    with pytest.raises(UserError) as error:
        check(folder, **changes)
    return str(error.value)


def save_run(folder, **changes) -> None:
    """Write the files of a finished run that a later run checks."""
    folder.mkdir()
    write_json(folder / RUN_FILE, run_identity(*run_of(folder, **changes)))
    (folder / "config.json").write_text("{}")


def test_a_new_folder_an_empty_one_and_one_of_the_same_run_are_allowed(tmp_path):
    check(tmp_path / "new")
    assert not (tmp_path / "new").exists()  # the check creates nothing
    (tmp_path / "empty").mkdir()
    check(tmp_path / "empty")
    (tmp_path / "empty" / "notes.txt").write_text("mine")
    check(tmp_path / "empty")
    save_run(tmp_path / "same")
    check(tmp_path / "same")
    # A run with other hyperparameters still counts as the same run.
    check(tmp_path / "same", learning_rate=1.0, seed=3)


@pytest.mark.parametrize("changes", [{}, {"overwrite_output_dir": True}, {"do_train": False}])
def test_folder_that_is_a_file_is_refused(changes, tmp_path, snapshot):
    (tmp_path / "file").write_text("mine")
    assert stable(refused(tmp_path / "file", **changes), tmp_path) == snapshot
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"corpus": "web"}, "corpus"),
        ({"model_name_or_path": "roberta-base"}, "model"),
        ({"task_name": "pos"}, "task"),
        ({"labels": ["O", "B-LOC"]}, "label_names"),
        (
            {"labels": ["O", "I-PER", "B-PER"]},
            "label_names",
        ),  # the order of the head's outputs
    ],
)
def test_folder_with_another_run_is_refused(changes, differs, tmp_path, snapshot):
    save_run(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    message = refused(tmp_path / "run", **changes)
    assert str(tmp_path / "run") in message
    assert message.splitlines()[1].startswith(f"  {differs}: ")
    assert len(message.splitlines()) == 3  # only what differs
    assert stable(message, tmp_path) == snapshot
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    check(tmp_path / "run", overwrite_output_dir=True, **changes)
    # Scores on another corpus or of another model would lie beside those of training.
    assert refused(tmp_path / "run", do_train=False, **changes) == message


def test_a_model_may_be_scored_into_its_own_folder(tmp_path):
    save_run(tmp_path / "run")
    own = {"model_name_or_path": str(tmp_path / "run"), "do_train": False}
    check(tmp_path / "run", **own)
    message = refused(tmp_path / "run", corpus="web", **own)
    assert [line.split(":")[0] for line in message.splitlines()[1:-1]] == ["  corpus"]


@pytest.mark.parametrize("folder", ["/proc/nothing", "/proc/nothing/in"])
def test_a_folder_that_cannot_be_written_is_refused(folder, snapshot):
    assert refused(Path(folder)) == snapshot


def test_trying_to_write_leaves_no_folders(tmp_path):
    check(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_all_differences_are_reported_together(tmp_path):
    save_run(tmp_path / "run")
    message = refused(tmp_path / "run", corpus="web", labels=["O"], task_name="chunk")
    assert len(message.splitlines()) == 5


@pytest.mark.parametrize(
    "names",
    [
        ["config.json"],
        ["model.safetensors"],
        ["args.yaml"],  # a user's own file of flags, in the current folder
        ["eval_predictions.txt", "notes.txt", "report.html"],
        ["predict_results.json"],
    ],
)
def test_files_of_somebody_else_are_not_replaced(names, tmp_path, snapshot):
    for name in names:
        (tmp_path / name).write_text("{}")
    assert stable(refused(tmp_path), tmp_path) == snapshot
    check(tmp_path, overwrite_output_dir=True)
    check(tmp_path, do_train=False)


def test_files_that_a_run_keeps_or_does_not_write_are_allowed(tmp_path):
    for name in ("README.md", "train.conll", "requirements.txt"):
        (tmp_path / name).write_text("mine")
    check(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", "null", b"\xff"])
def test_a_damaged_run_file_counts_as_another_run(content, tmp_path):
    file = tmp_path / RUN_FILE
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    differences = [line.split(":")[0].strip() for line in refused(tmp_path).splitlines()[1:-1]]
    assert differences == ["corpus", "model", "task", "label_names"]


def test_long_label_lists_are_cut_in_the_message(tmp_path):
    save_run(tmp_path / "run", labels=["O", *(f"B-TYPE-{i}" for i in range(500))])
    assert len(refused(tmp_path / "run")) < 1000


def test_staged_files_move_into_the_folder_together(tmp_path):
    folder = tmp_path / "deep" / "run"
    with staged(folder, ALONE, {}) as stage:
        (stage / "model.safetensors").write_text("new")
        (stage / "config.json").write_text("new")
        assert [path.name for path in folder.iterdir()] == [".run"]
    names = [".run", "config.json", "model.safetensors", "run.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert not stage.exists()


def test_staged_keeps_the_old_files_when_saving_fails(tmp_path):
    for name in ("model.safetensors", "config.json", "notes.txt"):
        (tmp_path / name).write_text("old")
    with pytest.raises(UserError, match="disk"), staged(tmp_path, ALONE, {}) as stage:
        (stage / "config.json").write_text("new")
        raise OSError("disk full")
    assert {path.name: path.read_text() for path in tmp_path.glob("[!.]*")} == {
        "model.safetensors": "old", "config.json": "old", "notes.txt": "old",
    }  # fmt: skip
    # The half-written files of a killed run are deleted by the next run.
    stage.mkdir()
    (stage / "half").write_text("half")
    with staged(tmp_path, ALONE, {}) as stage:
        assert not list(stage.iterdir())
        (stage / "config.json").write_text("new")
    assert (tmp_path / "config.json").read_text() == "new"
    assert (tmp_path / "notes.txt").read_text() == "old"
    names = [".run", "config.json", "model.safetensors", "notes.txt", "run.json"]
    assert sorted(os.listdir(tmp_path)) == names


@pytest.mark.parametrize("moved", range(4))
def test_a_run_killed_while_its_files_move_can_be_repeated(moved, tmp_path, monkeypatch):
    replace, done = os.replace, []

    def killed_after(source, target):
        if Path(target).parent == tmp_path:
            if len(done) == moved:
                raise KeyboardInterrupt
            done.append(target)
        replace(source, target)

    identity = run_identity(*run_of(tmp_path))
    with pytest.raises(KeyboardInterrupt), staged(tmp_path, ALONE, identity) as stage:
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (stage / name).write_text("{}")
        monkeypatch.setattr(os, "replace", killed_after)
    monkeypatch.undo()
    assert len(done) == moved
    check(tmp_path)


def save_adapter(folder, metadata) -> None:
    folder.mkdir()
    save_file({"weight": np.zeros(1)}, folder / ADAPTER_WEIGHTS, metadata)


def test_an_adapter_does_not_outlive_its_model(tmp_path):
    for checksum in ("1", "2"):
        with staged(tmp_path, ALONE, {}) as stage:
            save_adapter(stage / ADAPTER, {FROZEN: checksum})
        assert saved_checksum(tmp_path / ADAPTER) == checksum
    with staged(tmp_path, ALONE, {}) as stage:
        (stage / "config.json").write_text("new")
    assert sorted(os.listdir(tmp_path)) == [".run", "config.json", "run.json"]


@pytest.mark.parametrize("kind", ["file", "folder", "another tool's adapter"])
def test_an_adapter_replaces_nothing_of_a_user(kind, tmp_path, monkeypatch, snapshot):
    adapter, metadata = tmp_path / ADAPTER, {"format": "pt"}
    if kind == "file":
        adapter.write_text("mine")
    elif kind == "folder":
        adapter.mkdir()
    else:
        save_adapter(adapter, metadata)
    check(tmp_path)
    with staged(tmp_path, ALONE, {}):
        pass
    assert adapter.exists()
    monkeypatch.setattr("settings.optional_packages.version", lambda name: "0.21.0")
    message = refused(tmp_path, lora=True, overwrite_output_dir=True)
    assert stable(message, tmp_path) == snapshot


def test_only_the_main_process_writes_staged_files(tmp_path):
    waits = []
    second = SimpleNamespace(is_main_process=False, wait_for_everyone=lambda: waits.append(1))
    with staged(tmp_path / "run", second, {}):
        pass
    assert waits
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [".partial", ".push", ".step_1.partial", ".epoch_0.deleted"])
def test_folders_of_a_user_are_not_touched(name, tmp_path):
    """Earlier versions of the suite gave such names to folders of their own, and deleted them."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes.txt").write_text("mine")
    with staged(tmp_path, ALONE, {}) as stage:
        (stage / "config.json").write_text("new")
    assert (tmp_path / name / "notes.txt").read_text() == "mine"


def checkpoint(folder, run_id, step):
    folder.mkdir()
    content = {"identity": {}, "conditions": {}, "files": {}}
    write_json(folder / MANIFEST, content | {"progress": {"run_id": run_id, "step": step}})


def test_an_unfinished_run_is_known_by_its_id_not_by_file_times(tmp_path):
    assert earlier_run(tmp_path) == {}
    write_json(tmp_path / RUN_FILE, {"run_id": "2026-02-01"})
    assert list(earlier_run(tmp_path)) == ["replaces"]
    # Checkpoints of an earlier run, and of the finished one, copied later than run.json.
    checkpoint(tmp_path / "step_9", "2026-01-01", 90)
    assert list(earlier_run(tmp_path)) == ["replaces"]
    checkpoint(tmp_path / "epoch_1", "2026-02-01", 20)
    assert list(earlier_run(tmp_path)) == ["replaces"]
    checkpoint(tmp_path / "step_5", "2026-03-01", 5)  # of a run that has not written its results
    os.utime(tmp_path / "step_5" / MANIFEST, (0, 0))
    assert str(tmp_path / "step_5") in earlier_run(tmp_path)["start"]
    (tmp_path / RUN_FILE).unlink()
    assert str(tmp_path / "step_5") in earlier_run(tmp_path)["start"]


def test_folders_of_a_user_are_not_an_earlier_run(tmp_path):
    (tmp_path / "step_5").mkdir()
    (tmp_path / "step_5" / MANIFEST).write_text("null")
    assert earlier_run(tmp_path) == {}


def test_folder_inside_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError):
        check(tmp_path / "file" / "run")


def test_a_log_file_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    log_file = str(tmp_path / "file" / "steps.jsonl")
    message = refused(tmp_path / "out", log_file=log_file)
    assert message.startswith(f"--log_file {log_file}: cannot be written: ")
    check(tmp_path / "out", log_file=str(tmp_path / "new" / "steps.jsonl"))
    assert not (tmp_path / "new").exists()
