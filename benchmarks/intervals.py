"""Measure the coverage of the 95 % intervals of scores: `python benchmarks/intervals.py`.

Corpora are drawn from a model of entities and errors whose true scores are known. Each document
and each sentence has a difficulty, which decides the number of entities, of errors of each kind,
and of spurious entities. An error is an entity that is missed, has another type or wrong
boundaries, or is cut in two. So errors are correlated within sentences and documents. For each
corpus, the intervals are computed as in a run; the table has the share that contains the true
score. Two other methods are shown for F1: the plain percentile bootstrap and BCa.
"""

import argparse
import datetime
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scoring.intervals import score_intervals
from scoring.resampling import RESAMPLES, UnitCounts

Z = NormalDist().inv_cdf(0.975)
SIZES = (50, 500, 5000)  # gold entities of a corpus
DOCUMENTS = {50: 20, 500: 25, 5000: 60}  # few: coverage is most difficult with few documents
LEVELS = {"low": 1.5, "middle": 3.0, "high": 4.5}  # log odds of a correct entity
SHARES = np.array([0.6, 0.3, 0.1])  # of the types
ENTITIES = 0.8  # in a sentence
ERRORS = [0.4, 0.2, 0.3, 0.1]  # missed, wrong type, wrong boundaries, cut in two
TAG_SHARES = 1 / np.arange(1, 13) / (1 / np.arange(1, 13)).sum()  # of twelve plain tags
WORDS = 15  # of a sentence with plain tags


@dataclass(frozen=True)
class Population:
    """An unlimited population of texts, with the errors of a model.

    `level`: the log odds that an entity of the first type is found, in a sentence of mean
    difficulty. `documents`: of a corpus; None for sentences without documents. The standard
    deviations of the difficulty are those of log odds.
    """

    level: float
    documents: int | None
    of_documents: float = 0.7
    of_sentences: float = 0.7

    def draw(self, rng: np.random.Generator, sentences: int) -> UnitCounts:
        """Return the counts of a corpus of about this number of sentences."""
        difficulty, unit = self._difficulty(rng, sentences)
        clusters = rng.gamma(1.0, 1.0, len(unit))  # some sentences have many entities
        entities = rng.poisson(clusters * self._rate(difficulty))
        owner = np.repeat(np.arange(len(unit)), entities)
        kind = rng.choice(len(SHARES), len(owner), p=SHARES)
        right = rng.random(len(owner)) < self._found(kind, difficulty[owner])
        error = rng.choice(len(ERRORS), len(owner), p=ERRORS)
        spurious = np.repeat(np.arange(len(unit)), rng.poisson(self._spurious(difficulty)))
        table = np.zeros((unit.max() + 1, len(SHARES), 3), np.int64)
        np.add.at(table, (unit[owner], kind, 2), 1)
        np.add.at(table, (unit[owner[right]], kind[right], 0), 1)
        predicted = np.where(right, 1, np.array([0, 0, 1, 2])[error])
        np.add.at(table, (unit[owner], kind, 1), predicted)
        other = ~right & (error == 1)
        np.add.at(table, (unit[owner[other]], (kind[other] + 1) % len(SHARES), 1), 1)
        kinds = rng.choice(len(SHARES), len(spurious), p=SHARES)
        np.add.at(table, (unit[spurious], kinds, 1), 1)
        return unit_counts(table)

    def true_scores(self) -> np.ndarray:
        """Return precision, recall and F1 of each type, then of all: (types + 1, 3)."""
        totals = self._expected()
        return scores_of(np.vstack([totals, totals.sum(0)]))

    def sentences_of(self, entities: int) -> int:
        """Return the number of sentences that have this number of gold entities on average."""
        return round(entities / self._expected()[:, 2].sum())

    def _expected(self) -> np.ndarray:
        """Return the expected counts of a sentence: (types, 3), by quadrature."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        difficulty = nodes * np.hypot(self.of_documents, self.of_sentences)
        weights = weights / weights.sum()
        kinds = np.arange(len(SHARES))[:, None]
        gold = SHARES[:, None] * self._rate(difficulty)
        correct = gold * self._found(kinds, difficulty)
        wrong = gold - correct
        predicted = correct + wrong * (ERRORS[2] + 2 * ERRORS[3])
        predicted += np.roll(wrong, 1, axis=0) * ERRORS[1]
        predicted += SHARES[:, None] * self._spurious(difficulty)
        return np.stack([correct, predicted, gold], axis=-1).transpose(0, 2, 1) @ weights

    def _difficulty(
        self, rng: np.random.Generator, sentences: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the difficulty of each sentence, and its unit: its document, or itself."""
        if self.documents is None:
            unit = np.arange(sentences)
        else:
            lengths = 1 + rng.poisson(max(sentences / self.documents - 1, 0), self.documents)
            unit = np.repeat(np.arange(self.documents), lengths)
        of_unit = rng.normal(0, self.of_documents, unit.max() + 1)[unit]
        return of_unit + rng.normal(0, self.of_sentences, len(unit)), unit

    def _rate(self, difficulty: np.ndarray) -> np.ndarray:
        return ENTITIES * np.exp(0.2 * difficulty)

    def _found(self, kind: np.ndarray, difficulty: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(difficulty + 0.5 * kind - self.level))

    def _spurious(self, difficulty: np.ndarray) -> np.ndarray:
        return 0.12 * np.exp(0.5 * difficulty - (self.level - 1.5) / 1.3)


@dataclass(frozen=True)
class TaggedPopulation:
    """An unlimited population of sentences with plain tags; see `Population`."""

    level: float
    of_sentences: float = 0.7

    def draw(self, rng: np.random.Generator, sentences: int) -> UnitCounts:
        """Return the counts of a corpus of this number of sentences."""
        lengths = 1 + rng.poisson(WORDS - 1, sentences)
        owner = np.repeat(np.arange(sentences), lengths)
        difficulty = rng.normal(0, self.of_sentences, sentences)[owner]
        gold = rng.choice(len(TAG_SHARES), len(owner), p=TAG_SHARES)
        right = rng.random(len(owner)) < self._found(gold, difficulty)
        predicted = np.where(right, gold, (gold + 1) % len(TAG_SHARES))
        table = np.zeros((sentences, len(TAG_SHARES), 3), np.int64)
        for column, (rows, tags) in enumerate(
            ((owner[right], gold[right]), (owner, predicted), (owner, gold))
        ):
            np.add.at(table, (rows, tags, column), 1)
        return unit_counts(table)

    def true_scores(self) -> np.ndarray:
        """Return accuracy and macro F1."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        found = self._found(np.arange(len(TAG_SHARES))[:, None], nodes * self.of_sentences)
        correct = TAG_SHARES * (found @ weights / weights.sum())
        predicted = correct + np.roll(TAG_SHARES - correct, 1)
        f1 = 2 * correct / (predicted + TAG_SHARES)
        return np.array([correct.sum(), f1.mean()])

    def _found(self, tag: np.ndarray, difficulty: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(difficulty + 0.2 * tag - self.level))


def unit_counts(table: np.ndarray) -> UnitCounts:
    """Return counts by unit and type, (units, types, 3), as a sparse table."""
    units, types = np.nonzero(table.any(-1))
    cells = np.column_stack([units, types, table[units, types]]).astype(np.int32)
    names = [f"type {n}" for n in range(table.shape[1])]
    return UnitCounts("unit", len(table), names, cells)


def scores_of(totals: np.ndarray) -> np.ndarray:
    """Return precision, recall and F1 of counts: (..., 3)."""
    correct, predicted, gold = np.moveaxis(totals, -1, 0)
    ratios = (correct, predicted), (correct, gold), (2 * correct, predicted + gold)
    return np.stack([top / np.maximum(bottom, 1e-9) for top, bottom in ratios], axis=-1)


# --- Other methods ----------------------------------------------------------------------------


def rival_intervals(counts: UnitCounts, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the intervals of F1 over all types by other methods.

    They are the percentile bootstrap of units, and BCa (Efron 1987) with the same resamples.
    """
    table = counts.dense(0, counts.size).sum(1)
    table = table[table.any(1)]  # other units have no influence
    drawn = rng.integers(0, len(table), (RESAMPLES, len(table)))
    drawn += len(table) * np.arange(RESAMPLES)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
    resampled = scores_of(weights.astype(float) @ table)[:, 2]
    normal = NormalDist()
    f1 = scores_of(table.sum(0))[2]
    below = np.mean(resampled < f1) + np.mean(resampled == f1) / 2
    bias = normal.inv_cdf(min(max(below, 0.001), 0.999))
    left_out = scores_of(table.sum(0) - table)[:, 2]
    gaps = left_out.mean() - left_out
    acceleration = (gaps**3).sum() / max(6 * (gaps**2).sum() ** 1.5, 1e-12)
    ends = [bias + (bias + z) / (1 - acceleration * (bias + z)) for z in (-Z, Z)]
    return {
        "percentile": np.quantile(resampled, [0.025, 0.975]),
        "BCa": np.quantile(resampled, [normal.cdf(end) for end in ends]),
    }


# --- Coverage ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coverage:
    """The share of corpora whose interval contains the true score, and its mean width.

    `held`: (types + 1, 3), shares of corpora; the last row is over all types.
    """

    held: np.ndarray
    width: float  # of F1 over all types
    rivals: dict[str, float]  # of F1 over all types


def coverage(
    population: Population, entities: int, corpora: int, seed: int = 0, rivals: bool = True
) -> Coverage:
    """Return the coverage of the intervals of drawn corpora."""
    rng = np.random.default_rng(seed)
    truth, sentences = population.true_scores(), population.sentences_of(entities)
    held, width, held_by_rivals = np.zeros(truth.shape), 0.0, Counter[str]()
    for _ in range(corpora):
        counts = population.draw(rng, sentences)
        intervals = score_intervals(counts)
        ends = np.concatenate([intervals.by_type, intervals.overall[None]])
        held += (ends[..., 0] <= truth) & (truth <= ends[..., 1])
        width += ends[-1, 2, 1] - ends[-1, 2, 0]
        for name, (low, high) in (rival_intervals(counts, rng) if rivals else {}).items():
            held_by_rivals[name] += bool(low <= truth[-1, 2] <= high)
    shares = {name: number / corpora for name, number in held_by_rivals.items()}
    return Coverage(held / corpora, width / corpora, shares)


def tag_coverage(
    population: TaggedPopulation, words: int, corpora: int, seed: int = 0
) -> np.ndarray:
    """Return the coverage of the intervals of accuracy and macro F1."""
    rng = np.random.default_rng(seed)
    truth, held = population.true_scores(), np.zeros(2)
    for _ in range(corpora):
        counts = population.draw(rng, round(words / WORDS))
        intervals = score_intervals(counts)
        ends = np.stack([intervals.overall[0], intervals.macro_f1])
        held += (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    return held / corpora


# --- The tables -------------------------------------------------------------------------------


def main() -> None:
    """Print a table of entity tags and one of plain tags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", type=int, default=1000, help="corpora drawn for each row")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="gold entities")
    options = parser.parse_args()
    print(f"{datetime.date.today()}: python {shlex.join(sys.argv)}\n")
    print("| entities | units | true F1 | precision | recall | F1 | F1 of the rarest type ", end="")
    print("| width of F1 | percentile | BCa |\n| --- | --- |" + " --- |" * 8)
    for row in entity_rows(options.sizes, options.corpora):
        print(f"| {' | '.join(row)} |", flush=True)
    print("\n| words | true accuracy | true macro F1 | accuracy | macro F1 |")
    print("| --- | --- | --- | --- | --- |")
    for words in options.sizes:
        for level in (2.0, 4.0):
            population = TaggedPopulation(level)
            truth = [f"{score:.3f}" for score in population.true_scores()]
            held = [percent(share) for share in tag_coverage(population, words, options.corpora)]
            print(f"| {' | '.join([str(words), *truth, *held])} |", flush=True)


def entity_rows(sizes: list[int], corpora: int) -> Iterator[list[str]]:
    """Yield the cells of each row of the table of entity tags."""
    populations = (
        (entities, Population(level, documents))
        for entities in sizes
        for documents in (None, DOCUMENTS.get(entities, 20))
        for level in LEVELS.values()
    )
    for seed, (entities, population) in enumerate(populations):
        result = coverage(population, entities, corpora, seed)
        units = f"{population.documents} documents" if population.documents else "sentences"
        yield [
            *(str(entities), units, f"{population.true_scores()[-1, 2]:.3f}"),
            *map(percent, result.held[-1]),
            *(percent(result.held[-2, 2]), f"{result.width:.3f}"),
            *map(percent, result.rivals.values()),
        ]


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
