"""Operating points: a wanted precision, the best F1 or the best F2."""

from pathlib import Path

import numpy as np
import pytest
import torch

from scoring.calibration import match_predicted_entities
from scoring.operating_point import (
    check_operating_point,
    choose_operating_point,
    f_scores,
)
from scoring.word_predictions import Calibration, OperatingPoint, WordPredictions
from settings.defaults import make_settings
from settings.flags import SharedFlags
from settings.run_settings import TuningSettings
from support.errors import UserError
from tests.helpers.sub_words import split_of

NAMES = ["O", "B-X", "I-X"]


def predictions_of(gold: np.ndarray, lengths, strength: float, seed: int = 1):
    """Return calibrated predictions that are mostly right."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(len(gold), 3)) + strength * np.eye(3)[gold]
    predictions = WordPredictions(len(gold), NAMES, True, Calibration())
    predictions.add_words(torch.from_numpy(scores).float().log_softmax(-1), torch.arange(len(gold)))
    predictions.decode(lengths)
    return predictions


LENGTHS = np.full(120, 5)
GOLD = np.random.default_rng(0).choice(3, 600, p=[0.7, 0.2, 0.1])


def scores_at(predictions, point: OperatingPoint) -> tuple[float, float, int]:
    """Return (precision, recall, number of entities) with an operating point."""
    again = predictions.decoded_again(LENGTHS, predictions.calibration, point)
    judged = match_predicted_entities(again, LENGTHS, GOLD)
    num_right = judged.are_correct.sum()
    return num_right / len(judged.are_correct), num_right / judged.num_gold, len(judged.are_correct)


@pytest.mark.parametrize("target", [0.3, 0.6, 0.8, 0.9])
def test_a_target_is_reached_with_the_highest_recall(target):
    predictions = predictions_of(GOLD, LENGTHS, 2.0)
    tuning = TuningSettings(target_precision=target)
    chosen = choose_operating_point(predictions, LENGTHS, GOLD, tuning)
    precision, recall, count = scores_at(predictions, chosen.operating_point)
    assert (precision, recall) == (pytest.approx(chosen.precision), pytest.approx(chosen.recall))
    assert precision >= target and count >= 2 / (1 - target)
    # No other point of a coarse grid is better.
    for bias in (0.0, -1.0, -3.0, -8.0):
        for min_score in np.linspace(0, 0.9, 10):
            other = scores_at(predictions, OperatingPoint(bias, min_score))
            assert other[0] < target or other[1] <= recall or other[2] < 2 / (1 - target)


@pytest.mark.parametrize(("tune_for", "beta"), [("f1", 1), ("recall", 2)])
def test_an_f_score_is_the_highest(tune_for, beta):
    predictions = predictions_of(GOLD, LENGTHS, 1.5)
    tuning = TuningSettings(tune_for=tune_for)
    chosen = choose_operating_point(predictions, LENGTHS, GOLD, tuning)
    best = f_scores(np.array(chosen.precision), np.array(chosen.recall), beta)
    for bias in (0.0, -1.0, -3.0, -8.0):
        for min_score in np.linspace(0, 0.9, 10):
            precision, recall, _ = scores_at(predictions, OperatingPoint(bias, min_score))
            assert f_scores(np.array(precision), np.array(recall), beta) <= best
    assert chosen.facts() == {
        **chosen.operating_point._asdict(),
        "precision": chosen.precision,
        "recall": chosen.recall,
        "f1": pytest.approx(
            float(f_scores(np.array(chosen.precision), np.array(chosen.recall), 1))
        ),
    }


def test_there_may_be_no_point():
    right = predictions_of(GOLD, LENGTHS, 20.0)  # without a mistake
    for target, count in ((0.98, 100), (0.999, 2000)):  # of about 160 entities
        tuning = TuningSettings(target_precision=target)
        chosen = choose_operating_point(right, LENGTHS, GOLD, tuning)
        assert (chosen is None) == (count > 600)
    nothing = predictions_of(np.zeros(600, int), LENGTHS, 20.0)
    for tuning in (TuningSettings(target_precision=0.5), TuningSettings(tune_for="f1")):
        assert choose_operating_point(nothing, LENGTHS, np.zeros(600, int), tuning) is None


def test_f_scores():
    precision, recall = np.array([0.5, 0.0]), np.array([1.0, 0.0])
    assert f_scores(precision, recall, 1) == pytest.approx([2 / 3, 0])
    assert f_scores(precision, recall, 2) == pytest.approx([5 / 6, 0])  # 2.5 / (4 x 0.5 + 1)


# --- Requests that cannot be met ----------------------------------------------------------------


def settings_of(folder, *, model: Path, do_train: bool):
    flags = SharedFlags(
        output_dir=str(folder), train_file=["x"], model_name_or_path=str(model),
        target_precision=0.9, do_train=do_train, do_eval=True,
    )  # fmt: skip
    return make_settings(flags, "", hub_ready=True)


LABELLED = split_of([["a"]], [[0]])


def test_what_can_be_met_is_accepted(tmp_path):
    trained = settings_of(tmp_path, model=Path("m"), do_train=True)
    check_operating_point(trained, "viterbi", NAMES, True, {"validation": LABELLED})
    scored = settings_of(tmp_path / ".." / tmp_path.name, model=tmp_path, do_train=False)
    check_operating_point(scored, "viterbi", NAMES, True, {"validation": LABELLED})


@pytest.mark.parametrize(
    ("decode", "skipped", "entity_tags", "splits", "do_train"),
    [
        ("argmax", 0, False, {"validation": LABELLED}, True),
        ("argmax", 0, True, {"validation": LABELLED}, True),
        ("viterbi", 0, True, {}, True),
        ("viterbi", 0, True, {"validation": split_of([["a"]])}, True),
        ("viterbi", 1, True, {"validation": LABELLED}, True),
        ("viterbi", 0, True, {"validation": LABELLED}, False),
    ],
    ids=["plain tags", "argmax", "no split", "no labels", "no O", "another folder"],
)
def test_what_cannot_be_met_is_refused(decode, skipped, entity_tags, splits, do_train, snapshot):
    settings = settings_of("out", model=Path("a/model"), do_train=do_train)
    with pytest.raises(UserError) as error:
        check_operating_point(settings, decode, NAMES[skipped:], entity_tags, splits)
    assert str(error.value) == snapshot
