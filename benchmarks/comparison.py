"""Measure the coverage of the intervals of `compare.py`: `python benchmarks/comparison.py`.

Two models tag simulated corpora. Each document has a difficulty, which both models share, and each
model has a random deviation in each document. Some entities are spurious. The second model is as
good as the first, or better. The table has the share of the intervals of F1 that contain the true
difference, and the share of p values of at most 0.05: with equal models, at most 5 %.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scoring.comparison import PairedCounter
from support.terminal import table_text

SIZES = ((20, 5), (50, 10), (300, 3))  # documents, and mean entities of a document
GAINS = (0.0, 0.05)  # of the second model's chance to find an entity
# Mean chance to find an entity, similarity of documents, spread of a model's deviations.
FOUND, SAME, DAYS = 0.75, 8.0, 0.08
SPURIOUS = 0.1  # for each gold entity


def draw(rng: np.random.Generator, documents: int, entities: int, gain: float) -> np.ndarray:
    """Return the counts of both models in each document: (documents, 2, 3)."""
    gold = rng.poisson(entities, documents)
    difficulty = rng.beta(FOUND * SAME, (1 - FOUND) * SAME, documents)
    counts = []
    for added in (0.0, gain):
        chance = np.clip(difficulty + added + rng.normal(0, DAYS, documents), 0, 1)
        correct = rng.binomial(gold, chance)
        counts.append(np.stack([correct, correct + rng.poisson(SPURIOUS * gold), gold], -1))
    return np.stack(counts, 1)


def tags_of(row: np.ndarray) -> tuple[list[str], list[str], list[str]]:
    """Return gold tags and the tags of both models of a document with these counts.

    All entities have one word: first the gold ones, then room for the spurious ones.
    """
    gold = int(row[0, 2])
    room = int((row[:, 1] - row[:, 0]).max())
    sides = []
    for correct, predicted, _ in row.tolist():
        missed, spurious = gold - correct, predicted - correct
        tags = ["B-X"] * correct + ["O"] * missed + ["B-X"] * spurious
        sides.append(tags + ["O"] * (gold + room - len(tags)))
    return ["B-X"] * gold + ["O"] * room, sides[0], sides[1]


def true_difference(gain: float, entities: int) -> float:
    """Return the difference of F1 on a corpus of a million documents."""
    correct, predicted, gold = draw(np.random.default_rng(0), 10**6, entities, gain).sum(0).T
    f1 = 2 * correct / (predicted + gold)
    return float(f1[1] - f1[0])


def main() -> None:
    """Simulate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpora", type=int, default=500, help="of each size and difference")
    arguments = parser.parse_args()
    rng = np.random.default_rng(20)
    rows = []
    for documents, entities in SIZES:
        for gain in GAINS:
            truth = true_difference(gain, entities)
            held = significant = 0
            for _ in range(arguments.corpora):
                counter = PairedCounter((1, 1), entity_tags=True)
                for number, row in enumerate(draw(rng, documents, entities, gain)):
                    gold, *sides = tags_of(row)
                    counter.add(gold, sides, number)
                main = counter.compare(resamples=500, shuffles=199).main
                held += main.low <= truth <= main.high
                significant += main.p_value <= 0.05
            shares = [f"{count / arguments.corpora:.3f}" for count in (held, significant)]
            rows.append([str(documents), str(entities), f"{truth:+.4f}", *shares])
    head = ["documents", "entities each", "true difference", "coverage", "p <= 0.05"]
    print(table_text(head, rows))


if __name__ == "__main__":
    main()
