"""Folds for cross-validation: whole documents, or whole sets of identical sentences, together."""

import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from support.errors import UserError
from support.text import counted


class Folds(NamedTuple):
    """The fold of each sentence, from 0, and what is kept together: "document" or "sentence"."""

    numbers: list[int]
    unit: str


def make_folds(
    sentences: Iterable[tuple[Sequence[str], str | None]], number: int, seed: int
) -> Folds:
    """Return folds of nearly equal numbers of sentences.

    `sentences`: words and document of each. If there are at least two documents, documents stay
    whole, and sentences without one count as one document. Otherwise identical sentences stay
    together. Units are dealt in an order set by the seed, the largest first, each to the smallest
    fold. Raises UserError if there are fewer units than folds.
    """
    sentences = list(sentences)
    documents = {document for _, document in sentences}
    unit = "document" if len(documents) > 1 else "sentence"
    groups: list[Hashable] = [
        document if unit == "document" else tuple(words) for words, document in sentences
    ]
    sizes = Counter(groups)
    if len(sizes) < number:
        distinct = "" if unit == "document" else "distinct "
        raise UserError(
            f"folds {number}: too many for the corpus: got {counted(len(sizes), distinct + unit)}, "
            f"expected at least {number}. Choose fewer folds."
        )
    order = random.Random(seed).sample(list(sizes), len(sizes))
    totals = [0] * number
    fold_of: dict[Hashable, int] = {}
    for group in sorted(order, key=lambda group: -sizes[group]):
        fold_of[group] = min(range(number), key=totals.__getitem__)
        totals[fold_of[group]] += sizes[group]
    return Folds([fold_of[group] for group in groups], unit)
