"""The layers of a network, located by its structure, and the weights of each.

torch is imported by the functions that need it, so that `--help` of the scripts need not wait for
it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from encoder.positions import without_weights
from encoder.traits import random_states_kept, run_errors_reported
from settings.defaults import place_of_model
from support.errors import UserError
from support.text import counted

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

FREEZING = "--freeze_layers"
WINDOW = 8  # sub-words that show which weights lie below a layer


def check_layers(config: PretrainedConfig, flag: str) -> None:
    """Raise UserError, which names `flag`, if the layers of a model cannot be located.

    A model whose own code needs its weights is checked when they are loaded.
    """
    network = without_weights(config)
    if network is not None:
        find_layers(network, flag)


def weights_by_depth(network: PreTrainedModel, flag: str) -> list[set[torch.nn.Parameter]]:
    """Return the weights of the embeddings, then those of each layer.

    The embeddings are the weights that a network registers before its first layer. Weights above
    the layers are left out. Raises UserError, which names `flag`, if the layers cannot be located.
    """
    layers = [_weights(layer) for layer in find_layers(network, flag)]
    of_layers = set().union(*layers)
    # XLM-R registers its head first.
    encoder = (w for name, w in network.named_parameters() if not of_head(network, name))
    embeddings = itertools.takewhile(lambda weight: weight not in of_layers, encoder)
    return [set(embeddings), *layers]


def check_freezing(config: PretrainedConfig, num_frozen: int) -> None:
    """Raise UserError if a model does not have layers that could be frozen, or has fewer.

    A model whose own code needs its weights is checked when they are loaded.
    """
    network = without_weights(config)
    if network is not None:
        layers_to_freeze(network, num_frozen)


def freeze_layers(
    network: PreTrainedModel, num_frozen: int, token_ids: Sequence[int] | np.ndarray | None
) -> None:
    """Stop the training of the embeddings and of the first layers of a network.

    These weights have no gradient and no state in the optimizer, and the backward pass ends above
    them. They are all that the output of the last frozen layer is computed from, as a window of
    some `token_ids` (default: 0) shows. Raises UserError if a layer above shares weights with them.
    """
    layers = layers_to_freeze(network, num_frozen)
    frozen = _weights_below(network, layers, num_frozen, token_ids)
    frozen |= {weight for layer in layers[:num_frozen] for weight in _weights(layer)}
    if frozen & {weight for layer in layers[num_frozen:] for weight in _weights(layer)}:
        raise UserError(
            f"{place_of_model(network.config.name_or_path)}: {FREEZING} {num_frozen}: got "
            f"layers that share weights ({network.config.model_type}), expected layers with their "
            "own. Leave out the flag."
        )
    for weight in frozen:
        weight.requires_grad_(False)


def layer_lists(network: PreTrainedModel) -> list[tuple[str, torch.nn.ModuleList]]:
    """Return the outermost lists of modules in the encoder, each with its path in the network.

    Encoders of images or audio, which text does not pass through, are left out.
    """
    from torch import nn
    from transformers import PreTrainedModel

    lists: list[tuple[str, nn.ModuleList]] = []
    closed: list[str] = []  # paths whose submodules are not of interest
    for path, module in network.named_modules():
        if path.startswith(tuple(f"{outer}." for outer in closed)):
            continue
        if isinstance(module, PreTrainedModel) and "text" not in module.input_modalities:
            closed.append(path)
        elif isinstance(module, nn.ModuleList) and len(module) and not of_head(network, path):
            closed.append(path)
            lists.append((path, module))
    return lists


def of_head(network: PreTrainedModel, path: str) -> bool:
    """Return whether a module, given by its path in the network, is outside the encoder."""
    return path.partition(".")[0] != network.base_model_prefix


def find_layers(network: PreTrainedModel, flag: str) -> list[tuple[torch.nn.Module, ...]]:
    """Return the modules of each layer, in order.

    Most architectures have one list with a module for each layer; XLM has a list for each part of
    a layer. Raises UserError, which names `flag`, if the lists do not show which modules are a
    layer.
    """
    config = network.config.get_text_config()
    number = getattr(config, "num_hidden_layers", None)
    lists = [(path, modules) for path, modules in layer_lists(network) if len(modules) == number]
    if len({path.rpartition(".")[0] for path, _ in lists}) != 1:
        raise _unavailable(network, flag)
    return list(zip(*(modules for _, modules in lists), strict=True))


def layers_to_freeze(
    network: PreTrainedModel, num_frozen: int
) -> list[tuple[torch.nn.Module, ...]]:
    """Return the modules of each layer; raise UserError if there are fewer than `num_frozen`."""
    layers = find_layers(network, FREEZING)
    if num_frozen > len(layers):
        raise UserError(
            f"{place_of_model(network.config.name_or_path)}: {FREEZING} {num_frozen}: got "
            f"{counted(num_frozen, 'layer')}, expected at most {len(layers)}, the layers of the "
            "model."
        )
    return layers


def _unavailable(network: PreTrainedModel, flag: str) -> UserError:
    return UserError(
        f"{place_of_model(network.config.name_or_path)}: {flag}: not available: got "
        f"{network.config.model_type}, expected an architecture with one list of layers, such as "
        "BERT. Leave out the flag."
    )


def _weights(layer: tuple[torch.nn.Module, ...]) -> set[torch.nn.Parameter]:
    return {weight for module in layer for weight in module.parameters()}


def _weights_below(
    network: PreTrainedModel,
    layers: Sequence[tuple[torch.nn.Module, ...]],
    num_frozen: int,
    token_ids: Sequence[int] | np.ndarray | None,
) -> set[torch.nn.Parameter]:
    """Return the weights that the output of the frozen layers is computed from.

    Without frozen layers: those that the input of the first layer is computed from.
    """
    import torch

    border: list[torch.Tensor] = []  # the last one counts, where a layer has several modules

    def keep_input(module: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        if not border:
            border.append(_first_tensor((*args, *options.values())))

    def keep_output(module: Any, args: Any, output: Any) -> None:
        values = output.values() if isinstance(output, Mapping) else output
        border.append(_first_tensor((values,) if isinstance(values, torch.Tensor) else values))

    if num_frozen:
        hooks = [m.register_forward_hook(keep_output) for m in layers[num_frozen - 1]]
    else:
        hooks = [m.register_forward_pre_hook(keep_input, with_kwargs=True) for m in layers[0]]
    some = [0] if token_ids is None else list(token_ids[:WINDOW])
    window = torch.tensor([(some * WINDOW)[:WINDOW]], device=network.device)
    was_training = network.training
    try:
        with run_errors_reported(network), random_states_kept(network.device), torch.enable_grad():
            network.eval()
            network(input_ids=window, attention_mask=torch.ones_like(window))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    if not border:  # the network calls its layers in another way than as modules
        raise _unavailable(network, FREEZING)
    return _leaves(border[-1])


def _first_tensor(values: Iterable[Any]) -> torch.Tensor:
    """Return the hidden states of a layer's inputs or outputs: the first tensor of floats."""
    import torch

    return next(v for v in values if isinstance(v, torch.Tensor) and v.is_floating_point())


def _leaves(tensor: torch.Tensor) -> set[Any]:
    """Return the parameters that a tensor was computed from, by the graph of autograd."""
    seen, open_nodes, leaves = set(), [tensor.grad_fn], set()
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(node.variable)
        open_nodes.extend(parent for parent, _ in node.next_functions)
    return leaves
