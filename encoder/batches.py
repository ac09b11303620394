"""A corpus as windows of sub-words: `encode_corpus`. Batches of them: see `encoder.collate`.

torch and pyarrow are imported by the functions that need them, so that `infer.py` can start
without them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common import IGNORED, inside_labels, tokenize_and_align_labels
from settings.run_settings import WindowSettings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from corpus.load import Corpus

ENCODING = 1  # version of the format that `encode_split` writes; increase it with every change

Window = dict[str, list[int]]  # `input_ids`, `labels`, ..., each (tokens,)


def encode_corpus(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    settings: WindowSettings,
) -> dict[str, WindowSet]:
    """Return each split as windows of at most `max_length` tokens.

    "train" has labels on all sub-words of a word if `label_all_tokens`, otherwise on its first;
    the other splits have one label per word. Encoded splits are cached, unless `overwrite_cache`,
    under a key of everything that they depend on: corpus, labels, tokenizer, length, `ENCODING`.
    """
    inside = None
    if settings.label_all_tokens:
        inside = inside_labels(corpus.label_names, corpus.entity_tags)
    # Read once, because encoding changes the truncation that a tokenizer states.
    tokenizer_text = tokenizer.backend_tokenizer.to_str()
    windows = {}
    for name, split in corpus.splits.items():
        evaluate = name != "train"
        parts = (
            corpus.fingerprint,
            name,
            len(split),
            corpus.label_names,
            tokenizer_text,
            max_length,
            None if evaluate else inside,
            ENCODING,
        )
        key = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
        windows[name] = encode_split(
            split, tokenizer, max_length, inside, evaluate, key, settings.overwrite_cache
        )
    return windows


def encode_split(
    split: Dataset,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    inside: list[int] | None,
    evaluate: bool,
    key: str,
    overwrite_cache: bool = False,
) -> WindowSet:
    """Return a split of a corpus as a `WindowSet`, for training or, if `evaluate`, evaluation.

    `inside`: see `common.inside_labels`; None labels the first sub-word of a word only. The split
    is encoded batch by batch into a memory-mapped file, which a later call with the same `key`
    reads again unless `overwrite_cache`.
    """
    from corpus.load import full_disk_reported

    word_starts = np.zeros(len(split) + 1, np.int64)  # index of each sentence's first word
    words_of_sentences(split).cumsum(out=word_starts[1:])

    def encode_batch(examples: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        return tokenize_and_align_labels(
            examples, tokenizer, max_length, inside, word_starts[indices] if evaluate else None
        )

    cache = Path(split.cache_files[0]["filename"]).parent if split.cache_files else Path()
    with full_disk_reported(cache):
        rows = split.map(
            encode_batch,
            batched=True,
            with_indices=True,
            remove_columns=split.column_names,
            new_fingerprint=key,
            load_from_cache_file=not overwrite_cache,
            desc="Encoding",
        )
    return WindowSet(rows, int(word_starts[-1]))


def words_of_sentences(split: Dataset) -> np.ndarray:
    """Return the number of words of each sentence, (sentences,)."""
    import pyarrow.compute as pc

    batches = split.with_format("arrow", columns=["tokens"]).iter(10_000)
    counts = [pc.list_value_length(batch["tokens"]).to_numpy() for batch in batches]
    return np.concatenate([np.zeros(0, np.int64), *counts])


class WindowSet:
    """Windows as a map-style data set, with fillers at indices `len(self)` and above.

    A filler completes a batch. It is a window without words whose labels are all -100, so it
    changes neither loss nor score, and each sentence counts once on any number of processes. Index
    `len(self)` is the filler of the shortest window, `len(self) + 1 + i` that of window `i`.
    """

    num_words: int  # of the split
    words_with_subwords: int
    sentences_cut: int  # into several windows
    lengths: np.ndarray  # (windows,), tokens

    def __init__(self, rows: Dataset, num_words: int) -> None:
        """Wrap `rows`, as `common.tokenize_and_align_labels` returns them."""
        if not len(rows):  # `Dataset.map` drops the columns if no sentence has a sub-word
            rows = rows.from_dict({"length": [], "words": [], "part": []})
        self.rows = rows.remove_columns(["length", "words", "part"])
        self.lengths = np.empty(len(rows), np.int32)
        self.num_words = num_words
        self.words_with_subwords = self.sentences_cut = start = 0
        for batch in rows.with_format("numpy", columns=["length", "words", "part"]).iter(10_000):
            self.lengths[start : start + len(batch["length"])] = batch["length"]
            self.words_with_subwords += int(batch["words"].sum())
            self.sentences_cut += int((batch["part"] == 1).sum())
            start += len(batch["length"])
        self.shortest = int(self.lengths.argmin()) if len(self.lengths) else 0

    def __len__(self) -> int:
        return len(self.lengths)

    def token_ids(self) -> np.ndarray:
        """Return the distinct ids of all sub-words, (ids,), in ascending order."""
        of_batches = [np.unique(values) for values in self._values("input_ids")]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *of_batches]))

    def _values(self, column: str) -> Iterator[np.ndarray]:
        """Yield a column of lists, end to end, in pieces of (tokens,)."""
        import pyarrow.compute as pc

        for batch in self.rows.with_format("arrow", columns=[column]).iter(10_000):
            yield pc.list_flatten(batch[column]).to_numpy()

    def __getitem__(self, index: int) -> Window:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Window]:
        size = len(self)
        origins = [int(i) % (size + 1) for i in indices]
        windows = self.rows.__getitems__([self.shortest if i == size else i for i in origins])
        for index, window in zip(indices, windows, strict=True):
            if index >= size:
                for name in {"labels", "word_index"} & window.keys():
                    window[name] = [IGNORED] * len(window[name])
        return windows
