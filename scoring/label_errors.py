"""Suspected label errors: labels that differ from the predictions for an unseen sentence.

    chances = label_probabilities(gold, log_probabilities, label_names, entity_tags=True)
    suspects = suspected_errors(gold[0], predicted[0], chances[0], entity_tags=True)

A suspect is a mistake of the model (`scoring.mistakes.pair_entities`), read as one of the label.
Its score is high if the model gives the labels of its words a low probability, whatever it predicts
instead: 1 - the geometric mean of their probabilities, over the words where label and prediction
differ. A sum of logarithms over all of them would prefer long entities, as their words are not
independent; the lowest probability alone would be the noise of a single word.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common import entities
from scoring.decoding import sequence_probabilities
from scoring.mistakes import Entity, extent, pair_entities

LOWEST = 1e-9  # of a probability; less is rounding
KINDS = {  # kind of mistake -> kind of label error
    "missed": "not an entity",
    "spurious": "missing entity",
    "wrong type": "other type",
    "wrong boundary": "other boundary",
}


class Suspect(NamedTuple):
    """A suspected label error of a sentence.

    `kind`: a value of `KINDS`. `label` and `suggested`: the entity, or word with a plain tag, as
    labelled and as predicted; None for none. `start` and `end`: the words concerned, end exclusive.
    """

    kind: str
    score: float
    label: Entity | None
    suggested: Entity | None
    start: int
    end: int


def label_probabilities(
    gold: Sequence[Sequence[str]],
    log_probabilities: Sequence[np.ndarray],
    label_names: Sequence[str],
    entity_tags: bool,
) -> list[np.ndarray]:
    """Return the probability of the label of each word, for each sentence.

    For entity tags, it is that among all legal sequences of tags (`scoring.decoding`).
    `log_probabilities`: (words, labels) of each sentence, in the order of `label_names`.
    """
    lengths = [len(tags) for tags in gold]
    ids = {name: number for number, name in enumerate(label_names)}
    labels = np.array([ids[tag] for tags in gold for tag in tags])
    rows = np.concatenate(log_probabilities)
    if entity_tags:
        of_words = sequence_probabilities(rows, labels, lengths, label_names).words
    else:
        of_words = np.exp(rows[np.arange(len(labels)), labels])
    return np.split(of_words, np.cumsum(lengths)[:-1])


def suspected_errors(
    gold: Sequence[str],
    predicted: Sequence[str],
    probabilities: Sequence[float] | np.ndarray,
    entity_tags: bool,
) -> list[Suspect]:
    """Return the suspected errors of a sentence, in order.

    `probabilities`: of the label of each word, see `label_probabilities`.
    """
    if entity_tags:
        pairs = [p for p in pair_entities(entities(gold), entities(predicted)) if p.kind != "exact"]
        spans = [(KINDS[p.kind], p.gold, p.predicted, *extent(p)) for p in pairs]
    else:
        spans = [
            ("other tag", (tag, word, word + 1), (suggested, word, word + 1), word, word + 1)
            for word, (tag, suggested) in enumerate(zip(gold, predicted, strict=True))
            if tag != suggested
        ]
    differ = [tag != suggested for tag, suggested in zip(gold, predicted, strict=True)]
    return [
        Suspect(kind, _score(probabilities, differ, start, end), label, suggested, start, end)
        for kind, label, suggested, start, end in spans
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
    """Return the entities of a sentence with the suggestion in place of those it overlaps."""
    kept = [
        entity
        for entity in gold
        if entity != suspect.label
        and not (
            suspect.suggested
            and entity[1] < suspect.suggested[2]
            and suspect.suggested[1] < entity[2]
        )
    ]
    added = [suspect.suggested] if suspect.suggested else []
    return sorted([*kept, *added], key=lambda entity: entity[1:])
