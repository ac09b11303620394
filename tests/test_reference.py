"""Both training scripts against a committed reference, so that they cannot drift together.

The reference, and the command that records it again: `tests/reference/record.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.script_runs import BOTH, run
from tests.reference.record import REFERENCE, measure, write_inputs

# Measured on the loop: kernels for SSE 4, AVX2 and AVX-512 change a loss by up to 3e-7, noise of
# 1e-5 in the encoder's weights by 2e-6. AdamW's epsilon at 1e-7 in place of 1e-8 changes one by
# 1.3e-4, weight decay on biases by 1e-2, other random numbers for dropout by 6e-2.
TOLERANCE = 5e-5


@pytest.fixture(scope="module", params=BOTH)
def measured(request, tmp_path_factory) -> dict:
    """Return losses, learning rates and scores of one script."""
    folder = tmp_path_factory.mktemp("reference")
    run(request.param, write_inputs(folder), folder)
    return measure(folder / "out")


@pytest.fixture(scope="module")
def reference() -> dict:
    return json.loads(Path(REFERENCE).read_text(encoding="utf-8"))


def test_learning_rates_are_those_of_the_reference(measured, reference):
    np.testing.assert_allclose(
        measured["learning_rates"], reference["learning_rates"], rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("name", ["losses", "epoch_losses"])
def test_losses_are_those_of_the_reference(name, measured, reference):
    np.testing.assert_allclose(measured[name], reference[name], rtol=TOLERANCE)


def test_scores_are_those_of_the_reference(measured, reference):
    """No word has two tags so nearly alike that the processor decides."""
    assert measured["scores"].keys() == reference["scores"].keys()
    for name, value in reference["scores"].items():
        tolerance = TOLERANCE if name.endswith("_loss") else 1e-6
        assert measured["scores"][name] == pytest.approx(value, rel=tolerance), name


def test_reference_run_learns_and_its_scores_are_not_trivial(reference):
    losses, scores = reference["losses"], reference["scores"]
    assert len(losses) == len(reference["learning_rates"]) >= 20
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) / 3
    for name in ("eval_f1", "predict_f1", "predict_precision", "predict_recall"):
        assert 0.5 < scores[name] < 1, name
