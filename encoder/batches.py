"""A corpus as windows of sub-words: `encode_corpus`. Batches of them: see `encoder.collate`.

torch and pyarrow are imported by the functions that need them, so that `infer.py` can start
without them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common import IGNORED, Context, inside_labels, nearest_sentences, tokenize_and_align_labels
from settings.run_settings import WindowSettings
from support.files import write_text

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from corpus.load import Corpus

ENCODING = 2  # version of the format that `encode_split` writes; increase it with every change

Window = dict[str, list[int]]  # `input_ids`, `labels`, ..., each (tokens,)


def encode_corpus(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    settings: WindowSettings,
    context: int = 0,
) -> dict[str, WindowSet]:
    """Return each split as windows of at most `max_length` tokens.

    With `context`, windows also show at most this many sub-words of the neighbouring sentences of
    the same document on each side.

    "train" has labels on all sub-words of a word if `label_all_tokens`, otherwise on its first;
    the other splits have one label per word. Encoded splits are cached, unless `overwrite_cache`,
    under a key of everything that they depend on: corpus, labels, tokenizer, length, context with
    its documents, `ENCODING`.
    """
    # Imported here, because `infer.py` starts without datasets.
    from corpus.documents import digest_of, document_numbers

    inside = None
    if settings.label_all_tokens:
        inside = inside_labels(corpus.label_names, corpus.entity_tags)
    # Read once, because encoding changes the truncation that a tokenizer states.
    tokenizer_text = tokenizer.backend_tokenizer.to_str()
    windows = {}
    for name, split in corpus.splits.items():
        evaluate = name != "train"
        documents = document_numbers(corpus, name) if context else None
        parts = (
            corpus.fingerprint,
            name,
            len(split),
            corpus.label_names,
            tokenizer_text,
            max_length,
            None if evaluate else inside,
            None if documents is None else (context, digest_of(documents)),
            ENCODING,
        )
        key = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
        windows[name] = encode_split(
            split,
            tokenizer,
            max_length,
            inside,
            evaluate,
            key,
            settings.overwrite_cache,
            context=context,
            documents=documents,
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
    *,
    context: int = 0,
    documents: np.ndarray | None = None,
) -> WindowSet:
    """Return a split of a corpus as a `WindowSet`, for training or, if `evaluate`, evaluation.

    `inside`: see `common.inside_labels`; None labels the first sub-word of a word only. The split
    is encoded batch by batch into a memory-mapped file, which a later call with the same `key`
    reads again, unless `overwrite_cache` or the file is damaged. `context`: the maximum number of
    sub-words of neighbouring sentences on each side. `documents`: the number of the document of
    each sentence.
    """
    from corpus.load import file_digest, full_disk_reported

    word_starts = np.zeros(len(split) + 1, np.int64)  # index of each sentence's first word
    words_of_sentences(split).cumsum(out=word_starts[1:])

    def encode_batch(examples: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        starts = word_starts[indices] if evaluate else None
        around = None
        if documents is not None:
            around = context_of(split, documents, indices, tokenizer, context)
        return tokenize_and_align_labels(examples, tokenizer, max_length, inside, starts, around)

    file = None  # a split in memory is not cached
    if split.cache_files:
        file = Path(split.cache_files[0]["filename"]).parent / f"cache-{key}.arrow"
    is_cached = file is not None and not overwrite_cache and _is_whole(file)
    with full_disk_reported(file.parent if file else Path()):
        rows = split.map(
            encode_batch,
            batched=True,
            with_indices=True,
            remove_columns=split.column_names,
            new_fingerprint=key,
            cache_file_name=str(file) if file else None,
            load_from_cache_file=is_cached,
            desc="Encoding",
        )
        if file is not None and not is_cached and len(split):
            write_text(_checksum_file(file), file_digest(file))
    return WindowSet(rows, int(word_starts[-1]))


def _is_whole(file: Path) -> bool:
    """Return whether a cached split is as it was written."""
    from corpus.load import file_digest

    try:
        return _checksum_file(file).read_text(encoding="utf-8") == file_digest(file)
    except (OSError, ValueError):
        return False


def _checksum_file(file: Path) -> Path:
    return file.with_suffix(".blake2b")


def context_of(
    split: Dataset,
    documents: np.ndarray,
    indices: list[int],
    tokenizer: PreTrainedTokenizerFast,
    size: int,
) -> Context:
    """Return the context of the consecutive sentences `indices`, also from beyond them."""
    rows = split.select_columns(["tokens"])

    def nearest(numbers: range, document: int) -> list[list[str]]:
        same = takewhile(lambda number: documents[number] == document, numbers)
        return [*nearest_sentences((rows[n]["tokens"] for n in same), tokenizer, size)]

    own = documents[indices]
    before = nearest(range(indices[0] - 1, -1, -1), own[0])
    after = nearest(range(indices[-1] + 1, len(split)), own[-1])
    return Context(size, own.tolist(), before[::-1], after)


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
    `len(self)` is the filler of the shortest window, `len(self) + 1 + i` that of window `i`. Index
    `2 * (len(self) + 1) + i` is window `i` without its context.
    """

    num_words: int  # of the split
    words_with_subwords: int
    sentences_cut: int  # into several windows
    lengths: np.ndarray  # (windows,), tokens
    lengths_alone: np.ndarray  # (windows,), tokens without context

    def __init__(self, rows: Dataset, num_words: int) -> None:
        """Wrap `rows`, as `common.tokenize_and_align_labels` returns them."""
        if not len(rows):  # `Dataset.map` drops the columns if no sentence has a sub-word
            rows = rows.from_dict({"length": [], "words": [], "part": []})
        self.rows = rows.remove_columns(["length", "words", "part"])
        self.has_context = "context" in rows.column_names
        self.lengths = np.empty(len(rows), np.int32)
        self.num_words = num_words
        self.words_with_subwords = self.sentences_cut = start = 0
        for batch in rows.with_format("numpy", columns=["length", "words", "part"]).iter(10_000):
            self.lengths[start : start + len(batch["length"])] = batch["length"]
            self.words_with_subwords += int(batch["words"].sum())
            self.sentences_cut += int((batch["part"] == 1).sum())
            start += len(batch["length"])
        self.lengths_alone = self._lengths_alone() if self.has_context else self.lengths
        self.shortest = int(self.lengths.argmin()) if len(self.lengths) else 0

    def __len__(self) -> int:
        return len(self.lengths)

    def _lengths_alone(self) -> np.ndarray:
        """Return the number of tokens of each window that are not context, (windows,)."""
        shown = [values.reshape(-1, 4) @ [-1, 1, -1, 1] for values in self._values("context")]
        return self.lengths - np.concatenate(shown).astype(np.int32)

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
        copies, origins = np.divmod(np.asarray(indices, np.int64), size + 1)
        fillers = (copies == 1) | (origins == size)
        origins[origins == size] = self.shortest
        windows: list[Window] = self.rows.__getitems__(origins.tolist())
        for number, window in enumerate(windows):
            if fillers[number]:
                for name in {"labels", "word_index"} & window.keys():
                    window[name] = [IGNORED] * len(window[name])
            if self.has_context:
                positions = window.pop("context")
                if copies[number] == 2:
                    windows[number] = _without_context(window, positions)
        return windows


def _without_context(window: Window, positions: list[int]) -> Window:
    """Return a window without the sub-words at `positions` (see `common.encode`)."""
    left, start, end, right = positions
    return {name: row[:left] + row[start:end] + row[right:] for name, row in window.items()}
