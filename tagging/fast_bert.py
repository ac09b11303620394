"""BERT's forward pass and tokenizer on torch and `tokenizers` alone, for `infer.py`.

Importing transformers takes most of the time from a cold start to the first answer. For what is
a BERT that this suite has trained, its weights and its vocabulary are all that is needed; the
order of the operations is that of `BertForTokenClassification`, and so are the results. Every
other model goes through transformers: `load` gives None.
"""

import json
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

from common import IGNORED

PLAIN = {  # what BERT's configuration may say beside sizes and labels
    "model_type": ("bert",),
    "architectures": (["BertForTokenClassification"],),
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "quantization_config": (None,),
}
FILES = ("model.safetensors", "tokenizer.json", "tokenizer_config.json")


def load(folder: Path, dtype, device):
    """(configuration, tokenizer, network) of a BERT that a training script of this suite left;
    None where the folder holds anything else.
    """
    config = read_json(folder / "config.json")
    if "word_splitter" not in config or not all((folder / name).is_file() for name in FILES):
        return None
    settings = read_json(folder / "tokenizer_config.json")
    if settings.get("tokenizer_class") not in ("BertTokenizer", "BertTokenizerFast"):
        return None
    if any(config.get(name) not in allowed for name, allowed in PLAIN.items()):
        return None
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    if set(weights) != set(weight_names(config["num_hidden_layers"])):
        return None
    config["id2label"] = {int(number): label for number, label in config["id2label"].items()}
    network = Bert(config, {n: w.to(device=device, dtype=dtype) for n, w in weights.items()})
    return SimpleNamespace(**config), WordTokenizer(folder, settings), network


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


# --- Network ----------------------------------------------------------------------------------

EMBEDDINGS = "bert.embeddings."
TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
LAYER_PARTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)


def weight_names(num_layers: int) -> list[str]:
    affine = [f"{EMBEDDINGS}LayerNorm", "classifier"]
    affine += [f"bert.encoder.layer.{n}.{part}" for n in range(num_layers) for part in LAYER_PARTS]
    names = [f"{name}.{kind}" for name in affine for kind in ("weight", "bias")]
    return names + [f"{EMBEDDINGS}{table}.weight" for table in TABLES]


FILLER = {"input_ids": [0], "token_type_ids": [0], "word_index": [IGNORED]}


def rounded(rows: int) -> int:
    """Up to a number with few others near it, a sixteenth more at the most. Kernels are made anew
    for each number of rows on a CPU, which takes longer than a product does in bf16.
    """
    step = 1 << max(0, rows.bit_length() - 5)
    return -(-rows // step) * step


class Bert:
    """`BertForTokenClassification` for inference, with next to no padding.

    The sub-words of a batch lie one after another; only attention looks at single windows, and
    at those of one length together.
    """

    def __init__(self, config: dict, weights: dict):
        import torch

        self.heads, self.epsilon = config["num_attention_heads"], config["layer_norm_eps"]
        self.dtype = weights["classifier.weight"].dtype
        # Sums and norms stay in fp32 whatever the precision of the products is.
        self.tables = [weights[f"{EMBEDDINGS}{table}.weight"].float() for table in TABLES]

        def affine(name):
            return weights[f"{name}.weight"], weights[f"{name}.bias"]

        def norm(name):
            return [part.float() for part in affine(name)]

        self.norm, self.head = norm(f"{EMBEDDINGS}LayerNorm"), affine("classifier")
        self.layers = []
        for number in range(config["num_hidden_layers"]):
            parts = {p: f"bert.encoder.layer.{number}.{p}" for p in LAYER_PARTS}
            three = zip(*(affine(parts[name]) for name in LAYER_PARTS[:3]), strict=True)
            # One product for queries, keys and values.
            layer = [[torch.cat(joined) for joined in three]]
            layer += [(norm if "Norm" in p else affine)(parts[p]) for p in LAYER_PARTS[3:]]
            self.layers.append(layer)

    def __call__(self, windows: list[dict[str, list[int]]]) -> tuple:
        """(logits, words) of windows in which equal lengths lie together: (words, labels) in
        fp32, and (words,) the `word_index` of each. Each window has `input_ids`,
        `token_type_ids` and `word_index`.
        """
        import torch
        from torch.nn.functional import embedding, gelu, layer_norm, linear

        def flat(name):
            return torch.tensor([value for window in windows for value in window[name]])

        def normed(x, norm):
            return layer_norm(x, x.shape[-1:], *norm, self.epsilon)

        total = sum(len(window["input_ids"]) for window in windows)
        windows = windows + [FILLER] * (rounded(total) - total)
        lengths = [len(window["input_ids"]) for window in windows]
        words = flat("word_index")
        first = words.ne(IGNORED).nonzero()[:, 0]
        kept = torch.cat([first, first.new_zeros(rounded(len(first)) - len(first))])
        positions = torch.cat([torch.arange(length) for length in lengths])
        indices = [flat("input_ids"), positions, flat("token_type_ids")]
        device = self.tables[0].device
        by_word, by_position, by_type = (
            embedding(index.to(device), table)
            for index, table in zip(indices, self.tables, strict=True)
        )
        x = normed(by_word + by_type + by_position, self.norm)
        runs = [(length, len(list(run))) for length, run in groupby(lengths)]
        for number, layer in enumerate(self.layers, 1):
            joined, projection, norm, widening, narrowing, last_norm = layer
            mixed = self._attention(linear(x.to(self.dtype), *joined), runs)
            if number == len(self.layers):  # from here on only what gets a tag is needed
                mixed, x = mixed[kept.to(device)], x[kept.to(device)]
            x = normed(linear(mixed, *projection) + x, norm)
            wide = gelu(linear(x.to(self.dtype), *widening))
            x = normed(linear(wide, *narrowing) + x, last_norm)
        logits = linear(x.to(self.dtype), *self.head).float()
        return logits[: len(first)], words[first]

    def _attention(self, joined, runs: list[tuple[int, int]]):
        """`joined`: (sub-words, 3 x size), queries, keys, values. `runs`: (length, windows)."""
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        mixed = []
        start = 0
        for length, count in runs:
            part = joined[start : start + length * count]
            queries, keys, values = part.view(count, length, 3, self.heads, -1).permute(
                2, 0, 3, 1, 4
            )
            found = scaled_dot_product_attention(queries, keys, values)
            mixed.append(found.transpose(1, 2).reshape(count * length, -1))
            start += length * count
        return torch.cat(mixed)


# --- Tokenizer --------------------------------------------------------------------------------


class WordTokenizer:
    """As much of a fast tokenizer of transformers as `common.encode` and `PadBatch` ask for."""

    padding_side = "right"

    def __init__(self, folder: Path, settings: dict):
        from tokenizers import Tokenizer

        self.backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.backend.no_truncation()
        self.backend.no_padding()
        self.pad_token_id = self.backend.token_to_id(settings.get("pad_token", "[PAD]"))
        self.pad_token_type_id = settings.get("pad_token_type_id", 0)

    def __call__(self, sentences: list[list[str]], **_) -> "Encoded":
        return Encoded(self.backend.encode_batch(sentences, is_pretokenized=True))


class Encoded:
    """What a call of the tokenizer gives: columns by name, the word of each sub-word."""

    def __init__(self, encodings: list):
        self.encodings = encodings
        self.columns = {
            "input_ids": [encoding.ids for encoding in encodings],
            "token_type_ids": [encoding.type_ids for encoding in encodings],
        }

    def word_ids(self, sentence: int) -> list[int | None]:
        return self.encodings[sentence].word_ids

    def items(self):
        return self.columns.items()
