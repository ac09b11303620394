"""Which weights, which types, whether to go on."""

import pytest

from results.verdict import Extremes, best_step, extremes, still_improved
from training.progress import BestScore


def scores_of(**f1s) -> dict:
    """Return scores of types, each given as F1, the ends of its interval, and number."""
    return {
        "per_type": {
            name: {"f1": f1, "f1_interval": [low, high], "number": number}
            for name, (f1, low, high, number) in f1s.items()
        }
    }


def test_the_strongest_and_the_weakest_type_have_gold_entities():
    scores = scores_of(
        LOC=(0.9, 0.8, 0.95, 40), ORG=(0.6, 0.5, 0.7, 30), PER=(0.8, 0.7, 0.9, 9), NEW=(0, 0, 1, 0)
    )
    assert extremes(scores) == Extremes("LOC", "ORG", clear=True)
    close = scores_of(A=(0.9, 0.6, 1, 3), B=(0.9, 0.6, 1, 3), C=(0.7, 0.4, 0.8, 5))
    assert extremes(close) == Extremes("A", "C", clear=False)
    assert extremes(scores_of(A=(0.9, 0.6, 1, 3), B=(0, 0, 1, 0))) is None
    assert extremes(scores_of()) is None


@pytest.mark.parametrize(
    ("values", "greater", "step", "improved"),
    [
        ([0.1, 0.3, 0.2], True, 20, False),
        ([0.1, 0.3, 0.4], True, 30, True),
        ([0.1, 0.3, 0.3], True, 20, False),
        ([0.5, 0.3, 0.1], False, 30, True),
        ([0.5], True, 10, None),
        ([], True, None, None),
    ],
)
def test_the_best_evaluation_and_whether_it_was_the_last(values, greater, step, improved):
    history = [{"step": 10 * n, "eval_f1": value} for n, value in enumerate(values, start=1)]
    best = BestScore("f1", greater)
    assert best_step(history, best) == step
    assert still_improved(history, best) is improved
