"""A small corpus gets more epochs: the same in both scripts, on any grid, and when resumed."""

import json
import signal
from pathlib import Path

import pytest
import yaml

from settings import defaults
from tests.helpers.checkpoints import name_of
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    TOKEN_LOSS,
    Run,
    facts,
    interrupt,
    losses,
    results,
    run,
    weights,
    with_report,
)

EPOCHS = 5  # in place of the recipe's 3: 10 steps each


def few_steps() -> None:
    """Let 45 steps be the fewest."""
    defaults.FEWEST_STEPS = 45


def interrupted() -> None:
    """Let 45 steps be the fewest, and kill the run in step 28."""
    few_steps()
    interrupt(TOKEN_LOSS, 27, signal.SIGKILL)


def epochs_of(folder: Path) -> tuple[float, int, int]:
    """Return the epochs that a run states, those of its steps, and its steps."""
    steps = results(folder)["train_steps"]
    run_facts = facts(folder)
    return run_facts["arguments"]["num_train_epochs"], steps // run_facts["epoch_steps"], steps


@pytest.fixture(scope="module")
def straight(flags, tmp_path_factory) -> dict[str, Path]:
    """Folders of runs of both scripts."""
    folders = {script: tmp_path_factory.mktemp("straight") for script in BOTH}
    for script, folder in folders.items():
        run(script, flags, folder, before=few_steps)
    return folders


def test_both_scripts_train_the_same_epochs_and_state_them(straight):
    for script, folder in straight.items():
        assert epochs_of(folder / "out") == (EPOCHS, EPOCHS, 50)
        assert len(facts(folder / "out")["history"]) == EPOCHS
        assert losses(folder / "out")[-1, 1] == pytest.approx(1e-2 / 50)  # the whole schedule
        reason = "5 instead of 3, because the corpus is small"
        assert reason in facts(folder / "out")["more_epochs"]
        for file in (folder / "run0_0.log", folder / "out" / "README.md"):
            assert reason in file.read_text(), script
        arguments = yaml.safe_load((folder / "out" / "args.yaml").read_text())
        assert arguments["num_train_epochs"] == EPOCHS
    one, two = (weights(folder / "out") for folder in straight.values())
    assert one == two


@pytest.mark.parametrize("script", BOTH)
def test_a_killed_run_resumes_and_states_its_epochs(script, flags, straight, tmp_path):
    """With the same command, and with the number of epochs that the first run chose."""
    for resume in ([], ["--num_train_epochs", EPOCHS]):
        folder = tmp_path / str(len(resume))
        killed = Run(script, flags, folder, before=interrupted)
        assert killed.wait() == [-signal.SIGKILL]
        before = None if resume else few_steps
        output = run(script, [*flags, *resume, "--resume_from_checkpoint"], folder, before=before)
        assert name_of(script, 20, 1) in output
        assert weights(folder / "out") == weights(straight[script] / "out")


def test_the_way_to_cut_a_step_does_not_change_the_epochs(flags, tmp_path):
    grid = ["--per_device_train_batch_size", 2, "--gradient_accumulation_steps", 2]
    flags = [*flags, *grid, "--eval_strategy", "no", "--save_strategy", "no"]
    run(LOOP, flags, tmp_path, processes=2, before=few_steps)
    assert epochs_of(tmp_path / "out") == (EPOCHS, EPOCHS, 50)


@pytest.mark.parametrize("named", [["--num_train_epochs", 2], ["--max_train_samples", 40]])
def test_a_number_that_the_user_names_is_kept(named, flags, tmp_path):
    output = run(LOOP, [*flags, *named, "--save_strategy", "no"], tmp_path, before=few_steps)
    assert facts(tmp_path / "out")["more_epochs"] is None
    assert epochs_of(tmp_path / "out")[0] == (2 if "epochs" in named[0] else 3)
    assert "corpus is small" not in output


@pytest.mark.parametrize("script", BOTH)
def test_the_run_says_that_the_score_still_improved(script, flags, tmp_path):
    """In the terminal, the report, the card and run.json; with a low rate it always does."""
    flags = [*flags, "--num_train_epochs", 2, "--learning_rate", 1e-5]
    flags += ["--metric_for_best_model", "loss", "--save_strategy", "no"]
    output = run(script, flags, tmp_path, before=with_report)
    sentence = "The score still improved at the last evaluation; the last weights were kept"
    out = tmp_path / "out"
    for text in (output, *((out / name).read_text() for name in ("report.html", "README.md"))):
        assert sentence in " ".join(text.split())
    assert "--num_train_epochs 4 --load_best_model_at_end" in output
    run_facts = json.loads((out / "run.json").read_text())
    assert (run_facts["still_improved"], run_facts["kept_epoch"]) == (True, 2.0)


@pytest.mark.parametrize("script", BOTH)
@pytest.mark.parametrize("best", [[], ["--load_best_model_at_end"]])
def test_early_stopping_says_which_epoch_was_kept(script, best, flags, tmp_path):
    flags = [*flags, "--num_train_epochs", 9, "--lr_scheduler_type", "constant"]
    flags += ["--early_stopping_patience", 2, "--metric_for_best_model", "loss", *best]
    output = run(script, flags, tmp_path)
    run_facts = facts(tmp_path / "out")
    last = run_facts["history"][-1]
    done = last["epoch"] + 1
    assert done < 9 and run_facts["patience_ended"] == 2
    kept = done - 2 if best else done
    assert (run_facts["kept_epoch"], run_facts["kept_step"]) == (kept, kept * 10)
    stated = "Training stopped early, after 2 evaluations without a better score; the "
    stated += f"{'best' if best else 'last'} weights were kept (after {kept} epoch"
    assert stated in output
    assert stated in " ".join((tmp_path / "out" / "README.md").read_text().split())
    assert "To train longer" not in output
    # A run that is resumed at its end says the same.
    again = run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert stated in again
