"""Help of the scripts."""

import dataclasses
import re
import subprocess
import sys

import pytest

from settings.argument_parser import make_parser
from settings.flags import LoopFlags
from settings.trainer_flags import TrainerFlags
from tests.helpers.models import ROOT


def test_help_lists_each_flag_once_in_its_group(snapshot):
    text = make_parser(LoopFlags, "A script.\n\n    python script.py  # a comment\n").format_help()
    assert text.splitlines()[0].startswith("usage: ") and text.splitlines()[1] == ""
    for name in (field.name for field in dataclasses.fields(LoopFlags)):
        assert len(re.findall(rf"^  --{name}\b", text, re.M)) == 1, name
    assert "None" not in text and "--max-steps" not in text and "--max_train_steps" not in text
    assert re.sub(r"usage: \S+", "usage: script.py", text) == snapshot


def test_help_all_adds_the_flags_of_training_arguments():
    short = make_parser(TrainerFlags, "A script.").format_help()
    full = make_parser(TrainerFlags, "A script.", show_all=True).format_help()
    assert "--optim_args" in full and "--optim_args" not in short
    assert "--train_file" in short and "--help_all" in short


@pytest.mark.parametrize("script", ["train_accelerate.py", "infer.py"])
def test_help_responds_without_the_heavy_libraries(script):
    code = (
        "import runpy, sys; sys.argv = [sys.argv[1], '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([n for n in ('torch', 'transformers', 'datasets') if n in sys.modules])"
    )
    command = [sys.executable, "-c", code, script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
