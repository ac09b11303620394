"""Modules that `--help` and a cold `infer.py` import do not import heavy libraries."""

import subprocess
import sys

import pytest

from tests.helpers.models import ROOT

HEAVY = {"torch", "transformers", "datasets", "evaluate", "seqeval", "accelerate", "pyarrow"}


@pytest.mark.parametrize(
    "module",
    [
        "common",
        "encoder.tokenizer",
        "encoder.batches",
        "encoder.model",
        "encoder.check",
        "encoder.cpu",
        "encoder.cpu.process",
        "scoring.scores",
        "scoring.table",
    ],
)
def test_module_imports_no_heavy_library(module):
    code = f"import sys, {module}; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert not HEAVY & set(output.split())
