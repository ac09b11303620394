"""The result files: scores as JSON, predictions in columns."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from support.files import write_json, written_whole

FILE_PREFIXES = {"validation": "eval", "test": "predict"}  # of a split's file and its keys
Sentence = tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[float]]


def save_results(folder: Path, split: str, metrics: dict[str, Any]) -> None:
    """Write `{split}_results.json`, and merge the metrics into `all_results.json`."""
    write_json(folder / f"{split}_results.json", metrics)
    all_results = folder / "all_results.json"
    try:
        earlier = json.loads(all_results.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        earlier = {}
    earlier = earlier if isinstance(earlier, dict) else {}
    kept = {name: value for name, value in earlier.items() if not name.startswith(f"{split}_")}
    write_json(all_results, kept | metrics)


def write_predictions(path: Path, sentences: Iterable[Sentence]) -> None:
    """Write word, gold tag and predicted tag in columns, as conlleval reads them.

    `sentences`: as `common.postprocess` yields them; without gold tags there are two columns. A
    blank line ends each sentence. White space inside a word or tag becomes `_`, as does an empty
    word or tag.
    """
    with written_whole(path) as file:
        for words, gold, predicted, _ in sentences:
            columns = [column for column in (words, gold, predicted) if column]
            for row in zip(*columns, strict=True):
                file.write(" ".join(re.sub(r"\s", "_", cell) or "_" for cell in row) + "\n")
            file.write("\n")
