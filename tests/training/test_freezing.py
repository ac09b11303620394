"""--freeze_layers in both scripts: frozen weights never change, and a resumed run is the same.

Activations are recomputed, which must not need a gradient of what lies below.
"""

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.helpers.checkpoints import SETTINGS
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    TRAINER,
    check_resuming,
    run,
    run_both,
    weights,
    write_corpus,
)

FROZEN = ("bert.embeddings.", "bert.encoder.layer.0.")


@pytest.fixture(scope="module")
def flags(tiny_encoder, tmp_path_factory) -> list:
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    flags = ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS, "--num_train_epochs", 2]
    return [*flags, "--freeze_layers", 1, "--gradient_checkpointing"]


@pytest.fixture(scope="module")
def straight(flags, tmp_path_factory) -> dict:
    """Return the output folder of a run of each script."""
    return run_both(flags, tmp_path_factory.mktemp)


@pytest.mark.parametrize("script", BOTH)
def test_exactly_the_frozen_weights_stay_as_they_were(script, straight, tiny_encoder):
    before, after = (
        load_file(folder / "model.safetensors") for folder in (tiny_encoder, straight[script])
    )
    same = {
        name
        for name in after
        if np.array_equal(after[name], before.get(name.removeprefix("bert.")))
    }
    assert same == {name for name in after if name.startswith(FROZEN)}


def test_both_scripts_give_the_same(straight):
    loop, trainer = straight.values()
    assert weights(loop) == weights(trainer)


@pytest.mark.parametrize("script", [LOOP, pytest.param(TRAINER, marks=pytest.mark.exhaustive)])
def test_killed_and_resumed_equals_straight(script, flags, straight, tmp_path):
    check_resuming(script, flags, straight[script], tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("script", BOTH)
def test_activations_may_be_kept_as_well(script, flags, straight, tmp_path):
    run(script, [flag for flag in flags if flag != "--gradient_checkpointing"], tmp_path)
    ours, theirs = (
        load_file(folder / "model.safetensors") for folder in (straight[script], tmp_path / "out")
    )
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], atol=1e-4, err_msg=name)


@pytest.mark.exhaustive
def test_two_processes(flags, tmp_path):
    for script in BOTH:
        run(script, flags, tmp_path / script, 2)
    loop, trainer = (weights(tmp_path / script / "out") for script in BOTH)
    assert loop == trainer
