"""Names and texts that a stranger chose never reach the terminal raw, in any script."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.models import ROOT, save_tiny_tagger
from tests.helpers.script_runs import BOTH, LOOP, TRAINER, run

# Clears the screen, sets the title of the window, and reverses what follows.
EVIL = "evil\x1b[2J\x1b]0;title\x07\x9b31m\u202ename\u2066"
LABEL = "PER\x1b[31m\u202e"
RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SETTINGS = [
    "--use_cpu",
    "--mixed_precision",
    "no",
    "--max_seq_length",
    24,
    "--disable_tqdm",
    "true",
]


def check_harmless(output: str) -> None:
    """Fail if an output holds a control character or does not show the evil name at all."""
    assert "evil" in output, output
    raw = RAW.search(output)
    assert raw is None, repr(output[max(raw.start() - 200, 0) : raw.end() + 20])


@pytest.fixture
def evil(tmp_path, tiny_encoder) -> list:
    """Return the flags of a run all of whose names are evil, in `tmp_path`."""
    shutil.copytree(tiny_encoder, tmp_path / f"{EVIL}-encoder")
    rows = f"Anna B-{LABEL}\nwent O\nto O\nParis{EVIL} B-LOC\n\n" * 8
    for split in ("train", "test"):
        (tmp_path / f"{split}{EVIL}.conll").write_text(rows)
    files = ["--train_file", f"train{EVIL}.conll", "--test_file", f"test{EVIL}.conll"]
    model = ["--model_name_or_path", f"{EVIL}-encoder", "--output_dir", f"{EVIL}-out"]
    return [*files, *model, *SETTINGS]


@pytest.mark.parametrize("script", BOTH)
def test_training_replacing_and_resuming(script, evil, tmp_path):
    flags = [*evil, "--max_steps", 2, "--checkpointing_steps", 1]
    check_harmless(run(script, flags, tmp_path))
    check_harmless(run(script, flags, tmp_path))  # replaces the first run
    newest = max((tmp_path / f"{EVIL}-out").glob("[cs]*[_-]2"))
    (newest / "config.json").write_text("{}")
    output = run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert "damaged checkpoint, skipped" in output
    check_harmless(output)
    output = run(script, [*flags, "--learning_rate", 1, "--resume_from_checkpoint"], tmp_path, 1, 2)
    check_harmless(output)


def test_check_and_other_errors_of_training(evil, tmp_path):
    train = evil[1]
    check_harmless(run(TRAINER, [*evil, "--check"], tmp_path))
    with open(tmp_path / train, "a") as file:
        file.write(f"Bob {LABEL}-B-{EVIL}\nAnn{EVIL}\n\nthe I-{LABEL}{EVIL}\n")
    for flags in (
        [*evil, "--check"],
        evil,
        ["--train_file", f"absent{EVIL}.conll"],
        [f"--{EVIL}", 1],
        [f"{EVIL}.yaml"],
        ["--learning_rate", EVIL],
        ["--dataset_name", f"./{EVIL}"],
        ["--model_name_or_path", f"user/{EVIL}", *evil[:4]],
        ["--report_to", EVIL],
        ["--deepspeed", EVIL],
        ["--resume_from_checkpoint", EVIL, *evil],
        ["--text_column_name", EVIL, *evil],
    ):
        check_harmless(run(LOOP if "--dataset_name" in flags else TRAINER, flags, tmp_path, 1, 2))


def test_notes_on_old_flags(tmp_path):
    (tmp_path / f"{EVIL}.yaml").write_text(f"evaluation_strategy: epoch\n'{EVIL}': 1\n")
    check_harmless(run(TRAINER, [f"{EVIL}.yaml"], tmp_path, 1, 2))


@pytest.fixture
def tagger(tmp_path) -> Path:
    labels = ["O", f"B-evil{LABEL}", f"I-evil{LABEL}"]
    return save_tiny_tagger(tmp_path / f"{EVIL}-finetuned-ner", labels)


def test_messages_of_tagging(tagger, tmp_path):
    text = f"{EVIL}.txt"
    (tmp_path / text).write_text(f"Peter {EVIL} went\n")
    (tmp_path / f"{EVIL}.png").touch()
    (tmp_path / f"{EVIL}.conll").write_text(f"Peter B-{LABEL}\nwent O\n\n")
    (tmp_path / f"{EVIL}.jsonl").write_text(f'{{"text": "a", "entities": 1}}\n{EVIL}\n')
    for status, flags in (
        (0, ["--input", text, "--output", f"{EVIL}.out.html"]),  # the default model, which it names
        (0, ["--input", ".", "--output", f"{EVIL}.out.csv", "--skip_errors"]),
        (0, ["--input", f"{EVIL}.conll", "--score"]),
        (2, ["--input", f"{EVIL}.jsonl", "--output", f"{EVIL}.out.jsonl"]),
        (2, ["--input", text, "--output", f"{EVIL}.xyz"]),
        (2, ["--input", text, "--model", f"user/{EVIL}"]),
        (2, ["--input", f"absent{EVIL}"]),
        (2, ["--input", text, "--device", EVIL]),
        (2, ["--input", text, "--output", f"{EVIL}/a.txt"]),
    ):
        check_harmless(run("infer.py", flags, tmp_path, 1, status))


@pytest.mark.parametrize("output_format", ["pretty", "jsonl", "json", "csv", "conll", "doccano"])
def test_results_on_a_terminal(output_format, tagger, tmp_path):
    """In a pipe they are exact; a terminal shows what it cannot show as such."""
    text = f"evil Peter {EVIL} went to Paris"
    command = [sys.executable, str(ROOT / "infer.py"), text, "--model", str(tagger)]
    command += ["--output_format", output_format]
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=end, stderr=end, env=os.environ | {"NO_COLOR": "1"}
    )
    os.close(end)
    shown = b""
    while True:
        try:
            block = os.read(terminal, 1 << 16)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        if not block:
            break
        shown += block
    os.close(terminal)
    assert process.wait() == 0, shown
    check_harmless(shown.decode().replace("\r\n", "\n"))
