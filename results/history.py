"""The history of a run: one row for each evaluation, for card and report alike."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scoring.table import span

INTERVAL = "_interval"  # the end of the name of a score's interval


def scored_history(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the row of each evaluation of a run, with the intervals of its scores.

    `run`: its facts `history` and `score_intervals`, see `training.progress.Progress`.
    """
    intervals = {row["step"]: row for row in run.get("score_intervals") or ()}
    return [{**row, **intervals.get(row.get("step"), {})} for row in run.get("history") or ()]


class HistoryTable(NamedTuple):
    """The history of a run; a cell without a value is None, a score with its interval is text."""

    columns: list[str]
    rows: list[list[object]]


def history_table(
    history: Sequence[Mapping[str, Any]], epoch_steps: int | None, longest: int | None = None
) -> HistoryTable:
    """Return a table of the evaluations of a run.

    `history`: rows with `step` (0: before training), scores and their intervals, such as
    `eval_f1_interval`; `epoch`, the number of an epoch from 0, is replaced by the epochs done.
    `epoch_steps`: the steps of an epoch. If there are more than `longest` rows, only every second,
    third, ... row is kept, and the last one.
    """
    stride = math.ceil(len(history) / longest) if longest and history else 1
    shown = history[(len(history) - 1) % stride :: stride] if history else []
    rows = [
        {"step": row.get("step"), "epochs done": _epochs_done(row, epoch_steps)}
        | {key: _with_interval(row, key) for key in row if key not in ("step", "epoch")}
        for row in shown
    ]
    columns = list(dict.fromkeys(key for row in rows for key in row if not key.endswith(INTERVAL)))
    columns = [key for key in columns if any(row.get(key) is not None for row in rows)]
    return HistoryTable(columns, [[row.get(column) for column in columns] for row in rows])


def _with_interval(row: Mapping[str, Any], key: str) -> object:
    """Return a value of a row: a score as text with its interval, if it has one."""
    value, interval = row[key], row.get(key + INTERVAL)
    return value if interval is None or value is None else f"{value:.4f} ({span(interval)})"


def _epochs_done(row: Mapping[str, Any], epoch_steps: int | None) -> str | None:
    if epoch_steps and row.get("step") is not None:
        return f"{round(row['step'] / epoch_steps, 2):g}"
    return None if row.get("epoch") is None else str(row["epoch"] + 1)
