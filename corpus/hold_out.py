"""Hold out part of the training split if there is no validation split."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.splits import RawSplit, sentence_hashes
from support.errors import UserError
from support.text import counted

HELD_OUT_SHARE = 0.1


def hold_out(train: RawSplit, seed: int) -> tuple[np.ndarray, str]:
    """Return the sentences to validate on (bool, one per sentence), and a note on the choice.

    Whole documents are drawn in an order set by the seed. Each is taken if it still fits into a
    tenth of the sentences; if none fits, the smallest document is taken. With fewer than two
    documents, distinct sentences are drawn instead, each with all its repetitions, up to a tenth
    of the distinct sentences and a tenth of all sentences. If none fits, a tenth of all sentences
    is taken.
    """
    if train.sentences < 2:
        raise UserError(
            f"{train.sources[0].name}: too few sentences to hold some out for validation: got 1, "
            "expected 2 or more. Add sentences, or name a --validation_file."
        )
    size = max(1, round(HELD_OUT_SHARE * train.sentences))
    rng = random.Random(seed)
    without_document = train.sentences - train.documents.total()
    documents = dict(train.documents) | ({"": without_document} if without_document else {})
    if len(documents) < 2:
        held_out, choice = _sentences_to_hold_out(train, size, rng)
    else:
        order = rng.sample(sorted(documents), len(documents))
        chosen, remaining = [], size
        for document in order:
            if documents[document] <= remaining:
                chosen.append(document)
                remaining -= documents[document]
        chosen = chosen or [min(order, key=lambda document: documents[document])]
        chosen_set = pa.array(chosen, pa.string())
        held_out = np.concatenate(
            [
                pc.is_in(batch.documents.fill_null(""), chosen_set).to_numpy(zero_copy_only=False)
                for batch in train.batches()
            ]
        )
        choice = f"{len(chosen)} of {counted(len(documents), 'document')}"
    return held_out, (
        f"There is no validation split: {held_out.sum():,} of {train.sentences:,} training "
        f"sentences are held out for validation ({choice}, seed {seed})."
    )


def _sentences_to_hold_out(
    train: RawSplit, size: int, rng: random.Random
) -> tuple[np.ndarray, str]:
    """Return at most `size` sentences, equal ones together if possible, and a description."""
    _, first, group = np.unique(sentence_hashes(train), return_index=True, return_inverse=True)
    # Number the groups by first occurrence: hashes of strings differ between processes.
    order = np.empty(len(first), int)
    order[np.argsort(first)] = np.arange(len(first))
    group = order[group]
    sizes = np.bincount(group)
    target = max(1, round(HELD_OUT_SHARE * len(sizes)))
    fitting = np.flatnonzero(sizes <= size).tolist()
    chosen, remaining = [], size
    for number in rng.sample(fitting, min(target, len(fitting))):
        if sizes[number] <= remaining:
            chosen.append(number)
            remaining -= sizes[number]
    if chosen:
        together = ", equal sentences kept together" if len(sizes) < train.sentences else ""
        return np.isin(group, chosen), f"chosen by sentence{together}"
    held_out = np.zeros(train.sentences, bool)
    held_out[rng.sample(range(train.sentences), size)] = True
    return held_out, "chosen by sentence"
