"""The best epoch is the one that is kept; patience ends a run."""

import shutil
import signal
from functools import partial

import numpy as np
import pytest

from tests.helpers.checkpoints import complete, name_of
from tests.helpers.script_runs import (
    BOTH,
    TOKEN_LOSS,
    Run,
    facts,
    interrupt,
    losses,
    results,
    run,
    weights,
)
from training.progress import BestScore, Progress

# --- The best score --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scores,greater,best,without_better",
    [
        ([0.1, 0.5, 0.4], True, 1, 1),
        ([0.5, 0.5, 0.5], True, 0, 2),  # the first of equals
        ([3.0, 1.0, 2.0, 0.5], False, 3, 0),
        ([0.0, 0.0], True, 0, 1),
    ],
)
def test_best_score_and_epochs_since(scores, greater, best, without_better):
    progress = Progress()
    for number, score in enumerate(scores):
        row = {"f1": score, "loss": 1.0}
        progress.record_scores(number, row, f"epoch_{number}", BestScore("f1", greater))
    assert progress.best_checkpoint == f"epoch_{best}"
    assert progress.best_score == scores[best]
    assert progress.evaluations_without_better == without_better


# --- The best epoch --------------------------------------------------------------------------


def expected_best(history: list[dict], name: str, greater: bool) -> int:
    scores = [row[f"eval_{name}"] for row in history]
    return int(np.argmax(scores) if greater else np.argmin(scores))


@pytest.mark.parametrize("metric,greater", [("f1", True), ("loss", False)])
@pytest.mark.parametrize("script", BOTH)
def test_model_saved_is_the_one_that_scored_best(script, metric, greater, flags, tmp_path):
    # At a constant rate the scores rise and fall.
    flags = [*flags, "--num_train_epochs", 10, "--lr_scheduler_type", "constant"]
    flags += ["--save_total_limit", 1]
    flags += ["--metric_for_best_model", metric, "--load_best_model_at_end"]
    run(script, flags, tmp_path)
    rows = facts(tmp_path / "out")["history"]
    best = expected_best(rows, metric, greater)
    assert best != len(rows) - 1, "this test needs a best epoch that is not the last"
    assert results(tmp_path / "out")[f"eval_{metric}"] == rows[best][f"eval_{metric}"]
    names = [name_of(script, row["step"], row["epoch"]) for row in (rows[best], rows[-1])]
    assert complete(tmp_path / "out") == names
    assert weights(tmp_path / "out") == weights(tmp_path / "out" / names[0])
    assert weights(tmp_path / "out") != weights(tmp_path / "out" / names[1])


@pytest.mark.parametrize("script", BOTH)
def test_early_stopping_after_patience(script, flags, tmp_path):
    flags = [*flags, "--num_train_epochs", 9, "--lr_scheduler_type", "constant"]
    flags += ["--early_stopping_patience", 2, "--metric_for_best_model", "loss"]
    run(script, flags, tmp_path)
    rows = facts(tmp_path / "out")["history"]
    assert len(rows) < 9
    assert expected_best(rows, "loss", greater=False) == len(rows) - 3
    last = name_of(script, rows[-1]["step"], rows[-1]["epoch"])
    assert weights(tmp_path / "out") == weights(tmp_path / "out" / last)
    # Resumed, it has nothing left to do.
    first = weights(tmp_path / "out")
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert len(facts(tmp_path / "out")["history"]) == len(rows)
    assert weights(tmp_path / "out") == first


def test_both_scripts_stop_at_and_choose_the_same_epoch(flags, tmp_path):
    flags = [*flags, "--num_train_epochs", 9, "--lr_scheduler_type", "constant"]
    flags += ["--load_best_model_at_end", "--early_stopping_patience", 2]
    for script in BOTH:
        run(script, flags, tmp_path / script)
    by_loop, by_trainer = (tmp_path / script / "out" for script in BOTH)
    histories = [facts(folder)["history"] for folder in (by_loop, by_trainer)]
    assert [row["step"] for row in histories[0]] == [row["step"] for row in histories[1]]
    np.testing.assert_allclose(losses(by_loop), losses(by_trainer), rtol=1e-5)
    assert results(by_loop)["eval_f1"] == results(by_trainer)["eval_f1"]


@pytest.mark.parametrize("script", BOTH)
def test_checkpoint_of_the_best_epoch_must_exist_when_resumed(script, flags, tmp_path):
    flags = [*flags, "--load_best_model_at_end", "--num_train_epochs", 2]
    before = partial(interrupt, TOKEN_LOSS, 13, signal.SIGKILL)
    assert Run(script, flags, tmp_path, before=before).wait() == [-signal.SIGKILL]
    (first,) = complete(tmp_path / "out")
    shutil.move(tmp_path / "out" / first, tmp_path / "elsewhere")
    resume = ["--resume_from_checkpoint", "elsewhere"]
    output = run(script, [*flags, *resume], tmp_path, status=2)
    assert "--load_best_model_at_end" in output and first in output
