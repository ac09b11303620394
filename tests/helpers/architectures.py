"""Tiny random models of every architecture that transformers has for token classification.

Each comes with a fast tokenizer of its family, trained on the sentences of data/sample. The
libraries are imported inside the functions, so that collecting the tests costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
VOCABULARY = 500  # sub-words of a tokenizer
SENTENCES = 400  # that a tokenizer is trained on
SPLITS = {"train": 30, "validation": 12, "test": 16}  # sentences of the corpus for the matrix
WINDOW = 24  # tokens

# Values of all fields of a configuration that have one of these names.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "emb_dim", "dim"), 32),
    **dict.fromkeys(("embedding_size", "input_embedding_size", "output_embedding_size"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(("head_dim", "d_head", "d_kv"), 8),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "d_inner", "n_inner", "d_ff"), 64),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 48),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_decoder_layers"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    # Local attention sees less than a window.
    **dict.fromkeys(("sliding_window", "local_attention", "window_size", "attention_window"), 8),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace"), 1),
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("qk_rope_head_dim",), 4),
    **dict.fromkeys(("initializer_range", "init_std", "embed_init_std"), 0.1),
    **dict.fromkeys(("block_size", "conv_kernel_size"), 3),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 8),
    # Encoders of pictures, audio and pronunciation, which text does not reach.
    **dict.fromkeys(("image_size", "output_dim", "out_hidden_size"), 32),
    **dict.fromkeys(("depth", "encoder_layers"), 1),
    **dict.fromkeys(("encoder_attention_heads",), 4),
    **dict.fromkeys(("encoder_ffn_dim", "downsample_hidden_size", "n_window"), 8),
    **dict.fromkeys(("pronunciation_embed_dim", "shape_embed_dim"), 8),
    **dict.fromkeys(("pronunciation_vocab_size", "shape_vocab_size"), 8),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads"), 2),
}
DROPOUT = 0.1


# --- Tokenizers -----------------------------------------------------------------------------


def sample_sentences(split: str = "train", number: int = SENTENCES) -> list[list[tuple[str, str]]]:
    """Return some sentences of a split of data/sample as pairs of word and entity tag.

    They come from the whole split: its first sentences are short.
    """
    sentences: list[list[tuple[str, str]]] = [[]]
    for line in (SAMPLE / f"{split}.conll").read_text(encoding="utf-8").splitlines():
        columns = line.split()
        if columns and columns[0] != "-DOCSTART-":
            sentences[-1].append((columns[0], columns[-1]))
        elif sentences[-1]:
            sentences.append([])
    sentences = [sentence for sentence in sentences if sentence]
    return sentences[:: len(sentences) // number][:number]


def sample_split(split: str) -> list[list[tuple[str, str]]]:
    """Return the sentences of a split of the corpus for the matrix."""
    return sample_sentences(split, SPLITS[split])


def write_sample_corpus(folder: Path) -> list[Any]:
    """Write the corpus for the matrix as CoNLL files; return the flags for them."""
    folder.mkdir(parents=True)
    flags: list[Any] = []
    for split in SPLITS:
        rows = ("".join(f"{word} {tag}\n" for word, tag in s) for s in sample_split(split))
        (folder / f"{split}.conll").write_text("\n".join(rows), encoding="utf-8")
        flags += [f"--{split}_file", folder / f"{split}.conll"]
    return flags


def sample_texts() -> list[str]:
    """Return the texts that tokenizers are trained on."""
    return [" ".join(word for word, _ in sentence) for sentence in sample_sentences()]


def of_class(name: str, *first: str, **options: Any) -> Any:
    """Return a trained tokenizer of a class of transformers.

    `first`: the tokens with the ids 0, 1, ...; by default the trainer orders them.
    """
    import transformers

    kind = getattr(transformers, name)
    tokenizer = kind(**options).train_new_from_iterator(sample_texts(), VOCABULARY)
    if first:
        vocabulary = tokenizer.get_vocab()
        others = sorted(vocabulary.keys() - set(first), key=vocabulary.__getitem__)
        trained = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
        if "merges" in trained:
            options["merges"] = [tuple(merge) for merge in trained["merges"]]
        numbered = {piece: number for number, piece in enumerate([*first, *others])}
        tokenizer = kind(vocab=numbered, **options)
    return tokenizer


def byte_level(before: list[str], after: list[str], left: bool = False, **names: str) -> Any:
    """Return a trained byte-level BPE of the generic class.

    `before`, `after`: the tokens around each window. `names`: the special tokens by their role.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=sorted(set(names.values())),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(sample_texts(), trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=[*before, "$A", *after],
        special_tokens=[(token, backend.token_to_id(token)) for token in (*before, *after)],
    )
    side = "left" if left else "right"
    return PreTrainedTokenizerFast(tokenizer_object=backend, padding_side=side, **names)


def left_padded_gpt2() -> Any:
    """Return GPT-2's tokenizer as its users set it up: on the Hub it has no padding."""
    return of_class("GPT2Tokenizer", pad_token="<|endoftext|>", padding_side="left")


def canine() -> Any:
    """Return a slow tokenizer of characters, the only kind that Canine has."""
    from transformers import CanineTokenizer

    return CanineTokenizer()


def llama() -> Any:
    return byte_level(
        ["<|begin_of_text|>"],
        [],
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        pad_token="<|end_of_text|>",  # as its users set it: it has none of its own
        left=True,
    )


def eurobert() -> Any:
    return byte_level(
        ["<|begin_of_text|>"],
        ["<|end_of_text|>"],
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        pad_token="<|pad|>",
        mask_token="<|mask|>",
    )


def modernbert() -> Any:
    return byte_level(
        ["[CLS]"],
        ["[SEP]"],
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        unk_token="[UNK]",
    )


ROBERTA = ("<s>", "<pad>", "</s>", "<unk>")
FAMILIES: dict[str, Callable[[], Any]] = {
    "albert": lambda: of_class("AlbertTokenizer"),
    "bert": lambda: of_class("BertTokenizer", do_lower_case=False),
    "big_bird": lambda: of_class("BigBirdTokenizer"),
    "camembert": lambda: of_class("CamembertTokenizer"),
    "canine": canine,
    "deberta": lambda: of_class("DebertaTokenizer"),
    "deberta-v2": lambda: of_class("DebertaV2Tokenizer"),
    "eurobert": eurobert,
    "fnet": lambda: of_class("FNetTokenizer"),
    "funnel": lambda: of_class("FunnelTokenizer"),
    "gemma": lambda: of_class("GemmaTokenizer"),
    "gpt2": lambda: of_class("GPT2Tokenizer"),
    "gpt2-left": left_padded_gpt2,
    "gpt_neox": lambda: of_class("GPTNeoXTokenizer"),
    "layoutlmv2": lambda: of_class("LayoutLMv2Tokenizer"),
    "layoutlmv3": lambda: of_class("LayoutLMv3Tokenizer"),
    "llama": llama,
    "luke": lambda: of_class("LukeTokenizer"),
    "markuplm": lambda: of_class("MarkupLMTokenizer", tags_dict={"p": 0}),
    "mobilebert": lambda: of_class("MobileBertTokenizer"),
    "modernbert": modernbert,
    "mpnet": lambda: of_class("MPNetTokenizer", "<s>", "<pad>", "</s>", "[UNK]"),
    "qwen2": lambda: of_class("Qwen2Tokenizer"),
    "qwen3_5": lambda: of_class("Qwen3_5Tokenizer"),
    "rembert": lambda: of_class("RemBertTokenizer"),
    "roberta": lambda: of_class("RobertaTokenizer", *ROBERTA),
    "t5": lambda: of_class("T5Tokenizer"),
    "xlm-roberta": lambda: of_class("XLMRobertaTokenizer"),
    "xlnet": lambda: of_class("XLNetTokenizer"),
}


# --- Models ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Architecture:
    """A tiny model: its type, its tokenizer, and what differs from `SIZES`."""

    model_type: str
    family: str
    changes: dict[str, Any] = field(default_factory=dict)
    name: str = ""  # of a special case
    window: int | None = WINDOW  # None: the longest that the suite finds
    legacy_names: bool = False  # layer norms are saved with gamma and beta

    def __str__(self) -> str:
        return self.name or self.model_type


TOKEN_IDS = ("pad", "bos", "eos", "cls", "sep", "mask", "unk")


def tiny_config(kind: type, tokenizer: Any, changes: dict[str, Any]) -> Any:
    """Return a configuration of a class, tiny in every field of `SIZES`.

    `changes`: values by name of the field; a dictionary changes a configuration inside this one.
    """
    from dataclasses import fields

    known = {field.name: field.default for field in fields(kind)}
    values = {name: size for name, size in SIZES.items() if name in known}
    values |= {
        name: DROPOUT
        for name, default in known.items()
        if "drop" in name and name != "layerdrop" and isinstance(default, float)
    }
    if "vocab_size" in known:
        values["vocab_size"] = len(tokenizer)
    for token in TOKEN_IDS:
        token_id = getattr(tokenizer, f"{token}_token_id")
        names = (f"{token}_token_id", f"{token}_index")
        values |= {name: token_id for name in names if name in known and token_id is not None}
    if kind.sub_configs:
        default = kind()
        for name in kind.sub_configs:
            part = getattr(default, name)
            if part is not None:
                values[name] = tiny_config(type(part), tokenizer, changes.get(name, {}))
    return kind(**{**values, **{k: v for k, v in changes.items() if k not in kind.sub_configs}})


def save_configuration(architecture: Architecture, folder: Path) -> Any:
    """Save the configuration and the tokenizer of an architecture; return the configuration."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    tokenizer = FAMILIES[architecture.family]()
    tokenizer.save_pretrained(folder)
    config = tiny_config(CONFIG_MAPPING[architecture.model_type], tokenizer, architecture.changes)
    config.save_pretrained(folder)
    return config


def each_architecture(*always: str) -> pytest.MarkDecorator:
    """Return the marker that runs a test with each architecture, most of them as `exhaustive`.

    `always`: the names of those that always run.
    """
    parameters = [
        pytest.param(a, id=str(a), marks=[] if str(a) in always else [pytest.mark.exhaustive])
        for a in ARCHITECTURES
    ]
    return pytest.mark.parametrize("architecture", parameters)


def build(architecture: Architecture, folder: Path) -> Path:
    """Save a random encoder of an architecture with its tokenizer, as on the Hub."""
    import torch
    from transformers import AutoModelForTokenClassification

    config = save_configuration(architecture, folder)
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_config(config)
    getattr(model, model.base_model_prefix).save_pretrained(folder)
    if architecture.legacy_names:
        _save_legacy_names(folder / "model.safetensors")
    return folder


def set_dropout(network: Any, probability: float) -> None:
    """Change every probability of dropout in a network, that of attention too."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
        for holder in (module, getattr(module, "config", None)):
            for attribute, value in list(vars(holder).items() if holder is not None else ()):
                if "drop" in attribute and isinstance(value, float):
                    setattr(holder, attribute, probability)


def _save_legacy_names(file: Path) -> None:
    """Rename the layer norms' parameters as in models of 2018, such as `bert-base-cased`."""
    from safetensors.torch import load_file, save_file

    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    weights = load_file(file)
    for name in list(weights):
        for suffix, legacy in old.items():
            if name.endswith(suffix):
                weights[name.removesuffix(suffix) + legacy] = weights.pop(name)
    save_file(weights, file, {"format": "pt"})


ARCHITECTURES = [
    Architecture("bert", "bert", name="bert-legacy", legacy_names=True),
    Architecture("gpt2", "gpt2-left", name="gpt2-left"),
    Architecture("modernbert", "modernbert", name="modernbert-long", window=40),
    # 32 rows are 30 tokens: two rows belong to no token.
    Architecture("roberta", "roberta", {"max_position_embeddings": 32}, "roberta-full", None),
    Architecture("albert", "albert"),
    Architecture("apertus", "llama"),
    Architecture("arcee", "llama"),
    Architecture("axk1", "llama", {"num_key_value_heads": 4}),
    Architecture("axk2", "llama", {"num_key_value_heads": 4}),
    Architecture("beam", "llama"),
    Architecture("bert", "bert"),
    Architecture("big_bird", "big_bird"),
    Architecture("biogpt", "bert"),
    Architecture("bloom", "llama"),
    Architecture("camembert", "camembert"),
    Architecture("convbert", "bert"),
    Architecture("data2vec-text", "roberta"),
    Architecture("deberta", "deberta"),
    Architecture("deberta-v2", "deberta-v2"),
    Architecture("deepseek_v3", "llama", {"num_key_value_heads": 4}),
    Architecture("diffllama", "llama", {"attention_dropout": 0.0}),
    Architecture("distilbert", "bert"),
    Architecture("electra", "bert"),
    Architecture("ernie", "bert"),
    Architecture("esm", "bert"),
    Architecture("esmc", "bert", {"num_key_value_heads": 4}),
    Architecture("eurobert", "eurobert"),
    Architecture("exaone4", "llama"),
    Architecture("falcon", "llama"),
    Architecture("flaubert", "bert"),
    Architecture("fnet", "fnet"),
    Architecture("funnel", "funnel"),
    Architecture("gemma", "gemma", {"initializer_range": 0.2}),
    Architecture("gemma2", "gemma"),
    Architecture("glm", "llama"),
    Architecture("glm4", "llama"),
    Architecture("gpt-sw3", "gpt2"),
    Architecture("gpt2", "gpt2"),
    Architecture("gpt_bigcode", "gpt2"),
    Architecture("gpt_neo", "gpt2", {"attention_types": [[["global", "local"], 1]]}),
    Architecture("gpt_neox", "gpt_neox"),
    Architecture("gpt_oss", "llama"),
    Architecture("gte", "xlm-roberta"),
    Architecture("helium", "llama"),
    Architecture("ibert", "roberta"),
    Architecture("jina_embeddings_v3", "xlm-roberta"),
    Architecture("layoutlm", "bert"),
    Architecture("lilt", "roberta", {"hidden_size": 48}),
    Architecture("llama", "llama"),
    Architecture("longformer", "roberta"),
    Architecture("megatron-bert", "bert"),
    Architecture("minimax", "llama"),
    Architecture("ministral", "llama"),
    Architecture("ministral3", "llama"),
    Architecture("mistral", "llama"),
    Architecture("mistral4", "llama", {"num_key_value_heads": 4}),
    Architecture("mixtral", "llama"),
    Architecture("mobilebert", "mobilebert", {"initializer_range": 0.2}),
    Architecture("modernbert", "modernbert"),
    Architecture("modernvbert", "modernbert"),
    Architecture("mpnet", "mpnet"),
    Architecture("mpt", "gpt_neox"),
    Architecture("mt5", "t5"),
    Architecture("nemotron", "llama"),
    Architecture("nomic_bert", "bert"),
    Architecture("nystromformer", "albert"),
    Architecture("openai_privacy_filter", "llama"),
    Architecture("persimmon", "llama"),
    Architecture("phi", "gpt2"),
    Architecture("phi3", "llama"),
    Architecture("qwen2", "qwen2"),
    Architecture("qwen2_moe", "qwen2"),
    Architecture("qwen3", "qwen2"),
    Architecture(
        "qwen3_5",
        "qwen3_5",
        {"text_config": {"layer_types": ["linear_attention", "full_attention"]}},
    ),
    Architecture("qwen3_asr", "qwen2"),
    Architecture("qwen3_moe", "qwen2"),
    Architecture("qwen3_next", "qwen2", {"layer_types": ["linear_attention", "full_attention"]}),
    Architecture("rembert", "rembert"),
    Architecture("roberta", "roberta"),
    Architecture("roberta-prelayernorm", "roberta"),
    Architecture("roc_bert", "bert"),
    Architecture("roformer", "bert"),
    Architecture("seed_oss", "llama"),
    Architecture("smollm3", "llama"),
    Architecture("squeezebert", "bert"),
    Architecture("stablelm", "llama"),
    Architecture("starcoder2", "gpt2"),
    Architecture("t5", "t5"),
    Architecture("t5gemma", "gemma", {"initializer_range": 0.1}),
    Architecture(
        "t5gemma2",
        "gemma",
        {"initializer_range": 0.5, "encoder": {"text_config": {"initializer_range": 0.5}}},
    ),
    Architecture("ultrabert", "modernbert"),
    Architecture("ultravbert", "modernbert"),
    Architecture("umt5", "t5"),
    Architecture("xlm", "bert"),
    Architecture("xlm-roberta", "xlm-roberta"),
    Architecture("xlm-roberta-xl", "xlm-roberta"),
    Architecture("xlnet", "xlnet"),
    Architecture("xmod", "xlm-roberta", {"default_language": "en_XX"}),
    Architecture("yoso", "albert"),
]

REFUSED = [
    Architecture("canine", "canine"),
    Architecture("mra", "roberta"),
    Architecture("bros", "bert"),
    Architecture("layoutlmv2", "layoutlmv2"),
    Architecture("layoutlmv3", "layoutlmv3"),
    Architecture("luke", "luke", {"entity_vocab_size": 8, "entity_emb_size": 8}),
    Architecture("markuplm", "markuplm"),
    Architecture("xmod", "xlm-roberta", name="xmod-without-language"),
]
# Trained, evaluated and run without padding; all others in padded batches.
UNPADDED = {
    *("albert", "apertus", "arcee", "axk1", "beam", "bert", "biogpt", "camembert"),
    *("data2vec-text", "deepseek_v3", "diffllama", "distilbert", "electra", "ernie", "esmc"),
    *("eurobert", "exaone4", "gemma", "glm", "glm4", "gpt_bigcode", "gpt_neox", "gte", "helium"),
    *("jina_embeddings_v3", "layoutlm", "llama", "ministral", "ministral3", "mistral"),
    *("mistral4", "mixtral", "modernbert", "modernvbert", "nomic_bert", "persimmon", "phi"),
    *("phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_asr", "qwen3_moe", "roberta"),
    *("roberta-prelayernorm", "roc_bert", "seed_oss", "smollm3", "starcoder2", "ultrabert"),
    *("ultravbert", "xlm-roberta", "xlm-roberta-xl", "xmod"),
}
WITHOUT_BF16 = {"deberta", "xmod"}
WITHOUT_GRADIENT_CHECKPOINTING = {
    *("albert", "flaubert", "funnel", "ibert", "mpnet", "squeezebert", "xlm", "xlnet"),
}
