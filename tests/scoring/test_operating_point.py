"""The bias on O that gives a wanted precision, the best F1 or the best F2."""

from pathlib import Path

import numpy as np
import pytest
import torch

import common
from scoring.calibration import judge_entities
from scoring.operating_point import (
    OperatingPoint,
    check_operating_point,
    choose_operating_point,
    operating_points,
)
from settings.defaults import make_settings
from settings.flags import SharedFlags
from settings.run_settings import TuningSettings
from support.errors import UserError
from tests.helpers.sub_words import split_of

NAMES = ["O", "B-X", "I-X"]
POINTS = [
    OperatingPoint(0.0, 0.80, 0.80),
    OperatingPoint(-0.25, 0.75, 0.86),
    OperatingPoint(0.25, 0.90, 0.70),
    OperatingPoint(-0.5, 0.40, 0.95),
    OperatingPoint(0.5, 0.95, 0.70),
    OperatingPoint(0.75, 0.98, 0.10),
]


@pytest.mark.parametrize(
    ("tuning", "bias"),
    [
        (TuningSettings(target_precision=0.75), -0.25),
        (TuningSettings(target_precision=0.81), 0.25),  # of equal recall, the nearest to 0
        (TuningSettings(target_precision=0.97), 0.75),
        (TuningSettings(tune_for="f1"), 0.5),
        (TuningSettings(tune_for="recall"), -0.25),
    ],
)
def test_the_best_point_is_chosen(tuning, bias):
    assert choose_operating_point(POINTS, tuning).outside_bias == bias


def test_there_may_be_no_point():
    assert choose_operating_point(POINTS, TuningSettings(target_precision=0.99)) is None
    assert choose_operating_point([], TuningSettings(tune_for="f1")) is None


def test_f_scores():
    point = OperatingPoint(0.0, 0.5, 1.0)
    assert point.f_score(1) == pytest.approx(2 / 3)
    assert point.f_score(2) == pytest.approx(5 / 6)  # 5 x 0.5 x 1 / (4 x 0.5 + 1)
    assert OperatingPoint(0.0, 0.0, 0.0).f_score(1) == 0.0
    assert point.facts() == {
        "outside_bias": 0.0, "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)
    }  # fmt: skip


def test_points_have_the_scores_of_the_tags_with_their_bias():
    random = np.random.default_rng(1)
    lengths = np.full(60, 5)
    gold = random.choice(3, 300, p=[0.7, 0.2, 0.1])
    scores = random.normal(size=(300, 3)) + 2 * np.eye(3)[gold]
    predictions = common.WordPredictions(300, NAMES, True)
    predictions.add_words(torch.from_numpy(scores).float().log_softmax(-1), torch.arange(300))
    predictions.decode(lengths)
    points = operating_points(predictions, lengths, gold)
    biases = [point.outside_bias for point in points]
    assert biases[:3] == [0.0, -0.25, 0.25] and len(set(biases)) == len(biases)
    # A greater bias gives fewer entities.
    counts = {}
    for point in points:
        judged = judge_entities(
            predictions.decoded_again(lengths, None, point.outside_bias), lengths, gold
        )
        counts[point.outside_bias] = len(judged.are_right)
        assert point.precision == pytest.approx(judged.are_right.mean())
        assert point.recall == pytest.approx(judged.are_right.sum() / judged.num_gold)
    words_outside = [
        (predictions.decoded_again(lengths, None, bias).tag_ids == 0).sum()
        for bias in sorted(counts)
    ]
    assert words_outside == sorted(words_outside)
    assert max(biases) < 16  # with the greatest bias there is no entity


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
    check_operating_point(trained, "viterbi", True, {"validation": LABELLED})
    scored = settings_of(tmp_path / ".." / tmp_path.name, model=tmp_path, do_train=False)
    check_operating_point(scored, "viterbi", True, {"validation": LABELLED})


@pytest.mark.parametrize(
    ("decode", "entity_tags", "splits", "do_train"),
    [
        ("argmax", False, {"validation": LABELLED}, True),
        ("argmax", True, {"validation": LABELLED}, True),
        ("viterbi", True, {}, True),
        ("viterbi", True, {"validation": split_of([["a"]])}, True),
        ("viterbi", True, {"validation": LABELLED}, False),
    ],
    ids=["plain tags", "argmax", "no split", "no labels", "another folder"],
)
def test_what_cannot_be_met_is_refused(decode, entity_tags, splits, do_train, snapshot):
    settings = settings_of("out", model=Path("a/model"), do_train=do_train)
    with pytest.raises(UserError) as error:
        check_operating_point(settings, decode, entity_tags, splits)
    assert str(error.value) == snapshot
