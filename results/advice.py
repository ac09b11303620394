"""Advice at the end of a run: what to do next, decided by its scores, mistakes and history."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from results.history import INTERVAL, scored_history
from results.report_mistakes import Confusion
from results.report_scores import reliability_table, training_counts
from results.verdict import (
    Run,
    extremes,
    main_scores,
    nouns_of,
    scored_split,
    scores_of,
    was_always_zero,
)
from scoring.evidence import FEW, IN_TRAINING, NEW, number_of
from settings.flag_table import TRAINER
from settings.study_flags import SET_BY_STUDY, without_flags
from support.secrets import scrub
from support.text import counted

MOST = 5
LARGE_ERROR = 0.1  # of calibration: scores of 0.9 are then right in about 80 %
FEWEST_SURE = 3  # mistakes of which a model is sure; fewer are no pattern
ENOUGH_PREDICTED = 50  # entities to judge a calibration by
FEWEST_CONFUSED = 5  # entities of a type that are taken for another type
CONFUSED_SHARE = 0.03  # and their share of all entities of the type


class Advice(NamedTuple):
    """A step that would improve the model or its evidence: what, why, and with which command."""

    title: str
    reason: str
    command: str | None = None


def advice(
    run: Run, entity_tags: bool, sure_mistakes: int, confusions: Sequence[Confusion] = ()
) -> list[Advice]:
    """Return from 1 to `MOST` pieces of advice, the most useful first; none without scores.

    `sure_mistakes`: the mistakes where the model is sure and the label differs. `confusions`: see
    `report_mistakes.confusions`.
    """
    scores = scores_of(run)
    if "intervals" not in scores:
        return []
    score, last = last_score(run), (longer_training(run), _keep_best(run))
    may_be_chance = score is not None and score.may_be_chance
    # Labels that a study suspects come first; otherwise, mistakes are only a hint at them.
    found = (_check_labels(run, sure_mistakes), _confused_types(run, entity_tags, confusions))
    rules = (
        _more_to_score(run, scores, entity_tags),
        *(() if may_be_chance else last),
        *(found if run.get("label_errors") else found[::-1]),
        _more_labels(run, scores, entity_tags),
        _new_names(run, scores),
        *(last if may_be_chance else ()),
        _operating_point(run, scores),
        _calibration(run),
    )
    chosen = [step for step in rules if step is not None][:MOST]
    return chosen or [_compare(run)]


def _study(run: Run, study: str) -> str:
    """Return a command of `study.py` with the flags of the run."""
    _, own = _command(run)
    own = without_flags(own, SET_BY_STUDY)
    if _several_on_cpu(run):
        own = [*without_flags(own, {"use_cpu"}), "--use_cpu"]
    name = run.get("script") or ""
    own_script = ["--script", name] if name == "train_accelerate.py" else []
    launcher = ["--launcher", shlex.join(several)] if (several := _several_processes(run)) else []
    before = ["python", _script(run, "study.py"), *study.split(), *own_script, *launcher]
    return scrub(shlex.join([*before, "--", *own]))


def _again(run: Run, suffix: str, without: Collection[str] = (), **flags: str) -> str:
    """Return the command of the run with flags added or replaced, for another output folder.

    `suffix` is appended to the folder's name. `without`: names of flags to leave out. `flags`: the
    value of each; "" for a flag without a value.
    """
    start, own = _command(run)
    own = without_flags(own, set(SET_BY_STUDY) - {"seed"} | {"hub_model_id", *without})
    if _several_on_cpu(run):
        flags["use_cpu"] = ""
    flags["output_dir"] = f"{_output_folder(run)}-{suffix}"
    added = [part for name, value in flags.items() for part in (f"--{name}", value) if part]
    return scrub(shlex.join([*start, *without_flags(own, flags), *added]))


def _command(run: Run) -> tuple[list[str], list[str]]:
    """Return the command of the run in two parts: up to its script, and the arguments of it."""
    command = run.get("command") or ""
    parts = command if isinstance(command, list | tuple) else shlex.split(command)
    parts = [str(part) for part in parts]
    script = next((n for n, part in enumerate(parts) if part.endswith(".py")), -1)
    start = parts[: script + 1] or [run.get("script") or TRAINER]
    if start[0].endswith(".py"):
        name = _script(run, start[0])
        start = [*(_several_processes(run) or ["python"]), name, *start[1:]]
    return start, parts[script + 1 :]


def _several_processes(run: Run) -> list[str]:
    """Return the command that starts as many processes as the run had; empty for one process.

    `accelerate launch` would start a single process on a machine without a GPU.
    """
    processes = run.get("processes") or 1
    return ["torchrun", "--nproc_per_node", f"{processes}"] if processes > 1 else []


def _several_on_cpu(run: Run) -> bool:
    """Return whether a run had several processes on a CPU, which needs --use_cpu."""
    return (run.get("processes") or 1) > 1 and str(run.get("device")).startswith("cpu")


def _script(run: Run, name: str) -> str:
    """Return the path of a script of the suite for the folder in which the run was started."""
    return str(Path(run.get("suite_folder") or "") / name)


def _output_folder(run: Run) -> str:
    return str(run.get("output_folder") or run.get("output_name") or "OUTPUT_FOLDER")


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
    longer = {"max_steps": f"{2 * steps}"} if steps > 0 else {}
    if not longer and epochs:
        longer = {"num_train_epochs": f"{2 * float(epochs):g}"}
    reason = "No evaluation was above 0."
    # While the score is 0, every evaluation counts as one without a better score.
    stops_early = ("early_stopping_patience",) if is_zero else ()
    if not is_zero:
        reason = f"The last evaluation was the best one{_last_and_best_before(run)}"
    return Advice(
        "Train longer",
        f"{reason} With twice the steps, the score may still grow:",
        _again(run, "longer", stops_early, **longer, load_best_model_at_end=""),
    )


class LastScore(NamedTuple):
    """The score of the last evaluation with its interval, and the best score before it."""

    last: float
    low: float
    high: float
    best_before: float

    @property
    def may_be_chance(self) -> bool:
        """Return whether the scores differ by less than a quarter of the interval's width.

        Both evaluations have the same sentences, so the interval of their difference is narrower
        than those of the scores: about half as wide.
        """
        return abs(self.last - self.best_before) < (self.high - self.low) / 4


def last_score(run: Run) -> LastScore | None:
    """Return the score of the last evaluation; None without its interval or others before it."""
    name = f"eval_{(run.get('arguments') or {}).get('metric_for_best_model')}{INTERVAL}"
    scores = main_scores(run)
    ends = {row["step"]: row.get(name) for row in scored_history(run) if "step" in row}
    if len(scores) < 2 or (interval := ends[scores[-1][0]]) is None:
        return None
    low, high = interval
    return LastScore(scores[-1][1], low, high, max(score for _, score in scores[:-1]))


def _last_and_best_before(run: Run) -> str:
    """Return the end of a sentence: the last score, and the best one before it, if known."""
    score = last_score(run)
    if score is None:
        return "."
    last = f"last: {score.last:.3f}, 95 % interval {score.low:.3f} to {score.high:.3f}"
    chance = "; the difference may be chance" if score.may_be_chance else ""
    return f" ({last}; best before: {score.best_before:.3f}{chance})."


def _keep_best(run: Run) -> Advice | None:
    history, kept = run.get("history") or [], run.get("kept_step")
    if was_always_zero(run) or run.get("still_improved") is not False or not history:
        return None
    if (run.get("arguments") or {}).get("load_best_model_at_end"):
        return None
    if kept != history[-1].get("step"):
        return None
    score = last_score(run)
    if score is not None and score.last >= score.best_before:  # the first of equals is the best
        return None
    return Advice(
        "Keep the best weights",
        "The weights of the last evaluation were kept, but an earlier one was better"
        f"{_last_and_best_before(run)} To train again and keep the best weights:",
        _again(run, "best", load_best_model_at_end=""),
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
        f"In {sure_mistakes} mistakes below, the model is sure and the label differs. Read them "
        "first. If their labels are right, skip this step. If some are wrong, labels of the "
        "training split may be wrong, too. To list the suspects:",
        _study(run, "label_errors"),
    )


def _confused_types(run: Run, entity_tags: bool, confusions: Sequence[Confusion]) -> Advice | None:
    if not confusions:
        return None
    top = confusions[0]
    if top.number < FEWEST_CONFUSED or top.number < CONFUSED_SHARE * top.gold_number:
        return None
    gold, predicted = top.gold or "none", top.predicted or "none"
    noun = f"{nouns_of(run).plural} of type " if entity_tags else "words with the tag "
    return Advice(
        f"Reduce the confusion of {gold} with {predicted}",
        f"Of the {top.gold_number:,} {noun}{gold}, {top.number:,} are taken for {predicted}. This "
        "is the most frequent confusion. Read these mistakes below, with the filters set to "
        f"{gold} and its kind. Where a label is wrong, correct it, and look for the same in the "
        "training split; where it is right, label more such sentences for training.",
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
            f"Recall is lower than precision: the model misses {plural}. If a missed one costs "
            "more than a wrong one, run:",
            _again(run, "recall", tune_for="recall"),
        )
    if precision[1] < recall[0]:
        return Advice(
            "Choose an operating point",
            f"Precision is lower than recall: the model marks too many {plural}. If a wrong one "
            "costs more than a missed one, run:",
            _again(run, "precision", target_precision="0.9"),
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
    return Advice(
        "Try another encoder",
        "No type, label or setting stands out. Train with another --model_name_or_path into "
        "another folder, and compare the two:",
        shlex.join(["python", _script(run, "compare.py"), _output_folder(run), "OTHER_FOLDER"]),
    )
