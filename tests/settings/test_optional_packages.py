"""Packages that a flag needs: one message when they are missing or of another version."""

import pytest

from settings.defaults import RECIPE
from tests.helpers.flags import FLAGS_CLASSES, parse, refused, settings_from


@pytest.mark.parametrize("script", FLAGS_CLASSES)
@pytest.mark.parametrize("modules", [(), ("peft==0.20.0",), ("peft==0.22.0",)])
def test_lora_without_peft_is_refused(modules, script, installed, snapshot):
    installed(*modules)
    message = refused("--lora", script=script)
    assert "pip install" in message and len(message.splitlines()) == 1
    assert message == snapshot
    assert not parse(script=script).lora


def test_lora_has_a_rate_of_its_own(installed, embedded):
    installed("peft==0.21.2")
    named = ["--model_name_or_path", "m"]
    rates = [
        settings_from(*named, *flags).training.learning_rate
        for flags in ([], ["--lora"], ["--lora", "--learning_rate", "1e-5"])
    ]
    assert rates == [RECIPE["learning_rate"], 10 * RECIPE["learning_rate"], 1e-5]


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_8_bit_adamw_without_bitsandbytes_is_refused(script, installed, snapshot):
    installed()
    message = refused("--optim", "adamw_bnb_8bit", script=script)
    assert "pip install" in message and len(message.splitlines()) == 1
    assert message == snapshot
    installed("bitsandbytes==0.50.2")
    parse("--optim", "adamw_bnb_8bit", script=script)
