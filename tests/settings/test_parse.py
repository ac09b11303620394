"""Command lines and files of flags."""

import dataclasses
import json
import re
import subprocess
import sys
from contextlib import suppress

import pytest
from transformers import TrainingArguments

from settings.flag_table import OBSOLETE
from settings.flags import LoopFlags
from settings.parse import make_parser
from settings.tagging_flags import TaggingFlags
from settings.trainer_flags import TrainerFlags
from support.errors import UserError
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


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_usual_forms_of_values(script, tmp_path):
    text = """
learning-rate: 3.0e-05
num_train_epochs: 2.0
max_steps: 1e2
seed: 7.0
save_total_limit: null
eval_steps: ~
fp16: False
do_train: yes
overwrite_output_dir: on
hub_include: [report, predictions]
report_to: []
label_names: [O, -X-]
resume_from_checkpoint: true
lr_scheduler_kwargs:
  num_cycles: 3
  lr_end: 1e-7
  power: 1.5
"""
    args = parse(config_file(tmp_path, text), script=script)
    assert (args.learning_rate, args.num_train_epochs) == (3e-5, 2.0)
    assert (args.max_steps, args.seed) == (100, 7)
    assert args.save_total_limit is args.eval_steps is args.report_to is None
    assert (args.fp16, args.do_train, args.overwrite_output_dir) == (False, True, True)
    assert args.hub_include == ["report", "predictions"]
    assert args.label_names == ["O", "-X-"]
    assert args.resume_from_checkpoint == "latest"
    assert args.lr_scheduler_kwargs == {"num_cycles": 3, "lr_end": 1e-7, "power": 1.5}
    as_json = {"lr_scheduler_kwargs": {"num_cycles": 3}, "save_total_limit": None}
    args = parse(config_file(tmp_path, json.dumps(as_json), "a.json"), script=script)
    assert (args.lr_scheduler_kwargs, args.save_total_limit) == ({"num_cycles": 3}, None)
    args = parse(config_file(tmp_path, "lr_scheduler_kwargs: '{\"power\": 2}'"), script=script)
    assert args.lr_scheduler_kwargs == {"power": 2}


def test_lists_may_be_one_word_with_commas():
    assert parse("--hub_include", "predictions,report").hub_include == ["predictions", "report"]
    assert parse("--save_total_limit", "none").save_total_limit is None


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_wrong_values_of_a_file_are_reported_together(script, tmp_path, snapshot):
    text = "seed: [1, 2]\nlearning_rate: fast\noptim: adam\nlabel_smoothing_factor: 1\nfoo: 1\n"
    message = refused(config_file(tmp_path, text), script=script)
    assert stable(message, tmp_path) == snapshot


# --- One file for both scripts -----------------------------------------------------------------

FOR_BOTH = """
eval_strategy: steps
eval_steps: 20
save_strategy: steps
save_steps: 40
logging_strategy: epoch
dataloader_num_workers: 2
adam_beta1: 0.8
adam_beta2: 0.99
adam_epsilon: 1e-7
label_smoothing_factor: 0.1
optim: adamw_torch
lr_scheduler_type: polynomial
lr_scheduler_kwargs: {power: 2.0}
gradient_checkpointing: true
fsdp_config: null
neftune_noise_alpha: 5
run_name: first
tf32: false
remove_unused_columns: false
"""


def test_one_file_serves_both_scripts(tmp_path, capsys, snapshot):
    path = config_file(tmp_path, FOR_BOTH)
    trainer = parse(path, script=TrainerFlags)
    assert capsys.readouterr().err == ""
    loop = parse(path, script=LoopFlags)
    notes = capsys.readouterr().err
    assert len(notes.splitlines()) == 1
    assert stable(notes, tmp_path) == snapshot
    for name in FOR_BOTH.split("fsdp_config")[0].split("\n")[1:-1]:
        name = name.partition(":")[0]
        given, default = getattr(loop, name), getattr(LoopFlags(), name)
        assert given == getattr(trainer, name) != default, name


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_a_dump_of_training_arguments_is_a_file_of_flags(script, tmp_path):
    """Every field with its default; most of those without a value are null."""
    arguments = TrainingArguments("out", use_cpu=True, hub_private_repo=None).to_dict()
    flags = parse(config_file(tmp_path, json.dumps(arguments), "all.json"), script=script)
    assert (flags.output_dir, flags.use_cpu, flags.hub_private_repo) == ("out", True, False)


def test_flag_of_the_other_script_on_the_command_line():
    message = refused("--neftune_noise_alpha", "5", "--tf32", "--foo", script=LoopFlags)
    lines = message.splitlines()
    assert len(lines) == 3
    assert all("train_trainer.py" in line for line in lines[:2])
    assert "train_trainer.py" not in lines[2]


def test_the_file_of_both_scripts_has_no_unknown_names(tmp_path):
    for script in FLAGS_CLASSES:
        message = refused(config_file(tmp_path, FOR_BOTH + "past_indx: 1\n"), script=script)
        assert "past_indx" in message and len(message.splitlines()) == 1


# --- Obsolete names ----------------------------------------------------------------------------

# Obsolete name -> its value, and the flags that replace it.
BECOMES = {
    "evaluation_strategy": ("steps", {"eval_strategy": "steps"}),
    "evaluate_during_training": (None, {"eval_strategy": "steps"}),
    "warmup_ratio": ("0.1", {"warmup_steps": 0.1}),
    "no_cuda": (None, {"use_cpu": True}),
    "per_gpu_train_batch_size": ("3", {"per_device_train_batch_size": 3}),
    "per_gpu_eval_batch_size": ("3", {"per_device_eval_batch_size": 3}),
    "push_to_hub_model_id": ("m", {"hub_model_id": "m"}),
    "push_to_hub_organization": ("us", {"hub_model_id": "us/"}),
    "push_to_hub_token": ("hf_x", {"hub_token": "hf_x"}),
    "use_auth_token": ("hf_x", {"hub_token": "hf_x"}),
    "max_val_samples": ("5", {"max_eval_samples": 5}),
    "max_test_samples": ("5", {"max_predict_samples": 5}),
    "data_dir": ("conll", {"dataset_name": "conll"}),
    "labels": ("labels.txt", {"label_names": ["labels.txt"]}),
}
# Only train_trainer.py has the replacements of these.
BECOMES_OF_TRAINER = {
    "adafactor": (None, {"optim": "adafactor"}),
    "xpu_backend": ("gloo", {"ddp_backend": "gloo"}),
    "torchdynamo": ("eager", {"torch_compile_backend": "eager"}),
}


@pytest.mark.parametrize("script", FLAGS_CLASSES)
@pytest.mark.parametrize("name", [name for name in OBSOLETE if name != "adafactor"])
@pytest.mark.parametrize("in_file", [False, True])
def test_obsolete_flag_is_accepted_with_a_note(
    name, script, in_file, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("WORLD_SIZE", "1")  # for FSDP
    value, expected = (BECOMES | BECOMES_OF_TRAINER).get(name, (None, {}))
    if value is None and not OBSOLETE[name].switch:
        value = "1"
    if name in BECOMES_OF_TRAINER and script is LoopFlags:
        expected = {}
    words = [f"--{name}", *([value] if value else [])]
    if in_file:
        words = [config_file(tmp_path, f"{name}: {value or 'true'}\n")]
    fsdp = ["--fsdp"] if script is TrainerFlags and name.startswith("fsdp_") else []
    flags = parse(*words, *fsdp, script=script)
    for new, new_value in expected.items():
        assert getattr(flags, new) == new_value
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"note: --{name} ")
    assert "hf_x" not in lines[0]
    plain = vars(parse(*fsdp, script=script))
    changed = {name for name, value in vars(flags).items() if value != plain[name]}
    assert changed - {"fsdp_config"} == {*expected}


def test_notes_on_obsolete_flags(capsys, snapshot):
    for name, obsolete in OBSOLETE.items():
        words = [f"--{name}"] + ([] if obsolete.switch else ["0"])
        fsdp = ["--fsdp"] if name.startswith("fsdp_") else []
        with suppress(UserError):  # ranges are not the subject here
            parse(*words, *fsdp, script=TrainerFlags)
    parse("--xpu_backend", "gloo", script=LoopFlags)
    assert capsys.readouterr().err == snapshot


def test_adafactor():
    assert parse("--adafactor", script=TrainerFlags).optim == "adafactor"
    assert parse("--adafactor", "false", script=LoopFlags).optim == "adamw_torch_fused"
    assert "train_trainer.py" in refused("--adafactor", script=LoopFlags)


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_obsolete_flags_with_bad_values(script):
    for words in (
        ["--warmup_ratio", "1.5"],
        ["--warmup_ratio", "many"],
        ["--warmup_ratio"],
        ["--evaluation_strategy", "often"],
        ["--no_cuda=maybe"],
        ["--per_gpu_train_batch_size", "0"],
    ):
        assert len(refused(*words, script=script).splitlines()) <= 2


def test_obsolete_flags_beside_others(capsys):
    flags = parse("--no_cuda", "--past_index", "-1", "--seed", "3", "--no-cuda", "false")
    assert (flags.use_cpu, flags.seed) == (True, 3)
    flags = parse("--push_to_hub_organization", "us", "--push_to_hub_model_id", "m")
    assert flags.hub_model_id == "us/m"
    # As in transformers, the obsolete name takes precedence.
    assert parse("--evaluation_strategy", "steps", "--eval_strategy", "no").eval_strategy == "steps"
    assert parse("--warmup_ratio", "0.0", "--warmup_steps", "5").warmup_steps == 5
    capsys.readouterr()


# --- Mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("learning_rte", "learning_rate"),
        ("learning-rate-", "learning_rate"),
        ("sed", "seed"),
        ("trian_file", "train_file"),
        ("val_file", "validation_file"),
        ("max_seq_len", "max_seq_length"),
        ("output", "output_dir"),
        ("train_batch_size", "per_device_train_batch_size"),
        ("cachedir", "cache_dir"),
        ("bf_16", "bf16"),
        ("logging_step", "logging_steps"),
        *((word, None) for word in ("past_idx", "n_gpu", "use_gpu", "data", "data_set", "fp32")),
        *((word, None) for word in ("server_ip", "model", "index", "lr", "dropout", "use_crf")),
        *((word, None) for word in ("config_overrides", "streaming", "eval", "name")),
    ],
)
@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_guesses_of_what_was_meant(word, meant, script, tmp_path):
    """Wrong guesses are never made, neither in a file nor on the command line."""
    for message in (
        refused(f"--{word}", "1", script=script),
        refused(config_file(tmp_path, f"{word}: 1\n"), script=script),
    ):
        guess = re.search(r"did you mean --(\w+)\?", message)
        assert (guess and guess[1]) == meant


def test_guesses_of_infer():
    for word, meant in (("modle", "model"), ("min_scor", "min_score"), ("past_index", None)):
        message = refused(f"--{word}", script=TaggingFlags)
        assert ("did you mean" in message) == (meant is not None)
        assert meant is None or message.endswith(f"--{meant}?")


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
    assert "--optim_args" in full and "--optim_args" not in short
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
