"""Tests of settings/study_flags.py: the flags of training that a study replaces."""

from dataclasses import fields

import pytest

from settings.flags import LoopFlags, SharedFlags
from settings.study_flags import REPLACED_FLAGS, SET_BY_STUDY, without_flags


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ("flags.yaml --train_file a b --seed 1", "flags.yaml --seed 1"),
        ("--train-file=a --seed 1", "--seed 1"),
        ("--sample --seed 1", "--seed 1"),
        ("--seed 1 --sample", "--seed 1"),
        ("--sample true -x --label_column_name -1 --seed 1", "--seed 1"),
        ("--train_files a", "--train_files a"),
    ],
)
def test_flags_are_left_out_with_their_values(arguments, kept):
    assert without_flags(arguments.split(), REPLACED_FLAGS) == kept.split()


def test_the_flags_that_a_study_sets_or_replaces_exist():
    names = {field.name for field in (*fields(SharedFlags), *fields(LoopFlags))}
    assert names >= {*SET_BY_STUDY, *REPLACED_FLAGS}
    # They have one spelling, by which they are found on a command line.
    for field in fields(SharedFlags):
        if field.name in (*SET_BY_STUDY, *REPLACED_FLAGS):
            assert field.metadata["aliases"] == [], field.name
