"""Traits of a loaded network that decide how its batches and processes are set up.

They are observed in a few tiny batches instead of being listed by architecture, because they
depend on the configuration, on the weights and on the version of transformers too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from encoder.batches import Window
from encoder.collate import JoinWindows, PadBatch
from encoder.positions import first_position
from settings.defaults import place_of_model
from support.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

LONGEST = 32  # tokens of a window that is tried, if attention is not local
SINGLE_WORD = 3  # tokens of the shortest window that is tried
PADDED_PAIRS = 500  # few enough that attention computes these windows in several blocks
TOLERANCE = 1e-4  # of logits, relative to the largest; float rounding is below 1e-5
# Names in configurations of the number of tokens that local attention sees.
LOCAL_ATTENTION = ("sliding_window", "local_attention", "attention_window", "window_size")


@dataclass(frozen=True)
class Traits:
    """The traits of a network."""

    unpadded: bool  # it runs on batches without padding (`encoder.unpadded`)
    first_position: int  # the number of the first position of a window
    padding_leaks: bool  # in padded batches, a window's logits depend on the padding after it
    unused_parameters: bool  # a step can leave a trained parameter without a gradient

    @property
    def note(self) -> str | None:
        """Return the line that a run prints before training, or None."""
        if self.padding_leaks:
            return (
                "Padding changes the results of this model. It is evaluated without padding, in "
                "batches of windows of one length. Training needs padding, so its result depends "
                "on how a step is divided into batches: batch 8 differs from 2 x 4."
            )
        if not self.unpadded:
            return "This model is trained in padded batches, which is slower than without padding."
        return None


def embedding_table(network: PreTrainedModel) -> torch.nn.Module | None:
    """Return the table of sub-words of a network; None if it has several.

    Several tables are those that characters are hashed into.
    """
    try:
        table: torch.nn.Module = network.get_input_embeddings()
    except NotImplementedError:
        return None
    return table


def observe_traits(
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    window_length: int,
    *,
    try_unpadded: bool = True,
    num_processes: int = 1,
) -> Traits:
    """Return the traits of a network in fp32.

    A network that can run without padding accepts such batches from then on, and padded ones as
    before. Without `try_unpadded` it is not changed. Unused parameters are looked for only with
    several processes, because that takes a backward pass. Weights, mode and all random states are
    left as they were. Raises UserError if the network cannot be run on text.
    """
    was_training = network.training
    try:
        with (
            run_errors_reported(network),
            random_states_kept(network.device),
            _whole_parameters(network),
        ):
            network.eval()
            windows = _windows(network, tokenizer, window_length)
            alone = _logits_alone(network, PadBatch(tokenizer, padding_leaks=True), windows)
            position = first_position(network)
            unpadded = try_unpadded and _runs_unpadded(
                network, JoinWindows(tokenizer, position, PADDED_PAIRS), windows, alone
            )
            leaks = not unpadded and _padding_leaks(
                network, tokenizer, windows, alone, window_length
            )
            unused = num_processes > 1 and _unused_parameters(network, tokenizer, windows)
    finally:
        network.train(was_training)
    return Traits(unpadded, position, leaks, unused)


@contextmanager
def run_errors_reported(network: PreTrainedModel) -> Iterator[None]:
    """Report the failure of a network to run on sub-words as a UserError."""
    try:
        yield
    except (IndexError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{place_of_model(network.config.name_or_path)}: the model cannot be run on text: got "
            f"{type(error).__name__} for a few sub-words, expected logits. Choose another model.\n"
            f"  {reason[0] if reason else type(error).__name__}"
        ) from None


def _whole_parameters(network: PreTrainedModel) -> AbstractContextManager[Any]:
    """Return a context in which each process has all weights, even under DeepSpeed's ZeRO 3."""
    parameters = list(network.parameters())
    if all(parameter.numel() for parameter in parameters):
        return nullcontext()
    import deepspeed

    gathered: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(parameters)
    return gathered


def _windows(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, window_length: int
) -> list[Window]:
    """Return windows of random sub-words, the longest first, each of a different length.

    The longest exceeds the reach of local attention, if the model has windows of that length.
    """
    longest = min(max(LONGEST, 2 * _local_attention(network.config)), window_length)
    rows = getattr(embedding_table(network), "num_embeddings", len(tokenizer))
    special = set(tokenizer.all_special_ids)
    ordinary = [i for i in range(min(rows, len(tokenizer))) if i not in special] or [0]
    draw = np.random.default_rng(0)
    others = [LONGEST * quarter // 4 for quarter in (4, 3, 2, 1)]
    windows = []
    for length in sorted({min(n, longest) for n in (longest, *others, SINGLE_WORD)}, reverse=True):
        window = {"input_ids": draw.choice(ordinary, length).tolist()}
        if "token_type_ids" in tokenizer.model_input_names:
            window["token_type_ids"] = [0] * length
        windows.append(window)
    return windows


def _local_attention(config: PretrainedConfig) -> int:
    """Return the number of tokens that local attention sees at most; 0 without local attention."""
    values = [getattr(config.get_text_config(), name, None) for name in LOCAL_ATTENTION]
    numbers = [n for v in values for n in (v if isinstance(v, list | tuple) else [v])]
    return max((n for n in numbers if isinstance(n, int)), default=0)


def _logits(network: PreTrainedModel, batch: dict[str, Any]) -> torch.Tensor:
    """Return the logits of a batch in fp32, (batch, tokens, labels)."""
    inputs = {name: value.to(network.device) for name, value in batch.items()}
    logits: torch.Tensor = network(**inputs).logits.float()
    return logits


def _logits_alone(
    network: PreTrainedModel, collate: PadBatch, windows: list[Window]
) -> list[torch.Tensor]:
    """Return the logits of each window in a batch of its own, (tokens, labels)."""
    import torch

    with torch.no_grad():
        return [
            _logits(network, collate([window]))[0, : len(window["input_ids"])] for window in windows
        ]


def _equal(logits: torch.Tensor, expected: torch.Tensor) -> bool:
    """Return whether logits are equal but for rounding; NaN never is."""
    return bool((logits - expected).abs().max() <= TOLERANCE * expected.abs().max())


def _runs_unpadded(
    network: PreTrainedModel,
    collate: JoinWindows,
    windows: list[Window],
    alone: list[torch.Tensor],
) -> bool:
    """Return whether windows have the logits `alone` in a batch without padding too.

    If so, the network accepts such batches from then on.
    """
    import torch

    from encoder.attention import let_run_unpadded

    before = network.config._attn_implementation
    if not let_run_unpadded(network):
        return False
    unpadded = False
    # Whatever happens in an architecture that is not made for it, padded batches remain.
    with suppress(Exception), torch.no_grad():
        logits = _logits(network, collate(windows))[0]
        parts = logits[: sum(map(len, alone))].split([len(part) for part in alone])
        unpadded = all(map(_equal, parts, alone))
    if not unpadded:
        network.set_attn_implementation(before)
    return unpadded


def _padding_leaks(
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    windows: list[Window],
    alone: list[torch.Tensor],
    window_length: int,
) -> bool:
    """Return whether a window's logits change if longer windows are in its batch."""
    import torch

    # Padded further than the longest window, as batches that are rounded up.
    further = PadBatch(tokenizer, length=min(window_length, len(alone[0]) + 7))
    with torch.no_grad():
        padded = [_logits(network, pad(windows)) for pad in (PadBatch(tokenizer), further)]
    return not all(
        _equal(logits[row, : len(expected)], expected)
        for logits in padded
        for row, expected in enumerate(alone)
    )


def _unused_parameters(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, windows: list[Window]
) -> bool:
    """Return whether a backward pass, or layers that are dropped, leave a parameter unused."""
    if any(
        (getattr(holder, name, None) or 0) > 0
        for holder in (network.config, *network.modules())
        for name in ("layerdrop", "encoder_layerdrop")
        if isinstance(getattr(holder, name, None), float | int)
    ):
        return True
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    before = [parameter.grad for parameter in trained]
    try:
        for parameter in trained:
            parameter.grad = None
        _logits(network, PadBatch(tokenizer)(windows)).logsumexp(-1).sum().backward()
        return any(parameter.grad is None for parameter in trained)
    finally:
        for parameter, gradient in zip(trained, before, strict=True):
            parameter.grad = gradient


@contextmanager
def random_states_kept(device: torch.device) -> Iterator[None]:
    """Restore the random states of torch, numpy and Python at the end."""
    import torch

    devices = [device] if device.type == "cuda" else []
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
