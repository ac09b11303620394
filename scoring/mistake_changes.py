"""The mistakes of two sides on the same sentences: new, gone, changed, or the same.

    changes = MistakeChanges(runs=(1, 1), entity_tags=True)
    changes.add(words, gold, [tags_of_a, tags_of_b], place)    # a sentence
    changes.kept["new"]                                        # mistakes of B alone

If a side has several runs, its entities are those that more than half of the runs predict.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from common import entities
from corpus.problems import Place
from scoring.mistakes import CONTEXT_WORDS, MISTAKE_WORDS, Entity, Pair, extent, pair_entities

KINDS = ("new", "gone", "changed")


class Change(NamedTuple):
    """Mistakes of a stretch of words that are not the same on both sides.

    `kind`: "new" if only B makes a mistake there, "gone" if only A does, "changed" if both make
    different ones. `before` and `after`: the mistakes of A and of B. `start` and `end`: the first
    word and the one after the last.
    """

    kind: str
    before: list[Pair]
    after: list[Pair]
    start: int
    end: int


class Word(NamedTuple):
    """A word with its three tags. `wrong`: it belongs to the mistake."""

    text: str
    gold: str
    a: str
    b: str
    wrong: bool


class PlacedChange(NamedTuple):
    """A change with the words around it.

    `sentence`: its number, from 1. `place`: that of the first word of the change in the corpus.
    `cut_before` and `cut_after`: the sentence is longer.
    """

    change: Change
    sentence: int
    place: Place
    words: list[Word]
    cut_before: bool
    cut_after: bool


class MistakeChanges:
    """Collects the mistakes that are not the same on both sides.

    `same`: the number of mistakes that both sides make.
    """

    def __init__(self, runs: tuple[int, int], entity_tags: bool):
        self.runs, self.entity_tags = runs, entity_tags
        self.sentences = self.same = 0
        self.kept: dict[str, list[PlacedChange]] = {kind: [] for kind in KINDS}

    def add(
        self,
        words: Sequence[str],
        gold: Sequence[str],
        predictions: Sequence[Sequence[str]],
        place: Place,
    ) -> None:
        """Add a sentence: its gold tags, and the predicted tags of each run, those of A first.

        `place`: that of the sentence.
        """
        self.sentences += 1
        if all(predicted == gold for predicted in predictions):
            return
        num_a = self.runs[0]
        of_gold = self._entities(gold)
        of_runs = [self._entities(predicted) for predicted in predictions]
        of_a, of_b = agreed_entities(of_runs[:num_a]), agreed_entities(of_runs[num_a:])
        changes, same = compare_mistakes(of_gold, of_a, of_b)
        self.same += same
        if not changes:
            return
        in_gold, in_a, in_b = (self._tags(side, len(words)) for side in (of_gold, of_a, of_b))
        for change in changes:
            first = max(0, change.start - CONTEXT_WORDS)
            shown_end = min(change.end, change.start + MISTAKE_WORDS)
            last = min(len(words), shown_end + CONTEXT_WORDS)
            shown = [
                Word(words[i], in_gold[i], in_a[i], in_b[i], change.start <= i < change.end)
                for i in range(first, last)
            ]
            is_cut = first > 0, last < len(words)
            self.kept[change.kind].append(
                PlacedChange(change, self.sentences, place.at(change.start), shown, *is_cut)
            )

    def _entities(self, tags: Sequence[str]) -> list[Entity]:
        if self.entity_tags:
            return list(entities(tags))
        return [(tag, word, word + 1) for word, tag in enumerate(tags)]

    def _tags(self, spans: Sequence[Entity], length: int) -> list[str]:
        """Return the tag of each word; an empty plain tag where the runs do not agree."""
        tags = ["O" if self.entity_tags else ""] * length
        for name, start, end in spans:
            if not self.entity_tags:
                tags[start] = name or ""
                continue
            tags[start:end] = [f"B-{name}", *[f"I-{name}"] * (end - start - 1)]
        return tags


def compare_mistakes(
    gold: Sequence[Entity], a: Sequence[Entity], b: Sequence[Entity]
) -> tuple[list[Change], int]:
    """Return the changes of a sentence, in order, and the number of mistakes of both sides.

    `gold`, `a` and `b`: entities as in `scoring.mistakes.pair_entities`. A mistake that both sides
    make has the same gold and the same predicted entity. Other mistakes that have a word in common
    belong to one change.
    """
    before, after = (
        {(pair.gold, pair.predicted): pair for pair in pair_entities(gold, side)} for side in (a, b)
    )
    same = [key for key in before if key in after and before[key].kind != "exact"]
    items = [
        (*extent(pair), side, pair)
        for side, pairs, opposite in ((0, before, after), (1, after, before))
        for key, pair in pairs.items()
        if pair.kind != "exact" and key not in opposite
    ]
    changes = []
    for stretch in _stretches(sorted(items, key=lambda item: item[:3])):
        of_a, of_b = ([pair for *_, side, pair in stretch if side == number] for number in (0, 1))
        kind = "changed" if of_a and of_b else "new" if of_b else "gone"
        start, end = stretch[0][0], max(item[1] for item in stretch)
        changes.append(Change(kind, of_a, of_b, start, end))
    return changes, len(same)


def agreed_entities(runs: Sequence[Sequence[Entity]]) -> list[Entity]:
    """Return the entities that more than half of the runs predict, in order.

    They do not overlap: any two of them are predicted by one run, whose entities do not overlap.
    """
    votes = Counter(entity for run in runs for entity in run)
    agreed = [entity for entity, number in votes.items() if 2 * number > len(runs)]
    return sorted(agreed, key=lambda entity: entity[1:])


Item = tuple[int, int, int, Pair]  # first word, the one after the last, side, mistake


def _stretches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Yield the mistakes that overlap directly or through others; `items` are sorted."""
    numbers, end = [0], 0
    for first, after_last, *_ in items:
        numbers.append(numbers[-1] + (first >= end))
        end = max(end, after_last)
    for _, group in groupby(zip(numbers[1:], items, strict=True), key=lambda pair: pair[0]):
        yield [item for _, item in group]
