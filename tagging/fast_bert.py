"""A BERT that starts fast: network and tokenizer on torch, `safetensors` and `tokenizers` alone.

Importing transformers takes most of the time from a cold start to the first answer. A BERT
trained by this suite needs only its weights and its vocabulary. The operations are those of
`BertForTokenClassification`, in the same order, with the same results. `load` returns None for
every other model; transformers loads it (see `tagging.loading`).
"""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from common import IGNORED
from encoder.unpadded import round_up

if TYPE_CHECKING:  # torch is imported by the functions that need it: it takes a second
    import torch

# The configuration values that this module supports; sizes and labels are free.
SUPPORTED_CONFIG: dict[str, tuple[object, ...]] = {
    "model_type": ("bert",),
    "architectures": (["BertForTokenClassification"],),
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "quantization_config": (None,),
    "pruned_heads": ({}, None),
    "auto_map": (None,),  # the model's own code
}
SIZES = (
    "num_hidden_layers",
    "num_attention_heads",
    "layer_norm_eps",
    "hidden_size",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "id2label",
)
FILES = ("model.safetensors", "tokenizer.json", "tokenizer_config.json")
# Files that change the weights or the vocabulary.
OTHER_FILES = ("adapter_config.json", "added_tokens.json", "special_tokens_map.json")
# Settings of a tokenizer that do not affect the tokenization of words.
NEUTRAL_SETTINGS = {
    "backend",
    "clean_up_tokenization_spaces",
    "do_basic_tokenize",
    "is_local",
    "local_files_only",
    "mask_token",
    "max_length",
    "model_max_length",
    "model_specific_special_tokens",
    "name_or_path",
    "never_split",
    "pad_to_multiple_of",
    "pad_token_type_id",
    "padding_side",
    "processor_class",
    "special_tokens_map_file",
    "stride",
    "tokenizer_class",
    "truncation_side",
    "truncation_strategy",
}
# Fields of the normalizer in tokenizer.json, and their names in tokenizer_config.json.
NORMALIZATION = {
    "lowercase": "do_lower_case",
    "strip_accents": "strip_accents",
    "handle_chinese_chars": "tokenize_chinese_chars",
}
OF_SUITE = {"word_splitter", "window_length"}  # in the configurations of models trained here
Window = dict[str, list[int]]  # columns by name, each (sub-words,)


class FastBert(NamedTuple):
    """A loaded model, its parts used like those of transformers."""

    config: SimpleNamespace
    tokenizer: "WordTokenizer"
    network: "Bert"


def load(folder: Path, dtype: "torch.dtype", device: "torch.device | str") -> FastBert | None:
    """Return a BERT that a training script of this suite saved; None for any other model.

    Also None if anything in the folder would make transformers compute something else.
    """
    config = _read_json(folder / "config.json")
    if not config.keys() >= OF_SUITE or not all((folder / name).is_file() for name in FILES):
        return None
    if any((folder / name).exists() for name in OTHER_FILES):
        return None
    if any(config.get(name) not in allowed for name, allowed in SUPPORTED_CONFIG.items()):
        return None
    if not all(name in config for name in SIZES):
        return None
    settings = _read_json(folder / "tokenizer_config.json")
    tokenizer = _read_json(folder / "tokenizer.json")
    if not _is_plain_bert_tokenizer(settings, tokenizer):
        return None
    ids = [*tokenizer["model"]["vocab"].values(), *(t["id"] for t in tokenizer["added_tokens"])]
    if max(ids) >= config["vocab_size"]:
        return None
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    if {name: tuple(value.shape) for name, value in weights.items()} != weight_shapes(config):
        return None
    if not all(value.is_floating_point() and value.sum().isfinite() for value in weights.values()):
        return None
    config["id2label"] = {int(label_id): label for label_id, label in config["id2label"].items()}
    weights = {name: value.to(device=device, dtype=dtype) for name, value in weights.items()}
    return FastBert(
        SimpleNamespace(**config), WordTokenizer(folder, settings), Bert(config, weights)
    )


def _is_plain_bert_tokenizer(settings: dict[str, Any], tokenizer: dict[str, Any]) -> bool:
    """Return whether tokenizer.json alone determines how transformers tokenizes words.

    transformers builds a BERT tokenizer from the vocabulary and its settings; it does not read the
    rest of tokenizer.json. `settings`: tokenizer_config.json. `tokenizer`: tokenizer.json.
    """
    names = {name: settings.get(name) for name in ("cls_token", "sep_token", "unk_token")}
    known = {*NEUTRAL_SETTINGS, *names, "pad_token", *NORMALIZATION.values()}
    if settings.get("tokenizer_class") not in ("BertTokenizer", "BertTokenizerFast"):
        return False
    if not settings.keys() <= known or not isinstance(settings.get("pad_token"), str):
        return False
    normalizer, model = tokenizer["normalizer"], tokenizer["model"]
    post_processor = tokenizer["post_processor"] or {}
    ends = [piece.get("SpecialToken", {}).get("id") for piece in post_processor.get("single", [])]
    return (
        normalizer is not None
        and normalizer["type"] == "BertNormalizer"
        and normalizer["clean_text"]
        and all(normalizer[ours] == settings.get(name) for ours, name in NORMALIZATION.items())
        and tokenizer["pre_tokenizer"] == {"type": "BertPreTokenizer"}
        and model["type"] == "WordPiece"
        and model["continuing_subword_prefix"] == "##"
        and model["unk_token"] == names["unk_token"]
        and ends == [names["cls_token"], None, names["sep_token"]]
    )


def _read_json(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


# --- Network ----------------------------------------------------------------------------------

EMBEDDINGS = "bert.embeddings."
EMBEDDING_TABLES = {  # and the sizes that give their rows
    "word_embeddings": "vocab_size",
    "position_embeddings": "max_position_embeddings",
    "token_type_embeddings": "type_vocab_size",
}
LAYER_PARTS = {  # the sizes that they give and take; a norm takes none
    "attention.self.query": ("hidden_size", "hidden_size"),
    "attention.self.key": ("hidden_size", "hidden_size"),
    "attention.self.value": ("hidden_size", "hidden_size"),
    "attention.output.dense": ("hidden_size", "hidden_size"),
    "attention.output.LayerNorm": ("hidden_size",),
    "intermediate.dense": ("intermediate_size", "hidden_size"),
    "output.dense": ("hidden_size", "intermediate_size"),
    "output.LayerNorm": ("hidden_size",),
}


def weight_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights of a BERT by name."""
    width = config["hidden_size"]
    parts = {f"{EMBEDDINGS}LayerNorm": (width,), "classifier": (len(config["id2label"]), width)}
    for number in range(config["num_hidden_layers"]):
        for part, sizes in LAYER_PARTS.items():
            shape = tuple(config[size] for size in sizes)
            parts[f"bert.encoder.layer.{number}.{part}"] = shape
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in parts.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for table, size in EMBEDDING_TABLES.items():
        shapes[f"{EMBEDDINGS}{table}.weight"] = (config[size], width)
    return shapes


FILLER: Window = {"input_ids": [0], "token_type_ids": [0], "word_index": [IGNORED]}


class Bert:
    """`BertForTokenClassification` for inference, with hardly any padding.

    The sub-words of a batch are concatenated. Only attention works window by window, and computes
    windows of the same length together.
    """

    def __init__(self, config: dict[str, Any], weights: dict[str, "torch.Tensor"]):
        import torch

        self.heads, self.epsilon = config["num_attention_heads"], config["layer_norm_eps"]
        self.dtype = weights["classifier.weight"].dtype
        # Sums and norms are computed in fp32, whatever the precision of the matrix products.
        self.tables = [weights[f"{EMBEDDINGS}{name}.weight"].float() for name in EMBEDDING_TABLES]

        def affine(name: str) -> list[torch.Tensor]:
            return [weights[f"{name}.weight"], weights[f"{name}.bias"]]

        def norm(name: str) -> list[torch.Tensor]:
            return [part.float() for part in affine(name)]

        self.norm, self.head = norm(f"{EMBEDDINGS}LayerNorm"), affine("classifier")
        names = list(LAYER_PARTS)
        self.layers = []  # for each layer, the weights and biases of its six operations
        for number in range(config["num_hidden_layers"]):
            parts = {part: f"bert.encoder.layer.{number}.{part}" for part in LAYER_PARTS}
            projections = zip(*(affine(parts[name]) for name in names[:3]), strict=True)
            # One matrix product for queries, keys and values.
            layer = [[torch.cat(joined) for joined in projections]]
            for part in names[3:]:
                layer.append(norm(parts[part]) if "Norm" in part else affine(parts[part]))
            self.layers.append(layer)

    def __call__(self, windows: Sequence[Window]) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Return (logits, word indices) of the labelled sub-words of windows.

        `windows`: `input_ids`, `token_type_ids` and `word_index` of each, windows of one length
        next to each other. Logits: (words, labels) in fp32. Word indices: (words,), the
        `word_index` of each.
        """
        import torch
        from torch.nn.functional import embedding, gelu, layer_norm, linear

        def flat(name: str) -> torch.Tensor:
            return torch.tensor([value for window in windows for value in window[name]])

        def normed(x: torch.Tensor, norm: list[torch.Tensor]) -> torch.Tensor:
            return layer_norm(x, x.shape[-1:], norm[0], norm[1], self.epsilon)

        total = sum(len(window["input_ids"]) for window in windows)
        windows = [*windows, *[FILLER] * (round_up(total) - total)]
        lengths = [len(window["input_ids"]) for window in windows]
        word_index = flat("word_index")
        first = word_index.ne(IGNORED).nonzero()[:, 0]
        kept = torch.cat([first, first.new_zeros(round_up(len(first)) - len(first))])
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
            if number == len(self.layers):  # the rest is needed only for sub-words with a tag
                mixed, x = mixed[kept.to(device)], x[kept.to(device)]
            x = normed(linear(mixed, *projection) + x, norm)
            wide = gelu(linear(x.to(self.dtype), *widening))
            x = normed(linear(wide, *narrowing) + x, last_norm)
        logits = linear(x.to(self.dtype), *self.head).float()
        return logits[: len(first)], word_index[first]

    def _attention(self, joined: "torch.Tensor", runs: list[tuple[int, int]]) -> "torch.Tensor":
        """Return the attended values of windows, (sub-words, size).

        `joined`: (sub-words, 3 x size), queries, keys, values. `runs`: (length, number of windows
        of this length in a row).
        """
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        mixed = []
        start = 0
        for length, count in runs:
            part = joined[start : start + length * count]
            queries, keys, values = part.view(count, length, 3, self.heads, -1).permute(
                2, 0, 3, 1, 4
            )
            attended = scaled_dot_product_attention(queries, keys, values)
            mixed.append(attended.transpose(1, 2).reshape(count * length, -1))
            start += length * count
        return torch.cat(mixed)


# --- Tokenizer --------------------------------------------------------------------------------


class WordTokenizer:
    """The part of a fast tokenizer of transformers that `common.encode` and `PadBatch` use."""

    def __init__(self, folder: Path, settings: dict[str, Any]):
        from tokenizers import Tokenizer

        self.backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.backend.no_truncation()
        self.backend.no_padding()
        self.pad_token_id = self.backend.token_to_id(settings["pad_token"])
        self.pad_token_type_id = settings.get("pad_token_type_id", 0)

    def __call__(self, sentences: list[list[str]], **_: object) -> "EncodedSentences":
        """Tokenize sentences of words; options of transformers' tokenizers have no effect."""
        return EncodedSentences(self.backend.encode_batch(sentences, is_pretokenized=True))


class EncodedSentences:
    """Tokenized sentences: columns by name, and the word of each sub-word."""

    def __init__(self, encodings: list[Any]):
        self.encodings = encodings
        self.columns: dict[str, list[list[int]]] = {
            "input_ids": [encoding.ids for encoding in encodings],
            "token_type_ids": [encoding.type_ids for encoding in encodings],
        }

    def word_ids(self, sentence: int) -> list[int | None]:
        """Return the word of each sub-word of a sentence; None for special tokens."""
        word_ids: list[int | None] = self.encodings[sentence].word_ids
        return word_ids

    def items(self) -> Any:
        """Return (name, column) pairs, as transformers' encodings do."""
        return self.columns.items()
