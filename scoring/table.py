"""The score table that training and `infer.py --score` print."""

from collections.abc import Mapping
from typing import Any

from support.terminal import table_text

COLUMNS = ("precision", "recall", "f1", "number")


def score_table(scores: Mapping[str, Any]) -> str:
    """Return `scores`, as `scoring.scores.scores_of_counts` returns them, as a table."""
    rows = [[name, *_cells(row)] for name, row in scores["per_type"].items()]
    overall = scores["overall"]
    if "f1" in overall:
        number = sum(row["number"] for row in scores["per_type"].values())
        rows.append(["overall", *_cells(overall | {"number": number})])
    else:
        rows.append(["macro f1", "", "", _score(overall["macro_f1"]), ""])
    rows.append(["accuracy", "", "", _score(overall["accuracy"]), ""])
    return table_text(["", *COLUMNS], rows)


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [*(_score(row[name]) for name in COLUMNS[:3]), str(row["number"])]


def _score(value: float) -> str:
    return f"{value:.4f}"
