"""Checkpoints that only the first machine has; here each process is a thread with its own disk."""

from pathlib import Path
from typing import Any

import pytest

from support.errors import UserError
from support.manifests import MANIFEST, read_manifest
from support.work_folder import work_folder
from tests.helpers.checkpoints import ALONE, PLAN
from tests.helpers.threads import NUM_PROCESSES, Processes
from training import machines
from training.checkpoints import checkpoint_staged, damage
from training.machines import checkpoint_of_machine
from training.progress import Progress


@pytest.fixture
def processes(monkeypatch) -> Processes:
    return Processes(monkeypatch)


@pytest.fixture
def copies(monkeypatch, tmp_path) -> Path:
    """The folder of temporary copies, which the end of the run deletes."""
    handlers: list[Any] = []
    monkeypatch.setattr(machines, "at_end_of_run", lambda *handler: handlers.append(handler))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    yield tmp_path / "tmp"
    for function, *arguments in handlers:
        function(*arguments)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A checkpoint on the disk of the first machine, with a file of several blocks."""
    folder = tmp_path / "first" / "step_3"
    work = work_folder(folder.parent)
    with checkpoint_staged(folder, PLAN, Progress(step=3), ALONE, work) as partial:
        (partial / "weights").write_bytes(bytes(range(256)) * 9)
        (partial / "below").mkdir()
        (partial / "below" / "state").write_bytes(b"")
    return folder


def paths_of(processes: Processes, checkpoint: Path, elsewhere: Path) -> list[Path]:
    """Return where each process reads; the second machine has only the folder `elsewhere`."""

    def read(state: Any) -> Path:
        # On machines the path is the same; here, another path stands for another disk.
        folder = checkpoint if state.process_index < 2 else elsewhere
        return checkpoint_of_machine(folder, state)

    return processes.run(read)


@pytest.mark.parametrize("block", [1, 100, 2304, 1 << 20])
def test_a_machine_without_the_checkpoint_gets_a_copy(
    processes, checkpoint, copies, tmp_path, monkeypatch, block
):
    monkeypatch.setattr(machines, "BLOCK", block)
    missing = tmp_path / "second" / "step_3"
    paths = paths_of(processes, checkpoint, missing)
    assert paths[:2] == [checkpoint] * 2
    assert paths[2] == paths[3] and paths[2].parent.parent == copies
    assert paths[2].name == "step_3"  # results name it
    assert damage(paths[2]) is None
    assert read_manifest(paths[2]) == read_manifest(checkpoint)
    assert (paths[2] / "below" / "state").read_bytes() == b""
    assert not missing.exists()


@pytest.mark.parametrize("state", ["other", "damaged"])
def test_another_checkpoint_of_the_same_name_is_not_read(
    processes, checkpoint, copies, tmp_path, state
):
    """Such as one of an earlier run on that machine."""
    own = tmp_path / "second" / "step_3"
    work = work_folder(own.parent)
    with checkpoint_staged(own, PLAN, Progress(step=3), ALONE, work) as partial:
        (partial / "weights").write_bytes(b"another run's")
    if state == "damaged":
        (own / MANIFEST).write_bytes((checkpoint / MANIFEST).read_bytes())
    before = (own / "weights").read_bytes()
    paths = paths_of(processes, checkpoint, own)
    assert read_manifest(paths[2]) == read_manifest(checkpoint) and paths[2] != own
    assert (own / "weights").read_bytes() == before


def test_nothing_is_sent_on_a_shared_disk(processes, checkpoint, copies, monkeypatch):
    monkeypatch.setattr(machines, "_send_file", None)
    assert paths_of(processes, checkpoint, checkpoint) == [checkpoint] * NUM_PROCESSES
    assert list(copies.iterdir()) == []


def test_processes_with_other_values_are_named(processes, monkeypatch):
    def check(state: Any) -> None:
        values = {"--seed": 7 if state.process_index == 2 else 42, "labels": ["O"]}
        machines._check_same(state, values)

    errors = processes.run(check)
    assert all(isinstance(error, UserError) for error in errors)
    assert len({str(error) for error in errors}) == 1
    assert "  --seed: 7 in process 2 on " in str(errors[0]) and "labels" not in str(errors[0])
    assert processes.run(lambda state: machines._check_same(state, {"a": 1})) == [None] * 4
    # A version of the suite may have values that another lacks.
    newer = processes.run(
        lambda state: machines._check_same(state, {"--new": 1} if state.process_index else {})
    )
    assert "  --new: 1 in process 1 on " in str(newer[0])
