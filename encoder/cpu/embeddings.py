"""Embeddings of which only the words that training shows are trained.

The gradient of any other word is zero, and so are AdamW's two means of it; yet its row is cleared,
clipped, decayed and written at every update, and sent to every process. In a small or a
multilingual encoder such rows are half of all parameters or more.
"""

import torch
import torch.nn.functional as F
from torch import nn


class OccurringEmbedding(nn.Embedding):
    """An `nn.Embedding` that trains the rows of `token_ids`; the others stay as they are.

    Outside (calls, `state_dict`, saved files) it is the embedding that it was made from.
    """

    def __init__(self, table: nn.Embedding, token_ids: torch.Tensor):
        """`token_ids`: (rows,), each once; without the padding, whose row is never trained."""
        weight = table.weight.detach()
        super().__init__(*weight.shape, table.padding_idx, _weight=weight, _freeze=True)
        self.rows = nn.Parameter(weight[token_ids])
        place = torch.full((len(weight),), -1, dtype=torch.int32)
        place[token_ids] = torch.arange(len(token_ids), dtype=torch.int32)
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("token_ids", token_ids, persistent=False)

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """(any shape) to (the same, width)."""
        place = self.place[token_ids]
        trained = F.embedding(place.clamp(min=0), self.rows)
        return torch.where((place < 0).unsqueeze(-1), F.embedding(token_ids, self.weight), trained)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        rows = self.rows.detach()
        destination[prefix + "weight"] = self.weight.detach().index_copy(0, self.token_ids, rows)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        name, own = prefix + "weight", {}
        if name in state_dict:
            own = {name: state_dict[name], prefix + "rows": state_dict[name][self.token_ids.cpu()]}
        super()._load_from_state_dict(own, prefix, *args)


def train_occurring_rows(model: nn.Module, occurring) -> None:
    """Let the model train no rows of its table of sub-words but those of `occurring`, their ids.

    A table that is frozen, of a kind of its own, or serves the model twice, stays as it is.
    """
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:  # characters, say, are hashed into several tables
        return
    if type(table) is not nn.Embedding or not table.weight.requires_grad:
        return
    parameters = [parameter for _, parameter in model.named_parameters(remove_duplicate=False)]
    if sum(parameter is table.weight for parameter in parameters) > 1:
        return
    token_ids = torch.as_tensor(occurring)
    if table.padding_idx is not None:
        token_ids = token_ids[token_ids != table.padding_idx]
    model.set_input_embeddings(OccurringEmbedding(table, token_ids))
