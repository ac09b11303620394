"""The order of the data: every window once per epoch, the same steps however they are split."""

import math
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
from encoder.collate import JoinWindows, PadBatch
from training.order import CONTEXT_DROPOUT, TrainingOrder, evaluation_order, seed_step

some_lengths = st.lists(st.integers(2, 128), max_size=200).map(
    lambda lengths: np.array(lengths, dtype=np.int32)
)


def news_lengths(count: int) -> np.ndarray:
    """Return lengths such as those of sentences in news: most short, some long."""
    random = np.random.default_rng(0)
    return np.clip(random.lognormal(3.0, 0.6, size=count), 3, 128).astype(np.int32)


# --- Training -------------------------------------------------------------------------------

grids = st.tuples(st.integers(1, 9), st.integers(1, 5))  # windows of a batch, batches of a step
KINDS = ["random", "grouped", "padded"]


def make_order(lengths, step_size, batch_size=None, seed=0, kind="random") -> TrainingOrder:
    """Return an order; `kind`: the default, --group_by_length, or for a network with padding."""
    order = TrainingOrder(lengths, step_size, batch_size or step_size, seed, kind == "grouped")
    order.padded = kind == "padded"
    return order


@given(some_lengths, grids, st.integers(0, 2**32), st.integers(0, 5), st.sampled_from(KINDS))
def test_every_window_occurs_once_per_epoch(lengths, grid, seed, epoch, kind):
    batch_size, batches = grid
    step_size = batch_size * batches
    order = make_order(lengths, step_size, batch_size, seed, kind)
    order.epoch = epoch
    indices = list(order)
    assert len(indices) == len(order)
    assert len(indices) == order.steps * step_size
    fillers = indices.count(len(lengths))
    assert fillers < step_size  # they complete one step and never make another
    assert sorted(indices) == [*range(len(lengths)), *[len(lengths)] * fillers]
    steps = np.array(indices, dtype=int).reshape(-1, step_size)
    assert (steps == len(lengths)).any(axis=1).sum() == (1 if fillers else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_order_depends_on_seed_and_epoch_alone(kind):
    lengths = news_lengths(500)

    def orders(seed, epoch):
        order = make_order(lengths, 8, 4, seed, kind)
        np.random.seed(seed + epoch)  # other random numbers have no influence
        torch.manual_seed(epoch)
        order.epoch = epoch
        return list(order), list(order)

    first, again = orders(42, 3)
    assert first == again == orders(42, 3)[0]
    assert len({tuple(orders(seed, epoch)[0]) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_epoch_needs_no_history(kind):
    straight, resumed = (make_order(news_lengths(100), 8, 8, 1, kind) for _ in range(2))
    epochs = []
    for epoch in range(4):
        straight.epoch = epoch
        epochs.append(list(straight))
    resumed.epoch = 3
    assert list(resumed) == epochs[3]


def test_steps_are_random_by_default():
    """A plain shuffle: windows of all lengths share a step."""
    lengths = news_lengths(2000)
    order = make_order(lengths, 8)
    shuffled = np.arange(2000, dtype=np.int32)
    np.random.default_rng([0, 0]).shuffle(shuffled)
    assert list(order) == shuffled.tolist()
    steps = lengths[shuffled].reshape(-1, 8)
    assert steps.std(axis=1).mean() > 0.85 * lengths.std()


@pytest.mark.parametrize("batch_size", [4, 8, 16])
def test_similar_lengths_save_padding(batch_size):
    """By --group_by_length most of it; in pools for a network that needs padding, a part."""
    lengths = news_lengths(3000)

    def share_of_padding(kind):
        order = [i for i in make_order(lengths, batch_size, kind=kind) if i < len(lengths)]
        batches = [lengths[order[i : i + batch_size]] for i in range(0, len(order), batch_size)]
        padded = sum(batch.max() * len(batch) for batch in batches)
        return 1 - lengths.sum() / padded

    random, pools, grouped = map(share_of_padding, ("random", "padded", "grouped"))
    assert grouped < 0.15
    assert grouped < pools < random - 0.15
    assert random > 0.35


def test_a_pool_of_a_padded_network_is_eight_steps_of_a_shuffle():
    """Larger pools save little more padding: see benchmarks/README.md."""
    lengths = news_lengths(1600)
    shuffled = np.arange(1600, dtype=np.int32)
    np.random.default_rng([0, 0]).shuffle(shuffled)
    of_step = {
        frozenset(step): number
        for number, step in enumerate(
            np.array(list(make_order(lengths, 8, kind="padded"))).reshape(-1, 8).tolist()
        )
    }
    neighbours = []
    for pool in shuffled.reshape(-1, 8 * 8):
        by_length = np.array(sorted(pool.tolist(), key=lambda i: lengths[i])).reshape(8, 8)
        neighbours.append([of_step[frozenset(step)] for step in by_length.tolist()])
    # The steps of a pool are apart from each other.
    assert np.abs(np.diff(neighbours)).mean() > 30


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_steps_is_random(kind):
    """Long and short steps are mixed, and the windows of a step differ from epoch to epoch."""
    lengths = news_lengths(2000)
    order = make_order(lengths, 8, kind=kind)
    steps_of_epochs = []
    for epoch in range(2):
        order.epoch = epoch
        steps = np.array(list(order)).reshape(-1, 8)
        means = lengths[steps].mean(axis=1)
        assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2
        steps_of_epochs.append({frozenset(step) for step in steps.tolist()})
    assert len(steps_of_epochs[0] & steps_of_epochs[1]) < 5


# --- The batches of a step ------------------------------------------------------------------


def work_of_batches(lengths, batch_size: int, batches: int, kind: str) -> np.ndarray:
    """Return the sub-words of each batch of each step of an epoch, (steps, batches)."""
    order = list(make_order(lengths, batch_size * batches, batch_size, kind=kind))
    windows = np.append(lengths, 0)[np.array(order, dtype=int)]  # a filler is no work
    return windows.reshape(-1, batches, batch_size).sum(axis=2)


@given(some_lengths, grids, st.sampled_from(["random", "grouped"]))
def test_batches_of_a_step_differ_by_less_than_a_window(lengths, grid, kind):
    """They have the same number of windows; their sub-words differ by the longest at most."""
    batch_size, batches = grid
    step_size = batch_size * batches
    work = work_of_batches(lengths, batch_size, batches, kind)
    indices = np.array(list(make_order(lengths, step_size, batch_size, kind=kind)), dtype=int)
    windows = np.append(lengths, 0)[indices].reshape(-1, step_size)
    for of_batches, of_step in zip(work, windows, strict=True):
        assert of_batches.max() - of_batches.min() <= of_step.max() - of_step.min()


@pytest.mark.parametrize(
    ("batch_size", "batches", "bound"), [(4, 2, 0.05), (8, 2, 0.02), (8, 4, 0.03), (16, 8, 0.02)]
)
def test_batches_of_a_step_have_nearly_equal_work(batch_size, batches, bound):
    """In news: what the slowest process computes beyond the average of all."""
    lengths = news_lengths(9600)
    work = work_of_batches(lengths, batch_size, batches, "random")
    excess = (work.max(axis=1) / work.mean(axis=1) - 1).mean()
    by_chance = lengths[: work.size * batch_size].reshape(*work.shape, batch_size).sum(axis=2)
    assert excess < bound
    assert (by_chance.max(axis=1) / by_chance.mean(axis=1) - 1).mean() > 3 * bound


@given(some_lengths, grids)
def test_batches_of_a_padded_network_are_of_one_length_in_turn(lengths, grid):
    """The longest windows of a step are together, so that processes pad about as much."""
    batch_size, batches = grid
    order = make_order(lengths, batch_size * batches, batch_size, kind="padded")
    windows = np.append(lengths, 0)[np.array(list(order), dtype=int)]
    for step in windows.reshape(-1, batches, batch_size):
        if batches > 1:
            assert (step.min(axis=1)[:-1] >= step.max(axis=1)[1:]).all()


@given(some_lengths, grids, st.sampled_from(KINDS), st.integers(0, 3))
def test_steps_hold_the_same_windows_on_any_grid(lengths, grid, kind, epoch):
    batch_size, batches = grid
    step_size = batch_size * batches

    def steps(batch_size):
        order = make_order(lengths, step_size, batch_size, kind=kind)
        order.epoch = epoch
        return np.sort(np.array(list(order), dtype=int).reshape(-1, step_size), axis=1)

    for size in (1, batch_size, batches):
        assert np.array_equal(steps(size), steps(step_size))


# --- Context --------------------------------------------------------------------------------


def order_with_context(lengths, grid=(4, 2), seed=0, kind="random") -> TrainingOrder:
    """Return the order of windows of which two in three have context."""
    alone = np.where(np.arange(len(lengths)) % 3, lengths // 2, lengths)
    step_size = grid[0] * grid[1]
    order = TrainingOrder(lengths, step_size, grid[0], seed, kind == "grouped", alone)
    order.padded = kind == "padded"
    return order


@given(some_lengths, grids, st.integers(0, 2**32), st.integers(0, 5), st.sampled_from(KINDS))
def test_every_window_occurs_once_with_or_without_its_context(lengths, grid, seed, epoch, kind):
    order = order_with_context(lengths, grid, seed, kind)
    order.epoch = epoch
    indices = np.array([*order], dtype=int)
    size = len(lengths)
    is_alone = indices >= 2 * (size + 1)
    windows = np.where(is_alone, indices - 2 * (size + 1), indices)
    assert sorted(windows[windows < size]) == [*range(size)]
    assert set(windows[windows >= size]) <= {size}
    has_context = order.lengths_alone < lengths
    assert has_context[windows[is_alone]].all()  # a window that has no context keeps its index
    if kind == "random" and grid[1] == 1:  # the order of the windows is that without context
        assert windows.tolist() == [*make_order_of_epoch(lengths, grid, seed, epoch)]


def make_order_of_epoch(lengths, grid, seed, epoch) -> TrainingOrder:
    order = make_order(lengths, grid[0] * grid[1], grid[0], seed)
    order.epoch = epoch
    return order


def test_context_is_dropped_at_random_by_seed_and_epoch():
    lengths = news_lengths(3000)

    def alone(seed: int, epoch: int, grid=(4, 2)) -> set[int]:
        order = order_with_context(lengths, grid, seed)
        order.epoch = epoch
        return {window for window in order if window > len(lengths)}

    chosen = alone(0, 0)
    assert (
        chosen == alone(0, 0) == alone(0, 0, (1, 8)) == alone(0, 0, (8, 1)) == alone(0, 0, (3, 5))
    )
    assert len(chosen) / 2000 == pytest.approx(CONTEXT_DROPOUT, abs=0.05)
    others = [alone(0, 1), alone(1, 0)]
    for other in others:  # independent draws
        assert len(chosen & other) / 2000 == pytest.approx(CONTEXT_DROPOUT**2, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_with_dropped_context_are_the_same_on_any_grid(kind):
    lengths = news_lengths(333)

    def steps(grid) -> list[list[int]]:
        order = order_with_context(lengths, grid, 3, kind)
        return np.sort(np.array([*order]).reshape(-1, 8)).tolist()

    assert steps((8, 1)) == steps((4, 2)) == steps((1, 8))


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


COLLATORS = {
    "random": JoinWindows(Padding, 0),
    "grouped": JoinWindows(Padding, 0, math.inf),
    "padded": PadBatch(Padding, multiple_of=8),
}


def micro_batches(
    windows, processes: int, batch_size: int, accumulation: int, epoch: int, kind: str
):
    """Return for each step the batches of all processes, as accelerate distributes them."""
    step_size = processes * batch_size * accumulation
    order = make_order(windows.lengths, step_size, batch_size, 7, kind)
    loader = DataLoader(windows, batch_size, sampler=order, collate_fn=COLLATORS[kind])
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
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epoch", [0, 1])
def test_gradients_of_steps_are_the_same_on_any_grid(grid, epoch, kind):
    """1 process x 8 = 2 x 4 = 4 accumulated x 2 = ...; 61 windows, so the last step has fillers."""
    windows = window_set(61)
    whole = micro_batches(windows, 1, 8, 1, epoch, kind)
    parts = micro_batches(windows, *grid, epoch, kind)
    if kind != "padded":  # all batches have the same number of windows
        sizes = {len(batch["windows"].lengths) for step in parts for batch in step}
        assert sizes == {grid[1]}
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
