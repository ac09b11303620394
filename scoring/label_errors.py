"""Suspected label errors: labels that differ from the predictions for an unseen sentence.

    suspects = suspected_errors(gold, predicted, probabilities, entity_tags=True)

A suspect is a mistake of the model (`scoring.mistakes.pair_entities`), read as one of the label.
Its score is the mean probability of the predicted tags over the words of both entities.
"""

from collections.abc import Sequence
from typing import NamedTuple

from common import entities
from scoring.mistakes import Entity, extent, pair_entities

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


def suspected_errors(
    gold: Sequence[str],
    predicted: Sequence[str],
    probabilities: Sequence[float],
    entity_tags: bool,
) -> list[Suspect]:
    """Return the suspected errors of a sentence, in order."""
    if entity_tags:
        pairs = [p for p in pair_entities(entities(gold), entities(predicted)) if p.kind != "exact"]
        spans = [(KINDS[p.kind], p.gold, p.predicted, *extent(p)) for p in pairs]
    else:
        spans = [
            ("other tag", (tag, word, word + 1), (suggested, word, word + 1), word, word + 1)
            for word, (tag, suggested) in enumerate(zip(gold, predicted, strict=True))
            if tag != suggested
        ]
    return [
        Suspect(kind, sum(probabilities[start:end]) / (end - start), label, suggested, start, end)
        for kind, label, suggested, start, end in spans
    ]


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
