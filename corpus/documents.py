"""Documents of a split: which neighbouring sentences belong together."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from corpus.load import Corpus


def document_numbers(corpus: Corpus, split: str) -> np.ndarray:
    """Return the number of the document of each sentence, (sentences,), int32, in ascending order.

    A document is a sequence of neighbouring sentences of one source with the same `doc_id`.
    Sentences without a `doc_id` are one document if their source is among `Corpus.whole_files`;
    otherwise each is a document of its own.
    """
    rows = corpus.splits[split]
    columns = [name for name in ("source", "doc_id") if name in rows.column_names]
    whole_files = corpus.whole_files.get(split, [])
    numbers = np.zeros(len(rows), np.int32)
    if not columns:
        return np.arange(len(rows), dtype=np.int32)
    start, before = 0, None
    for batch in rows.with_format("arrow", columns=columns).iter(10_000):
        size = batch.num_rows
        sources, names = np.zeros(size, np.int32), pa.nulls(size, pa.string())
        if "source" in columns:
            sources = batch["source"].to_numpy()
        if "doc_id" in columns:
            names = batch["doc_id"].combine_chunks()
        is_named = names.is_valid().to_numpy(zero_copy_only=False)
        # Distinct names as numbers from 1 on; 0 for none.
        encoded = pc.fill_null(names, "").dictionary_encode()
        codes = np.where(is_named, encoded.indices.to_numpy() + 1, 0)
        begins = np.ones(size, bool)
        begins[1:] = (np.diff(sources) != 0) | (np.diff(codes) != 0)
        first = (int(sources[0]), names[0].as_py())
        begins[0] = first != before
        begins |= ~is_named & ~np.isin(sources, whole_files)
        numbers[start : start + size] = begins
        start += size
        before = (int(sources[-1]), names[-1].as_py())
    return numbers.cumsum(dtype=np.int32) - 1


def has_neighbours(numbers: np.ndarray) -> bool:
    """Return whether some document has several sentences (see `document_numbers`)."""
    return len(numbers) > 0 and int(numbers[-1]) + 1 < len(numbers)


def digest_of(numbers: np.ndarray) -> str:
    """Return a hash of the documents of a split (see `document_numbers`)."""
    return hashlib.blake2b(numbers.astype("<i4").tobytes(), digest_size=8).hexdigest()
