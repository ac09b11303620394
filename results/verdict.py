"""The facts of a run that a reader wants first: how good, how sure, which weights, which types."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any, NamedTuple

from scoring.evidence import ENTITIES, NOUNS, Nouns, few_note, number_of
from support.text import counted
from training.progress import BestScore

Run = Mapping[str, Any]

SUBJECTS = {"ner": "Named entities", "pos": "Parts of speech", "chunk": "Chunks"}  # by task


def nouns_of(run: Run) -> Nouns:
    """Return the noun for a span that the tags of a run mark."""
    return NOUNS.get(run.get("task") or "", ENTITIES)


class Extremes(NamedTuple):
    """The types with the highest and the lowest F1; `clear`: their intervals do not overlap."""

    strongest: str
    weakest: str
    clear: bool


def extremes(scores: Mapping[str, Any]) -> Extremes | None:
    """Return the strongest and the weakest type of a split.

    None with fewer than two types, or if no entity was right. A type counts if it has gold
    entities. `scores`: with intervals, see `scoring.evidence`.
    """
    rows = {name: row for name, row in scores["per_type"].items() if row["number"]}
    if len(rows) < 2 or not any(row["f1"] for row in rows.values()):
        return None
    ranked = sorted(rows, key=lambda name: (-rows[name]["f1"], name))
    strongest, weakest = ranked[0], ranked[-1]
    clear = rows[weakest]["f1_interval"][1] < rows[strongest]["f1_interval"][0]
    return Extremes(strongest, weakest, clear)


def best_step(history: Sequence[Mapping[str, Any]], best: BestScore) -> int | None:
    """Return the step of the best evaluation of a run, the first of equals; None without any."""
    step, best_score = None, None
    for row in history:
        if best.improves(score := row[f"eval_{best.name}"], best_score):
            step, best_score = row["step"], score
    return step


def still_improved(history: Sequence[Mapping[str, Any]], best: BestScore) -> bool | None:
    """Return whether the last evaluation of a run was its best; None with fewer than two."""
    return None if len(history) < 2 else best_step(history, best) == history[-1]["step"]


def main_scores(run: Run) -> list[tuple[int, float]]:
    """Return the step and the score of each evaluation that has the score that decides."""
    name = f"eval_{(run.get('arguments') or {}).get('metric_for_best_model')}"
    history = run.get("history") or []
    return [(row["step"], row[name]) for row in history if row.get(name) is not None]


def was_always_zero(run: Run) -> bool:
    """Return whether a score of which greater is better was 0 at each evaluation of a run."""
    scores = main_scores(run)
    greater = (run.get("arguments") or {}).get("greater_is_better")
    return bool(scores and greater) and not any(score for _, score in scores)


def epochs_done(step: int, epoch_steps: int | None) -> float | None:
    """Return the epochs done at a step, rounded; None without the steps of an epoch."""
    return round(step / epoch_steps, 2) if epoch_steps else None


# --- In words -----------------------------------------------------------------------------------


def scored_split(run: Run) -> str | None:
    """Return the split that the verdict is about: the one named, else the last one with scores."""
    return run.get("examples_split") or next(reversed(run.get("scores") or {}), None)


def scores_of(run: Run) -> Mapping[str, Any]:
    """Return the scores of the split that the verdict is about; empty without any."""
    return (run.get("scores") or {}).get(scored_split(run)) or {}


def title_of(run: Run) -> str:
    """Return a title for readers who do not know the model: `Named entities in tickets.jsonl`."""
    if title := run.get("title"):
        return str(title)
    task = run.get("task") or ""
    subject = SUBJECTS.get(task) or (f"Labels of {task}" if task else "Labels")
    corpus = run.get("corpus_name")
    return f"{subject} in {corpus_title(str(corpus))}" if corpus else subject


def corpus_title(name: str) -> str:
    """Return the name of a corpus without folders: `tickets.jsonl and 2 more files`."""
    first, *others = [part.strip() for part in name.split(",")]
    more = f" and {counted(len(others), 'more file')}" if others else ""
    path = PurePath(first)
    # Only a file has an extension; data sets of the Hub have an owner.
    return f"{path.name if path.suffix else first}{more}"


def date_of(run: Run) -> str | None:
    """Return the day on which a run began: `26 November 2026`."""
    try:
        day = datetime.fromisoformat(str(run.get("run_id"))[:10])
    except ValueError:
        return None
    return day_in_words(day)


def day_in_words(day: datetime) -> str:
    """Return a day as `26 November 2026`."""
    return f"{day.day} {day:%B %Y}"


def verdict(run: Run, entity_tags: bool) -> list[str]:
    """Return the verdict on a run in a few sentences, as far as its facts are known."""
    scores = scores_of(run)
    sentences = [measured(run, entity_tags)]
    if "intervals" in scores:
        sentences += [few_note(scores, nouns_of(run)), _types(scores, entity_tags)]
    sentences.append(kept_weights(run))
    return [sentence for sentence in sentences if sentence]


def measured(run: Run, entity_tags: bool) -> str:
    """Return how good the model is, how sure that is, and what it was measured on."""
    scores = scores_of(run)
    name, title = ("f1", "F1") if entity_tags else ("accuracy", "Accuracy")
    overall = scores.get("overall") or {}
    if name not in overall:
        return ""
    text = f"{title} {overall[name]:.3f}"
    if interval := overall.get(f"{name}_interval"):
        text += f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})"
    text += f" on the {scored_split(run)} split"
    if scores.get("words") is None:
        return f"{text}."
    text += f": {counted(scores['words'], 'word')}"
    if entity_tags and scores.get("per_type"):
        number, nouns = number_of(scores), nouns_of(run)
        text += f" with {number:,} {nouns.singular if number == 1 else nouns.plural}"
    return f"{text}."


def _types(scores: Mapping[str, Any], entity_tags: bool) -> str:
    """Return the strongest and the weakest type."""
    ends = extremes(scores)
    if ends is None:
        return ""

    def with_f1(name: str) -> str:
        row = scores["per_type"][name]
        low, high = row["f1_interval"]
        return f"{name} (F1 {row['f1']:.3f}, {low:.3f} to {high:.3f})"

    noun = "type" if entity_tags else "tag"
    text = f"Strongest {noun}: {with_f1(ends.strongest)}; weakest: {with_f1(ends.weakest)}"
    return f"{text}." if ends.clear else f"{text}; their intervals overlap."


def kept_weights(run: Run) -> str:
    """Return whether the score still improved at the end, and which weights were kept.

    "" for a run that was not evaluated.
    """
    kept, history = run.get("kept_step"), run.get("history") or []
    if kept is None or not history:
        return ""
    text = {
        True: "The score still improved at the last evaluation",
        False: _best_and_last(run) or "The score no longer improved at the last evaluation",
        None: "The model was evaluated once during training",
    }[run.get("still_improved")]
    if was_always_zero(run):
        text = "The score was 0 at each evaluation"
    if patience := run.get("patience_ended"):
        number = counted(patience, "evaluation")
        text = f"Training stopped early, after {number} without a better score"
    last = kept == history[-1].get("step")
    return (
        f"{text}; the {'last weights' if last else 'best weights'} were kept ({_when(run, kept)})."
    )


def _best_and_last(run: Run) -> str:
    """Return a clause on the best score on validation and the last one; "" if unknown."""
    scores, greater = main_scores(run), (run.get("arguments") or {}).get("greater_is_better")
    if not scores or greater is None:
        return ""
    step, best = (max if greater else min)(scores, key=lambda pair: pair[1])
    when, last = _when(run, step), scores[-1][1]
    if step != scores[-1][0] and f"{last:.3f}" == f"{best:.3f}":
        return (
            f"On validation, the last score was no better than an earlier one, {best:.3f} ({when})"
        )
    return f"On validation, the best score was {best:.3f} ({when}), the last one {last:.3f}"


def _when(run: Run, step: int) -> str:
    """Return a step with the epochs done."""
    epochs = epochs_done(step, run.get("epoch_steps"))
    if epochs is None:
        return f"after step {step:,}"
    return f"after {epochs:g} {'epoch' if epochs == 1 else 'epochs'}, step {step:,}"
