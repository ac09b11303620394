"""Files of flags."""

import json

import pytest
from transformers import TrainingArguments

from settings.flags import LoopFlags
from settings.trainer_flags import TrainerFlags
from tests.helpers.flags import FLAGS_CLASSES, config_file, parse, refused
from tests.helpers.messages import stable

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
    flags = ["--learning_rate", "3e-5", "--label_all_tokens", "false"]
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


@pytest.mark.parametrize(
    "text",
    ["seed: 1\nmax_steps: 4\nseed: 2\n", '{"seed": 1, "max_steps": 4, "--seed": 2}'],
    ids=["yaml", "json"],
)
def test_a_flag_with_two_values_is_refused(text, tmp_path):
    path = config_file(tmp_path, text)
    assert refused(path) == f"{path}: --seed: got two values, expected one"


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


def test_the_file_of_both_scripts_has_no_unknown_names(tmp_path):
    for script in FLAGS_CLASSES:
        message = refused(config_file(tmp_path, FOR_BOTH + "past_indx: 1\n"), script=script)
        assert "past_indx" in message and len(message.splitlines()) == 1


# --- Values that only look right -------------------------------------------------------------


def test_no_in_yaml_is_the_word_where_a_word_is_expected(tmp_path):
    args = parse(config_file(tmp_path, "checkpointing_steps: no\nmixed_precision: no\n"))
    assert (args.checkpointing_steps, args.mixed_precision) == ("no", "no")


@pytest.mark.parametrize("text", ["label_column_name: -X-", "no_group_by_length: true"])
def test_values_of_a_file_that_a_command_line_takes_for_flags(text, tmp_path):
    parse(config_file(tmp_path, text))
