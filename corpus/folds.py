"""Parts of a corpus for studies: folds, and growing shares.

Documents stay whole if there are enough of them; otherwise identical sentences stay together.
"""

import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from support.errors import UserError
from support.text import counted

MIN_DOCUMENTS = 20  # for shares


class Folds(NamedTuple):
    """The fold of each sentence, from 0, and what is kept together: "document" or "sentence"."""

    numbers: list[int]
    unit: str


def make_folds(
    sentences: Iterable[tuple[Sequence[str], str | None]], number: int, seed: int
) -> Folds:
    """Return folds of nearly equal numbers of sentences.

    `sentences`: words and document of each. Two documents are enough. Units are dealt in an order
    set by the seed, the largest first, each to the smallest fold. Raises UserError if there are
    fewer units than folds.
    """
    groups, unit = _groups(sentences, min_documents=2)
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


def growing_shares(
    sentences: Iterable[tuple[Sequence[str], str | None]], shares: Sequence[float], seed: int
) -> list[list[bool]]:
    """Return, for each share of the sentences, which of them belong to it.

    Units are drawn in an order set by the seed until the share is reached, so a larger share
    contains the smaller ones. `MIN_DOCUMENTS` documents are enough.
    """
    groups, _ = _groups(sentences, MIN_DOCUMENTS)
    sizes = Counter(groups)
    order = random.Random(seed).sample(list(sizes), len(sizes))
    ends = dict(zip(order, accumulate(sizes[group] for group in order), strict=True))
    starts = [ends[group] - sizes[group] for group in groups]
    return [[start < round(share * len(groups)) for start in starts] for share in shares]


def _groups(
    sentences: Iterable[tuple[Sequence[str], str | None]], min_documents: int
) -> tuple[list[Hashable], str]:
    """Return the group of each sentence that stays together, and its kind.

    Sentences without a document count as one document.
    """
    sentences = list(sentences)
    if len({document for _, document in sentences}) >= min_documents:
        return [document for _, document in sentences], "document"
    return [tuple(words) for words, _ in sentences], "sentence"
