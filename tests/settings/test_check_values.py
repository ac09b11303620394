"""Values of flags that cannot work, refused together before anything is loaded."""

import dataclasses
import inspect
import json
import re

import pytest

from settings import check_values
from settings.argument_parser import make_parser
from settings.flag_table import LOOP, TRAINER
from settings.flags import LoopFlags
from settings.trainer_flags import TrainerFlags
from support.errors import UserError
from tests.helpers.flags import FLAGS_CLASSES, parse, refused

# Flag -> values that both scripts refuse.
BAD = {
    "seed": ("-1", "4294967296", "1.5", "many"),
    "data_seed": ("-1", "4294967296"),
    "adam_beta1": ("2", "1", "-0.1", "nan"),
    "adam_beta2": ("2", "1", "-0.1", "inf"),
    "adam_epsilon": ("-1", "nan", "inf"),
    "label_smoothing_factor": ("1", "1.5", "-0.1", "nan"),
    "dataloader_num_workers": ("-1", "0.5"),
    "learning_rate": ("-1", "nan", "inf", "fast"),
    "weight_decay": ("-1", "nan", "inf"),
    "max_grad_norm": ("-1", "nan", "inf"),
    "warmup_steps": ("-1", "nan", "inf"),
    "num_train_epochs": ("0", "-1", "nan", "inf"),
    "max_steps": ("0", "-2", "1.5"),
    "logging_steps": ("0", "-1", "1.5", "nan", "inf"),
    "eval_steps": ("0", "-1", "1.5", "nan", "inf"),
    "eval_delay": ("-1", "nan"),
    "save_steps": ("0", "-1", "1.5", "nan", "inf"),
    "save_total_limit": ("0", "-1"),
    "per_device_train_batch_size": ("0", "-1"),
    "per_device_eval_batch_size": ("0", "-1"),
    "gradient_accumulation_steps": ("0", "-1"),
    "early_stopping_patience": ("0", "-1"),
    "max_seq_length": ("0", "-1"),
    "max_train_samples": ("0", "-1"),
    "lr_scheduler_type": ("liner", ""),
    "lr_scheduler_kwargs": ("[1]", "1", "{bad", "num_cycles=2"),
    "optim": ("adam", ""),
    "train_sampling_strategy": ("sequential", "batch_rebalance"),
    "eval_strategy": ("often", "best"),
    "save_strategy": ("often",),
    "logging_strategy": ("often", "best"),
    "checkpointing_steps": ("0", "often", "²"),
    "hub_strategy": ("all_checkpoints", "never"),
    "hub_include": ("weights", "report,weights"),
    "report_to": ("tensorbord", "tensorboard,nothing"),
    "task_name": ("srl",),
    "tag_scheme": ("iob3",),
    "mixed_precision": ("fp8", "true"),
    "bf16": ("maybe",),
    "debug": ("maybe",),
    "output_dir": ("",),
}
# Flags that only train_trainer.py has.
BAD_OF_TRAINER = {
    "optim_args": ("foo", "a=1,b", "=1", "momentum=0.9"),  # AdamW takes none
    "optim_target_modules": ("attention",),  # --optim is AdamW
    "neftune_noise_alpha": ("-1", "nan", "inf"),
    "torch_empty_cache_steps": ("0", "-1"),
    "dataloader_prefetch_factor": ("0", "2"),  # there are no workers
    "dataloader_persistent_workers": ("true",),
    "dataloader_multiprocessing_context": ("thread", "fork"),
    "ddp_backend": ("tcp",),
    "ddp_bucket_cap_mb": ("0",),
    "ddp_timeout": ("0", "-1"),
    "log_level": ("loud",),
    "log_level_replica": ("loud",),
    "include_num_input_tokens_seen": ("some",),
    "debug": ("tpu_metrics_debug", "overflow"),
    "deepspeed": ("none.json", "[1]"),
    "fsdp": ("true", "full_shard", "some_shard"),  # one process
    "fsdp_config": ("none.json", '{"shards": 2}', "{}"[:1]),
    "accelerator_config": (
        *("none.json", '{"split_batches": true}', '{"dispatch_batches": true}'),
        *('{"even_batches": false}', '{"use_configured_state": true}', '{"batches": 1}'),
        *('{"gradient_accumulation_kwargs": {"num_steps": 2}}', '{"non_blocking": 7}'),
        '{"gradient_accumulation_kwargs": 3}',
    ),
    "gradient_checkpointing_kwargs": ("[1]", '{"use_rentrant": true}', '{"use_reentrant": true}'),
}


@pytest.mark.parametrize("script", FLAGS_CLASSES)
@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in BAD.items() for v in values])
def test_bad_value_is_refused_by_both_scripts(name, value, script):
    message = refused(f"--{name}={value}", script=script)
    assert f"--{name}" in message and "Traceback" not in message


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, values in BAD_OF_TRAINER.items() for v in values]
)
def test_bad_value_is_refused_by_the_trainer_script(name, value):
    message = refused(f"--{name}={value}", script=TrainerFlags)
    assert name in message or "FSDP" in message


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_problems_of_types_values_and_names_are_reported_together(script, snapshot):
    message = refused(
        *("--seed", "4294967296", "--adam_beta1", "2", "--learning_rate", "fast"),
        *("--lr_scheduler_type", "liner", "--label_smoothing_factor", "1", "--learning_rte", "1"),
        *("--report_to", "tensorbord", "--bf16", "perhaps", "--lr_scheduler_kwargs", "{1}"),
        script=script,
    )
    assert message == snapshot


@pytest.mark.exhaustive
@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_no_text_causes_a_traceback(script):
    """Every flag accepts a text value, or refuses it and names itself."""
    options = make_parser(script, "")._option_string_actions
    for name in {field.name for field in dataclasses.fields(script)} - {"check"}:
        for text in ("", "-1", "0", "1.5", "1e99", "nan", "true", "none", "{}", "{", "[]", "é²"):
            try:
                parse(f"--{name}={text}", script=script)
            except UserError as error:
                action = options.get(f"--{name}")
                names = (action.option_strings if action else ()) or (f"--{name}",)
                assert any(spelling in str(error) for spelling in (*names, "FSDP", "DeepSpeed"))


# --- Contradictions ---------------------------------------------------------------------------


@pytest.mark.parametrize("script", FLAGS_CLASSES)
@pytest.mark.parametrize(
    "argv",
    [
        ["--early_stopping_patience", "2", "--eval_strategy", "no"],
        ["--early_stopping_patience", "2", "--do_train"],
        ["--load_best_model_at_end", "--eval_strategy", "no"],
        ["--load_best_model_at_end", "--do_train", "--do_predict"],
        ["--eval_on_start", "--eval_strategy", "no"],
        ["--save_strategy", "best", "--do_train"],
        ["--train_sampling_strategy", "group_by_length", "--no_group_by_length"],
        ["--adam_beta1", "0.8", "--optim", "sgd"],
        ["--bf16", "--fp16"],
        ["--bf16", "--mixed_precision", "no"],
    ],
)
def test_flags_that_contradict_each_other(argv, script):
    message = refused(*argv, script=script)
    assert argv[0] in message


def test_arguments_of_optimizers():
    for optim, words in (
        ("sgd", "momentum=0.9, nesterov=true"),
        ("galore_adamw_layerwise", "rank=4"),
        ("rmsprop_bnb_8bit", "anything=1"),
        ("stable_adamw", "kahan_sum=1,max_lr=2"),
    ):
        parse("--optim", optim, "--optim_args", words, script=TrainerFlags)
    message = refused("--optim", "sgd", "--optim_args", "momentun=0.9", script=TrainerFlags)
    assert "momentun" in message and "momentum" in message
    assert "weight_decay" in refused(
        *("--optim", "sgd", "--optim_args", "weight_decay=1"), script=TrainerFlags
    )


def test_arguments_of_optimizers_are_those_of_transformers():
    from transformers import trainer_optimizer

    source = inspect.getsource(trainer_optimizer)
    names = re.findall(r'optim_args\.(?:get|pop)\(\s*"(\w+)"', source)
    names += re.findall(r'"(\w+)" in ctx.optim_args', source)
    for group in re.findall(r"for key in \((.*?)\):\s+if key in ctx.optim_args", source):
        names += re.findall(r'"(\w+)"', group)
    # Weight decay has its own flag, which takes precedence.
    expected = {*names} - {"weight_decay"}
    assert {name for taken in check_values.OPTIM_ARGS.values() for name in taken} == expected


def test_schedule_that_follows_the_scores_needs_them():
    argv = ("--lr_scheduler_type", "reduce_lr_on_plateau", "--eval_strategy", "no")
    assert "evaluated" in refused(*argv, script=TrainerFlags)


def test_without_training_flags_of_training_may_stay():
    for words in (["--load_best_model_at_end"], ["--save_strategy", "best"]):
        parse("--do_predict", *words)


def test_validation_may_be_scored_at_the_end_alone():
    assert parse("--eval_strategy", "no", "--do_eval", "--do_train").eval_strategy == "no"


def test_workers_take_their_options():
    flags = parse(
        *("--dataloader_num_workers", "2", "--dataloader_prefetch_factor", "4"),
        *("--dataloader_persistent_workers", "--dataloader_multiprocessing_context", "spawn"),
        script=TrainerFlags,
    )
    assert flags.dataloader_prefetch_factor == 4


# --- Trackers ---------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch):
    """Pretend that exactly these modules are installed."""

    def install(*modules: str) -> None:
        monkeypatch.setattr(check_values, "_is_installed", modules.__contains__)

    return install


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_tracker_that_is_not_installed_is_refused_with_its_package(script, installed, snapshot):
    installed("tensorboardX")
    message = refused("--report_to", "tensorboard", "comet_ml", "wandb", script=script)
    assert "pip install comet-ml" in message and "pip install wandb" in message
    assert len(message.splitlines()) == 2
    assert message == snapshot


@pytest.mark.parametrize(
    ("script", "name", "other"), [(LoopFlags, "codecarbon", TRAINER), (TrainerFlags, "aim", LOOP)]
)
def test_tracker_of_the_other_script(script, name, other, installed):
    installed(name)
    assert other in refused("--report_to", name, script=script)


@pytest.mark.parametrize(
    ("script", "expected"),
    [(LoopFlags, ["aim", "tensorboard"]), (TrainerFlags, ["dagshub", "tensorboard"])],
)
def test_all_means_the_installed_trackers_of_the_script(script, expected, installed):
    installed("tensorboard", "aim", "dagshub", "flytekit")
    flags = parse("--report_to", "all", script=script)
    assert check_values.requested_trackers(flags) == expected
    assert check_values.requested_trackers(parse("--with_tracking", script=script)) == expected


def test_no_tracker_is_installed(installed, capsys):
    installed()
    parse("--with_tracking")
    assert capsys.readouterr().err.count("no tracker is installed") == 1
    assert check_values.requested_trackers(parse("--report_to", "none")) == []


def test_kubeflow_needs_its_job(monkeypatch):
    monkeypatch.delenv("KUBEFLOW_TRAINER_SERVER_URL", raising=False)
    assert "kubeflow" in refused("--report_to", "kubeflow", script=TrainerFlags)
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "https://x")
    parse("--report_to", "kubeflow", script=TrainerFlags)


# --- Files and launchers ----------------------------------------------------------------------


def test_configuration_files_are_read(tmp_path, installed):
    installed("deepspeed")
    for name, text in (
        *(("list", "[1]"), ("broken", "{"), ("split", '{"split_batches": true}')),
        ("good", json.dumps({"non_blocking": True, "split_batches": False})),
    ):
        (tmp_path / f"{name}.json").write_text(text)
    for flag in ("accelerator_config", "fsdp_config", "deepspeed"):
        for name in ("list", "broken", "missing"):
            path = tmp_path / f"{name}.json"
            assert str(path) in refused(f"--{flag}", str(path), script=TrainerFlags)
    split = refused("--accelerator_config", str(tmp_path / "split.json"), script=TrainerFlags)
    assert "--per_device_train_batch_size" in split  # the reason
    parse("--accelerator_config", str(tmp_path / "good.json"), script=TrainerFlags)
    parse("--deepspeed", str(tmp_path / "good.json"), script=TrainerFlags)


def test_deepspeed_is_not_installed(installed, monkeypatch):
    installed()
    assert "pip install deepspeed" in refused("--deepspeed", '{"a": 1}', script=TrainerFlags)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    for script in FLAGS_CLASSES:
        assert "pip install deepspeed" in refused(script=script)


def test_missing_file_of_the_launcher(installed, monkeypatch, tmp_path):
    installed("deepspeed")
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(tmp_path / "none.json"))
    for script in FLAGS_CLASSES:
        assert "none.json" in refused(script=script)


def test_fsdp_needs_a_launcher(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert "FSDP" in refused("--fsdp", script=TrainerFlags)
    with monkeypatch.context() as launched:
        launched.setenv("ACCELERATE_USE_FSDP", "true")
        for script in FLAGS_CLASSES:
            assert "FSDP" in refused(script=script)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert parse("--fsdp", "full_shard auto_wrap", script=TrainerFlags).fsdp is not None
    assert parse("--fsdp", "false", script=TrainerFlags).fsdp is None
