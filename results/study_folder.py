"""The folder of a study: its runs, each in a folder of its own, and their record in study.json.

study = StudyFolder(Path("seeds-study"), {"study": "seeds", "script": ..., "flags": ...})
study.finished("seed_42")                  # its record, if it has been made
study.add({"name": "seed_42", "scores": scores_of_run(study.folder / "seed_42")})
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from encoder.lora import ADAPTER, saved_checksum
from results.result_files import ALL_RESULTS, FILE_PREFIXES
from support.errors import UserError
from support.files import write_json
from support.manifests import checkpoint_folders
from support.text import shortened
from support.version import VERSION

STUDY_FILE = "study.json"
MAIN_SCORES = {"f1": "F1", "accuracy": "accuracy"}  # of entity tags, of plain tags
WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")


class StudyFolder:
    """The runs of a study that are finished; the record is written at first and after each run."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]):
        """`identity`: what all runs have in common. Raises UserError if another study is there."""
        self.folder, self.identity = folder, dict(identity)
        self.runs: list[dict[str, Any]] = []
        path = folder / STUDY_FILE
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--output_dir {folder}: got a file, expected a folder")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            self.runs = list(record["runs"])
            earlier = {name: record.get(name) for name in identity}
        except (FileNotFoundError, NotADirectoryError):
            if folder.is_dir() and any(folder.iterdir()):
                raise UserError(
                    f"--output_dir {folder}: got a folder without a study, expected a new folder, "
                    "or that of the same study, which is then resumed"
                ) from None
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UserError(
                f"{path}: not the record of a study. Choose another folder with --output_dir."
            ) from None
        differing = [name for name, value in identity.items() if earlier[name] != value]
        if differing == ["corpus"]:
            raise UserError(
                f"--output_dir {folder}: contains a study of an earlier version of the corpus: got "
                "other words or labels in the files, expected those of its first run. To study the "
                f"corpus as it is now, name another folder: --output_dir {_next_folder(folder)}"
            )
        if differing:
            differences = (
                f"  {name}: {shortened(earlier[name])} there, {shortened(identity[name])} now"
                if name != "corpus"
                else "  corpus: other words or labels"
                for name in differing
            )
            raise UserError(
                f"--output_dir {folder}: contains another study:\n"
                + "\n".join(differences)
                + "\nChoose another folder."
            )

    def make_folder(self) -> None:
        """Create the folder and its record if necessary. Raises UserError if that fails."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            if not (self.folder / STUDY_FILE).exists():  # so that the first run can be resumed
                self.write({})
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"--output_dir {self.folder}: cannot be written: {reason}") from None

    def finished(self, name: str) -> dict[str, Any] | None:
        """Return the record of a finished run; None if it has not been made."""
        return next((run for run in self.runs if run.get("name") == name), None)

    def unfinished(self, names: Sequence[str]) -> int:
        """Return the number of these runs that are not finished."""
        return sum(self.finished(name) is None for name in names)

    @property
    def mean_seconds(self) -> float:
        """Return the mean duration of the finished runs in seconds; there must be one."""
        return mean(float(run["seconds"]) for run in self.runs)

    def add(self, run: dict[str, Any]) -> None:
        """Record a finished run."""
        self.runs.append(run)
        self.write({})

    def write(self, conclusion: Mapping[str, Any]) -> None:
        """Write the record, with what follows from the runs."""
        content = {**self.identity, "suite_version": VERSION, "runs": self.runs, **conclusion}
        write_json(self.folder / STUDY_FILE, content)


def _next_folder(folder: Path) -> Path:
    """Return the first of `folder-2`, `folder-3` and so on that does not exist."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(path for path in numbered if not path.exists())


def runs_of_study(name: str) -> list[str]:
    """Return the folders of the runs of a study of seeds; any other name as it is."""
    try:
        record = json.loads((Path(name) / STUDY_FILE).read_text(encoding="utf-8"))
        runs = [str(Path(name) / run["name"]) for run in record["runs"]]
        return runs if record.get("study") == "seeds" and runs else [name]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [name]


def scores_of_run(folder: Path) -> dict[str, float]:
    """Return the main score of each split that a run has scored: F1, or accuracy of plain tags."""
    results, scores = _results_of_run(folder), {}
    for split, prefix in FILE_PREFIXES.items():
        names = [f"{prefix}_{name}" for name in MAIN_SCORES if f"{prefix}_{name}" in results]
        if names:
            scores[split] = results[names[0]]
    return scores


def score_name_of_run(folder: Path) -> str:
    """Return the name of the score that `scores_of_run` returns; empty if there is none."""
    results = _results_of_run(folder)
    for name, title in MAIN_SCORES.items():
        if any(f"{prefix}_{name}" in results for prefix in FILE_PREFIXES.values()):
            return title
    return ""


def _results_of_run(folder: Path) -> dict[str, Any]:
    try:
        results = json.loads((folder / ALL_RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return results if isinstance(results, dict) else {}


def steps_of_run(folder: Path) -> int:
    """Return the number of steps that a run has made."""
    path = folder / "train_results.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["train_steps"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path}: no number of steps: the run is incomplete. Delete its folder."
        ) from None


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return mean, standard deviation (that of a sample), lowest and highest value."""
    return {
        "mean": mean(values),
        "standard_deviation": stdev(values) if len(values) > 1 else 0.0,
        "lowest": min(values),
        "highest": max(values),
    }


def best_run(runs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the run with the best score on validation; None if none was scored there."""
    scored = [run for run in runs if "validation" in run["scores"]]
    return max(scored, key=lambda run: run["scores"]["validation"], default=None)


def delete_weights(folder: Path) -> None:
    """Delete the weights and checkpoints of a run; its results stay."""
    for checkpoint in checkpoint_folders(folder):
        shutil.rmtree(checkpoint)
    if saved_checksum(folder / ADAPTER):
        shutil.rmtree(folder / ADAPTER)
    for pattern in WEIGHTS:
        for file in folder.glob(pattern):
            file.unlink()
