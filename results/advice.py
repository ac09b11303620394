"""Advice at the end of a run: what to do next, decided by its scores, mistakes and history."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from results.report_scores import reliability_table, training_counts
from results.verdict import (
    Run,
    extremes,
    nouns_of,
    scored_split,
    scores_of,
    was_always_zero,
)
from scoring.evidence import FEW, IN_TRAINING, NEW, number_of
from settings.study_flags import SET_BY_STUDY, without_flags
from support.secrets import scrub
from support.text import counted

MOST = 5
LARGE_ERROR = 0.1  # of calibration: scores of 0.9 are then right in about 80 %
FEWEST_SURE = 3  # mistakes of which a model is sure; fewer are no pattern
ENOUGH_PREDICTED = 50  # entities to judge a calibration by


class Advice(NamedTuple):
    """A step that would improve the model or its evidence: what, why, and with which command."""

    title: str
    reason: str
    command: str | None = None


def advice(run: Run, entity_tags: bool, sure_mistakes: int) -> list[Advice]:
    """Return from 1 to `MOST` pieces of advice, the most useful first; none without scores.

    `sure_mistakes`: the mistakes where the model is sure and the label differs.
    """
    scores = scores_of(run)
    if "intervals" not in scores:
        return []
    rules = (
        _more_to_score(run, scores, entity_tags),
        longer_training(run),
        _keep_best(run),
        _check_labels(run, sure_mistakes),
        _more_labels(run, scores, entity_tags),
        _new_names(run, scores),
        _operating_point(run, scores),
        _calibration(run),
    )
    chosen = [step for step in rules if step is not None][:MOST]
    return chosen or [_compare(run)]


def _study(run: Run, study: str) -> str:
    """Return a command of `study.py` with the flags of the run."""
    command = run.get("command") or ""
    arguments = command if isinstance(command, list | tuple) else shlex.split(command)
    script = next((n for n, part in enumerate(arguments) if str(part).endswith(".py")), -1)
    own = without_flags([str(part) for part in arguments[script + 1 :]], SET_BY_STUDY)
    name = run.get("script") or ""
    other_script = ["--script", name] if name == "train_accelerate.py" else []
    flags = shlex.join(["python", "study.py", *study.split(), *other_script, "--", *own])
    return scrub(flags)


def _more_to_score(run: Run, scores: Mapping[str, Any], entity_tags: bool) -> Advice | None:
    number = number_of(scores)
    if number >= FEW:
        return None
    noun = nouns_of(run).plural if entity_tags else "words"
    return Advice(
        "Measure on more text",
        f"The {scored_split(run)} split has {number:,} {noun}, too few to compare models. Label "
        f"more text for it, until it has {FEW} {noun} or more; or score the model on the whole "
        "corpus by cross-validation:",
        _study(run, "folds 5"),
    )


def longer_training(run: Run) -> Advice | None:
    """Return the advice to train longer, if a run still improved or has learned nothing yet."""
    is_zero = was_always_zero(run) and not run.get("patience_ended")
    if not run.get("still_improved") and not is_zero:
        return None
    arguments = run.get("arguments") or {}
    steps, epochs = arguments.get("max_steps") or -1, arguments.get("num_train_epochs")
    flags = f"--max_steps {2 * steps}" if steps > 0 else ""
    if not flags and epochs:
        flags = f"--num_train_epochs {2 * float(epochs):g}"
    return Advice(
        "Train longer",
        ("No evaluation was above 0." if is_zero else "The last evaluation was the best one.")
        + " With twice the steps, the score may still grow; the "
        "best weights are kept if asked for. Add to the command:",
        f"{flags} --load_best_model_at_end".strip(),
    )


def _keep_best(run: Run) -> Advice | None:
    history, kept = run.get("history") or [], run.get("kept_step")
    if was_always_zero(run) or run.get("still_improved") is not False or not history:
        return None
    if (run.get("arguments") or {}).get("load_best_model_at_end"):
        return None
    if kept != history[-1].get("step"):
        return None
    return Advice(
        "Keep the best weights",
        "An earlier evaluation was better than the last one, whose weights were kept. Add to the "
        "command:",
        "--load_best_model_at_end",
    )


def _check_labels(run: Run, sure_mistakes: int) -> Advice | None:
    if (study := run.get("label_errors")) and study.total:
        return Advice(
            "Check suspected labels",
            f"The study {study.folder} lists {counted(study.total, 'suspected label error')} of "
            "this corpus; the first ones are below. Correct the labels that are wrong, and train "
            "again.",
        )
    if sure_mistakes < FEWEST_SURE:
        return None
    return Advice(
        "Check suspected labels",
        f"In {sure_mistakes} mistakes below, the model is sure and the label differs. Some of "
        "these labels may be wrong, as may others in the training split. List the suspects:",
        _study(run, "label_errors"),
    )


def _more_labels(run: Run, scores: Mapping[str, Any], entity_tags: bool) -> Advice | None:
    ends = extremes(scores)
    if ends is None or not ends.clear:
        return None
    row = scores["per_type"][ends.weakest]
    count = training_counts(run, entity_tags).get(ends.weakest)
    low, high = row["f1_interval"]
    known = "" if count is None else f", and the training split has {count:,} of it"
    return Advice(
        f"Label more {ends.weakest}",
        f"{ends.weakest} is the weakest {'type' if entity_tags else 'tag'} (F1 {row['f1']:.3f}, "
        f"{low:.3f} to {high:.3f}){known}. To learn what more labels would bring:",
        _study(run, "curve"),
    )


def _new_names(run: Run, scores: Mapping[str, Any]) -> Advice | None:
    rows = scores.get("by_surface") or {}
    if not {IN_TRAINING, NEW} <= rows.keys():
        return None
    seen, new = rows[IN_TRAINING]["recall_interval"], rows[NEW]["recall_interval"]
    if new[1] >= seen[0]:
        return None
    plural = nouns_of(run).plural
    return Advice(
        f"Label text with other {plural}",
        f"The model finds fewer of the {plural} that training lacks (recall {new[0]:.3f} to "
        f"{new[1]:.3f}) than of those it has seen ({seen[0]:.3f} to {seen[1]:.3f}). New text with "
        "names of its own helps more than more of the same.",
    )


def _operating_point(run: Run, scores: Mapping[str, Any]) -> Advice | None:
    overall, calibration = scores["overall"], run.get("calibration") or {}
    if "precision_interval" not in overall or calibration.get("requested"):
        return None
    precision, recall = overall["precision_interval"], overall["recall_interval"]
    plural = nouns_of(run).plural
    if recall[1] < precision[0]:
        return Advice(
            "Choose an operating point",
            f"Recall is lower than precision: the model leaves {plural} out. If a missed one costs "
            "more than a wrong one, add to the command:",
            "--tune_for recall",
        )
    if precision[1] < recall[0]:
        return Advice(
            "Choose an operating point",
            f"Precision is lower than recall: the model marks too much. If a wrong one of the "
            f"{plural} costs more than a missed one, add to the command:",
            "--target_precision 0.9",
        )
    return None


def _calibration(run: Run) -> Advice | None:
    table, calibration = reliability_table(run), run.get("calibration") or {}
    if table is None or table.entities < ENOUGH_PREDICTED or table.error <= LARGE_ERROR:
        return None
    fitted = calibration.get("fitted_to_entities") or 0
    based = f"calibrated on few predicted {nouns_of(run).plural} ({fitted:,})"
    return Advice(
        "Do not read scores as probabilities yet",
        f"Scores and the share of right {nouns_of(run).plural} differ by {table.error:.3f} on "
        f"average; they are {based if fitted else 'not calibrated'}. A larger validation split, of "
        "the same kind of text as the test split, calibrates them better.",
    )


def _compare(run: Run) -> Advice:
    folder = run.get("output_name") or "OUTPUT_FOLDER"
    return Advice(
        "Try another encoder",
        "No type, label or setting stands out. Train with another --model_name_or_path into "
        "another folder, and compare the two:",
        shlex.join(["python", "compare.py", str(folder), "OTHER_FOLDER"]),
    )
