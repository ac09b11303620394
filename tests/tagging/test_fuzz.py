"""The fuzzer of tagging: nothing is lost, no traceback, whatever the input or the model."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", ["inputs", "models"])
def test_random_inputs_and_damaged_models(kind):
    script = ROOT / "benchmarks" / "fuzz_tagging.py"
    command = [sys.executable, script, "--rounds", "12", "--only", kind]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'rounds': 12" in done.stdout
