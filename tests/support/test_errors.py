"""The exit status of a script that meets an error the user can fix, or a signal."""

import os
import signal
import subprocess
import sys

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


def test_a_closed_standard_error_does_not_end_a_script(tmp_path):
    """Nor is its number given to the next file that is opened."""
    code = """
import os, sys
from support.errors import run_script
def main():
    print(sys.stderr.isatty(), open("result.txt", "w").fileno() > 2)
    os.write(2, b"a message of a library")
run_script(main)
"""
    command = ["bash", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False True\n")
    assert (tmp_path / "result.txt").read_text() == ""
