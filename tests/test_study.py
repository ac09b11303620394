"""Tests of study.py through its command line: runs, resuming, conclusions, errors.

Most runs are those of a launcher that only writes the results of a training script.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import study
from settings.argument_parser import make_parser
from settings.study_flags import StudyFlags
from support import errors
from support.manifests import MANIFEST
from tests.helpers.messages import stable
from tests.helpers.models import ROOT
from tests.helpers.script_runs import write_corpus

# Writes what a training script writes: scores that depend on the seed, weights, a checkpoint.
LAUNCHER = """
import json, pathlib, sys, time
arguments = sys.argv[1:]
with open("calls.txt", "a") as file:
    print(*arguments, file=file)
seed = int(arguments[arguments.index("--seed") + 1])
folder = pathlib.Path(arguments[arguments.index("--output_dir") + 1])
checkpoint = folder / "epoch_0"
checkpoint.mkdir(parents=True, exist_ok=True)
manifest = dict(identity={}, conditions={}, progress=dict(step=seed, run_id="1"), files={})
(checkpoint / "checkpoint.json").write_text(json.dumps(manifest))
print("training with seed", seed, flush=True)
if pathlib.Path(f"fail_{seed}").exists():
    sys.exit("error: --learning_rate 7: expected less\\nTo see all flags: --help")
if pathlib.Path(f"crash_{seed}").exists():
    raise RuntimeError("out of memory")
while pathlib.Path(f"wait_{seed}").exists():
    time.sleep(0.01)
(folder / "model.safetensors").write_text("weights")
scores = {42: 0.5, 43: 0.75, 44: 0.25}
kind = "accuracy" if "pos" in arguments else "f1"
results = {f"eval_{kind}": scores[seed], f"predict_{kind}": scores[seed] / 2}
if "--do_train" in arguments:
    results = {"train_loss": 1.0}
(folder / "all_results.json").write_text(json.dumps(results))
"""


@pytest.fixture
def cli(monkeypatch, capfd, tmp_path):
    """Return a function that runs study.py in this process: (exit status, output, messages)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "launcher.py").write_text(LAUNCHER)

    def run(*argv, launcher=f"{sys.executable} launcher.py"):
        dashes = argv.index("--") if "--" in argv else len(argv)
        flags = ["--launcher", launcher] if launcher else []
        argv = [*argv[:dashes], *flags, *argv[dashes:]]
        monkeypatch.setattr(sys, "argv", ["study.py", *map(str, argv)])
        status = 0
        try:
            errors.run_script(study.main)
        except SystemExit as end:
            status = end.code
        output, messages = capfd.readouterr()
        output = re.sub(r"\d+\.\d s$", "1.0 s", output, flags=re.MULTILINE)
        return status, stable(output, tmp_path), stable(messages, tmp_path)

    return run


def calls() -> list[str]:
    return Path("calls.txt").read_text().replace(str(ROOT), "<suite>").splitlines()


def record(folder: str = "seeds-study") -> dict:
    return json.loads((Path(folder) / "study.json").read_text())


def weights() -> list[str]:
    return sorted(path.parent.name for path in Path().glob("*/*/model.safetensors"))


# --- Seeds ----------------------------------------------------------------------------------


def test_seeds(cli, snapshot):
    status, output, messages = cli("seeds", 3, "--", "--train_file", "a b.conll", "--max_steps", 7)
    assert (status, messages) == (0, "")
    assert output == snapshot
    assert calls() == [
        f"<suite>/train_trainer.py --train_file a b.conll --max_steps 7 --seed {seed} "
        f"--output_dir seeds-study/seed_{seed}"
        for seed in (42, 43, 44)
    ]
    content = record()
    assert content["study"] == "seeds" and content["best"] == "seed_43"
    assert content["flags"] == "--train_file 'a b.conll' --max_steps 7"
    assert [run["name"] for run in content["runs"]] == ["seed_42", "seed_43", "seed_44"]
    assert content["runs"][1]["scores"] == {"validation": 0.75, "test": 0.375}
    assert content["summary"]["test"] == {
        "mean": 0.25, "standard_deviation": 0.125, "lowest": 0.125, "highest": 0.375
    }  # fmt: skip


def test_the_weights_of_the_best_run_are_kept(cli):
    cli("seeds", 3, "--", "--x")
    assert weights() == ["seed_43"]
    assert sorted(path.parent.name for path in Path("seeds-study").glob("*/epoch_0")) == ["seed_43"]
    # Results of all runs stay.
    assert len(list(Path("seeds-study").glob("*/all_results.json"))) == 3
    cli("seeds", 3, "--keep_models", "--output_dir", "all", "--", "--x")
    assert weights() == ["seed_42", "seed_43", "seed_43", "seed_44"]


def test_without_validation_all_weights_are_kept(cli):
    status, output, _ = cli("seeds", 2, "--", "--do_train")
    assert status == 0 and "all models are kept" in output
    assert weights() == ["seed_42", "seed_43"] and record()["best"] is None


def test_plain_tags_are_ranked_by_accuracy(cli):
    cli("seeds", 2, "--", "--task_name", "pos")
    assert record()["best"] == "seed_43" and record()["runs"][0]["scores"]["test"] == 0.25


def test_seed_script_and_folder_are_flags(cli):
    script = "train_accelerate.py"
    cli("seeds", 2, "--seed", 43, "--script", script, "--output_dir", "x", "--", "--sample")
    assert calls()[0] == f"<suite>/{script} --sample --seed 43 --output_dir x/seed_43"
    assert record("x")["script"] == script


# --- Resuming -------------------------------------------------------------------------------


def test_finished_runs_are_not_repeated(cli):
    assert cli("seeds", 2, "--", "--sample")[0] == 0
    status, output, _ = cli("seeds", 3, "--", "--sample")
    assert status == 0 and output.count("finished earlier") == 2
    assert [line.split("seed_")[-1] for line in calls()] == ["42", "43", "44"]
    assert record()["summary"]["validation"]["mean"] == 0.5


def test_a_run_that_failed_resumes_from_its_checkpoint(cli, tmp_path, snapshot):
    (tmp_path / "fail_43").touch()
    status, output, messages = cli("seeds", 2, "--", "--sample")
    assert status == 2 and "seed_42" in output
    assert messages == snapshot
    (tmp_path / "fail_43").unlink()
    assert cli("seeds", 2, "--", "--sample")[0] == 0
    assert [line.endswith("--resume_from_checkpoint") for line in calls()] == [False, False, True]
    log = (tmp_path / "seeds-study" / "seed_43.log").read_text()
    assert log.count("training with seed 43") == 2


def test_a_crash_shows_the_end_of_its_output(cli, tmp_path):
    (tmp_path / "crash_42").touch()
    status, _, messages = cli("seeds", 2, "--", "--sample")
    assert status == 2 and "RuntimeError: out of memory" in messages
    assert messages.count("error: ") == 1 and "seeds-study/seed_42.log" in messages


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_reaches_the_run(tmp_path, number):
    (tmp_path / "launcher.py").write_text(LAUNCHER)
    (tmp_path / "wait_42").touch()
    launcher = f"{sys.executable} launcher.py"
    command = [sys.executable, ROOT / "study.py", "seeds", "2", "--launcher", launcher, "--"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "seeds-study" / "seed_42.log"
    while not (log.exists() and "training" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, messages = process.communicate(timeout=30)
    assert process.returncode == 128 + number and "Traceback" not in messages
    if number == signal.SIGINT:  # the run has had it too, and ended before the study
        assert "KeyboardInterrupt" in log.read_text()
    assert not (tmp_path / "seeds-study" / "study.json").exists()


# --- A real run -----------------------------------------------------------------------------


def test_seeds_of_a_training_script(cli, tmp_path, tiny_encoder):
    corpus = write_corpus(tmp_path / "corpus", train=9, validation=5, test=6)
    flags = [*corpus, "--model_name_or_path", tiny_encoder, "--max_steps", 2]
    status, output, messages = cli("seeds", 2, "--", *flags, launcher=None)
    assert (status, messages) == (0, ""), output
    results = [
        json.loads((tmp_path / "seeds-study" / f"seed_{seed}" / "all_results.json").read_text())
        for seed in (42, 43)
    ]
    for run, result in zip(record()["runs"], results, strict=True):
        assert run["scores"] == {"validation": result["eval_f1"], "test": result["predict_f1"]}
    assert len(weights()) == 1
    checkpoints = list(tmp_path.glob(f"seeds-study/*/*/{MANIFEST}"))
    assert {path.parent.parent.name for path in checkpoints} == {record()["best"]}
    assert os.path.exists(tmp_path / "seeds-study" / record()["best"] / "model.safetensors")


# --- Errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("seed", "3", "--", "--sample"),
        ("seeds", "--", "--sample"),
        ("seeds", "1", "--", "--sample"),
        ("seeds", "many", "--", "--sample"),
        ("seeds", "2", "3", "--", "--sample"),
        ("seeds", "2", "--train_file", "a.conll"),
        ("seeds", "2", "--", "--seed", "7", "--output-dir=x", "--push_to_hub"),
        ("seeds", "2", "--script", "train.py", "--", "--sample"),
        ("seeds", "2", "--output_dir", "launcher.py", "--", "--sample"),
        ("seeds", "2", "--output_dir", "foreign", "--", "--sample"),
        ("seeds", "2", "--output_dir", "damaged", "--", "--sample"),
        ("seeds", "2", "--output_dir", "other", "--", "--sample"),
    ],
    ids=" ".join,
)
def test_user_errors_produce_one_message(cli, tmp_path, argv, snapshot):
    for name, content in (("damaged", "[]"), ("other", '{"study": "seeds", "runs": []}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.json").write_text(content)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    status, output, messages = cli(*argv)
    assert (status, output) == (2, "")
    assert messages.count("error: ") == 1 and messages == snapshot
    assert sorted(tmp_path.rglob("*")) == before


def test_help_states_each_flag():
    text = make_parser(StudyFlags, study.__doc__).format_help()
    assert "None" not in text and "seeds 5 -- --train_file" in text
