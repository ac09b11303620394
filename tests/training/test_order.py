"""The order of the data: every window once per epoch, the same steps however they are split."""

from collections import Counter

import numpy as np
import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import common
from encoder.batches import WindowSet
from encoder.collate import PadBatch
from training.order import TrainingOrder, evaluation_order, seed_step

some_lengths = st.lists(st.integers(2, 128), max_size=200).map(
    lambda lengths: np.array(lengths, dtype=np.int32)
)


def news_lengths(count: int) -> np.ndarray:
    """Return lengths such as those of sentences in news: most short, some long."""
    random = np.random.default_rng(0)
    return np.clip(random.lognormal(3.0, 0.6, size=count), 3, 128).astype(np.int32)


# --- Training -------------------------------------------------------------------------------


@given(some_lengths, st.integers(1, 33), st.integers(0, 2**32), st.integers(0, 5), st.booleans())
def test_every_window_occurs_once_per_epoch(lengths, step_size, seed, epoch, grouped):
    order = TrainingOrder(lengths, step_size, seed, grouped)
    order.epoch = epoch
    indices = list(order)
    assert len(indices) == len(order)
    assert len(indices) == order.steps * step_size
    fillers = indices.count(len(lengths))
    assert fillers < step_size  # they complete one step and never make another
    assert sorted(indices) == [*range(len(lengths)), *[len(lengths)] * fillers]
    steps = np.array(indices, dtype=int).reshape(-1, step_size)
    assert (steps == len(lengths)).any(axis=1).sum() == (1 if fillers else 0)


@pytest.mark.parametrize("grouped", [True, False])
def test_order_depends_on_seed_and_epoch_alone(grouped):
    lengths = news_lengths(500)

    def orders(seed, epoch):
        order = TrainingOrder(lengths, 8, seed, grouped)
        np.random.seed(seed + epoch)  # other random numbers have no influence
        torch.manual_seed(epoch)
        order.epoch = epoch
        return list(order), list(order)

    first, again = orders(42, 3)
    assert first == again == orders(42, 3)[0]
    assert len({tuple(orders(seed, epoch)[0]) for seed in range(3) for epoch in range(3)}) == 9


def test_a_resumed_epoch_needs_no_history():
    straight, resumed = (TrainingOrder(news_lengths(100), 8, 1) for _ in range(2))
    epochs = []
    for epoch in range(4):
        straight.epoch = epoch
        epochs.append(list(straight))
    resumed.epoch = 3
    assert list(resumed) == epochs[3]


@pytest.mark.parametrize("batch_size", [4, 8, 16])
def test_grouping_saves_padding(batch_size):
    lengths = news_lengths(3000)

    def share_of_padding(grouped):
        order = [i for i in TrainingOrder(lengths, batch_size, 0, grouped) if i < len(lengths)]
        batches = [lengths[order[i : i + batch_size]] for i in range(0, len(order), batch_size)]
        padded = sum(batch.max() * len(batch) for batch in batches)
        return 1 - lengths.sum() / padded

    assert share_of_padding(grouped=True) < 0.15
    assert share_of_padding(grouped=False) > 0.35


def test_grouping_keeps_the_order_random():
    """Long and short steps are mixed, and the windows of a step differ from epoch to epoch."""
    lengths = news_lengths(2000)
    order = TrainingOrder(lengths, 8, 0)
    steps_of_epochs = []
    for epoch in range(2):
        order.epoch = epoch
        steps = np.array(list(order)).reshape(-1, 8)
        means = lengths[steps].mean(axis=1)
        assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2
        steps_of_epochs.append({frozenset(step) for step in steps.tolist()})
    assert len(steps_of_epochs[0] & steps_of_epochs[1]) < 5


# --- The same steps, however they are cut -------------------------------------------------

VOCABULARY, LABELS = 11, 5


def window_set(count: int) -> WindowSet:
    """Return windows with very unequal numbers of labels."""
    random = np.random.default_rng(1)
    rows = {"input_ids": [], "labels": [], "length": [], "words": [], "part": []}
    for length in random.integers(3, 30, size=count):
        labels = random.integers(0, LABELS, size=length)
        labels[random.random(length) < random.random()] = -100
        rows["input_ids"].append(random.integers(0, VOCABULARY, size=length).tolist())
        rows["labels"].append(labels.tolist())
        rows["length"].append(int(length))
        rows["words"].append(int((labels != -100).sum()))
        rows["part"].append(0)
    return WindowSet(Dataset.from_dict(rows), sum(rows["words"]))


class Padding:
    pad_token_id, pad_token_type_id = 0, 0


def micro_batches(windows, processes: int, batch_size: int, accumulation: int, epoch: int):
    """Return for each step the batches of all processes, as accelerate distributes them."""
    order = TrainingOrder(windows.lengths, processes * batch_size * accumulation, seed=7)
    loader = DataLoader(windows, batch_size, sampler=order, collate_fn=PadBatch(Padding))
    shares = []
    for process in range(processes):
        share = prepare_data_loader(
            loader, num_processes=processes, process_index=process, put_on_device=False
        )
        order.epoch = epoch
        shares.append(list(share))
    assert len({len(share) for share in shares}) == 1
    assert len(shares[0]) == len(order) // (processes * batch_size)
    return [
        [batch for share in shares for batch in share[start : start + accumulation]]
        for start in range(0, len(shares[0]), accumulation)
    ]


def losses_and_gradients(steps):
    torch.manual_seed(0)
    embedding = torch.nn.Embedding(VOCABULARY, 8, dtype=torch.float64)
    head = torch.nn.Linear(8, LABELS, dtype=torch.float64)
    values = []
    for batches in steps:
        head.zero_grad()
        num_labelled = sum(batch["labels"].ne(-100).sum() for batch in batches)
        losses = [
            common.token_loss(head(embedding(batch["input_ids"])), batch["labels"], num_labelled)
            for batch in batches
        ]
        sum(losses).backward()
        values.append((sum(losses).item(), head.weight.grad.clone()))
    return values


@pytest.mark.parametrize("grid", [(2, 4, 1), (1, 4, 2), (1, 1, 8), (2, 2, 2), (4, 2, 1), (8, 1, 1)])
@pytest.mark.parametrize("epoch", [0, 1])
def test_steps_are_the_same_on_any_grid(grid, epoch):
    """1 process x 8 = 2 x 4 = 4 accumulated x 2 = ...; 61 windows, so the last step has fillers."""
    windows = window_set(61)
    whole = micro_batches(windows, 1, 8, 1, epoch)
    parts = micro_batches(windows, *grid, epoch)
    assert len(whole) == len(parts) == 8
    labelled = sum(int(b["labels"].ne(-100).sum()) for step in whole for b in step)
    assert labelled == windows.words_with_subwords  # each sentence counts once
    pairs = zip(losses_and_gradients(whole), losses_and_gradients(parts), strict=True)
    for (loss, gradient), (loss_of_parts, gradient_of_parts) in pairs:
        assert loss == pytest.approx(loss_of_parts, rel=1e-6)
        torch.testing.assert_close(gradient, gradient_of_parts, rtol=1e-5, atol=1e-8)


# --- Evaluation -----------------------------------------------------------------------------


def test_evaluation_order_by_hand():
    lengths = np.array([5, 9, 5, 7], dtype=np.int32)
    assert evaluation_order(lengths, 4).tolist() == [1, 3, 0, 2]
    assert evaluation_order(lengths, 3).tolist() == [1, 3, 0, 2, 4, 4]
    assert len(evaluation_order(lengths[:0], 8)) == 0


@given(some_lengths, st.integers(1, 33))
def test_evaluation_order_is_whole_rounds_longest_first(lengths, round_size):
    order = evaluation_order(lengths, round_size)
    assert len(order) % round_size == 0
    assert len(order) - len(lengths) < round_size
    assert sorted(order[: len(lengths)]) == list(range(len(lengths)))
    assert set(order[len(lengths) :]) <= {len(lengths)}
    descending = lengths[order[: len(lengths)]]
    assert (np.diff(descending) <= 0).all()


def test_evaluation_order_of_one_length_by_hand():
    lengths = np.array([5, 9, 5, 7, 5], dtype=np.int32)
    order = evaluation_order(lengths, 2, one_length=True).tolist()
    assert order == [1, 7, 3, 9, 0, 2, 4, 6]  # 6 + i is the filler of window i
    assert evaluation_order(lengths, 1, one_length=True).tolist() == [1, 3, 0, 2, 4]
    assert len(evaluation_order(lengths[:0], 8, one_length=True)) == 0


@given(some_lengths, st.integers(1, 33))
def test_rounds_of_one_length(lengths, round_size):
    order = evaluation_order(lengths, round_size, one_length=True)
    windows = order[order < len(lengths)]
    assert sorted(windows) == list(range(len(lengths)))
    assert len(lengths) not in order  # the shortest filler has no place among longer windows
    of_order = lengths[np.where(order > len(lengths), order - len(lengths) - 1, order)]
    rounds = of_order.reshape(-1, round_size)
    assert (rounds == rounds[:, :1]).all()
    assert len(rounds) == sum(-(-count // round_size) for count in Counter(lengths).values())


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_every_window_is_evaluated_in_the_same_batch(processes):
    """The windows of a batch, and so its padding, do not depend on the number of processes."""
    windows = window_set(61)
    batch_size = 8 // processes

    def batches(processes):
        order = evaluation_order(windows.lengths, 8)
        loader = DataLoader(order, batch_size, collate_fn=list)
        return sorted(
            tuple(batch)
            for process in range(processes)
            for batch in prepare_data_loader(
                loader, num_processes=processes, process_index=process, put_on_device=False
            )
        )

    assert batches(processes) == batches(1)


# --- Dropout --------------------------------------------------------------------------------


def test_dropout_depends_on_seed_step_and_process():
    def mask(*arguments):
        torch.rand(arguments[1])  # whatever was drawn before
        seed_step(*arguments)
        return tuple(torch.nn.functional.dropout(torch.ones(64), 0.5).tolist())

    assert mask(42, 7, 1) == mask(42, 7, 1)
    triples = [(s, n, p) for s in (0, 1, 42) for n in (0, 1, 42, 10**7) for p in (0, 1, 42)]
    assert len({mask(*triple) for triple in triples}) == len(triples)
