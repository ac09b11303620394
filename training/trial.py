"""A trial of a run for `--dry_run`: a few of its steps are timed, and their memory is measured.

The weights are changed by these steps. Nothing is saved.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import psutil
import torch
from accelerate import DistributedDataParallelKwargs
from torch.utils.data import DataLoader

import common
from encoder.batches import WindowSet
from encoder.cpu.clipping import clip_gradients
from encoder.traits import Traits
from settings.run_settings import TrainingSettings
from support.errors import UserError
from training.order import evaluation_order
from training.plan import Plan

MOST_STEPS = 5  # steps that are timed
MOST_SECONDS = 20.0  # no new step is timed after this long
EVALUATION_ROUNDS = 3  # batches on all processes that are timed in each split


@dataclass(frozen=True)
class Memory:
    """The memory of training in one process, in bytes: that of the step with the most sub-words."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    peak: int  # on a CPU that of the whole process, with the libraries


@dataclass(frozen=True)
class Trial:
    """The measurements of a trial; times are those of the whole run."""

    steps: int = 0  # steps that were timed
    step_seconds: float = 0.0  # of a step on average
    split_seconds: dict[str, float] | None = None  # of one evaluation of each split
    memory: Memory | None = None


def try_run(
    accelerator: Any,
    model: Any,
    make_optimizer: Callable[[], Any],
    windows: dict[str, WindowSet],
    collate: Any,
    plan: Plan | None,
    training: TrainingSettings,
    traits: Traits,
) -> Trial | None:
    """Return the measurements of a few steps and batches; None if the weights are sharded.

    Every process calls it. `plan`: None if nothing is trained. Raises UserError if a step needs
    more memory than a GPU has.
    """
    if plan is not None and training.sharded_by is not None:
        return None
    accelerator.ddp_handler = DistributedDataParallelKwargs(
        find_unused_parameters=traits.unused_parameters
    )
    trial = Trial()
    try:
        if plan is None:
            model = accelerator.prepare_model(model, device_placement=True, evaluation_mode=True)
        else:
            if training.gradient_checkpointing:
                model.activation_checkpointing_enable()
            model, optimizer = accelerator.prepare(model, make_optimizer())
            trial = _try_steps(
                accelerator, model, optimizer, windows["train"], collate, plan, training
            )
        evaluated = {name: split for name, split in windows.items() if name != "train"}
        seconds = {
            name: _try_evaluation(
                accelerator, model, split, collate, training.per_device_eval_batch_size
            )
            for name, split in evaluated.items()
            if len(split)
        }
    except torch.OutOfMemoryError:
        raise UserError(
            f"--dry_run: the memory of {accelerator.device} is full: the step with the most "
            "sub-words does not fit. Use a smaller --per_device_train_batch_size with more "
            "--gradient_accumulation_steps, --gradient_checkpointing, or a smaller "
            "--max_seq_length."
        ) from None
    # DDP must not be the last to hold the process group: see `train_accelerate.py`.
    accelerator.free_memory(model)
    return replace(trial, split_seconds=seconds)


# --- Steps ----------------------------------------------------------------------------------


def _try_steps(
    accelerator: Any,
    model: Any,
    optimizer: Any,
    windows: WindowSet,
    collate: Any,
    plan: Plan,
    training: TrainingSettings,
) -> Trial:
    """Return the time of a step and its memory: the largest step first, not timed, then others."""
    order = plan.order
    order.epoch = 0
    steps = np.fromiter(order, np.int64, len(order)).reshape(-1, order.step_size)
    work = sub_words(windows, steps).sum(1)
    chosen = [int(work.argmax()), *representative(work, MOST_STEPS)]
    loader = accelerator.prepare_data_loader(
        DataLoader(
            windows,  # type: ignore[arg-type]  # a data set, but not a subclass of torch's
            order.batch_size,
            sampler=steps[chosen].ravel().tolist(),
            collate_fn=collate,
        )
    )
    batches = iter(loader)
    meter = _MemoryMeter(accelerator.device)
    model.train()
    optimizer.train()  # of those that have a mode, such as schedule-free ones
    _try_step(accelerator, model, optimizer, batches, plan.accumulation, training, meter)
    memory = meter.memory(model, optimizer)
    started, seconds, timed = time.perf_counter(), 0.0, 0
    for number in range(1, len(chosen)):
        _try_step(accelerator, model, optimizer, batches, plan.accumulation, training)
        # The mean over the processes, so that all of them stop after the same step.
        elapsed = torch.tensor(time.perf_counter() - started, device=accelerator.device)
        seconds, timed = float(accelerator.reduce(elapsed, "mean")), number
        if seconds > MOST_SECONDS:
            break
    rate = seconds / work[chosen[1 : timed + 1]].sum()
    return Trial(timed, float(rate * work.mean()), None, memory)


def _try_step(
    accelerator: Any,
    model: Any,
    optimizer: Any,
    batches: Iterator[Any],
    accumulation: int,
    training: TrainingSettings,
    meter: "_MemoryMeter | None" = None,
) -> None:
    """Train one step, as the loop does."""
    micro_batches = list(islice(batches, accumulation))
    num_labelled = common.count_labelled(accelerator, micro_batches)
    for number, batch in enumerate(micro_batches, 1):
        is_last = number == accumulation
        with nullcontext() if is_last else accelerator.no_sync(model):
            labels = batch.pop("labels")
            logits = model(**batch).logits
            loss = common.token_loss(logits, labels, num_labelled, training.label_smoothing_factor)
            if meter is not None:
                meter.sample_activations()
            accelerator.backward(loss)
    if training.max_grad_norm > 0:
        clip_gradients(accelerator, model.parameters(), training.max_grad_norm)
    optimizer.step()
    if meter is not None:
        meter.sample()
    optimizer.zero_grad()
    _wait_for(accelerator.device)


# --- Evaluation -----------------------------------------------------------------------------


def _try_evaluation(
    accelerator: Any, model: Any, windows: WindowSet, collate: Any, batch_size: int
) -> float:
    """Return the seconds of an evaluation of a split, from a few of its batches."""
    round_size = batch_size * accelerator.num_processes
    order = evaluation_order(windows.lengths, round_size, one_length=collate.padding_leaks)
    rounds = order.reshape(-1, round_size)
    work = sub_words(windows, rounds).sum(1)
    chosen = representative(work, EVALUATION_ROUNDS)
    loader = accelerator.prepare_data_loader(
        DataLoader(
            windows,  # type: ignore[arg-type]
            batch_size,
            sampler=rounds[[chosen[0], *chosen]].ravel().tolist(),  # the first one is not timed
            collate_fn=collate,
        )
    )
    model.eval()
    started = 0.0
    with common.full_precision(accelerator.unwrap_model(model, keep_torch_compile=False)):
        for batch in loader:
            common.gather_batch(accelerator, *common.predict_batch(model, batch))
            _wait_for(accelerator.device)
            started = started or time.perf_counter()
    seconds = time.perf_counter() - started
    return float(seconds * work.sum() / max(work[chosen].sum(), 1))


# --- Sizes ----------------------------------------------------------------------------------


def sub_words(windows: WindowSet, indices: np.ndarray) -> np.ndarray:
    """Return the number of sub-words of windows, without fillers; `indices`: see `WindowSet`."""
    copies, origins = np.divmod(indices, len(windows) + 1)
    lengths = np.stack([windows.lengths, 0 * windows.lengths, windows.lengths_alone])
    lengths = np.pad(lengths, ((0, 0), (0, 1)))  # a filler has no words of its own
    sizes: np.ndarray = lengths[copies, origins]
    return sizes


def representative(sizes: np.ndarray, count: int) -> list[int]:
    """Return the positions of at most `count` items that represent all sizes, the middle first."""
    count = min(count, len(sizes))
    quantiles = (2 * np.arange(count) + 1) * len(sizes) // (2 * count)
    middle_first = sorted(quantiles.tolist(), key=lambda rank: abs(2 * rank - len(sizes)))
    by_size: Sequence[int] = np.argsort(sizes, kind="stable").tolist()
    return [by_size[rank] for rank in middle_first]


def _wait_for(device: torch.device) -> None:
    """Wait until a GPU has done its work, which is queued."""
    if device.type != "cpu":
        torch.accelerator.synchronize()


class _MemoryMeter:
    """The memory of a step, sampled where it is large: after each forward pass and at its end."""

    def __init__(self, device: torch.device):
        self.on_cpu = device.type == "cpu"
        if not self.on_cpu:
            torch.accelerator.reset_peak_memory_stats()
        self.before = self.peak = self._now()
        self.activations = 0

    def _now(self) -> int:
        if self.on_cpu:
            return psutil.Process().memory_info().rss
        return torch.accelerator.memory_allocated()

    def sample_activations(self) -> None:
        """Note the memory after a forward pass."""
        self.activations = max(self.activations, self._now() - self.before)
        self.sample()

    def sample(self) -> None:
        """Note the memory."""
        self.peak = max(self.peak, self._now())

    def memory(self, model: Any, optimizer: Any) -> Memory:
        """Return the memory of a step that has been made."""
        if not self.on_cpu:
            self.peak = torch.accelerator.max_memory_allocated()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        state = [value for values in optimizer.state.values() for value in values.values()]
        return Memory(
            weights=_size([*model.parameters(), *model.buffers()]),
            gradients=_size(trained),
            optimizer=_size(value for value in state if isinstance(value, torch.Tensor)),
            activations=self.activations,
            peak=self.peak,
        )


def _size(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
