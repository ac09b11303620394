"""Optimizer and schedule: those of Trainer, and clear errors for arguments they do not take."""

import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForTokenClassification, Trainer, TrainingArguments

from encoder.cpu.embeddings import train_occurring_rows
from settings.run_settings import TrainingSettings
from support.errors import UserError
from training.optimizer import (
    check_optimizer,
    decaying_parameters,
    make_optimizer,
    make_scheduler,
    parameter_groups,
)
from training.trainer import WindowTrainer, check_trainer_optimizer, scheduler_arguments

# Model types whose parameters the number of dimensions and the name would divide differently, and
# some where they agree.
MODEL_TYPES = (
    "bert",
    "roberta",
    "deberta-v2",
    "mpnet",
    "t5",
    "convbert",
    "xlnet",
    "funnel",
    "modernbert",
    "roberta-prelayernorm",
    "gpt2",
    "albert",
    "electra",
    "bloom",
    "llama",
)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_what_decays_is_what_decays_in_trainer(model_type):
    with torch.device("meta"):
        model = AutoModelForTokenClassification.from_config(AutoConfig.for_model(model_type))
    names = {name for name, _ in model.named_parameters()}  # Trainer's names include aliases
    expected = set(Trainer.get_decay_parameter_names(None, model)) & names
    assert set(decaying_parameters(model)) == expected
    assert 0 < len(expected) < len(names)


def test_frozen_parameters_are_in_no_group():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
    model[0].bias.requires_grad_(False)
    decaying, others = parameter_groups(model, 0.1)
    assert [p is model[0].weight for p in decaying["params"]] == [True]
    assert len(others["params"]) == 2 and others["weight_decay"] == 0.0


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "adamw_torch", "sgd", "rmsprop", "adagrad"])
def test_optimizer_is_that_of_trainer(optim, tmp_path):
    options = {"optim": optim, "learning_rate": 0.3, "weight_decay": 0.2}
    options |= {"adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-5}
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **options)
    expected = Trainer(model, args).create_optimizer()
    actual = make_optimizer(model, TrainingSettings(**options))
    assert type(actual) is type(expected)

    def groups(optimizer) -> list[dict]:
        return [
            {n: v for n, v in group.items() if n != "params"} for group in optimizer.param_groups
        ]

    assert groups(actual) == groups(expected)


def bert(num_layers: int) -> torch.nn.Module:
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    config = AutoConfig.for_model("bert", num_hidden_layers=num_layers, **sizes)
    return AutoModelForTokenClassification.from_config(config)


def rates_by_name(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: group["lr"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def trainer_of(model: torch.nn.Module, folder: Path, decay: float, **options) -> WindowTrainer:
    """Return a Trainer that can only make its optimizer."""
    trainer = WindowTrainer.__new__(WindowTrainer)
    Trainer.__init__(trainer, model, TrainingArguments(str(folder), use_cpu=True, **options))
    trainer.layerwise_lr_decay = decay
    return trainer


def test_lower_layers_have_lower_rates(tmp_path):
    model = bert(num_layers=3)
    options = {"learning_rate": 0.8, "weight_decay": 0.2}
    optimizer = make_optimizer(model, TrainingSettings(layerwise_lr_decay=0.5, **options))
    expected = {
        "bert.embeddings.": 0.1,
        "bert.encoder.layer.0.": 0.2,
        "bert.encoder.layer.1.": 0.4,
        "bert.encoder.layer.2.": 0.8,
        "classifier.": 0.8,
    }
    rates = rates_by_name(model, optimizer)
    assert rates.keys() == dict(model.named_parameters()).keys()
    for name, rate in rates.items():
        (prefix,) = (prefix for prefix in expected if name.startswith(prefix))
        assert rate == pytest.approx(expected[prefix]), name
    decaying = {
        w for group in optimizer.param_groups if group["weight_decay"] for w in group["params"]
    }
    assert {n for n, w in model.named_parameters() if w in decaying} == {
        *decaying_parameters(model)
    }
    # The first group's rate is the one that is logged.
    assert make_scheduler(optimizer, "linear", 0, 4, None).get_last_lr()[0] == 0.8

    trainer = trainer_of(model, tmp_path, 0.5, **options)
    assert rates_by_name(model, trainer.create_optimizer()) == rates
    assert rates_by_name(model, trainer.create_optimizer()) == rates  # a second call adds nothing


def test_without_a_decay_the_groups_are_those_of_trainer(tmp_path):
    model = bert(num_layers=1)
    groups = trainer_of(model, tmp_path, 1.0).create_optimizer().param_groups
    assert len(groups) == len(make_optimizer(model, TrainingSettings()).param_groups) == 2


def test_the_rows_that_occur_are_embeddings():
    model = bert(num_layers=1)
    train_occurring_rows(model, [1, 2])
    rates = rates_by_name(
        model, make_optimizer(model, TrainingSettings(learning_rate=0.8, layerwise_lr_decay=0.5))
    )
    assert rates["bert.embeddings.word_embeddings.rows"] == 0.4


BROKEN = {
    "beta": {"adam_beta1": 2.0},
    "epsilon": {"adam_epsilon": -1.0},
    "unknown argument": {"lr_scheduler_kwargs": {"number_of_cycles": 2}},
    "argument of a constant": {
        "lr_scheduler_type": "constant",
        "lr_scheduler_kwargs": {"num_cycles": 2},
    },
    "cycles in words": {
        "lr_scheduler_type": "cosine_with_restarts",
        "lr_scheduler_kwargs": {"cycles": "two"},
    },
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_constructed_is_one_message(case, tmp_path, snapshot):
    settings = dataclasses.replace(TrainingSettings(), **BROKEN[case])
    messages = []
    with pytest.raises(UserError) as error:
        check_optimizer(settings, 2, 10)
    messages.append(str(error.value))
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **BROKEN[case])
    with pytest.raises(UserError) as error:
        check_trainer_optimizer(args, 2, 10)
    messages.append(str(error.value))
    assert messages[0] == messages[1] and messages[0].startswith("--")
    assert messages[0] == snapshot


PLATEAU = {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "epoch"}


@pytest.mark.parametrize(
    "options",
    [
        {"optim": "adamw_bnb_8bit"},
        {"optim": "galore_adamw"},
        {"optim": "lomo"},
        {"optim": "adamw_torch_8bit"},
        {"optim": "sgd", "optim_args": "momentum=much"},
        {"optim": "sgd", "optim_args": "momentum"},
        {"optim": "schedule_free_adamw"},
        {"lr_scheduler_type": "cosine_with_min_lr"},
        {"lr_scheduler_type": "warmup_stable_decay"},
        PLATEAU | {"lr_scheduler_kwargs": {"mode": "up"}},
    ],
    ids=str,
)
def test_optimizers_and_schedules_of_trainer_that_cannot_be_constructed(options, tmp_path):
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **options)
    with pytest.raises(UserError, match=r"^--(optim|lr_scheduler_type)"):
        check_trainer_optimizer(args, 2, 10)


def test_a_schedule_that_waits_for_a_score_knows_its_direction(tmp_path):
    options = {"output_dir": str(tmp_path), "use_cpu": True}
    plateau = TrainingArguments(**PLATEAU, **options)
    assert scheduler_arguments(plateau, True)["mode"] == "max"
    assert scheduler_arguments(plateau, False)["mode"] == "min"
    chosen = TrainingArguments(**PLATEAU, lr_scheduler_kwargs={"mode": "min"}, **options)
    assert scheduler_arguments(chosen, True)["mode"] == "min"
    assert scheduler_arguments(TrainingArguments(**options), True) == {}
