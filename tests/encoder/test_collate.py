"""Windows as batches: by hand, padded as by transformers' collator, and joined in one row."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DataCollatorForTokenClassification

import common
from encoder.collate import JoinWindows, PadBatch, make_collator
from encoder.traits import Traits
from encoder.unpadded import PADDED_PAIRS
from tests.helpers.sub_words import (
    COURSE_VOCABULARY,
    course_windows,
    rows_of,
    word_piece_tokenizer,
)

# --- Padding --------------------------------------------------------------------------------


def test_course_batch():
    batch = PadBatch(word_piece_tokenizer(COURSE_VOCABULARY))(rows_of(course_windows()))
    assert batch["labels"].tolist() == [
        [-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100],
        [-100, 1, 2, -100, -100, -100, -100, -100, -100, -100, -100, -100],
    ]
    assert batch["attention_mask"].tolist() == [[1] * 12, [1] * 4 + [0] * 8]
    assert batch["input_ids"].tolist() == [
        [2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 3],
        [2, 14, 15, 3] + [0] * 8,
    ]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("multiple_of", [1, 8, 5])
def test_batch_equals_transformers_collator(side, multiple_of):
    """Pads on the right whatever the tokenizer's side: positions must not depend on the batch."""
    tokenizer = word_piece_tokenizer(COURSE_VOCABULARY, padding_side=side)
    rows = rows_of(course_windows(tokenizer))
    batch = PadBatch(tokenizer, multiple_of=multiple_of)(rows)
    tokenizer.padding_side = "right"
    names = ("input_ids", "token_type_ids", "labels")
    theirs = DataCollatorForTokenClassification(
        tokenizer, pad_to_multiple_of=multiple_of if multiple_of > 1 else None
    )([{name: row[name] for name in names} for row in rows])
    assert set(batch) == set(theirs) == {*names, "attention_mask"}
    for name, values in theirs.items():
        assert batch[name].dtype == values.dtype == torch.int64
        assert batch[name].tolist() == values.tolist(), name


def test_batch_of_fixed_length():
    batch = PadBatch(word_piece_tokenizer(COURSE_VOCABULARY), length=20)(rows_of(course_windows()))
    assert {tuple(values.shape) for values in batch.values()} == {(2, 20)}
    assert batch["attention_mask"].sum(1).tolist() == [12, 4]
    assert batch["labels"][:, 12:].eq(-100).all()


@pytest.mark.parametrize("options", [{"multiple_of": 8}, {"length": 20}])
def test_windows_of_one_length_are_not_padded_if_padding_leaks(options):
    """Except those of fewer than 8 tokens, which are always padded to 8: Funnel needs 5."""
    collate = PadBatch(word_piece_tokenizer(COURSE_VOCABULARY), padding_leaks=True, **options)
    first, second = rows_of(course_windows())
    assert collate([first])["attention_mask"].tolist() == [[1] * 12]
    assert collate([first, first])["input_ids"].shape == (2, 12)
    for number in (1, 2, 3):
        mask = collate([second] * number)["attention_mask"]
        assert mask.tolist() == [[1] * 4 + [0] * 4] * number
    assert collate([first, second])["input_ids"].shape == (
        2,
        16 if "multiple_of" in options else 20,
    )


def test_batch_pads_with_the_tokenizers_own_ids():
    tokenizer = word_piece_tokenizer(["[UNK]", "[CLS]", "[SEP]", "Peter", "[PAD]"])
    tokenizer._pad_token_type_id = 3  # as XLNet's
    columns = common.tokenize_and_align_labels(
        {"tokens": [["Peter", "Peter"], ["Peter"]], "labels": [[0, 0], [0]]},
        tokenizer, 512, None, [0, 2],
    )  # fmt: skip
    batch = PadBatch(tokenizer)(rows_of(columns))
    assert batch["input_ids"].tolist() == [[1, 3, 3, 2], [1, 3, 2, 4]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0], [0, 0, 0, 3]]
    assert batch["word_index"].tolist() == [[-100, 0, 1, -100], [-100, 2, -100, -100]]


# --- Without padding ------------------------------------------------------------------------


def test_course_batch_in_one_row():
    """The longest window first, its positions from 0, and one filler at the end."""
    first, second = rows_of(course_windows())
    batch = JoinWindows(word_piece_tokenizer(COURSE_VOCABULARY), 0)([second, first])
    layout = batch.pop("windows")
    assert layout.lengths.tolist() == [12, 4]
    assert {name: values.tolist() for name, values in batch.items()} == {
        "input_ids": [[2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 3, 2, 14, 15, 3, 0]],
        "token_type_ids": [[0] * 17],
        "labels": [[-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100, -100, 1, 2, -100, -100]],
        "position_ids": [[*range(12), *range(4), 0]],
        "attention_mask": [[True] * 12, [True] * 4 + [False] * 8],
    }
    assert batch.pop("attention_mask").dtype == torch.bool
    assert {values.dtype for values in batch.values()} == {torch.int64}


def test_positions_begin_where_the_model_begins():
    """RoBERTa counts from 2; a window of its maximum length of 30 ends at the last of 32 rows."""
    windows = [{"input_ids": [9] * length} for length in (2, 30, 1, 30)]
    batch = JoinWindows(word_piece_tokenizer(COURSE_VOCABULARY), 2)(windows)
    fillers = [2] * (batch["input_ids"].shape[1] - 63)
    expected = [*range(2, 32), *range(2, 32), 2, 3, 2, *fillers]
    assert batch["position_ids"].tolist() == [expected]
    assert fillers


@pytest.mark.parametrize("length", [1, 2, 31, 512])
def test_a_batch_of_one_window(length):
    window = {"input_ids": list(range(5, 5 + length)), "labels": [1] * length}
    batch = JoinWindows(word_piece_tokenizer(COURSE_VOCABULARY), 0)([window])
    fillers = batch["input_ids"].shape[1] - length
    assert fillers > 0
    assert batch["input_ids"].tolist() == [window["input_ids"] + [0] * fillers]
    assert batch["labels"].tolist() == [[1] * length + [-100] * fillers]
    assert batch["attention_mask"].tolist() == [[True] * length]
    assert len(batch["windows"].blocks) == 1


def test_fillers_have_the_tokenizers_own_ids():
    tokenizer = word_piece_tokenizer(["[UNK]", "[CLS]", "[SEP]", "Peter", "[PAD]"])
    tokenizer._pad_token_type_id = 3  # as XLNet's
    columns = common.tokenize_and_align_labels(
        {"tokens": [["Peter", "Peter"], ["Peter"]], "labels": [[0, 0], [0]]},
        tokenizer, 512, None, [0, 2],
    )  # fmt: skip
    batch = JoinWindows(tokenizer, 0)(rows_of(columns))
    assert batch["input_ids"].tolist() == [[1, 3, 3, 2, 1, 3, 2, 4]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 0, 0, 0, 3]]
    assert batch["word_index"].tolist() == [[-100, 0, 1, -100, -100, 2, -100, -100]]


@given(st.lists(st.integers(1, 70), min_size=1, max_size=40), st.integers(0, 3))
def test_windows_lie_one_after_another(lengths, first_position):
    """In order of length; windows of one length in the order of the batch."""
    windows = [
        {"input_ids": [1000 * n + i for i in range(length)], "labels": [n] * length}
        for n, length in enumerate(lengths)
    ]
    batch = JoinWindows(word_piece_tokenizer(COURSE_VOCABULARY), first_position)(windows)
    ordered = sorted(windows, key=lambda window: len(window["input_ids"]), reverse=True)
    own, layout = sum(lengths), batch["windows"]
    assert layout.lengths.tolist() == sorted(lengths, reverse=True)
    assert {values.shape for name, values in batch.items() if name.endswith("_ids")} == {
        (1, len(layout.from_blocks))
    }
    for name, fill in (("input_ids", 0), ("labels", -100)):
        (row,) = batch[name].tolist()
        assert row[:own] == [value for window in ordered for value in window[name]]
        assert set(row[own:]) == {fill}
    (positions,) = batch["position_ids"].tolist()
    expected = [first_position + i for window in ordered for i in range(len(window["labels"]))]
    assert positions[:own] == expected
    assert set(positions[own:]) == {first_position}
    assert batch["attention_mask"].shape == (len(lengths), max(lengths))
    assert batch["attention_mask"].sum(1).tolist() == layout.lengths.tolist()
    assert (np.diff(batch["attention_mask"].int(), axis=1) <= 0).all()


# --- The collator of a network --------------------------------------------------------------


@pytest.mark.parametrize(("device", "pairs"), [("cpu", PADDED_PAIRS), ("cuda", math.inf)])
def test_a_network_without_padding_gets_joined_windows(device, pairs):
    """On a GPU in one block: it starts blocks one after another."""
    traits = Traits(True, first_position=2, padding_leaks=False, unused_parameters=False)
    tokenizer = word_piece_tokenizer(COURSE_VOCABULARY)
    collate = make_collator(tokenizer, traits, torch.device(device))
    assert isinstance(collate, JoinWindows)
    assert (collate.first_position, collate.padded_pairs) == (2, pairs)
    assert not collate.padding_leaks


@pytest.mark.parametrize("leaks", [False, True])
@pytest.mark.parametrize("length", [None, 20])
def test_another_network_gets_padded_windows(leaks, length):
    traits = Traits(False, first_position=0, padding_leaks=leaks, unused_parameters=False)
    tokenizer = word_piece_tokenizer(COURSE_VOCABULARY)
    collate = make_collator(tokenizer, traits, torch.device("cpu"), length)
    assert isinstance(collate, PadBatch)
    assert collate.padding_leaks == leaks
    first, second = rows_of(course_windows())
    assert collate([first, second])["input_ids"].shape == (2, length or 16)
