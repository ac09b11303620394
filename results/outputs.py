"""What a run leaves: results on the screen, and a folder with model, scores, card and report.

Both training scripts use all of it, so that they leave the same files.
"""

import dataclasses
import json
import math
import os
import platform
import re
import shlex
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

import common
from results import report
from results.card import write_card
from scoring import scores as scores_module
from settings.flags import DEFAULT_CORPUS, DEFAULT_MODEL, Arguments, is_embedded, model_title
from support.errors import UserError
from support.secrets import scrub
from training import checkpoints

RUN_FILE = "run.json"


def run_identity(args, corpus) -> dict:
    """What must agree for a run to replace an earlier one in its folder."""
    return {
        "corpus": corpus.name,
        "model": model_title(args.model_name_or_path),
        "task": args.task_name,
        "label_names": corpus.label_names,
    }


def check_output_dir(args, corpus) -> None:
    """Refuse a folder that is a file, cannot be written, or holds a run with another corpus,
    model or label set. A model's own folder takes its scores on the corpus it was trained on."""
    folder = Path(args.output_dir)
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise UserError(f"--output_dir {folder}: expected a folder, found a file: {path}")
    if os.environ.get("RANK", "0") == "0":
        _try_to_write(folder)
    if args.overwrite_output_dir or not folder.is_dir():
        return
    advice = "\nChoose another folder, or replace it with --overwrite_output_dir."
    try:
        earlier = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if args.do_train and (folder / "config.json").exists():
            raise UserError(
                f"--output_dir {folder}: holds a model that no run of this suite left.{advice}"
            ) from None
        return
    except (ValueError, OSError):
        earlier = {}
    identity = run_identity(args, corpus)
    if not args.do_train and Path(args.model_name_or_path).resolve() == folder.resolve():
        identity["model"] = earlier.get("model")
    differences = [
        f"  {key}: there {_short(earlier.get(key))}, now {_short(value)}"
        for key, value in identity.items()
        if earlier.get(key) != value
    ]
    if differences:
        text = "\n".join(differences)
        raise UserError(f"--output_dir {folder}: holds another run.\n{text}{advice}")


def _try_to_write(folder: Path) -> None:
    """Now, and not after an epoch. What was made for it goes again."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--output_dir {folder}: cannot be written: {reason}") from None
    finally:
        with suppress(OSError):
            for path in made:
                path.rmdir()


def earlier_run(folder: Path) -> dict[str, str]:
    """What a run that begins anew tells of one that its output folder holds already."""
    run_file, saved = folder / RUN_FILE, checkpoints.sort_checkpoints(folder)
    finished = run_file.stat().st_mtime_ns if run_file.exists() else 0
    if saved and checkpoints.time_saved(saved[-1]) > finished:
        return {"anew": f"--resume_from_checkpoint would go on from {saved[-1]}"}
    return {"replaces": f"the run that is in {folder}"} if finished else {}


def quiet_libraries(verbose: bool) -> None:
    """The libraries' own messages and bars, unless they are wanted."""
    if verbose:
        return
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()


def simple_values(args) -> dict:
    """The flags as trackers take them, without the token."""
    values = {field.name: getattr(args, field.name) for field in dataclasses.fields(args)}
    del values["hub_token"]
    return {
        name: value if isinstance(value, (int, float, str)) else str(value)
        for name, value in values.items()
    }


def _short(value, length: int = 200) -> str:
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return text if len(text) <= length else text[:length] + " ..."


def write_json(path: Path, values: dict) -> None:
    """Write JSON so that the file is either the old one or the new one, whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


# --- The folder -----------------------------------------------------------------------------


@contextmanager
def staged(folder: Path, state, identity: dict):
    """A new folder beside the old files; what is in it moves into `folder` once all is written.

    Until then the old model stays whole. Whose the new one is (`identity`, see `run_identity`)
    is known from its first moment, so that a run killed before its end may run again. Entered
    by every process (`state`: accelerate's `PartialState`).
    """
    stage = folder / ".partial"
    try:
        with checkpoints.disk_errors_told(folder):
            if state.is_main_process:
                shutil.rmtree(stage, ignore_errors=True)
                stage.mkdir(parents=True)
            state.wait_for_everyone()
            yield stage
            state.wait_for_everyone()
            if state.is_main_process:
                write_json(stage / RUN_FILE, identity)
                files = sorted(stage.iterdir())
                for file in files:  # weights, which safetensors keeps to oneself, are for all
                    shutil.copymode(stage / RUN_FILE, file)
                for file in files:
                    os.replace(file, folder / file.name)
    finally:
        if state.is_main_process:
            shutil.rmtree(stage, ignore_errors=True)


def flat_metrics(scores: dict, per_type: bool = False) -> dict:
    """`{"f1": ..., "loss": ...}` from `compute_metrics`; with `per_type` the types' too."""
    flat = {**scores["overall"], "loss": scores["loss"], "words": scores["words"]}
    if per_type:
        for name, row in scores["per_type"].items():
            flat |= {f"{name}_{key}": value for key, value in row.items()}
    return flat


def save_results(folder: Path, split: str, metrics: dict) -> None:
    """`{split}_results.json`, and all splits together in `all_results.json`."""
    write_json(folder / f"{split}_results.json", metrics)
    everything = folder / "all_results.json"
    try:
        earlier = json.loads(everything.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        earlier = {}
    kept = {name: value for name, value in earlier.items() if not name.startswith(f"{split}_")}
    write_json(everything, kept | metrics)


def write_predictions(path: Path, sentences) -> None:
    """Word, gold tag, predicted tag in columns, a blank line after each sentence.

    conlleval reads it. A blank inside a word or tag, or an empty one, is written as `_`.
    `sentences`: what `common.postprocess` gives; without gold tags there are two columns.
    """
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", encoding="utf-8") as file:
        for words, gold, predicted, _ in sentences:
            columns = [column for column in (words, gold, predicted) if column]
            for row in zip(*columns, strict=True):
                file.write(" ".join(re.sub(r"\s", "_", cell) or "_" for cell in row) + "\n")
            file.write("\n")
    os.replace(partial, path)


# --- Results --------------------------------------------------------------------------------

PREFIXES = {"validation": "eval", "test": "predict"}  # of the result files and their keys
PACKAGES = ("torch", "transformers", "accelerate", "datasets", "tokenizers")


class Results:
    """Losses and scores of a run as they come, and the files made of them at its end."""

    def __init__(self, args, corpus, config, windows, replaced: list[str], script: str, state):
        """`state`: accelerate's `PartialState`. Only the main process prints and writes."""
        self.args, self.corpus, self.config = args, corpus, config
        self.windows, self.replaced, self.state = windows, replaced, state
        # A model may know labels that are no entity tags, such as [CLS]: they are read as O.
        self.tags = [
            name if common.are_entity_tags([name]) or not corpus.entity_tags else "O"
            for name in corpus.label_names
        ]
        self.script = Path(script).name
        self.started = time.time()
        self.precision = "no"
        self.progress = checkpoints.Progress()
        self.train_metrics: dict = {}
        self.scores: dict[str, dict] = {}  # by split
        self.predictions: dict[str, common.WordPredictions] = {}

    def say(self, *lines: str) -> None:
        if self.state.is_main_process:
            for line in lines:
                tqdm.write(line)

    # --- As they come ---

    def announce(self, precision: str, plan: checkpoints.Plan) -> None:
        """What will run, in a short table."""
        args, self.precision = self.args, precision
        counts = ", ".join(f"{name} {len(split)}" for name, split in self.corpus.splits.items())
        batch = f"{args.per_device_train_batch_size}"
        if args.gradient_accumulation_steps > 1:
            batch += f" x {args.gradient_accumulation_steps} accumulated"
        if self.state.num_processes > 1:
            batch += f" x {self.state.num_processes} processes"
        rows = {
            "corpus": f"{self.corpus.name} ({args.task_name}; {counts} sentences)",
            "labels": f"{len(self.corpus.label_names)}: {_short(self.corpus.label_names, 60)}",
            "model": model_title(args.model_name_or_path),
            "training": f"{plan.total_updates} updates of {batch} sentences, learning rate "
            f"{args.learning_rate:g}, {args.lr_scheduler_type}",
            "device": f"{self.state.device}, {'fp32' if precision == 'no' else precision}",
            "output": args.output_dir,
        }
        if plan.checkpoint is not None:
            rows["from"] = f"{plan.checkpoint}, update {self.progress.step}"
        else:
            rows |= earlier_run(Path(args.output_dir))
        self.say(*self.replaced, *self.corpus.notes)
        self.say(*(f"{name:10}{value}" for name, value in rows.items()))

    def check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"The loss is {loss} by update {self.progress.step}: training has diverged. Take "
                "a smaller --learning_rate, a warm-up (--warmup_steps 0.1), or "
                "--mixed_precision no. Earlier checkpoints are as they were."
            )

    def log_loss(self, step: int, loss: float, learning_rate: float) -> None:
        """Note the mean loss of the updates since the last one logged."""
        self.check_finite(loss)
        row = {"step": step, "loss": loss, "learning_rate": learning_rate}
        self.progress.step_losses.append(row)

    def scored(self, split: str, predictions: common.WordPredictions) -> dict:
        """Score a split's predictions: {"f1": ..., "loss": ..., ...}, on every process alike.

        {} for a split without labels, which is only to be tagged.
        """
        windows, rows = self.windows[split], self.corpus.splits[split]
        predictions.check_complete(windows.words_with_subwords)
        self.predictions[split] = predictions
        if "labels" not in rows.column_names:
            return {}
        flat = [None]
        if self.state.is_main_process:
            scores = scores_module.compute_metrics(predictions, rows, self.tags)
            if scores["words"] != windows.num_words:
                raise AssertionError(
                    f"{scores['words']} words scored of {windows.num_words} in the corpus"
                )
            self.scores[split] = scores
            flat = [flat_metrics(scores, self.args.return_entity_level_metrics)]
        if self.state.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(flat)
        return flat[0]

    def epoch_done(self, epoch: int, scores: dict, checkpoint: str) -> None:
        """Note an epoch's scores ("f1", "loss", ...) in the history; one line of them.

        `checkpoint` is the name of the one that holds this epoch's weights.
        """
        args, progress = self.args, self.progress
        if args.metric_for_best_model not in scores:
            raise UserError(
                f"--metric_for_best_model {args.metric_for_best_model}: expected one of "
                f"{', '.join(scores)}"
            )
        score = scores[args.metric_for_best_model]
        progress.note_score(score, args.greater_is_better, checkpoint)
        begun = progress.history[-1]["step"] if progress.history else 0
        losses = [row["loss"] for row in progress.step_losses if row["step"] > begun]
        row = {"epoch": epoch, "step": progress.step}
        row["train_loss"] = sum(losses) / len(losses) if losses else None
        row |= {f"eval_{name}": value for name, value in scores.items()}
        progress.history.append(row)
        names = ("train_loss", "eval_loss", "eval_f1", "eval_macro_f1", "eval_accuracy")
        shown = [f"{name} {row[name]:.4f}" for name in names if row.get(name) is not None]
        self.say(f"epoch {epoch}: " + ", ".join(shown))

    def trained(self, seconds: float, updates: int, update_size: int) -> None:
        """Note what training came to; `updates` and `seconds` of this session alone."""
        progress = self.progress
        self.check_finite(progress.pending_loss)
        self.train_metrics = {
            "train_loss": (progress.total_loss + progress.pending_loss) / max(progress.step, 1),
            "train_runtime": round(seconds, 3),
            "train_samples_per_second": round(updates * update_size / seconds, 3),
            "train_steps_per_second": round(updates / seconds, 3),
            "train_steps": progress.step,
        }

    def patience_is_over(self) -> bool:
        patience = self.args.early_stopping_patience
        return patience is not None and self.progress.epochs_without_better >= patience

    # --- At the end ---

    def write(self, folder: Path) -> None:
        """Result files, predictions.txt, run.json, the model card and the report."""
        if self.state.is_main_process:
            with checkpoints.disk_errors_told(folder):
                self._write(folder)
        # Not only to end together: a process that ends within the very moment of its last gather
        # may wait for ever for gloo's thread, which waits for Python's lock to let go of it.
        self.state.wait_for_everyone()

    def _write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if self.train_metrics:
            save_results(folder, "train", self.train_metrics)
        for split, prefix in PREFIXES.items():
            if split in self.scores:
                flat = flat_metrics(self.scores[split], self.args.return_entity_level_metrics)
                save_results(folder, prefix, {f"{prefix}_{k}": v for k, v in flat.items()})
                self._say_scores(split)
        if "test" in self.predictions:
            write_predictions(folder / "predictions.txt", self._sentences("test"))
            if "test" not in self.scores:
                words = self.windows["test"].num_words
                self.say(f"\ntest: {words} words tagged, see predictions.txt; it has no labels.")
        if self.args.do_train:
            write_json(folder / RUN_FILE, run_identity(self.args, self.corpus) | self._facts())
        # A model's folder that is only scored keeps the report of its training.
        shown = self.scores and (self.args.do_train or not (folder / RUN_FILE).exists())
        if shown:
            report.write_report(folder, self._facts() | self._corpus_facts())
        if self.args.do_train:
            self.write_card(folder)  # with the report's pictures
        ending = f"; open {folder / 'report.html'}." if shown else "."
        self.say("", *self.replaced, f"Everything is in {folder}{ending}")

    def write_card(self, folder: Path) -> None:
        """The model card, with what is known so far; what a person added to the last one stays."""
        if not self.state.is_main_process:
            return
        earlier = Path(self.args.output_dir) / "README.md"
        if earlier.exists() and not (folder / "README.md").exists():
            shutil.copyfile(earlier, folder / "README.md")
        write_card(folder, self._facts())

    def _say_scores(self, split: str) -> None:
        windows = self.windows[split]
        without = windows.num_words - windows.words_with_subwords
        self.say(
            f"\n{split}: {self.scores[split]['words']} words scored of {windows.num_words} in the "
            "corpus" + (f", {without} of them without a sub-word" if without else ""),
            scores_module.score_table(self.scores[split]),
        )

    def _sentences(self, split: str):
        rows = self.corpus.splits[split]
        return common.postprocess(self.predictions[split], rows, self.tags)

    def _facts(self) -> dict:
        """What the card, the report and run.json say of the run; JSON, and no token."""
        args = self.args
        arguments = {f.name: getattr(args, f.name) for f in dataclasses.fields(Arguments)}
        del arguments["hub_token"]
        default_corpus = args.dataset_name is not None and not Path(args.dataset_name).exists()
        return {
            "script": self.script,
            "command": scrub(shlex.join([self.script, *sys.argv[1:]]), args.hub_token),
            "output_name": Path(args.output_dir).resolve().name,
            "base_model": model_title(args.model_name_or_path),
            "base_model_license": self._license(),
            "repo_id": args.hub_model_id if args.push_to_hub else None,
            "corpus_name": self.corpus.name,
            "language": "en" if args.sample or args.dataset_name == DEFAULT_CORPUS else None,
            "example_text": self._example(),
            "dataset_id": args.dataset_name if default_corpus else None,
            "corpus_fingerprint": self.corpus.fingerprint,
            "task": args.task_name,
            "entity_tags": self.corpus.entity_tags,
            "label_names": self.corpus.label_names,
            "replaced": self.replaced,
            "arguments": arguments,
            "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
            "device": str(self.state.device),
            "precision": "fp32" if self.precision == "no" else self.precision,
            "processes": self.state.num_processes,
            "duration_s": round(time.time() - self.started, 1),
            "history": self.progress.history,
            "step_losses": self.progress.step_losses,
            "scores": self.scores,
        }

    def _license(self) -> str | None:
        model = self.args.model_name_or_path
        return "apache-2.0" if model == DEFAULT_MODEL or is_embedded(model) else None

    def _example(self) -> str:
        """A sentence of the corpus to try the model on, not of its training split if it can be."""
        rows = next(reversed(self.corpus.splits.values()))
        sentences = (row["tokens"] for row in rows.select(range(min(50, len(rows)))))
        return next((" ".join(words) for words in sentences if 6 <= len(words) <= 25), "")

    def _corpus_facts(self) -> dict:
        """What the report alone shows: counts of the corpus, and the sentences scored."""
        split = "test" if "test" in self.scores else "validation"
        columns = ("tokens", "gold", "predicted", "probability")
        return {
            "label_counts": {
                name: self._label_counts(rows)
                for name, rows in self.corpus.splits.items()
                if "labels" in rows.column_names
            },
            "lengths": {
                name: {n: count for n, count in enumerate(np.bincount(windows.lengths)) if count}
                for name, windows in self.windows.items()
            },
            "max_seq_length": self.config.window_length,
            "windowed": {name: w.sentences_cut for name, w in self.windows.items()},
            "examples": (dict(zip(columns, s, strict=True)) for s in self._sentences(split)),
            "examples_split": split,
        }

    def _label_counts(self, rows) -> dict[str, int]:
        import pyarrow.compute as pc

        names = self.corpus.label_names
        counts = np.zeros(len(names), np.int64)
        for batch in rows.with_format("arrow", columns=["labels"]).iter(10_000):
            counts += np.bincount(pc.list_flatten(batch["labels"]), minlength=len(names))
        return {name: int(n) for name, n in zip(names, counts, strict=True) if n}
