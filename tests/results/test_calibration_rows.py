"""The calibration and the operating point as text."""

import pytest

from results.calibration_rows import calibration_rows

FITTED = {
    "temperature": 1.4321,
    "offset": -0.5,
    "fitted_to_entities": 1691,
    "requested": "",
    "operating_point": None,
}
POINT = {"outside_bias": -1.25, "min_score": 0.25, "precision": 0.75, "recall": 0.5, "f1": 0.6}


@pytest.mark.parametrize(
    "calibration",
    [
        {},
        FITTED,
        FITTED | {"temperature": 1.0, "fitted_to_entities": 0},
        FITTED | {"requested": "--tune_for recall", "operating_point": POINT},
        FITTED | {"requested": "--target_precision 0.99"},
        FITTED | {"fitted_to_entities": 39, "requested": "--tune_for f1", "operating_point": POINT},
    ],
    ids=["none", "fitted", "not fitted", "operating point", "not reached", "few"],
)
def test_rows(calibration, snapshot):
    assert calibration_rows(calibration) == snapshot
