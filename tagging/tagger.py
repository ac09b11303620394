"""`Tagger`, the library: texts to words with tags and to entities.

A text takes the path of a sentence in training: words, windows of sub-words, batches, one tag for
each word. Windows of similar length share a batch of bounded size, so that there is hardly any
padding.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby, islice
from typing import Any

import numpy as np

import common
from corpus.words import Words, readable, word_splitter
from scoring.word_predictions import Calibration, OperatingPoint, WordPredictions
from settings.tagging_flags import DTYPES
from support.errors import UserError
from tagging.arguments import documents_of, sentences_of, texts_of
from tagging.entities import TaggedText, entities_of
from tagging.fast_bert import Window
from tagging.loading import Network, load, longest_window

# Sub-words in a batch. More gains nothing, and on a CPU exceeds its caches.
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 2048, 32768
CPU_PADDED_TOKENS = (
    512  # with padding: less of it, and DeBERTa's tables of positions stay in caches
)
# In half precision the probabilities of the two best tags each err by up to half of this (0.045
# over 800 sentences); a smaller difference between them does not decide.
DOUBT = 0.1
CHUNK_TEXTS = 4096  # texts that `Tagger.__call__` sorts by length together


class Tagger:
    """A model that tags texts, in batches, as `infer.py` does.

    >>> tagger = Tagger("bert-finetuned-ner")
    >>> (result,) = tagger(["Anna went to New York."])
    >>> [(entity["entity_group"], entity["word"]) for entity in result["entities"]]
    [('PER', 'Anna'), ('LOC', 'New York')]

    `model`: a folder or a name on the Hub, of any `AutoModelForTokenClassification`.
    `trust_remote_code`: whether code that comes with the model may run. `dtype`: fp32, bf16 or
    fp16; tags that the latter two leave in doubt are computed again in fp32.
    `device`: a device name of torch; default: a GPU if there is one. `batch_tokens`: sub-words in a
    batch. `decode`: "viterbi" for the most probable legal sequence of entity tags in each sentence,
    "argmax" for the most probable tag of each word; default: the value in the model's
    configuration, otherwise "argmax". Calibration and operating point apply to legal sequences
    only, so "argmax" ignores them.

    Threads may share a tagger: nothing in it changes once it is loaded. One call already uses all
    cores (`torch.set_num_threads` sets how many), so one call of many texts is faster than many
    calls. Forked processes may share a tagger on a CPU; on a GPU each process loads its own.

    Memory: the weights (with another `dtype`, those in fp32 too), one batch, and the results of the
    call. A call takes texts from an iterable 4,096 at a time, but returns all results together:
    split a long stream over several calls.

    Errors: loading raises UserError if the model cannot tag words, if its files are damaged, or if
    the value of an argument is unknown. A call raises TypeError, which names the position, for an
    argument that is not a text or a word. Every text, whatever its characters and length, has a
    result.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        revision: str = "main",
        trust_remote_code: bool = False,
        dtype: str = "fp32",
        device: str | None = None,
        batch_tokens: int | None = None,
        decode: str | None = None,
    ):
        import torch

        if dtype not in DTYPES:
            raise UserError(f"dtype: got {dtype}, expected one of {', '.join(DTYPES)}")
        try:
            self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"--device {device}: not available on this machine: {reason}") from None
        precisions = [getattr(torch, DTYPES[name]) for name in dict.fromkeys((dtype, "fp32"))]
        self.name = str(model)
        config, self.tokenizer, networks, padded, self.padding_leaks = load(
            self.name, revision, precisions, self.device, trust_remote_code
        )
        self.network: Network = networks[0]
        self.exact_network = networks[1] if len(networks) > 1 else None
        self.max_length = longest_window(self.tokenizer, config)
        self.context: int = getattr(config, "context", None) or 0  # sub-words on each side
        self.word_splitter: str | None = getattr(config, "word_splitter", None)
        self.split_words = word_splitter(self.word_splitter)
        self.task: str | None = getattr(config, "task_name", None)
        self.label_names = [config.id2label[i] for i in range(len(config.id2label))]
        self.entity_tags = common.are_entity_tags(self.label_names)
        self.decodes = self.entity_tags and (decode or getattr(config, "decode", "")) == "viterbi"
        self.calibration, self.operating_point = None, OperatingPoint()
        if self.decodes:
            self.calibration = Calibration.of_config(config)
            self.operating_point = OperatingPoint.of_config(config)
        on_cpu = self.device.type == "cpu"
        cpu_tokens = CPU_PADDED_TOKENS if padded else CPU_BATCH_TOKENS
        self.batch_tokens = batch_tokens or (cpu_tokens if on_cpu else GPU_BATCH_TOKENS)

    def __call__(
        self, texts: str | Iterable[str], *, all_words: bool = False, min_score: float = 0.0
    ) -> list[dict[str, Any]]:
        """Return a result for each text, in order.

        A result is `{"text", "entities": [{"entity_group", "score", "word", "start", "end"}]}`.
        `start` and `end` count code points: `text[start:end] == word`. The score of an entity is
        its calibrated probability among all legal sequences of tags; that of a word is the
        probability of its tag among them. Without a calibration, the score of a word is the model's
        probability of its tag, and that of an entity is the mean over its words. Models with plain
        tags (parts of speech) give `"words": [{"word", "tag", "score", "start", "end"}]` instead;
        `all_words` gives both. Entities with a score below `min_score` are left out. Each text is a
        document of its own.

        >>> tagger = Tagger("bert-finetuned-ner")
        >>> (result,) = tagger("Anna said", all_words=True)
        >>> [(word["word"], word["tag"], word["start"]) for word in result["words"]]
        [('Anna', 'B-PER', 0), ('said', 'O', 5)]
        """
        if not 0 <= min_score <= 1:  # 50 would leave out every entity
            raise ValueError(f"min_score: got {min_score}, expected 0 to 1")
        remaining = texts_of(texts)
        results: list[dict[str, Any]] = []
        while chunk := list(islice(remaining, CHUNK_TEXTS)):
            tagged_texts = self.tag_texts([(text, None) for text in chunk])
            results += [self.result(tagged, all_words, min_score) for tagged in tagged_texts]
        return results

    def tag_texts(
        self,
        texts: list[tuple[str, Words | None]],
        documents: Sequence[Any] | None = None,
        before: Sequence[tuple[str, Words | None]] = (),
        after: Sequence[tuple[str, Words | None]] = (),
    ) -> list[TaggedText]:
        """Return texts with their tags; a text comes with its words, or with None to be split.

        `documents`: see `tag_words`. `before`, `after`: texts that are context only, of the first
        and of the last text.
        """
        split = [
            (text, self.split_words(text) if words is None else words) for text, words in texts
        ]
        context = None
        if self.context and documents is not None:
            around = ([self._words_of(*text) for text in texts] for texts in (before, after))
            context = common.Context(self.context, documents, *around)
        sentences = [readable([word for word, _, _ in words]) for _, words in split]
        return [
            TaggedText(*text, sentence.predicted, sentence.probabilities, sentence.entity_scores)
            for text, sentence in zip(split, self._predictions(sentences, context), strict=True)
        ]

    def num_sub_words(self, text: str, words: Words | None) -> int:
        """Return the number of sub-words of a text, which comes as in `tag_texts`."""
        return common.num_sub_words(self._words_of(text, words), self.tokenizer)

    def _words_of(self, text: str, words: Words | None) -> list[str]:
        words = self.split_words(text) if words is None else words
        return readable([word for word, _, _ in words])

    def tag_words(
        self, sentences: list[list[str]], documents: Sequence[Any] | None = None
    ) -> list[tuple[list[str], list[float]]]:
        """Return (tags, probabilities) for each sentence, one of each per word.

        As in evaluation, a word without a sub-word has the tag of an entity around it, or else O;
        its probability is 0. `documents`: a value that identifies the document of each sentence, or
        None. Neighbouring sentences of the same document are context of each other, if the model
        was trained with context. By default, each sentence is a document of its own.

        >>> ((tags, probabilities),) = Tagger("bert-finetuned-ner").tag_words([["Anna", "said"]])
        >>> tags, len(probabilities)
        (['B-PER', 'O'], 2)
        """
        return [
            (sentence.predicted, sentence.probabilities)
            for sentence in self.predict(sentences, documents)
        ]

    def predict(
        self, sentences: list[list[str]], documents: Sequence[Any] | None = None
    ) -> list[common.SentencePrediction]:
        """Return the predictions of sentences of words; `documents`: see `tag_words`."""
        sentences, context = self._readable(sentences, documents)
        return self._predictions(sentences, context)

    def predict_labels(
        self, sentences: list[list[str]], documents: Sequence[Any] | None = None
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield (tags, log probabilities) of each sentence of words.

        The log probabilities are the model's, of all labels in the order of `label_names`: (words,
        labels). For a word without a sub-word, all labels are equally probable. `documents`: see
        `tag_words`.
        """
        sentences, context = self._readable(sentences, documents)
        predictions = self.predict_words(sentences, context, all_labels=True)
        unknown = predictions.tag_ids == common.NO_TAG
        predictions.log_probabilities[unknown] = -np.log(len(self.label_names))
        rows, start = [{"tokens": words} for words in sentences], 0
        for sentence in common.postprocess(predictions, rows, self.label_names):
            end = start + len(sentence.words)
            yield sentence.predicted, predictions.log_probabilities[start:end]
            start = end

    def _readable(
        self, sentences: list[list[str]], documents: Sequence[Any] | None
    ) -> tuple[list[list[str]], common.Context | None]:
        """Return sentences of readable words, and their context; None if the model has none."""
        sentences = [readable(words) for words in sentences_of(sentences)]
        context = None
        if documents is not None:
            context = common.Context(self.context, documents_of(documents, len(sentences)))
        return sentences, context if self.context else None

    def _predictions(
        self, sentences: list[list[str]], context: common.Context | None
    ) -> list[common.SentencePrediction]:
        """Return the predictions of sentences of readable words."""
        if not sentences:
            return []
        rows = [{"tokens": words} for words in sentences]
        predictions = self.predict_words(sentences, context)
        return list(common.postprocess(predictions, rows, self.label_names))

    def predict_words(
        self,
        sentences: list[list[str]],
        context: common.Context | None = None,
        all_labels: bool = False,
    ) -> WordPredictions:
        """Return the decoded predictions of sentences of readable words, by word.

        `all_labels`: keep the probabilities of all labels, even if decoding does not need them.
        """
        lengths = [len(words) for words in sentences]
        starts = [0, *accumulate(lengths)]
        windows = []
        for sentence, columns, owned in common.encode(
            sentences, self.tokenizer, self.max_length, context
        ):
            word_numbers = range(starts[sentence], starts[sentence + 1])
            columns["word_index"] = common.align_labels_with_tokens(word_numbers, owned)
            windows.append(columns)
        keep = all_labels or self.decodes or self.exact_network is not None
        predictions = WordPredictions(
            starts[-1], self.label_names, keep, self.calibration, self.operating_point
        )
        self._predict(self.network, windows, predictions)
        if self.exact_network is not None:
            doubtful = self._doubtful_words(predictions, lengths)
            retagged = [
                window for window in windows if not doubtful.isdisjoint(window["word_index"])
            ]
            self._predict(self.exact_network, retagged, predictions)
        if self.decodes:
            predictions.decode(lengths)
        return predictions

    def _predict(
        self, network: Network, windows: list[Window], predictions: WordPredictions
    ) -> None:
        """Add the predictions of windows."""
        import torch

        batches = []
        with torch.inference_mode():
            for batch in self._batches(windows):
                logits, word_index = network(batch)
                batches.append((logits.log_softmax(-1), word_index))
        # A second loop, so that a GPU has all batches queued before the first result is awaited.
        for log_probabilities, word_index in batches:
            if log_probabilities.isnan().any():
                raise UserError(
                    f"{self.name}: the model computes nothing for some of the texts: got logits "
                    "that are not finite, expected finite ones. Its files are damaged, or its "
                    "precision is too low."
                )
            predictions.add_words(log_probabilities, word_index)

    def _doubtful_words(self, predictions: WordPredictions, lengths: list[int]) -> set[int]:
        """Return the words whose tag half precision leaves in doubt."""
        if len(self.label_names) < 2:
            return set()
        scores = predictions.biased(np.arange(len(predictions.tag_ids)))
        if self.operating_point.outside_bias:
            scores -= np.logaddexp.reduce(scores, axis=-1, keepdims=True)
        two_best = np.partition(scores, -2, axis=-1)[:, -2:]
        gaps = np.exp(two_best[:, 1]) - np.exp(two_best[:, 0])
        doubtful = set(np.flatnonzero(gaps < DOUBT).tolist())
        if self.decodes:  # the tags of an illegal sequence depend on all probabilities
            for words in predictions.illegal_sentences(lengths):
                doubtful.update(words.tolist())
        return doubtful

    def _batches(self, windows: list[Window]) -> Iterator[list[Window]]:
        """Yield windows of similar length, the longest first, up to `batch_tokens` sub-words.

        If padding would change the tags, the windows of a batch have one length, as in evaluation.
        """
        windows = sorted(windows, key=lambda window: -len(window["input_ids"]))
        groups = [windows]
        if self.padding_leaks:
            groups = [
                list(group)
                for _, group in groupby(windows, lambda window: len(window["input_ids"]))
            ]
        for group in groups:
            start = 0
            while start < len(group):
                size = max(1, self.batch_tokens // len(group[start]["input_ids"]))
                yield group[start : start + size]
                start += size

    def result(
        self, tagged: TaggedText, all_words: bool = False, min_score: float = 0.0
    ) -> dict[str, Any]:
        """Return the result that `__call__` gives for a tagged text."""
        text, words, tags, probabilities, _ = tagged
        result: dict[str, Any] = {"text": text}
        if self.entity_tags:
            result["entities"] = [
                entity for entity in entities_of(tagged) if entity["score"] >= min_score
            ]
        if all_words or not self.entity_tags:
            result["words"] = [
                {"word": word, "tag": tag, "score": score, "start": start, "end": end}
                for (word, start, end), tag, score in zip(words, tags, probabilities, strict=True)
            ]
        return result
