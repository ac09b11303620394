"""The work folder of a run: locked, cleared, removed; a user's files are not touched."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from support import work_folder as module
from support.errors import UserError
from support.work_folder import LOCK_FILE, lock_output_dir, make_work_folder, work_folder
from tests.helpers.messages import stable
from tests.helpers.models import ROOT
from tests.helpers.threads import NUM_PROCESSES, Processes

ALONE = SimpleNamespace(is_main_process=True, num_processes=1)

# A run: locks the folder, writes into its work folder, then does what its argument says.
RUN = """
import os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
from support.errors import UserError, run_script
from support.work_folder import lock_output_dir, work_folder

def main():
    output_dir = Path(sys.argv[1])
    lock_output_dir(output_dir, SimpleNamespace(is_main_process=True, num_processes=1))
    (work_folder(output_dir) / "step_1").mkdir()
    (work_folder(output_dir) / "step_1" / "weights").write_text("half")
    if sys.argv[2] == "fork":
        if (child := os.fork()) == 0:
            sys.exit(0)  # calls the handlers at exit
        os.waitpid(child, 0)
    if sys.argv[2] == "error":
        raise UserError("no such corpus")
    print("locked", flush=True)
    if sys.argv[2] in ("wait", "fork"):
        sys.stdin.read()

run_script(main)
"""


def start(folder: Path, action: str, *flags: str) -> subprocess.Popen:
    """Start a run in its own process; wait until it holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, folder, action, *flags],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if action in ("wait", "fork"):
        assert process.stdout.readline() == "locked\n", process.communicate()[1]
    return process


def end(process: subprocess.Popen) -> tuple[int, str]:
    """End a run; return its exit status and its error output."""
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.fixture
def release(monkeypatch):
    """Return a function that releases the lock, as the end of the process does."""
    handlers = []
    monkeypatch.setattr(module, "at_end_of_run", lambda *handler: handlers.append(handler))

    def release_all() -> None:
        while handlers:
            function, *arguments = handlers.pop()
            function(*arguments)

    yield release_all
    release_all()


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_the_work_folder_is_removed_at_the_end(tmp_path, release):
    output_dir = tmp_path / "models" / "ner"
    lock_output_dir(output_dir, ALONE)
    (work_folder(output_dir) / "step_1" / "state").mkdir(parents=True)
    assert work_folder(output_dir) == output_dir / ".run"
    release()
    assert names(tmp_path) == []  # with the folders that were created for it


def test_a_folder_with_results_stays(tmp_path, release):
    output_dir = tmp_path / "models" / "ner"
    lock_output_dir(output_dir, ALONE)
    (output_dir / "run.json").write_text("{}")
    release()
    assert names(tmp_path) == ["models", "models/ner", "models/ner/run.json"]


def test_a_second_run_names_the_first(tmp_path, snapshot):
    first = start(tmp_path, "wait", "--hub_token", "hf_abcdefghijk", "--train_file", "my words")
    with pytest.raises(UserError) as error:
        lock_output_dir(tmp_path, ALONE)
    owner = json.loads((tmp_path / ".run" / "owner.json").read_text())
    assert owner["pid"] == first.pid
    message = stable(error.value, tmp_path)
    for name in ("pid", "host", "started"):
        message = message.replace(str(owner[name]), f"<{name}>")
    assert message == snapshot
    assert "hf_abc" not in str(error.value) + json.dumps(owner)
    assert (tmp_path / ".run" / "step_1" / "weights").exists()
    assert end(first) == (0, "")
    assert names(tmp_path) == []


def test_two_folders_do_not_disturb_each_other(tmp_path, release):
    first = start(tmp_path / "one", "wait")
    lock_output_dir(tmp_path / "two", ALONE)
    assert end(first)[0] == 0
    release()
    assert names(tmp_path) == []


def test_a_run_takes_over_from_one_that_was_killed(tmp_path, release):
    first = start(tmp_path, "wait")
    first.kill()
    first.communicate()
    assert (tmp_path / ".run" / "step_1" / "weights").exists()
    lock_output_dir(tmp_path, ALONE)
    assert names(tmp_path / ".run") == ["owner.json", LOCK_FILE]
    assert json.loads((tmp_path / ".run" / "owner.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    "action, number, status",
    [("error", 0, 2), ("wait", signal.SIGINT, 130), ("wait", signal.SIGTERM, 143)],
)
def test_an_error_or_a_signal_leaves_nothing(action, number, status, tmp_path):
    process = start(tmp_path / "output", action)
    if number:
        process.send_signal(number)
    ended, errors = end(process)
    assert ended == status
    assert "Traceback" not in errors and len(errors.splitlines()) <= 1
    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_does_not_release_the_lock(tmp_path):
    first = start(tmp_path, "fork")
    with pytest.raises(UserError):
        lock_output_dir(tmp_path, ALONE)
    assert (tmp_path / ".run" / "step_1" / "weights").exists()
    assert end(first) == (0, "")


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_work_folder_of_somebody_else_is_not_touched(kind, tmp_path, release, snapshot):
    output_dir, elsewhere = tmp_path / "output", tmp_path / "elsewhere"
    for folder in (output_dir, elsewhere):
        folder.mkdir()
    taken = output_dir / ".run"
    if kind == "file":
        taken.write_text("mine")
    elif kind == "folder":
        taken.mkdir()
        (taken / "mine").write_text("mine")
    else:
        taken.symlink_to(elsewhere)
    before = names(tmp_path)
    with pytest.raises(UserError) as error:
        lock_output_dir(output_dir, ALONE)
    assert stable(error.value, tmp_path) == snapshot
    release()
    assert names(tmp_path) == before


def test_an_empty_folder_of_that_name_is_used(tmp_path, release):
    """A run that is killed as it starts may leave an empty work folder."""
    (tmp_path / ".run").mkdir()
    lock_output_dir(tmp_path, ALONE)
    assert names(tmp_path / ".run") == ["owner.json", LOCK_FILE]


def test_a_file_system_without_locks_is_reported(tmp_path, release, monkeypatch, capsys):
    def no_locks(self, **options):
        raise OSError(errno.ENOSYS, "not implemented")

    monkeypatch.setattr(module.FileLock, "acquire", no_locks)
    lock_output_dir(tmp_path, ALONE)
    assert "no locks" in capsys.readouterr().err
    assert (tmp_path / ".run" / "owner.json").exists()
    release()
    assert names(tmp_path) == []


@pytest.mark.parametrize("place", ["write_json", "make_work_folder"])
def test_an_error_of_the_disk_is_a_user_error(place, tmp_path, release, monkeypatch, snapshot):
    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, place, full_disk)
    with pytest.raises(UserError) as error:
        lock_output_dir(tmp_path / "output", ALONE)
    assert stable(error.value, tmp_path) == snapshot
    release()
    assert names(tmp_path) == []


def test_the_folder_may_vanish_while_it_is_locked(tmp_path, release, monkeypatch):
    """The run that has just ended removes it."""
    listdir, calls = os.listdir, []

    def vanishing(folder):
        calls.append(folder)
        if len(calls) < 3:
            os.rmdir(folder)
        return listdir(folder)

    monkeypatch.setattr(module.os, "listdir", vanishing)
    lock_output_dir(tmp_path, ALONE)
    assert len(calls) > 2
    assert (tmp_path / ".run" / LOCK_FILE).exists()


def test_a_work_folder_without_a_lock_is_marked(tmp_path, release):
    make_work_folder(tmp_path)
    lock_output_dir(tmp_path, ALONE)
    release()
    assert names(tmp_path) == []


# --- Several machines -------------------------------------------------------------------------


def test_machines_without_the_disk_get_a_temporary_folder(tmp_path, release, monkeypatch):
    """Even if they have a folder of that name, in which another run works."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    elsewhere = work_folder(tmp_path / "second" / "out")
    elsewhere.mkdir(parents=True)
    (elsewhere / "owner.json").write_text("{}")

    def lock(state):
        machine = "first" if state.process_index < 2 else "second"
        return lock_output_dir(tmp_path / machine / "out", state)

    folders = Processes(monkeypatch).run(lock)
    assert folders[:2] == [work_folder(tmp_path / "first" / "out")] * 2
    assert [folder.parent for folder in folders[2:]] == [tmp_path / "tmp"] * 2
    assert folders[2] != folders[3]
    release()
    assert names(tmp_path / "tmp") == []
    assert names(tmp_path / "second") == ["out", "out/.run", "out/.run/owner.json"]


def test_a_sharded_model_needs_a_shared_disk(tmp_path, release, monkeypatch, snapshot):
    monkeypatch.setattr(module, "CACHED_S", 0)
    monkeypatch.setattr("socket.gethostname", lambda: "node-7")
    processes = Processes(monkeypatch)

    def lock(state, second="second"):
        machine = "first" if state.process_index < 2 else second
        return lock_output_dir(tmp_path / machine / "out", state, sharded_by="FSDP")

    errors = processes.run(lock)
    assert all(isinstance(error, UserError) for error in errors)
    assert stable(errors[0], tmp_path) == snapshot
    release()
    shared = processes.run(lambda state: lock(state, "first"))
    assert shared == [work_folder(tmp_path / "first" / "out")] * NUM_PROCESSES
