"""--log_file: one JSON line for each logged step."""

import json
import signal
from functools import partial

import pytest

from support.errors import UserError
from tests.helpers.script_runs import BOTH, TOKEN_LOSS, Run, error_message, facts, interrupt, run
from training.step_log import StepLog

ROW = {"step": 10, "loss": 0.25, "learning_rate": 1e-5}


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_file_begins_with_the_steps_of_before(tmp_path):
    path = tmp_path / "new" / "steps.jsonl"
    StepLog(path, []).add(ROW)
    log = StepLog(path, [ROW])
    log.add(ROW | {"step": 20})
    assert lines(path) == [ROW, ROW | {"step": 20}]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"steps\.jsonl could not be written"):
        StepLog(tmp_path / "file" / "steps.jsonl", [])


@pytest.mark.parametrize("script", BOTH)
def test_a_resumed_run_has_a_line_for_each_logged_step(script, flags, tmp_path):
    flags = [*flags, "--checkpointing_steps", 3, "--max_steps", 9, "--log_file", "steps.jsonl"]
    before = partial(interrupt, TOKEN_LOSS, 7, signal.SIGKILL)
    assert Run(script, flags, tmp_path, before=before).wait() == [-signal.SIGKILL]
    assert len(lines(tmp_path / "steps.jsonl")) == 7  # the last one is repeated
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    rows = lines(tmp_path / "steps.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 10))
    assert rows == facts(tmp_path / "out")["step_losses"]


def test_a_folder_is_not_a_file_to_log_to(flags, tmp_path):
    output = run(BOTH[0], [*flags, "--log_file", tmp_path], tmp_path, status=2)
    assert error_message(output).startswith(
        f"error: --log_file {tmp_path}: expected the name of a file"
    )
