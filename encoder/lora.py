"""LoRA: small matrices are trained beside the linear layers of an encoder, through peft.

The network keeps its class, so that it runs without padding, is evaluated and is saved like any
other. Its weights are saved merged. The adapter, which is all that was trained, is saved in a
subfolder: if it lay beside the merged weights, transformers would apply it to them a second time.

torch and peft are imported by the functions that need them.
"""

from __future__ import annotations

import copy
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoder.layers import layer_lists, layers_to_freeze, of_head
from encoder.positions import without_weights
from settings.defaults import model_title, place_of_model
from support.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

ADAPTER = "adapter"  # a folder in that of a model
ADAPTER_WEIGHTS = "adapter_model.safetensors"  # peft's names, for files and for the adapter
NAME = "default"
PREFIX = "base_model.model."  # of peft's names of weights and modules
FROZEN = "frozen_weights_crc32"  # the suite's own key in the metadata of `ADAPTER_WEIGHTS`
ALPHA = 2  # times the rank: the strength of the matrices
DROPOUT = 0.1  # of their input


def check_lora(config: PretrainedConfig, rank: int, num_frozen: int | None) -> None:
    """Raise UserError if `add_adapter` would refuse a model.

    A model whose own code needs its weights is checked when they are loaded.
    """
    import torch

    network = without_weights(config)
    if network is not None:
        # The random state stays that of the seed, from which a new head is drawn.
        with torch.random.fork_rng(devices=[]):
            add_adapter(network, rank, num_frozen)


def add_adapter(network: PreTrainedModel, rank: int, num_frozen: int | None) -> None:
    """Train matrices of a rank beside all linear layers of the encoder's layers, and the head.

    The weights of the encoder are not trained. `num_frozen`: the number of first layers, which
    get no matrices. The matrices are drawn from torch's seed; at first they change nothing. Raises
    UserError for a model without such linear layers, and for one that peft does not support.
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
        # peft warns of layers that it does not find, which is checked here.
        with warnings.catch_warnings(action="ignore"):
            inject_adapter_in_model(config, network, NAME)
        supported = _adapted(network).keys() == set(targets)
    except ValueError:
        supported = False
    if not supported:
        # In models with a mixture of experts, peft mistakes the layers for those of older versions
        # of transformers, and adds matrices to others or to none.
        raise UserError(
            f"{place_of_model(network.config.name_or_path)}: --lora: not available: got "
            f"{network.config.model_type}, whose linear layers peft does not support, expected an "
            "architecture such as BERT or Llama. Leave out the flag."
        )
    network.train(network.training)  # the new modules are in training mode
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
    excluded = {part for layer in frozen for module in layer for part in module.modules()}
    paths = [
        path
        for path, module in network.named_modules()
        if path.startswith(lists)
        and isinstance(module, nn.Linear | Conv1D)
        and module not in excluded
    ]
    if not paths:
        flags = f"--lora with --freeze_layers {num_frozen}" if frozen else "--lora"
        raise UserError(
            f"{place_of_model(network.config.name_or_path)}: {flags}: got no linear layer to train "
            f"({network.config.model_type}), expected some in the layers of the encoder. Leave out "
            f"{'one of the flags' if frozen else 'the flag'}."
        )
    return paths


# --- The merged weights -----------------------------------------------------------------------


def _adapted(network: PreTrainedModel) -> dict[str, Any]:
    """Return the linear layers that have matrices, by their paths."""
    from peft.tuners.lora import LoraLayer

    return {path: m for path, m in network.named_modules() if isinstance(m, LoraLayer)}


def merged_weights(
    network: PreTrainedModel, weights: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights of a network without its adapter, which is added to them.

    `weights`: those of its `state_dict`. The network is not changed.
    """
    adapted = _adapted(network)
    matrices = {f"{path}.lora_{side}.{NAME}.weight" for path in adapted for side in "AB"}
    for name, weight in weights.items():
        path, _, kind = name.rpartition(".base_layer.")
        if path in adapted:
            if kind == "weight":
                change = adapted[path].get_delta_weight(NAME).detach()
                weight = weight + change.to(weight.device)
            yield f"{path}.{kind}", weight
        elif name not in matrices:
            yield name, weight


def merge_adapter(network: PreTrainedModel) -> None:
    """Add the adapter of a network to its weights for good; they become `merged_weights`."""
    for path, module in _adapted(network).items():
        linear = module.get_base_layer()
        linear.weight.data = linear.weight.data + module.get_delta_weight(NAME).detach()
        network.set_submodule(path, linear)
    del network.peft_config


# --- The adapter on disk ----------------------------------------------------------------------


def save_adapter(network: PreTrainedModel, folder: Path) -> None:
    """Save the adapter and the head in a new folder, as `PeftModel.from_pretrained` reads them."""
    import safetensors.torch

    config = copy.deepcopy(network.peft_config[NAME])
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)
    names = (name for name, _ in network.named_parameters() if of_head(network, name))
    # peft selects modules whose path ends with such a name. The prefix makes it the whole path,
    # because some encoders have modules with the names of the head.
    config.modules_to_save = sorted({PREFIX + name.partition(".")[0] for name in names})
    config.save_pretrained(folder)
    weights = {name: weight.detach().contiguous() for name, weight in _trained(network).items()}
    metadata = {"format": "pt", FROZEN: str(_checksum_of_frozen(network))}
    safetensors.torch.save_file(weights, folder / ADAPTER_WEIGHTS, metadata)


def load_adapter(network: PreTrainedModel, folder: Path) -> None:
    """Load the adapter and the head that `save_adapter` saved into the network it was made from.

    Raises UserError if the weights beside it are not those it was trained beside, and RuntimeError
    if a name or a shape is not exactly that of the network.
    """
    import safetensors.torch
    import torch

    if saved_checksum(folder) != str(_checksum_of_frozen(network)):
        raise UserError(
            f"{folder}: the weights of {model_title(network.config.name_or_path)} have changed "
            "since the adapter was trained beside them: got another checksum than the saved one. "
            "Restore that model, or train from the beginning, without --resume_from_checkpoint."
        )
    saved = safetensors.torch.load_file(folder / ADAPTER_WEIGHTS)
    trained = _trained(network)
    if different := saved.keys() ^ trained.keys():
        raise RuntimeError(f"{folder}: not the adapter of this model: {sorted(different)}")
    with torch.no_grad():
        for name, weight in trained.items():
            if weight.shape != saved[name].shape:
                raise RuntimeError(f"{folder}: not the adapter of this model: {name}")
            weight.copy_(saved[name])


def saved_checksum(folder: Path) -> str | None:
    """Return the checksum of the weights that a saved adapter was trained beside.

    None if the folder holds no adapter, or one that the suite did not save.
    """
    import safetensors

    try:
        with safetensors.safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
            checksum: str | None = (file.metadata() or {}).get(FROZEN)
            return checksum
    except (OSError, safetensors.SafetensorError):
        return None


def _trained(network: PreTrainedModel) -> dict[str, Any]:
    """Return the trained weights, adapter and head, by their names in peft's files."""
    return {
        PREFIX + name.replace(f".{NAME}.", "."): weight
        for name, weight in network.named_parameters()
        if weight.requires_grad
    }


def _checksum_of_frozen(network: PreTrainedModel) -> int:
    """Return the CRC-32 of all weights that are not trained."""
    import torch

    value = 0
    for weight in network.parameters():
        if not weight.requires_grad:
            values = weight.detach().cpu().flatten().view(torch.uint8)
            value = zlib.crc32(memoryview(values.numpy()), value)
    return value
