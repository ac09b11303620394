"""Sentences of the training split that are held out where there is no validation split."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.splits import RawSplit, sentence_hashes
from support.errors import UserError
from support.text import counted

HELD_OUT_SHARE = 0.1


def hold_out(train: RawSplit, seed: int) -> tuple[np.ndarray, str]:
    """Return which sentences to validate on (bool, one per sentence), and a note on the choice.

    Whole documents are taken in an order that the seed decides, as long as they fit into a tenth;
    the smallest one where none does. Where there are fewer than two documents, a tenth of the
    distinct sentences is taken, each with all its repetitions, as far as these fit into a tenth
    of all; where none does, a tenth of all sentences.
    """
    if train.sentences < 2:
        raise UserError(
            f"{train.sources[0].name}: 1 sentence, too few to hold some out for validation; "
            "expected more, or a --validation_file"
        )
    size = max(1, round(HELD_OUT_SHARE * train.sentences))
    shuffled = random.Random(seed)
    without_document = train.sentences - train.documents.total()
    documents = dict(train.documents) | ({"": without_document} if without_document else {})
    if len(documents) < 2:
        held_out, choice = _sentences_to_hold_out(train, size, shuffled)
    else:
        order = shuffled.sample(sorted(documents), len(documents))
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
        f"No validation split: {held_out.sum():,} of {train.sentences:,} training sentences are "
        f"held out for it ({choice}, seed {seed})."
    )


def _sentences_to_hold_out(
    train: RawSplit, size: int, shuffled: random.Random
) -> tuple[np.ndarray, str]:
    """Return at most `size` sentences, equal ones together where possible, and the choice."""
    _, first, group = np.unique(sentence_hashes(train), return_index=True, return_inverse=True)
    # Numbered by first occurrence: hashes of texts differ from process to process.
    order = np.empty(len(first), int)
    order[np.argsort(first)] = np.arange(len(first))
    group = order[group]
    sizes = np.bincount(group)
    wanted = max(1, round(HELD_OUT_SHARE * len(sizes)))
    fitting = np.flatnonzero(sizes <= size).tolist()
    chosen, remaining = [], size
    for number in shuffled.sample(fitting, min(wanted, len(fitting))):
        if sizes[number] <= remaining:
            chosen.append(number)
            remaining -= sizes[number]
    if chosen:
        together = ", equal ones together" if len(sizes) < train.sentences else ""
        return np.isin(group, chosen), f"chosen by sentence{together}"
    held_out = np.zeros(train.sentences, bool)
    held_out[shuffled.sample(range(train.sentences), size)] = True
    return held_out, "chosen by sentence"
