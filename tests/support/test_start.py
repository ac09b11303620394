"""The start of a script: Ctrl-C during its imports, and the line that it prints before them."""

import os
import signal
import subprocess
import sys

import pytest

from support.start import begin_script, imports_are_done, say_loading
from tests.helpers.models import ROOT

SCRIPTS = {
    "train_trainer.py": ["--sample"],
    "train_accelerate.py": ["--sample"],
    "infer.py": ["Anna went to Paris."],
    "compare.py": ["old-model", "new-model"],
    "study.py": ["folds", "2", "--", "--sample"],
}
# A finder of modules that presses Ctrl-C when numpy, which every script imports, is looked for.
PRESS = """
import os, signal, sys

class Press:
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_during_the_imports_is_one_line(script, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(PRESS)
    process = subprocess.run(
        [sys.executable, ROOT / script, *SCRIPTS[script]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.stderr == "Interrupted.\n"
    assert process.returncode == 128 + signal.SIGINT
    assert {path.name for path in tmp_path.iterdir()} <= {"sitecustomize.py", "__pycache__"}


@pytest.fixture
def handler():
    """Give the process a handler of Ctrl-C, and restore the old one."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda new: signal.signal(signal.SIGINT, new)
    signal.signal(signal.SIGINT, before)


def test_after_the_imports_ctrl_c_is_an_exception_again(handler):
    handler(signal.default_int_handler)
    begin_script()
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    imports_are_done()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda number, frame: None])
def test_other_handlers_stay(own, handler):
    """Such as that of `nohup`, or of a program that calls `main`."""
    handler(own)
    begin_script()
    imports_are_done()
    assert signal.getsignal(signal.SIGINT) is own


def test_the_first_line_is_printed_once_and_not_before_the_help(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    say_loading(["--sample"])
    assert capsys.readouterr().out.count("\n") == 1
    say_loading(["--sample", "--help"])
    monkeypatch.setenv("RANK", "1")
    say_loading(["--sample"])
    monkeypatch.delenv("RANK")
    monkeypatch.setitem(sys.modules, "transformers", sys)
    say_loading(["--sample"])
    assert capsys.readouterr().out == ""


def test_the_first_line_of_the_sample_says_how_long_it_takes(capsys, monkeypatch, snapshot):
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    say_loading(["--sample"])
    assert capsys.readouterr().out == snapshot
    say_loading(["--sample", "--num_train_epochs", "9"])
    assert capsys.readouterr().out == snapshot
