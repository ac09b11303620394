"""Gold and predicted entities paired, and a model's mistakes surveyed in one pass.

    pair_entities([("PER", 0, 2)], [("PER", 0, 1)])    # each entity's fate
    survey_examples(examples, entity_tags=True)        # counts, and mistakes to show

Nothing here depends on pages or charts.
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple

from common import entities
from corpus.problems import Place

# A survey keeps few mistakes, and few words of each, however large the corpus is.
MISTAKES_PER_KIND = 50
EXAMPLES_PER_CONFUSION = 3
CONTEXT_WORDS = 20
MISTAKE_WORDS = 60
MATRIX_TYPES = 30

# --- Entities, paired ---------------------------------------------------------------------------

# (type, start, end), end exclusive. The type is None for a word without a plain tag.
Entity = tuple[str | None, int, int]


class Pair(NamedTuple):
    """A gold and a predicted entity that belong together; None for a missing partner.

    `kind`: "exact", "wrong type", "wrong boundary", "missed" or "spurious". `counted_elsewhere`:
    "gold" or "predicted" if that entity is counted in another pair.
    """

    kind: str
    gold: Entity | None
    predicted: Entity | None
    counted_elsewhere: str | None = None


def pair_entities(gold: Sequence[Entity], predicted: Sequence[Entity]) -> list[Pair]:
    """Pair the gold and predicted entities of one sentence; each is counted in exactly one `Pair`.

    `gold` and `predicted` are lists of (type, start, end), end exclusive; within each list no
    two entities overlap. The first rule that fits decides the kind of a pair:

    1. `exact`: same start, end and type.
    2. `wrong type`: same start and end, another type.
    3. `wrong boundary`: at least one word in common with an entity of the other side.
    4. `missed` (gold) or `spurious` (predicted): no word in common with any.

    Rule 3 pairs an entity once if possible: pairs of one type come before pairs of two types,
    then the pair with more words in common, then the earlier one. An entity that is left over
    (two were predicted where one is gold) makes a pair with the best of those that it overlaps,
    which is `counted_elsewhere`.

    In the counts of seqeval and conlleval therefore: TP = exact; FN = missed + wrong type + wrong
    boundary, without pairs whose gold entity is counted elsewhere; FP = spurious + wrong type +
    wrong boundary, without pairs whose predicted entity is. Sorted by where the pairs begin.
    """
    predicted_at = {(start, end): (kind, start, end) for kind, start, end in predicted}
    same_span = {entity: predicted_at[entity[1:]] for entity in gold if entity[1:] in predicted_at}
    pairs = [
        Pair("exact" if entity == partner else "wrong type", entity, partner)
        for entity, partner in same_span.items()
    ]
    unpaired_gold = [entity for entity in gold if entity not in same_span]
    free_gold = set(unpaired_gold)
    free_predicted = set(predicted) - set(same_span.values())
    at_word = {word: entity for entity in free_predicted for word in range(entity[1], entity[2])}
    shared_words = Counter(
        (entity, at_word[word])
        for entity in unpaired_gold
        for word in range(entity[1], entity[2])
        if word in at_word
    )
    ranked = sorted(
        (entity[0] != partner[0], -words, entity[1], partner[1], entity, partner)
        for (entity, partner), words in shared_words.items()
    )
    for *_, entity, partner in ranked:
        if entity in free_gold and partner in free_predicted:
            pairs.append(Pair("wrong boundary", entity, partner))
            free_gold.remove(entity)
            free_predicted.remove(partner)
    for *_, entity, partner in ranked:
        if entity in free_gold:
            pairs.append(Pair("wrong boundary", entity, partner, counted_elsewhere="predicted"))
            free_gold.remove(entity)
        elif partner in free_predicted:
            pairs.append(Pair("wrong boundary", entity, partner, counted_elsewhere="gold"))
            free_predicted.remove(partner)
    pairs += [Pair("missed", entity, None) for entity in free_gold]
    pairs += [Pair("spurious", None, entity) for entity in free_predicted]
    return sorted(pairs, key=extent)


def extent(pair: Pair) -> tuple[int, int]:
    """Return the first word of a pair and the one after its last."""
    both = [entity for entity in (pair.gold, pair.predicted) if entity]
    return min(entity[1] for entity in both), max(entity[2] for entity in both)


# --- Mistakes, surveyed in one pass -------------------------------------------------------------


class Mistake(NamedTuple):
    """One mistake with the words around it.

    `tokens`, `gold` and `predicted` hold the words shown and their tags; `start` and `end` index
    them. `sentence` counts from 1. `cut_before` and `cut_after`: the sentence is longer. `place`:
    that of the first word of the mistake in the corpus, if known.
    """

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
    place: Place | None

    def words_of(self, entity: Entity) -> list[str]:
        """Return the words of the pair's gold or predicted entity, without those left out."""
        before = extent(self.pair)[0] - self.start
        return self.tokens[entity[1] - before : entity[2] - before]


# Mistakes are grouped by kind, those of plain tags by (gold, predicted) tag.
Group = str | tuple[str | None, str | None]


@dataclass
class Survey:
    """Counts of the scored sentences, and the most confident mistakes.

    `confusion` counts words by (gold, predicted) type or plain tag, None for no type.
    `gold_kinds` and `predicted_kinds` count the entities of their side, each once, by (kind,
    type). `pair_kinds` counts pairs by kind, `both_wrong` those with a wrong boundary and two
    types, `type_pairs` those of a wrong type by (gold, predicted) type.
    """

    entity_tags: bool
    sentences: int = 0
    words: int = 0
    confusion: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    gold_kinds: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    predicted_kinds: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    pair_kinds: Counter[str] = field(default_factory=Counter)
    both_wrong: int = 0
    type_pairs: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    heaps: dict[Group, list[tuple[Any, ...]]] = field(default_factory=dict)

    @property
    def mistakes(self) -> dict[Group, list[Mistake]]:
        """Return the most confident mistakes of each group, the most confident first."""
        return {
            group: [mistake for *_, mistake in sorted(heap, reverse=True)]
            for group, heap in self.heaps.items()
        }

    @property
    def gold_counts(self) -> Counter[str | None]:
        """Return the number of gold entities of each type, or of words with each gold tag."""
        totals: Counter[str | None] = Counter()
        if self.entity_tags:
            for (_, name), count in self.gold_kinds.items():
                totals[name] += count
        else:
            for (name, _), count in self.confusion.items():
                totals[name] += count
        return totals

    def ranked(self, names: Iterable[str | None]) -> list[str | None]:
        """Return types in the order of all tables: those with most gold items first, None last."""
        counts = self.gold_counts
        return sorted(names, key=lambda name: (name is None, -counts[name], name or ""))


def survey_examples(
    examples: Iterable[Mapping[str, Any]],
    entity_tags: bool,
    label_names: Sequence[str] | None = None,
) -> Survey:
    """Return the survey of scored sentences, read once and in constant memory: see `add_example`.

    `label_names`: the labels of the model.
    """
    survey = Survey(entity_tags)
    for example in examples:
        add_example(survey, example, label_names)
    return survey


def add_example(
    survey: Survey, example: Mapping[str, Any], label_names: Sequence[str] | None = None
) -> None:
    """Count a scored sentence in a survey, which keeps some of the mistakes.

    `example` has lists with one item per word: `tokens`, `gold` and `predicted` (tag names), and
    perhaps `probability` (of the predicted tag) and `score` (of the predicted entity). It may have
    a `place`: that of the sentence in the corpus. A mistake's confidence is the score of its
    predicted entity; without one, the mean probability over its words. `label_names`: the labels
    of the model. Raises ValueError if the sentence has more or fewer tags than words.
    """
    number, entity_tags = survey.sentences + 1, survey.entity_tags
    tokens, gold, predicted = (example[key] for key in ("tokens", "gold", "predicted"))
    if not len(tokens) == len(gold) == len(predicted):
        raise ValueError(
            f"sentence {number}: got {len(gold)} gold tags and {len(predicted)} predicted "
            f"tags, expected {len(tokens)}, one for each word"
        )
    classes = [
        (
            _class_of(gold_tag, entity_tags, label_names),
            _class_of(predicted_tag, entity_tags, label_names),
        )
        for gold_tag, predicted_tag in zip(gold, predicted, strict=True)
    ]
    survey.sentences += 1
    survey.words += len(tokens)
    survey.confusion.update(classes)
    if entity_tags:
        pairs = pair_entities(entities(gold), entities(predicted))
        survey.pair_kinds.update(pair.kind for pair in pairs)
        survey.gold_kinds.update(
            (pair.kind, pair.gold[0])
            for pair in pairs
            if pair.gold and pair.counted_elsewhere != "gold"
        )
        survey.predicted_kinds.update(
            (pair.kind, pair.predicted[0])
            for pair in pairs
            if pair.predicted and pair.counted_elsewhere != "predicted"
        )
        survey.both_wrong += sum(
            pair.kind == "wrong boundary"
            for pair in pairs
            if pair.gold and pair.predicted and pair.gold[0] != pair.predicted[0]
        )
        survey.type_pairs.update(
            (pair.gold[0], pair.predicted[0])
            for pair in pairs
            if pair.gold and pair.predicted and pair.kind == "wrong type"
        )
    else:
        pairs = _wrong_words(classes)
    for position, pair in enumerate(pairs):
        if pair.kind != "exact":
            _keep(survey, pair, (number, position), example)


def _class_of(tag_name: str, entity_tags: bool, label_names: Sequence[str] | None) -> str | None:
    """Return the type of a word with this tag; None outside entities.

    None also for an O that is not a plain tag of the model.
    """
    if entity_tags:
        return tag_name.partition("-")[2] or None
    # A word without a sub-word is predicted O, which is not in every set of plain tags.
    return None if tag_name == "O" and label_names and "O" not in label_names else tag_name


def _wrong_words(classes: list[tuple[str | None, str | None]]) -> list[Pair]:
    """Return the words whose plain tags differ, as pairs of entities of one word."""
    return [
        Pair("wrong type", (gold, word, word + 1), (predicted, word, word + 1))
        for word, (gold, predicted) in enumerate(classes)
        if gold != predicted
    ]


def _keep(survey: Survey, pair: Pair, numbers: tuple[int, int], example: Mapping[str, Any]) -> None:
    """Put a mistake on its group's heap if it is among the most confident there.

    `numbers`: the number of the sentence, and of the pair in it.
    """
    tokens, probability = example["tokens"], example.get("probability")
    start, end = extent(pair)
    confidence = None
    if pair.predicted and survey.entity_tags and example.get("score") is not None:
        confidence = fmean(example["score"][pair.predicted[1] : pair.predicted[2]])
    elif probability is not None:
        confidence = fmean(probability[start:end])
    rank = confidence if confidence is not None and math.isfinite(confidence) else 0.0
    group: Group = pair.kind
    if pair.gold and pair.predicted and not survey.entity_tags:
        group = (pair.gold[0], pair.predicted[0])
    limit = MISTAKES_PER_KIND if survey.entity_tags else EXAMPLES_PER_CONFUSION
    heap = survey.heaps.setdefault(group, [])
    # The first read of equally confident mistakes are kept, so that a page can be reproduced.
    place = (rank, *(-number for number in numbers))
    if len(heap) == limit and place < heap[0][:3]:
        return
    first = max(0, start - CONTEXT_WORDS)
    last = min(len(tokens), min(end, start + MISTAKE_WORDS) + CONTEXT_WORDS)
    around = slice(first, last)
    sentence_place: Place | None = example.get("place")
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
        place=sentence_place and sentence_place.at(start),
    )
    (heapq.heappush if len(heap) < limit else heapq.heappushpop)(heap, (*place, mistake))


def confusion_cells(survey: Survey) -> tuple[list[str | None], list[list[int]]]:
    """Return types and the matrix of the numbers of words: rows are gold, columns predicted.

    Types are sorted as `Survey.ranked` sorts them, None last. Beyond `MATRIX_TYPES`, the rarer
    types share one row and column.
    """
    all_names = survey.ranked({name for types in survey.confusion for name in types})
    named = [name for name in all_names if name is not None]
    shown = named[:MATRIX_TYPES]
    rest = f"{len(named) - len(shown)} rarer ones"
    keys: list[str | None] = [*shown]
    keys += [rest] * (len(named) > len(shown)) + [None] * (None in all_names)
    place = {name: keys.index(name if name in keys else rest) for name in all_names}
    cells = [[0] * len(keys) for _ in keys]
    for (gold, predicted), count in survey.confusion.items():
        cells[place[gold]][place[predicted]] += count
    return keys, cells
