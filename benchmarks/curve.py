"""Check the learning curves of `study.py curve` against scores that they have not seen.

    NER_CORPORA=... python benchmarks/curve.py --results FOLDER       # 20 cases; can be resumed
    python benchmarks/curve.py --results FOLDER --report              # of the cases there
    python benchmarks/curve.py --results FOLDER --frozen --seeds 10   # without fine-tuning
    python benchmarks/curve.py --simulate 300                         # simulated curves

A case is a part of a corpus: 480 training sentences and 300 test sentences, of other documents,
drawn with a seed of its own. It is trained on an eighth, a quarter, a half and all of the training
sentences, as `study.py curve` draws them, for an equal number of steps. The curve is fitted to the
first three scores. The table has the share of cases where the score of all lies inside the 95 %
interval that the curve gives for a run on twice the data, and the width of this interval.

With `--frozen`, the models are not fine-tuned: they are those of `frozen.py`. That takes seconds
for a case, not minutes.

Simulated curves are power laws, as the fit assumes, and curves that it does not assume: exponential
ones, and logarithmic ones. Their noise is normal, with a standard deviation of 0.01 or 0.02 at the
whole; smaller shares have more.
"""

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import describe

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from corpus.folds import growing_shares
from corpus.load import load_corpus
from results.study_files import LabelledSentence, sentences_of, write_sentences
from scoring.learning_curve import Estimate, fit_curve
from scoring.scores import score_tags
from settings.defaults import embedded_encoder
from settings.run_settings import CorpusSettings
from support.files import write_json

ROOT = Path(__file__).resolve().parent.parent
CORPORA = {  # training and test files; documents of one file if there is only one
    "sample": ("train.conll", "test.conll"),
    "wikigold": ("wikigold.conll.txt",),
    "wnut17": ("wnut17train.conll", "emerging.test.annotated"),
    "sec": ("FIN5.txt", "FIN3.txt"),
}
SEEDS = 5
SIZES = {"train": 480, "test": 300}  # sentences
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
STEPS, FROZEN_STEPS = 120, 300
NOISES = (0.01, 0.02)


def main() -> None:
    """Read the command line, make the cases or the simulation, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, help="folder of the results of the cases")
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=[*CORPORA])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds 0 to N - 1 (default: 5)")
    parser.add_argument("--report", action="store_true", help="report on the cases that exist")
    parser.add_argument("--frozen", action="store_true", help="models on a frozen encoder")
    parser.add_argument("--simulate", type=int, metavar="N", help="N curves of each kind")
    options = parser.parse_args()
    if options.simulate:
        simulate(options.simulate)
        return
    if not options.results:
        parser.error("--results is required: a folder for the results")
    if not os.environ.get("NER_CORPORA") and {*options.corpora} != {"sample"}:
        parser.error("NER_CORPORA is not set: expected the folder of the corpora")
    options.results.mkdir(parents=True, exist_ok=True)
    results = []
    for seed, name in itertools.product(range(options.seeds), options.corpora):
        path = options.results / f"{name}-{seed}{'-frozen' * options.frozen}.json"
        if not path.exists() and not options.report:
            began = time.time()
            scores = make_case(name, seed, options.frozen)
            write_json(path, {"corpus": name, "seed": seed, "scores": scores})
            print(f"{path.stem}: {(time.time() - began) / 60:.1f} minutes", flush=True)
        if path.exists():
            results.append(json.loads(path.read_text("utf-8")))
    print(f"\n{describe()}\n")
    print_cases(results)


# --- Cases --------------------------------------------------------------------------------------


def make_case(name: str, seed: int, frozen: bool) -> list[float]:
    """Return the F1 on the test sentences of a model trained on each share."""
    parts = parts_of(name, random.Random(seed))
    pairs = [(sentence.words, sentence.place.document) for sentence in parts["train"]]
    train = train_frozen if frozen else fine_tune
    return train(name, seed, parts, growing_shares(pairs, SHARES, seed))


def train_frozen(
    name: str, seed: int, parts: dict[str, list[LabelledSentence]], shares: list[list[bool]]
) -> list[float]:
    """Return the F1 of models on a frozen encoder; `shares`: the members of each share."""
    from frozen import FrozenTagger

    labels = sorted({tag for part in parts.values() for row in part for tag in row.tags})
    gold, scores = [row.tags for row in parts["test"]], []
    for members in shares:
        rows = [*itertools.compress(parts["train"], members)]
        words, tags = [row.words for row in rows], [row.tags for row in rows]
        tagger = FrozenTagger(words, tags, labels, FROZEN_STEPS, seed)
        predicted = [tags for tags, _ in tagger.predict([row.words for row in parts["test"]])]
        scores.append(score_tags(gold, predicted, True)["overall"]["f1"])
    return scores


def fine_tune(
    name: str, seed: int, parts: dict[str, list[LabelledSentence]], shares: list[list[bool]]
) -> list[float]:
    """Return the F1 of models that are fine-tuned; `shares`: the members of each share."""
    scores: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        files = {part: Path(folder, f"{part}.jsonl") for part in parts}
        write_sentences(files["test"], parts["test"])
        labels = sorted({tag for part in parts.values() for row in part for tag in row.tags})
        Path(folder, "labels.txt").write_text("\n".join(labels), "utf-8")
        for members in shares:
            write_sentences(files["train"], itertools.compress(parts["train"], members))
            output = Path(folder, f"run{len(scores)}")
            flags = {
                "train_file": files["train"],
                "test_file": files["test"],
                "label_names": Path(folder, "labels.txt"),
                "text_column_name": "tokens",
                "label_column_name": "labels",
                "tag_scheme": "iob2",
                "model_name_or_path": embedded_encoder(),
                "max_steps": STEPS,
                "per_device_train_batch_size": 8,
                "learning_rate": 2e-4,
                "seed": seed,
                "checkpointing_steps": "no",
                "output_dir": output,
            }
            command = [sys.executable, ROOT / "train_accelerate.py", "--do_train", "--do_predict"]
            command += [part for key, value in flags.items() for part in (f"--{key}", value)]
            done = subprocess.run([*map(str, command)], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{name}, seed {seed}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
            results = json.loads((output / "predict_results.json").read_text("utf-8"))
            scores.append(results["predict_f1"])
    return scores


def parts_of(name: str, rng: random.Random) -> dict[str, list[LabelledSentence]]:
    """Return training and test sentences of a corpus, drawn by documents where it has many."""
    folder = ROOT / "data" / "sample"
    if name != "sample":
        folder = Path(os.environ["NER_CORPORA"], name)
    pools = [list(sentences_of_file(folder / file)) for file in CORPORA[name]]
    if len(pools) == 1:
        documents = sorted({row.place.document or "" for row in pools[0]})
        tested = {*rng.sample(documents, len(documents) // 4)}
        pools = [
            [row for row in pools[0] if ((row.place.document or "") in tested) == is_test]
            for is_test in (False, True)
        ]
    return {
        part: rng.sample(pool, min(SIZES[part], len(pool)))
        for part, pool in zip(SIZES, pools, strict=True)
    }


def sentences_of_file(path: Path) -> Iterator[LabelledSentence]:
    """Yield the sentences of a labelled file."""
    corpus = load_corpus(CorpusSettings(train_file=(str(path),), hold_out=False))
    yield from sentences_of(corpus, "train")


class Check(NamedTuple):
    """A score that a curve has not seen, and the interval that it gives."""

    score: float
    estimate: Estimate

    @property
    def is_inside(self) -> bool:
        """Return whether the score lies inside the interval."""
        return self.estimate.low <= self.score <= self.estimate.high

    @property
    def width(self) -> float:
        """The width of the interval."""
        return self.estimate.high - self.estimate.low


def check(scores: list[float]) -> Check:
    """Fit a curve to the scores of all shares but the last, which is twice the one before."""
    shares = [share / SHARES[-2] for share in SHARES]
    return Check(scores[-1], fit_curve(shares[:-1], scores[:-1]).score_at(shares[-1]))


def print_cases(results: list[dict]) -> None:
    """Print the cases, and the share of them inside their intervals."""
    heads = ["corpus", "seed", *(f"F1 at {share:g}" for share in SHARES)]
    print("|", " | ".join([*heads, "interval at 1", "inside"]), "|")
    print("|" + " --- |" * (len(heads) + 2))
    checks = []
    for result in sorted(results, key=lambda row: (row["corpus"], row["seed"])):
        checks.append(check(result["scores"]))
        _, low, high = checks[-1].estimate
        cells = [result["corpus"], str(result["seed"]), *(f"{s:.3f}" for s in result["scores"])]
        is_inside = "yes" if checks[-1].is_inside else "no"
        print("|", " | ".join([*cells, f"{low:.3f} to {high:.3f}", is_inside]), "|")
    if checks:
        inside = sum(each.is_inside for each in checks)
        widths = [each.width for each in checks]
        error = np.mean([abs(each.score - each.estimate.median) for each in checks])
        print(f"\n{inside} of {len(checks)} inside ({100 * inside / len(checks):.0f} %)")
        print(f"width: median {np.median(widths):.3f}, from {min(widths):.3f} to {max(widths):.3f}")
        print(f"mean distance of the score from the median of its estimate: {error:.3f}")


# --- Simulation ---------------------------------------------------------------------------------


def simulate(number: int) -> None:
    """Print the share of simulated curves whose next score lies inside its interval."""
    print("| curve | noise | inside | median width |\n| --- | --- | --- | --- |")
    for (name, draw), noise in itertools.product(FAMILIES.items(), NOISES):
        rng = np.random.default_rng(0)
        checks = []
        for _ in range(number):
            shares = np.array(SHARES)
            scores = draw(rng, shares) + rng.standard_normal(len(shares)) * noise / shares**0.5
            checks.append(check(scores.clip(0, 1).tolist()))
        inside = np.mean([each.is_inside for each in checks])
        width = np.median([each.width for each in checks])
        print(f"| {name} | {noise} | {100 * inside:.0f} % | {width:.3f} |", flush=True)


def power_law(rng: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """Return scores that approach a ceiling as a power of the size."""
    ceiling, drop = rng.uniform(0.7, 0.95), rng.uniform(0.05, 0.2)
    return ceiling - drop * shares ** -rng.uniform(0.2, 0.8)


def exponential(rng: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """Return scores that approach a ceiling exponentially."""
    return rng.uniform(0.6, 0.95) - rng.uniform(0.2, 0.5) * np.exp(-rng.uniform(1, 6) * shares)


def logarithm(rng: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """Return scores that grow by the same amount whenever the data double."""
    return rng.uniform(0.6, 0.9) + rng.uniform(0.01, 0.06) * np.log2(shares)


FAMILIES = {"power law": power_law, "exponential": exponential, "logarithm": logarithm}

if __name__ == "__main__":
    main()
