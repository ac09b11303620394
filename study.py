"""Train many times and study the results. The flags of training follow after --.

    python study.py seeds 5 -- --train_file my.conll     # mean and spread over seeds
    python study.py folds 5 -- --train_file my.conll     # cross-validation of a small corpus
    python study.py curve -- --train_file my.conll       # the gain from more labels, estimated
    python study.py label_errors -- --train_file my.conll    # labels that are probably wrong
    python study.py seeds 3 --script train_accelerate.py --launcher "accelerate launch" -- --sample

Each run has a folder of its own in the folder of the study, and a log file. The same command again
resumes a study: finished runs are not repeated, and an interrupted run resumes from its newest
checkpoint. `compare.py` compares two studies.
"""

from support.start import begin_script

if __name__ == "__main__":
    begin_script()  # before the imports below, which take seconds

import dataclasses
import itertools
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from settings.flag_table import TRAINER
from settings.flags import LoopFlags, SharedFlags
from settings.parse import parse_flags
from settings.study_flags import REPLACED_FLAGS, SET_BY_STUDY, StudyFlags, without_flags
from support.errors import Terminated, UserError, run_script
from support.start import imports_are_done, say_loading
from support.text import counted, did_you_mean, on_terminal, quote

if TYPE_CHECKING:
    from corpus.load import Corpus
    from results.study_files import LabelledSentence
    from results.study_folder import StudyFolder
    from settings.run_settings import Settings

# The growing shares of the data of a learning curve.
SHARES = {"eighth": 1 / 8, "quarter": 1 / 4, "half": 1 / 2, "three_quarters": 3 / 4, "whole": 1.0}
LABEL_ERROR_FOLDS = 5
SUSPECTS_SHOWN = 10
EXAMPLE = "python study.py seeds 5 -- --train_file my.conll"
RESUMES = "The same command again resumes the study."


def main() -> None:
    """Make the runs of a study, and report their results."""
    own_arguments, arguments = split_at_dashes(sys.argv[1:])
    try:
        flags = parse_flags(StudyFlags, __doc__, own_arguments)
    except UserError as error:
        raise UserError(
            f"{error}\nThe flags of training follow after --, as in: {EXAMPLE}"
        ) from None
    number = check(flags, arguments)
    try:
        STUDIES[flags.study[0]](flags, number, arguments)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Interrupted. {RESUMES}") from None
    except Terminated:
        raise Terminated(f"Terminated. {RESUMES}") from None


# --- Settings -----------------------------------------------------------------------------------


def split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before the first `--` and those after it."""
    if "--" not in arguments:
        return list(arguments), []
    position = arguments.index("--")
    return list(arguments[:position]), list(arguments[position + 1 :])


def check(flags: StudyFlags, arguments: Sequence[str]) -> int:
    """Return the number of runs; report everything wrong with the flags in one error."""
    problems = []
    name, *numbers = flags.study or [""]
    if name not in STUDIES:
        expected = f"{', '.join(STUDIES)}{did_you_mean(name, STUDIES)}"
        problems.append(f"the study: got {name or 'nothing'}, expected one of {expected}")
    elif name == "curve":
        if numbers:
            problems.append(f"curve: got {' '.join(numbers)}, expected no number")
        numbers = [str(len(SHARES))]
    elif name == "label_errors" and not numbers:
        numbers = [str(LABEL_ERROR_FOLDS)]
    elif len(numbers) != 1 or not numbers[0].isdecimal() or int(numbers[0]) < 2:
        got = " ".join(numbers) or "nothing"
        problems.append(f"the number of {name}: got {got}, expected a number, 2 or more")
    given = [argument.partition("=")[0].replace("-", "_") for argument in arguments]
    set_by_study = [*SET_BY_STUDY]
    if name != "seeds":
        set_by_study += ["do_train", "do_eval", "do_predict"]
    if name in ("folds", "label_errors"):
        set_by_study += ["validation_file", "test_file"]
    problems += [
        f"--{flag} after --: {_why_not(flag)}. Leave it out."
        + f" The study's own --{flag} comes before --." * hasattr(flags, flag)
        for flag in set_by_study
        if f"__{flag}" in given
    ]
    if problems:
        raise UserError("\n".join(problems))
    return int(numbers[0])


def _why_not(flag: str) -> str:
    """Return why a flag cannot be given to the runs of a study."""
    return "a study trains" if flag in ("check", "dry_run") else "the study sets it itself"


def open_study(
    flags: StudyFlags, number: int, arguments: Sequence[str], **identity: Any
) -> "StudyFolder":
    """Return the folder of a study, created if necessary; print a line about its runs.

    `identity`: further values that all runs of the study have in common.
    """
    # Imported here so that `--help` and a mistyped flag respond immediately.
    from results.study_folder import StudyFolder
    from support.secrets import scrub

    imports_are_done()
    name = flags.study[0]
    common = {
        "study": name,
        "script": flags.script,
        "flags": scrub(shlex.join(arguments)),
        "first_seed": flags.seed,
    }
    study = StudyFolder(folder_of(flags), common | identity)
    study.make_folder()
    say(
        f"{counted(number, 'run')} of {flags.script} in {study.folder}; the output of the runs is "
        f"in {study.folder}/*.log"
    )
    return study


def folder_of(flags: StudyFlags) -> Path:
    """Return the folder of a study."""
    return Path(flags.output_dir or f"{flags.study[0]}-study")


def say(*lines: str) -> None:
    """Print lines immediately."""
    for line in lines:
        print(on_terminal(line), flush=True)


# --- Seeds --------------------------------------------------------------------------------------


def study_seeds(flags: StudyFlags, number: int, arguments: Sequence[str]) -> None:
    """Train with several seeds; report mean and spread, and keep the best model."""
    from results.study_folder import best_run, delete_weights, spread
    from results.study_seeds import compare_with_kept, kept_lines
    from support.terminal import table_text

    _, corpus = load_training_corpus(flags, arguments, hold_out=True, rewritten=False)
    study = open_study(flags, number, arguments, corpus=corpus.fingerprint)
    runs: list[dict[str, Any]] = []
    seeds = {f"seed_{seed}": str(seed) for seed in range(flags.seed, flags.seed + number)}
    for name, seed in seeds.items():
        runs.append(finished_run(study, flags, name, [*arguments, "--seed", seed], [*seeds]))
        best = best_run(runs)
        for run in runs:
            if best is not None and run is not best and not flags.keep_models:
                delete_weights(study.folder / run["name"])

    splits = [split for split in runs[0]["scores"] if all(split in run["scores"] for run in runs)]
    summary = {split: spread([run["scores"][split] for run in runs]) for split in splits}
    best = best_run(runs)
    names = [run["name"] for run in runs]
    kept = None if best is None else compare_with_kept(study.folder, best["name"], names)
    study.write(
        {
            "summary": summary,
            "kept": kept and kept.name,
            "clearly_worse": kept and kept.worse,
        }
    )
    rows = [
        [split, *(f"{value:.4f}" for value in figures.values())]
        for split, figures in summary.items()
    ]
    head = [runs[0].get("score", ""), "mean", "standard deviation", "lowest", "highest"]
    say("", table_text(head, rows))
    if kept is None:
        say("No run was scored on a validation split: all models are kept.")
    else:
        say(*kept_lines(study.folder, kept))


# --- Folds --------------------------------------------------------------------------------------


def study_folds(flags: StudyFlags, number: int, arguments: Sequence[str]) -> None:
    """Train on all folds but one and score that one, for each fold; report the score of all."""
    from results.study_folds import pool_folds
    from scoring.table import interval_notes, score_table

    folds = train_folds(flags, number, arguments, after_run=lambda name, sentences: None)
    scores = pool_folds(folds.study.folder, folds.names, folds.sentences, folds.numbers)
    folds.study.write({"unit": folds.unit, "scores": scores})
    say(
        "",
        f"{scores['words']} words scored, each by a model that had not seen its {folds.unit}",
        score_table(scores),
        *interval_notes(scores),
        f"Predictions: {folds.study.folder / 'predictions.jsonl'}",
    )


def study_label_errors(flags: StudyFlags, number: int, arguments: Sequence[str]) -> None:
    """Train on all folds but one and tag that one, for each fold; list where labels differ."""
    from results.label_error_files import (
        LABEL_ERRORS,
        rank_suspects,
        read_suspects,
        write_suspects,
    )
    from results.report_label_errors import (
        digest_of,
        study_cautions,
        study_verdict,
        write_suspect_page,
    )
    from results.study_folds import (
        read_label_predictions,
        score_sentences,
        write_label_predictions,
    )
    from results.verdict import corpus_title, day_in_words
    from scoring.label_errors import error_log_odds

    def tag(name: str, sentences: "list[LabelledSentence]") -> None:
        from tagging.tagger import Tagger

        path = study_file(name)
        if not path.exists():
            if not any((path.parent / name).glob("model*.safetensors")):
                raise UserError(
                    f"{path}: missing, and the model of its fold is deleted: got a study of an "
                    "earlier version of the suite. Repeat it in another folder."
                )
            tagger = Tagger(path.parent / name)
            documents = [sentence.place.document for sentence in sentences]
            words = [sentence.words for sentence in sentences]
            predictions = tagger.predict_labels(words, documents)
            write_label_predictions(path, tagger.label_names, predictions)

    def study_file(name: str) -> Path:
        return folder_of(flags) / f"{name}_probabilities.npz"

    folds = train_folds(flags, number, arguments, after_run=tag)
    sentences, entity_tags, folder = folds.sentences, folds.entity_tags, folds.study.folder
    gold = [sentence.tags for sentence in sentences]
    files = [study_file(name) for name in folds.names]
    predictions = read_label_predictions(files, list(map(len, gold)), folds.numbers)
    log_odds = error_log_odds(
        gold, predictions.tags, predictions.log_probabilities, predictions.label_names
    )
    ranked = rank_suspects(sentences, predictions.tags, log_odds, entity_tags)
    scores = score_sentences(sentences, predictions.tags, entity_tags)
    verdict, cautions = study_verdict(len(ranked), len(gold), scores), study_cautions(scores)
    write_suspects(folder / LABEL_ERRORS, ranked, entity_tags)
    page = folder / "label_errors.html"
    write_suspect_page(
        page,
        list(read_suspects(folder / LABEL_ERRORS)),
        entity_tags,
        title=f"Suspected label errors in {corpus_title(folds.corpus_name)}",
        date=day_in_words(datetime.now(UTC)),
        verdict=verdict,
        cautions=cautions,
    )
    folds.study.write(
        {
            "unit": folds.unit,
            "suspects": len(ranked),
            "scores": scores,
            "cautions": cautions,
            "sentences_digest": digest_of(sentences),
        }
    )
    say("", *verdict, *(f"WARNING: {caution}" for caution in cautions))
    for suspect, sentence, _ in ranked[:SUSPECTS_SHOWN]:
        words = quote(" ".join(sentence.words[suspect.start : suspect.end]))
        label, suggested = (
            ", ".join(str(entity[0]) for entity in side) or "none"
            for side in (suspect.labels, suspect.suggested)
        )
        say(
            f"{suspect.score:.3f}  {sentence.place.at(suspect.start)}: {words}: {suspect.kind}: "
            f"label {label}, suggested {suggested}"
        )
    say(f"All of them: {folder / LABEL_ERRORS}; open {page}.")


class TrainedFolds(NamedTuple):
    """The runs of all folds: their names, and the sentences with the fold of each."""

    study: "StudyFolder"
    names: list[str]
    sentences: "list[LabelledSentence]"
    numbers: list[int]
    unit: str  # what stays together: "document" or "sentence"
    entity_tags: bool
    corpus_name: str


def train_folds(
    flags: StudyFlags,
    number: int,
    arguments: Sequence[str],
    *,
    after_run: "Callable[[str, list[LabelledSentence]], None]",
) -> TrainedFolds:
    """Train on all folds but one, for each fold, and predict that one.

    `after_run` is called with the name and the sentences of each fold while its model exists.
    """
    from corpus.folds import make_folds
    from results.study_files import corpus_flags, sentences_of, write_sentences
    from results.study_folder import delete_weights

    settings, corpus = load_training_corpus(flags, arguments, hold_out=False)
    if unused := sorted(corpus.splits.keys() - {"train"}):
        say(f"The folds do not use the corpus's other splits: {', '.join(unused)}.")
    sentences = sentences_of(corpus, "train")
    pairs = ((sentence.words, sentence.place.document) for sentence in sentences)
    folds = make_folds(pairs, number, flags.seed)
    study = open_study(flags, number, arguments, folds=number, corpus=corpus.fingerprint)
    common = [
        *without_flags(arguments, REPLACED_FLAGS),
        *("--model_name_or_path", settings.model.model_name_or_path),
        *corpus_flags(study.folder / "labels.txt", corpus, settings.corpus.task_name),
        *recipe_flags(settings),
        *("--seed", str(flags.seed), "--do_train", "--do_predict"),
    ]
    names = [f"fold_{fold + 1}" for fold in range(number)]
    for fold, name in enumerate(names):
        in_test = [number_of_fold == fold for number_of_fold in folds.numbers]
        test = list(itertools.compress(sentences, in_test))
        files = {
            "train": itertools.compress(sentences, (not is_test for is_test in in_test)),
            "test": test,
        }
        of_fold = []
        for part, rows in files.items():
            path = study.folder / f"{name}_{part}.jsonl"
            write_sentences(path, rows)
            of_fold += [f"--{part}_file", str(path)]
        finished_run(study, flags, name, [*common, *of_fold], names)
        after_run(name, test)
        if not flags.keep_models:
            delete_weights(study.folder / name)
    return TrainedFolds(
        study, names, sentences, folds.numbers, folds.unit, corpus.entity_tags, corpus.name
    )


# --- The learning curve -------------------------------------------------------------------------


def study_curve(flags: StudyFlags, number: int, arguments: Sequence[str]) -> None:
    """Train on growing shares of the data, with equal steps; report the gain from more data."""
    from corpus.folds import growing_shares
    from results.study_files import corpus_flags, sentences_of, write_sentences
    from results.study_folder import delete_weights, steps_of_run
    from scoring.learning_curve import fit_curve, gain_sentence
    from support.terminal import table_text

    settings, corpus = load_training_corpus(flags, arguments, hold_out=True)
    sentences = sentences_of(corpus, "train")
    pairs = [(sentence.words, sentence.place.document) for sentence in sentences]
    members = dict(
        zip(SHARES, growing_shares(pairs, list(SHARES.values()), flags.seed), strict=True)
    )
    study = open_study(flags, number, arguments, corpus=corpus.fingerprint)
    common = [
        *without_flags(arguments, REPLACED_FLAGS),
        *("--model_name_or_path", settings.model.model_name_or_path),
        *corpus_flags(study.folder / "labels.txt", corpus, settings.corpus.task_name),
        *recipe_flags(settings),
        *("--seed", str(flags.seed)),
    ]
    scored = [
        split
        for split, rows in corpus.splits.items()
        if split != "train" and "labels" in rows.column_names
    ]
    for split in scored:
        path = study.folder / f"{split}.jsonl"
        write_sentences(path, sentences_of(corpus, split))
        common += [f"--{split}_file", str(path)]
    runs = {}
    steps: list[str] = []  # of the whole, which is trained first
    for name in reversed(SHARES):
        path = study.folder / f"{name}.jsonl"
        write_sentences(path, itertools.compress(sentences, members[name]))
        of_share = [*common, "--train_file", str(path), *steps]
        runs[name] = finished_run(study, flags, name, of_share, [*SHARES])
        steps = steps or ["--max_steps", str(steps_of_run(study.folder / name))]
        if not flags.keep_models and name != "whole":
            delete_weights(study.folder / name)

    split, noun = scored[-1], "F1" if corpus.entity_tags else "accuracy"
    sizes = [sum(members[name]) for name in SHARES]
    scores = [runs[name]["scores"][split] for name in SHARES]
    gain = fit_curve([size / len(sentences) for size in sizes], scores).gain(2)
    points = list(zip(SHARES, sizes, scores, strict=True))
    study.write(
        {
            "split": split,
            "curve": [{"name": n, "sentences": size, "score": score} for n, size, score in points],
            "gain_of_twice_the_data": gain._asdict(),
        }
    )
    cells = [[name, f"{size:,}", f"{score:.4f}"] for name, size, score in points]
    say("", table_text(["share", "sentences", f"{split} {noun}"], cells))
    say("", gain_sentence(gain, noun))


# --- Training -----------------------------------------------------------------------------------


def load_training_corpus(
    flags: StudyFlags, arguments: Sequence[str], *, hold_out: bool, rewritten: bool = True
) -> "tuple[Settings, Corpus]":
    """Return the settings of training and its corpus.

    `hold_out`: hold out part of it for validation, if it has no validation split. `rewritten`: the
    runs read files of the study in place of the corpus.
    """
    from corpus.load import load_corpus
    from settings.defaults import make_settings, needs_hub
    from support.reachability import hub_reachable

    say_loading(arguments)
    flags_class: type[SharedFlags] = LoopFlags
    if flags.script == TRAINER:
        from settings.trainer_flags import TrainerFlags

        flags_class = TrainerFlags
    imports_are_done()
    training = parse_flags(flags_class, "", list(arguments))
    for name in ("sample", "dataset_name") if rewritten else ():
        # It would be used in addition to the files of the study.
        if getattr(training, name) and len(without_flags(arguments, [name])) == len(arguments):
            raise UserError(
                f"{name} in {arguments[0]}: a study cannot override a file of flags. Give --{name} "
                "after -- instead."
            )
    settings = make_settings(training, "", needs_hub(training) and hub_reachable())
    corpus = load_corpus(dataclasses.replace(settings.corpus, hold_out=hold_out))
    if rewritten:  # otherwise the runs say so themselves
        say(*settings.replaced, *corpus.notes)
    return settings, corpus


def recipe_flags(settings: "Settings") -> list[str]:
    """Return the flags that give the runs of a study the recipe of its corpus.

    The runs read files, so they cannot know that the corpus is a default one. If the size of the
    corpus chooses the number of epochs, no flags are needed: the size of each file does the same.
    """
    from settings.defaults import RECIPE

    if settings.training.fewest_steps:
        return []
    return [text for name in RECIPE for text in (f"--{name}", str(settings.flags[name]))]


def finished_run(
    study: "StudyFolder",
    flags: StudyFlags,
    name: str,
    arguments: Sequence[str],
    names: Sequence[str],
) -> dict[str, Any]:
    """Return the record of a run, which is made unless it is finished; print a line about it.

    `names`: those of all runs of the study.
    """
    from results.result_files import ALL_RESULTS
    from results.study_folder import score_name_of_run, scores_of_run
    from results.study_runs import run_training
    from support.html import duration
    from support.manifests import checkpoint_folders

    run = study.finished(name)
    if run is None:
        folder = study.folder / name
        script = Path(__file__).parent / flags.script
        launcher = shlex.split(flags.launcher or "") or [sys.executable]
        command = [*launcher, str(script), *arguments, "--output_dir", str(folder)]
        if checkpoint_folders(folder):
            command.append("--resume_from_checkpoint")
        started = time.monotonic()
        run_training(command, name, study.folder / f"{name}.log")
        if not (folder / ALL_RESULTS).is_file():
            raise UserError(
                f"{folder}: got no {ALL_RESULTS} from a run with exit status 0, expected its "
                "results. Leave out flags that end a run before it trains, such as --dry_run, also "
                "in files."
            )
        seconds = round(time.monotonic() - started, 1)
        run = {"name": name, "scores": scores_of_run(folder), "seconds": seconds}
        run["score"] = score_name_of_run(folder)
        study.add(run)
        ending = duration(seconds)
        if left := study.unfinished(names):
            ending += f"; {counted(left, 'run')} left, about {duration(left * study.mean_seconds)}"
    else:
        ending = "finished earlier"
    noun = run.get("score")
    shown = [
        f"{split} {noun} {score:.4f}" if noun else f"{split} {score:.4f}"
        for split, score in run["scores"].items()
    ]
    say(f"{name:16}{'   '.join(shown)}   {ending}")
    return run


STUDIES = {
    "seeds": study_seeds,
    "folds": study_folds,
    "curve": study_curve,
    "label_errors": study_label_errors,
}

if __name__ == "__main__":
    run_script(main)
