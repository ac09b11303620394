"""The order of the data and the random numbers of a step, both derived from the seed.

They depend only on the seed and on the number of the epoch or step, so that a resumed run needs
only that number to continue as if it had never stopped.
"""

import heapq
from collections.abc import Iterator

import numpy as np

# The share of the windows that an epoch shows without context, so that the model also learns to
# tag single sentences.
CONTEXT_DROPOUT = 0.5


class TrainingOrder:
    """Sampler: the order in which an epoch visits the windows, the same on every process.

    The order is cut into steps of `step_size` windows (batch x processes x accumulation), and
    these into batches of `batch_size`. The steps depend on seed and epoch alone: 1 process x 8,
    2 x 4 and 4 x 2 accumulated have the same steps. They are random, or, if `grouped` or `padded`,
    of windows of similar length. Fillers complete the last step: index `len(lengths)` (see
    `encoder.batches.WindowSet`). A random share of the windows with context is shown without it; it
    also depends on seed and epoch alone.
    """

    # Steps sorted by length together. A larger pool has less padding and less randomness.
    GROUPED_POOL = 50
    PADDED_POOL = 8

    def __init__(
        self,
        lengths: np.ndarray,
        step_size: int,
        batch_size: int,
        seed: int,
        grouped: bool = False,
        lengths_alone: np.ndarray | None = None,
    ):
        """`lengths`: (windows,), sub-words of each window; `lengths_alone`: without its context."""
        self.lengths_alone = lengths if lengths_alone is None else lengths_alone
        self.lengths, self.step_size, self.batch_size = lengths, step_size, batch_size
        self.seed, self.grouped = seed, grouped
        self.epoch = 0  # the caller sets it before each epoch
        self.padded = False  # and this, for a network that needs padding

    @property
    def steps(self) -> int:
        """Return the number of steps of an epoch."""
        return len(self) // self.step_size

    def __len__(self) -> int:
        """Return the number of windows of an epoch, fillers included."""
        return -(-len(self.lengths) // self.step_size) * self.step_size

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of the windows."""
        random = np.random.default_rng([self.seed, self.epoch])
        is_alone = self._shown_alone()
        lengths = np.where(is_alone, self.lengths_alone, self.lengths)
        order = np.full(len(self), len(self.lengths), np.int32)  # all fillers at first
        windows = order[: len(self.lengths)]
        windows[:] = np.arange(len(windows))
        random.shuffle(windows)
        steps = order.reshape(-1, self.step_size)
        if self.grouped or self.padded:
            pool = self.step_size * (self.GROUPED_POOL if self.grouped else self.PADDED_POOL)
            for start in range(0, len(windows), pool):
                chunk = windows[start : start + pool]
                chunk[:] = chunk[np.argsort(lengths[chunk], kind="stable")]
            # The fillers stay together in one step, which is shuffled among the others.
            steps = random.permutation(steps)
        alone = 2 * (len(lengths) + 1)  # the index of window 0 without its context
        for step in steps:
            for window in self._batches(step, lengths).flat:
                has_context = window == len(lengths) or not is_alone[window]
                yield int(window) if has_context else alone + int(window)

    def _shown_alone(self) -> np.ndarray:
        """Return which windows this epoch shows without their context, (windows,)."""
        with_context = self.lengths_alone < self.lengths
        if not with_context.any():
            return with_context
        # A generator of its own, so that the order is that of windows without context.
        random = np.random.default_rng([self.seed, self.epoch, 1])
        return with_context & (random.random(len(self.lengths)) < CONTEXT_DROPOUT)

    def _batches(self, step: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the windows of a step in batches, (batches, batch_size).

        `lengths`: (windows,), sub-words of each window in this epoch.

        The batches are dealt to the processes in turn. Without padding, all have about the same
        number of sub-words. With padding, those of one turn have about the same length.
        """
        if self.step_size == self.batch_size:
            return step[None]
        of_step = np.array([lengths[w] if w < len(lengths) else 0 for w in step])
        longest_first = np.argsort(-of_step, kind="stable")
        if self.padded:
            return step[longest_first].reshape(-1, self.batch_size)
        # Each window goes to the batch with the least work that still has room.
        batches: list[list[int]] = [[] for _ in range(len(step) // self.batch_size)]
        with_room = [(0, number) for number in range(len(batches))]
        for index in longest_first.tolist():
            work, number = heapq.heappop(with_room)
            batches[number].append(int(step[index]))
            if len(batches[number]) < self.batch_size:
                heapq.heappush(with_room, (work + int(of_step[index]), number))
        return np.array(batches, step.dtype)


def evaluation_order(lengths: np.ndarray, round_size: int, one_length: bool = False) -> np.ndarray:
    """Return the indices of all windows, the longest first, completed to whole rounds.

    `lengths`: (windows,). `round_size`: windows of a batch on all processes together. Every batch
    is full on any number of processes, so that each window is always computed beside the same
    windows and its scores are the same to the last digit. `one_length`: all windows of a round
    have the same length, its fillers too (see `encoder.batches.WindowSet`), for a model whose
    results depend on padding.
    """
    order = np.argsort(-lengths, kind="stable").astype(np.int32)
    if not one_length:
        fillers = np.full(-len(order) % round_size, len(lengths), np.int32)
        return np.concatenate([order, fillers])
    groups = np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)
    rounds = []
    for group in groups:  # the windows of one length
        fillers = group[:1].repeat(-len(group) % round_size) + len(lengths) + 1
        rounds += [group, fillers]
    return np.concatenate(rounds)


def seed_step(seed: int, step: int, process: int) -> None:
    """Seed torch so that the dropout of a step depends only on these three numbers."""
    import torch

    number = int(np.random.SeedSequence([seed, step, process]).generate_state(1)[0])
    if torch.accelerator.is_available():
        torch.manual_seed(number)
    else:  # the same, without the search for devices, which takes 1 ms per step
        torch.default_generator.manual_seed(number)
