"""Compare ways to score an entity: how well do the scores tell how often entities are right?

    for seed in 0 1 2; do python train_trainer.py --sample --seed $seed --output_dir s$seed; done
    python benchmarks/calibration.py --models s0 s1 s2 \
        --validation data/sample/validation.conll --test data/sample/test.conll

The models decode legal sequences. Each way has a temperature, fitted to the entities that a model
predicts in the validation file. The expected calibration error (ECE) of the test file is printed
with it and without, as the mean over the models and the largest distance from it. Predicted
entities of types that a file does not have are left out.

tags: the mean probability of the entity's tags, without legal sequences. margin: the difference in
log probability between the best sequence and the best one without the entity, as a probability
(logistic function). entity: the entity's probability among all legal sequences, which the suite
takes. gold tags: the same, with the temperature that makes the gold tags most probable.

A second table has operating points: chosen on the validation file, scored on the test file.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import describe

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import WordPredictions, entity_spans, legal_transitions, sequence_probabilities
from corpus.load import load_corpus
from encoder.batches import words_of_sentences
from scoring.calibration import best_temperature, gold_labels, judge_entities, reliability
from scoring.operating_point import OperatingPoint, choose_operating_point, operating_points
from settings.run_settings import CorpusSettings, TuningSettings
from tagging.tagger import Tagger

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
    are_right: np.ndarray  # (entities,)
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
    errors, fitted, chosen = {}, {}, {}
    for model in options.models:
        tagger = Tagger(model, decode="viterbi")
        validation, test = (predict(tagger, corpus, split) for split in ("validation", "test"))
        for way, scores_of in WAYS.items():
            temperature = fit(scores_of, validation)
            add_errors(errors, fitted, way, test, scores_of, temperature)
        likeliest = max(np.geomspace(0.25, 4, 81), key=lambda t: gold_likelihood(validation, t))
        add_errors(errors, fitted, "gold tags", test, entity_probabilities, likeliest)
        points = operating_points(*validation[:3])
        for tuning in TUNINGS:
            point = choose_operating_point(points, tuning)
            chosen.setdefault(tuning.requested, []).append((point, test_point(point, test)))
    print(describe())
    print(f"{len(validation.are_right)} and {len(test.are_right)} entities of the last model")
    print("\n| score | ECE | temperature | ECE with it |\n| --- | --- | --- | --- |")
    for way, pairs in errors.items():
        cells = (spread(values) for values in zip(*pairs, strict=True))
        print("|", " | ".join([way, next(cells), spread(fitted[way]), next(cells)]), "|")
    print_operating_points(chosen)


def predict(tagger: Tagger, corpus, split: str) -> Scored:
    """Return the predictions of a model for a split."""
    rows = corpus.splits[split]
    lengths = words_of_sentences(rows)
    ids = np.array([tagger.label_names.index(name) for name in corpus.label_names])
    gold = ids[gold_labels(rows)]
    started = time.perf_counter()
    predictions = tagger.predict_words(rows["tokens"][:])
    predicted = time.perf_counter()
    predictions = predictions.decoded_again(lengths)
    decoded = time.perf_counter()
    predictions.score_entities(lengths, 1.0)
    times = predicted - started, time.perf_counter() - decoded
    print(f"{split}: predicted in {times[0]:.2f} s, entities scored in {times[1]:.3f} s")
    predictions = predictions.decoded_again(lengths)
    words, known = predictions.known_words(lengths)
    types, *_ = entity_spans(predictions.tag_ids[words], known, tagger.label_names)
    of_file, *_ = entity_spans(gold, lengths, tagger.label_names)
    are_right = judge_entities(predictions, lengths, gold).are_right
    return Scored(predictions, lengths, gold, are_right, np.isin(types, of_file))


# --- Scores of entities -------------------------------------------------------------------------


def mean_of_tags(scored: Scored, temperature: float) -> np.ndarray:
    """Return the mean probability of the tags of each entity, (entities,)."""
    log_probabilities, tag_ids, lengths = scored.known
    scores = log_probabilities.astype(float) / temperature
    scores -= np.logaddexp.reduce(scores, axis=1)[:, None]
    sums = np.append(0.0, np.cumsum(np.exp(scores[np.arange(len(tag_ids)), tag_ids])))
    _, first, last = entity_spans(tag_ids, lengths, scored.predictions.label_names)
    return (sums[last + 1] - sums[first]) / (last + 1 - first)


def entity_probabilities(scored: Scored, temperature: float) -> np.ndarray:
    """Return the probability of each entity among all legal sequences, (entities,)."""
    names = scored.predictions.label_names
    return sequence_probabilities(*scored.known, names, temperature).entities


def margins(scored: Scored, temperature: float) -> np.ndarray:
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
        if end not in ends and inside in names:  # the entity could go on
            rivals.append(best[end, names.index(inside)])
        values.append(best[start, tag_ids[start]] - max(rivals))
    return 1 / (1 + np.exp(-np.array(values) / temperature))


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


def fit(scores_of, scored: Scored) -> float:
    """Return the temperature of a way to score entities."""
    known = scored.in_file
    return best_temperature(lambda t: scores_of(scored, t)[known], scored.are_right[known])


def gold_likelihood(scored: Scored, temperature: float) -> float:
    """Return the log likelihood of the gold tags of the words."""
    words, known = scored.predictions.known_words(scored.lengths)
    probabilities = sequence_probabilities(
        scored.predictions.log_probabilities[words],
        scored.gold[words],
        known,
        scored.predictions.label_names,
        temperature,
    ).words
    return float(np.log(probabilities.clip(1e-12)).sum())


def add_errors(errors, fitted, way: str, test: Scored, scores_of, temperature: float) -> None:
    """Add the calibration errors of a way without its temperature and with it."""
    right = test.are_right[test.in_file]
    pair = [
        reliability(scores_of(test, value)[test.in_file], right).expected_calibration_error
        for value in (1.0, temperature)
    ]
    errors.setdefault(way, []).append(pair)
    fitted.setdefault(way, []).append(temperature)


# --- Operating points ---------------------------------------------------------------------------


def test_point(point: OperatingPoint | None, test: Scored) -> OperatingPoint | None:
    """Return the scores of the test file with the bias of a point; None without a point."""
    if point is None:
        return None
    predictions = test.predictions.decoded_again(test.lengths, None, point.outside_bias)
    entities = judge_entities(predictions, test.lengths, test.gold)
    num_right = int(entities.are_right.sum())
    precision = num_right / max(len(entities.are_right), 1)
    return OperatingPoint(point.outside_bias, precision, num_right / entities.num_gold)


def print_operating_points(chosen: dict) -> None:
    """Print the table of operating points."""
    print("\n| operating point | bias on O | validation: precision, recall, F1 | test |")
    print("| --- | --- | --- | --- |")
    for requested, pairs in chosen.items():
        reached = [pair for pair in pairs if pair[0] is not None]
        cells = [requested]
        if reached:
            cells.append(spread([point.outside_bias for point, _ in reached]))
            for points in zip(*reached, strict=True):
                values = ([p.precision for p in points], [p.recall for p in points])
                f1s = [point.f_score(1) for point in points]
                cells.append(", ".join(map(spread, (*values, f1s))))
        if len(reached) < len(pairs):
            cells[0] += f" ({len(reached)} of {len(pairs)} models)"
        print("|", " | ".join(cells), "|")


def spread(values) -> str:
    """Return the mean and the largest distance from it."""
    values = np.array([*values])
    return f"{values.mean():.3f} ± {abs(values - values.mean()).max():.3f}"


if __name__ == "__main__":
    main()
