"""The report of a run: an HTML page and pictures.

    write_report("bert-finetuned-ner", run)           # report.html and its pictures as PNG

`scoring.mistakes` counts the mistakes and `charts` draws the pictures. The functions here prepare
plain data for the page; its words and layout are in `templates/report.html.jinja`.
"""

import math
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from common import are_entity_tags
from corpus.problems import Place
from results.charts import (
    Chart,
    chart_svg,
    confusion_png,
    curves_png,
    length_chart,
    training_charts,
)
from results.history import HistoryTable, history_table
from scoring.mistakes import Mistake, Survey, confusion_cells, survey_examples
from scoring.table import interval_notes, span
from support.files import written_whole
from support.html import duration, page_environment
from support.secrets import scrub

TEMPLATES = Path(__file__).parent / "templates"

# The page stays small however large the corpus is.
MISTAKES_SHOWN = 5
CONFUSIONS_SHOWN = 25

KINDS = ("missed", "spurious", "wrong type", "wrong boundary")
SCORES = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "macro_f1": "Macro F1",
    "accuracy": "Accuracy",
}

Run = Mapping[str, Any]


class Nouns(NamedTuple):
    """The noun for a span that the tags of a run mark."""

    singular: str
    plural: str


NOUNS = {"chunk": Nouns("chunk", "chunks")}  # by task


def write_report(folder: str | os.PathLike[str], run: Run) -> None:
    """Write `report.html`, `training_curves.png` and `confusion_matrix.png` into `folder`.

    Keys of `run`, each of which may be absent: `title`, `base_model`, `corpus_name`,
    `corpus_fingerprint`, `task`, `entity_tags`, `label_names`, `replaced` (sentences shown
    first), `script`, `command`, `arguments`, `versions`, `suite_version`, `duration_s`, `device`,
    `precision`, `processes`; `step_losses` (`step`, `loss`, `learning_rate`); `history` (`step`,
    `train_loss`, `eval_loss`, `eval_f1`, `eval_accuracy`, …); `epoch_steps`; `scores` (by split:
    `overall`, `per_type`, `words`, `loss`); `label_counts` (by split and label); `lengths` (by
    split: sentences by number of sub-words), `max_seq_length`, `windowed` (sentences cut, by
    split); `examples`, read once as a stream (see `survey_examples`), of the split
    `examples_split` (default: the last one of `scores`).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entity_tags = is_entity_run(run)
    survey = survey_examples(run.get("examples") or (), entity_tags, run.get("label_names"))
    charts = training_charts(run.get("history") or [], run.get("step_losses") or [], entity_tags)
    _write_picture(folder / "training_curves.png", curves_png(charts) if charts else None)
    names, cells = confusion_cells(survey.confusion)
    _write_picture(folder / "confusion_matrix.png", confusion_png(names, cells) if names else None)
    with written_whole(folder / "report.html") as file:
        file.writelines(render_report(run, survey, charts))


def _write_picture(path: Path, picture: bytes | None) -> None:
    """Write a picture whole; None removes the picture of an earlier run."""
    if picture is None:
        path.unlink(missing_ok=True)
        return
    with written_whole(path, "wb") as file:
        file.write(picture)


def render_report(run: Run, survey: Survey, charts: list[Chart]) -> Iterator[str]:
    """Yield the pieces of the page."""
    template = page_environment(TEMPLATES).get_template("report.html.jinja")
    return template.generate(
        title=title_of(run),
        notices=run.get("replaced") or (),
        entity_tags=survey.entity_tags,
        nouns=nouns_of(run),
        split=examples_split(run),
        tiles=score_tiles(run),
        facts=run_facts(run),
        command=command_line(run),
        arguments=argument_rows(run.get("arguments") or {}),
        versions=sorted_rows(run.get("versions") or {}),
        scores=score_rows(run),
        interval_notes=notes_on_intervals(run),
        charts=[chart_svg(chart) for chart in charts],
        history=evaluations(run),
        types=type_tables(run),
        confusion=confusion_table(survey),
        survey=survey if survey.sentences else None,
        mistakes=mistakes_shown(survey),
        labels=label_table(run.get("label_counts") or {}, run.get("label_names")),
        lengths=length_rows(run),
        length_svg=length_svg(run),
        window=run.get("max_seq_length"),
    )


# --- The run ------------------------------------------------------------------------------------


def is_entity_run(run: Run) -> bool:
    """Return whether the tags of a run are entity tags."""
    return run.get("entity_tags", are_entity_tags(run.get("label_names") or []))


def nouns_of(run: Run) -> Nouns:
    """Return the noun for a span that the tags of a run mark."""
    return NOUNS.get(run.get("task") or "", Nouns("entity", "entities"))


def title_of(run: Run) -> str:
    """Return the heading of the page."""
    return run.get("title") or f"{run.get('base_model', 'Model')} fine-tuned"


def examples_split(run: Run) -> str | None:
    """Return the split of the scored sentences: the one named, else the last one with scores."""
    return run.get("examples_split") or next(reversed(run.get("scores") or {}), None)


class Fact(NamedTuple):
    """A row about the run: a name, its value, and labels shown after it."""

    name: str
    value: object
    labels: Sequence[str] = ()


def run_facts(run: Run) -> list[Fact]:
    """Return the known facts about the run, one row each."""
    seconds = run.get("duration_s")
    facts = [
        Fact("Base model", run.get("base_model")),
        Fact("Corpus", run.get("corpus_name")),
        Fact("Corpus fingerprint", run.get("corpus_fingerprint")),
        Fact("Task", run.get("task")),
        label_fact(run),
        Fact("Device", run.get("device")),
        Fact("Precision", run.get("precision")),
        Fact("Processes", run.get("processes")),
        Fact("Duration", None if seconds is None else duration(seconds)),
        Fact("Script", run.get("script")),
        Fact("Suite version", run.get("suite_version")),
    ]
    return [fact for fact in facts if fact.value is not None]


def label_fact(run: Run) -> Fact:
    """Return the row about the labels of the run: their number and their types."""
    labels = run.get("label_names") or []
    if not labels:
        return Fact("Labels", None)
    if not is_entity_run(run):
        return Fact("Labels", f"{len(labels)} tags:", labels)
    types = list(dict.fromkeys(label[2:] for label in labels if label != "O"))
    noun = nouns_of(run).singular
    return Fact("Labels", f"{len(labels)} IOB2 tags, {len(types)} {noun} types:", types)


def command_line(run: Run) -> str | None:
    """Return the command that started the run, without access tokens."""
    command = run.get("command")
    if not command:
        return None
    return scrub(shlex.join(command) if isinstance(command, list | tuple) else str(command))


def argument_rows(arguments: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the arguments by name, without access tokens and without those that are not set.

    A name that ends in "token" holds one; "label_all_tokens" does not.
    """
    given = {k: v for k, v in arguments.items() if v is not None and not k.endswith("token")}
    return sorted_rows(given)


def sorted_rows(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return names and values by name, without anything that looks like an access token."""
    return [(name, scrub(str(value))) for name, value in sorted(values.items())]


# --- Scores -------------------------------------------------------------------------------------


class Score(NamedTuple):
    """A score and the text of its interval, empty if it has none."""

    value: float | None
    interval: str


def score_of(scores: Mapping[str, Any], name: str) -> Score:
    """Return one of the scores, with its interval."""
    interval = scores.get(f"{name}_interval")
    return Score(scores.get(name), span(interval) if interval else "")


class Tile(NamedTuple):
    """A number in large print; `value` is a score or, for the label `words`, a count."""

    label: str
    value: float
    interval: str = ""


def score_tiles(run: Run) -> list[Tile]:
    """Return the numbers that a reader looks for first."""
    scores = (run.get("scores") or {}).get(examples_split(run)) or {}
    overall = scores.get("overall") or {}
    keys = ["f1", "precision", "recall", "accuracy"]
    if not is_entity_run(run):
        keys = ["accuracy", "macro_f1"]
    tiles = [
        Tile(key, overall[key], score_of(overall, key).interval) for key in keys if key in overall
    ]
    if scores.get("words") is not None:
        tiles.append(Tile("words", scores["words"]))
    return tiles


def notes_on_intervals(run: Run) -> list[str]:
    """Return sentences about the intervals of the scores of the split with the scored sentences."""
    scores = (run.get("scores") or {}).get(examples_split(run)) or {}
    return interval_notes(scores) if "intervals" in scores else []


class ScoreRow(NamedTuple):
    """The scores of a split, one for each column of the table."""

    split: str
    scores: list[Score]
    loss: float | None
    words: int | None


class ScoreTable(NamedTuple):
    """The scores of every split."""

    head: list[str]
    rows: list[ScoreRow]


def score_rows(run: Run) -> ScoreTable | None:
    """Return the overall scores of every split, in the columns that any split has."""
    splits: Mapping[str, Mapping[str, Any]] = run.get("scores") or {}
    if not splits:
        return None
    overall = {split: scores.get("overall") or {} for split, scores in splits.items()}
    keys = [key for key in SCORES if any(key in values for values in overall.values())]
    rows = [
        ScoreRow(
            split,
            [score_of(overall[split], key) for key in keys],
            scores.get("loss"),
            scores.get("words"),
        )
        for split, scores in splits.items()
    ]
    return ScoreTable([SCORES[key] for key in keys], rows)


def evaluations(run: Run) -> HistoryTable:
    """Return the scores of every evaluation during training."""
    table = history_table(run.get("history") or [], run.get("epoch_steps"))
    return HistoryTable([column.replace("_", " ") for column in table.columns], table.rows)


class TypeRow(NamedTuple):
    """The scores of a type or plain tag; `support` counts those in the gold standard."""

    name: str
    precision: Score
    recall: Score
    f1: Score
    support: int | None


def type_tables(run: Run) -> dict[str, list[TypeRow]]:
    """Return the scores by type for each split, the split of the scored sentences first."""
    tables = {}
    for split, scores in (run.get("scores") or {}).items():
        rows = [
            TypeRow(
                name,
                score_of(values, "precision"),
                score_of(values, "recall"),
                score_of(values, "f1"),
                values.get("number"),
            )
            for name, values in (scores.get("per_type") or {}).items()
        ]
        if rows:
            tables[split] = sorted(rows, key=lambda row: -(row.support or 0))
    first = examples_split(run)
    return dict(sorted(tables.items(), key=lambda item: item[0] != first))


# --- Confusion and mistakes ---------------------------------------------------------------------


class Cell(NamedTuple):
    """A count of the confusion matrix; `shade` (0 to 1) grows with its share of the row."""

    number: int
    total: int  # of the row
    correct: bool

    @property
    def shade(self) -> str:
        """The strength of the colour."""
        return f"{math.sqrt(self.number / self.total):.3f}"


class ConfusionTable(NamedTuple):
    """The confusion matrix: a row for each gold type, None for a word without a type."""

    names: list[str | None]
    rows: list[tuple[str | None, list[Cell]]]


def confusion_table(survey: Survey) -> ConfusionTable | None:
    """Return the confusion matrix without the rows of types that no gold word has."""
    names, counts = confusion_cells(survey.confusion)
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


def kinds_rows(kinds: Mapping[tuple[str, str | None], int], alone: str) -> list[KindsRow]:
    """Return the entities of one side by type and kind, the most frequent types first.

    `kinds` counts by (kind, type). A row adds up: exact, wrong type, wrong boundary, and `alone`,
    the kind of entities that overlap nothing.
    """
    by_type: dict[str | None, Counter[str]] = {}
    for (kind, name), count in kinds.items():
        by_type.setdefault(name, Counter())[kind] = count

    def row(name: str | None, counts: Counter[str]) -> KindsRow:
        shown = [counts[kind] for kind in ("wrong type", "wrong boundary", alone)]
        return KindsRow(name, counts.total(), counts["exact"], shown)

    ranked = sorted(by_type.items(), key=lambda item: (-item[1].total(), item[0] or ""))
    rows = [row(name, counts) for name, counts in ranked]
    return [*rows, row(None, sum(by_type.values(), Counter()))]


@dataclass(frozen=True)
class Word:
    """A word of a mistake's sentence with its two tags.

    `bare`: shown without its tags, which agree and say little. `wrong`: a word of the mistake.
    """

    text: str
    gold: str
    predicted: str
    bare: bool
    wrong: bool


@dataclass(frozen=True)
class Side:
    """The gold or the predicted side of a mistake: its type, and its words if the sides differ."""

    type: str | None
    words: str


@dataclass(frozen=True)
class ShownMistake:
    """A mistake as the page shows it: one line about it, then its sentence word by word."""

    mention: str
    gold: Side
    predicted: Side
    sentence: int
    place: Place | None
    confidence: str | None
    words: list[Word]
    cut_before: bool
    cut_after: bool


def shown_mistake(mistake: Mistake, entity_tags: bool) -> ShownMistake:
    """Return a mistake as the page shows it."""

    def side(entity: tuple[str | None, int, int] | None) -> Side:
        if entity is None:
            return Side(None, "")
        differ = mistake.pair.kind == "wrong boundary"
        return Side(entity[0], " ".join(mistake.words_of(entity)) if differ else "")

    words = []
    tagged = zip(mistake.tokens, mistake.gold, mistake.predicted, strict=True)
    for position, (text, gold, predicted) in enumerate(tagged):
        wrong = mistake.start <= position < mistake.end
        bare = gold == predicted and not wrong and (gold == "O" or not entity_tags)
        words.append(Word(text, gold, predicted, bare, wrong))
    return ShownMistake(
        mention=" ".join(mistake.tokens[mistake.start : mistake.end]),
        gold=side(mistake.pair.gold),
        predicted=side(mistake.pair.predicted),
        sentence=mistake.sentence,
        place=mistake.place,
        confidence=None if mistake.confidence is None else f"{mistake.confidence:.3f}",
        words=words,
        cut_before=mistake.cut_before,
        cut_after=mistake.cut_after,
    )


@dataclass(frozen=True)
class KindGroup:
    """The mistakes of a kind: the number of pairs, and the most confident pairs."""

    kind: str
    total: int
    first: list[ShownMistake]
    more: list[ShownMistake]


@dataclass(frozen=True)
class EntityMistakes:
    """The mistakes of entity tags."""

    gold: list[KindsRow]
    predicted: list[KindsRow]
    groups: list[KindGroup]
    # Entities in pairs with a wrong boundary, if some are in several pairs.
    boundary_gold: int
    boundary_predicted: int
    boundary_shared: bool


@dataclass(frozen=True)
class Confusion:
    """A gold tag that was predicted as another one, with the most confident examples."""

    gold: str | None
    predicted: str | None
    count: int
    open: bool
    examples: list[ShownMistake]


@dataclass(frozen=True)
class TagMistakes:
    """The mistakes of plain tags: the most frequent confusions, and the words in rarer ones."""

    total: int
    confusions: list[Confusion]
    rarer: int


def mistakes_shown(survey: Survey) -> EntityMistakes | TagMistakes:
    """Return the mistakes that the page shows."""
    return entity_mistakes(survey) if survey.entity_tags else tag_mistakes(survey)


def entity_mistakes(survey: Survey) -> EntityMistakes:
    """Return the counts of entities by kind, and the most confident mistakes of each kind."""
    groups, mistakes = [], survey.mistakes
    for kind in KINDS:
        shown = [shown_mistake(mistake, True) for mistake in mistakes.get(kind, [])]
        total = survey.pair_kinds[kind]
        groups.append(KindGroup(kind, total, shown[:MISTAKES_SHOWN], shown[MISTAKES_SHOWN:]))
    gold, predicted = (
        sum(count for (kind, _), count in kinds.items() if kind == "wrong boundary")
        for kinds in (survey.gold_kinds, survey.predicted_kinds)
    )
    return EntityMistakes(
        gold=kinds_rows(survey.gold_kinds, "missed"),
        predicted=kinds_rows(survey.predicted_kinds, "spurious"),
        groups=groups,
        boundary_gold=gold,
        boundary_predicted=predicted,
        boundary_shared=min(gold, predicted) < survey.pair_kinds["wrong boundary"],
    )


def tag_mistakes(survey: Survey) -> TagMistakes:
    """Return the most frequent confusions of plain tags, with examples."""
    errors = {pair: n for pair, n in survey.confusion.items() if pair[0] != pair[1]}
    # Equal counts are sorted by name, so that the page does not depend on the order read.
    ranked = sorted(errors.items(), key=lambda item: (-item[1], str(item[0])))
    mistakes = survey.mistakes
    confusions = [
        Confusion(
            gold,
            predicted,
            count,
            rank < MISTAKES_SHOWN,
            [shown_mistake(mistake, False) for mistake in mistakes[gold, predicted]],
        )
        for rank, ((gold, predicted), count) in enumerate(ranked[:CONFUSIONS_SHOWN])
    ]
    rarer = sum(count for _, count in ranked[CONFUSIONS_SHOWN:])
    return TagMistakes(sum(errors.values()), confusions, rarer)


# --- The corpus ---------------------------------------------------------------------------------


class LabelCell(NamedTuple):
    """The words of a split with a label, and the length of the bar (0 to 1) that shows them."""

    number: int
    total: int  # words of the split
    share: float


@dataclass(frozen=True)
class LabelTable:
    """The words of each split by label; `totals` counts the words of each split."""

    entity_tags: bool
    totals: dict[str, int]
    rows: list[tuple[str, list[LabelCell]]]


def label_table(
    counts: Mapping[str, Mapping[str, int]], label_names: Sequence[str] | None
) -> LabelTable | None:
    """Return the number of words by split and label, the labels of the model first."""
    if not counts:
        return None
    labels = dict.fromkeys(label_names or ())
    labels |= dict.fromkeys(label for words in counts.values() for label in words)
    totals = {split: sum(words.values()) for split, words in counts.items()}
    # Next to a bar of O, the other bars would be too short to see, so O has none.
    tallest = {
        split: max((count for label, count in words.items() if label != "O"), default=0) or 1
        for split, words in counts.items()
    }

    def cell(split: str, label: str) -> LabelCell:
        count = counts[split].get(label, 0)
        return LabelCell(count, totals[split], 0 if label == "O" else count / tallest[split])

    return LabelTable(
        entity_tags=are_entity_tags(labels),
        totals=totals,
        rows=[(label, [cell(split, label) for split in counts]) for label in labels],
    )


def sentence_lengths(run: Run) -> dict[str, dict[int, int]]:
    """Return the number of sentences by length for each split that has any.

    Lengths become whole numbers; JSON makes them strings.
    """
    lengths = {
        split: {int(length): count for length, count in counts.items() if count}
        for split, counts in (run.get("lengths") or {}).items()
    }
    return {split: counts for split, counts in lengths.items() if counts}


def length_svg(run: Run) -> str | None:
    """Return the histogram of sentence lengths."""
    lengths = sentence_lengths(run)
    return chart_svg(length_chart(lengths, run.get("max_seq_length"))) if lengths else None


class LengthRow(NamedTuple):
    """The lengths of a split's sentences in sub-words; `cut` counts those longer than a window."""

    split: str
    sentences: int
    median: int
    high: int  # 95 % of the sentences are not longer
    longest: int
    cut: int | None


def length_rows(run: Run) -> list[LengthRow]:
    """Return the lengths of sentences, a row for each split."""
    windowed = run.get("windowed") or {}
    return [
        LengthRow(
            split,
            sum(counts.values()),
            quantile(counts, 0.5),
            quantile(counts, 0.95),
            max(counts),
            windowed.get(split),
        )
        for split, counts in sentence_lengths(run).items()
    ]


def quantile(counts: Mapping[int, int], part: float) -> int:
    """Return the smallest length that at least `part` of the sentences do not exceed."""
    seen, wanted = 0, part * sum(counts.values())
    for length in sorted(counts):
        seen += counts[length]
        if seen >= wanted:
            return length
    return max(counts)
