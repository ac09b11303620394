"""Compare the speed of `Tagger` with that of transformers' `pipeline` on the same texts.

    python benchmarks/infer.py --model bert-finetuned-ner      # a folder that training wrote
    python benchmarks/infer.py --model FOLDER --texts 4000 --device cuda
    python benchmarks/infer.py --model FOLDER --against ../another/checkout

The rivals are the pipeline with its defaults (`aggregation_strategy="simple"`) and at the fastest
of several batch sizes. All sides are warm, take turns, and tag the same texts; medians are
printed. Then the results are compared: our entities with those of batches of one window, with those
of bf16, and with the pipeline's, whose differences are counted by kind. The arithmetic limit is the
speed that the matrix products alone would allow at the rate of a large one, without padding.

With --against, the rival is the `Tagger` of another checkout of this suite instead. Each checkout
has a process of its own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from machine import describe, matrix_rate

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
BATCH_SIZES = (4, 8, 16, 32, 64, 128)
DTYPES = ("fp32", "bf16")
GOALS = {"fp32": (4.5, 2.3), "bf16": (6.5, 3.3)}  # over the pipeline's defaults, its best batches
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
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder of a trained model")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch_tokens", type=int)
    parser.add_argument("--against", type=Path, help="compare with another checkout of this suite")
    options = parser.parse_args()
    if options.against:
        compare_checkouts(options)
    else:
        compare(options)


def compare(options) -> None:
    """Compare `Tagger` with the pipeline."""
    import torch
    from transformers import pipeline
    from transformers.utils import logging

    from infer import Tagger

    logging.set_verbosity_error()
    texts = sample_texts(options.texts)
    taggers = {
        dtype: Tagger(
            options.model, dtype=dtype, device=options.device, batch_tokens=options.batch_tokens
        )
        for dtype in DTYPES
    }
    rival = pipeline(
        "token-classification", options.model, aggregation_strategy="simple", device=options.device
    )
    num_words = count_words(texts)

    def timed(run) -> float:
        if options.device != "cpu":
            torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        if options.device != "cpu":
            torch.cuda.synchronize()
        return num_words / (time.perf_counter() - started)

    fewer_texts = texts[: max(200, len(texts) // 5)]
    for tagger in taggers.values():
        tagger(fewer_texts)
    tries = {size: timed(lambda: rival(fewer_texts, batch_size=size)) for size in BATCH_SIZES}  # noqa: B023
    best = max(tries, key=tries.get)
    sides = {
        "pipeline, defaults": lambda: rival(texts),
        f"pipeline, batches of {best}": lambda: rival(texts, batch_size=best),
        **{f"Tagger {d}": (lambda t=t: t(texts)) for d, t in taggers.items()},
    }
    speeds = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, run in sides.items():
            speeds[name].append(timed(run))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    with_defaults, batched = list(medians.values())[:2]

    print_heading(options, texts, num_words)
    print(f"{'':28}{'words/s':>9}{'spread':>16}{'x defaults':>15}{'x best batches':>15}")
    for name, median in medians.items():
        print(
            f"{name:28}{median:9.0f}{spread(speeds[name]):>16}{median / with_defaults:15.2f}"
            f"{median / batched:15.2f}"
        )
    for dtype, goals in GOALS.items():
        reached = [medians[f"Tagger {dtype}"] / speed for speed in (with_defaults, batched)]
        met = all(ratio >= goal for ratio, goal in zip(reached, goals, strict=True))
        print(f"goal {dtype}: {goals[0]} and {goals[1]}: {'met' if met else 'missed'}")
    print_limits(options, texts, taggers["fp32"], medians)
    print_differences(options, texts, taggers, rival)


def compare_checkouts(options) -> None:
    """Compare the `Tagger` of this checkout with that of another."""
    texts = sample_texts(options.texts)
    num_words = count_words(texts)
    print_heading(options, texts, num_words)
    for dtype in DTYPES:
        tagger_options = {
            "model": str(Path(options.model).resolve()),
            "dtype": dtype,
            "device": options.device,
            "batch_tokens": options.batch_tokens,
        }
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", TAGGING_PROCESS, checkout, json.dumps(tagger_options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for checkout in (ROOT, options.against.resolve())
        ]
        speeds, results = ([], []), [None, None]
        for process in processes:
            print(json.dumps(texts), file=process.stdin, flush=True)
        for _ in range(options.rounds):
            for side, process in enumerate(processes):
                print(file=process.stdin, flush=True)
                answer = process.stdout.readline() or sys.exit("a Tagger failed, see above")
                seconds, results[side] = json.loads(answer)
                speeds[side].append(num_words / seconds)
        for process in processes:
            process.communicate()
        for name, values in zip(("this", "other"), speeds, strict=True):
            print(
                f"Tagger {dtype}, {name + ' checkout':16}{statistics.median(values):9.0f} words/s "
                f"({spread(values)})"
            )
        ratio = statistics.median(speeds[0]) / statistics.median(speeds[1])
        num_different = sum(own != rival for own, rival in zip(*results, strict=True))
        print(f"  {ratio:.3f} of the other's speed; {num_different} texts have other results")


def print_heading(options, texts: list[str], num_words: int) -> None:
    """Print the machine and the amount of work."""
    print(f"{describe(options.device)}; {time.strftime('%Y-%m-%d')}")
    print(f"{len(texts)} texts of {num_words / len(texts):.1f} words, {options.rounds} rounds")


def spread(values: list[float]) -> str:
    """Return the lowest and the highest speed."""
    return f"{min(values):.0f}-{max(values):.0f}"


def sample_texts(count: int) -> list[str]:
    """Return sentences of the embedded corpus, joined by spaces, repeated to reach `count`."""
    from corpus.load import load_corpus
    from settings.run_settings import CorpusSettings

    corpus = load_corpus(CorpusSettings(sample=True))
    texts = [" ".join(tokens) for tokens in corpus.splits["train"]["tokens"]]
    return (texts * (count // len(texts) + 1))[:count]


def count_words(texts: list[str]) -> int:
    """Return the number of words, as the tagger splits them."""
    from corpus.words import split_words

    return sum(len(split_words(text)) for text in texts)


# --- The arithmetic limit ---------------------------------------------------------------------


def print_limits(options, texts: list[str], tagger, medians: dict[str, float]) -> None:
    """Print the speed that the matrix products of the texts' sub-words alone would allow."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(options.model)
    size, layers = config.hidden_size, config.num_hidden_layers
    lengths = window_lengths(tagger, texts)
    weights = layers * (4 * size * size + 2 * size * config.intermediate_size)
    weights += size * len(tagger.label_names)
    flops = sum(2 * weights * n + layers * 4 * n * n * size for n in lengths)
    num_words = count_words(texts)
    for dtype, name in ((torch.float32, "fp32"), (torch.bfloat16, "bf16")):
        rate = matrix_rate(dtype, options.device)
        limit = num_words / (flops / rate)
        reached = medians[f"Tagger {name}"] / limit
        print(
            f"{name}: {rate / 1e9:.0f} GFLOP/s in a matrix product, {flops / num_words / 1e6:.1f} "
            f"MFLOP per word: at most {limit:.0f} words/s, of which Tagger reaches {reached:.0%}"
        )


def window_lengths(tagger, texts: list[str]) -> list[int]:
    """Return the number of tokens of each window, with [CLS] and [SEP]."""
    import common
    from corpus.words import split_words

    sentences = [[word for word, _, _ in split_words(text)] for text in texts]
    encoded = common.encode(sentences, tagger.tokenizer, tagger.max_length)
    return [len(columns["input_ids"]) for _, columns, _ in encoded]


# --- Differences in the results ---------------------------------------------------------------


def print_differences(options, texts: list[str], taggers: dict, rival) -> None:
    """Print how the entities differ by batch size, by precision, and from the pipeline's."""
    from corpus.words import split_words
    from infer import Tagger

    def spans(results) -> list[set]:
        return [
            {(e["entity_group"], e["start"], e["end"]) for e in result["entities"]}
            for result in results
        ]

    ours = spans(taggers["fp32"](texts))
    single = spans(Tagger(options.model, device=options.device, batch_tokens=1)(texts))
    total = sum(map(len, ours))
    num_different = sum(len(a ^ b) for a, b in zip(ours, single, strict=True))
    print(f"{total} entities in fp32; {num_different} differ from batches of one")
    rough = spans(taggers["bf16"](texts))
    kept = sum(len(a & b) for a, b in zip(ours, rough, strict=True))
    added = sum(map(len, rough)) - kept
    print(f"bf16 has {kept / max(total, 1):.2%} of them, and {added} others")

    kinds = Counter()
    for text, own, entities in zip(texts, ours, rival(texts), strict=True):
        theirs = {(e["entity_group"], e["start"], e["end"]) for e in entities}
        words = split_words(text)
        starts, ends = {word[1] for word in words}, {word[2] for word in words}
        kinds["equal"] += len(own & theirs)
        for kind, start, end in theirs - own:
            kinds[difference(kind, start, end, own, starts, ends)] += 1
        taken = [(start, end) for _, start, end in theirs]
        kinds[NOT_THEIRS] += sum(
            not any(s < end and start < e for s, e in taken) for _, start, end in own - theirs
        )
    print(f"the pipeline's {sum(kinds.values()) - kinds[NOT_THEIRS]} entities against ours:")
    for kind, count in kinds.most_common():
        print(f"  {count:6} {kind}")


NOT_THEIRS = "only Tagger's"


def difference(kind: str, start: int, end: int, own: set, starts: set, ends: set) -> str:
    """Return why an entity of the pipeline is not one of ours."""
    if start not in starts or end not in ends:
        return "cut inside a word: it tags sub-words, we tag words"
    if any((start, end) == (s, e) for _, s, e in own):
        return "of another type: later sub-words of a word weigh in"
    if any(s < end and start < e for _, s, e in own):
        return "with other bounds"
    return "only the pipeline's"


if __name__ == "__main__":
    main()
