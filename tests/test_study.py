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
from tests.helpers.flags import settings_from
from tests.helpers.messages import stable
from tests.helpers.models import ROOT
from tests.helpers.pages import Page, assert_inert
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
if pathlib.Path(f"plan_{seed}").exists():
    sys.exit()
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


# Writes predictions of a test file: the gold tags, except that the last word of a sentence is O.
PREDICTING = """
arguments = sys.argv[1:]
with open("calls.txt", "a") as file:
    print(*arguments, file=file)
folder = pathlib.Path(arguments[arguments.index("--output_dir") + 1])
folder.mkdir(parents=True)
value = lambda flag: arguments[arguments.index(flag) + 1]
sentences = [json.loads(line) for line in open(value("--test_file"))]
with open(folder / "predictions.jsonl", "w") as file:
    for row in sentences:
        tags = [*row["labels"][:-1], "O"]
        row = {"words": row["tokens"], "gold_tags": row["labels"], "predicted_tags": tags}
        print(json.dumps(row), file=file)
score = {"eighth": 0.3, "quarter": 0.4, "half": 0.48, "three_quarters": 0.52, "whole": 0.55}
results = {"predict_f1": score.get(folder.name, 0.5), "predict_accuracy": 0.9}
(folder / "all_results.json").write_text(json.dumps(results))
(folder / "train_results.json").write_text(json.dumps({"train_steps": 60}))
if "TAGGER" in os.environ:
    shutil.copytree(os.environ["TAGGER"], folder, dirs_exist_ok=True)
"""


@pytest.fixture
def cli(monkeypatch, capfd, tmp_path):
    """Return a function that runs study.py in this process: (exit status, output, messages)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "launcher.py").write_text(LAUNCHER)
    (tmp_path / "predict.py").write_text("import json, os, pathlib, shutil, sys\n" + PREDICTING)

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
        output = re.sub(r"\d+\.\d s\b", "1.0 s", output)
        return status, stable(output, tmp_path), stable(messages, tmp_path)

    return run


def calls() -> list[str]:
    return Path("calls.txt").read_text().replace(str(ROOT), "<suite>").splitlines()


def record(folder: str = "seeds-study") -> dict:
    return json.loads((Path(folder) / "study.json").read_text())


def json_lines(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def weights() -> list[str]:
    return sorted(path.parent.name for path in Path().glob("*/*/model.safetensors"))


# --- Seeds ----------------------------------------------------------------------------------


def test_seeds(cli, snapshot):
    write_names(Path("a b.conll"), 12)
    status, output, messages = cli("seeds", 3, "--", "--train_file", "a b.conll", "--max_steps", 7)
    assert (status, messages) == (0, "")
    assert output == snapshot
    assert calls() == [
        f"<suite>/train_trainer.py --train_file a b.conll --max_steps 7 --seed {seed} "
        f"--output_dir seeds-study/seed_{seed}"
        for seed in (42, 43, 44)
    ]
    content = record()
    assert content["study"] == "seeds" and content["kept"] == "seed_43"
    assert content["clearly_worse"] is None  # there are no predictions to compare
    assert content["flags"] == "--train_file 'a b.conll' --max_steps 7"
    assert [run["name"] for run in content["runs"]] == ["seed_42", "seed_43", "seed_44"]
    assert content["runs"][1]["scores"] == {"validation": 0.75, "test": 0.375}
    assert content["summary"]["test"] == {
        "mean": 0.25, "standard_deviation": 0.125, "lowest": 0.125, "highest": 0.375
    }  # fmt: skip


def test_the_weights_of_the_best_run_are_kept(cli):
    cli("seeds", 3, "--", "--sample")
    assert weights() == ["seed_43"]
    assert sorted(path.parent.name for path in Path("seeds-study").glob("*/epoch_0")) == ["seed_43"]
    # Results of all runs stay.
    assert len(list(Path("seeds-study").glob("*/all_results.json"))) == 3
    cli("seeds", 3, "--keep_models", "--output_dir", "all", "--", "--sample")
    assert weights() == ["seed_42", "seed_43", "seed_43", "seed_44"]


def test_without_validation_all_weights_are_kept(cli):
    status, output, _ = cli("seeds", 2, "--", "--do_train")
    assert status == 0 and "all models are kept" in output
    assert weights() == ["seed_42", "seed_43"] and record()["kept"] is None


def test_plain_tags_are_ranked_by_accuracy(cli):
    cli("seeds", 2, "--", "--task_name", "pos")
    assert record()["kept"] == "seed_43" and record()["runs"][0]["scores"]["test"] == 0.25


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


def test_a_changed_corpus_is_another_study_of_seeds(cli, tmp_path):
    corpus = write_names(tmp_path / "a.conll", 12)
    assert cli("seeds", 2, "--", "--train_file", corpus)[0] == 0
    write_names(corpus, 13)
    status, _, messages = cli("seeds", 3, "--", "--train_file", corpus)
    assert status == 2 and "a study of an earlier version of the corpus" in messages
    assert len(calls()) == 2


def test_the_remaining_time_is_that_of_the_runs_that_are_left(cli, tmp_path):
    assert cli("seeds", 2, "--", "--sample")[0] == 0
    content = record()
    del content["runs"][1]
    content["runs"][0]["seconds"] = 7400
    (tmp_path / "seeds-study/study.json").write_text(json.dumps(content))
    (_, output, _) = cli("seeds", 3, "--", "--sample")
    # The mean of 7,400 s and the second or so that seed_43 takes.
    assert re.findall(r"(.*); (1 run left, about 1 h 0[12] min)", output), output
    assert output.count(" left, ") == 1


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


def test_a_run_that_ends_before_it_trains_is_an_error(cli, tmp_path):
    """As with dry_run in a file of flags."""
    (tmp_path / "plan_42").touch()
    status, _, messages = cli("seeds", 2, "--", "--sample")
    assert status == 2 and "seed_42: got no all_results.json" in messages
    (tmp_path / "plan_42").unlink()
    status, _, messages = cli("seeds", 2, "--", "--sample")
    assert status == 0, messages


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
    assert messages.count(study.RESUMES) == 1 and messages.count("\n") == 1
    if number == signal.SIGINT:  # the run has had it too, and ended before the study
        assert "KeyboardInterrupt" in log.read_text()
    record = json.loads((tmp_path / "seeds-study" / "study.json").read_text())
    assert record["runs"] == []
    (tmp_path / "wait_42").unlink()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)  # it resumes


# --- Folds, curves, label errors ------------------------------------------------------------

NAMES = ["Peter", "Anna", "Paris", "German", "EU"]
KINDS = {"Peter": "B-PER", "Anna": "B-PER", "Paris": "B-LOC", "German": "B-MISC", "EU": "B-ORG"}
PREDICT = f"{sys.executable} predict.py"


def write_names(path: Path, sentences: int, documents: int = 0, **wrong: str) -> Path:
    """Write sentences `w7 Anna said`; `wrong`: labels of `s7`, for the name in sentence 7."""
    text = ""
    for number in range(sentences):
        if documents and number % (sentences // documents) == 0:
            text += "-DOCSTART- O\n\n"
        name = NAMES[number % len(NAMES)]
        tag = wrong.get(f"s{number}", KINDS[name])
        text += f"w{number} O\n{name} {tag}\nsaid O\n\n"
    path.write_text(text)
    return path


def test_folds(cli, tmp_path, tiny_encoder, snapshot):
    corpus = write_names(tmp_path / "a.conll", 12)
    flags = ["--train_file", corpus, "--learning_rate", "1e-3", "--model_name_or_path"]
    status, output, messages = cli("folds", 3, "--", *flags, tiny_encoder, launcher=PREDICT)
    assert (status, messages) == (0, ""), messages
    assert re.sub(r"\d\.\d{3}-\d\.\d{3}", "<interval>", output) == snapshot
    assert calls() == [
        f"<suite>/train_trainer.py --learning_rate 1e-3 --model_name_or_path {tiny_encoder} "
        "--task_name ner --label_names folds-study/labels.txt --text_column_name tokens "
        "--label_column_name labels --tag_scheme iob2 --seed 42 --do_train --do_predict "
        f"--train_file folds-study/fold_{n}_train.jsonl "
        f"--test_file folds-study/fold_{n}_test.jsonl "
        f"--output_dir folds-study/fold_{n}"
        for n in (1, 2, 3)
    ]
    rows = json_lines("folds-study/predictions.jsonl")
    assert [row["words"][0] for row in rows] == [f"w{n}" for n in range(12)]
    assert [row["line"] for row in rows] == [4 * n + 1 for n in range(12)]
    assert {row["file"] for row in rows} == {str(corpus)}
    of_folds = [Path(f"folds-study/fold_{n}_test.jsonl").read_text() for n in (1, 2, 3)]
    assert [text.count("\n") for text in of_folds] == [4, 4, 4]
    assert record("folds-study")["scores"]["overall"]["f1"] == 1
    assert cli("folds", 3, "--", *flags, tiny_encoder, launcher=PREDICT)[0] == 0
    assert len(calls()) == 3


def test_a_fold_whose_predictions_are_gone_is_one_message(cli, tmp_path, tiny_encoder, snapshot):
    corpus = write_names(tmp_path / "a.conll", 12)
    flags = ["--train_file", corpus, "--model_name_or_path", tiny_encoder]
    assert cli("folds", 2, "--", *flags, launcher=PREDICT)[0] == 0
    file = tmp_path / "folds-study" / "fold_2" / "predictions.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    for content in (lines[:-1], lines[::-1], ["{"]):
        file.write_text("".join(content))
        status, _, messages = cli("folds", 2, "--", *flags, launcher=PREDICT)
        assert status == 2 and messages == snapshot
    file.unlink()
    assert cli("folds", 2, "--", *flags, launcher=PREDICT)[2] == snapshot


def test_the_files_of_a_fold_hold_all_other_sentences(cli, tmp_path, tiny_encoder):
    corpus = write_names(tmp_path / "a.conll", 12, documents=4)
    flags = ["--train_file", corpus, "--model_name_or_path", tiny_encoder]
    assert cli("folds", 2, "--", *flags, launcher=PREDICT)[0] == 0
    for fold in (1, 2):
        words = {}
        for part in ("train", "test"):
            records = json_lines(f"folds-study/fold_{fold}_{part}.jsonl")
            words[part] = {row["tokens"][0] for row in records}
            assert len({row["document"] for row in records}) == 2
        assert len(words["train"]) == len(words["test"]) == 6
        assert words["train"].isdisjoint(words["test"])
    assert record("folds-study")["unit"] == "document"


def test_a_changed_corpus_is_another_study(cli, tmp_path, tiny_encoder, snapshot):
    corpus = write_names(tmp_path / "a.conll", 12)
    flags = ["--train_file", corpus, "--model_name_or_path", tiny_encoder]
    assert cli("folds", 2, "--", *flags, launcher=PREDICT)[0] == 0
    write_names(corpus, 13)
    Path("folds-study-2").mkdir()
    for number in (2, 3):
        status, _, messages = cli("folds", number, "--", *flags, launcher=PREDICT)
        assert status == 2 and messages == snapshot
    named = ["--output_dir", "folds-study-3"]
    assert cli("folds", 2, *named, "--", *flags, launcher=PREDICT)[0] == 0
    assert len(calls()) == 4


@pytest.mark.exhaustive
def test_curve(cli, tmp_path, tiny_encoder, snapshot):
    corpus = write_names(tmp_path / "a.conll", 40)
    test = write_names(tmp_path / "b.conll", 5)
    flags = ["--train_file", corpus, "--test_file", test, "--model_name_or_path", tiny_encoder]
    status, output, messages = cli("curve", "--", *flags, launcher=PREDICT)
    assert (status, messages) == (0, ""), messages
    assert output == snapshot
    # The whole comes first, and its steps are those of all others.
    names = [call.split("curve-study/")[-1].split()[0] for call in calls()]
    assert names == ["whole", "three_quarters", "half", "quarter", "eighth"]
    assert ["--max_steps 60" in call for call in calls()] == [False, True, True, True, True]
    held_out = Path("curve-study/validation.jsonl").read_text().count("\n")
    sizes = [Path(f"curve-study/{name}.jsonl").read_text().count("\n") for name in reversed(names)]
    assert held_out == 4 and sizes == [round(36 * share) for share in study.SHARES.values()]
    content = record("curve-study")
    assert [row["score"] for row in content["curve"]] == [0.3, 0.4, 0.48, 0.52, 0.55]
    gain = content["gain_of_twice_the_data"]
    assert 0 < gain["low"] < gain["median"] < gain["high"] < 0.1


def test_label_errors(cli, tmp_path, tiny_encoder, tiny_tagger, look_up, monkeypatch, snapshot):
    """The models know the names, so the two wrong labels are found."""
    monkeypatch.setenv("TAGGER", str(tiny_tagger))
    corpus = write_names(tmp_path / "a.conll", 15, s3="O", s10="B-LOC")
    flags = ["--train_file", corpus, "--model_name_or_path", tiny_encoder]
    status, output, messages = cli("label_errors", 3, "--", *flags, launcher=PREDICT)
    assert (status, messages) == (0, ""), messages
    assert output == snapshot
    rows = json_lines("label_errors-study/label_errors.jsonl")
    assert [(row["line"], row["words"], row["kind"]) for row in rows] == [
        (14, ["German"], "missing entity"),
        (42, ["Peter"], "other type"),
    ]
    assert rows[1]["text"] == "w10 Peter said" and rows[1]["label"] == [[4, 9, "PER"]]
    assert rows[1]["labelled"] == [{"label": "LOC", "start": 4, "end": 9, "text": "Peter"}]
    page = Page(Path("label_errors-study/label_errors.html").read_text(encoding="utf-8"))
    assert_inert(page)
    wording = re.sub("Study of .*", "Study of <day>", page.wording)
    assert stable(wording, tmp_path) == snapshot
    # No weights are left; the study is complete all the same.
    assert weights() == [] and len(calls()) == 3
    assert cli("label_errors", 3, "--", *flags, launcher=PREDICT)[0] == 0
    assert len(calls()) == 3


@pytest.mark.parametrize(
    ("argv", "epochs"),
    [
        (["--train_file", "a.conll"], None),  # each file of the study decides
        (["--train_file", "a.conll", "--num_train_epochs", "2"], "2.0"),
        (["--train_file", "a.conll", "--max_train_samples", "9"], "3.0"),
        ([], "3.0"),
    ],
)
def test_the_files_of_a_study_keep_the_recipe_of_its_corpus(argv, epochs):
    flags = study.recipe_flags(settings_from(*argv, "--model_name_or_path", "m"))
    expected = ["--num_train_epochs", epochs, "--per_device_train_batch_size", "8"]
    rates = ["--learning_rate", "2e-05", "--layerwise_lr_decay", "1.0"]
    assert flags == ([*expected, *rates] if epochs else [])


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
    assert {path.parent.parent.name for path in checkpoints} == {record()["kept"]}
    assert os.path.exists(tmp_path / "seeds-study" / record()["kept"] / "model.safetensors")


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
        ("curve", "5", "--", "--sample"),
        ("folds", "2", "--", "--train_file", "a", "--test_file", "b", "--do_eval"),
        ("folds", "2", "--", "flags.yaml", "--model_name_or_path", "."),
        ("folds", "2", "--", "--train_file", "missing.conll", "--model_name_or_path", "."),
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
    (tmp_path / "flags.yaml").write_text("sample: true\n")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    status, output, messages = cli(*argv)
    assert (status, output) == (2, "")
    assert messages.count("error: ") == 1 and messages == snapshot
    assert sorted(tmp_path.rglob("*")) == before


def test_a_launcher_that_does_not_exist_is_one_message(cli, snapshot):
    status, _, messages = cli("seeds", 2, "--", "--sample", launcher="no-such-launcher --cpu")
    assert status == 2 and messages == snapshot


def test_a_folder_that_cannot_be_written_is_one_message(cli, tmp_path, snapshot):
    (tmp_path / "file").touch()
    status, _, messages = cli("seeds", 2, "--output_dir", "file/study", "--", "--sample")
    assert status == 2 and messages == snapshot


def test_help_states_each_flag():
    text = make_parser(StudyFlags, study.__doc__).format_help()
    assert "None" not in text and "seeds 5 -- --train_file" in text
