"""The mistakes of a model as the page of a run shows them.

`scoring.mistakes` counts and selects the mistakes; the page filters and sorts them, without a
script, by the numbers that they have here.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from corpus.problems import Place
from results.original_text import OriginalTexts
from results.report_scores import HIGH_SCORE
from scoring.mistakes import Mistake, Survey, confusion_cells

KINDS = ("missed", "spurious", "wrong type", "wrong boundary")
CONFUSIONS_SHOWN = 25
SURE = 0.99  # from this probability of a tag on, a mistake may be one of the label

# --- Counts -------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """A count of the confusion matrix; `shade` (0 to 1) grows with its share of the row."""

    number: int
    total: int  # of the row
    correct: bool

    @property
    def shade(self) -> str:
        """The strength of the colour."""
        return f"{math.cbrt(self.number / self.total):.3f}"  # small shares are visible, too


class ConfusionTable(NamedTuple):
    """The confusion matrix: a row for each gold type, None for a word without a type."""

    names: list[str | None]
    rows: list[tuple[str | None, list[Cell]]]


def confusion_table(survey: Survey) -> ConfusionTable | None:
    """Return the confusion matrix without the rows of types that no gold word has."""
    names, counts = confusion_cells(survey)
    if not names:
        return None
    rows = [
        (name, [Cell(count, sum(row), x == y) for x, count in enumerate(row)])
        for y, (name, row) in enumerate(zip(names, counts, strict=True))
        if any(row)
    ]
    return ConfusionTable(names, rows)


@dataclass(frozen=True)
class KindsRow:
    """The number of entities of a type (None: of all types): in total, exact, and of each kind."""

    type: str | None
    total: int
    exact: int
    kinds: list[int]


def kinds_rows(
    survey: Survey, kinds: Mapping[tuple[str, str | None], int], alone: str
) -> list[KindsRow]:
    """Return the entities of one side by type and kind.

    `kinds` counts by (kind, type). A row adds up: exact, wrong type, wrong boundary, and `alone`,
    the kind of entities that overlap nothing.
    """
    by_type: dict[str | None, Counter[str]] = {}
    for (kind, name), count in kinds.items():
        by_type.setdefault(name, Counter())[kind] = count

    def row(name: str | None, counts: Counter[str]) -> KindsRow:
        shown = [counts[kind] for kind in ("wrong type", "wrong boundary", alone)]
        return KindsRow(name, counts.total(), counts["exact"], shown)

    rows = [row(name, by_type[name]) for name in survey.ranked(by_type)]
    return [*rows, row(None, sum(by_type.values(), Counter()))]


class Confusion(NamedTuple):
    """Entities of a gold type that have another predicted type; with plain tags, words.

    `number`: of these. `gold_number`: of all with the gold type. A type of None is no tag.
    """

    gold: str | None
    predicted: str | None
    number: int
    gold_number: int


def confusions(survey: Survey) -> list[Confusion]:
    """Return the pairs of types, or of plain tags, that are confused, the most frequent first."""
    pairs = survey.type_pairs if survey.entity_tags else survey.confusion
    errors = {pair: n for pair, n in pairs.items() if pair[0] != pair[1]}
    # Equal counts are sorted by name, so that the page does not depend on the order read.
    ranked = sorted(errors.items(), key=lambda item: (-item[1], str(item[0])))
    counts = survey.gold_counts
    return [Confusion(gold, predicted, n, counts[gold]) for (gold, predicted), n in ranked]


# --- Mistakes, one by one -----------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """A word of a mistake's sentence with its two tags, and the text between it and the next.

    `bare`: shown without its tags, which agree and say little. `wrong`: a word of the mistake.
    """

    text: str
    gold: str
    predicted: str
    bare: bool
    wrong: bool
    after: str


@dataclass(frozen=True)
class Side:
    """The gold or the predicted side of a mistake: its type, and its words if the sides differ."""

    type: str | None
    words: str


NO_SIDE = Side(None, "")


@dataclass(frozen=True)
class ShownMistake:
    """A mistake as the page shows it: one line about it, then its sentence word by word.

    `is_sure`: the model is sure, and the label differs. `types` and `kind`: numbers by which the
    page filters.
    """

    kind_name: str
    mention: str
    gold: list[Side]
    predicted: list[Side]
    sentence: int
    place: Place | None
    file: str
    confidence: str | None
    is_sure: bool
    words: list[Word]
    cut_before: bool
    cut_after: bool
    types: list[int]
    kind: int


class Choice(NamedTuple):
    """A type or kind by which the mistakes are filtered: its number, and of how many mistakes."""

    number: int
    name: str
    mistakes: int


@dataclass(frozen=True)
class Mistakes:
    """The mistakes that the page shows, the surest first, and what they are filtered by."""

    shown: list[ShownMistake]
    types: list[Choice]
    kinds: list[Choice]
    sure: int
    total: int  # also those not shown


def mistakes_shown(survey: Survey) -> Mistakes:
    """Return the mistakes that the page shows, the surest first."""
    kept = survey.mistakes
    if survey.entity_tags:
        groups = [(kind, kept.get(kind, [])) for kind in KINDS]
        total = sum(count for kind, count in survey.pair_kinds.items() if kind != "exact")
    else:
        confused = confusions(survey)
        total = sum(confusion.number for confusion in confused)
        groups = [
            (
                f"{gold or 'none'} predicted as {predicted or 'none'}",
                kept[gold, predicted],
            )
            for gold, predicted, *_ in confused[:CONFUSIONS_SHOWN]
        ]
    kinds = [name for name, mistakes in groups if mistakes]
    named = [(name, mistake) for name, mistakes in groups for mistake in mistakes]
    named.sort(key=lambda item: (-(item[1].confidence or 0.0), item[1].sentence, item[1].start))
    types = sorted({name for _, mistake in named for name in _types_of(mistake)})
    originals = OriginalTexts(mistake.place for _, mistake in named)
    shown = [
        _shown(mistake, kind, survey.entity_tags, originals, types, kinds)
        for kind, mistake in named
    ]
    return as_shown(shown, types, kinds, total)


def as_shown(
    shown: list[ShownMistake], types: Sequence[str], kinds: Sequence[str], total: int
) -> Mistakes:
    """Return mistakes with the choices of the filters; `total`: also those not shown."""
    of_type = Counter(number for mistake in shown for number in mistake.types)
    of_kind = Counter(mistake.kind for mistake in shown)
    return Mistakes(
        shown,
        [Choice(number, name, of_type[number]) for number, name in enumerate(types, 1)],
        [Choice(number, name, of_kind[number]) for number, name in enumerate(kinds, 1)],
        sum(mistake.is_sure for mistake in shown),
        total,
    )


def _types_of(mistake: Mistake) -> list[str]:
    """Return the types of the two sides of a mistake."""
    sides = [side for side in (mistake.pair.gold, mistake.pair.predicted) if side is not None]
    return sorted({side[0] for side in sides if side[0] is not None})


def _shown(
    mistake: Mistake,
    kind: str,
    entity_tags: bool,
    originals: OriginalTexts,
    types: Sequence[str],
    kinds: Sequence[str],
) -> ShownMistake:
    """Return a mistake as the page shows it."""
    between = originals.between(mistake.place, mistake.tokens)

    def side(entity: tuple[str | None, int, int] | None) -> list[Side]:
        if entity is None:
            return [NO_SIDE]
        differ = mistake.pair.kind == "wrong boundary"
        return [Side(entity[0], " ".join(mistake.words_of(entity)) if differ else "")]

    words = []
    tagged = zip(mistake.tokens, mistake.gold, mistake.predicted, between, strict=True)
    for position, (text, gold, predicted, after) in enumerate(tagged):
        wrong = mistake.start <= position < mistake.end
        bare = gold == predicted and not wrong and (gold == "O" or not entity_tags)
        words.append(Word(text, gold, predicted, bare, wrong, after))
    inside = slice(mistake.start, mistake.end)
    mention = "".join(
        text + after for text, after in zip(mistake.tokens[inside], between[inside], strict=True)
    )
    confidence = mistake.confidence
    sure = HIGH_SCORE if entity_tags and mistake.pair.predicted else SURE
    return ShownMistake(
        kind_name=kind,
        mention=mention.strip(),
        gold=side(mistake.pair.gold),
        predicted=side(mistake.pair.predicted),
        sentence=mistake.sentence,
        place=mistake.place,
        file=short_path(mistake.place.file) if mistake.place else "",
        confidence=None if confidence is None else f"{confidence:.3f}",
        is_sure=confidence is not None and round(confidence, 3) >= sure,
        words=words,
        cut_before=mistake.cut_before,
        cut_after=mistake.cut_after,
        types=[types.index(name) + 1 for name in _types_of(mistake)],
        kind=kinds.index(kind) + 1,
    )


def short_path(file: str) -> str:
    """Return a path relative to the current folder, if the file is in it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


class KindTables(NamedTuple):
    """The entities of both sides by type and kind of mistake.

    `in_pairs`: gold and predicted entities in pairs with a wrong boundary, if some are in several
    pairs; else None.
    """

    gold: list[KindsRow]
    predicted: list[KindsRow]
    in_pairs: tuple[int, int] | None


def kind_tables(survey: Survey) -> KindTables:
    """Return the entities of both sides by type and kind of mistake."""
    sides = survey.gold_kinds, survey.predicted_kinds
    gold, predicted = (
        sum(n for (kind, _), n in side.items() if kind == "wrong boundary") for side in sides
    )
    shared = min(gold, predicted) < survey.pair_kinds["wrong boundary"]
    return KindTables(
        kinds_rows(survey, survey.gold_kinds, "missed"),
        kinds_rows(survey, survey.predicted_kinds, "spurious"),
        (gold, predicted) if shared else None,
    )
