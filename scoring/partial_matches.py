"""Partial matching after SemEval-2013, task 9.1: four ways to match predicted and gold entities.

    match_counts([("PER", 0, 2)], [("PER", 0, 1)])    # scheme -> outcome -> number

| scheme | correct | otherwise, with a word in common |
| --- | --- | --- |
| strict | same boundaries, same type | incorrect |
| exact | same boundaries | incorrect |
| partial | same boundaries | partial, which counts half |
| type | same type, a word in common | incorrect |

Predicted entities are matched in order, each gold entity at most once. A predicted entity is
matched to the gold entity that makes it correct, for `type` the one with the nearest boundaries;
otherwise to the first that it overlaps. If there is none, it is spurious. Gold entities without a
match are missed. The counts are those of the package nervaluate, except that by default it ignores
an overlap of less than 1 % of a gold entity.
"""

from collections.abc import Mapping, Sequence

SCHEMES = ("strict", "exact", "partial", "type")
OUTCOMES = ("correct", "incorrect", "partial", "missed", "spurious")

Entity = tuple[str, int, int]  # type, start, end; end exclusive


def match_counts(gold: Sequence[Entity], predicted: Sequence[Entity]) -> dict[str, dict[str, int]]:
    """Return the number of entities of a sentence with each outcome, by scheme.

    The entities of each side are sorted, and no two of them overlap.
    """
    if gold == predicted:  # as in most sentences
        return {s: dict.fromkeys(OUTCOMES, 0) | {"correct": len(gold)} for s in SCHEMES}
    overlapped = _overlapped(gold, predicted)
    return {scheme: _outcomes(scheme, gold, predicted, overlapped) for scheme in SCHEMES}


def credits_of(counts: Mapping[str, int]) -> tuple[int, int, int]:
    """Return the counts of a scheme in halves: correct, predicted and gold entities."""
    matched = counts["correct"] + counts["incorrect"] + counts["partial"]
    correct = 2 * counts["correct"] + counts["partial"]
    return correct, 2 * (matched + counts["spurious"]), 2 * (matched + counts["missed"])


def _overlapped(gold: Sequence[Entity], predicted: Sequence[Entity]) -> list[list[Entity]]:
    """Return the gold entities that each predicted entity has a word in common with."""
    overlapped, first = [], 0
    for _, start, end in predicted:
        while first < len(gold) and gold[first][2] <= start:
            first += 1
        last = first
        while last < len(gold) and gold[last][1] < end:
            last += 1
        overlapped.append(list(gold[first:last]))
    return overlapped


def _outcomes(
    scheme: str,
    gold: Sequence[Entity],
    predicted: Sequence[Entity],
    overlapped: Sequence[Sequence[Entity]],
) -> dict[str, int]:
    """Return the number of entities with each outcome under one scheme."""
    counts = dict.fromkeys(OUTCOMES, 0)
    taken: set[Entity] = set()
    for entity, candidates in zip(predicted, overlapped, strict=True):
        free = [candidate for candidate in candidates if candidate not in taken]
        if not free:
            counts["spurious"] += 1
            continue
        distances = [_distance(scheme, entity, candidate) for candidate in free]
        nearest = min(distances)
        taken.add(free[distances.index(nearest)])
        if nearest < WRONG:
            counts["correct"] += 1
        else:
            counts["partial" if scheme == "partial" else "incorrect"] += 1
    counts["missed"] = len(gold) - len(taken)
    return counts


WRONG = float("inf")  # the distance of an entity that is not correct


def _distance(scheme: str, entity: Entity, candidate: Entity) -> float:
    """Return the distance between the boundaries of two entities; `WRONG` unless it is correct."""
    if scheme == "type":
        shift = abs(entity[1] - candidate[1]) + abs(entity[2] - candidate[2])
        return shift if entity[0] == candidate[0] else WRONG
    same = entity == candidate if scheme == "strict" else entity[1:] == candidate[1:]
    return 0 if same else WRONG
