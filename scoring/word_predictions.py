"""Predictions by word: gathered in any order, then decoded and scored."""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common import IGNORED, NO_TAG
from scoring.decoding import (
    entity_spans,
    legal_transitions,
    most_probable_tags,
    sequence_probabilities,
)

if TYPE_CHECKING:
    import torch


class Calibration(NamedTuple):
    """The score of an entity by its probability p: logistic(logit(p) / temperature + offset)."""

    temperature: float = 1.0
    offset: float = 0.0

    @classmethod
    def of_config(cls, config: Any) -> Calibration | None:
        """Return the calibration in a model's configuration; None if it has none."""
        temperature = getattr(config, "score_temperature", None)
        offset = getattr(config, "score_offset", None)
        return None if temperature is None else cls(temperature, offset or 0.0)

    def scores(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the scores of entities with these probabilities, (entities,)."""
        return 1 / (1 + np.exp(-logit(probabilities) / self.temperature - self.offset))


class OperatingPoint(NamedTuple):
    """The trade-off of decoding between precision and recall.

    `outside_bias` is added to the log probability of O: a negative one gives more entities.
    Entities with a lower score than `min_score` become O.
    """

    outside_bias: float = 0.0
    min_score: float = 0.0

    @classmethod
    def of_config(cls, config: Any) -> OperatingPoint:
        """Return the operating point in a model's configuration."""
        values = (getattr(config, name, None) for name in ("outside_bias", "min_entity_score"))
        return cls(*(value or 0.0 for value in values))


NEUTRAL = OperatingPoint()


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Return the logarithms of the odds, finite for 0 and 1.

    Probabilities are clipped to [1e-7, 1 - 1e-7], the resolution of fp32 near 1.
    """
    clipped = probabilities.astype(np.float64).clip(1e-7, 1 - 1e-7)
    return np.log(clipped) - np.log1p(-clipped)


class WordPredictions:
    """The predictions of some sentences by word, filled in any order.

    They take 6 bytes per word. Decoding takes 4 more for each word and label, a calibration 4
    more for each word.
    """

    def __init__(
        self,
        num_words: int,
        label_names: Sequence[str],
        decode: bool,
        calibration: Calibration | None = None,
        operating_point: OperatingPoint = NEUTRAL,
    ) -> None:
        """Allocate memory for `num_words` words without a prediction.

        `decode`: whether the tags are the most probable legal sequence of each sentence, not the
        most probable tag of each word. With a `calibration`, the probability of a decoded tag is
        that of `sequence_probabilities`, and the score of an entity is its calibrated probability
        without the bias. Otherwise the probability of a tag is that of the model, and the score of
        an entity is the mean over its tags. `operating_point`: of decoded tags; its minimum score
        needs a calibration.
        """
        self.label_names = label_names
        self.legal = legal_transitions(label_names)
        self.tag_ids = np.full(num_words, NO_TAG, dtype=np.int16)
        self.probabilities = np.zeros(num_words, dtype=np.float32)
        self.losses = array("f")  # one per window, summed over its words
        self.log_probabilities = np.zeros((num_words, len(label_names) * decode), np.float32)
        self.calibration, self.operating_point = calibration, operating_point
        # (words,): their mean over the words of an entity is the entity's score.
        self.entity_scores = self.probabilities

    def add(
        self, log_probabilities: torch.Tensor, losses: torch.Tensor, word_index: torch.Tensor
    ) -> None:
        """Store the result of `gather_batch`; a word that occurs twice is counted once."""
        is_word = word_index.ne(IGNORED)
        self.add_words(log_probabilities[is_word], word_index[is_word])
        self.losses.extend(losses.tolist())

    def add_words(self, log_probabilities: torch.Tensor, word_index: torch.Tensor) -> None:
        """Store the (words, labels) log probabilities of words; `word_index`: (words,)."""
        words = word_index.cpu().numpy()
        best, tag_ids = log_probabilities.max(-1)
        self.tag_ids[words] = tag_ids.cpu().numpy()
        self.probabilities[words] = best.exp().cpu().numpy()
        if self.log_probabilities.size:
            self.log_probabilities[words] = log_probabilities.cpu().numpy()
            if self.operating_point.outside_bias:
                self._choose_tags(words)

    def biased(self, words: np.ndarray) -> np.ndarray:
        """Return the biased log probabilities that decide the tags of words, (words, labels)."""
        is_outside = np.array(self.label_names) == "O"
        return (
            self.log_probabilities[words]
            + np.float32(self.operating_point.outside_bias) * is_outside
        )

    def _choose_tags(self, words: np.ndarray) -> None:
        """Store the most probable tag of each of these words."""
        tag_ids = self.biased(words).argmax(-1)
        self.tag_ids[words] = tag_ids
        self.probabilities[words] = np.exp(self.log_probabilities[words, tag_ids])

    def decode(self, lengths: Sequence[int] | np.ndarray) -> None:
        """Replace illegal sequences of tags, and score entities, once all predictions are added.

        `lengths`: (sentences,), words of each.
        """
        for words in self.illegal_sentences(lengths):
            tag_ids = most_probable_tags(self.biased(words), self.legal)
            self.tag_ids[words] = tag_ids
            self.probabilities[words] = np.exp(self.log_probabilities[words, tag_ids])
        if self.calibration is not None:
            self._score_entities(lengths, self.calibration)

    def _score_entities(
        self, lengths: Sequence[int] | np.ndarray, calibration: Calibration
    ) -> None:
        """Store the probabilities of tags, and the calibrated ones of entities."""
        words, known = self.known_words(lengths)
        log_probabilities, tag_ids = self.log_probabilities[words], self.tag_ids[words]
        self.probabilities[words], of_entities = sequence_probabilities(
            log_probabilities, tag_ids, known, self.label_names
        )
        _, first, last = entity_spans(tag_ids, known, self.label_names)
        sizes = words[last] + 1 - words[first]  # including words without a sub-word
        ends = np.cumsum(sizes)
        inside = np.arange(sizes.sum()) + np.repeat(words[first] + sizes - ends, sizes)
        scores = calibration.scores(of_entities).astype(np.float32)
        self.entity_scores = np.zeros_like(self.probabilities)
        self.entity_scores[inside] = np.repeat(scores, sizes)
        if (scores < self.operating_point.min_score).any():
            is_low = self.entity_scores < self.operating_point.min_score
            tag_ids[is_low[words]] = self.label_names.index("O")
            self.tag_ids[words], self.entity_scores[is_low] = tag_ids, 0.0
            self.probabilities[words], _ = sequence_probabilities(
                log_probabilities, tag_ids, known, self.label_names
            )

    def known_words(self, lengths: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the words with a prediction, (words,), and how many each sentence has."""
        words = np.flatnonzero(self.tag_ids != NO_TAG)
        sentences = np.repeat(np.arange(len(lengths)), lengths)[words]
        return words, np.bincount(sentences, minlength=len(lengths))

    def decoded_again(
        self,
        lengths: Sequence[int] | np.ndarray,
        calibration: Calibration | None = None,
        operating_point: OperatingPoint = NEUTRAL,
    ) -> WordPredictions:
        """Return a copy that is decoded with another calibration and operating point."""
        again = copy.copy(self)
        again.tag_ids, again.probabilities = self.tag_ids.copy(), self.probabilities.copy()
        again.entity_scores = again.probabilities
        again.calibration, again.operating_point = calibration, operating_point
        again._choose_tags(np.flatnonzero(self.tag_ids != NO_TAG))
        again.decode(lengths)
        return again

    def illegal_sentences(self, lengths: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        """Yield the words of each sentence with an illegal tag, without those without a prediction.

        In all other sentences, the most probable tag of each word is the most probable legal
        sequence. `lengths`: (sentences,), words of each.
        """
        words = np.flatnonzero(self.tag_ids != NO_TAG)
        tags, sentences = self.tag_ids[words], np.repeat(np.arange(len(lengths)), lengths)[words]
        is_first = np.diff(sentences, prepend=-1) > 0
        before = np.where(is_first, len(self.legal) - 1, np.roll(tags, 1))
        illegal = np.unique(sentences[~self.legal[before, tags]])
        starts, stops = (np.searchsorted(sentences, illegal, side) for side in ("left", "right"))
        for start, stop in zip(starts, stops, strict=True):
            yield words[start:stop]

    @property
    def loss(self) -> float:
        """Return the loss summed over words, the same to the last digit in any window order."""
        return math.fsum(self.losses)

    def check_complete(self, words_with_subwords: int) -> None:
        """Raise AssertionError unless every word with a sub-word has a prediction.

        The suite's invariant: words in the corpus = words scored.
        """
        predicted = int((self.tag_ids != NO_TAG).sum())
        if predicted != words_with_subwords:
            raise AssertionError(
                f"got predictions for {predicted} words, expected {words_with_subwords}: all words "
                f"with a sub-word, of {len(self.tag_ids)} in the corpus. The scores would not "
                "cover the corpus."
            )
