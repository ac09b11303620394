"""Command lines and files of flags."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest

from settings.flags import LoopFlags
from settings.parse import make_parser
from settings.trainer_flags import TrainerFlags
from tests.helpers.flags import FLAGS_CLASSES, config_file, parse, refused
from tests.helpers.messages import stable
from tests.helpers.models import ROOT

# --- Files of flags --------------------------------------------------------------------------

YAML = """
learning_rate: 2e-5     # PyYAML alone reads a string here
num_train_epochs: 4
train_file: [a.conll, b.conll]
label_all_tokens: false
do_train: true
max_train_samples: 100
label_column_name: -1
dataset_name: null
"""


@pytest.mark.parametrize("script", FLAGS_CLASSES)
@pytest.mark.parametrize("form", ["positional", "--config", "--config="])
def test_yaml_is_read_by_the_types_of_the_flags(script, form, tmp_path):
    path = config_file(tmp_path, YAML)
    argv = {"positional": [path], "--config": ["--config", path], "--config=": [f"--config={path}"]}
    args = parse(*argv[form], script=script)
    assert args.learning_rate == 2e-5
    assert args.num_train_epochs == 4.0
    assert args.train_file == ["a.conll", "b.conll"]
    assert args.label_all_tokens is False
    assert args.do_train is True
    assert args.max_train_samples == 100
    assert args.label_column_name == "-1"
    assert args.dataset_name is None


def test_json_is_read_too(tmp_path):
    values = {"learning_rate": 2e-5, "do_eval": True, "label_names": ["O", "B-X", "I-X"]}
    args = parse(config_file(tmp_path, json.dumps(values), "flags.json"))
    assert args.learning_rate == 2e-5
    assert args.do_eval is True
    assert args.label_names == ["O", "B-X", "I-X"]


@pytest.mark.parametrize("before", [True, False])
def test_command_line_wins_over_the_file(before, tmp_path):
    path = config_file(tmp_path, "learning_rate: 1e-3\nseed: 7\nlabel_all_tokens: true\n")
    flags = ["--learning_rate", "3e-5", "--no_label_all_tokens"]
    args = parse(*([*flags, "--config", path] if before else ["--config", path, *flags]))
    assert args.learning_rate == 3e-5
    assert args.label_all_tokens is False
    assert args.seed == 7


def test_other_spellings_work_in_a_file_too(tmp_path):
    args = parse(config_file(tmp_path, "max_length: 128\nnum_warmup_steps: 5\ntoken: abc\n"))
    assert (args.max_seq_length, args.warmup_steps, args.hub_token) == (128, 5, "abc")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "just text",
        "seed: [1",
        "learning_rte: 1\n",
    ],
)
def test_bad_files_of_flags_are_named(text, tmp_path, snapshot):
    path = config_file(tmp_path, text)
    message = refused(path)
    assert path in message
    assert stable(message, tmp_path) == snapshot


def test_missing_and_binary_files_of_flags_are_named(tmp_path, snapshot):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path / "binary.yaml", tmp_path):
        message = refused(str(path))
        assert message.startswith(f"{path}: ")
        assert stable(message, tmp_path) == snapshot
    assert refused("--config") == snapshot


def test_all_unknown_names_of_a_file_are_reported_together(tmp_path):
    path = config_file(tmp_path, "learning_rte: 1\nseeed: 2\nseed: 3\n")
    message = refused(path)
    assert "--learning_rte" in message
    assert "did you mean --seed?" in message


# --- Mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_unknown_flags_are_reported_together_with_what_was_meant(script):
    message = refused("--learning_rte=1", "--sed", "--xyzzy", script=script)
    lines = message.splitlines()
    assert len(lines) == 3
    assert "--learning_rte" in lines[0] and lines[0].endswith("did you mean --learning_rate?")
    assert lines[1].endswith("did you mean --seed?")
    assert "did you mean" not in lines[2]
    assert "unknown argument stray" in refused("--do_train", "--seed", "1", "stray", script=script)


def test_flags_are_not_abbreviated():
    assert "--learn" in refused("--learn", "1")


def test_all_bad_values_are_reported_together():
    message = refused(
        "--max_train_samples", "0", "--max_eval_samples", "-1", "--max_predict_samples", "0",
        "--num_train_epochs", "0", "--per_device_train_batch_size", "0",
        "--per_device_eval_batch_size", "-8", "--gradient_accumulation_steps", "0",
        "--logging_steps", "0", "--save_total_limit", "0", "--early_stopping_patience", "0",
        "--learning_rate", "nan", "--task_name", "srl", "--bf16", "--fp16",
        "--sample", "--dataset_name", "x", "--train_file", "y", "--checkpointing_steps", "often",
    )  # fmt: skip
    lines = message.splitlines()
    assert len(lines) == 16
    for name in (
        "max_train_samples 0", "max_eval_samples -1", "max_predict_samples 0",
        "num_train_epochs 0", "per_device_train_batch_size 0", "per_device_eval_batch_size -8",
        "gradient_accumulation_steps 0", "logging_steps 0", "save_total_limit 0",
        "early_stopping_patience 0", "learning_rate nan", "task_name srl", "bf16", "sample",
        "dataset_name and --train_file", "checkpointing_steps often",
    ):  # fmt: skip
        assert sum(line.startswith(f"--{name}") for line in lines) == 1, name


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_wrong_types_give_a_line_and_no_usage(script):
    message = refused("--seed", "many", script=script)
    assert "--seed" in message and "many" in message
    assert "usage" not in message
    assert len(message.splitlines()) == 2


# --- Help -----------------------------------------------------------------------------------


def test_help_lists_each_flag_once_in_its_group(snapshot):
    text = make_parser(LoopFlags, "A script.\n\n    python script.py  # a comment\n").format_help()
    assert text.splitlines()[0].startswith("usage: ") and text.splitlines()[1] == ""
    for name in (field.name for field in dataclasses.fields(LoopFlags)):
        assert len(re.findall(rf"^  --{name}\b", text, re.M)) == 1, name
    assert "None" not in text and "--max-steps" not in text and "--max_train_steps" not in text
    assert re.sub(r"usage: \S+", "usage: script.py", text) == snapshot


def test_help_all_adds_the_flags_of_training_arguments():
    short = make_parser(TrainerFlags, "A script.").format_help()
    full = make_parser(TrainerFlags, "A script.", show_all=True).format_help()
    assert "--adam_beta1" in full and "--adam_beta1" not in short
    assert "--train_file" in short and "--help_all" in short


@pytest.mark.parametrize("script", ["train_accelerate.py", "infer.py"])
def test_help_responds_without_the_heavy_libraries(script):
    code = (
        "import runpy, sys; sys.argv = [sys.argv[1], '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([n for n in ('torch', 'transformers', 'datasets') if n in sys.modules])"
    )
    command = [sys.executable, "-c", code, script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# --- Values that only look right -------------------------------------------------------------


def test_no_in_yaml_is_the_word_where_a_word_is_expected(tmp_path):
    args = parse(config_file(tmp_path, "checkpointing_steps: no\nmixed_precision: no\n"))
    assert (args.checkpointing_steps, args.mixed_precision) == ("no", "no")


@pytest.mark.parametrize("text", ["label_column_name: -X-", "no_label_all_tokens: true"])
def test_values_of_a_file_that_a_command_line_takes_for_flags(text, tmp_path):
    parse(config_file(tmp_path, text))


def test_value_of_an_unknown_flag_is_not_reported():
    assert len(refused("--learning_rte", "1").splitlines()) == 1


@pytest.mark.parametrize(
    "flag",
    [
        ["--seed", "-1"],
        ["--weight_decay", "-1"],
        ["--lr_scheduler_type", "liner"],
        ["--num_train_epochs", "inf"],
        ["--learning_rate", "inf"],
        ["--warmup_steps", "-1"],
        ["--checkpointing_steps", "²"],
    ],
)
def test_values_that_would_fail_later_are_refused(flag):
    assert flag[0] in refused(*flag)
