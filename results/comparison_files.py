"""A comparison of two sides on the terminal, as JSON and as a page.

print(comparison_text(report))
write_comparison(Path("comparison.html"), report)
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scoring.comparison import MIN_PREDICTIONS, Comparison, Difference
from scoring.evidence import FEW
from scoring.mistake_changes import KINDS, MistakeChanges, PlacedChange
from scoring.mistakes import Pair
from support.files import write_json, written_whole
from support.html import page_environment
from support.terminal import table_text
from support.text import counted
from support.type_colours import type_hues
from support.version import VERSION

TEMPLATES = Path(__file__).parent / "templates"
SHOWN_ON_TERMINAL, SHOWN_ON_PAGE, OPEN_ON_PAGE = 5, 200, 20  # changes of each kind
EXTENSIONS = (".json", ".html")
NONE = "-"  # in place of an interval or p value that is not given
NAMES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
}
MEANINGS = {
    "new": "only B is wrong",
    "gone": "only A is wrong",
    "changed": "both are wrong in different ways",
}


class ComparisonReport(NamedTuple):
    """A comparison, the changes of mistakes, and the names of the runs of each side."""

    a: Sequence[str]
    b: Sequence[str]
    comparison: Comparison
    changes: MistakeChanges


# --- In words -----------------------------------------------------------------------------------


def verdict(report: ComparisonReport) -> str:
    """Return the main difference and whether it is clear, in one sentence."""
    main = report.comparison.main
    size = f"{NAMES[main.score]}, B - A: {signed(main.difference)} ({interval(main)})"
    if report.changes.same == 0 and not any(report.changes.kept.values()):
        return f"{size}. Neither side makes a mistake."
    if not any(report.changes.kept.values()) and main.difference == 0:
        return f"{size}. Both sides make the same mistakes."
    chance = "this may be chance."
    if main.is_clear:
        chance = f"{'B' if main.difference > 0 else 'A'} is better on text like this."
    return f"{size}, p = {p_value(main)}: {chance}"


def cautions(comparison: Comparison) -> list[str]:
    """Return the limits of the conclusions, one sentence each."""
    main, lines = comparison.main, []
    if main.number < FEW:
        singular, plural = ("entity", "entities") if comparison.entity_tags else ("word", "words")
        noun = singular if main.number == 1 else plural
        lines.append(f"Only {main.number} {noun}: treat as rough.")
    if comparison.exact and comparison.smallest_p_value >= 0.05:
        lines.append(
            f"With so few runs no p value can be below {comparison.smallest_p_value:.2g}; five "
            "runs on each side can give 0.008."
        )
    if sum(comparison.runs) > 2 and 1 in comparison.runs:
        side = "AB"[comparison.runs.index(1)]
        lines.append(f"{side} has one run: the intervals leave out the spread of its seeds.")
    return lines


def methods(comparison: Comparison) -> list[str]:
    """Return the methods of the intervals and the p values, one sentence each."""
    units = counted(comparison.units, comparison.unit)
    seeds = ", and over the runs of each side" if max(comparison.runs) > 1 else ""
    lines = [
        f"Intervals: 95 %, paired bootstrap over {units}{seeds}; "
        f"{counted(comparison.resamples, 'resample')}."
    ]
    number = f"{comparison.arrangements:,}"
    if sum(comparison.runs) == 2:
        lines.append(
            f"p values: two-sided, approximate randomization over {comparison.unit}s; {number} "
            "shuffles, p = (c + 1) / (n + 1)."
        )
    elif comparison.exact:
        lines.append(f"p values: two-sided, permutation test, all {number} divisions of the runs.")
    else:
        lines.append(
            f"p values: two-sided, permutation test, {number} random divisions of the runs, "
            "p = (c + 1) / (n + 1)."
        )
    tests = sum(row.p_value is not None for row in comparison.differences)
    if tests < len(comparison.differences):
        lines.append(
            f"{NONE}: a run has fewer than {MIN_PREDICTIONS} predictions, too few to compare its "
            "precision."
        )
    lines.append(
        f"The table has {tests} p values. Without any true difference, about one in twenty would "
        "be below 0.05."
    )
    return lines


def signed(value: float) -> str:
    """Return a difference with its sign and 4 digits."""
    return f"{value:+.4f}"


def interval(row: Difference) -> str:
    """Return the interval of a difference."""
    if row.low is None or row.high is None:
        return NONE
    return f"{signed(row.low)} to {signed(row.high)}"


def p_value(row: Difference) -> str:
    """Return a p value with 4 digits."""
    return NONE if row.p_value is None else f"{row.p_value:.4f}"


def mistake_text(pair: Pair) -> str:
    """Return a mistake in words, such as `wrong type: LOC for PER`."""
    gold, predicted = (side[0] if side else None for side in (pair.gold, pair.predicted))
    if pair.gold is None:
        return f"{pair.kind}: {predicted}"
    if pair.predicted is None or gold == predicted:
        return f"{pair.kind}: {gold}"
    return f"{pair.kind}: {predicted or 'none'} for {gold}"


def kinds_text(changes: Sequence[PlacedChange], kind: str) -> str:
    """Return the mistakes of some changes counted by kind, the most frequent first."""
    pairs = [
        pair
        for change in changes
        for pair in (change.change.before if kind == "gone" else change.change.after)
    ]
    counts = Counter(pair.kind for pair in pairs)
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


# --- The terminal -------------------------------------------------------------------------------


def comparison_text(report: ComparisonReport) -> str:
    """Return the comparison as lines for the terminal."""
    comparison = report.comparison
    blocks = ["\n".join([*_sides(report), _size(comparison)]), _score_table(comparison)]
    blocks.append("\n".join([verdict(report), *cautions(comparison)]))
    blocks += [_changes(report, kind) for kind in KINDS]
    blocks.append(f"Mistakes that both sides make: {report.changes.same:,}")
    blocks.append("\n".join(methods(comparison)))
    return "\n\n".join(blocks)


def _sides(report: ComparisonReport) -> Iterator[str]:
    for name, runs in (("A", report.a), ("B", report.b)):
        yield f"{name}: {', '.join(runs)}"


def _size(comparison: Comparison) -> str:
    sentences, words = counted(comparison.sentences, "sentence"), counted(comparison.words, "word")
    return f"{sentences}, {words} scored on each side"


def _score_table(comparison: Comparison) -> str:
    rows, shown = [], None
    for row in comparison.differences:
        name = "overall" if row.type is None else row.type
        cells = [f"{row.a:.4f}", f"{row.b:.4f}", signed(row.difference), interval(row)]
        first = name != shown
        number = f"{row.number:,}" if first else ""
        rows.append([name if first else "", NAMES[row.score], *cells, p_value(row), number])
        shown = name
    return table_text(["", "", "A", "B", "B - A", "95 % interval", "p", "number"], rows)


def _changes(report: ComparisonReport, kind: str) -> str:
    """Return the first mistakes of a kind, word by word."""
    changes = report.changes.kept[kind]
    title = f"{kind.capitalize()} mistakes, where {MEANINGS[kind]}: {len(changes):,}"
    if not changes:
        return title
    title += f" ({kinds_text(changes, kind)})"
    rows = []
    for change in changes[:SHOWN_ON_TERMINAL]:
        place = str(change.place)
        for word in change.words:
            if word.wrong:
                rows.append([place, word.text, word.gold, word.a, word.b])
                place = ""
    lines = [title, table_text(["", "word", "gold", "A", "B"], rows)]
    left = len(changes) - SHOWN_ON_TERMINAL
    if left > 0:
        lines.append(f"... and {left:,} more; --output FILE.json writes all of them")
    return "\n".join(lines)


# --- Files --------------------------------------------------------------------------------------


def write_comparison(path: Path, report: ComparisonReport) -> None:
    """Write a comparison as JSON or, if the name ends in .html, as a page."""
    if path.suffix == ".json":
        write_json(path, comparison_json(report))
        return
    with written_whole(path) as file:
        file.writelines(comparison_page(report))


def comparison_json(report: ComparisonReport) -> dict[str, Any]:
    """Return a comparison with all its numbers and every mistake that changed."""
    comparison = report.comparison
    return {
        "suite_version": VERSION,
        "a": list(report.a),
        "b": list(report.b),
        "sentences": comparison.sentences,
        "words": comparison.words,
        "unit": comparison.unit,
        "units": comparison.units,
        "resamples": comparison.resamples,
        "arrangements": comparison.arrangements,
        "exact_p_values": comparison.exact,
        "verdict": verdict(report),
        "cautions": cautions(comparison),
        "differences": [row._asdict() for row in comparison.differences],
        "mistakes": {
            kind: [_change_json(change) for change in report.changes.kept[kind]] for kind in KINDS
        },
        "mistakes_of_both": report.changes.same,
    }


def _change_json(placed: PlacedChange) -> dict[str, Any]:
    words = [word for word in placed.words if word.wrong]
    return {
        "file": placed.place.file,
        "line": placed.place.line,
        "record_id": placed.place.record_id,
        "document": placed.place.document,
        "sentence": placed.sentence,
        "start_word": placed.change.start,
        "end_word": placed.change.end,
        "words": [word.text for word in words],
        "gold_tags": [word.gold for word in words],
        "a_tags": [word.a for word in words],
        "b_tags": [word.b for word in words],
        "a_mistakes": [mistake_text(pair) for pair in placed.change.before],
        "b_mistakes": [mistake_text(pair) for pair in placed.change.after],
    }


class ChangeGroup(NamedTuple):
    """The changes of a kind as the page shows them; `total` counts also those not shown."""

    kind: str
    meaning: str
    total: int
    kinds: str
    first: list[PlacedChange]
    more: list[PlacedChange]


def comparison_page(report: ComparisonReport) -> Iterator[str]:
    """Yield the pieces of the page of a comparison."""
    groups = []
    for kind in KINDS:
        changes = report.changes.kept[kind]
        shown = changes[:SHOWN_ON_PAGE]
        first, more = shown[:OPEN_ON_PAGE], shown[OPEN_ON_PAGE:]
        kinds = kinds_text(changes, kind)
        groups.append(ChangeGroup(kind, MEANINGS[kind], len(changes), kinds, first, more))
    template = page_environment(TEMPLATES).get_template("comparison.html.jinja")
    pieces = template.generate(
        title="Comparison of A and B",
        report=report,
        comparison=report.comparison,
        main=report.comparison.main,
        verdict=verdict(report),
        cautions=cautions(report.comparison),
        methods=methods(report.comparison),
        groups=groups,
        names=NAMES,
        signed=signed,
        interval=interval,
        p_value=p_value,
        mistake_text=mistake_text,
        hues=type_hues(row.type for row in report.comparison.differences if row.type),
    )
    return map(str, pieces)
