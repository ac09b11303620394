"""The folder of a study: its runs, each in a folder of its own, and their record in study.json."""

import json
from pathlib import Path

STUDY_FILE = "study.json"


def runs_of_study(name: str) -> list[str]:
    """Return the folders of the runs of a study of seeds; any other name as it is."""
    try:
        record = json.loads((Path(name) / STUDY_FILE).read_text(encoding="utf-8"))
        runs = [str(Path(name) / run["name"]) for run in record["runs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return [name]
    return runs if record.get("study") == "seeds" and runs else [name]
