"""Values of flags that cannot work, refused together before anything is loaded."""

import dataclasses

import pytest

from settings.argument_parser import make_parser
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
    "layerwise_lr_decay": ("-1", "0", "1.1", "nan"),
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
    "context": ("-1", "0.5"),
    "freeze_layers": ("-1", "0.5"),
    "lora_rank": ("0", "1.5", "16"),  # the last without --lora
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
    "span_alignment": ("widen",),
    "target_precision": ("0", "1", "-0.5", "nan", "inf", "high"),
    "tune_for": ("precision", ""),
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
        ["--train_sampling_strategy", "random", "--group_by_length"],
        ["--adam_beta1", "0.8", "--optim", "sgd"],
        ["--bf16", "--fp16"],
        ["--bf16", "--mixed_precision", "no"],
        ["--target_precision", "0.9", "--tune_for", "f1"],
        ["--target_precision", "0.9", "--do_train"],
        ["--tune_for", "f1", "--do_train", "--do_predict"],
        ["--tune_for", "recall", "--decode", "argmax"],
        ["--checkpointing_steps", "3", "--save_strategy", "no"],
        ["--checkpointing_steps", "epoch", "--save_strategy", "steps"],
        ["--checkpointing_steps", "no", "--save_strategy", "best"],
        ["--checkpointing_steps", "3", "--save_steps", "4"],
    ],
)
def test_flags_that_contradict_each_other(argv, script):
    message = refused(*argv, script=script)
    assert argv[0] in message


def test_flags_that_say_the_same_agree():
    parse("--checkpointing_steps", "3", "--save_strategy", "steps", "--save_steps", "3")
    parse("--checkpointing_steps", "no", "--save_strategy", "no")
    parse("--checkpointing_steps", "3", "--save_strategy", "epoch")  # the default says nothing


@pytest.mark.parametrize("flags", [["--lora"], ["--freeze_layers", "0"]])
def test_part_of_the_weights_is_trained_only_in_whole_models(
    flags, installed, monkeypatch, snapshot
):
    installed("peft==0.21.2")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert refused(*flags) == snapshot


@pytest.mark.parametrize("flags", [["--lora"], ["--freeze_layers", "1"]])
def test_part_of_the_weights_is_not_trained_with_reentrant_checkpointing(
    flags, installed, snapshot
):
    installed("peft==0.21.2")
    reentrant = ["--gradient_checkpointing", "--gradient_checkpointing_kwargs"]
    message = refused(*flags, *reentrant, '{"use_reentrant": true}', script=TrainerFlags)
    assert message == snapshot
    parse(*flags, *reentrant, '{"use_reentrant": false}', script=TrainerFlags)
    parse(*reentrant, '{"use_reentrant": true}', script=TrainerFlags)


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
