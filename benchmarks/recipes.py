"""Compare recipes for the embedded corpus: the score of each against its time.

    NER_CORPORA=... python benchmarks/recipes.py --results FOLDER --recipes default= \
        "short=--num_train_epochs 3 --per_device_train_batch_size 16 --learning_rate 2e-4"
    python benchmarks/recipes.py --results FOLDER --report
    python benchmarks/recipes.py --results FOLDER --recipes default= --isa avx2

A recipe is `train_trainer.py --sample` with the flags given. Choose one by its validation F1: the
test split and the real text of `sample.py` (uner, everyday) are then scored once. Seconds are those
of the whole command, from its start to its report; the seconds of processor time count all threads,
and depend less on other jobs.

Each run writes a file into the folder of results. A run that has one is not repeated.
"""

import argparse
import json
import os
import resource
import shlex
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from accuracy import ROOT, call, read_json
from machine import add_isa, describe, matrix_rate, restrict

SCORES = ("validation", "test", "uner", "everyday")


def main():
    """Read the command line, make the runs that have no result, and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True, help="folder of the runs' results")
    parser.add_argument("--recipes", nargs="+", metavar="NAME=FLAGS", default=["default="])
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1 (default: 3)")
    parser.add_argument("--report", action="store_true", help="report on the results that exist")
    add_isa(parser)
    options = parser.parse_args()
    restrict(options.isa)
    if not options.report:
        if not os.environ.get("NER_CORPORA"):
            parser.error("NER_CORPORA is not set: expected the folder of the real corpora")
        options.results.mkdir(parents=True, exist_ok=True)
        for seed in range(options.seeds):
            for recipe in options.recipes:
                name, _, flags = recipe.partition("=")
                file = options.results / f"{name}-{seed}.json"
                if not file.exists():
                    make_run(file, name, shlex.split(flags), seed)
                elif read_json(file)["flags"] != shlex.split(flags):
                    parser.error(f"{file}: result of other flags. Delete it, or change the name.")
    report(options.results)


def make_run(file: Path, name: str, flags: list[str], seed: int) -> None:
    """Train with a recipe, score the model, and write the result."""
    from support.files import write_json

    with tempfile.TemporaryDirectory() as work:
        # A cache of its own: reading and encoding the corpus is part of the first run of a user.
        os.environ["HF_DATASETS_CACHE"] = str(Path(work, "cache"))
        folder = Path(work, "model")
        began, used = time.perf_counter(), processor_seconds()
        own = ["--sample", "--seed", seed, "--output_dir", folder]
        call([ROOT / "train_trainer.py", *own, *flags])
        seconds, processor = time.perf_counter() - began, processor_seconds() - used
        run, training = read_json(folder / "run.json"), read_json(folder / "train_results.json")
        result = {
            "recipe": name,
            "flags": flags,
            "seed": seed,
            "epochs": training["train_steps"] / run["epoch_steps"],
            "steps": training["train_steps"],
            "seconds": seconds,
            "processor_seconds": processor,
            "training_seconds": training["train_runtime"],
            "precision": run["precision"],
            "scores": {split: run["scores"][split]["overall"]["f1"] for split in SCORES[:2]},
            "curve": [row["eval_f1"] for row in run["history"]],
            "machine": describe(),
            "date": time.strftime("%Y-%m-%d"),
        }
        result["scores"] |= score_real_text(folder)
    write_json(file, result)
    print(f"{name}, seed {seed}: {result['scores']}, {seconds:.0f} s", flush=True)


def processor_seconds() -> float:
    """Return the processor time of all processes that this one has started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def score_real_text(folder: Path) -> dict[str, float]:
    """Return the F1 of a model on the real text of `sample.py`."""
    import sample

    from tagging.tagger import Tagger

    tagger = Tagger(folder)
    words, gold = sample.uner(Path(os.environ["NER_CORPORA"]))
    scores = {
        "uner": sample.score_columns(tagger, words, gold, entity_tags=True),
        "everyday": sample.score_everyday(tagger),
    }
    return {name: score["overall"]["f1"] for name, score in scores.items()}


# --- Report ---------------------------------------------------------------------------------------


def report(folder: Path) -> None:
    """Print what arithmetic alone allows, and a row for each recipe: means over its seeds."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    print(*sorted({f"{r['machine']}, {r['precision']}, {r['date']}" for r in results}), sep="\n")
    rate, operations = matrix_rate_of(results), operations_of_epoch()
    print(
        f"\nAn epoch is {operations / 1e12:.2f} TFLOP; at {rate / 1e9:.0f} GFLOP/s, the rate of a "
        f"large matrix product here, {operations / rate:.0f} s.\n"
    )
    heads = ["recipe", "epochs", "steps", *SCORES, "validation after each epoch", "seconds"]
    print(f"| {' | '.join([*heads, 'processor seconds', 'arithmetic alone'])} |")
    print("| --- " * (len(heads) + 2) + "|")
    for name in dict.fromkeys(result["recipe"] for result in results):
        runs = [result for result in results if result["recipe"] == name]
        cells = [name, f"{runs[0]['epochs']:.2f}", str(runs[0]["steps"])]
        for score in SCORES:
            values = [run["scores"][score] for run in runs]
            cells.append(f"{mean(values):.4f} ({', '.join(f'{value:.3f}' for value in values)})")
        curves = zip(*(run["curve"] for run in runs), strict=True)
        cells.append(", ".join(f"{mean(scores):.3f}" for scores in curves))
        cells += [
            f"{mean(run[kind] for run in runs):.0f}" for kind in ("seconds", "processor_seconds")
        ]
        cells.append(f"{runs[0]['epochs'] * operations / rate:.0f} s")
        print(f"| {' | '.join(cells)} |")


def matrix_rate_of(results: list[dict]) -> float:
    """Return the rate of a large matrix product, in the precision of the runs."""
    import torch

    fast = {result["precision"] for result in results} == {"bf16"}
    return matrix_rate(torch.bfloat16 if fast else torch.float32)


def operations_of_epoch() -> float:
    """Return the floating-point operations of an epoch of all weights over the embedded corpus.

    The backward pass takes twice those of the forward pass.
    """
    from encoders import operations
    from train import load_sentences
    from transformers import AutoTokenizer

    from settings.defaults import embedded_encoder

    model = str(embedded_encoder())
    sentences = load_sentences({"train_file": str(ROOT / "data" / "sample" / "train.conll")})
    tokenizer = AutoTokenizer.from_pretrained(model)
    encoded = tokenizer(sentences, is_split_into_words=True, truncation=False, verbose=False)
    return 3 * operations(model, [len(ids) for ids in encoded["input_ids"]])


if __name__ == "__main__":
    main()
