"""--layerwise_lr_decay in both scripts: the same weights, also if the run is killed and resumed."""

import pytest

from tests.helpers.checkpoints import SETTINGS
from tests.helpers.script_runs import (
    LOOP,
    TRAINER,
    check_resuming,
    run_both,
    weights,
    write_corpus,
)


@pytest.fixture(scope="module")
def flags(tiny_encoder, tmp_path_factory) -> list:
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    flags = ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS, "--num_train_epochs", 2]
    return [*flags, "--layerwise_lr_decay", 0.5]


@pytest.fixture(scope="module")
def straight(flags, tmp_path_factory) -> dict:
    """Return the output folder of a run of each script."""
    return run_both(flags, tmp_path_factory.mktemp)


def test_both_scripts_save_the_same_weights(straight):
    loop, trainer = straight.values()
    assert weights(loop) == weights(trainer)


@pytest.mark.parametrize("script", [LOOP, pytest.param(TRAINER, marks=pytest.mark.exhaustive)])
def test_killed_and_resumed_equals_straight(script, flags, straight, tmp_path):
    check_resuming(script, flags, straight[script], tmp_path)
