"""Runs that share an output folder, runs that are ended before training, folders of a user."""

import signal
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.messages import stable
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    SEED_STEP,
    TRAINER,
    Run,
    error_message,
    facts,
    interrupt,
    run,
    wait_for_file,
    weights,
    without_dropout,
    write_corpus,
)

LOAD_CORPUS = "corpus.load.load_corpus"
SETTINGS = ["--mixed_precision", "no", "--max_seq_length", 24, "--max_steps", 4]


@pytest.fixture(scope="module")
def flags(tiny_encoder, tmp_path_factory) -> list:
    encoder = without_dropout(tiny_encoder, tmp_path_factory.mktemp("encoder") / "tiny")
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), 12, 6, 6)
    return ["--model_name_or_path", encoder, *corpus, *SETTINGS, "--output_dir", "out"]


def start_and_pause(script: str, flags: list, folder: Path) -> Run:
    """Start a run that waits for the file `go` before its third step."""
    before = partial(interrupt, SEED_STEP, 2, partial(wait_for_file, folder / "go"))
    started = Run(script, flags, folder, before=before)
    started.wait_for(lambda: "waiting for go" in started.output)
    return started


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_in_use(flags, tmp_path, snapshot):
    """Nobody else writes into the folder of a run; reading from it is possible."""
    out = tmp_path / "out"
    run(TRAINER, flags, tmp_path)
    first_weights = weights(out)
    secret = ["--hub_token", "hf_secretsecret"]
    first = start_and_pause(LOOP, [*flags, *secret, "--learning_rate", 1e-2], tmp_path)
    before = files(out)
    owner = first.processes[0].pid
    scoring = ["--do_eval", "--model_name_or_path", "out", *flags[2:]]
    for script, processes, given in (
        (TRAINER, 1, flags),
        (LOOP, 2, flags),
        (LOOP, 1, [*scoring, "--overwrite_output_dir"]),
    ):
        output = run(script, given, tmp_path, processes, status=2)
        message = error_message(output)
        assert f"process {owner} on " in message and "hf_secret" not in message
        assert "train_accelerate.py" in message
    assert files(out) == before
    run(LOOP, [*flags, "--check"], tmp_path)
    run("infer.py", ["--model", "out", "Peter went to Paris"], tmp_path)
    run(TRAINER, [*flags[:-1], "elsewhere"], tmp_path)  # another folder is free
    (tmp_path / "go").touch()
    assert first.wait() == [0]
    assert weights(out) != first_weights
    for folder in (out, tmp_path / "elsewhere"):
        assert not (folder / ".run").exists()


@pytest.mark.parametrize("script", BOTH)
def test_a_run_takes_over_the_folder_of_one_that_was_killed(script, flags, tmp_path):
    killed = start_and_pause(script, flags, tmp_path)
    killed.send(signal.SIGKILL)
    killed.wait()
    assert (tmp_path / "out" / ".run").exists()
    half = tmp_path / "out" / ".run" / "step_2"
    half.mkdir()
    run(script, flags, tmp_path)
    assert not (tmp_path / "out" / ".run").exists()
    assert facts(tmp_path / "out")["scores"]


@pytest.mark.parametrize(
    ("script", "number", "status"),
    [(TRAINER, signal.SIGINT, 130), (LOOP, signal.SIGTERM, 143), (LOOP, signal.SIGINT, 130)],
)
def test_a_signal_before_training_ends_the_run_without_a_traceback(
    script, number, status, flags, tmp_path
):
    before = partial(interrupt, LOAD_CORPUS, 0, number)
    output = run(script, flags, tmp_path, status=status, before=before)
    assert "Traceback" not in output and "error: " not in output
    assert output.count("Interrupted.") == (number == signal.SIGINT)
    assert not (tmp_path / "out").exists()


def test_a_signal_while_the_model_is_loaded_leaves_nothing(flags, tmp_path):
    """The folder is locked by then."""
    before = partial(interrupt, "encoder.model.load_model", 0, signal.SIGTERM)
    output = run(TRAINER, flags, tmp_path, status=143, before=before)
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("script", BOTH)
def test_hidden_folders_of_a_user_survive_a_run(script, flags, tmp_path):
    names = (".push", ".partial", ".mine.partial", ".step_1.partial", ".epoch_0.deleted")
    names += (".checkpoint.partial", "step_7", "epoch_3", "checkpoint-7")
    for name in names:
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "notes.txt").write_text("mine")
    for name in (".run.json.partial", ".model.safetensors.partial"):
        (tmp_path / "out" / name).write_text("mine")
    before = files(tmp_path / "out")
    run(script, [*flags, "--save_total_limit", 1, "--checkpointing_steps", 1], tmp_path)
    assert files(tmp_path / "out").items() >= before.items()


def test_a_work_folder_of_a_user_is_refused_before_training(flags, tmp_path, snapshot):
    (tmp_path / "out" / ".run").mkdir(parents=True)
    (tmp_path / "out" / ".run" / "notes.txt").write_text("mine")
    output = run(TRAINER, flags, tmp_path, status=2)
    assert stable(error_message(output), tmp_path) == snapshot
    assert files(tmp_path / "out") == {".run/notes.txt": b"mine"}
