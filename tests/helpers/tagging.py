"""A model whose tags are known, and other helpers for the tests of tagging."""

import json
import math
from functools import cache
from pathlib import Path

import common
from tagging import fast_bert
from tagging.tagger import Tagger

KNOWN = {  # the tags of the look-up model; every other word is O
    "Peter": "B-PER",
    "Blackburn": "I-PER",
    "Anna": "B-PER",
    "EU": "B-ORG",
    "German": "B-MISC",
    "Paris": "B-LOC",
    "New": "B-LOC",
    "York": "I-LOC",
}
SURE = math.exp(4) / (math.exp(4) + 8)  # probability of a logit of 4 among eight of 0
TEXT = "Peter Blackburn went from Paris to New York."
TEXT_ENTITIES = [
    {"entity_group": "PER", "score": SURE, "word": "Peter Blackburn", "start": 0, "end": 15},
    {"entity_group": "LOC", "score": SURE, "word": "Paris", "start": 26, "end": 31},
    {"entity_group": "LOC", "score": SURE, "word": "New York", "start": 35, "end": 43},
]


class LookUp:
    """A network that looks up the tag of each sub-word in `KNOWN`."""

    def __init__(self, tokenizer, labels: list[str]):
        import torch

        self.logits = torch.zeros(2000, len(labels))
        self.logits[:, 0] = 4.0
        self.widths = []  # (windows, longest window) of each batch
        for word, tag in KNOWN.items():
            token_id = tokenizer.backend.token_to_id(word)
            self.logits[token_id] = 0.0
            self.logits[token_id, labels.index(tag)] = 4.0

    def __call__(self, windows):
        import torch

        self.widths.append((len(windows), max(len(window["input_ids"]) for window in windows)))
        ids = torch.tensor([i for window in windows for i in window["input_ids"]])
        words = torch.tensor([i for window in windows for i in window["word_index"]])
        first = words.ne(common.IGNORED)
        return self.logits[ids[first]], words[first]


def use_look_up(monkeypatch) -> None:
    """Replace the network of each model that `fast_bert` loads by a `LookUp`."""
    load = fast_bert.load

    def load_look_up(folder, dtype, device):
        loaded = load(folder, dtype, device)
        if loaded is None:
            return None
        labels = [loaded.config.id2label[i] for i in range(len(loaded.config.id2label))]
        return loaded._replace(network=LookUp(loaded.tokenizer, labels))

    monkeypatch.setattr(fast_bert, "load", load_look_up)


@cache
def cached_tagger(folder: Path) -> Tagger:
    """Return the tagger of a folder, loaded once for all tests."""
    return Tagger(folder)


def rows_of(output: str) -> list[dict]:
    """Return the objects of JSON Lines."""
    return [json.loads(line) for line in output.splitlines()]


def rounded(entities: list[dict]) -> list[dict]:
    """Return entities with their scores rounded as in the JSON Lines output."""
    return [{**entity, "score": round(entity["score"], 4)} for entity in entities]


def write_file(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file and the folders above it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
