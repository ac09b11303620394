"""The history of a run as a table: one row for each evaluation, for card and report alike."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class HistoryTable(NamedTuple):
    """The history of a run; a cell without a value is None."""

    columns: list[str]
    rows: list[list[object]]


def history_table(
    history: Sequence[Mapping[str, Any]], epoch_steps: int | None, longest: int | None = None
) -> HistoryTable:
    """Return a table of the evaluations of a run.

    `history`: rows with `step` (0: before training) and scores; `epoch`, the number of an epoch
    from 0, is replaced by the epochs done. `epoch_steps`: the steps of an epoch. If there are more
    than `longest` rows, only every second, third, ... row is kept, and the last one.
    """
    stride = math.ceil(len(history) / longest) if longest and history else 1
    shown = history[(len(history) - 1) % stride :: stride] if history else []
    rows = [
        {"step": row.get("step"), "epochs done": _epochs_done(row, epoch_steps)}
        | {key: value for key, value in row.items() if key not in ("step", "epoch")}
        for row in shown
    ]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    columns = [key for key in columns if any(row.get(key) is not None for row in rows)]
    return HistoryTable(columns, [[row.get(column) for column in columns] for row in rows])


def _epochs_done(row: Mapping[str, Any], epoch_steps: int | None) -> str | None:
    if epoch_steps and row.get("step") is not None:
        return f"{round(row['step'] / epoch_steps, 2):g}"
    return None if row.get("epoch") is None else str(row["epoch"] + 1)
