"""What a run leaves: results on the screen, and a folder with model, scores, card and report.

Both training scripts use all of it, so that they leave the same files.
"""

import json
import os
import platform
import re
import shlex
import shutil
import sys
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import common

from arguments import UserError, model_title

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
    """Refuse a folder that is a file, or holds a run with another corpus, model or label set."""
    folder = Path(args.output_dir)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output_dir {folder}: expected a folder, found a file")
    if not args.do_train or args.overwrite_output_dir or not folder.is_dir():
        return
    advice = "\nChoose another folder, or replace it with --overwrite_output_dir."
    try:
        earlier = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / "config.json").exists():
            raise UserError(
                f"--output_dir {folder}: holds a model that no run of this suite left there.{advice}"
            ) from None
        return
    except (ValueError, OSError):
        earlier = {}
    differences = [
        f"  {key}: there {_short(earlier.get(key))}, now {_short(value)}"
        for key, value in run_identity(args, corpus).items()
        if earlier.get(key) != value
    ]
    if differences:
        text = "\n".join(differences)
        raise UserError(f"--output_dir {folder}: holds another run.\n{text}{advice}")


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
def staged(folder: Path):
    """A new folder beside the old files; what is in it moves into `folder` once all is written.

    Until then the old model stays whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stage = folder / ".partial"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    try:
        yield stage
        for file in sorted(stage.iterdir()):
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def flat_metrics(scores: dict, per_type: bool = False) -> dict:
    """`{"f1": ..., "loss": ...}` from `common.compute_metrics`; with `per_type` the types' too."""
    flat = {**scores["overall"], "loss": scores["loss"], "words": scores["words"]}
    if per_type:
        for name, row in scores["per_type"].items():
            flat |= {f"{name}_{key}": value for key, value in row.items()}
    return flat


def save_results(folder: Path, split: str, metrics: dict) -> None:
    """`{split}_results.json`, and all splits together in `all_results.json`."""
    write_json(folder / f"{split}_results.json", metrics)
    everything = folder / "all_results.json"
    earlier = json.loads(everything.read_text(encoding="utf-8")) if everything.exists() else {}
    write_json(everything, earlier | metrics)


def write_predictions(path: Path, sentences) -> None:
    """Word, gold tag, predicted tag in columns, a blank line after each sentence.

    conlleval reads it. A blank inside a word, or a word that is empty, is written as `_`.
    `sentences`: what `common.postprocess` gives; without gold tags there are two columns.
    """
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", encoding="utf-8") as file:
        for words, gold, predicted, _ in sentences:
            columns = [[re.sub(r"\s", "_", word) or "_" for word in words], gold, predicted]
            for row in zip(*(column for column in columns if column), strict=True):
                file.write(" ".join(row) + "\n")
            file.write("\n")
    os.replace(partial, path)


# --- Results --------------------------------------------------------------------------------

PACKAGES = ("torch", "transformers", "accelerate", "datasets", "tokenizers")


class Results:
    """Losses and scores of a run as they come, and the files made of them at its end."""

    def __init__(self, args, corpus, config, windows, replaced: list[str], script: str, state):
        """`state`: accelerate's `PartialState`. Only the main process prints and writes."""
        self.args, self.corpus, self.config = args, corpus, config
        self.windows, self.replaced, self.state = windows, replaced, state
        self.script = Path(script).name
        self.started = time.time()
        self.step_losses: list[dict] = []  # step, loss, learning_rate
        self.history: list[dict] = []  # a row an epoch
        self.scores: dict[str, dict] = {}  # by split
        self.predictions: dict[str, common.WordPredictions] = {}

    def say(self, *lines: str) -> None:
        if self.state.is_main_process:
            for line in lines:
                print(line, flush=True)

    def announce(self, precision: str, updates: int) -> None:
        """What will run, in a short table."""
        args = self.args
        counts = ", ".join(
            f"{name} {len(split)}" for name, split in self.corpus.splits.items()
        )
        batch = f"{args.per_device_train_batch_size}"
        if args.gradient_accumulation_steps > 1:
            batch += f" x {args.gradient_accumulation_steps} accumulated"
        if self.state.num_processes > 1:
            batch += f" x {self.state.num_processes} processes"
        rows = {
            "corpus": f"{self.corpus.name} ({args.task_name}; {counts} sentences)",
            "labels": f"{len(self.corpus.label_names)}: {_short(self.corpus.label_names, 60)}",
            "model": model_title(args.model_name_or_path),
            "training": f"{updates} updates of {batch} sentences, learning rate "
            f"{args.learning_rate:g}, {args.lr_scheduler_type}",
            "device": f"{self.state.device}, {'fp32' if precision == 'no' else precision}",
            "output": args.output_dir,
        }
        self.say(*self.replaced, *self.corpus.notes)
        self.say(*(f"{name:10}{value}" for name, value in rows.items()))

    def log_loss(self, step: int, loss: float, learning_rate: float) -> None:
        """The mean loss of the updates since the last one logged."""
        self.step_losses.append({"step": step, "loss": loss, "learning_rate": learning_rate})

    def scored(self, split: str, predictions: common.WordPredictions) -> dict:
        """Score a split's predictions: {"f1": ..., "loss": ..., ...}, on every process alike."""
        flat = [None]
        if self.state.is_main_process:
            predictions.check_complete(self.windows[split].words_with_subwords)
            rows = self.corpus.splits[split]
            scores = common.compute_metrics(predictions, rows, self.corpus.label_names)
            if scores["words"] != self.windows[split].num_words:
                raise AssertionError(f"{scores['words']} words scored of {predictions.num_words}")
            self.scores[split], self.predictions[split] = scores, predictions
            flat = [flat_metrics(scores, self.args.return_entity_level_metrics)]
        if self.state.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(flat)
        return flat[0]

    def epoch_done(self, epoch: int, step: int, metrics: dict) -> None:
        """Note an epoch's scores (`eval_f1`, ...) in the history; one line of them."""
        losses = [row["loss"] for row in self.step_losses[-max(1, len(self.step_losses)) :]]
        row = {"epoch": epoch, "step": step, "train_loss": losses[-1] if losses else None}
        row |= {f"eval_{name}": value for name, value in metrics.items()}
        self.history.append(row)
        shown = [f"epoch {epoch}:"]
        for name in ("train_loss", "eval_loss", "eval_f1", "eval_accuracy", "eval_macro_f1"):
            if row.get(name) is not None:
                shown.append(f"{name} {row[name]:.4f}")
        self.say(" ".join(shown))

    def write(self, folder: Path, train_metrics: dict | None) -> None:
        """Result files, predictions.txt, run.json, the model card and the report."""
        if not self.state.is_main_process:
            return
        if train_metrics:
            save_results(folder, "train", train_metrics)
        for split, prefix in (("validation", "eval"), ("test", "predict")):
            if split not in self.scores:
                continue
            flat = flat_metrics(self.scores[split], self.args.return_entity_level_metrics)
            save_results(folder, prefix, {f"{prefix}_{k}": v for k, v in flat.items()})
            windows = self.windows[split]
            without = windows.num_words - windows.words_with_subwords
            note = f", {without} of them without a sub-word and so predicted O" if without else ""
            self.say(
                f"\n{split}: {self.scores[split]['words']} words scored of {windows.num_words} in "
                f"the corpus{note}",
                common.score_table(self.scores[split]),
            )
        if "test" in self.predictions:
            write_predictions(folder / "predictions.txt", self._sentences("test"))
        if self.args.do_train:
            write_json(folder / RUN_FILE, run_identity(self.args, self.corpus) | self._facts())
        self.say("", *self.replaced, f"Everything is in {folder}: report.html shows the results.")

    def _sentences(self, split: str):
        rows = self.corpus.splits[split]
        return common.postprocess(self.predictions[split], rows, self.corpus.label_names)

    def _facts(self) -> dict:
        arguments = {
            name: value for name, value in vars(self.args).items() if name != "hub_token"
        }
        return {
            "script": self.script,
            "command": shlex.join([self.script, *sys.argv[1:]]),
            "arguments": arguments,
            "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
            "corpus_fingerprint": self.corpus.fingerprint,
            "replaced": self.replaced,
            "duration_s": round(time.time() - self.started, 1),
            "history": self.history,
            "step_losses": self.step_losses,
            "scores": self.scores,
        }
