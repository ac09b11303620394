"""Embeddings that train only the sub-words of the training split.

The gradient of every other row of the table is zero, and so are AdamW's two means of it, yet the
row is cleared, clipped, decayed and written in every step, and sent to every process. In a small
or a multilingual encoder these rows are half of all parameters or more.
"""

from __future__ import annotations

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


class TakeVectors(torch.autograd.Function):
    """Rows of a table by index, with a gradient in memory that is kept from step to step.

    torch allocates the gradient of the table anew in each step. On a CPU this takes up to a tenth
    of a step, because the system must clear the memory page by page.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, index: torch.Tensor, kept: KeptGradient
    ) -> torch.Tensor:
        """Return `rows[index]`; `rows`: (rows, width), a parameter. `index`: of any shape."""
        ctx.save_for_backward(index)
        ctx.kept = kept
        return F.embedding(index, rows)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Return the gradient of the rows."""
        (index,) = ctx.saved_tensors
        total = ctx.kept.cleared()
        return total.index_add_(0, index.flatten(), gradient.flatten(0, -2)), None, None


class KeptGradient:
    """The memory of a parameter's gradient, which outlives the gradient."""

    def __init__(self, parameter: nn.Parameter) -> None:
        """Keep memory for the gradient of `parameter`."""
        self.parameter = parameter
        self.memory: torch.Tensor | None = None

    def cleared(self) -> torch.Tensor:
        """Return zeros in the shape of the parameter, in the kept memory if it is free.

        It is not free while it holds the gradient of an earlier batch of the same step.
        """
        gradient, memory = self.parameter.grad, self.memory
        if memory is None:
            self.memory = memory = torch.zeros_like(self.parameter)
        elif gradient is not None and gradient.data_ptr() == memory.data_ptr():
            return torch.zeros_like(memory)
        else:
            memory.zero_()
        return memory.detach()  # a new tensor: autograd copies a gradient with other references


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
        self.kept = KeptGradient(self.rows)
        place = torch.full((len(weight),), -1, dtype=torch.int32)
        place[token_ids] = torch.arange(len(token_ids), dtype=torch.int32)
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("token_ids", token_ids, persistent=False)

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of token ids of any shape, with the width as a last dimension."""
        place = self.place[token_ids]
        index = place.clamp(min=0)
        if self.rows.device.type == "cpu" and not torch.compiler.is_compiling():
            trained = TakeVectors.apply(self.rows, index, self.kept)
        else:
            trained = F.embedding(index, self.rows)
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
