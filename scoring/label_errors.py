"""Suspected label errors: labels that differ from the predictions for an unseen sentence.

    log_odds = error_log_odds(gold, predicted, log_probabilities, label_names)
    suspects = suspected_errors(gold[0], predicted[0], log_odds[0], entity_tags=True)

A suspect is a mistake of the model (`scoring.mistakes.pair_entities`), read as one of the label;
mistakes that overlap, such as an entity that is predicted in two parts, are one suspect. Its score
is odds / (1 + odds), from the geometric mean of the odds of its words, of those where label and
prediction differ. The odds that a label is wrong are the probability of the predicted label divided
by that of the label, times the root of the label's frequency divided by the root of that of the
predicted one. Models are most sure of O, because it is frequent, so an entity that they miss would
look more suspicious than a label O where they see an entity. If as many labels were changed in each
direction, Bayes' rule would have the frequencies themselves; if each label was changed to any other
alike, it would have none. The root is the middle. `benchmarks/label_errors.py` compares the ranking
with that of cleanlab.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from common import entities
from scoring.mistakes import Entity, Pair, extent, pair_entities

KINDS = {  # kind of mistake -> kind of label error
    "missed": "not an entity",
    "spurious": "missing entity",
    "wrong type": "other type",
    "wrong boundary": "other boundary",
}


class Suspect(NamedTuple):
    """A suspected label error of a sentence.

    `kind`: a value of `KINDS`, or "other tag". `labels` and `suggested`: the entities, or the word
    with a plain tag, as labelled and as predicted. `start` and `end`: the words concerned, end
    exclusive.
    """

    kind: str
    score: float
    labels: list[Entity]
    suggested: list[Entity]
    start: int
    end: int


def error_log_odds(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    log_probabilities: Sequence[np.ndarray],
    label_names: Sequence[str],
) -> list[np.ndarray]:
    """Return the log odds that the label of each word is wrong, for each sentence: (words,) each.

    `log_probabilities`: (words, labels) of each sentence, in the order of `label_names`.
    """
    ids = {name: number for number, name in enumerate(label_names)}
    labels = np.array([ids[tag] for tags in gold for tag in tags], int)
    # A word without a sub-word may be predicted O where O is not a label.
    pairs = zip((tag for tags in predicted for tag in tags), labels, strict=True)
    suggested = np.array([ids.get(tag, label) for tag, label in pairs], int)
    rows, words = np.concatenate(log_probabilities).astype(float), np.arange(len(labels))
    numbers = np.bincount(np.concatenate([labels, suggested]), minlength=len(ids))
    log_numbers = np.log(np.maximum(numbers, 1))
    odds = rows[words, suggested] - rows[words, labels]
    odds += (log_numbers[labels] - log_numbers[suggested]) / 2
    return np.split(odds, np.cumsum([len(tags) for tags in gold])[:-1])


def suspected_errors(
    gold: Sequence[str],
    predicted: Sequence[str],
    log_odds: Sequence[float] | np.ndarray,
    entity_tags: bool,
) -> list[Suspect]:
    """Return the suspected errors of a sentence, in order.

    `log_odds`: that the label of each word is wrong, see `error_log_odds`.
    """
    places = _places(gold, predicted) if entity_tags else _other_tags(gold, predicted)
    differ = [tag != suggested for tag, suggested in zip(gold, predicted, strict=True)]
    return [
        Suspect(kind, _score(log_odds, differ, start, end), labels, suggested, start, end)
        for kind, labels, suggested, start, end in places
    ]


Place = tuple[str, list[Entity], list[Entity], int, int]  # the fields of `Suspect` but its score


def _places(gold: Sequence[str], predicted: Sequence[str]) -> list[Place]:
    """Return the places where entities differ, those that overlap as one."""
    pairs = [p for p in pair_entities(entities(gold), entities(predicted)) if p.kind != "exact"]
    groups: list[tuple[list[Pair], int, int]] = []
    for pair in pairs:  # sorted by where they begin
        start, end = extent(pair)
        if groups and start < groups[-1][2]:
            members, first, last = groups.pop()
            groups.append(([*members, pair], first, max(last, end)))
        else:
            groups.append(([pair], start, end))
    return [
        (
            KINDS[members[0].kind] if len(members) == 1 else KINDS["wrong boundary"],
            _distinct(pair.gold for pair in members),
            _distinct(pair.predicted for pair in members),
            first,
            last,
        )
        for members, first, last in groups
    ]


def _distinct(found: Iterable[Entity | None]) -> list[Entity]:
    """Return the entities that occur, each once, in order."""
    return sorted({entity for entity in found if entity}, key=lambda entity: entity[1:])


def _other_tags(gold: Sequence[str], predicted: Sequence[str]) -> list[Place]:
    """Return the words whose plain tags differ."""
    return [
        ("other tag", [(tag, word, word + 1)], [(suggested, word, word + 1)], word, word + 1)
        for word, (tag, suggested) in enumerate(zip(gold, predicted, strict=True))
        if tag != suggested
    ]


def _score(
    log_odds: Sequence[float] | np.ndarray, differ: Sequence[bool], start: int, end: int
) -> float:
    """Return the score of the words from `start` to `end`, of those where `differ` is true."""
    words = list(range(start, end))
    words = [word for word in words if differ[word]] or words
    return 1 / (1 + math.exp(-sum(log_odds[word] for word in words) / len(words)))


def corrected(gold: Sequence[Entity], suspect: Suspect) -> list[Entity]:
    """Return the entities of a sentence with the suggestion in place of the labels."""
    kept = [entity for entity in gold if entity not in suspect.labels]
    return sorted([*kept, *suspect.suggested], key=lambda entity: entity[1:])
