"""Arguments of optimizers."""

import inspect
import re

from settings.optimizer_arguments import OPTIM_ARGS
from settings.trainer_flags import TrainerFlags
from tests.helpers.flags import parse, refused


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
    assert {name for taken in OPTIM_ARGS.values() for name in taken} == expected


def test_rates_by_layer_need_an_optimizer_that_takes_them():
    decay = ("--layerwise_lr_decay", "0.8")
    for optim in ("lomo", "galore_adamw", "stable_adamw"):
        assert "layerwise_lr_decay 0.8" in refused("--optim", optim, *decay, script=TrainerFlags)
    parse("--optim", "sgd", *decay)
    parse("--optim", "adafactor", *decay, script=TrainerFlags)
    parse("--optim", "lomo", "--layerwise_lr_decay", "1", script=TrainerFlags)
