"""Suspected label errors: labels that differ from the predictions for an unseen sentence.

    chances = relative_probabilities(gold, log_probabilities, label_names)
    suspects = suspected_errors(gold[0], predicted[0], chances[0], entity_tags=True)

A suspect is a mistake of the model (`scoring.mistakes.pair_entities`), read as one of the label;
mistakes that overlap, such as an entity that is predicted in two parts, are one suspect. Its score
is 1 - the geometric mean of the relative probabilities of the labels of its words, of those where
label and prediction differ. A relative probability is that of the label, divided by the mean for
the same label in the whole corpus, and at most 1: models are less sure of some labels than of
others, and a low probability of a label that is always difficult says little (the idea of confident
learning, Northcutt et al. 2021, arXiv:1911.00068). The mean neither depends on a single word, as
the lowest probability does, nor prefers long entities, as a product would. Probabilities among
legal sequences of tags would prefer them too: there, an I- depends on all words before it.
`benchmarks/label_errors.py` compares the ranking with that of cleanlab.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from common import entities
from scoring.mistakes import Entity, Pair, extent, pair_entities

LOWEST = 1e-300  # of a probability, so that it has a logarithm
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


def relative_probabilities(
    gold: Sequence[Sequence[str]],
    log_probabilities: Sequence[np.ndarray],
    label_names: Sequence[str],
) -> list[np.ndarray]:
    """Return the relative probability of the label of each word, for each sentence: (words,) each.

    `log_probabilities`: (words, labels) of each sentence, in the order of `label_names`.
    """
    ids = {name: number for number, name in enumerate(label_names)}
    labels = np.array([ids[tag] for tags in gold for tag in tags], int)
    rows = np.concatenate(log_probabilities)
    probabilities = np.exp(rows[np.arange(len(labels)), labels].astype(float))
    words = np.bincount(labels, minlength=len(ids))
    means = np.bincount(labels, probabilities, len(ids)) / np.maximum(words, 1)
    relative = np.minimum(probabilities / np.maximum(means[labels], LOWEST), 1)
    return np.split(relative, np.cumsum([len(tags) for tags in gold])[:-1])


def suspected_errors(
    gold: Sequence[str],
    predicted: Sequence[str],
    probabilities: Sequence[float] | np.ndarray,
    entity_tags: bool,
) -> list[Suspect]:
    """Return the suspected errors of a sentence, in order.

    `probabilities`: of the label of each word, see `relative_probabilities`.
    """
    places = _places(gold, predicted) if entity_tags else _other_tags(gold, predicted)
    differ = [tag != suggested for tag, suggested in zip(gold, predicted, strict=True)]
    return [
        Suspect(kind, _score(probabilities, differ, start, end), labels, suggested, start, end)
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
    probabilities: Sequence[float] | np.ndarray, differ: Sequence[bool], start: int, end: int
) -> float:
    """Return the score of the words from `start` to `end`, of those where `differ` is true."""
    words = list(range(start, end))
    words = [word for word in words if differ[word]] or words
    logs = [math.log(max(probabilities[word], LOWEST)) for word in words]
    return 1 - math.exp(sum(logs) / len(logs))


def corrected(gold: Sequence[Entity], suspect: Suspect) -> list[Entity]:
    """Return the entities of a sentence with the suggestion in place of the labels."""
    kept = [entity for entity in gold if entity not in suspect.labels]
    return sorted([*kept, *suspect.suggested], key=lambda entity: entity[1:])
