"""The scores that training and `infer.py --score` print: a table, and the evidence below it."""

from collections.abc import Callable, Mapping
from typing import Any

from scoring.evidence import ENTITIES, IN_TRAINING, NEW, Nouns, few_note, number_of
from support.terminal import table_text
from support.text import counted

COLUMNS = ("precision", "recall", "f1")
SURFACES = {IN_TRAINING: "seen in training", NEW: "new"}


def score_table(scores: Mapping[str, Any]) -> str:
    """Return `scores`, as `scoring.scores.scores_of_counts` returns them, as a table.

    Each score is followed by its interval, if it has one (`EvidenceCounter.added_to`).
    """
    level = scores.get("intervals", {}).get("level")
    head = [cell for name in COLUMNS for cell in (name, *([percent(level)] if level else []))]
    rows = [[name, *_cells(row, level)] for name, row in scores["per_type"].items()]
    overall = scores["overall"]
    before = [""] * (4 if level else 2)
    if "f1" in overall:
        rows.append(["overall", *_cells(overall | {"number": number_of(scores)}, level)])
    else:
        rows.append(["macro f1", *before, *_score(overall, "macro_f1", level), ""])
    rows.append(["accuracy", *before, *_score(overall, "accuracy", level), ""])
    return table_text(["", *head, "number"], rows)


def evidence_lines(scores: Mapping[str, Any], nouns: Nouns = ENTITIES) -> list[str]:
    """Return the other evidence that `EvidenceCounter.added_to` has added, as short lines."""
    lines = [
        _listed(f"Recall on {nouns.plural}", scores, "by_surface", "recall", SURFACES.__getitem__),
        _listed("F1 by length", scores, "by_length", "f1", _words),
        _listed("F1 by matching", scores, "partial_matching", "f1"),
    ]
    return [" ".join(interval_notes(scores, nouns)), *filter(None, lines)]


def interval_notes(scores: Mapping[str, Any], nouns: Nouns = ENTITIES) -> list[str]:
    """Return sentences about the intervals of these scores."""
    intervals = scores["intervals"]
    unit = counted(intervals["units"], intervals["unit"])
    sampled = f"{percent(intervals['level'])} intervals, from resampling {unit}."
    return [note for note in (sampled, few_note(scores, nouns)) if note]


def percent(level: float) -> str:
    """Return the level of an interval, such as `95 %`."""
    return f"{100 * level:g} %"


def span(interval: list[float]) -> str:
    """Return an interval with three decimals: `0.812-0.934`."""
    low, high = interval
    return f"{low:.3f}-{high:.3f}"


def _listed(
    title: str,
    scores: Mapping[str, Any],
    key: str,
    score: str,
    label: Callable[[str], str] | None = None,
) -> str:
    """Return a line with a score of each group that has entities; empty without groups.

    `label`: returns the text of a group, which is followed by its number of entities; None if all
    groups have the same entities.
    """
    parts = []
    for name, row in scores.get(key, {}).items():
        if label and not row["number"]:  # nothing to score
            continue
        group = f"{label(name)} ({row['number']})" if label else name
        parts.append(f"{group} {row[score]:.4f} ({span(row[f'{score}_interval'])})")
    return f"{title}: {'; '.join(parts)}" if parts else ""


def _words(length: str) -> str:
    return f"{length} word" if length == "1" else f"{length} words"


def _cells(row: Mapping[str, Any], level: float | None) -> list[str]:
    return [*(cell for name in COLUMNS for cell in _score(row, name, level)), str(row["number"])]


def _score(row: Mapping[str, Any], name: str, level: float | None) -> list[str]:
    return [f"{row[name]:.4f}", *([span(row[f"{name}_interval"])] if level else [])]
