"""Manifests: the file in each checkpoint that records its run, its progress and its files.

A folder without a manifest of this suite is not a checkpoint, whatever its name.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "checkpoint.json"  # written last; a checkpoint without it is not complete


@dataclass(frozen=True)
class Manifest:
    """The manifest of a checkpoint."""

    identity: dict[str, Any]  # corpus, model, task and labels: see `results.output_folder`
    conditions: dict[str, Any]  # a run that resumes must have the same
    progress: dict[str, Any]  # fields of `training.progress.Progress`
    files: dict[str, int]  # path in the checkpoint -> CRC-32
    hardware: dict[str, Any] = field(default_factory=dict)  # as `training.runtime.hardware_of`

    @property
    def run_id(self) -> str:
        """Return the id of the run; ids of later runs are greater."""
        run_id: str = self.progress["run_id"]
        return run_id

    @property
    def step(self) -> int:
        """Return the number of steps done."""
        step: int = self.progress["step"]
        return step


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a checkpoint; None if this suite wrote none."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    names = ("identity", "conditions", "progress", "files")
    if not isinstance(content, dict):
        return None
    if not all(isinstance(content.get(name), dict) for name in names):
        return None
    step, run_id = (content["progress"].get(name) for name in ("step", "run_id"))
    if type(step) is not int or type(run_id) is not str:
        return None
    hardware = content.get("hardware")
    return Manifest(
        **{name: content[name] for name in names},
        hardware=hardware if isinstance(hardware, dict) else {},
    )


def checkpoint_folders(output_dir: Path) -> list[Path]:
    """Return the checkpoints in a folder, by run and step, the newest last."""
    return list(manifests_in(output_dir))


def manifests_in(output_dir: Path) -> dict[Path, Manifest]:
    """Return the checkpoints in a folder with their manifests, by run and step, the newest last.

    Recorded numbers decide, because a copy of a folder has other file times.
    """
    manifests = {
        path: manifest
        for path in sorted(output_dir.glob("[!.]*"))
        if path.is_dir() and (manifest := read_manifest(path))
    }
    newest_last = sorted(manifests.items(), key=lambda item: (item[1].run_id, item[1].step))
    return dict(newest_last)
