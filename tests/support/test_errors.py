"""The exit status of a script that meets an error the user can fix."""

import pytest

from support.errors import UserError, run_script


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
