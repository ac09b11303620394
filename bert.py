"""BERT's forward pass and tokenizer on torch and `tokenizers` alone, for `infer.py`.

Importing transformers takes most of the time from a cold start to the first answer. For what is
a BERT that this suite has trained, its weights and its vocabulary are all that is needed; the
order of the operations is that of `BertForTokenClassification`, and so are the results. Every
other model goes through transformers: `load` gives None.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

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
    None where the folder holds anything else."""
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


class Output(NamedTuple):
    logits: object  # (batch, tokens, labels)


class Bert:
    """`BertForTokenClassification` for inference."""

    def __init__(self, config: dict, weights: dict):
        import torch

        self.heads, self.epsilon = config["num_attention_heads"], config["layer_norm_eps"]
        self.tables = [weights[f"{EMBEDDINGS}{table}.weight"] for table in TABLES]

        def affine(name):
            return weights[f"{name}.weight"], weights[f"{name}.bias"]

        self.norm, self.head = affine(f"{EMBEDDINGS}LayerNorm"), affine("classifier")
        self.layers = []
        for number in range(config["num_hidden_layers"]):
            parts = [affine(f"bert.encoder.layer.{number}.{part}") for part in LAYER_PARTS]
            # One product for queries, keys and values.
            joined = [torch.cat(three) for three in zip(*parts[:3], strict=True)]
            self.layers.append((joined, *parts[3:]))

    def __call__(self, input_ids, attention_mask, token_type_ids=None) -> Output:
        """`input_ids`, `attention_mask`, `token_type_ids`: int64 (batch, tokens)."""
        from torch.nn.functional import embedding, gelu, layer_norm, linear
        from torch.nn.functional import scaled_dot_product_attention as attention

        def normed(x, norm):
            return layer_norm(x, x.shape[-1:], *norm, self.epsilon)

        words, positions, types = self.tables
        batch, tokens = input_ids.shape
        kinds = types[0] if token_type_ids is None else embedding(token_type_ids, types)
        x = normed(embedding(input_ids, words) + kinds + positions[:tokens], self.norm)
        mask = None
        # On a GPU to ask whether anything is masked would wait for it.
        if x.device.type != "cpu" or not attention_mask.all():
            mask = attention_mask[:, None, None, :].bool()
        for joined, projection, norm, widening, narrowing, last_norm in self.layers:
            parts = linear(x, *joined).view(batch, tokens, 3, self.heads, -1)
            queries, keys, values = parts.permute(2, 0, 3, 1, 4)
            mixed = attention(queries, keys, values, attn_mask=mask)
            mixed = mixed.transpose(1, 2).reshape(batch, tokens, -1)
            x = normed(linear(mixed, *projection) + x, norm)
            x = normed(linear(gelu(linear(x, *widening)), *narrowing) + x, last_norm)
        return Output(linear(x, *self.head))


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
