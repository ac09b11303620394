"""The learning curve: known curves are found again, with intervals that hold the truth."""

import numpy as np
import pytest

from scoring.learning_curve import Estimate, fit_curve, gain_sentence

SHARES = np.array([1 / 8, 1 / 4, 1 / 2, 3 / 4, 1])


def power_law(ceiling: float, drop: float, exponent: float, share):
    return ceiling - drop * np.asarray(share, float) ** -exponent


@pytest.mark.parametrize(
    ("ceiling", "drop", "exponent"), [(0.9, 0.1, 0.5), (0.8, 0.2, 0.3), (0.95, 0.02, 1.0)]
)
def test_a_curve_without_noise_is_found_again(ceiling, drop, exponent):
    curve = fit_curve(SHARES, power_law(ceiling, drop, exponent, SHARES))
    gain = power_law(ceiling, drop, exponent, 2) - power_law(ceiling, drop, exponent, 1)
    assert curve.gain(2).low <= gain <= curve.gain(2).high
    assert curve.gain(2).median == pytest.approx(gain, abs=0.005)


def test_intervals_hold_the_truth_and_the_next_score():
    """Of 100 curves with noise of 0.01, whose parameters come from the prior or near it."""
    rng = np.random.default_rng(1)
    gains = scores = 0
    for _ in range(100):
        law = rng.uniform(0.7, 0.95), rng.uniform(0.02, 0.2), rng.lognormal(np.log(0.5), 0.5)
        noise = rng.standard_normal(5) * 0.01 / np.sqrt(SHARES)
        curve = fit_curve(SHARES, power_law(*law, SHARES) + noise)
        gain = curve.gain(2)
        gains += gain.low <= power_law(*law, 2) - power_law(*law, 1) <= gain.high
        next_score = power_law(*law, 2) + rng.standard_normal() * 0.01 / np.sqrt(2)
        scores += curve.score_at(2).low <= next_score <= curve.score_at(2).high
    assert gains >= 90 and scores >= 90


def test_more_noise_gives_a_wider_interval():
    smooth = fit_curve(SHARES, power_law(0.9, 0.1, 0.5, SHARES)).score_at(2)
    rough = power_law(0.9, 0.1, 0.5, SHARES) + np.array([0.03, -0.03, 0.03, -0.03, 0.03])
    estimate = fit_curve(SHARES, rough).score_at(2)
    assert estimate.high - estimate.low > 2 * (smooth.high - smooth.low)


@pytest.mark.parametrize("scores", [[0.0] * 5, [1.0] * 5, [0.9, 0.8, 0.7, 0.6, 0.5]])
def test_curves_that_do_not_rise_promise_little(scores):
    gain = fit_curve(SHARES, scores).gain(2)
    assert 0 <= gain.low <= gain.median <= gain.high and gain.median < 0.02


def test_the_sentence():
    gain = Estimate(0.021, 0.001, 0.043)
    assert gain_sentence(gain, "F1") == (
        "Twice the labels would bring about +0.02 F1 (0.00 to 0.04)."
    )
