"""The fuzzer: random corpora in every format are read as naive readers read them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_undamaged_random_corpora_are_read_like_naive_readers_do():
    script = ROOT / "benchmarks" / "fuzz.py"
    done = subprocess.run(
        [sys.executable, script, "--seconds", "3", "--whole"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'whole, equal'" in done.stdout
