"""LoRA: small matrices are trained beside the linear layers of an encoder, through peft.

The network keeps its class, so that it runs without padding, is evaluated and is saved as any
other. Its weights are saved merged. The adapter, which is all that was trained, is saved in a
subfolder: beside the merged weights, transformers would apply it to them once more.

torch and peft are imported by the functions that need them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoder.layers import layer_lists, layers_to_freeze, of_head
from encoder.positions import without_weights
from settings.defaults import model_title
from support.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

ADAPTER = "adapter"  # a folder in that of a model
ADAPTER_WEIGHTS = "adapter_model.safetensors"  # peft's names, for files and for the adapter
NAME = "default"
PREFIX = "base_model.model."
ALPHA = 2  # times the rank: the strength of the matrices
DROPOUT = 0.1  # of their input


def check_lora(config: PretrainedConfig, num_frozen: int | None) -> None:
    """Raise UserError if a model does not have linear layers to train matrices beside.

    A model whose own code needs its weights is checked when they are loaded.
    """
    network = without_weights(config)
    if network is not None:
        _linear_layers(network, num_frozen)


def add_adapter(network: PreTrainedModel, rank: int, num_frozen: int | None) -> None:
    """Train matrices of a rank beside all linear layers of the encoder's layers, and the head.

    The weights of the encoder are not trained. `num_frozen`: the first layers that get no
    matrices. The matrices are drawn from torch's seed; at first they change nothing.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D

    targets = _linear_layers(network, num_frozen)
    config = LoraConfig(
        task_type="TOKEN_CLS",
        base_model_name_or_path=model_title(network.config.name_or_path),
        r=rank,
        lora_alpha=ALPHA * rank,
        lora_dropout=DROPOUT,
        target_modules=targets,
        fan_in_fan_out=isinstance(network.get_submodule(targets[0]), Conv1D),
    )
    try:
        inject_adapter_in_model(config, network, NAME)
    except ValueError as error:  # of layers that it does not know, such as mixtures of experts
        raise UserError(
            f"{network.config.name_or_path}: --lora: not available: peft refuses the layers of "
            f"{network.config.model_type}: {error} Leave out the flag."
        ) from None
    network.train(network.training)  # the new modules are in training
    for name, weight in network.named_parameters():
        if of_head(network, name):
            weight.requires_grad_(True)


def has_adapter(network: Any) -> bool:
    """Return whether a network has an adapter that is not merged."""
    return hasattr(network, "peft_config")


def _linear_layers(network: PreTrainedModel, num_frozen: int | None) -> list[str]:
    """Return the paths of the linear layers of the encoder's layers, attention and feed-forward.

    They are recognised by their class. Raises UserError if there are none.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    lists = tuple(f"{path}." for path, _ in layer_lists(network))
    frozen = layers_to_freeze(network, num_frozen)[:num_frozen] if num_frozen else []
    without = {part for layer in frozen for module in layer for part in module.modules()}
    paths = [
        path
        for path, module in network.named_modules()
        if path.startswith(lists) and isinstance(module, nn.Linear | Conv1D)
        if module not in without
    ]
    if not paths:
        flags = "--lora" if num_frozen is None else f"--lora with --freeze_layers {num_frozen}"
        raise UserError(
            f"{network.config.name_or_path}: {flags}: got no linear layer to train "
            f"({network.config.model_type}), expected some in the layers of the encoder. Leave out "
            f"{'the flag' if num_frozen is None else 'one of the flags'}."
        )
    return paths


# --- The merged weights -----------------------------------------------------------------------


def _adapted(network: PreTrainedModel) -> Iterator[tuple[str, Any]]:
    """Yield the path and module of each linear layer that has matrices."""
    from peft.tuners.lora import LoraLayer

    for path, module in network.named_modules():
        if isinstance(module, LoraLayer):
            yield path, module


def merged_weights(
    network: PreTrainedModel, weights: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights of a network without its adapter, which is added to them.

    `weights`: those of its `state_dict`. The network is not changed.
    """
    adapted = dict(_adapted(network))
    for name, weight in weights.items():
        path, _, kind = name.rpartition(".base_layer.")
        if path in adapted:
            merged = weight
            if kind == "weight":
                merged = weight + adapted[path].get_delta_weight(NAME).detach().to(weight.device)
            yield f"{path}.{kind}", merged
        elif not any(f".{part}." in name for part in ("lora_A", "lora_B")):
            yield name, weight


def merge_adapter(network: PreTrainedModel) -> None:
    """Add the adapter of a network to its weights, for good: those that `merged_weights` yields."""
    for path, module in list(_adapted(network)):
        linear = module.get_base_layer()
        linear.weight.data = linear.weight.data + module.get_delta_weight(NAME).detach()
        network.set_submodule(path, linear)
    del network.peft_config


# --- The adapter on disk ----------------------------------------------------------------------


def _trained(network: PreTrainedModel) -> dict[str, Any]:
    """Return the trained weights, adapter and head, by their names in peft's files."""
    return {
        PREFIX + name.replace(f".{NAME}.", "."): weight
        for name, weight in network.named_parameters()
        if weight.requires_grad
    }


def save_adapter(network: PreTrainedModel, folder: Path) -> None:
    """Save the adapter and the head in a new folder, as `PeftModel.from_pretrained` reads them."""
    import safetensors.torch

    config = copy.deepcopy(network.peft_config[NAME])
    config.inference_mode = True
    names = (name for name, _ in network.named_parameters() if of_head(network, name))
    config.modules_to_save = sorted({name.partition(".")[0] for name in names})
    config.save_pretrained(folder)
    weights = {name: weight.detach().contiguous() for name, weight in _trained(network).items()}
    safetensors.torch.save_file(weights, folder / ADAPTER_WEIGHTS, {"format": "pt"})


def load_adapter(network: PreTrainedModel, folder: Path) -> None:
    """Load the adapter and the head that `save_adapter` saved into the network it was made from.

    Raises RuntimeError if a name or a shape is not exactly that of the network.
    """
    import safetensors.torch
    import torch

    saved = safetensors.torch.load_file(folder / ADAPTER_WEIGHTS)
    trained = _trained(network)
    if different := saved.keys() ^ trained.keys():
        raise RuntimeError(f"{folder}: not the adapter of this model: {sorted(different)}")
    with torch.no_grad():
        for name, weight in trained.items():
            if weight.shape != saved[name].shape:
                raise RuntimeError(f"{folder}: not the adapter of this model: {name}")
            weight.copy_(saved[name])
