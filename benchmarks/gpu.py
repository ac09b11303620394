"""Compare training and tagging with plain Trainer and `pipeline` on a GPU, with one command.

    python benchmarks/gpu.py                                   # the embedded corpus
    NER_CORPORA=... python benchmarks/gpu.py --corpus wnut17   # longer sentences

Training: both scripts against plain Trainer, all in bf16, with MiniLM and an encoder of BERT-base's
size, in batches of 8, 32 and 128 sentences (see train.py). Tagging: `Tagger` in fp32 and bf16
against the pipeline with its defaults and at its best batch size, in fp32, bf16 and fp16, with the
same encoders and random heads (see infer.py). Prints a table of each. One GPU is used. Without a
GPU, or with --device cpu, a few small runs show that the benchmark works.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import tagging_speed
import train
from encoders import NAMES
from machine import describe, matrix_rates, restrict

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
ENCODERS = ("embedded", "bert-base")
BATCH_SIZES = (8, 32, 128)


def main():
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=NAMES, default=ENCODERS)
    parser.add_argument("--batch_sizes", nargs="+", type=int, default=BATCH_SIZES)
    parser.add_argument("--corpus", choices=train.CORPORA, default="sample", help="for training")
    parser.add_argument("--steps", type=int, default=200, help="of each run (default: 200)")
    parser.add_argument("--warmup", type=int, default=20, help="steps not timed (default: 20)")
    parser.add_argument("--texts", type=int, default=4000, help="to tag (default: 4000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    options = parser.parse_args()
    if min(options.texts, options.rounds) < 1:
        parser.error("--texts, --rounds: expected at least 1")
    restrict()
    import torch

    from training.runtime import quiet_libraries

    quiet_libraries(verbose=False)
    if options.device is None:
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.device == "cpu":
        print("On a CPU, in small: this shows that the benchmark works, not how fast anything is.")
        options.batch_sizes = [2]
        options.steps, options.warmup, options.texts, options.rounds = 3, 1, 20, 1
    # The options of train.py that are not here.
    options.learning_rate, options.isa, options.against, options.plain_bf16 = 2e-5, None, None, True
    with tempfile.TemporaryDirectory() as folder:
        works = {}
        for name in options.models:
            for batch_size in options.batch_sizes:
                options.model, options.batch_size = name, batch_size
                works[name, batch_size] = train.plan_work(options, Path(folder, name), parser)
        print(f"{describe(options.device)}; {time.strftime('%Y-%m-%d')}; ", end="")
        print(f"medians of {options.rounds} interleaved rounds.")
        rates = matrix_rates(options.device)
        compare_training(options, works, rates, Path(folder, "runs"))
        compare_tagging(options, rates, Path(folder), parser)


def compare_training(options, works, rates: dict[str, float], folder: Path) -> None:
    """Print a table for each encoder and batch size."""
    sides = {train.PLAIN: None, **{script: ROOT / script for script in train.SCRIPTS}}
    for (name, batch_size), work in works.items():
        folder.mkdir()
        speeds, precisions = train.measure(work, sides, options.rounds, folder)
        shutil.rmtree(folder)
        print(f"\nTraining: {name}; {options.corpus}; {work.steps} steps of {batch_size} ", end="")
        print(f"sentences, the first {work.warmup} not timed.")
        train.print_precisions(precisions)
        train.print_table(
            speeds, dict.fromkeys(sides, train.PLAIN), train.sentence_operations(work), rates
        )


def compare_tagging(options, rates: dict[str, float], folder: Path, parser) -> None:
    """Print a table for each encoder."""
    texts = tagging_speed.sample_texts(options.texts)
    for name in options.models:
        model = tagging_speed.find_classifier(name, folder / f"{name}-classifier", parser)
        taggers = tagging_speed.load_taggers(model, ["fp32", "bf16"], {"device": options.device})
        rivals = tagging_speed.load_pipelines(model, options.device)
        speeds, sides = tagging_speed.measure(
            taggers, rivals, texts, options.rounds, options.device
        )
        words = tagging_speed.count_words(texts) / len(texts)
        print(f"\nTagging: {name} with a random head; {len(texts)} texts of {words:.1f} words.\n")
        limits = tagging_speed.limits(model, taggers["fp32"], texts, rates)
        tagging_speed.print_table(speeds, sides, limits)
        print()
        tagging_speed.print_differences(model, texts, taggers, rivals["fp32"], options.device)


if __name__ == "__main__":
    main()
