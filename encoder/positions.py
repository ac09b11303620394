"""The positions that a model has for tokens: how many, and the number of the first.

torch and transformers are imported by the function that needs them, so that `infer.py` can start
without them.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from encoder.errors import loading

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# Names of modules that hold one row for each position of a text.
TABLES = ("position_embeddings", "char_position_embeddings", "embed_positions", "wpe")


def usable_positions(config: PretrainedConfig) -> int | None:
    """Return the longest window, in tokens, that a model can compute; None if nothing limits it.

    The table of positions is measured in a network without weights. Positions that are counted
    from the padding's id, as in RoBERTa, leave the first rows of the table unused. Relative and
    rotary positions have no table. Raises UserError if there is no network of this configuration.
    """
    network = without_weights(config)
    if network is None:
        stated = getattr(config, "max_position_embeddings", None)
        return stated if stated and stated > 0 else None
    limits = [config.max_seq_len] if config.model_type == "mpt" else []  # of its ALiBi biases
    for path, table in network.named_modules():
        if path.rpartition(".")[2] in TABLES and hasattr(table, "weight"):
            unused = getattr(table, "offset", 0)
            if (padding := getattr(table, "padding_idx", None)) is not None:
                unused = padding + 1
            limits.append(len(table.weight) - unused)
            parent = network.get_submodule(path.rpartition(".")[0])
            position_ids = getattr(parent, "position_ids", None)
            if position_ids is not None:
                limits.append(position_ids.shape[-1])
    return min(limits, default=None)


def first_position(network: PreTrainedModel) -> int:
    """Return the number of the first position of a text: 0, or in RoBERTa and its like, 2."""
    for path, table in network.named_modules():
        if path.rpartition(".")[2] in TABLES and not hasattr(table, "offset"):
            padding: int | None = getattr(table, "padding_idx", None)
            if padding is not None:
                return padding + 1
    return 0


def without_weights(config: PretrainedConfig) -> PreTrainedModel | None:
    """Return the network of a configuration on the meta device; None if its own code fails."""
    import torch
    from transformers import AutoModelForTokenClassification

    config = copy.deepcopy(config)  # which constructing a network changes
    native = type(config) in AutoModelForTokenClassification._model_mapping
    # The random state stays that of the seed, from which a new head is drawn.
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        if native:
            # Not with from_config, which shards the weights under ZeRO 3.
            with loading("model", config.name_or_path):
                return AutoModelForTokenClassification._model_mapping[type(config)](config)
        try:
            return AutoModelForTokenClassification.from_config(config, trust_remote_code=True)
        except Exception:  # a model's own code may need its weights, and may fail in any way
            return None
