"""A tiny encoder and tiny taggers with random weights.

The libraries are imported inside the functions: tests/conftest.py imports this module before it
sets the libraries' folders.
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import BertConfig

ROOT = Path(__file__).resolve().parents[2]

ENTITY_LABELS = [
    "O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"
]  # fmt: skip

# A small cased vocabulary without `lamb`, which becomes `la ##mb` as in the course.
_WORDS = (
    "EU rejects German call to boycott British Peter Blackburn My name is Sylvain and I work at "
    "Hugging Face in Brooklyn the The of a A Paris London New York said on Monday Anna John Smith "
    "went from Bank Germany France Microsoft Reuters was with for he she it"
)
_PIECES = ["la", "##mb", "##ing", "##ed", "##er", "##ington"]


def tiny_vocabulary() -> dict[str, int]:
    """Return a WordPiece vocabulary: special tokens, words, pieces, printable ASCII characters."""
    single = [*string.ascii_letters, *string.digits, *string.punctuation, "’", "…", "é", "中"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_WORDS.split(), *_PIECES, *single]
    pieces += ["##" + character for character in single]
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}


def save_tiny_tokenizer(folder: Path) -> None:
    """Save a fast cased tokenizer with a limit of 64 tokens."""
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast(vocab=tiny_vocabulary(), do_lower_case=False, model_max_length=64)
    tokenizer.save_pretrained(folder)


def tiny_config(**changes: Any) -> BertConfig:
    """Return the configuration of a BERT with 2 layers of 32 and 64 positions."""
    from transformers import BertConfig

    return BertConfig(
        **{
            "vocab_size": len(tiny_vocabulary()),
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 64,
            **changes,
        }
    )


def save_tiny_encoder(folder: Path) -> Path:
    """Save a random BERT (2 layers of 32, 64 positions) with a fast cased tokenizer."""
    import torch
    from transformers import BertModel

    torch.manual_seed(0)
    BertModel(tiny_config()).save_pretrained(folder)
    save_tiny_tokenizer(folder)
    return folder


def save_tiny_tagger(folder: Path, labels: list[str], task: str = "ner", seed: int = 0) -> Path:
    """Save a random model with a head for `labels`, like the folder that a training script writes.

    The head's weights are large, so that tags differ from word to word and probabilities from
    each other.
    """
    import torch
    from transformers import BertForTokenClassification

    from corpus.words import WORD_SPLITTER
    from encoder.model import remember_encoding

    torch.manual_seed(seed)
    config = tiny_config(
        id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)}
    )
    remember_encoding(config, config.max_position_embeddings, task, WORD_SPLITTER)
    model = BertForTokenClassification(config)
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(folder)
    save_tiny_tokenizer(folder)
    identity = {"corpus": "none", "model": "tiny", "task": task, "label_names": labels}
    (folder / "run.json").write_text(json.dumps(identity), encoding="utf-8")
    return folder
