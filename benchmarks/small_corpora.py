"""Measure how many steps small corpora need: the recipe's epochs against a minimum of steps.

    NER_CORPORA=... python benchmarks/small_corpora.py --results FOLDER
    python benchmarks/small_corpora.py --results FOLDER --corpora sample --sizes 150 --steps 300 600
    python benchmarks/small_corpora.py --results FOLDER --report

Each run trains on sentences that are drawn at random from the training split of a corpus, by the
seed of the run, and scores the test split. It is a run of `train_accelerate.py` with the embedded
encoder and, except for the epochs, its recipe. A minimum of steps means as many epochs as make at
least that many steps, at most `--most_epochs`, and never fewer than the recipe's.

Each run writes a file into the folder of results. A run that has one is not repeated, so the
measurement can be stopped and resumed, and sizes, steps or seeds can be added. Other learning rates
need another folder. Two minima that give the same epochs share a run.
"""

import argparse
import itertools
import json
import math
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from accuracy import find_corpus
from machine import describe

CORPORA = ("wnut17", "wikigold", "sample")


class Run(NamedTuple):
    """A run; the name of its file consists of these fields."""

    corpus: str
    size: int  # sentences of the training split
    batch_size: int
    epochs: int
    seed: int

    def file(self, folder: Path) -> Path:
        """Return the file of its result."""
        return folder / f"{'-'.join(map(str, self))}.json"

    @property
    def epoch_steps(self) -> int:
        """Return the steps of an epoch; all sentences of these corpora fit into a window."""
        return math.ceil(self.size / self.batch_size)


def main():
    """Read the command line, make the runs that have no result, and report."""
    from settings.defaults import EMBEDDED_RECIPE
    from settings.flags import MOST_EPOCHS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True, help="folder of the runs' results")
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=CORPORA)
    parser.add_argument("--sizes", nargs="+", type=int, default=[50, 150, 500, 2000])
    parser.add_argument(
        "--steps", nargs="+", type=int, default=[0, 300, 600, 1200], help="minima; 0: the recipe"
    )
    parser.add_argument("--most_epochs", type=int, default=MOST_EPOCHS)
    parser.add_argument(
        "--batch_sizes",
        nargs="+",
        type=int,
        default=[EMBEDDED_RECIPE["per_device_train_batch_size"]],
        help="default: the recipe's",
    )
    for name in ("learning_rate", "layerwise_lr_decay"):
        default = EMBEDDED_RECIPE[name]
        parser.add_argument(f"--{name}", type=float, default=default, help=f"default: {default:g}")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1 (default: 3)")
    parser.add_argument(
        "--test_sentences", type=int, default=600, help="score the first N test sentences"
    )
    parser.add_argument("--report", action="store_true", help="report on the results that exist")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    if not options.report:
        make_runs(options, parser)
    report(options)


def run_of(options, minimum: int, corpus: str, size: int, batch_size: int, seed: int) -> Run:
    """Return the run with a minimum of steps."""
    from settings.defaults import EMBEDDED_RECIPE
    from settings.run_settings import TrainingSettings

    training = TrainingSettings(
        num_train_epochs=EMBEDDED_RECIPE["num_train_epochs"],
        fewest_steps=minimum,
        most_epochs=options.most_epochs,
    )
    run = Run(corpus, size, batch_size, 0, seed)
    return run._replace(epochs=int(training.epochs_of(run.epoch_steps)))


# --- Runs -----------------------------------------------------------------------------------------


def make_runs(options, parser) -> None:
    """Make the runs that have no result, small corpora first and seed by seed."""
    from encoder.cpu.process import prepare_process

    prepare_process()
    with tempfile.TemporaryDirectory() as work:
        os.environ["HF_DATASETS_CACHE"] = str(Path(work, "cache"))  # not the user's
        corpora = {name: read_corpus(name, Path(work), parser) for name in options.corpora}
        runs = itertools.product(
            options.sizes, range(options.seeds), corpora, options.batch_sizes, options.steps
        )
        for size, seed, corpus, batch_size, minimum in runs:
            run = run_of(options, minimum, corpus, size, batch_size, seed)
            is_possible = size <= len(corpora[corpus].splits["train"])
            if is_possible and not run.file(options.results).exists():
                make_run(run, corpora[corpus], options)


def read_corpus(name: str, work: Path, parser):
    """Return a corpus with its training and test split."""
    from corpus.load import load_corpus
    from settings.run_settings import CorpusSettings

    files = find_corpus(name, work, parser)
    files["test_file"] = files.pop("validation_file")
    settings = {key: tuple(paths) for key, paths in files.items()}
    return load_corpus(CorpusSettings(**settings, hold_out=False))


def make_run(run: Run, corpus, options) -> None:
    """Train on a part of a corpus, score the test split, and write the result."""
    from results.study_files import corpus_flags, sentences_of, write_sentences
    from settings.defaults import embedded_encoder
    from support.files import write_json
    from train_accelerate import main as train

    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, f"{name}.jsonl") for name in ("train", "test")}
        sentences = sentences_of(corpus, "train")
        chosen = random.Random(run.seed).sample(range(len(sentences)), run.size)
        write_sentences(files["train"], [sentences[number] for number in sorted(chosen)])
        test = sentences_of(corpus, "test")[: options.test_sentences]
        write_sentences(files["test"], test)
        flags = [
            *("--model_name_or_path", embedded_encoder(), "--output_dir", Path(folder, "model")),
            *corpus_flags(Path(folder, "labels.txt"), corpus, "ner"),
            *("--train_file", files["train"], "--test_file", files["test"]),
            *("--do_train", "--do_predict", "--save_strategy", "no", "--disable_tqdm"),
            *("--seed", run.seed),
        ]
        values = {
            "num_train_epochs": run.epochs,
            "per_device_train_batch_size": run.batch_size,
            "learning_rate": options.learning_rate,
            "layerwise_lr_decay": options.layerwise_lr_decay,
        }
        scores, model = train([*flags, *(f"--{name}={value}" for name, value in values.items())])
        training = json.loads((model / "train_results.json").read_text())
    assert training["train_steps"] == run.epochs * run.epoch_steps
    result = run._asdict() | {
        "f1": scores["test"]["overall"]["f1"],
        "train_loss": training["train_loss"],
        "steps": training["train_steps"],
        "seconds": training["train_runtime"],
        "learning_rate": options.learning_rate,
        "layerwise_lr_decay": options.layerwise_lr_decay,
        "machine": describe(),
        "date": time.strftime("%Y-%m-%d"),
    }
    write_json(run.file(options.results), result)
    print(f"{run}: F1 {result['f1']:.4f}, {time.time() - began:.0f} s", flush=True)


# --- Report ---------------------------------------------------------------------------------------


def report(options) -> None:
    """Print a table: a row for each corpus, size and batch, a column for each minimum of steps."""
    results = {}
    for path in options.results.glob("*.json"):
        result = json.loads(path.read_text())
        results[Run(*(result[name] for name in Run._fields))] = result
    machines = sorted({f"{result['machine']}, {result['date']}" for result in results.values()})
    print(*machines, sep="\n")
    heads = ["the recipe's epochs" if not n else f"at least {n} steps" for n in options.steps]
    print(f"\n| corpus | sentences | batch | {' | '.join(heads)} |")
    print(f"| --- | --- | --- |{' --- |' * len(heads)}")
    gains = {minimum: [] for minimum in options.steps}
    for row in itertools.product(options.corpora, options.sizes, options.batch_sizes):
        cells = []
        for minimum in options.steps:
            runs = [run_of(options, minimum, *row, seed) for seed in range(options.seeds)]
            f1s = {run.seed: results[run]["f1"] for run in runs if run in results}
            length = f"{runs[0].epochs} epochs, {runs[0].epochs * runs[0].epoch_steps} steps"
            cells.append(f"{cell([*f1s.values()])}; {length}" if f1s else "")
            for seed, f1 in f1s.items():
                plain = run_of(options, 0, *row, seed)
                gains[minimum] += [f1 - results[plain]["f1"]] if plain in results else []
        if any(cells):
            print(f"| {' | '.join([*map(str, row), *cells])} |")
    for minimum, values in gains.items():
        if minimum and values:
            print(
                f"\nAt least {minimum} steps, minus the recipe's epochs: {mean(values):+.4f}, "
                f"from {min(values):+.4f} to {max(values):+.4f} ({len(values)} pairs of runs)"
            )


def cell(f1s: list[float]) -> str:
    """Return the mean and the standard deviation of F1 scores, as text."""
    return f"{mean(f1s):.3f} ± {stdev(f1s):.3f}" if len(f1s) > 1 else f"{f1s[0]:.3f}"


if __name__ == "__main__":
    main()
