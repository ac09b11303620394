"""Counts of each document or sentence, and the same counts resampled.

    counter = UnitCounter()
    counter.add({"PER": (2, 3, 4)}, document="news-7")    # correct, predicted, gold; a sentence
    counts = counter.units()                              # by document, or by sentence
    totals = resampled_totals(counts)                     # (resamples, types, 3)

A resample is that of the Bayesian bootstrap (Rubin 1981): each unit counts with a random weight
from the exponential distribution, of mean 1. Scores are ratios of sums, so the weights need not add
up. Entities of a unit are resampled together, because their errors depend on each other.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

# With fewer documents, their differences say too little about other documents.
MIN_DOCUMENTS = 20
RESAMPLES = 1000
SEED = 20
CHUNK = 2048  # units whose weights are in memory at a time


@dataclass(frozen=True)
class UnitCounts:
    """The counts of each unit by type, as a sparse table.

    `unit`: "document" or "sentence". `size`: the number of units, including those without counts.
    `cells`: (cells, 5), integers: unit, type (its position in `types`), correct, predicted and
    gold items; sorted by unit and type. A type may be any group of items.
    """

    unit: str
    size: int
    types: list[Any]
    cells: np.ndarray

    def dense(self, start: int, stop: int) -> np.ndarray:
        """Return the counts of some units: (units, types, 3), correct, predicted and gold."""
        table = np.zeros((stop - start, len(self.types), 3))
        first, last = np.searchsorted(self.cells[:, 0], [start, stop])
        cells = self.cells[first:last]
        table[cells[:, 0] - start, cells[:, 1]] = cells[:, 2:]
        return table

    def totals(self) -> np.ndarray:
        """Return the counts of all units together: (types, 3)."""
        sums = np.zeros((len(self.types), 3), np.int64)
        np.add.at(sums, self.cells[:, 1], self.cells[:, 2:])
        return sums

    def select(self, positions: Sequence[int]) -> UnitCounts:
        """Return the counts of some types, given by their increasing positions in `types`."""
        cells = self.cells[np.isin(self.cells[:, 1], positions)]
        cells[:, 1] = np.searchsorted(positions, cells[:, 1])
        return replace(self, types=[self.types[n] for n in positions], cells=cells)

    def distinct(self) -> tuple[UnitCounts, np.ndarray]:
        """Return the distinct units that have counts, and the number of units equal to each.

        They are sorted by their counts, so that results do not depend on the order of sentences.
        """
        starts = np.flatnonzero(np.diff(self.cells[:, 0], prepend=-1))
        rows = np.split(np.ascontiguousarray(self.cells[:, 1:]), starts[1:])
        shared = sorted(Counter(row.tobytes() for row in rows if len(row)).items())
        blocks = [np.frombuffer(key, self.cells.dtype).reshape(-1, 4) for key, _ in shared]
        numbers = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
        cells = np.column_stack([numbers, np.concatenate([self.cells[:0, 1:], *blocks])])
        frequencies = np.array([count for _, count in shared], np.int64)
        return replace(self, size=len(blocks), cells=cells), frequencies


class UnitCounter:
    """Collects the counts of sentences, in 20 bytes for each type of a sentence."""

    def __init__(self) -> None:
        self._types: dict[Any, int] = {}  # numbered as they come, as are the documents
        self._documents: dict[Hashable, int] = {}
        self._document_numbers = array("i")  # of each sentence; -1 without a document
        self._cells = array("i")  # sentence, type, correct, predicted, gold; and so on

    def add(self, counts: Mapping[Any, Sequence[int]], document: Hashable | None = None) -> None:
        """Add a sentence: the correct, predicted and gold items of each type.

        `document`: the key of its document.
        """
        sentence = len(self._document_numbers)
        for name, row in counts.items():
            self._cells.extend((sentence, self._types.setdefault(name, len(self._types)), *row))
        number = self._documents.setdefault(document, len(self._documents))
        self._document_numbers.append(-1 if document is None else number)

    def merge(self, other: UnitCounter) -> None:
        """Add the sentences of another counter."""
        first = len(self._document_numbers)
        types, documents = [*other._types], [*other._documents]
        cells = np.array(other._cells, np.int32).reshape(-1, 5)
        known = [self._types.setdefault(name, len(self._types)) for name in types]
        cells[:, 0] += first
        cells[:, 1] = np.array(known, np.int32)[cells[:, 1]]
        self._cells.frombytes(cells.tobytes())
        for number in other._document_numbers:
            name = None if number < 0 else documents[number]
            known_number = self._documents.setdefault(name, len(self._documents))
            self._document_numbers.append(-1 if name is None else known_number)

    def units(self) -> UnitCounts:
        """Return the counts by document if each sentence has one and there are enough of them.

        Otherwise by sentence. The types are sorted.
        """
        unit_of_sentence = np.array(self._document_numbers, np.int64)
        by_document = unit_of_sentence.min(initial=0) >= 0 and len(self._documents) >= MIN_DOCUMENTS
        if not by_document:
            unit_of_sentence = np.arange(len(unit_of_sentence))
        types = sorted(self._types)
        rank = np.array([types.index(name) for name in self._types], np.int64)
        cells = np.array(self._cells, np.int32).reshape(-1, 5)
        keys = unit_of_sentence[cells[:, 0]] * len(types) + rank[cells[:, 1]]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))  # of each unit and type
        sums = np.add.reduceat(cells[order, 2:], starts, dtype=np.int32)
        units, type_numbers = np.divmod(keys[starts], max(len(types), 1))
        table = np.column_stack([units.astype(np.int32), type_numbers.astype(np.int32), sums])
        size = len(self._documents) if by_document else len(unit_of_sentence)
        return UnitCounts("document" if by_document else "sentence", size, types, table)


def bootstrap_weights(
    size: int, resamples: int = RESAMPLES, seed: int = SEED
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (start, stop, weights of these units in each resample: (resamples, units)).

    The same for each call with the same arguments, so that two sides can share their resamples.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        yield start, stop, rng.standard_exponential((resamples, stop - start))


def resampled_totals(
    counts: UnitCounts, resamples: int = RESAMPLES, seed: int = SEED
) -> np.ndarray:
    """Return the weighted counts of all units in each resample: (resamples, types, 3).

    They do not depend on the order of the units.
    """
    counts, frequencies = counts.distinct()
    rng = np.random.default_rng(seed)
    totals = np.zeros((resamples, len(counts.types) * 3))
    for start in range(0, counts.size, CHUNK):
        stop = min(start + CHUNK, counts.size)
        # The weights of n units add up to a value from the gamma distribution of shape n.
        weights = rng.standard_gamma(frequencies[start:stop], (resamples, stop - start))
        totals += weights @ counts.dense(start, stop).reshape(stop - start, -1)
    return totals.reshape(resamples, -1, 3)
