"""The examples: imported or run, where the packages that they need are installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers.models import ROOT

FOLDER = ROOT / "examples"


def need(*packages: str) -> None:
    """Skip the tests of a module, with the reason, if a package is not installed."""
    for package in packages:
        reason = f"{package} is not installed: pip install -r examples/requirements.txt"
        pytest.importorskip(package, reason=reason, exc_type=ImportError)


def load_example(name: str) -> ModuleType:
    """Return an example as a module; `examples` is not a package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def run_example(name: str, *flags: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    command = [sys.executable, FOLDER / f"{name}.py", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
