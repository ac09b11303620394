"""`Tagger` against transformers' `pipeline`: models, speeds, limits and differences (infer.py)."""

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from encoders import NAMES, check_folder, operations, save_random_classifier
from machine import synchronize

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
BATCH_SIZES = (4, 8, 16, 32, 64, 128)  # of the pipeline
DEFAULTS = "pipeline, defaults"


class Side(NamedTuple):
    """One side of the comparison."""

    precision: str
    run: Callable[[list[str]], list]  # texts to results


def find_classifier(name: str, folder: Path, parser) -> str:
    """Return the folder of a model; one of `NAMES` gets a random head and is saved in `folder`."""
    if name not in NAMES:
        check_folder(name, parser)
        return name
    corpus = sample_corpus()
    sentences = corpus.splits["validation"]["tokens"][:64]
    save_random_classifier(name, folder, sentences, corpus.label_names)
    return str(folder)


def precisions(rates: dict[str, float]) -> list[str]:
    """Return the precisions to try: bf16 only where it is faster than fp32."""
    return ["fp32", "bf16"] if rates["bf16"] > rates["fp32"] else ["fp32"]


def load_taggers(model: str, dtypes: list[str], options: dict) -> dict:
    """Return a tagger for each precision."""
    from tagging.tagger import Tagger

    return {dtype: Tagger(model, dtype=dtype, decode="argmax", **options) for dtype in dtypes}


def load_pipelines(model: str, device: str) -> dict:
    """Return pipelines by precision: fp32, and on a GPU bf16 and fp16 too."""
    import torch
    from transformers import pipeline

    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return {
        name: pipeline(
            "token-classification",
            model,
            aggregation_strategy="simple",
            device=device,
            dtype=dtype,
        )
        for name, dtype in dtypes.items()
        if name == "fp32" or device != "cpu"
    }


# --- Speed ------------------------------------------------------------------------------------


def measure(
    taggers: dict, rivals: dict, texts: list[str], rounds: int, device: str
) -> tuple[dict[str, list[float]], dict[str, Side]]:
    """Return the words/s of each side in each round, and the sides, by name."""
    num_words = count_words(texts)

    def speed(run, texts: list[str], num_words: int) -> float:
        synchronize(device)
        began = time.perf_counter()
        run(texts)
        synchronize(device)
        return num_words / (time.perf_counter() - began)

    fewer_texts = texts[: max(200, len(texts) // 5)]
    sides = {DEFAULTS: Side("fp32", rivals["fp32"])}
    for precision, rival in rivals.items():
        rival(fewer_texts[:50])  # so that the first batch size is not measured cold
        tries = {
            size: speed(lambda t, r=rival, n=size: r(t, batch_size=n), fewer_texts, 1)
            for size in BATCH_SIZES
        }
        best = max(tries, key=tries.get)
        name = f"pipeline {precision}, batches of {best}"
        sides[name] = Side(precision, lambda t, r=rival, n=best: r(t, batch_size=n))
    for precision, tagger in taggers.items():
        tagger(fewer_texts)
        sides[f"Tagger {precision}"] = Side(precision, tagger)
    speeds = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            speeds[name].append(speed(side.run, texts, num_words))
    return speeds, sides


def print_table(
    speeds: dict[str, list[float]], sides: dict[str, Side], limits: dict[str, float]
) -> None:
    """Print the speeds, their ratios to each pipeline, and their share of the limits.

    `limits`: words/s by precision.
    """
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    rivals = [name for name in sides if name.startswith("pipeline")]
    headings = ["", "words/s", "lowest, highest", *(f"ratio to {name}" for name in rivals)]
    print(f"| {' | '.join([*headings, 'of the limit'])} |")
    print(f"|{' --- |' * (len(headings) + 1)}")
    for name, side in sides.items():
        values = speeds[name]
        cells = [name, f"{medians[name]:.0f}", f"{min(values):.0f}, {max(values):.0f}"]
        cells += [f"{medians[name] / medians[rival]:.2f}" for rival in rivals]
        limit = limits.get(side.precision)
        cells += [f"{medians[name] / limit:.0%}" if limit else "-"]
        print(f"| {' | '.join(cells)} |")


# --- Texts ------------------------------------------------------------------------------------


def sample_corpus():
    """Return the embedded corpus."""
    from corpus.load import load_corpus
    from settings.run_settings import CorpusSettings

    return load_corpus(CorpusSettings(sample=True))


def sample_texts(count: int) -> list[str]:
    """Return sentences of the embedded corpus, joined by spaces, repeated to reach `count`."""
    texts = [" ".join(tokens) for tokens in sample_corpus().splits["train"]["tokens"]]
    return (texts * (count // len(texts) + 1))[:count]


def count_words(texts: list[str]) -> int:
    """Return the number of words, as the tagger splits them."""
    from corpus.words import split_words

    return sum(len(split_words(text)) for text in texts)


# --- The arithmetic limit ---------------------------------------------------------------------


def limits(model: str, tagger, texts: list[str], rates: dict[str, float]) -> dict[str, float]:
    """Return the words/s that the matrix products alone would allow, by precision."""
    work = operations(model, window_lengths(tagger, texts)) / count_words(texts)
    return {precision: rate / work for precision, rate in rates.items()}


def print_limits(limits: dict[str, float], rates: dict[str, float]) -> None:
    """Print the rates of matrix products and the limits that they set, by precision."""
    for precision, limit in limits.items():
        print(
            f"A matrix product in {precision}: {rates[precision] / 1e9:.0f} GFLOP/s; "
            f"this rate alone would allow {limit:.0f} words/s."
        )


def window_lengths(tagger, texts: list[str]) -> list[int]:
    """Return the number of tokens of each window, with [CLS] and [SEP]."""
    import common
    from corpus.words import split_words

    sentences = [[word for word, _, _ in split_words(text)] for text in texts]
    encoded = common.encode(sentences, tagger.tokenizer, tagger.max_length)
    return [len(columns["input_ids"]) for _, columns, _ in encoded]


# --- Differences in the results ---------------------------------------------------------------


def print_differences(model: str, texts: list[str], taggers: dict, rival, device: str) -> None:
    """Print how the entities differ by batch size, by precision, and from the pipeline's."""
    from corpus.words import split_words
    from tagging.tagger import Tagger

    def spans(results) -> list[set]:
        return [
            {(e["entity_group"], e["start"], e["end"]) for e in result["entities"]}
            for result in results
        ]

    ours = spans(taggers["fp32"](texts))
    single = spans(Tagger(model, device=device, batch_tokens=1, decode="argmax")(texts))
    total = sum(map(len, ours))
    num_different = sum(len(a ^ b) for a, b in zip(ours, single, strict=True))
    print(f"{total} entities in fp32; {num_different} differ from batches of one")
    if "bf16" in taggers:
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
