"""Traits of a loaded network that change how batches and processes must be set up.

They are observed in a few tiny batches instead of being listed by architecture, because they
depend on the configuration and on the weights too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from encoder.batches import PadBatch, Window
from support.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

# Model types that let padding leak, for a network whose weights are sharded.
LEAKING_TYPES = {"canine", "convbert", "fnet", "funnel", "nystromformer", "yoso"}
LONGEST = 32  # tokens of a window that is tried
TOLERANCE = 1e-4  # of logits, relative to the largest; float rounding is below 1e-5


@dataclass(frozen=True)
class Traits:
    """The traits of a network."""

    padding_leaks: bool  # a window's logits depend on the padding after it
    unused_parameters: bool  # a step can leave a trained parameter without a gradient

    @property
    def note(self) -> str | None:
        """Return the line that a run prints before training, or None."""
        if not self.padding_leaks:
            return None
        return (
            "Padding changes the results of this model. It is evaluated without padding, in "
            "batches of windows of one length. Training needs padding, so its result depends on "
            "how a step is divided into batches: batch 8 differs from 2 x 4."
        )


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
    num_processes: int = 1,
) -> Traits:
    """Return the traits of a network, and store `padding_leaks` in its configuration.

    Unused parameters are looked for only with several processes, because that takes a backward
    pass. The network and all random states are left as they were. Raises UserError if the network
    cannot be run on text.
    """
    if not all(parameter.numel() for parameter in network.parameters()):
        # DeepSpeed ZeRO 3 has already sharded the weights.
        leaks = network.config.model_type in LEAKING_TYPES
        network.config.padding_leaks = leaks
        return Traits(leaks, unused_parameters=False)
    was_training = network.training
    try:
        with _random_states_kept(network.device):
            network.eval()
            network.config.padding_leaks = _padding_leaks(network, tokenizer, window_length)
            unused = num_processes > 1 and _unused_parameters(network, tokenizer, window_length)
    except (IndexError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{network.config.name_or_path}: the model cannot be run on text: got "
            f"{type(error).__name__} for a few sub-words, expected logits. Choose another model.\n"
            f"  {reason[0] if reason else type(error).__name__}"
        ) from None
    finally:
        network.train(was_training)
    return Traits(network.config.padding_leaks, unused)


def _windows(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, window_length: int
) -> list[Window]:
    """Return windows of random sub-words, the longest first, each of a different length."""
    longest = min(LONGEST, window_length)
    rows = getattr(embedding_table(network), "num_embeddings", len(tokenizer))
    special = set(tokenizer.all_special_ids)
    ordinary = [i for i in range(min(rows, len(tokenizer))) if i not in special] or [0]
    draw = np.random.default_rng(0)
    lengths = {max(1, longest * quarter // 4) for quarter in (4, 3, 2, 1)}
    windows = []
    for length in sorted(lengths, reverse=True):
        window = {"input_ids": draw.choice(ordinary, length).tolist()}
        if "token_type_ids" in tokenizer.model_input_names:
            window["token_type_ids"] = [0] * length
        windows.append(window)
    return windows


def _logits(network: PreTrainedModel, batch: dict[str, Any]) -> torch.Tensor:
    """Return the logits of a batch in fp32, (batch, tokens, labels)."""
    inputs = {name: values.to(network.device) for name, values in batch.items()}
    logits: torch.Tensor = network(**inputs).logits.float()
    return logits


def _padding_leaks(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, window_length: int
) -> bool:
    """Return whether a window's logits change if longer windows are in its batch."""
    import torch

    windows, collate = _windows(network, tokenizer, window_length), PadBatch(tokenizer)
    # Padded further than the longest window, as batches that are rounded up.
    longest = len(windows[0]["input_ids"])
    further = PadBatch(tokenizer, length=min(window_length, longest + 7))
    with torch.no_grad():
        padded = [_logits(network, pad(windows)) for pad in (collate, further)]
        for row, window in enumerate(windows):
            length = len(window["input_ids"])
            alone = _logits(network, collate([window]))[0]
            for logits in padded:
                difference = (logits[row, :length] - alone).abs().max()
                if not difference <= TOLERANCE * alone.abs().max():
                    return True
    return False


def _unused_parameters(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, window_length: int
) -> bool:
    """Return whether a backward pass, or layers that are dropped, leave a parameter unused."""
    if any(
        (getattr(holder, name, None) or 0) > 0
        for holder in (network.config, *network.modules())
        for name in ("layerdrop", "encoder_layerdrop")
        if isinstance(getattr(holder, name, None), float | int)
    ):
        return True
    windows = _windows(network, tokenizer, window_length)
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
def _random_states_kept(device: torch.device) -> Iterator[None]:
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
