"""The table of flags is complete, and its names are those of the libraries."""

import dataclasses
from collections import Counter

import pytest
from accelerate.utils import LoggerType
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer_pt_utils import AcceleratorConfig

from settings.flag_table import (
    HONOURED_ACCELERATOR_KEYS,
    LOOP,
    OBSOLETE,
    OF_TRAINER,
    SETTLED,
    SETTLED_ACCELERATOR_KEYS,
    SPELLINGS,
    THROUGH_OTHERS,
    TRACKERS,
    TRAINER,
    WEIGHT_FLAGS,
)
from settings.flags import LoopFlags, SharedFlags


def names_of(flags: type) -> list[str]:
    return [field.name for field in dataclasses.fields(flags)]


CLASSES = [names_of(SharedFlags), OF_TRAINER, SETTLED, OBSOLETE, SPELLINGS]


def unclassified(arguments: type) -> set[str]:
    """Return the fields of a class of Trainer's arguments that the table does not have."""
    return {*names_of(arguments)} - {name for names in CLASSES for name in names}


def test_each_field_of_training_arguments_is_classified():
    assert unclassified(TrainingArguments) == set()


def test_a_field_that_transformers_adds_or_drops_is_noticed():
    @dataclasses.dataclass
    class Later(TrainingArguments):
        think_twice: bool = False

    assert unclassified(Later) == {"think_twice"}
    # Dropped fields become obsolete: they leave the first two.
    assert {*OF_TRAINER, *SETTLED} - {*names_of(TrainingArguments)} == set()


def test_each_flag_has_one_class():
    counts = Counter(name for names in CLASSES for name in names)
    assert {name for name, count in counts.items() if count > 1} == set()
    assert names_of(LoopFlags) == names_of(SharedFlags)  # it has none of its own


def test_flags_that_change_the_weights_are_flags():
    flags = {*names_of(SharedFlags), *OF_TRAINER}
    assert {*WEIGHT_FLAGS, *THROUGH_OTHERS} <= flags
    assert not {*WEIGHT_FLAGS} & {*THROUGH_OTHERS}


def test_keys_of_the_accelerator_configuration_are_classified():
    classified = [*HONOURED_ACCELERATOR_KEYS, *SETTLED_ACCELERATOR_KEYS]
    assert sorted(classified) == sorted(names_of(AcceleratorConfig))


@pytest.mark.parametrize(
    ("script", "names"),
    [(LOOP, {*map(str, LoggerType)} - {"all"}), (TRAINER, {*INTEGRATION_TO_CALLBACK})],
)
def test_trackers_are_those_of_the_library(script, names):
    assert {name for name, tracker in TRACKERS.items() if script in tracker.scripts} == names
