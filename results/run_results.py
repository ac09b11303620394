"""The results of a run: scores during the run, and the files in its folder at the end."""

import json
import platform
import shutil
import time
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from importlib.metadata import version
from itertools import tee
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np

import common
from corpus.load import Corpus
from encoder.batches import WindowSet, words_of_sentences
from encoder.model import CALIBRATION
from results import report
from results.advice import longer_training
from results.args_file import write_args_file
from results.calibration_rows import calibration_rows
from results.card import write_card
from results.commands import as_place, suite_folder, tagging_command
from results.output_folder import RUN_FILE, earlier_run, run_identity
from results.report_label_errors import study_of
from results.result_files import FILE_PREFIXES, PREDICTIONS, save_results, write_predictions
from results.run_rows import documents_text, more_epochs, run_rows
from results.shareable import shareable, without_folders
from results.study_files import sentences_of
from results.verdict import (
    best_step,
    epochs_done,
    kept_weights,
    measured,
    nouns_of,
    still_improved,
)
from scoring.calibration import (
    fit_calibration,
    gold_labels,
    match_predicted_entities,
    reliability,
)
from scoring.evidence import EVIDENCE, EvidenceCounter
from scoring.mistakes import Survey, add_example
from scoring.operating_point import choose_operating_point
from scoring.scores import compute_metrics, flat_scores, label_types
from scoring.seen_entities import surfaces_of
from scoring.table import evidence_lines, score_table
from scoring.word_predictions import Calibration, OperatingPoint, WordPredictions
from settings.defaults import is_embedded, model_title
from settings.flags import DEFAULT_CORPUS, DEFAULT_MODEL
from settings.run_settings import Settings
from support.files import disk_errors_reported, write_json
from support.secrets import scrubbed_command
from support.terminal import row_lines, say
from support.text import as_argument
from support.version import VERSION
from training.plan import Plan
from training.progress import BestScore, Progress

PACKAGES = ("torch", "transformers", "accelerate", "datasets", "tokenizers")


class SplitScores(TypedDict):
    """The scores of a split."""

    overall: dict[str, float]  # entity tags: precision, recall, f1, accuracy; else macro_f1 for f1
    per_type: dict[str, dict[str, float]]  # of each type: precision, recall, f1, number
    words: int  # all words of the split
    loss: float  # mean over the words


class RunOutcome(NamedTuple):
    """The outcome of a run, for the program that called `main`; the same in every process."""

    scores: dict[str, SplitScores]  # of "validation" and "test", if they were scored
    folder: Path  # with the model and the result files


class RunResults:
    """Scores, predictions and facts of a run; the main process prints and writes them."""

    def __init__(
        self,
        settings: Settings,
        corpus: Corpus,
        windows: dict[str, WindowSet],
        config: Any,
        best: BestScore,
        state: Any,
        pusher: Any,
        note: str | None = None,
    ):
        """`config`: the model's configuration. `state`: accelerate's `PartialState`.

        `pusher`: a `hub.pusher.Pusher` or None. `note`: a line about the model, to print before
        training.
        """
        self.settings, self.corpus, self.windows = settings, corpus, windows
        self.config, self.best, self.state = config, best, state
        self.pusher, self.note = pusher, note
        self.repo_id = None if pusher is None else pusher.repo_id
        self.precision = "no"  # of training
        self.progress = Progress()
        # A model may know labels that are not entity tags, such as [CLS]: they are read as O.
        self.tags = [
            name if common.are_entity_tags([name]) or not corpus.entity_tags else "O"
            for name in corpus.label_names
        ]
        self.script, *self.arguments = settings.command
        self.started = time.time()
        self.train_metrics: dict[str, float] = {}
        self.scores: dict[str, dict[str, Any]] = {}  # by split
        self.predictions: dict[str, WordPredictions] = {}
        self.calibration: dict[str, Any] = {}  # the calibration and the operating point
        self.epoch_steps: int | None = None
        self.survey: Survey | None = None  # of the last split with scores, once it is written
        self.survey_split: str | None = None
        self.num_train_epochs = settings.training.num_train_epochs
        self.patience_ended: int | None = None  # the patience that ended training early

    # --- Training ---

    def begin_training(self, plan: Plan, precision: str) -> Progress:
        """Print what will run; return the progress that training continues."""
        self.precision, self.progress = precision, plan.restored_progress()
        self.num_train_epochs = plan.num_train_epochs
        self._announce(plan)
        self.epoch_steps = plan.order.steps
        return self.progress

    def end_training(self, plan: Plan, seconds: float, first_step: int) -> None:
        """Record the metrics of training; `seconds` and `first_step` are those of this session."""
        last_step = self.progress.step
        samples = plan.num_windows(first_step, last_step)
        self.train_metrics = self.progress.train_metrics(seconds, last_step - first_step, samples)
        if last_step < plan.total_steps:
            self.patience_ended = plan.patience

    def _announce(self, plan: Plan) -> None:
        """Print what will run, as a short table."""
        settings, corpus = self.settings, self.corpus
        rows = run_rows(settings, corpus, self.config, plan, self.state, self._precision_name())
        if plan.checkpoint is not None:
            rows["resumes"] = f"{plan.checkpoint}, step {self.progress.step}"
        else:
            rows |= earlier_run(settings.output_dir)
        if self.pusher is not None:
            rows["push"] = self.pusher.plan
        notes = [note for note in (self.note, plan.note) if note]
        say(*settings.replaced, *corpus.notes, *notes)
        say(*row_lines(rows))

    # --- Scores ---

    def no_predictions(self, split: str) -> WordPredictions:
        """Return the predictions of a split before its first batch."""
        num_words = self.windows[split].num_words
        if self.config.decode != "viterbi":
            return WordPredictions(num_words, self.tags, decode=False)
        calibration = Calibration.of_config(self.config)
        point = OperatingPoint.of_config(self.config)
        return WordPredictions(num_words, self.tags, True, calibration, point)

    def score(self, split: str, predictions: WordPredictions) -> dict[str, float]:
        """Return the scores of a split's predictions, the same on every process.

        {"f1": ..., "loss": ..., ...}; {} for a split without labels, which is only tagged.
        """
        windows, rows = self.windows[split], self.corpus.splits[split]
        predictions.check_complete(windows.words_with_subwords)
        self.predictions[split] = predictions
        if self.state.is_main_process and self.config.decode == "viterbi":
            predictions.decode(words_of_sentences(rows))
        if "labels" not in rows.column_names:
            return {}
        flat: list[Any] = [None]
        if self.state.is_main_process:
            scores = compute_metrics(predictions, rows, self.tags)
            if scores["words"] != windows.num_words:
                raise AssertionError(
                    f"{scores['words']} words scored of {windows.num_words} in the corpus"
                )
            self.scores[split] = scores
            flat = [self._flat_scores(split)]
            is_training = self.settings.do_train and not self.train_metrics  # which come at its end
            if split == "validation" and is_training:
                intervals = self._intervals_of(split, flat[0])
                self.progress.score_intervals.append({"step": self.progress.step} | intervals)
        if self.state.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(flat)
        return flat[0]

    def _intervals_of(self, split: str, flat: dict[str, float]) -> dict[str, list[float]]:
        """Return the intervals of flat scores of a split, as rows of the history name them."""
        # All evidence, as for the final scores: the random weights of a resample depend on it.
        counter = EvidenceCounter(self.corpus.entity_tags, self._training_surfaces)
        for sentence, place in zip(self._sentences(split), self.corpus.places(split), strict=True):
            counter.add(sentence.words, sentence.gold, sentence.predicted, place.document_in_file)
        scores = counter.added_to(self.scores[split])
        with_intervals = flat_scores(scores, label_types(self.tags, self.corpus.entity_tags))
        names = {f"{name}_interval" for name in flat} & with_intervals.keys()
        return {f"eval_{name}": with_intervals[name] for name in sorted(names)}

    def calibrate(self) -> None:
        """Calibrate the scores of entities, and choose the operating point if one is requested.

        Both come from the validation split, if it was scored, and are stored in the configuration
        of a model that is trained or gets an operating point. The validation split is then decoded
        and scored again.
        """
        tuning, config = self.settings.tuning, self.config
        calibrates = self.settings.do_train or tuning.requested
        if not (calibrates and config.decode == "viterbi" and self.state.is_main_process):
            return
        calibration, point, num_entities = Calibration(), None, 0
        if "validation" in self.scores:
            rows, predictions = self.corpus.splits["validation"], self.predictions["validation"]
            lengths, gold = words_of_sentences(rows), gold_labels(rows)
            predictions = predictions.decoded_again(lengths, calibration)
            entities = match_predicted_entities(predictions, lengths, gold)
            calibration = fit_calibration(entities.scores, entities.are_correct)
            num_entities = len(entities.are_correct)
            if tuning.requested:
                predictions = predictions.decoded_again(lengths, calibration)
                point = choose_operating_point(predictions, lengths, gold, tuning)
            operating_point = point.operating_point if point else OperatingPoint()
            predictions = predictions.decoded_again(lengths, calibration, operating_point)
            self.predictions["validation"] = predictions
            self.scores["validation"] = compute_metrics(predictions, rows, self.tags)
        config.score_temperature, config.score_offset = calibration
        operating_point = point.operating_point if point else OperatingPoint()
        config.outside_bias, config.min_entity_score = operating_point
        self.calibration = {
            **calibration._asdict(),
            "fitted_to_entities": num_entities,
            "requested": tuning.requested,
            "operating_point": point.facts() if point else None,
        }

    def is_scored(self, split: str) -> bool:
        """Return whether this session scored a split after the last step of training."""
        return split in self.predictions and self.progress.scored_step == self.progress.step

    # --- Files ---

    def write(self) -> RunOutcome:
        """Write the result files, the predictions, run.json, the model card and the report.

        Returns the outcome of the run.
        """
        folder = self.settings.output_dir
        if self.state.is_main_process:
            with disk_errors_reported(folder):
                self._write(folder)
        # Without this, a process that exits right after its last gather may wait forever for gloo's
        # thread, which waits for Python's lock.
        self.state.wait_for_everyone()
        scores: list[Any] = [self.scores]
        if self.state.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(scores)
        return RunOutcome(scores[0], folder)

    def _write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        do_train = self.settings.do_train
        self._remember_calibration(folder)
        for split, scores in self.scores.items():
            if self.corpus.entity_tags:
                scores["reliability"] = self._reliability(split)
        if self.train_metrics:
            save_results(folder, "train", self.train_metrics)
        for split, prefix in FILE_PREFIXES.items():
            if split in self.predictions:
                self._write_predictions(folder, split)
            if split in self.scores:
                flat = self._flat_scores(split)
                flat |= {
                    name: self.scores[split][name]
                    for name in EVIDENCE
                    if name in self.scores[split]
                }
                save_results(folder, prefix, {f"{prefix}_{k}": v for k, v in flat.items()})
                self._say_scores(split)
        say(*(f"{name}: {text}." for name, text in calibration_rows(self.calibration)))
        if "test" in self.predictions and "test" not in self.scores:
            words = self.windows["test"].num_words
            say(f"\ntest: {words} words tagged, see predictions.txt; the split has no labels.")
        if do_train:
            identity = run_identity(self.settings, self.corpus)
            write_json(folder / RUN_FILE, identity | self._shareable_facts())
            flags = self.settings.flags | {"num_train_epochs": self.num_train_epochs}
            write_args_file(folder, flags, self.precision, self.script)
        # A model's folder that is only scored keeps the report of its training.
        has_report = bool(self.scores) and (do_train or not (folder / RUN_FILE).exists())
        if has_report:
            report.write_report(folder, self._local_facts() | self._corpus_facts())
        if do_train:
            self.write_card(folder)  # after the report, whose pictures it shows
            self._say_kept_weights()
        self._say_ending(has_report)
        if self.pusher is not None and not do_train:  # otherwise `_announce` has printed it
            say(f"Pushes to {self.pusher.plan}.")

    def _say_ending(self, has_report: bool) -> None:
        """Print the score, the folder, the command that tags a text, and the page to open."""
        folder = self.settings.output_dir
        facts = {"scores": self.scores, "task": self.settings.corpus.task_name}
        lines = [measured(facts, self.corpus.entity_tags), f"Everything is in {as_place(folder)}."]
        if self.settings.do_train:
            lines.append(f"Tag a text: {tagging_command(folder)}")
        if has_report:
            lines.append(f"Open: {folder / 'report.html'}")
        elif self.scores:
            lines.append(f"The report, model card and {RUN_FILE} keep the scores from training.")
        say("", *self.settings.replaced, *filter(None, lines))

    def _remember_calibration(self, folder: Path) -> None:
        """Store calibration and operating point in the model that is saved in `folder`."""
        if not self.calibration:
            return
        values = {name: getattr(self.config, name) for name in CALIBRATION}
        changes = {"config.json": values}
        if not self.settings.do_train:  # otherwise run.json is written as a whole
            changes[RUN_FILE] = {"calibration": self.calibration}
        for name, changed in changes.items():
            path = folder / name
            if path.exists():
                write_json(path, json.loads(path.read_text(encoding="utf-8")) | changed)

    def _reliability(self, split: str) -> dict[str, Any]:
        """Return the facts of `reliability` about the scores of a split's entities."""
        rows = self.corpus.splits[split]
        lengths, gold = words_of_sentences(rows), gold_labels(rows)
        entities = match_predicted_entities(self.predictions[split], lengths, gold)
        return reliability(entities.scores, entities.are_correct).facts()

    def write_card(self, folder: Path) -> None:
        """Write the model card with the facts known so far; a person's additions are kept."""
        if not self.state.is_main_process:
            return
        earlier = self.settings.output_dir / "README.md"
        if earlier.exists() and not (folder / "README.md").exists():
            shutil.copyfile(earlier, folder / "README.md")
        write_card(folder, self._shareable_facts())

    def _flat_scores(self, split: str) -> dict[str, Any]:
        """Return the scores of a split for result files and history.

        Scores of single types are left out, unless requested or used to select the best weights.
        """
        scores = self.scores[split]
        all_scores = flat_scores(scores, label_types(self.tags, self.corpus.entity_tags))
        error = scores.get("reliability", {}).get("expected_calibration_error")
        calibration = {} if error is None else {"expected_calibration_error": error}
        if self.settings.output.return_entity_level_metrics:
            return all_scores | calibration
        selecting = {k: v for k, v in all_scores.items() if k == self.best.name}
        return flat_scores(scores, ()) | selecting | calibration

    def _say_scores(self, split: str) -> None:
        windows = self.windows[split]
        num_without = windows.num_words - windows.words_with_subwords
        say(
            f"\n{split}: {self.scores[split]['words']} words scored of {windows.num_words} in the "
            "corpus" + (f", {num_without} of them without a sub-word" if num_without else ""),
            score_table(self.scores[split]),
            *evidence_lines(self.scores[split], nouns_of({"task": self.settings.corpus.task_name})),
        )
        context = self.config.context
        if context and not self.settings.do_train:  # otherwise `_announce` has printed it
            say(
                f"Context: {context} sub-words on each side ({documents_text(self.corpus, split)})."
            )

    def _say_kept_weights(self) -> None:
        """Print which weights are kept, and how to train longer if the score still improved."""
        facts = self._local_facts()
        if text := kept_weights(facts):
            say(f"\n{text}")
        if advice := longer_training(facts):
            say(f"To train longer: {advice.command}")

    def _write_predictions(self, folder: Path, split: str) -> None:
        """Write the predictions of a split, and count them for scores and report, in one pass."""
        evidence = EvidenceCounter(self.corpus.entity_tags, self._training_surfaces)
        survey = Survey(self.corpus.entity_tags)
        places, own_places = tee(self.corpus.places(split))

        def counted() -> Iterator[common.SentencePrediction]:
            for sentence, place in zip(self._sentences(split), own_places, strict=True):
                if split in self.scores:
                    words, gold, predicted, probability, score = sentence
                    evidence.add(words, gold, predicted, place.document_in_file)
                    example = {"tokens": words, "gold": gold, "predicted": predicted}
                    example |= {"probability": probability, "score": score, "place": place}
                    add_example(survey, example, self.corpus.label_names)
                yield sentence

        name, entity_tags = PREDICTIONS[split], self.corpus.entity_tags
        write_predictions(folder, name, counted(), places, entity_tags)
        if split in self.scores:
            self.scores[split] = evidence.added_to(self.scores[split])
            self.survey, self.survey_split = survey, split

    @cached_property
    def _training_surfaces(self) -> set[int] | None:
        """The surfaces of the entities of the training split, if there is one."""
        rows = self.corpus.splits.get("train")
        if rows is None or not self.corpus.entity_tags:
            return None
        columns = rows.select_columns(["tokens", "labels"])
        return surfaces_of(
            (row["tokens"], [self.tags[label] for label in row["labels"]]) for row in columns
        )

    def _sentences(self, split: str) -> Any:
        rows = self.corpus.splits[split]
        read = [name for name in ("tokens", "labels") if name in rows.column_names]
        rows = rows.select_columns(read)
        return common.postprocess(self.predictions[split], rows, self.tags)

    def _precision_name(self) -> str:
        return "fp32" if self.precision == "no" else self.precision

    def _facts(self) -> dict[str, Any]:
        """Return the facts of the run for card, report and run.json: JSON, and no token."""
        settings = self.settings
        corpus, model = settings.corpus, settings.model.model_name_or_path
        on_hub = corpus.dataset_name is not None and not Path(corpus.dataset_name).exists()
        is_local = Path(model).exists()
        arguments = settings.shared_flags | {
            # A path on this machine is of no use to others.
            "model_name_or_path": model_title(model) if is_local else model,
            "context": self.config.context,
            # Those of a small corpus may be more than the recipe's.
            "num_train_epochs": self.num_train_epochs,
            # The precision used, whichever flag or launcher chose it.
            "mixed_precision": self.precision,
            "metric_for_best_model": self.best.name,
            "greater_is_better": self.best.greater_is_better,
            "hub_model_id": self.repo_id or settings.hub.hub_model_id,
        }
        for name in ("bf16", "fp16"):
            arguments.pop(name, None)
        english = corpus.sample or corpus.dataset_name == DEFAULT_CORPUS
        licensed = model == DEFAULT_MODEL or is_embedded(model)
        return {
            "run_id": self.progress.run_id,
            "suite_version": VERSION,
            "script": self.script,
            "command": self._command(self.arguments),
            "output_name": settings.output_dir.resolve().name,
            "base_model": model_title(model),
            "base_model_is_local": is_local and not is_embedded(model),
            "base_model_license": "apache-2.0" if licensed else None,
            "repo_id": self.repo_id,
            "corpus_name": self.corpus.name,
            "language": "en" if english else None,
            "example_text": self._example() if settings.hub.hub_include else None,
            "dataset_id": corpus.dataset_name if on_hub else None,
            "corpus_fingerprint": self.corpus.fingerprint,
            "sentences": {name: len(rows) for name, rows in self.corpus.splits.items()},
            "task": corpus.task_name,
            "entity_tags": self.corpus.entity_tags,
            "label_names": self.corpus.label_names,
            "replaced": list(settings.replaced),
            "arguments": arguments,
            "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
            "device": str(self.state.device),
            "precision": self._precision_name(),
            "processes": self.state.num_processes,
            "duration_s": round(time.time() - self.started, 1),
            "epoch_steps": self.epoch_steps,
            "history": self.progress.history,
            "score_intervals": self.progress.score_intervals,
            "step_losses": self.progress.step_losses,
            "more_epochs": more_epochs(self.settings.training, self.num_train_epochs),
            "patience_ended": self.patience_ended,
            "kept_step": self._kept_step(),
            "kept_epoch": epochs_done(self._kept_step(), self.epoch_steps),
            "still_improved": still_improved(self.progress.history, self.best),
            "scores": self.scores,
            "calibration": self.calibration or None,
        }

    def _local_facts(self) -> dict[str, Any]:
        """Return the facts of the run for readers on this machine, with the folders of commands."""
        folder = as_argument(as_place(self.settings.output_dir))
        return self._facts() | {"output_folder": folder, "suite_folder": suite_folder()}

    def _shareable_facts(self) -> dict[str, Any]:
        """Return the facts of the run as a push sends them: without folders of this machine."""
        facts = self._facts()
        arguments = {name: without_folders(value) for name, value in facts["arguments"].items()}
        command = self._command(map(shareable, self.arguments))
        return facts | {"command": command, "arguments": arguments}

    def _command(self, arguments: Iterable[str]) -> str:
        return scrubbed_command([self.script, *arguments], self.settings.corpus.hub_token)

    def _kept_step(self) -> int:
        """Return the step whose weights are in the folder."""
        step = None
        if self.settings.checkpoints.load_best_model_at_end:
            step = best_step(self.progress.history, self.best)
        return self.progress.step if step is None else step

    def _example(self) -> str:
        """Return a sentence of the last split, to try the model on."""
        rows = next(reversed(self.corpus.splits.values()))
        sentences = (row["tokens"] for row in rows.select(range(min(50, len(rows)))))
        return next((" ".join(words) for words in sentences if 6 <= len(words) <= 25), "")

    def _corpus_facts(self) -> dict[str, Any]:
        """Return the facts for the report alone: counts of the corpus and scored sentences."""
        trained = [name for name in ("train", "validation") if name in self.corpus.splits]
        folders = Path(), self.settings.output_dir.parent
        parts = [partial(sentences_of, self.corpus, name) for name in trained]
        return {
            "label_counts": {
                name: self._label_counts(rows)
                for name, rows in self.corpus.splits.items()
                if "labels" in rows.column_names
            },
            "lengths": {
                name: {n: count for n, count in enumerate(np.bincount(w.lengths_alone)) if count}
                for name, w in self.windows.items()
            },
            "max_seq_length": self.config.window_length,
            "windowed": {name: w.sentences_cut for name, w in self.windows.items()},
            "label_errors": study_of(folders, parts) if "train" in trained else None,
            "survey": self.survey,
            "examples_split": self.survey_split,
        }

    def _label_counts(self, rows: Any) -> dict[str, int]:
        import pyarrow.compute as pc

        names = self.corpus.label_names
        counts = np.zeros(len(names), np.int64)
        for batch in rows.with_format("arrow", columns=["labels"]).iter(10_000):
            counts += np.bincount(pc.list_flatten(batch["labels"]), minlength=len(names))
        return {name: int(n) for name, n in zip(names, counts, strict=True) if n}
