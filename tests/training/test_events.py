"""Logs, evaluations and checkpoints of a run, at the same steps in both scripts."""

import json
import shutil
import signal
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from settings.run_settings import IntervalSettings
from tests.helpers.checkpoints import complete, name_of
from tests.helpers.script_runs import (
    BOTH,
    CHECKSUM,
    LOOP,
    SEED_STEP,
    TOKEN_LOSS,
    TRAINER,
    Run,
    error_message,
    facts,
    interrupt,
    losses,
    results,
    run,
    weights,
    with_report,
)
from training.calendar import Calendar
from training.order import TrainingOrder
from training.plan import Plan

# --- Logs ------------------------------------------------------------------------------------


def without_logging(flags: list) -> list:
    """Return the flags without the interval of the logs."""
    position = flags.index("--logging_steps")
    return flags[:position] + flags[position + 2 :]


@pytest.mark.parametrize("interval", [["--logging_steps", 0.2], ["--logging_strategy", "epoch"]])
def test_loss_of_an_interval_is_the_mean_over_its_steps(interval, flags, tmp_path):
    """Also if the number of steps is a share of all steps, or an epoch."""
    flags = [*flags, "--num_train_epochs", 2]
    run(LOOP, flags, tmp_path / "each step")
    steps = losses(tmp_path / "each step" / "out")[:, 0]
    assert len(steps) == 20
    every = 4 if "--logging_steps" in interval else 10
    expected = steps.reshape(-1, every).mean(1)
    for script in BOTH:
        run(script, [*without_logging(flags), *interval], tmp_path / script)
        np.testing.assert_allclose(losses(tmp_path / script / "out")[:, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("script", BOTH)
def test_resumed_between_two_logs_no_loss_is_missing(script, flags, tmp_path):
    flags = [*without_logging(flags), "--logging_steps", 4]
    flags += ["--checkpointing_steps", 3, "--num_train_epochs", 2]
    run(script, flags, tmp_path / "straight")
    before = partial(interrupt, TOKEN_LOSS, 7, signal.SIGKILL)
    assert Run(script, flags, tmp_path, before=before).wait() == [-signal.SIGKILL]
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    straight, resumed = tmp_path / "straight" / "out", tmp_path / "out"
    np.testing.assert_allclose(losses(resumed), losses(straight), rtol=1e-6)
    for a, b in zip(facts(resumed)["history"], facts(straight)["history"], strict=True):
        assert a == pytest.approx(b, rel=1e-6)
    assert results(resumed)["train_loss"] == pytest.approx(results(straight)["train_loss"])


def test_warm_up_is_the_same_in_both_scripts(flags, tmp_path):
    flags = [*flags, "--max_steps", 5, "--warmup_steps", 1.5]
    for script in BOTH:
        run(script, flags, tmp_path / script)
    by_loop, by_trainer = (losses(tmp_path / script / "out") for script in BOTH)
    np.testing.assert_allclose(by_loop, by_trainer, rtol=1e-5)


def test_samples_do_not_include_fillers():
    order = TrainingOrder(np.arange(1, 22), 8, 8, seed=1)  # 21 windows: 3 fillers in one of 3 steps
    plan = SimpleNamespace(order=order, calendar=Calendar(3, 8, IntervalSettings()))
    count = partial(Plan.num_windows, plan)
    assert count(0, 3) == count(3, 6) == 21
    assert count(0, 6) == 42 and count(2, 2) == 0
    assert sorted(count(step, step + 1) for step in range(3)) == [5, 8, 8]
    assert count(1, 8) == sum(count(step, step + 1) for step in range(1, 8))


# --- Evaluations -----------------------------------------------------------------------------


def test_best_step_is_kept_whatever_the_intervals(flags, tmp_path):
    """Evaluated at every second step, saved at every fifth: a better score is saved too."""
    flags = [*flags, "--max_steps", 16, "--lr_scheduler_type", "constant"]
    flags += ["--eval_strategy", "steps", "--eval_steps", 2, "--save_strategy", "steps"]
    flags += ["--save_steps", 5, "--load_best_model_at_end", "--metric_for_best_model", "loss"]
    flags += ["--save_total_limit", 1, "--greater_is_better", "true"]  # the worst is the best
    for script in BOTH:
        run(script, flags, tmp_path / script)
        out = tmp_path / script / "out"
        rows = facts(out)["history"]
        assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12, 14, 16]
        best = max(rows, key=lambda row: row["eval_loss"])
        assert best["step"] % 5 and best["step"] < 16, "this test needs such a best step"
        assert weights(out) == weights(out / name_of(script, best["step"]))
        assert results(out)["eval_loss"] == best["eval_loss"]
        assert complete(out) == [name_of(script, step) for step in (best["step"], 16)]
    loop, trainer = (facts(tmp_path / script / "out")["history"] for script in BOTH)
    for a, b in zip(loop, trainer, strict=True):
        assert a == pytest.approx(b, rel=1e-4)


@pytest.mark.parametrize("script", BOTH)
def test_best_strategy_saves_better_scores_only(script, flags, tmp_path):
    flags = [*flags, "--num_train_epochs", 4, "--save_strategy", "best", "--save_total_limit", 9]
    run(script, flags, tmp_path)
    best, expected = -1.0, []
    for row in facts(tmp_path / "out")["history"]:
        if row["eval_f1"] > best:
            best = row["eval_f1"]
            expected.append(name_of(script, row["step"], row["epoch"]))
    assert complete(tmp_path / "out") == expected


def test_scores_before_training_are_recorded_and_never_the_best(flags, tmp_path):
    flags = [*flags, "--num_train_epochs", 2, "--eval_on_start", "--load_best_model_at_end"]
    flags += ["--metric_for_best_model", "loss", "--greater_is_better", "true"]
    run(TRAINER, flags, tmp_path)
    rows = facts(tmp_path / "out")["history"]
    assert [row["step"] for row in rows] == [0, 10, 20]
    assert rows[0]["eval_loss"] > rows[1]["eval_loss"] > rows[2]["eval_loss"]
    assert weights(tmp_path / "out") == weights(tmp_path / "out" / name_of(TRAINER, 10))


@pytest.mark.parametrize("script", BOTH)
def test_without_evaluations_the_validation_split_is_scored_at_the_end(script, flags, tmp_path):
    run(script, [*flags, "--max_steps", 2, "--eval_strategy", "no"], tmp_path)
    assert facts(tmp_path / "out")["history"] == []
    assert results(tmp_path / "out")["eval_words"] > 0


@pytest.mark.parametrize("script", BOTH)
def test_an_evaluation_that_a_signal_prevented_is_made_up_for(script, flags, tmp_path):
    flags = [*flags, "--max_steps", 4, "--eval_strategy", "steps", "--eval_steps", 2]
    before = partial(interrupt, TOKEN_LOSS, 1, signal.SIGTERM)
    run(script, flags, tmp_path, status=143, before=before)
    assert complete(tmp_path / "out") == [name_of(script, 2)]
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    run(script, flags, tmp_path / "straight")
    resumed, straight = (facts(f / "out")["history"] for f in (tmp_path, tmp_path / "straight"))
    assert [row["step"] for row in resumed] == [2, 4]
    for a, b in zip(resumed, straight, strict=True):
        assert a == pytest.approx(b, rel=1e-6)


@pytest.mark.parametrize("script", BOTH)
def test_no_step_follows_a_postponed_evaluation_that_ends_patience(script, flags, tmp_path):
    flags = [*flags, "--max_steps", 4, "--eval_strategy", "steps", "--eval_steps", 1]
    flags += ["--early_stopping_patience", 1, "--metric_for_best_model", "loss"]
    flags += ["--greater_is_better", "true"]  # the loss falls, so only the first is the best
    before = partial(interrupt, TOKEN_LOSS, 1, signal.SIGTERM)
    run(script, flags, tmp_path, status=143, before=before)
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert [row["step"] for row in facts(tmp_path / "out")["history"]] == [1, 2]
    assert results(tmp_path / "out")["train_steps"] == 2
    assert weights(tmp_path / "out") == weights(tmp_path / "out" / name_of(script, 2))


@pytest.mark.parametrize("script", BOTH)
def test_a_checkpoint_of_the_best_score_that_is_gone_is_an_error(script, flags, tmp_path):
    flags = [*flags, "--num_train_epochs", 2, "--load_best_model_at_end", "--save_total_limit", 9]
    flags += ["--metric_for_best_model", "loss", "--greater_is_better", "true"]
    first = tmp_path / "out" / name_of(script, 10, 0)
    before = partial(interrupt, SEED_STEP, 15, partial(shutil.rmtree, first))
    output = run(script, flags, tmp_path, status=2, before=before)
    assert f"out/{first.name}" in error_message(output)
    assert not (tmp_path / "out" / "model.safetensors").exists()


# --- Checkpoints -----------------------------------------------------------------------------


@pytest.mark.parametrize("script", BOTH)
def test_signal_during_the_last_checkpoint_ends_the_run(script, flags, tmp_path):
    flags = [*flags, "--max_steps", 2]
    before = partial(interrupt, CHECKSUM, 2, signal.SIGTERM)
    run(script, flags, tmp_path, status=143, before=before)
    assert complete(tmp_path / "out") == [name_of(script, 2, 0)]
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize("script", BOTH)
def test_a_model_that_the_last_step_breaks_is_not_saved(script, flags, tmp_path):
    """The loss of a step is computed before it changes the weights."""
    flags = [*flags, "--do_train", "--max_steps", 1, "--checkpointing_steps", "no"]
    flags += ["--learning_rate", 1e39, "--max_grad_norm", 0]
    output = run(script, flags, tmp_path, status=2)
    assert "diverged" in error_message(output) and "after step 1." in output
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize("script", BOTH)
def test_resumed_with_nothing_left_it_writes_all_results(script, flags, tmp_path):
    run(script, [*flags, "--max_steps", 2], tmp_path)
    for path in (tmp_path / "out").iterdir():
        if path.is_file():
            path.unlink()
    resume = ["--max_steps", 2, "--resume_from_checkpoint"]
    run(script, [*flags, *resume], tmp_path, before=with_report)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"eval_results.json", "predict_results.json", "report.html", "run.json"} <= names
    assert results(tmp_path / "out")["eval_words"] > 0


@pytest.mark.parametrize("script", BOTH)
def test_checkpoints_of_the_other_script_are_refused(script, flags, tmp_path):
    other = next(name for name in BOTH if name != script)
    flags = [*flags, "--max_steps", 2]
    run(other, flags, tmp_path)
    output = run(script, [*flags, "--resume_from_checkpoint"], tmp_path, status=2)
    assert "saved by: " in error_message(output)


@pytest.mark.parametrize("content", ["null", "[]", "{}", '{"files": []}', ""])
def test_a_manifest_with_other_content_is_damage(content, flags, tmp_path):
    run(LOOP, [*flags, "--max_steps", 2], tmp_path)
    (manifest,) = (tmp_path / "out").glob("*/checkpoint.json")
    manifest.write_text(content)
    resume = ["--max_steps", 2, "--resume_from_checkpoint"]
    output = run(LOOP, [*flags, *resume], tmp_path, status=2)
    assert "damaged checkpoint" in output and "Traceback" not in output
    json.dumps(facts(tmp_path / "out"))  # the results are unchanged
