"""The encoders of the benchmarks: the embedded one, and the families at base size.

The families have random weights, because a benchmark of speed needs no others: sizes are those of
the published models. All read text by the WordPiece vocabulary of the embedded encoder, whose ids
are far below the number of rows of the larger tables.
"""

from pathlib import Path

BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}
ROBERTA = BASE | {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
FAMILIES = {
    "bert-base": BASE | {"model_type": "bert", "vocab_size": 30522},
    "roberta-base": ROBERTA | {"model_type": "roberta", "vocab_size": 50265},
    "xlm-r-base": ROBERTA | {"model_type": "xlm-roberta", "vocab_size": 250002},
    "distilbert-base": {
        "model_type": "distilbert",
        "vocab_size": 30522,
        "dim": 768,
        "n_layers": 6,
        "n_heads": 12,
        "hidden_dim": 3072,
        "max_position_embeddings": 512,
    },
    "electra-base": BASE | {"model_type": "electra", "vocab_size": 30522, "embedding_size": 768},
    "modernbert-base": BASE
    | {
        "model_type": "modernbert",
        "vocab_size": 50368,
        "num_hidden_layers": 22,
        "intermediate_size": 1152,
        "max_position_embeddings": 8192,
        "local_attention": 128,
        "global_attn_every_n_layers": 3,
    },
    "deberta-v3-base": BASE
    | {
        "model_type": "deberta-v2",
        "vocab_size": 128100,
        "relative_attention": True,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
        "max_relative_positions": -1,
    },
}
NAMES = ("embedded", *FAMILIES)
# Tokens with the ids 0, 1, 2: RoBERTa counts positions from the id of padding.
ROBERTA_TOKENS = ("[CLS]", "[PAD]", "[SEP]")
FIRST_TOKENS = {"roberta-base": ROBERTA_TOKENS, "xlm-r-base": ROBERTA_TOKENS}
WITH_TOKEN_TYPES = ("bert-base", "electra-base", "deberta-v3-base")


def find_encoder(name: str, folder: Path, parser) -> str:
    """Return the folder of an encoder: of `NAMES`, or a folder; `folder`: for random weights."""
    from settings.defaults import embedded_encoder

    if name == "embedded":
        return str(embedded_encoder())
    if name in FAMILIES:
        _network(name, with_head=False).save_pretrained(folder)
        _tokenizer(name).save_pretrained(folder)
        return str(folder)
    check_folder(name, parser)
    return name


def check_folder(name: str, parser) -> None:
    """Exit with a message unless `name` is the folder of a model."""
    if not Path(name, "config.json").is_file():
        parser.error(
            f"--model {name}: expected the folder of a model, or one of {', '.join(NAMES)}"
        )


def save_random_classifier(name: str, folder: Path, sentences: list[list[str]], label_names):
    """Save a network of `NAMES` with a random head, as the suite saves a trained one.

    The head is scaled on `sentences`, so that each label has its share of the words: the hidden
    states of a random network are so similar that one label would have all.
    """
    import torch

    from corpus.words import WORD_SPLITTER
    from encoder.model import remember_encoding
    from encoder.tokenizer import window_length

    tokenizer, network = _tokenizer(name), _network(name, True, label_names)
    batch = tokenizer(sentences, is_split_into_words=True, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = network.eval()(**batch).logits[batch["attention_mask"].bool()]
        deviation, mean = torch.std_mean(logits, dim=0)
        head = network.classifier
        head.weight /= deviation[:, None]
        head.bias.copy_((head.bias - mean) / deviation)
    length = window_length(tokenizer, network.config, None)
    remember_encoding(network.config, length, "ner", WORD_SPLITTER)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _network(name: str, with_head: bool, label_names=()):
    """Return a network; its weights are random, but those of the embedded encoder."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

    from settings.defaults import embedded_encoder

    torch.manual_seed(0)
    labels = {}
    if with_head:
        labels["id2label"] = dict(enumerate(label_names))
        labels["label2id"] = {label: i for i, label in enumerate(label_names)}
    kind = AutoModelForTokenClassification if with_head else AutoModel
    if name == "embedded":
        return kind.from_pretrained(embedded_encoder(), **labels)
    tokenizer = _tokenizer(name)
    tokens = {
        f"{role}_token_id": tokenizer.convert_tokens_to_ids(token)
        for role, token in (
            ("pad", "[PAD]"),
            ("bos", "[CLS]"),
            ("cls", "[CLS]"),
            ("eos", "[SEP]"),
            ("sep", "[SEP]"),
        )
    }
    return kind.from_config(AutoConfig.for_model(**FAMILIES[name], **tokens, **labels))


def _tokenizer(name: str):
    """Return the embedded encoder's tokenizer, with the special tokens of a family."""
    from transformers import AutoTokenizer, BertTokenizer

    from settings.defaults import embedded_encoder

    embedded = AutoTokenizer.from_pretrained(embedded_encoder())
    if name == "embedded":
        return embedded
    vocabulary = embedded.get_vocab()
    first = FIRST_TOKENS.get(name, ())
    others = sorted(vocabulary.keys() - set(first), key=vocabulary.__getitem__)
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    if name not in WITH_TOKEN_TYPES:
        inputs.remove("token_type_ids")
    return BertTokenizer(
        vocab={token: i for i, token in enumerate([*first, *others])},
        model_max_length=512,
        model_input_names=inputs,
    )


def operations(model: str, lengths: list[int]) -> float:
    """Return the floating-point operations of a forward pass over windows of these lengths.

    They are the products of sub-words with the weights of all linear layers, and the two products
    of attention, without padding. Not counted: what DeBERTa adds for relative positions. ModernBERT
    may do less in windows longer than its local attention.
    """
    import torch
    from transformers import AutoConfig, AutoModelForTokenClassification

    config = AutoConfig.from_pretrained(model)
    with torch.device("meta"):
        network = AutoModelForTokenClassification.from_config(config)
    linear = (m for m in network.modules() if isinstance(m, torch.nn.Linear))
    weights = sum(module.weight.numel() for module in linear)
    layers, width = config.num_hidden_layers, config.hidden_size
    return sum(2 * weights * n + 4 * layers * width * n**2 for n in lengths)
