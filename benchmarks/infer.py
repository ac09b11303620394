"""Compare the speed of `Tagger` with that of transformers' `pipeline` on the same texts.

    python benchmarks/infer.py --model bert-finetuned-ner      # a folder that training wrote
    python benchmarks/infer.py --model roberta-base --isa avx2 # random weights
    python benchmarks/infer.py --model FOLDER --texts 4000 --device cuda
    python benchmarks/infer.py --model FOLDER --against ../another/checkout

The rivals are the pipeline with its defaults (`aggregation_strategy="simple"`) and at the fastest
of several batch sizes; on a GPU, also in bf16 and fp16. All sides are warm, take turns, and tag the
same texts; medians are printed. `Tagger` runs in bf16 too, where that is faster than fp32. Then the
results are compared: our entities with those of batches of one window, with those of bf16, and with
the pipeline's, whose differences are counted by kind. The limit is the speed that the matrix
products of the sub-words alone would allow, without padding, at the rate of a large product in the
same precision.

With --against, the rival is the `Tagger` of another checkout of this suite instead. Each checkout
has a process of its own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from encoders import NAMES
from machine import add_isa, describe, matrix_rates, restrict
from tagging_speed import (
    count_words,
    find_classifier,
    limits,
    load_pipelines,
    load_taggers,
    measure,
    precisions,
    print_differences,
    print_limits,
    print_table,
    sample_texts,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# Tags the same texts once for each line read. Arguments: the checkout, the Tagger's options.
TAGGING_PROCESS = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from infer import Tagger
texts = json.loads(input())
tagger = Tagger(**json.loads(sys.argv[2]))
tagger(texts[:200])
while sys.stdin.readline():
    began = time.perf_counter()
    results = tagger(texts)
    print(json.dumps([time.perf_counter() - began, results]), flush=True)
"""


def main():
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        required=True,
        help=f"folder of a trained model, or {', '.join(NAMES)} with a random head",
    )
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch_tokens", type=int)
    add_isa(parser)
    parser.add_argument("--against", type=Path, help="compare with another checkout of this suite")
    options = parser.parse_args()
    if options.isa and options.device == "cuda":
        parser.error("--isa: restricts a CPU: got --device cuda, expected --device cpu")
    if min(options.texts, options.rounds) < 1:
        parser.error("--texts, --rounds: expected at least 1")
    if options.against and not (options.against / "infer.py").is_file():
        parser.error(f"--against: not a checkout of this suite: {options.against / 'infer.py'}")
    restrict(options.isa)
    import torch

    from training.runtime import quiet_libraries

    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no GPU that torch can use")
    quiet_libraries(verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        model = find_classifier(options.model, Path(folder), parser)
        texts, rates = sample_texts(options.texts), matrix_rates(options.device)
        num_words = count_words(texts)
        print(f"{describe(options.device)}; {time.strftime('%Y-%m-%d')}")
        print(
            f"{options.model}; {len(texts)} texts of {num_words / len(texts):.1f} words; ", end=""
        )
        print(f"medians of {options.rounds} interleaved rounds.")
        tagger_options = {"device": options.device, "batch_tokens": options.batch_tokens}
        if options.against:
            checkouts = (ROOT, options.against.resolve())
            for dtype in precisions(rates):
                tagger_options |= {"model": str(Path(model).resolve()), "dtype": dtype}
                compare_checkouts(checkouts, texts, options.rounds, tagger_options)
            return
        taggers = load_taggers(model, precisions(rates), tagger_options)
        rivals = load_pipelines(model, options.device)
        speeds, sides = measure(taggers, rivals, texts, options.rounds, options.device)
        words_per_s = limits(model, taggers["fp32"], texts, rates)
        print_limits(words_per_s, rates)
        print()
        print_table(speeds, sides, words_per_s)
        print()
        print_differences(model, texts, taggers, rivals["fp32"], options.device)


def compare_checkouts(checkouts, texts: list[str], rounds: int, options: dict) -> None:
    """Compare the `Tagger` of the first checkout with that of the second."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TAGGING_PROCESS, checkout, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for checkout in checkouts
    ]
    num_words = count_words(texts)
    speeds, results = ([], []), [None, None]
    for process in processes:
        print(json.dumps(texts), file=process.stdin, flush=True)
    for _ in range(rounds):
        for side, process in enumerate(processes):
            print(file=process.stdin, flush=True)
            answer = process.stdout.readline() or sys.exit("a Tagger failed, see above")
            seconds, results[side] = json.loads(answer)
            speeds[side].append(num_words / seconds)
    for process in processes:
        process.communicate()
    for name, values in zip(("this", "other"), speeds, strict=True):
        print(
            f"Tagger {options['dtype']}, {name + ' checkout':16}{statistics.median(values):9.0f} "
            f"words/s ({min(values):.0f}-{max(values):.0f})"
        )
    ratio = statistics.median(speeds[0]) / statistics.median(speeds[1])
    num_different = sum(own != rival for own, rival in zip(*results, strict=True))
    print(f"  {ratio:.3f} of the other's speed; {num_different} texts have other results")


if __name__ == "__main__":
    main()
