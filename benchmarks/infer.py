"""Speed of inference: `Tagger` against transformers' `pipeline`, in one run on the same texts.

    python benchmarks/infer.py --model bert-finetuned-ner      # a folder that training left
    python benchmarks/infer.py --model FOLDER --texts 4000 --device cuda

The rivals are the pipeline as it comes (`aggregation_strategy="simple"`) and at the fastest of
several batch sizes. All sides are warm, take turns, and read the same texts; medians are
printed. Then the work is compared: our entities with those of batches of one, with those of
fp32, and with the pipeline's, whose differences are counted by kind. The arithmetic limit is
what the products alone would take at the rate of a large matrix product, without padding.
"""

import argparse
import platform
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
BATCH_SIZES = (4, 8, 16, 32, 64, 128)
GOALS = {"fp32": (4.5, 2.3), "bf16": (6.5, 3.3)}  # over the pipeline as it comes, at its best


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder of a trained model")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch_tokens", type=int)
    options = parser.parse_args()
    compare(options)


def compare(options) -> None:
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
        for dtype in ("fp32", "bf16")
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

    few = texts[: max(200, len(texts) // 5)]
    for tagger in taggers.values():
        tagger(few)
    tries = {size: timed(lambda: rival(few, batch_size=size)) for size in BATCH_SIZES}  # noqa: B023
    best = max(tries, key=tries.get)
    sides = {
        "pipeline as it comes": lambda: rival(texts),
        f"pipeline, batches of {best}": lambda: rival(texts, batch_size=best),
        **{f"Tagger {d}": (lambda t=t: t(texts)) for d, t in taggers.items()},
    }
    speeds = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, run in sides.items():
            speeds[name].append(timed(run))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    lone, batched = list(medians.values())[:2]

    print(f"{machine(options.device)}; {time.strftime('%Y-%m-%d')}")
    print(f"{len(texts)} texts of {num_words / len(texts):.1f} words, {options.rounds} rounds")
    print(f"{'':28}{'words/s':>9}{'spread':>16}{'x as it comes':>15}{'x at its best':>15}")
    for name, median in medians.items():
        spread = f"{min(speeds[name]):.0f}-{max(speeds[name]):.0f}"
        print(f"{name:28}{median:9.0f}{spread:>16}{median / lone:15.2f}{median / batched:15.2f}")
    for dtype, goals in GOALS.items():
        reached = [medians[f"Tagger {dtype}"] / rival for rival in (lone, batched)]
        met = all(ratio >= goal for ratio, goal in zip(reached, goals, strict=True))
        print(f"goal {dtype}: {goals[0]} and {goals[1]}: {'met' if met else 'missed'}")
    print_limits(options, texts, taggers["fp32"], medians)
    print_differences(options, texts, taggers, rival)


def sample_texts(count: int) -> list[str]:
    """Sentences of the embedded corpus, joined by spaces, over and over if need be."""
    from corpus.formats import columns
    from corpus.formats.sentence import Wanted
    from corpus.formats.text import text_lines
    from corpus.problems import Problems

    path = ROOT / "data" / "sample" / "train.conll"
    problems = Problems()
    opened = columns.open_columns(text_lines(path, problems), Wanted(), problems, str(path))
    texts = [" ".join(sentence.words) for sentence in opened.sentences]
    return (texts * (count // len(texts) + 1))[:count]


def count_words(texts: list[str]) -> int:
    from corpus.words import split_words

    return sum(len(split_words(text)) for text in texts)


def machine(device: str) -> str:
    import torch

    if device != "cpu":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0].partition(":")[2].strip() if names else model
    return f"{model}, {torch.get_num_threads()} threads, torch {torch.__version__}"


# --- The arithmetic limit ---------------------------------------------------------------------


def print_limits(options, texts: list[str], tagger, medians: dict[str, float]) -> None:
    """What the matrix products of the texts' sub-words alone would take."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(options.model)
    size, layers = config.hidden_size, config.num_hidden_layers
    lengths = [
        len(ids) for ids in tagger_lengths(tagger, texts)
    ]  # with [CLS] and [SEP], which the network computes too
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
            f"MFLOP a word: at most {limit:.0f} words/s, of which {reached:.0%} are reached"
        )


def tagger_lengths(tagger, texts: list[str]):
    import common
    from corpus import words as words_module

    sentences = [[word for word, _, _ in words_module.split_words(text)] for text in texts]
    for _, columns, _ in common.encode(sentences, tagger.tokenizer, tagger.max_length):
        yield columns["input_ids"]


def matrix_rate(dtype, device: str) -> float:
    """FLOP/s of a large matrix product, the best of several."""
    import torch

    size = 2048 if device == "cpu" else 8192
    left = torch.randn(size, size, dtype=dtype, device=device)
    times = []
    for _ in range(8):
        started = time.perf_counter()
        left @ left
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


# --- The same work ----------------------------------------------------------------------------


def print_differences(options, texts: list[str], taggers: dict, rival) -> None:
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
    print(f"{total} entities in fp32; {unlike(ours, single)} differ from batches of one")
    rough = spans(taggers["bf16"](texts))
    kept = sum(len(a & b) for a, b in zip(ours, rough, strict=True))
    added = sum(map(len, rough)) - kept
    print(f"bf16 has {kept / max(total, 1):.2%} of them, and {added} others")

    kinds = Counter()
    for text, own, found in zip(texts, ours, rival(texts), strict=True):
        theirs = {(e["entity_group"], e["start"], e["end"]) for e in found}
        words = split_words(text)
        starts, ends = {word[1] for word in words}, {word[2] for word in words}
        kinds["equal"] += len(own & theirs)
        for kind, start, end in theirs - own:
            kinds[difference(kind, start, end, own, starts, ends)] += 1
        taken = [(start, end) for _, start, end in theirs]
        kinds["only Tagger's"] += sum(
            not any(s < end and start < e for s, e in taken) for _, start, end in own - theirs
        )
    print(f"the pipeline's {sum(kinds.values()) - kinds[NOT_THEIRS]} entities against ours:")
    for kind, count in kinds.most_common():
        print(f"  {count:6} {kind}")


NOT_THEIRS = "only Tagger's"


def difference(kind: str, start: int, end: int, own: set, starts: set, ends: set) -> str:
    """Why an entity of the pipeline is none of ours."""
    if start not in starts or end not in ends:
        return "cut inside a word: it tags sub-words, we tag words"
    if any((start, end) == (s, e) for _, s, e in own):
        return "of another type: later sub-words of a word weigh in"
    if any(s < end and start < e for _, s, e in own):
        return "with other bounds"
    return "only the pipeline's"


def unlike(one: list[set], other: list[set]) -> int:
    return sum(len(a ^ b) for a, b in zip(one, other, strict=True))


if __name__ == "__main__":
    main()
