"""The flags of TrainingArguments: honoured, settled, and what Trainer gets."""

import dataclasses
import json

import pytest
from transformers import TrainingArguments

from settings.defaults import make_settings
from settings.flag_table import OF_TRAINER, SETTLED
from settings.trainer_flags import TrainerFlags, training_arguments
from support.errors import UserError
from tests.helpers.flags import FLAGS_CLASSES, parse, refused
from tests.helpers.script_runs import TRAINER, run, with_workers, write_corpus


@pytest.fixture
def arguments(embedded, tmp_path, monkeypatch):
    """Return a function that turns a command line into Trainer's arguments."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("WORLD_SIZE", "1")  # FSDP runs under a launcher only

    def make(*argv: str, precision: str = "no") -> TrainingArguments:
        flags = parse("--output_dir", str(tmp_path), "--sample", *argv, script=TrainerFlags)
        return training_arguments(flags, make_settings(flags, "", True), precision)

    return make


# Flag -> its words, and the values of Trainer's arguments (None: under the flag's name).
WORKERS = ("--dataloader_num_workers", "2")
HONOURED = {
    "optim_args": (["momentum=0.9", "--optim", "sgd"], "momentum=0.9"),
    "optim_target_modules": (["attn", "mlp", "--optim", "galore_adamw"], ["attn", "mlp"]),
    "tf32": (["false"], False),
    "gradient_checkpointing_kwargs": (
        ['{"use_reentrant": false}', "--gradient_checkpointing"],
        {"use_reentrant": False},
    ),
    "torch_compile": (["true"], True),
    "torch_compile_backend": (["eager"], "eager"),
    "torch_compile_mode": (["reduce-overhead"], "reduce-overhead"),
    "neftune_noise_alpha": (["5"], 5.0),
    "torch_empty_cache_steps": (["7"], 7),
    "log_on_each_node": (["false"], False),
    "include_num_input_tokens_seen": (["true"], "all"),
    "log_level": (["info"], "info"),
    "log_level_replica": (["error"], "error"),
    "run_name": (["first"], "first"),
    "project": (["p"], "p"),
    "trackio_space_id": (["me/space"], "me/space"),
    "trackio_bucket_id": (["me/bucket"], "me/bucket"),
    "trackio_static_space_id": (["false"], False),
    "full_determinism": (["true"], True),
    "dataloader_pin_memory": (["false"], False),
    "dataloader_persistent_workers": (["true", *WORKERS], True),
    "dataloader_prefetch_factor": (["3", *WORKERS], 3),
    "dataloader_multiprocessing_context": (["spawn", *WORKERS], "spawn"),
    "ddp_find_unused_parameters": (["true"], True),
    "ddp_bucket_cap_mb": (["5"], 5),
    "ddp_broadcast_buffers": (["false"], False),
    "ddp_static_graph": ([], True),
    "ddp_timeout": (["60"], 60),
    "fsdp": (["full_shard"], True),
}
# tests/training/test_runtime.py shows `ddp_backend`, tests/test_sharded.py `deepspeed`.
SHOWN_ELSEWHERE = {"accelerator_config", "fsdp_config", "ddp_backend", "deepspeed"}


def test_each_honoured_flag_has_a_case():
    assert HONOURED.keys() | SHOWN_ELSEWHERE == OF_TRAINER.keys()


@pytest.mark.parametrize("name", HONOURED)
def test_honoured_flag_reaches_trainer(name, arguments):
    words, expected = HONOURED[name]
    held = getattr(arguments(f"--{name}", *words), name)
    assert held == expected
    assert type(held) is type(expected)
    # On a CPU memory is not pinned, and TF32 cannot be on.
    assert getattr(arguments(), name) != expected or name in ("dataloader_pin_memory", "tf32")


def test_honoured_keys_of_the_accelerator_configuration(arguments, tmp_path):
    config = {"non_blocking": True, "gradient_accumulation_kwargs": {"sync_each_batch": True}}
    (tmp_path / "accelerator.json").write_text(json.dumps(config))
    for value in (json.dumps(config), str(tmp_path / "accelerator.json")):
        held = arguments("--accelerator_config", value).accelerator_config
        assert held.non_blocking is True
        assert held.gradient_accumulation_kwargs == {"sync_each_batch": True}


def test_fsdp_configuration(arguments):
    config = '{"cpu_offload": true, "fsdp_min_num_params": 9}'
    held = arguments("--fsdp", "--fsdp_config", config)
    assert held.fsdp_plugin_args["cpu_offload"] is True
    assert held.fsdp_config["min_num_params"] == 9


def test_debug_means_the_same_in_both_scripts(arguments):
    for script in FLAGS_CLASSES:
        flags = parse("--debug", script=script)
        assert flags.max_train_samples == flags.max_predict_samples == 100
        assert "boolean masks" in refused("--debug", "underflow_overflow", script=script)
    assert arguments("--debug").debug == []


# --- Settled by the suite ---------------------------------------------------------------------

OTHER_VALUES = {
    "average_tokens_across_devices": "false",
    "bf16_full_eval": "true",
    "fp16_full_eval": "true",
    "use_liger_kernel": "true",
    "liger_kernel_config": '{"rope": true}',
    "use_cache": "true",
    "auto_find_batch_size": "true",
    "prediction_loss_only": "true",
    "eval_do_concat_batches": "false",
    "eval_use_gather_object": "true",
    "include_for_metrics": "inputs",
    "save_only_model": "true",
    "save_on_each_node": "true",
    "hub_always_push": "true",
    "hub_revision": "v2",
    "ignore_data_skip": "true",
    "restore_callback_states_from_checkpoint": "true",
    "parallelism_config": "tp",
    "dataloader_drop_last": "true",
    "dataloader_in_order": "false",
    "length_column_name": "len",
    "skip_memory_metrics": "false",
}
HARMLESS = [name for name, settled in SETTLED.items() if settled.harmless is not None]


def test_each_settled_flag_has_a_case():
    assert OTHER_VALUES.keys() | HARMLESS == SETTLED.keys()


@pytest.mark.parametrize(("name", "value"), OTHER_VALUES.items())
def test_another_value_of_a_settled_flag_is_refused_with_the_reason(name, value):
    message = refused(f"--{name}", value, script=TrainerFlags)
    assert message == f"--{name} {value}: settled by the suite: {SETTLED[name].reason}" or (
        name == "liger_kernel_config" and SETTLED[name].reason in message
    )


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_value_is_accepted_with_a_note(name, arguments, capsys):
    value = str(SETTLED[name].harmless).lower()
    held = getattr(arguments(f"--{name}", value), name)
    assert held == SETTLED[name].value
    assert capsys.readouterr().err.startswith(f"note: --{name} {value} has no effect: ")


def test_values_of_the_suite_and_of_trainer_are_accepted(capsys):
    argv = []
    for name, settled in SETTLED.items():
        if settled.value not in (None, []):
            argv += [f"--{name}", str(settled.value).lower()]
    parse(*argv, script=TrainerFlags)
    assert capsys.readouterr().err == ""
    for field in dataclasses.fields(TrainingArguments):
        if field.name in SETTLED and isinstance(field.default, bool):
            parse(f"--{field.name}", str(field.default), script=TrainerFlags)


# --- What Trainer gets ------------------------------------------------------------------------


def test_trainer_does_not_do_what_the_suite_does(arguments):
    held = arguments(
        *("--load_best_model_at_end", "--eval_strategy", "steps", "--eval_steps", "3"),
        *("--save_strategy", "steps", "--save_steps", "3", "--save_total_limit", "1"),
        *("--logging_steps", "0.5", "--label_names", "O", "B-X", "--metric_for_best_model", "f1"),
        *("--resume_from_checkpoint", "--disable_tqdm", "--hub_token", "secret"),
        *("--push_to_hub", "--hub_strategy", "checkpoint", "--eval_on_start"),
        *("--logging_first_step", "--lr_scheduler_type", "reduce_lr_on_plateau"),
    )
    assert held.logging_strategy.value == held.save_strategy.value == "no"
    assert held.logging_first_step is held.eval_on_start is False
    assert held.load_best_model_at_end is held.push_to_hub is held.disable_tqdm is False
    assert held.save_total_limit is held.resume_from_checkpoint is held.hub_token is None
    assert held.label_names is None


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "random"),
        (["--group_by_length"], "group_by_length"),
        (["--train_sampling_strategy", "random"], "random"),
        (["--train_sampling_strategy", "group_by_length"], "group_by_length"),
    ],
)
def test_sampling(argv, expected, arguments):
    assert arguments(*argv).train_sampling_strategy == expected


@pytest.mark.parametrize("name", ["gradient_checkpointing", "activation_checkpointing"])
def test_both_names_of_gradient_checkpointing(name, arguments, recwarn):
    held = arguments(f"--{name}", f"--{name}_kwargs", '{"use_reentrant": false}')
    assert held.gradient_checkpointing is True
    assert held.gradient_checkpointing_kwargs == {"use_reentrant": False}
    assert not [warning for warning in recwarn if "deprecated" in str(warning.message)]


@pytest.mark.parametrize(
    "argv",
    [
        ["--torch_compile_backend", "no_such_backend"],
        ["--torch_compile_mode", "fastest"],
        ["--torch_compile_mode", "default", "--torch_compile_backend", "eager"],
        ["--tf32", "true"],  # there is no GPU
        ["--fsdp", "hybrid_shard"],  # of FSDP 1
        ["--fsdp", "--fsdp_config", '{"version": "two"}'],
    ],
)
def test_what_the_libraries_refuse_is_one_message(argv, arguments):
    with pytest.raises(UserError) as error:
        arguments(*argv)
    assert len(str(error.value).splitlines()) == 1


def test_named_tracker_that_trainer_cannot_use(arguments, installed):
    installed("tensorboard", "wandb")
    with pytest.raises(UserError, match="wandb"):
        arguments("--report_to", "wandb")
    # Trackers that only "all" requests are left out.
    assert "wandb" not in arguments("--report_to", "all").report_to


# --- In a run ---------------------------------------------------------------------------------

WITHOUT_EFFECT_ON_WEIGHTS = (
    *("--torch_empty_cache_steps", 1, "--include_num_input_tokens_seen", "--run_name", "first"),
    *("--gradient_checkpointing", "--gradient_checkpointing_kwargs", '{"use_reentrant": false}'),
    *("--dataloader_num_workers", 1, "--dataloader_prefetch_factor", 3, "--log_level", "error"),
    *("--dataloader_persistent_workers", "--accelerator_config", '{"non_blocking": true}'),
    *("--ddp_backend", "gloo", "--ddp_bucket_cap_mb", 3, "--report_to", "tensorboard"),
    *("--past_index", 1, "--save_safetensors"),
)


def test_flags_in_a_run_change_the_weights_as_the_table_says(tiny_encoder, tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    shared = ["--model_name_or_path", tiny_encoder, *corpus, "--max_steps", 2, "--do_train"]
    shared += ["--mixed_precision", "no"]
    weights = {}
    for name, more in {
        "plain": [],
        "same": WITHOUT_EFFECT_ON_WEIGHTS,
        "noise": ["--neftune_noise_alpha", 5],
        "momentum": ["--optim", "sgd", "--optim_args", "momentum=0.9"],
    }.items():
        output = run(TRAINER, [*shared, "--output_dir", name, *more], tmp_path, before=with_workers)
        assert output.count("note: ") == (2 if name == "same" else 0)
        weights[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert weights["same"] == weights["plain"]
    assert len({*weights.values()}) == 3
