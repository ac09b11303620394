"""The learning curve: the score by size of the training data, fitted, with its uncertainty.

    curve = fit_curve([1 / 8, 1 / 4, 1 / 2, 3 / 4, 1], scores)
    curve.gain(2)           # of twice the data: median and 95 % interval
    curve.score_at(2)       # the score that a run on twice the data would have

The model is a power law, `score = ceiling - drop * share ** -exponent`, with normal noise. Small
shares have more noise, in proportion to the root of 1 / share, because the choice of the data
matters more there. The fit is Bayesian: exponents and noises on a grid are weighted by their
evidence and prior; for each of them, ceiling and drop are drawn from their posterior, which is
normal, and kept if they are possible (the ceiling at most 1, the drop not negative).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Exponents of test errors of language models are mostly between 0.2 and 1.
EXPONENTS = np.geomspace(0.05, 3, 40)
EXPONENT_MEDIAN, EXPONENT_SPREAD = 0.5, 0.8  # of a log-normal prior
NOISES = np.geomspace(0.001, 0.1, 25)
NOISE_MEDIAN, NOISE_SPREAD = 0.01, 1.0  # of a log-normal prior
DRAWS = 60  # of ceiling and drop for each exponent and noise
TAIL = 0.025
SEED = 20


class Estimate(NamedTuple):
    """A median with its 95 % interval."""

    median: float
    low: float
    high: float


class LearningCurve(NamedTuple):
    """Draws from the posterior of a curve; each array has one value per draw."""

    weights: np.ndarray
    exponents: np.ndarray
    ceilings: np.ndarray
    drops: np.ndarray
    noises: np.ndarray

    def gain(self, factor: float) -> Estimate:
        """Return the gain in score from `factor` times all the data."""
        return self._estimate(self.drops * (1 - factor**-self.exponents))

    def score_at(self, share: float) -> Estimate:
        """Return the score of a new run on this share of the data, noise included."""
        noise = np.random.default_rng(SEED + 1).standard_normal(len(self.weights))
        curve = self.ceilings - self.drops * share**-self.exponents
        return self._estimate(curve + noise * self.noises / np.sqrt(share))

    def _estimate(self, values: np.ndarray) -> Estimate:
        order = np.argsort(values)
        cumulative = np.cumsum(self.weights[order]) / self.weights.sum()
        places = np.searchsorted(cumulative, [0.5, TAIL, 1 - TAIL]).clip(0, len(values) - 1)
        return Estimate(*values[order][places].tolist())


def fit_curve(shares: Sequence[float], scores: Sequence[float]) -> LearningCurve:
    """Return the curve through scores of runs on shares of the data, at least 3 different ones."""
    x, y = np.array(shares, float), np.array(scores, float)
    rng = np.random.default_rng(SEED)
    grid_exponents, grid_noises = (
        grid.ravel() for grid in np.meshgrid(EXPONENTS, NOISES, indexing="ij")
    )
    parts = []
    for exponent, noise in zip(grid_exponents, grid_noises, strict=True):
        design = np.column_stack([np.ones_like(x), -(x**-exponent)]) * np.sqrt(x)[:, None] / noise
        target = y * np.sqrt(x) / noise
        precision = design.T @ design
        mean = np.linalg.solve(precision, design.T @ target)
        residual = target - design @ mean
        log_evidence = (
            -0.5 * residual @ residual
            - len(x) * np.log(noise)
            - 0.5 * np.linalg.slogdet(precision)[1]
            - 0.5 * (np.log(exponent / EXPONENT_MEDIAN) / EXPONENT_SPREAD) ** 2
            - 0.5 * (np.log(noise / NOISE_MEDIAN) / NOISE_SPREAD) ** 2
        )
        root = np.linalg.cholesky(np.linalg.inv(precision))
        draws = mean + rng.standard_normal((DRAWS, 2)) @ root.T
        parts.append((np.full(DRAWS, log_evidence), draws))
    log_weights = np.concatenate([part for part, _ in parts])
    ceilings, drops = np.concatenate([draws for _, draws in parts]).T
    possible = (ceilings <= 1) & (drops >= 0)
    if not possible.any():  # all curves that fit decrease: more data does not help
        ceilings, drops = np.minimum(ceilings, 1), np.maximum(drops, 0)
        possible = np.ones(len(drops), bool)
    exponents, noises = (np.repeat(grid, DRAWS) for grid in (grid_exponents, grid_noises))
    log_weights = log_weights[possible]
    return LearningCurve(
        np.exp(log_weights - log_weights.max()),
        exponents[possible],
        ceilings[possible],
        drops[possible],
        noises[possible],
    )


def gain_sentence(gain: Estimate, name: str) -> str:
    """Return the gain from twice the labels as a sentence."""
    return (
        f"Twice the labels would bring about {gain.median:+.2f} {name} "
        f"({gain.low:.2f} to {gain.high:.2f})."
    )
