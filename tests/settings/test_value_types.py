"""Text of flags, read by the types of their fields."""

import pytest
from transformers.training_args import OptimizerNames

from settings.value_types import text_of
from tests.helpers.flags import FLAGS_CLASSES, parse, refused


def test_lists_may_be_one_word_with_commas():
    assert parse("--hub_include", "predictions,report").hub_include == ["predictions", "report"]
    assert parse("--save_total_limit", "none").save_total_limit is None


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_wrong_types_give_a_line_and_no_usage(script):
    message = refused("--seed", "many", script=script)
    assert "--seed" in message and "many" in message
    assert "usage" not in message
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (["a", "b"], "a b"),
        (OptimizerNames.SGD, "sgd"),
        (0.5, "0.5"),
        (None, "None"),
    ],
)
def test_text_of_a_value(value, text):
    assert text_of(value) == text
