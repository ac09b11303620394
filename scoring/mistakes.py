"""Gold and predicted entities paired, and a model's mistakes counted in one pass.

    pair_entities([("PER", 0, 2)], [("PER", 0, 1)])    # what became of each entity
    survey_examples(examples, entity_tags=True)        # the counts, and mistakes to show

Nothing here knows pages or pictures.
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from common import entities

# What is kept to be shown stays small however large the corpus is.
MISTAKES_PER_KIND = 50
EXAMPLES_PER_CONFUSION = 3
CONTEXT_WORDS = 20
MISTAKE_WORDS = 60
MATRIX_TYPES = 30

# --- Entities, paired ---------------------------------------------------------------------------

Entity = tuple[str, int, int]


class Pair(NamedTuple):
    """A gold and a predicted entity that belong together; None where there is no partner.

    `again`: "gold" or "predicted" where that entity is counted in another pair.
    """

    kind: str
    gold: Entity | None
    predicted: Entity | None
    again: str | None = None


def pair_entities(gold: list[Entity], predicted: list[Entity]) -> list[Pair]:
    """Pair the gold and predicted entities of one sentence; each is counted in exactly one `Pair`.

    `gold` and `predicted` are lists of (type, start, end), end exclusive; within each list no
    two entities overlap. The first rule that fits decides what an entity is:

    1. `exact`: same start, end and type.
    2. `wrong type`: same start and end, another type.
    3. `wrong boundary`: at least one word in common with an entity of the other side.
    4. `missed` (gold) or `spurious` (predicted): no word in common with any.

    By 3, an entity is paired once if it can be: pairs of one type come before pairs of two, then
    the pair with more words in common, then the earlier one. An entity that is left over (two
    were predicted where one is gold) makes a pair with the best of those that it overlaps, which
    is counted elsewhere (`again`).

    So, in the counts of seqeval and conlleval: TP = exact; FN = missed + wrong type + wrong
    boundary without those whose gold entity is there again; FP = spurious + wrong type + wrong
    boundary without those whose predicted entity is. Sorted by where the pairs begin.
    """
    predicted_at = {(start, end): (kind, start, end) for kind, start, end in predicted}
    same_span = {one: predicted_at[one[1:]] for one in gold if one[1:] in predicted_at}
    pairs = [
        Pair("exact" if one == other else "wrong type", one, other)
        for one, other in same_span.items()
    ]
    free_gold = [one for one in gold if one not in same_span]
    free_predicted = set(predicted) - set(same_span.values())
    at_word = {word: other for other in free_predicted for word in range(other[1], other[2])}
    shared = Counter(
        (one, at_word[word])
        for one in free_gold
        for word in range(one[1], one[2])
        if word in at_word
    )
    overlaps = sorted(
        (one[0] != other[0], -words, one[1], other[1], one, other)
        for (one, other), words in shared.items()
    )
    free_gold = set(free_gold)
    for *_, one, other in overlaps:
        if one in free_gold and other in free_predicted:
            pairs.append(Pair("wrong boundary", one, other))
            free_gold.remove(one)
            free_predicted.remove(other)
    for *_, one, other in overlaps:
        if one in free_gold:
            pairs.append(Pair("wrong boundary", one, other, again="predicted"))
            free_gold.remove(one)
        elif other in free_predicted:
            pairs.append(Pair("wrong boundary", one, other, again="gold"))
            free_predicted.remove(other)
    pairs += [Pair("missed", one, None) for one in free_gold]
    pairs += [Pair("spurious", None, other) for other in free_predicted]
    return sorted(pairs, key=_extent)


def _extent(pair: Pair) -> tuple[int, int]:
    """The first word of a pair and the one after its last."""
    both = [entity for entity in (pair.gold, pair.predicted) if entity]
    return min(entity[1] for entity in both), max(entity[2] for entity in both)


# --- Mistakes, counted in one pass --------------------------------------------------------------


class Mistake(NamedTuple):
    """One mistake with the words around it; `start` and `end` index these words."""

    pair: Pair
    confidence: float | None
    sentence: int
    tokens: list[str]
    gold: list[str]
    predicted: list[str]
    start: int
    end: int
    cut_before: bool
    cut_after: bool

    def words_of(self, entity: Entity) -> list[str]:
        """The words of the pair's gold or predicted entity, as far as they are kept."""
        before = _extent(self.pair)[0] - self.start
        return self.tokens[entity[1] - before : entity[2] - before]


@dataclass
class Survey:
    """What is kept of the scored sentences: counts, and the most confident mistakes.

    `confusion` counts words by (gold, predicted) type or plain tag, None where there is none.
    `gold_kinds` and `predicted_kinds` count the entities of their side, each once, by (kind,
    type); `pair_kinds` counts pairs by kind; `both_wrong` those of wrong boundary and wrong type.
    `mistakes` holds the most confident mistakes by kind, or by (gold, predicted) plain tag.
    """

    entity_tags: bool
    sentences: int = 0
    words: int = 0
    confusion: Counter = field(default_factory=Counter)
    gold_kinds: Counter = field(default_factory=Counter)
    predicted_kinds: Counter = field(default_factory=Counter)
    pair_kinds: Counter = field(default_factory=Counter)
    both_wrong: int = 0
    heaps: dict = field(default_factory=dict)

    @property
    def mistakes(self) -> dict[object, list[Mistake]]:
        return {
            group: [mistake for *_, mistake in sorted(heap, reverse=True)]
            for group, heap in self.heaps.items()
        }


def survey_examples(
    examples: Iterable[dict], entity_tags: bool, label_names: list[str] | None = None
) -> Survey:
    """Read scored sentences once, in constant memory.

    Each of `examples` has lists: `tokens`, `gold` and `predicted` (one tag name a word) and perhaps
    `probability` (of the predicted tag of each word). A mistake's confidence is the mean
    probability over all words of its gold and predicted entities. Raises ValueError where a
    sentence has more or fewer tags than words.
    """
    survey = Survey(entity_tags)
    for number, example in enumerate(examples, start=1):
        tokens, gold, predicted = (example[key] for key in ("tokens", "gold", "predicted"))
        if not len(tokens) == len(gold) == len(predicted):
            raise ValueError(
                f"sentence {number}: {len(tokens)} words, {len(gold)} gold tags, "
                f"{len(predicted)} predicted tags"
            )
        classes = [
            tuple(_class_of(name, entity_tags, label_names) for name in names)
            for names in zip(gold, predicted, strict=True)
        ]
        survey.sentences += 1
        survey.words += len(tokens)
        survey.confusion.update(classes)
        if entity_tags:
            pairs = pair_entities(entities(gold), entities(predicted))
            survey.pair_kinds.update(pair.kind for pair in pairs)
            survey.gold_kinds.update(
                (pair.kind, pair.gold[0]) for pair in pairs if pair.gold and pair.again != "gold"
            )
            survey.predicted_kinds.update(
                (pair.kind, pair.predicted[0])
                for pair in pairs
                if pair.predicted and pair.again != "predicted"
            )
            survey.both_wrong += sum(
                pair.kind == "wrong boundary" and pair.gold[0] != pair.predicted[0]
                for pair in pairs
            )
        else:
            pairs = _wrong_words(classes)
        for position, pair in enumerate(pairs):
            if pair.kind != "exact":
                _keep(survey, pair, (number, position), example)
    return survey


def _class_of(tag_name: str, entity_tags: bool, label_names: list[str] | None) -> str | None:
    """The type of a word by its tag; None outside entities and for an O that is no plain tag."""
    if entity_tags:
        return tag_name.partition("-")[2] or None
    # A word without a sub-word is predicted O, which a plain tag set need not hold.
    return None if tag_name == "O" and label_names and "O" not in label_names else tag_name


def _wrong_words(classes: list[tuple[str | None, str | None]]) -> list[Pair]:
    """Words whose plain tags differ, as pairs of entities of one word."""
    return [
        Pair("wrong type", (gold, word, word + 1), (predicted, word, word + 1))
        for word, (gold, predicted) in enumerate(classes)
        if gold != predicted
    ]


def _keep(survey: Survey, pair: Pair, numbers: tuple[int, int], example: dict) -> None:
    """Put a mistake on its heap if it is among the most confident of its group.

    `numbers`: of the sentence, and of the pair in it.
    """
    tokens, probability = example["tokens"], example.get("probability")
    start, end = _extent(pair)
    confidence = None if probability is None else sum(probability[start:end]) / (end - start)
    rank = confidence if confidence is not None and math.isfinite(confidence) else 0.0
    group = pair.kind if survey.entity_tags else (pair.gold[0], pair.predicted[0])
    limit = MISTAKES_PER_KIND if survey.entity_tags else EXAMPLES_PER_CONFUSION
    heap = survey.heaps.setdefault(group, [])
    # Of equally confident mistakes the first ones read stay, so that a page can be made again.
    place = (rank, *(-number for number in numbers))
    if len(heap) == limit and place < heap[0][:3]:
        return
    first = max(0, start - CONTEXT_WORDS)
    last = min(len(tokens), min(end, start + MISTAKE_WORDS) + CONTEXT_WORDS)
    around = slice(first, last)
    mistake = Mistake(
        pair,
        confidence,
        sentence=numbers[0],
        tokens=tokens[around],
        gold=example["gold"][around],
        predicted=example["predicted"][around],
        start=start - first,
        end=min(end, last) - first,
        cut_before=first > 0,
        cut_after=last < len(tokens),
    )
    (heapq.heappush if len(heap) < limit else heapq.heappushpop)(heap, (*place, mistake))


def confusion_cells(confusion: Counter) -> tuple[list[str | None], list[list[int]]]:
    """Types (the most frequent first, none last) and counts, rows gold, columns predicted.

    Beyond `MATRIX_TYPES` the rarer types are counted together.
    """
    totals = Counter()
    for pair, count in confusion.items():
        for name in pair:
            totals[name] += count
    named = sorted((name for name in totals if name is not None), key=lambda n: (-totals[n], n))
    shown = named[:MATRIX_TYPES]
    rest = f"{len(named) - len(shown)} rarer ones"
    keys = shown + [rest] * (len(named) > len(shown)) + [None] * (None in totals)
    place = {name: keys.index(name if name in keys else rest) for name in totals}
    cells = [[0] * len(keys) for _ in keys]
    for (one, other), count in confusion.items():
        cells[place[one]][place[other]] += count
    return keys, cells
