"""The most probable legal sequence of entity tags, and the probabilities of tags and entities.

A sequence is legal if each I-X follows a B-X or I-X. The probability of a legal sequence is
proportional to the product of the probabilities that the model gives to its tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# The lowest weight of a tag relative to the best tag of its word. Otherwise a sum could be 0.
MIN_LOG_RATIO = -300.0
# The most values, tags times words, in an array of `sequence_probabilities`: 8 MiB.
CHUNK_VALUES = 1 << 20


def legal_transitions(label_names: Sequence[str]) -> np.ndarray:
    """Return whether IOB2 allows a label after another, (labels + 1, labels).

    I-X is legal only after B-X or I-X. The last row is the start of a sentence. A type that has
    no B-X begins with I-X anywhere.
    """
    legal = np.ones((len(label_names) + 1, len(label_names)), bool)
    for label, name in enumerate(label_names):
        begin = f"B-{name[2:]}"
        if name.startswith("I-") and begin in label_names:
            legal[:, label] = [previous in (begin, name) for previous in (*label_names, "")]
    return legal


def most_probable_tags(log_probabilities: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """Return the labels of the most probable legal sequence of tags, (words,), after Viterbi.

    `log_probabilities`: (words, labels). `legal`: see `legal_transitions`.
    """
    scores_of_transitions = np.where(legal, 0.0, -np.inf)
    best = scores_of_transitions[-1] + log_probabilities[0]  # of sequences that end in each label
    origins = []
    for scores in log_probabilities[1:]:
        sequences = best[:, None] + scores_of_transitions[:-1]
        origins.append(sequences.argmax(0))
        best = sequences.max(0) + scores
    labels = [int(best.argmax())]
    for origin in reversed(origins):
        labels.append(int(origin[labels[-1]]))
    return np.array(labels[::-1])


class SequenceProbabilities(NamedTuple):
    """The probabilities of the tags of words, and of the entities that the tags make."""

    words: np.ndarray  # (words,), of all sequences in which the word has this tag
    # (entities,), in the order of `entity_spans`, of all sequences that have exactly this entity:
    # its type, its first and its last word
    entities: np.ndarray


def sequence_probabilities(
    log_probabilities: np.ndarray,
    tag_ids: np.ndarray,
    lengths: Sequence[int] | np.ndarray,
    label_names: Sequence[str],
) -> SequenceProbabilities:
    """Return the probabilities of sentences' tags among all legal sequences of tags.

    The probability of a legal sequence is proportional to the product of the probabilities of its
    words. The sums over sequences are computed by the forward-backward algorithm (Rabiner 1989, A
    Tutorial on Hidden Markov Models, section III).

    `log_probabilities`: (words, labels). `tag_ids`: (words,), legal. `lengths`: (sentences,), words
    of each.
    """
    order = _TagOrder.of(label_names)
    lengths = np.asarray(lengths)[np.flatnonzero(lengths)]
    ends = np.cumsum(lengths)
    chunks = [SequenceProbabilities(np.zeros(0), np.zeros(0))]
    sentence = start = 0
    while sentence < len(lengths):
        room = max(CHUNK_VALUES // len(order.names), lengths[sentence])
        following = int(np.searchsorted(ends, start + room, side="right"))
        words = slice(start, int(ends[following - 1]))
        weights = order.weights(log_probabilities[words])
        lengths_of_chunk = lengths[sentence:following]
        chunks.append(_probabilities_of_chunk(weights, tag_ids[words], lengths_of_chunk, order))
        sentence, start = following, words.stop
    return SequenceProbabilities(*map(np.concatenate, zip(*chunks, strict=True)))


def _probabilities_of_chunk(
    weights: np.ndarray, tag_ids: np.ndarray, lengths: np.ndarray, order: _TagOrder
) -> SequenceProbabilities:
    """Return the probabilities of sentences; `weights`: see `_TagOrder.weights`."""
    before, sums, after = _messages(weights, lengths, order.num_inside)
    count, m = len(tag_ids), order.num_inside
    words, tags = np.arange(count), order.places[tag_ids]
    ends = np.cumsum(lengths) - 1  # the last word of each sentence

    # The messages from the next word: `open_total` sums the tags that may follow every tag,
    # `same_type` is that of the I-X that may follow the tag of this word.
    following = np.zeros_like(after)
    following[:, :-1] = after[:, 1:]
    following[:, ends] = 0.0
    open_total = following[m:].sum(0)
    open_total[ends] = 1.0
    totals = open_total + ((before[:m] + before[m : 2 * m]) * following[:m]).sum(0)
    same_type = np.where(tags < 2 * m, following[tags % m if m else 0, words], 0.0)
    of_words = before[tags, words] * (open_total + same_type) / totals

    _, first, last = entity_spans(tag_ids, lengths, order.label_names)
    steps = np.append(np.log(weights[tags, words] / sums), 0.0)
    bounds = np.column_stack([first, last + 1]).ravel()
    inner = np.add.reduceat(steps, bounds)[::2] if len(first) else np.zeros(0)
    begins, stops = np.ones(len(first)), open_total[last]
    # An I-X whose type has no B-X would continue the entity at either end.
    lone = order.lone_inside[tag_ids[first]]
    (has_lone,) = np.nonzero(lone >= 0)
    stops[has_lone] -= following[lone[has_lone], last[has_lone]]
    (has_lone,) = np.nonzero((lone >= 0) & (first > 0) & ~np.isin(first - 1, ends))
    begins[has_lone] -= before[lone[has_lone], first[has_lone] - 1]
    of_entities = begins * np.exp(inner) * stops / totals[last]
    return SequenceProbabilities(of_words.clip(0.0, 1.0), of_entities.clip(0.0, 1.0))


class _TagOrder(NamedTuple):
    """The distinct tags: each I-X whose type has a B-X, the B-X of these in the same order, others.

    The former are the tags that may not follow every tag.
    """

    label_names: Sequence[str]
    names: list[str]
    num_inside: int  # of the tags that come first
    places: np.ndarray  # (labels,), the place of each label's tag
    lone_inside: np.ndarray  # (labels,), the place of I-X for an X that has no B-X, or -1

    @classmethod
    def of(cls, label_names: Sequence[str]) -> _TagOrder:
        distinct = list(dict.fromkeys(label_names))
        inside = [n for n in distinct if n.startswith("I-") and f"B-{n[2:]}" in distinct]
        leading = [*inside, *(f"B-{name[2:]}" for name in inside)]
        names = [*leading, *(name for name in distinct if name not in leading)]
        places = np.array([names.index(name) for name in label_names])
        is_lone = [name.startswith("I-") and name not in inside for name in label_names]
        return cls(label_names, names, len(inside), places, np.where(is_lone, places, -1))

    def weights(self, log_probabilities: np.ndarray) -> np.ndarray:
        """Return the probabilities of the tags of each word up to a factor, (tags, words).

        Labels with the same name, such as all that are not entity tags, count as one tag.
        """
        scores = np.ascontiguousarray(log_probabilities.T, np.float64)
        of_labels = np.exp(np.maximum(scores - scores.max(0), MIN_LOG_RATIO))
        weights = np.zeros((len(self.names), len(log_probabilities)))
        for label, place in enumerate(self.places):
            weights[place] += of_labels[label]
        return weights


def _messages(
    weights: np.ndarray, lengths: np.ndarray, m: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the forward and backward messages of words, which include the words' own weights.

    `weights`: (tags, words). The first `m` tags may follow only themselves and the tag `m` places
    further on. Returns (forward, sums, backward): (tags, words), (words,), (tags, words). The
    messages of each word are scaled to the sum 1; `sums` are those of `forward` before.
    """
    # Words at the same position of their sentences are adjacent, the longest sentences first.
    longest_first = np.argsort(-lengths, kind="stable")
    places = np.arange(len(weights[0])) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    counts = np.bincount(places)
    offsets = np.cumsum(counts) - counts
    ranks = np.empty(len(lengths), int)
    ranks[longest_first] = np.arange(len(lengths))
    rows = offsets[places] + np.repeat(ranks, lengths)
    forward = np.empty_like(weights)
    forward[:, rows] = weights
    backward = forward.copy()
    sums = np.empty(len(rows))
    spans = [slice(start, start + count) for start, count in zip(offsets, counts, strict=True)]

    previous = None
    for span in spans:
        message = forward[:, span]
        if previous is None:
            message[:m] = 0.0
        else:
            previous = previous[:, : span.stop - span.start]
            message[:m] *= previous[:m] + previous[m : 2 * m]
        message.sum(0, out=sums[span])
        message /= sums[span]
        previous = message

    following = None
    for span in reversed(spans):
        message = backward[:, span]
        if following is not None:
            continued = message[:, : following.shape[1]]
            unrestricted = following[m:].sum(0)
            continued[2 * m :] *= unrestricted
            same_type = following[:m] + unrestricted
            continued[:m] *= same_type
            continued[m : 2 * m] *= same_type
        message /= message.sum(0)
        following = message
    return forward[:, rows], sums[rows], backward[:, rows]


def entity_spans(
    tag_ids: np.ndarray, lengths: Sequence[int] | np.ndarray, label_names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (types, first words, last words) of the entities of many sentences, in order.

    They are those of `common.entities`. `tag_ids`: (words,), of consecutive sentences. `lengths`:
    (sentences,), words of each. A type is the number of the first label that has it.
    """
    lengths = np.asarray(lengths, int)
    names = ["" if name == "O" else name.partition("-")[2] for name in label_names]
    types = np.array([names.index(name) if name else -1 for name in names])[tag_ids]
    continues = np.array([name.startswith("I-") for name in label_names])[tag_ids]
    continues[1:] &= types[1:] == types[:-1]
    begins_sentence = np.zeros(len(tag_ids) + 1, bool)
    begins_sentence[np.cumsum(lengths) - lengths] = True
    continues &= ~begins_sentence[:-1]
    first = np.flatnonzero((types >= 0) & ~continues)
    bounds = np.append(np.flatnonzero(~continues), len(tag_ids))
    last = bounds[np.searchsorted(bounds, first, side="right")] - 1
    return types[first], first, last
