"""The exit status of a script that meets an error the user can fix, or a signal."""

import os
import signal

import pytest

from support.errors import Terminated, UserError, run_script


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
    monkeypatch.setenv("RANK", "1")  # only the main process reports it
    with pytest.raises(SystemExit) as end:
        run_script(fail)
    assert end.value.code == 2
    assert capsys.readouterr().err == ""


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
