"""The corpus as the page of a run shows it: words by label, lengths of sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from common import are_entity_tags
from results.charts import chart_svg, length_chart
from results.verdict import Run


class LabelCell(NamedTuple):
    """The words of a split with a label, and the length of the bar (0 to 1) that shows them."""

    number: int
    total: int  # words of the split
    share: float


@dataclass(frozen=True)
class LabelTable:
    """The words of each split by label; `totals` counts the words of each split."""

    entity_tags: bool
    totals: dict[str, int]
    rows: list[tuple[str, list[LabelCell]]]


def label_table(
    counts: Mapping[str, Mapping[str, int]], label_names: Sequence[str] | None
) -> LabelTable | None:
    """Return the number of words by split and label, the labels of the model first."""
    if not counts:
        return None
    labels = dict.fromkeys(label_names or ())
    labels |= dict.fromkeys(label for words in counts.values() for label in words)
    totals = {split: sum(words.values()) for split, words in counts.items()}
    # Next to a bar of O, the other bars would be too short to see, so O has none.
    tallest = {
        split: max((count for label, count in words.items() if label != "O"), default=0) or 1
        for split, words in counts.items()
    }

    def cell(split: str, label: str) -> LabelCell:
        count = counts[split].get(label, 0)
        return LabelCell(count, totals[split], 0 if label == "O" else count / tallest[split])

    return LabelTable(
        entity_tags=are_entity_tags(labels),
        totals=totals,
        rows=[(label, [cell(split, label) for split in counts]) for label in labels],
    )


def sentence_lengths(run: Run) -> dict[str, dict[int, int]]:
    """Return the number of sentences by length for each split that has any.

    Lengths become whole numbers; JSON makes them strings.
    """
    lengths = {
        split: {int(length): count for length, count in counts.items() if count}
        for split, counts in (run.get("lengths") or {}).items()
    }
    return {split: counts for split, counts in lengths.items() if counts}


def length_svg(run: Run) -> str | None:
    """Return the histogram of sentence lengths."""
    lengths = sentence_lengths(run)
    return chart_svg(length_chart(lengths, run.get("max_seq_length"))) if lengths else None


class LengthRow(NamedTuple):
    """The lengths of a split's sentences in sub-words; `cut` counts those longer than a window."""

    split: str
    sentences: int
    median: int
    high: int  # 95 % of the sentences are not longer
    longest: int
    cut: int | None


def length_rows(run: Run) -> list[LengthRow]:
    """Return the lengths of sentences, a row for each split."""
    windowed = run.get("windowed") or {}
    return [
        LengthRow(
            split,
            sum(counts.values()),
            quantile(counts, 0.5),
            quantile(counts, 0.95),
            max(counts),
            windowed.get(split),
        )
        for split, counts in sentence_lengths(run).items()
    ]


def quantile(counts: Mapping[int, int], part: float) -> int:
    """Return the smallest length that at least `part` of the sentences do not exceed."""
    seen, wanted = 0, part * sum(counts.values())
    for length in sorted(counts):
        seen += counts[length]
        if seen >= wanted:
            return length
    return max(counts)
