"""Encoded windows as a data set (`encode_split`, `WindowSet`) and batches of them (`PadBatch`).

torch and pyarrow are imported by what needs them, so that `infer.py` starts without.
"""

from collections.abc import Iterator

import numpy as np

from common import IGNORED, tokenize_and_align_labels

ENCODING = 1  # counts the changes to what `encode_split` gives, so that no old cache is read


def encode_split(
    split,
    tokenizer,
    max_length: int,
    inside: list[int] | None,
    evaluate: bool,
    key: str,
    afresh: bool = False,
):
    """A split of a corpus as a `WindowSet`, for training or for evaluation.

    Encoded batch by batch into a memory-mapped file, that `key`, a hash of all that matters,
    finds again unless it is to be encoded `afresh`.
    """
    import pyarrow.compute as pc

    starts = np.zeros(len(split) + 1, np.int64)  # of each sentence's words in the split
    batches = split.with_format("arrow", columns=["tokens"]).iter(10_000)
    counts = [pc.list_value_length(batch["tokens"]).to_numpy() for batch in batches]
    if counts:
        np.concatenate(counts).cumsum(out=starts[1:])

    def encode_batch(examples, indices):
        return tokenize_and_align_labels(
            examples, tokenizer, max_length, inside, starts[indices] if evaluate else None
        )

    rows = split.map(
        encode_batch,
        batched=True,
        with_indices=True,
        remove_columns=split.column_names,
        new_fingerprint=key,
        load_from_cache_file=not afresh,
        desc="Encoding",
    )
    return WindowSet(rows, int(starts[-1]))


class WindowSet:
    """Encoded windows as a map-style data set, with one more row, `len(self)`: a filler.

    What evens out the last batch is that row: the shortest window, labels -100, no word. It
    changes no loss and no score, so that each sentence counts once on any number of processes.
    """

    def __init__(self, rows, num_words: int):
        """`rows`: what `tokenize_and_align_labels` gives. `num_words`: words of the split."""
        if not len(rows):  # `Dataset.map` leaves no columns where no sentence has a sub-word
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
        self.filler = {}
        if len(self.lengths):
            self.filler = dict(self.rows[int(self.lengths.argmin())])
            for name in {"labels", "word_index"} & self.filler.keys():
                self.filler[name] = [IGNORED] * len(self.filler[name])

    def __len__(self) -> int:
        return len(self.lengths)

    def token_ids(self) -> np.ndarray:
        """(distinct,) ids of all sub-words, in rising order."""
        found = [np.unique(values) for values in self._values("input_ids")]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def count_labelled(self) -> int:
        """Sub-words that have a label."""
        return sum(int((values != IGNORED).sum()) for values in self._values("labels"))

    def _values(self, column: str) -> Iterator[np.ndarray]:
        """A column of lists, end to end, in pieces of (tokens,)."""
        import pyarrow.compute as pc

        for batch in self.rows.with_format("arrow", columns=[column]).iter(10_000):
            yield pc.list_flatten(batch[column]).to_numpy()

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return self.filler if index == len(self) else self.rows[int(index)]

    def __getitems__(self, indices: list[int]) -> list[dict[str, list[int]]]:
        real = iter(self.rows.__getitems__([int(i) for i in indices if i != len(self)]))
        return [self.filler if i == len(self) else next(real) for i in indices]


class PadBatch:
    """Collator: windows of different lengths to tensors of (batch, longest), padding masked.

    `multiple_of`: round the length up, so that batches have few shapes: kernels are compiled for
    each on a CPU, and want multiples of 8 on a GPU. `length`: pad all to this many tokens.
    """

    def __init__(self, tokenizer, multiple_of: int = 1, length: int | None = None):
        self.multiple_of, self.length = multiple_of, length
        self.left = tokenizer.padding_side == "left"
        self.fill = {
            "input_ids": tokenizer.pad_token_id or 0,
            "token_type_ids": tokenizer.pad_token_type_id,
            "labels": IGNORED,
            "word_index": IGNORED,
        }

    def __call__(self, windows: list[dict[str, list[int]]]) -> dict:
        """Lists of (tokens,) to int64 tensors (batch, longest), `attention_mask` added."""
        import torch

        lengths = [len(window["input_ids"]) for window in windows]
        longest = self.length or -(-max(lengths) // self.multiple_of) * self.multiple_of
        batch = {"attention_mask": np.zeros((len(windows), longest), dtype=np.int64)}
        for name in windows[0].keys() & self.fill.keys():
            batch[name] = np.full((len(windows), longest), self.fill[name], dtype=np.int64)
        for row, length in enumerate(lengths):
            part = slice(longest - length, longest) if self.left else slice(0, length)
            for name, values in batch.items():
                values[row, part] = 1 if name == "attention_mask" else windows[row][name]
        return {name: torch.from_numpy(values) for name, values in batch.items()}
