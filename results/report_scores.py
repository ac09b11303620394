"""The scores of a run as its page shows them, each with its interval, and the reliability."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from results.verdict import Run, nouns_of, scored_split, scores_of
from scoring.evidence import FEW, IN_TRAINING, NEW
from scoring.table import span

SCORES = {
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "macro_f1": "Macro F1",
    "accuracy": "Accuracy",
}
HIGH_SCORE = 0.9  # of an entity of which the model is sure
LEVEL_QUANTILE = 1.96  # of the normal distribution, for an interval of 95 %


class Score(NamedTuple):
    """A score and its interval, None if it has none."""

    value: float | None
    interval: tuple[float, float] | None = None

    @property
    def span(self) -> str:
        """The text of the interval, empty if there is none."""
        return span(list(self.interval)) if self.interval else ""


def score_of(scores: Mapping[str, Any], name: str) -> Score:
    """Return one of the scores, with its interval."""
    interval = scores.get(f"{name}_interval")
    return Score(scores.get(name), (interval[0], interval[1]) if interval else None)


class Tile(NamedTuple):
    """A number in large print: a score, or a count without an interval."""

    label: str
    note: str
    score: Score | None = None
    number: int | None = None


def score_tiles(run: Run, entity_tags: bool) -> list[Tile]:
    """Return the numbers that a reader looks for first, each with its meaning."""
    scores = scores_of(run)
    overall = scores.get("overall") or {}
    keys = ["f1", "precision", "recall"] if entity_tags else ["accuracy", "macro_f1"]
    plural = nouns_of(run).plural
    notes = {
        "f1": "precision and recall in one",
        "precision": f"of the predicted {plural} are right",
        "recall": f"of the {plural} in the text are found",
        "accuracy": "of the words have the right tag",
        "macro_f1": "mean over all tags, rare ones too",
    }
    tiles = [
        Tile(SCORES[key], notes[key], score_of(overall, key)) for key in keys if key in overall
    ]
    if scores.get("words") is not None:
        tiles.append(Tile("Words scored", "all words of the split", number=scores["words"]))
    return tiles


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


class TypeRow(NamedTuple):
    """The scores of a type or plain tag.

    `support` counts those in the gold standard, `in_training` those in the training split; None if
    unknown.
    """

    name: str
    precision: Score
    recall: Score
    f1: Score
    support: int | None
    in_training: int | None


def type_tables(run: Run, entity_tags: bool) -> dict[str, list[TypeRow]]:
    """Return the scores by type for each split, the split of the scored sentences first."""
    training = training_counts(run, entity_tags)
    tables = {}
    for split, scores in (run.get("scores") or {}).items():
        rows = [
            TypeRow(
                name,
                score_of(values, "precision"),
                score_of(values, "recall"),
                score_of(values, "f1"),
                values.get("number"),
                training.get(name, 0) if training else None,
            )
            for name, values in (scores.get("per_type") or {}).items()
        ]
        if rows:
            tables[split] = sorted(rows, key=lambda row: (-(row.support or 0), row.name))
    first = scored_split(run)
    return dict(sorted(tables.items(), key=lambda item: item[0] != first))


def training_counts(run: Run, entity_tags: bool) -> dict[str, int]:
    """Return the entities of each type, or the words with each plain tag, of the training split."""
    counts = (run.get("label_counts") or {}).get("train") or {}
    if not entity_tags:
        return dict(counts)
    return {label[2:]: count for label, count in counts.items() if label.startswith("B-")}


class GroupRow(NamedTuple):
    """A score of a group of entities."""

    name: str
    score: Score
    number: int | None


class GroupTable(NamedTuple):
    """A score of groups of entities: what is measured, and a row for each group."""

    caption: str
    head: tuple[str, str]
    rows: list[GroupRow]


GROUPS = {
    "by_surface": ("Recall on names that training has and on new ones", "Names", "recall"),
    "by_length": ("F1 by length", "Words", "f1"),
    "partial_matching": ("F1 by kind of matching (SemEval-2013)", "Matching", "f1"),
}
GROUP_NAMES = {
    IN_TRAINING: "seen in training",
    NEW: "new",
    "strict": "strict: boundaries and type",
    "exact": "exact: boundaries, any type",
    "partial": "partial: any type, an overlap counts half",
    "type": "type: an overlap of the same type",
}


def group_tables(run: Run) -> list[GroupTable]:
    """Return the other scores of the split with the scored sentences.

    A table of one row repeats the overall score, so it is left out.
    """
    scores, tables = scores_of(run), []
    for key, (caption, head, name) in GROUPS.items():
        rows = [
            GroupRow(GROUP_NAMES.get(group, group), score_of(row, name), row.get("number"))
            for group, row in (scores.get(key) or {}).items()
            if row.get("number") != 0
        ]
        if len(rows) > 1:
            tables.append(GroupTable(caption, (head, SCORES[name]), rows))
    return tables


def one_surface(run: Run) -> str:
    """Return a sentence if all gold entities occur in the training split, or none; else ""."""
    scored = scores_of(run).get("by_surface") or {}
    present = [group for group, row in scored.items() if row.get("number")]
    if len(present) != 1:
        return ""
    number, plural = scored[present[0]]["number"], nouns_of(run).plural
    if present[0] == IN_TRAINING:
        return (
            f"All {number:,} {plural} also occur in the training split. In text with new ones, "
            "recall may be lower."
        )
    return (
        f"None of the {number:,} {plural} occurs in the training split. In text with known ones, "
        "recall may be higher."
    )


# --- Reliability --------------------------------------------------------------------------------


class ReliabilityRow(NamedTuple):
    """The predicted entities whose scores lie in a bin."""

    start: float
    end: float
    entities: int
    mean_score: float
    precision: Score

    @property
    def errors(self) -> tuple[float, float]:
        """The distances of the precision from the ends of its interval."""
        value, (low, high) = self.precision.value or 0.0, self.precision.interval or (0.0, 1.0)
        return max(value - low, 0.0), max(high - value, 0.0)


class ReliabilityTable(NamedTuple):
    """The scores of entities compared with how often they are right."""

    error: float
    entities: int
    rows: list[ReliabilityRow]

    @property
    def groups(self) -> list["ReliabilityGroup"]:
        """Return the bins of high scores as one group, and the others as one; none without bins."""
        high = [row for row in self.rows if row.start >= HIGH_SCORE]
        low = [row for row in self.rows if row.start < HIGH_SCORE]
        named = ((f"of {HIGH_SCORE} or more", high), (f"below {HIGH_SCORE}", low))
        return [pooled(name, rows) for name, rows in named if rows]

    @property
    def is_rough(self) -> bool:
        """Return whether there are too few entities to judge the scores by."""
        return self.entities < FEW


class ReliabilityGroup(NamedTuple):
    """The predicted entities whose scores lie in several adjacent bins."""

    name: str
    entities: int
    mean_score: float
    precision: Score

    @property
    def verdict(self) -> str:
        """Return "too high" or "too low"; "" if the interval contains the mean score."""
        low, high = self.precision.interval or (0.0, 1.0)
        return "too high" if self.mean_score > high else "too low" if self.mean_score < low else ""


def pooled(name: str, rows: Sequence[ReliabilityRow]) -> ReliabilityGroup:
    """Return several bins as one group of this name."""
    entities = sum(row.entities for row in rows)
    mean_score = sum(row.entities * row.mean_score for row in rows) / entities
    right = sum(row.entities * (row.precision.value or 0.0) for row in rows) / entities
    return ReliabilityGroup(
        name, entities, mean_score, Score(right, wilson_interval(right, entities))
    )


def reliability_table(run: Run) -> ReliabilityTable | None:
    """Return the reliability of the scored split; None without a predicted entity."""
    facts = scores_of(run).get("reliability") or {}
    error = facts.get("expected_calibration_error")
    if error is None:
        return None
    rows = [
        ReliabilityRow(
            row["start"],
            row["end"],
            row["entities"],
            row["mean_score"],
            Score(row["precision"], wilson_interval(row["precision"], row["entities"])),
        )
        for row in facts["bins"]
        if row["entities"]
    ]
    return ReliabilityTable(error, sum(row.entities for row in rows), rows)


def wilson_interval(share: float, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `number` independent items (Wilson 1927)."""
    z2 = LEVEL_QUANTILE**2
    centre = (share + z2 / (2 * number)) / (1 + z2 / number)
    half = (z2 * share * (1 - share) / number + z2 * z2 / (4 * number * number)) ** 0.5
    half /= 1 + z2 / number
    return max(0.0, centre - half), min(1.0, centre + half)
