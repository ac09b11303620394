"""Taggers that train in a second: softmax regressions on the vectors of a frozen encoder.

The vectors of a word and of its two neighbours come from two layers of the embedded encoder.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scoring.decoding import legal_transitions, most_probable_tags
from settings.defaults import embedded_encoder

BATCH = 128  # words
VECTORS: dict[tuple[str, ...], torch.Tensor] = {}  # by the words of a sentence


class FrozenTagger:
    """A model trained for a number of steps on sentences of words with entity tags."""

    def __init__(
        self,
        sentences: Sequence[Sequence[str]],
        tags: Sequence[Sequence[str]],
        label_names: Sequence[str],
        steps: int,
        seed: int,
    ):
        self.label_names, self.legal = label_names, legal_transitions(label_names)
        ids = {name: number for number, name in enumerate(label_names)}
        x = torch.cat(vectors_of(sentences))
        y = torch.tensor([ids[tag] for of_sentence in tags for tag in of_sentence])
        self.mean, self.deviation = x.mean(0), x.std(0) + 1e-6
        self.model = torch.nn.Linear(x.shape[1], len(label_names))
        with torch.no_grad():  # begins with the frequencies of the labels
            self.model.weight.zero_()
            self.model.bias.copy_(torch.bincount(y, minlength=len(ids)).add(1).log())
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=5e-4, weight_decay=0.1)
        generator = torch.Generator().manual_seed(seed)
        batches: list[torch.Tensor] = []
        for _ in range(steps):
            batches = batches or [*torch.randperm(len(y), generator=generator).split(BATCH)]
            batch = batches.pop()
            loss = torch.nn.functional.cross_entropy(self._logits(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    def predict(self, sentences: Sequence[Sequence[str]]) -> list[tuple[list[str], np.ndarray]]:
        """Return the most probable legal tags, and the log probabilities, of each sentence."""
        predictions = []
        for vectors in vectors_of(sentences):
            with torch.inference_mode():
                rows = self._logits(vectors).log_softmax(-1).numpy()
            tags = [self.label_names[label] for label in most_probable_tags(rows, self.legal)]
            predictions.append((tags, rows))
        return predictions

    def _logits(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.model((vectors - self.mean) / self.deviation)


def vectors_of(sentences: Sequence[Sequence[str]]) -> list[torch.Tensor]:
    """Return the vectors of the words of each sentence, beside those of their neighbours."""
    from transformers import AutoModel, AutoTokenizer

    keys = [tuple(words) for words in sentences]
    if missing := {*keys} - VECTORS.keys():
        folder = embedded_encoder()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encoder = AutoModel.from_pretrained(folder).eval()
        for key in sorted(missing):
            encoded = tokenizer(
                [*key], is_split_into_words=True, truncation=True, return_tensors="pt"
            )
            with torch.inference_mode():
                layers = encoder(**encoded, output_hidden_states=True).hidden_states
            of_sub_words = torch.cat([layers[-1][0], layers[-3][0]], 1)
            rows = torch.zeros(len(key) + 2, of_sub_words.shape[1])
            for position, word in reversed([*enumerate(encoded.word_ids())]):
                if word is not None:  # the first sub-word of a word is the last to be written
                    rows[word + 1] = of_sub_words[position]
            VECTORS[key] = torch.cat([rows[1:-1], rows[:-2], rows[2:]], 1)
    return [VECTORS[key] for key in keys]
