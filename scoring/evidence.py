"""The evidence beside the scores of a split: intervals, seen entities, partial matches, lengths.

    evidence = EvidenceCounter(entity_tags=True, training_surfaces=surfaces_of(train))
    evidence.add(words, gold, predicted, document)    # each sentence
    scores = evidence.added_to(scores)                # as `scoring.scores` returns them

Sentences are counted when they are added, and not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from common import entities
from scoring.intervals import LEVEL, SCORES, score_intervals
from scoring.partial_matches import OUTCOMES, SCHEMES, credits_of, match_counts
from scoring.resampling import UnitCounter, UnitCounts, resampled_totals
from scoring.scores import prf
from scoring.seen_entities import surface

IN_TRAINING, NEW = "in training", "new"
EVIDENCE = ("intervals", "by_surface", "by_length", "partial_matching")  # keys of scores
LENGTHS = ("1", "2", "3", "4 to 6", "7 or more")  # words of an entity
FEW = 100  # with fewer entities, an interval of F1 is usually wider than 0.1

Entity = tuple[str, int, int]


class Nouns(NamedTuple):
    """The noun for a span that tags mark."""

    singular: str
    plural: str


ENTITIES = Nouns("entity", "entities")
NOUNS = {"chunk": Nouns("chunk", "chunks")}  # by task; the other tasks have entities


class EvidenceCounter:
    """Counts sentences for intervals and, with entity tags, for the other evidence."""

    def __init__(self, entity_tags: bool, training_surfaces: Set[int] | None = None) -> None:
        """`training_surfaces`: see `seen_entities`; None if the training corpus is unknown."""
        self.entity_tags, self.training_surfaces = entity_tags, training_surfaces
        # Correct, predicted and gold items of each sentence by group and name, such as
        # ("type", "PER"). Groups are resampled together, words by themselves.
        self.counts, self.words = UnitCounter(), UnitCounter()
        self.outcomes: Counter[tuple[str, str]] = Counter()  # of partial matching

    def add(
        self,
        words: Sequence[str],
        gold: Sequence[str],
        predicted: Sequence[str],
        document: Hashable | None = None,
    ) -> None:
        """Add a sentence with its tags. `document`: the key of its document; None if unknown."""
        right = sum(map(str.__eq__, gold, predicted))
        self.words.add({"words": (right, len(gold), len(gold))}, document)
        if not self.entity_tags:
            tags = (
                [(tag, n) for n, tag in enumerate(gold)],
                [(tag, n) for n, tag in enumerate(predicted)],
            )
            self.counts.add(_counts(*tags, lambda item: ("type", item[0])), document)
            return
        sides = entities(gold), entities(predicted)
        counts = _counts(*sides, lambda entity: ("type", entity[0]))
        counts |= _counts(*sides, lambda entity: ("length", _length(entity)))
        if self.training_surfaces is not None:
            counts |= _counts(*sides, lambda entity: ("surface", self._novelty(entity, words)))
        if counts:
            matches = match_counts(*sides)
            counts |= {("scheme", name): credits_of(row) for name, row in matches.items()}
            for scheme, row in matches.items():
                self.outcomes.update({(scheme, outcome): n for outcome, n in row.items()})
        self.counts.add(counts, document)

    def merge(self, other: EvidenceCounter) -> None:
        """Add the sentences of another counter of the same kind."""
        self.counts.merge(other.counts)
        self.words.merge(other.words)
        self.outcomes += other.outcomes

    def added_to(self, scores: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scores of the same sentences with their evidence.

        Beside each score, such as "f1", is its interval, "f1_interval": [lower end, upper end].
        New keys: "intervals" (level, unit, number of units); for entity tags "by_length" and
        "partial_matching", each by name, with precision, recall and f1; "by_surface", if the
        training split is known, with recall only.
        """
        words, counts = self.words.units(), self.counts.units()
        resampled = resampled_totals(counts)
        by_type = _Group("type", counts, resampled)
        overall = dict(zip(SCORES, by_type.intervals.overall, strict=True))
        overall["macro_f1"] = by_type.intervals.macro_f1
        # Each word has one predicted and one gold tag, so precision is the accuracy.
        overall["accuracy"] = score_intervals(words).overall[0]
        evidence: dict[str, Any] = {
            "overall": _beside(scores["overall"], overall),
            "per_type": {
                name: by_type.beside(name, row) for name, row in scores["per_type"].items()
            },
            "intervals": {"level": LEVEL, "unit": words.unit, "units": words.size},
        }
        if self.entity_tags:
            evidence["by_length"] = _Group("length", counts, resampled).rows(LENGTHS)
            matching = _Group("scheme", counts, resampled, item=0.5).rows(SCHEMES)
            evidence["partial_matching"] = {
                scheme: {name: self.outcomes[scheme, name] for name in OUTCOMES} | row
                for scheme, row in matching.items()
            }
        if self.training_surfaces is not None:
            rows = _Group("surface", counts, resampled).rows((IN_TRAINING, NEW))
            kept = ("recall", "recall_interval", "number")
            evidence["by_surface"] = {
                name: {key: row[key] for key in kept} for name, row in rows.items()
            }
        return {**scores, **evidence}

    def _novelty(self, entity: Entity, words: Sequence[str]) -> str:
        entity_type, start, end = entity
        assert self.training_surfaces is not None
        seen = surface(entity_type, words[start:end]) in self.training_surfaces
        return IN_TRAINING if seen else NEW


class _Group:
    """The counts of a group, and their intervals. `item`: the value of a count."""

    def __init__(
        self, group: str, counts: UnitCounts, resampled: np.ndarray, item: float = 1.0
    ) -> None:
        positions = [n for n, (name, _) in enumerate(counts.types) if name == group]
        selected = counts.select(positions)
        self.names, self.item = [name for _, name in selected.types], item
        self.totals = selected.totals().tolist()
        self.intervals = score_intervals(selected, resampled[:, positions], item)

    def beside(self, name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scores of a member of the group with their intervals."""
        intervals = self.intervals.by_type[self.names.index(name)]
        return _beside(row, dict(zip(SCORES, intervals, strict=True)))

    def rows(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the scores of the members that have items, with their intervals."""
        rows = {}
        for name in names:
            if name in self.names:
                correct, predicted, gold = self.totals[self.names.index(name)]
                row = prf(correct, predicted, gold) | {"number": round(gold * self.item)}
                rows[name] = self.beside(name, row)
        return rows


def _counts(
    gold: Sequence[tuple[Any, ...]],
    predicted: Sequence[tuple[Any, ...]],
    group: Callable[[Any], tuple[str, str]],
) -> dict[tuple[str, str], Sequence[int]]:
    """Return correct, predicted and gold items of a sentence, by group and name."""
    rows: dict[tuple[str, str], Any] = {}
    for column, items in enumerate((set(gold).intersection(predicted), predicted, gold)):
        for item in items:
            rows.setdefault(group(item), [0, 0, 0])[column] += 1
    return rows


def _length(entity: Entity) -> str:
    """Return the group of an entity by its number of words."""
    words = entity[2] - entity[1]
    return LENGTHS[words - 1 if words < 4 else 3 if words < 7 else 4]


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


def few_note(scores: Mapping[str, Any], nouns: Nouns = ENTITIES) -> str:
    """Return a note if there are few gold entities, or words with plain tags; otherwise ""."""
    number = number_of(scores)
    if number >= FEW:
        return ""
    if "f1" not in scores["overall"]:
        nouns = Nouns("word", "words")
    noun = nouns.singular if number == 1 else nouns.plural
    return f"Only {number} {noun}: treat as rough."
