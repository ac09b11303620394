"""The evidence beside the scores of a split: intervals, new surfaces, partial matches, lengths.

    evidence = EvidenceCounter(entity_tags=True, training_surfaces=surfaces_of(train))
    evidence.add(words, gold, predicted, document)    # each sentence
    scores = evidence.added_to(scores)                # as `scoring.scores` returns them

Sentences are counted when they are added. Memory grows by some bytes for each sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from common import entities
from scoring.intervals import LEVEL, SCORES, score_intervals
from scoring.partial_matches import OUTCOMES, SCHEMES, credits_of, match_counts
from scoring.resampling import UnitCounter, UnitCounts
from scoring.scores import prf
from scoring.surfaces import surface

IN_TRAINING, NEW = "in training", "new"
EVIDENCE = ("intervals", "by_surface", "by_length", "partial_matching")  # keys of scores
LENGTHS = ("1", "2", "3", "4 to 6", "7 or more")  # words of an entity
FEW = 100  # with fewer entities, an interval of F1 is usually wider than 0.1

Entity = tuple[str, int, int]


class EvidenceCounter:
    """Counts sentences for intervals and, with entity tags, for the other evidence."""

    def __init__(self, entity_tags: bool, training_surfaces: Set[int] | None = None) -> None:
        """`training_surfaces`: see `scoring.surfaces`; None if the training corpus is unknown."""
        self.entity_tags, self.training_surfaces = entity_tags, training_surfaces
        self.by_type, self.words = UnitCounter(), UnitCounter()
        self.by_surface, self.by_length = UnitCounter(), UnitCounter()
        self.by_scheme = UnitCounter()  # in halves of entities
        self.outcomes: Counter[tuple[str, str]] = Counter()  # of partial matching

    def add(
        self,
        words: Sequence[str],
        gold: Sequence[str],
        predicted: Sequence[str],
        document: Hashable | None = None,
    ) -> None:
        """Add a sentence with its tags. `document`: identifies its document; None if unknown."""
        right = sum(map(str.__eq__, gold, predicted))
        self.words.add({"words": (right, len(gold), len(gold))}, document)
        if not self.entity_tags:
            tags = [[(tag, n) for n, tag in enumerate(side)] for side in (gold, predicted)]
            self.by_type.add(_counts(*tags, lambda item: item[0]), document)
            return
        sides = entities(gold), entities(predicted)
        self.by_type.add(_counts(*sides, lambda entity: entity[0]), document)
        self.by_length.add(_counts(*sides, _length), document)
        if self.training_surfaces is not None:
            self.by_surface.add(
                _counts(*sides, lambda entity: self._novelty(entity, words)), document
            )
        matches = match_counts(*sides) if any(sides) else {}
        self.by_scheme.add({name: credits_of(row) for name, row in matches.items()}, document)
        for scheme, row in matches.items():
            self.outcomes.update({(scheme, outcome): count for outcome, count in row.items()})

    def merge(self, other: EvidenceCounter) -> None:
        """Add the sentences of another counter of the same kind."""
        for name in ("by_type", "words", "by_surface", "by_length", "by_scheme"):
            getattr(self, name).merge(getattr(other, name))
        self.outcomes += other.outcomes

    def added_to(self, scores: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scores of the same sentences with their evidence.

        Beside each score, such as "f1", is its interval, "f1_interval": [lower end, upper end].
        New keys: "intervals" (level, unit, number of units); for entity tags "by_length" and
        "partial_matching", each by name, with precision, recall and f1; "by_surface", if training
        is known, with recall alone.
        """
        by_type, words = self.by_type.units(), self.words.units()
        intervals = score_intervals(by_type)
        accuracy = score_intervals(words).overall[0]  # the share of words, as precision is
        ends = dict(zip(SCORES, intervals.overall, strict=True))
        ends |= {"accuracy": accuracy, "macro_f1": intervals.macro_f1}
        overall = _beside(scores["overall"], ends)
        types = dict(zip(by_type.types, intervals.by_type, strict=True))
        per_type = {
            name: _beside(row, dict(zip(SCORES, types[name], strict=True)))
            for name, row in scores["per_type"].items()
        }
        evidence: dict[str, Any] = {
            "intervals": {"level": LEVEL, "unit": words.unit, "units": words.size}
        }
        if self.entity_tags:
            evidence["by_length"] = _rows(self.by_length.units(), LENGTHS)
            evidence["partial_matching"] = self._partial_matching()
        if self.training_surfaces is not None:
            rows = _rows(self.by_surface.units(), (IN_TRAINING, NEW))
            kept = ("recall", "recall_interval", "number")
            evidence["by_surface"] = {
                name: {key: row[key] for key in kept} for name, row in rows.items()
            }
        return {**scores, "overall": overall, "per_type": per_type, **evidence}

    def _novelty(self, entity: Entity, words: Sequence[str]) -> str:
        entity_type, start, end = entity
        assert self.training_surfaces is not None
        seen = surface(entity_type, words[start:end]) in self.training_surfaces
        return IN_TRAINING if seen else NEW

    def _partial_matching(self) -> dict[str, Any]:
        rows = _rows(self.by_scheme.units(), SCHEMES, item=0.5)
        return {
            scheme: {name: self.outcomes[scheme, name] for name in OUTCOMES} | row
            for scheme, row in rows.items()
        }


def _counts(
    gold: Sequence[tuple[Any, ...]],
    predicted: Sequence[tuple[Any, ...]],
    group: Callable[[Any], str],
) -> dict[str, list[int]]:
    """Return correct, predicted and gold items of a sentence, by group."""
    rows: dict[str, list[int]] = {}
    for column, items in enumerate((set(gold).intersection(predicted), predicted, gold)):
        for item in items:
            rows.setdefault(group(item), [0, 0, 0])[column] += 1
    return rows


def _length(entity: Entity) -> str:
    """Return the group of an entity by its number of words."""
    words = entity[2] - entity[1]
    return LENGTHS[words - 1 if words < 4 else 3 if words < 7 else 4]


def _rows(counts: UnitCounts, names: Sequence[str], item: float = 1.0) -> dict[str, Any]:
    """Return the scores of groups that have any item, in the order of `names`.

    `item`: the value of a count.
    """
    intervals, totals = score_intervals(counts, item).by_type, counts.totals()
    rows = {}
    for name in names:
        if name in counts.types:
            position = counts.types.index(name)
            correct, predicted, gold = (int(count) for count in totals[position])
            row = prf(correct, predicted, gold) | {"number": round(gold * item)}
            rows[name] = _beside(row, dict(zip(SCORES, intervals[position], strict=True)))
    return rows


def _beside(row: Mapping[str, Any], intervals: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return scores with the interval of each beside it: "f1", "f1_interval", and so on."""
    scores: dict[str, Any] = {}
    for name, value in row.items():
        scores[name] = value
        if name in intervals:
            scores[f"{name}_interval"] = intervals[name].tolist()
    return scores


def number_of(scores: Mapping[str, Any]) -> int:
    """Return the number of gold entities that scores were measured on; of plain tags, of words."""
    return sum(row["number"] for row in scores["per_type"].values())


def few_note(scores: Mapping[str, Any]) -> str:
    """Return a note if there are few gold entities, or words with plain tags; otherwise ""."""
    number = number_of(scores)
    if number >= FEW:
        return ""
    is_one = number == 1
    noun = ("entity" if is_one else "entities") if "f1" in scores["overall"] else "word"
    noun += "s" * (noun == "word" and not is_one)
    return f"Only {number} {noun}: treat as rough."
