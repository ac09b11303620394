"""Compare ways to score an entity by the calibration of the scores.

    for seed in 0 1 2; do python train_trainer.py --sample --seed $seed --output_dir s$seed; done
    python benchmarks/calibration.py --models s0 s1 s2 \
        --validation data/sample/validation.conll --test data/sample/test.conll

The models decode legal sequences. Each way to score has a calibration, fitted to the entities that
a model predicts in the validation file: a temperature, an offset of the log odds, or both, as in
the suite. The expected calibration error (ECE) on the test file is printed without and with it, as
the mean over the models and the largest distance from it, then the mean log loss with both. The
last column is the ECE of scores that are true probabilities: labels are drawn from the scores.
Predicted entities of types that a file does not have are left out.

tags: the mean probability of the entity's tags, without legal sequences. margin: the difference in
log probability between the best sequence and the best one without the entity, as a probability
(logistic function). entity: the entity's probability among all legal sequences, as in the suite.

A second table has operating points, chosen on the validation file and scored on the test file. A
third has those with a bias on O alone.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import describe
from scipy.optimize import minimize_scalar

from scoring.decoding import entity_spans, legal_transitions, sequence_probabilities
from scoring.word_predictions import Calibration, OperatingPoint, WordPredictions, logit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from corpus.load import load_corpus
from encoder.batches import words_of_sentences
from scoring.calibration import fit_calibration, gold_labels, match_predicted_entities, reliability
from scoring.operating_point import ScoredPoint, choose_operating_point, f_scores
from settings.run_settings import CorpusSettings, TuningSettings
from tagging.tagger import Tagger

DRAWS = 200
TUNINGS = [
    *(TuningSettings(target_precision=target) for target in (0.8, 0.9, 0.95, 0.98)),
    TuningSettings(tune_for="f1"),
    TuningSettings(tune_for="recall"),
]


class Scored(NamedTuple):
    """A file with the predictions of a model for it, which are decoded."""

    predictions: WordPredictions
    lengths: np.ndarray  # (sentences,)
    gold: np.ndarray  # (words,), the model's labels
    are_correct: np.ndarray  # (entities,)
    in_file: np.ndarray  # (entities,), whether the file has entities of this type

    @property
    def known(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return log probabilities, tags and lengths of the words that have predictions."""
        words, known = self.predictions.known_words(self.lengths)
        return self.predictions.log_probabilities[words], self.predictions.tag_ids[words], known


def main():
    """Read the command line, score the entities in each way, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--validation", required=True, help="a labelled file")
    parser.add_argument("--test", required=True, help="a labelled file")
    options = parser.parse_args()
    corpus = load_corpus(
        CorpusSettings(
            train_file=(options.validation,),
            validation_file=(options.validation,),
            test_file=(options.test,),
        )
    )
    cells, chosen, by_bias = {}, {}, {}
    for model in options.models:
        tagger = Tagger(model, decode="viterbi")
        validation, test = (predict(tagger, corpus, split) for split in ("validation", "test"))
        for way, scores_of in WAYS.items():
            cells.setdefault(way, []).append(errors_of(scores_of, validation, test))
        calibrated = validation.predictions.decoded_again(validation.lengths, Calibration())
        for tuning in TUNINGS:
            point = choose_operating_point(calibrated, *validation[1:3], tuning)
            chosen.setdefault(tuning.requested, []).append((point, test_point(point, test)))
            point = choose_bias(validation, tuning)
            by_bias.setdefault(tuning.requested, []).append((point, test_point(point, test)))
    print(describe())
    print(f"{len(validation.are_correct)} and {len(test.are_correct)} entities of the last model\n")
    names = ["score", "ECE", *(f"with {name}" for name in FITS)]
    names += ["temperature", "offset", "log loss", "of true probabilities"]
    print("|", " | ".join(names), "|\n|", " | ".join(["---"] * len(names)), "|")
    for way, rows in cells.items():
        print("|", " | ".join([way, *map(spread, zip(*rows, strict=True))]), "|")
    print_operating_points(chosen)
    print_operating_points(by_bias)


def predict(tagger: Tagger, corpus, split: str) -> Scored:
    """Return the predictions of a model for a split."""
    rows = corpus.splits[split]
    lengths = words_of_sentences(rows)
    ids = np.array([tagger.label_names.index(name) for name in corpus.label_names])
    gold = ids[gold_labels(rows)]
    times = [time.perf_counter()]
    predictions = tagger.predict_words(rows["tokens"][:])
    for calibration in (None, Calibration()):
        times.append(time.perf_counter())
        predictions = predictions.decoded_again(lengths, calibration)
    times.append(time.perf_counter())
    predicting, decoding, scoring = np.diff(times)
    print(f"{split}: predicted in {predicting:.2f} s, scored in {scoring - decoding:.3f} s")
    words, known = predictions.known_words(lengths)
    types, *_ = entity_spans(predictions.tag_ids[words], known, tagger.label_names)
    of_file, *_ = entity_spans(gold, lengths, tagger.label_names)
    are_correct = match_predicted_entities(predictions, lengths, gold).are_correct
    return Scored(predictions, lengths, gold, are_correct, np.isin(types, of_file))


# --- Scores of entities -------------------------------------------------------------------------


def mean_of_tags(scored: Scored) -> np.ndarray:
    """Return the mean probability of the tags of each entity, (entities,)."""
    log_probabilities, tag_ids, lengths = scored.known
    probabilities = np.exp(log_probabilities[np.arange(len(tag_ids)), tag_ids])
    sums = np.append(0.0, np.cumsum(probabilities, dtype=float))
    _, first, last = entity_spans(tag_ids, lengths, scored.predictions.label_names)
    return (sums[last + 1] - sums[first]) / (last + 1 - first)


def entity_probabilities(scored: Scored) -> np.ndarray:
    """Return the probability of each entity among all legal sequences, (entities,)."""
    return sequence_probabilities(*scored.known, scored.predictions.label_names).entities


def margins(scored: Scored) -> np.ndarray:
    """Return the margin of each entity as a probability, (entities,)."""
    log_probabilities, tag_ids, lengths = scored.known
    names = scored.predictions.label_names
    _, first, last = entity_spans(tag_ids, lengths, names)
    best = np.concatenate(
        [
            best_with_each_tag(part, names)
            for part in np.split(log_probabilities, np.cumsum(lengths))
        ]
    )
    ends = set(np.cumsum(lengths).tolist())
    values = []
    for start, end in zip(first, last + 1, strict=True):
        others = best[start:end].copy()
        others[np.arange(end - start), tag_ids[start:end]] = -np.inf
        rivals = [others.max()]
        inside = f"I-{names[tag_ids[start]][2:]}"
        if end not in ends and inside in names:  # the entity could continue
            rivals.append(best[end, names.index(inside)])
        values.append(best[start, tag_ids[start]] - max(rivals))
    return 1 / (1 + np.exp(-np.array(values)))


def best_with_each_tag(scores: np.ndarray, names: list[str]) -> np.ndarray:
    """Return the log probability of the best legal sequence with each tag of a word.

    `scores`: (words, labels) of a sentence, as is the result.
    """
    if not len(scores):
        return scores.astype(float)
    legal = np.where(legal_transitions(names), 0.0, -np.inf)
    before, after = [legal[-1]], [np.zeros(len(names))]
    for row in scores[:-1]:
        before.append((before[-1] + row + legal[:-1].T).max(1))
    for row in scores[:0:-1]:
        after.append((after[-1] + row + legal[:-1]).max(1))
    return np.array(before) + scores + np.array(after[::-1])


WAYS = {"tags": mean_of_tags, "margin": margins, "entity": entity_probabilities}


# --- Calibration --------------------------------------------------------------------------------


def fit_temperature(scores: np.ndarray, are_correct: np.ndarray) -> Calibration:
    """Return the best calibration without an offset."""

    def loss(temperature: float) -> float:
        values = logit(scores) / temperature
        return (np.logaddexp(0, values) - are_correct * values).sum()

    return Calibration(minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x, 0.0)


def fit_offset(scores: np.ndarray, are_correct: np.ndarray) -> Calibration:
    """Return the best calibration without a temperature."""

    def loss(offset: float) -> float:
        values = logit(scores) + offset
        return (np.logaddexp(0, values) - are_correct * values).sum()

    return Calibration(1.0, minimize_scalar(loss, bounds=(-9, 9), method="bounded").x)


FITS = {"temperature": fit_temperature, "offset": fit_offset, "both": fit_calibration}


def errors_of(scores_of, validation: Scored, test: Scored) -> list[float]:
    """Return the cells of a way to score, for one model."""
    fitted_to = scores_of(validation)[validation.in_file]
    scores, right = scores_of(test)[test.in_file], test.are_correct[test.in_file]
    calibrations = [
        fit(fitted_to, validation.are_correct[validation.in_file]) for fit in FITS.values()
    ]
    errors = [
        reliability(values, right).expected_calibration_error
        for values in (scores, *(calibration.scores(scores) for calibration in calibrations))
    ]
    best = calibrations[-1].scores(scores)
    log_loss = -np.log(np.where(right, best, 1 - best)).mean()
    random = np.random.default_rng(0)
    drawn = [
        reliability(best, random.random(len(best)) < best).expected_calibration_error
        for _ in range(DRAWS)
    ]
    return [*errors, *calibrations[-1], log_loss, float(np.mean(drawn))]


# --- Operating points ---------------------------------------------------------------------------


def score_point(point: OperatingPoint, scored: Scored) -> ScoredPoint:
    """Return the scores of a file with an operating point."""
    predictions = scored.predictions.decoded_again(scored.lengths, Calibration(), point)
    entities = match_predicted_entities(predictions, scored.lengths, scored.gold)
    num_right = int(entities.are_correct.sum())
    precision = num_right / max(len(entities.are_correct), 1)
    return ScoredPoint(point, precision, num_right / entities.num_gold)


def test_point(point: ScoredPoint | None, test: Scored) -> ScoredPoint | None:
    """Return the scores of the test file with a chosen point; None without one."""
    return None if point is None else score_point(point.operating_point, test)


def choose_bias(scored: Scored, tuning: TuningSettings) -> ScoredPoint | None:
    """Return the best operating point without a minimum score; None if there is none."""
    points = [score_point(OperatingPoint(bias / 4), scored) for bias in range(-32, 65)]
    if tuning.target_precision is not None:
        points = [point for point in points if point.precision >= tuning.target_precision]
        return max(points, key=lambda point: point.recall, default=None)
    beta = 1 if tuning.tune_for == "f1" else 2
    return max(points, key=lambda point: f_scores(np.array(point[1]), np.array(point[2]), beta))


def print_operating_points(chosen: dict) -> None:
    """Print a table of operating points."""
    print("\n| operating point | bias, minimum score | validation: precision, recall, F1 | test |")
    print("| --- | --- | --- | --- |")
    for requested, pairs in chosen.items():
        reached = [pair for pair in pairs if pair[0] is not None]
        cells = [requested]
        if reached:
            points = [point.operating_point for point, _ in reached]
            cells.append(", ".join(map(spread, zip(*points, strict=True))))
            for scored in zip(*reached, strict=True):
                facts = [point.facts() for point in scored]
                values = [[f[name] for f in facts] for name in ("precision", "recall", "f1")]
                cells.append(", ".join(map(spread, values)))
        if len(reached) < len(pairs):
            cells[0] += f" ({len(reached)} of {len(pairs)} models)"
        print("|", " | ".join(cells), "|")


def spread(values) -> str:
    """Return the mean and the largest distance from it."""
    values = np.array([*values])
    return f"{values.mean():.3f} ± {abs(values - values.mean()).max():.3f}"


if __name__ == "__main__":
    main()
