"""The exit status of a script that meets an error the user can fix, or a signal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.errors import Terminated, UserError, run_script
from tests.helpers.models import ROOT


@pytest.fixture
def handler():
    """Restore the handler of SIGTERM, which `run_script` sets."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_user_errors_end_in_a_message_and_status_2(capsys, monkeypatch):
    def fail():
        raise UserError("no such corpus")

    with pytest.raises(SystemExit) as end:
        run_script(fail)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: no such corpus\n"
    shown = UserError("see the report")
    shown.is_shown = True
    with pytest.raises(SystemExit) as end:
        run_script(lambda: (_ for _ in ()).throw(shown))
    assert end.value.code == 2
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("RANK", "9")
    for local_rank, message in (("1", ""), ("0", "error: no such corpus\n")):
        monkeypatch.setenv("LOCAL_RANK", local_rank)  # the first of each machine reports it
        with pytest.raises(SystemExit) as end:
            run_script(fail)
        assert end.value.code == 2
        assert capsys.readouterr().err == message


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: 1 / 0)


def test_sigterm_ends_in_a_line_and_status_143(capsys, handler):
    with pytest.raises(SystemExit) as end:
        run_script(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert end.value.code == 143
    assert capsys.readouterr().err == "Terminated.\n"

    def fail():
        raise Terminated("Terminated. The same command resumes.")

    with pytest.raises(SystemExit) as end:
        run_script(fail)
    assert end.value.code == 143
    assert capsys.readouterr().err == "Terminated. The same command resumes.\n"


@pytest.mark.parametrize(("closed", "output"), [(2, "False True\n"), (1, "")])
def test_a_closed_stream_does_not_end_a_script(closed, output, tmp_path):
    """Nor is its number given to the next file that is opened."""
    code = """
import os, sys
from support.errors import run_script
def main():
    print(sys.stderr.isatty(), open("result.txt", "w").fileno() > 2)
    assert not sys.stdout.isatty()
    os.write(int(sys.argv[1]), b"a message of a library")
run_script(main)
"""
    shell = f'exec "$0" -c "$1" {closed} {closed}>&-'
    command = ["bash", "-c", shell, sys.executable, code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, output, "")
    assert (tmp_path / "result.txt").read_text() == ""


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_ends_early_stops_a_script_without_a_traceback(lines):
    """The output of one line is still in the buffer when `main` returns."""
    code = f"""
from support.errors import run_script
run_script(lambda: print("a line\\n" * {lines}))
"""
    command = ["bash", "-c", '"$0" -c "$1" | true; echo ${PIPESTATUS[0]}', sys.executable, code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "141\n"
    assert done.stderr == "Stopped: the reader of the output has ended.\n"


def test_another_broken_pipe_keeps_its_traceback():
    def fail():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_script(fail)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("flush", [False, True])
def test_standard_output_on_a_full_disk_gives_one_message(flush):
    code = f"""
from support.errors import run_script
run_script(lambda: print("a line", flush={flush}))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, stdout=full, stderr=-1, text=True
        )
    assert done.returncode == 2
    assert done.stderr == "error: standard output: cannot be written: No space left on device\n"


def test_an_error_of_another_file_keeps_its_traceback():
    def fail():
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run_script(fail)
