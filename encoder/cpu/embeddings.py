"""Embeddings that train only the sub-words of the training split.

The gradient of every other row of the table is zero, and so are AdamW's two means of it, yet the
row is cleared, clipped, decayed and written in every step, and sent to every process. In a small
or a multilingual encoder these rows are half of all parameters or more.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel

from encoder.traits import embedding_table

# Optimizers, by Trainer's names, that treat each element of a parameter separately. Others use
# whole rows or matrices, so they would give other results for a part of the table.
ELEMENTWISE = {"adamw_torch", "adamw_torch_fused", "adagrad", "rmsprop", "sgd"}


class OccurringEmbedding(nn.Embedding):
    """An `nn.Embedding` that trains the rows of `token_ids` only; the others never change.

    Calls, `state_dict` and saved files are those of the embedding that it was made from.
    """

    rows: nn.Parameter  # the trained rows
    place: torch.Tensor  # (vocabulary,), the index of each token id in `rows`, or -1
    token_ids: torch.Tensor  # (rows,)

    def __init__(self, table: nn.Embedding, token_ids: torch.Tensor) -> None:
        """Take over `table`.

        `token_ids`: (rows,), distinct, without the padding, whose row is never trained.
        """
        weight = table.weight.detach()
        rows, width = weight.shape
        super().__init__(rows, width, table.padding_idx, _weight=weight, _freeze=True)
        self.rows = nn.Parameter(weight[token_ids])
        place = torch.full((len(weight),), -1, dtype=torch.int32)
        place[token_ids] = torch.arange(len(token_ids), dtype=torch.int32)
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("token_ids", token_ids, persistent=False)

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of token ids of any shape, with the width as a last dimension."""
        place = self.place[token_ids]
        trained = F.embedding(place.clamp(min=0), self.rows)
        return torch.where((place < 0).unsqueeze(-1), F.embedding(token_ids, self.weight), trained)

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        rows = self.rows.detach()
        destination[prefix + "weight"] = self.weight.detach().index_copy(0, self.token_ids, rows)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        name, own = prefix + "weight", {}
        if name in state_dict:
            own = {name: state_dict[name], prefix + "rows": state_dict[name][self.token_ids.cpu()]}
        super()._load_from_state_dict(own, prefix, *args)


def train_occurring_rows(model: PreTrainedModel, occurring: Sequence[int] | np.ndarray) -> None:
    """Train only the rows of the token ids `occurring` in the model's table of sub-words.

    The padding counts as one of them, unless the table never trains it: where padding leaks into
    the results (see `encoder.traits`), it has a gradient. A table stays as it is if it is frozen,
    of another class, used twice by the model, or not the only one.
    """
    table = embedding_table(model)
    if type(table) is not nn.Embedding or not table.weight.requires_grad:
        return
    parameters = [parameter for _, parameter in model.named_parameters(remove_duplicate=False)]
    if sum(parameter is table.weight for parameter in parameters) > 1:
        return
    padding = getattr(model.config, "pad_token_id", None) or 0
    token_ids = torch.unique(torch.tensor([*occurring, padding]))
    if table.padding_idx is not None:
        token_ids = token_ids[token_ids != table.padding_idx]
    model.set_input_embeddings(OccurringEmbedding(table, token_ids))
