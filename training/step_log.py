"""The log of the steps: `--log_file`, one JSON object per line and logged step."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.files import disk_errors_reported, written_whole


class StepLog:
    """A file with a line for each logged step: `step`, `loss`, `learning_rate`."""

    def __init__(self, path: Path, rows: Sequence[Mapping[str, Any]]):
        """Begin the file anew with the steps that a resumed run has logged before."""
        self.path = path
        with disk_errors_reported(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as file:
                file.writelines(map(_line, rows))

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a logged step; the line is complete even if the run is killed after it."""
        with disk_errors_reported(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(_line(row))


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row) + "\n"
