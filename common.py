"""Words, sub-words and tags: the functions that every script of this suite builds on.

A tokenizer turns words into sub-words; `make_windows` cuts a sentence too long for the model into
overlapping windows. Labels go from words to sub-words (`align_labels_with_tokens`,
`tokenize_and_align_labels`), predictions from sub-words back to words (`WordPredictions`,
`postprocess`), where entity tags become the most probable legal sequence (`most_probable_tags`) and
entities get their probability among all legal sequences (`sequence_probabilities`).
Functions that have a counterpart in the chapter "Token classification" of the
Hugging Face LLM course have the same name as there.

This module has nothing to do with files, flags or the Hub, and imports no other module of the
project. torch is imported by the functions that need it, so that `infer.py` can start without it.
"""

from __future__ import annotations

import copy
import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from transformers import BatchEncoding, PreTrainedTokenizerFast

    # Log probabilities, losses, word indices: see `predict_batch`.
    BatchPredictions = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

IGNORED = -100  # label, or word index, of a sub-word that has none
NO_TAG = -1  # tag id of a word without a prediction
PREFIXES = "BIESLUM"  # of entity tags, in any tag scheme
# In `sequence_probabilities`, no tag of a word is less probable than this, compared with the word's
# best. Otherwise a sum could be 0.
LEAST_LOG_RATIO = -300.0
CHUNK_VALUES = 1 << 20  # tags times words that it takes together: 8 MiB in each of its arrays

# --- Tags -----------------------------------------------------------------------------------


def are_entity_tags(label_names: Iterable[str]) -> bool:
    """Return whether every label is O or prefix-type, as in B-PER; otherwise all are plain tags."""
    return all(
        name == "O" or (len(name) > 2 and name[0] in PREFIXES and name[1] == "-")
        for name in label_names
    )


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return (type, first word, one past the last word) of each entity of IOB2 tags, in order.

    Tags are read as conlleval reads them: an I-X that continues no X begins an entity.

    >>> entities(["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "I-ORG"])
    [('PER', 0, 2), ('LOC', 3, 4), ('LOC', 4, 5), ('ORG', 5, 6)]
    """
    spans = []
    open_type, start = None, 0
    for position, tag in enumerate(tags):
        prefix, _, entity_type = tag.partition("-")
        if open_type is not None and (prefix != "I" or entity_type != open_type):
            spans.append((open_type, start, position))
            open_type = None
        if prefix != "O" and open_type is None:
            open_type, start = entity_type, position
    if open_type is not None:
        spans.append((open_type, start, len(tags)))
    return spans


def inside_labels(label_names: Sequence[str], entity_tags: bool | None = None) -> list[int]:
    """Return, for each label id, the label id of a word's later sub-words: B-X gives I-X.

    Labels are matched by name, because their order has no meaning. All labels other than B-X
    continue as themselves. If there is a B-X but no I-X, later sub-words get -100: no label is
    right for them. `entity_tags`: whether the corpus has entity tags, for a model with labels of
    both kinds; by default `label_names` decide.

    >>> inside_labels(["O", "I-PER", "B-PER", "B-LOC"])
    [0, 1, 1, -100]
    """
    ids = {name: i for i, name in enumerate(label_names)}
    if not (are_entity_tags(label_names) if entity_tags is None else entity_tags):
        return list(range(len(label_names)))
    return [
        ids.get("I-" + name[2:], IGNORED) if name.startswith("B-") else i
        for i, name in enumerate(label_names)
    ]


def align_labels_with_tokens(
    labels: Sequence[int], word_ids: Iterable[int | None], inside: list[int] | None = None
) -> list[int]:
    """Return the labels of sub-words from the labels of words; -100 for sub-words without a label.

    `labels`: (words,). `word_ids`: (sub-words,), the word of each sub-word, None for special
    tokens. With `inside` (see `inside_labels`) all sub-words of a word are labelled; with None,
    only the first.

    >>> names = ["O", "B-PER", "I-PER"]
    >>> word_ids = [None, 0, 0, 1, None]  # [CLS] Syl ##vain works [SEP]
    >>> align_labels_with_tokens([1, 0], word_ids)
    [-100, 1, -100, 0, -100]
    >>> align_labels_with_tokens([1, 0], word_ids, inside_labels(names))
    [-100, 1, 2, 0, -100]
    """
    aligned = []
    previous = None
    for word_id in word_ids:
        if word_id is None:
            aligned.append(IGNORED)
        elif word_id != previous:
            aligned.append(labels[word_id])
        else:
            aligned.append(IGNORED if inside is None else inside[labels[word_id]])
        previous = word_id
    return aligned


# --- Windows --------------------------------------------------------------------------------


def make_windows(
    word_ids: Sequence[int | None], max_length: int
) -> list[tuple[int, int, int, int]]:
    """Cut a tokenized sentence into windows of at most `max_length` tokens.

    `word_ids`: (tokens,), the word of each token, None for the special tokens around the
    sentence, which `max_length` includes. Returns (start, end, first, last) for each window: it
    shows the tokens [start, end) and owns the words `first` to `last`, inclusive, whose first
    sub-word it shows. A window begins with the first sub-word of a word; neighbours share about a
    quarter of their length. Each word is owned by exactly one window: the one that shows
    the most context on the word's shorter side, or the earlier of two equals. Raises ValueError
    if `max_length` has no room for a sub-word.

    >>> make_windows([None, *range(10), None], max_length=8)  # ten words between special tokens
    [(1, 7, 0, 5), (6, 11, 6, 9)]
    """
    word_at = {position: word for position, word in enumerate(word_ids) if word is not None}
    content = list(word_at)
    if not content:
        return []
    content_end = content[-1] + 1
    budget = max_length - (len(word_ids) - (content_end - content[0]))
    if budget < 1:
        raise ValueError(f"max_length {max_length}: no room for a sub-word beside special tokens")
    word_starts = [i for i in content if i == content[0] or word_ids[i] != word_ids[i - 1]]

    spans = []
    start = content[0]
    while True:
        end = min(start + budget, content_end)
        spans.append((start, end))
        following = bisect_right(word_starts, start)
        if end == content_end or following == len(word_starts):
            break
        # The last word start that keeps a quarter shared, but at least one word further on.
        start = word_starts[max(following, bisect_right(word_starts, end - budget // 4) - 1)]

    owned: list[list[int]] = [[] for _ in spans]
    first_span = 0
    for word_start, word_end in zip(word_starts, [*word_starts[1:], content_end], strict=True):
        while spans[first_span][1] <= word_start:
            first_span += 1
        last_span = first_span
        while last_span + 1 < len(spans) and spans[last_span + 1][0] <= word_start:
            last_span += 1
        owner = max(
            range(first_span, last_span + 1),
            key=lambda n: min(word_start - spans[n][0], spans[n][1] - word_end),
        )
        owned[owner].append(word_at[word_start])
    return [(*span, words[0], words[-1]) for span, words in zip(spans, owned, strict=True) if words]


class Context(NamedTuple):
    """The text around some sentences, of which their windows show the nearest sub-words."""

    size: int  # sub-words on each side, at most
    # The document of each sentence. Neighbours with equal ones are context of each other; a
    # sentence whose document is None has no context.
    documents: Sequence[Any]
    before: Sequence[list[str]] = ()  # sentences of the first one's document, just before it
    after: Sequence[list[str]] = ()  # sentences of the last one's document, just after it


def encode(
    sentences: list[list[str]],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    context: Context | None = None,
) -> Iterator[tuple[int, dict[str, list[int]], list[int | None]]]:
    """Tokenize sentences of words and yield (sentence, columns, owned words) for each window.

    `columns` holds the model's inputs (`input_ids`, perhaps `token_type_ids`), each (tokens,). The
    attention mask is all ones; the collator adds it. Owned words: (tokens,), the word of each
    sub-word that the window owns, None elsewhere. A sentence without a sub-word gives no window.

    With `context`, windows also show sub-words of neighbouring sentences, which they do not own.
    The column `context` then holds four positions: those of the sub-words before the sentence,
    start and end, and those of the sub-words after it.
    """
    before = [] if context is None else [*context.before]
    after = [] if context is None else context.after
    encoded = tokenize_words([*before, *sentences, *after], tokenizer)
    shown = None if context is None else _Surroundings(encoded, context)
    for sentence in range(len(sentences)):
        number = len(before) + sentence
        word_ids = encoded.word_ids(number)
        row = {name: values[number] for name, values in encoded.items()}
        if len(word_ids) <= max_length and shown is None:
            if any(word is not None for word in word_ids):
                yield sentence, row, word_ids
            continue
        bounds = content_bounds(word_ids)
        if bounds is None:
            continue
        head, tail = bounds  # special tokens lie outside [head, tail)
        spans = [(head, tail, 0, len(sentences[sentence]))]
        if len(word_ids) > max_length:
            spans = make_windows(word_ids, max_length)
        for start, end, first, last in spans:
            middle = {name: values[start:end] for name, values in row.items()}
            owned = [
                word if word is not None and first <= word <= last else None
                for word in word_ids[start:end]
            ]
            positions: dict[str, list[int]] = {}
            if shown is not None:
                room = max_length - len(word_ids) + (tail - head) - (end - start)
                left, right = shown.beside(number, room, start == head, end == tail)
                middle = {name: left[name] + middle[name] + right[name] for name in row}
                sizes = len(left["input_ids"]), len(owned), len(right["input_ids"])
                positions["context"] = [*accumulate(sizes, initial=head)]
                owned = [None] * sizes[0] + owned + [None] * sizes[2]
            columns = {n: v[:head] + middle[n] + v[tail:] for n, v in row.items()} | positions
            yield sentence, columns, [None] * head + owned + [None] * (len(word_ids) - tail)


def tokenize_words(sentences: list[list[str]], tokenizer: PreTrainedTokenizerFast) -> BatchEncoding:
    """Return the sub-words of sentences of words, each sentence between special tokens."""
    return tokenizer(
        sentences,
        is_split_into_words=True,
        return_attention_mask=False,
        truncation=False,
        verbose=False,
    )


def content_bounds(word_ids: Sequence[int | None]) -> tuple[int, int] | None:
    """Return the start and end of the sub-words between the special tokens, None without any."""
    content = [position for position, word in enumerate(word_ids) if word is not None]
    return (content[0], content[-1] + 1) if content else None


def nearest_sentences(
    sentences: Iterable[list[str]], tokenizer: PreTrainedTokenizerFast, size: int
) -> Iterator[list[str]]:
    """Yield the first sentences, as few as hold `size` sub-words; take no others."""
    remaining = iter(sentences)
    while size > 0 and (words := next(remaining, None)) is not None:
        yield words
        size -= num_sub_words(words, tokenizer)


def num_sub_words(words: list[str], tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the number of sub-words of a sentence, without special tokens."""
    start, end = content_bounds(tokenize_words([words], tokenizer).word_ids(0)) or (0, 0)
    return end - start


class _Surroundings:
    """The sub-words around the sentences of a batch, in their documents."""

    def __init__(self, encoded: BatchEncoding, context: Context) -> None:
        """`encoded`: the sentences of the batch, with those before and after it."""
        documents, self.size = [*context.documents], context.size
        self.documents = [
            *documents[:1] * len(context.before),
            *documents,
            *documents[-1:] * len(context.after),
        ]
        bounds = [content_bounds(encoded.word_ids(i)) or (0, 0) for i in range(len(self.documents))]
        self.contents = {
            name: [values[i][start:end] for i, (start, end) in enumerate(bounds)]
            for name, values in encoded.items()
        }
        self.sizes = [end - start for start, end in bounds]

    def beside(
        self, sentence: int, room: int, is_first: bool, is_last: bool
    ) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Return the columns of the sub-words that a window shows before and after its own.

        `room`: tokens that the window has left; one side has what the other does not use of it.
        `is_first`, `is_last`: whether the window is the first or the last one of the sentence.
        """
        before = self._neighbours(sentence, -1) if is_first else []
        after = self._neighbours(sentence, 1) if is_last else []
        num_before, num_after = (
            min(self.size, sum(self.sizes[i] for i in side)) for side in (before, after)
        )
        left = min(num_before, max(room // 2, room - num_after))
        right = min(num_after, room - left)
        columns_before, columns_after = {}, {}
        for name, contents in self.contents.items():
            values = [value for i in reversed(before) for value in contents[i]]
            columns_before[name] = values[len(values) - left :]
            columns_after[name] = [value for i in after for value in contents[i]][:right]
        return columns_before, columns_after

    def _neighbours(self, sentence: int, step: int) -> list[int]:
        """Return the sentences in a direction, the nearest first, as far as the context goes."""
        document, missing = self.documents[sentence], self.size
        neighbours: list[int] = []
        number = sentence + step
        while missing > 0 and 0 <= number < len(self.documents):
            if document is None or self.documents[number] != document:
                break
            neighbours.append(number)
            missing -= self.sizes[number]
            number += step
        return neighbours


def tokenize_and_align_labels(
    examples: dict[str, list[Any]],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    inside: list[int] | None,
    word_starts: Iterable[int] | None,
    context: Context | None = None,
) -> dict[str, list[Any]]:
    """Turn a batch of labelled sentences into a batch of labelled windows, for `Dataset.map`.

    For training, `word_starts` is None and labels follow `inside` (see
    `align_labels_with_tokens`). For evaluation, `word_starts` holds the index of each sentence's
    first word in the split; each word has one label, on its first sub-word, and the column
    `word_index` holds that word's index in the split. `length` is the number of tokens, `words`
    the number of words that the window owns, `part` the window's number in its sentence.
    `context`: see `encode`.
    """
    columns: dict[str, list[Any]] = {"labels": [], "length": [], "words": [], "part": []}
    starts = None if word_starts is None else list(word_starts)
    if starts is not None:
        columns["word_index"] = []
    previous, part = None, 0
    for sentence, inputs, owned in encode(examples["tokens"], tokenizer, max_length, context):
        part = part + 1 if sentence == previous else 0
        previous = sentence
        num_words = len(examples["tokens"][sentence])
        labels = examples["labels"][sentence] if "labels" in examples else [IGNORED] * num_words
        if starts is None:
            aligned = align_labels_with_tokens(labels, owned, inside)
        else:
            word_indices = range(starts[sentence], starts[sentence] + num_words)
            columns["word_index"].append(align_labels_with_tokens(word_indices, owned))
            aligned = align_labels_with_tokens(labels, owned)
        columns["labels"].append(aligned)
        columns["length"].append(len(aligned))
        columns["part"].append(part)
        columns["words"].append(len({word for word in owned if word is not None}))
        for name, values in inputs.items():
            columns.setdefault(name, []).append(values)
    return columns


# --- Batches through the model --------------------------------------------------------------


@contextmanager
def full_precision(model: torch.nn.Module) -> Iterator[None]:
    """Run the (unwrapped) model without accelerate's autocast: scores are fp32.

    accelerate shadows the method `forward` with an attribute of the model. The context removes it
    and restores it at the end.
    """
    autocast_forward = model.__dict__.pop("forward", None)
    try:
        yield
    finally:
        if autocast_forward is not None:
            model.forward = autocast_forward


def count_labelled(
    accelerator: Accelerator, micro_batches: Iterable[dict[str, Any]]
) -> torch.Tensor:
    """Return the number of labelled tokens of a step: of its micro-batches on all processes."""
    import torch

    counts = [batch["labels"].ne(IGNORED).sum() for batch in micro_batches]
    return accelerator.reduce(torch.stack(counts).sum().to(accelerator.device), "sum")


def token_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    num_labelled: torch.Tensor | int,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the cross entropy summed over labelled tokens, divided by `num_labelled`.

    `logits`: (rows, tokens, labels). `labels`: (rows, tokens), -100 where there is none.
    `num_labelled`: see `count_labelled`. The losses of all micro-batches and processes add up to
    the mean over the step's labelled tokens, however the step is cut.
    """
    import torch.nn.functional as F

    total = F.cross_entropy(
        logits.flatten(0, 1).float(),
        labels.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return total / num_labelled


def predict_batch(model: torch.nn.Module, batch: dict[str, Any]) -> BatchPredictions:
    """Return (log probabilities, losses, word indices) of one batch.

    Log probabilities are (windows, tokens, labels) and word indices (windows, tokens), even if the
    batch has all windows in one row; losses are (windows,), each summed over the window's labelled
    words. Removes `labels` and `word_index` from `batch`.
    """
    import torch
    import torch.nn.functional as F

    labels, word_index = batch.pop("labels"), batch.pop("word_index")
    with torch.no_grad():
        logits = model(**batch).logits.float()
    log_probabilities = logits.log_softmax(-1)
    losses = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    if "windows" in batch:
        lengths = batch["windows"].lengths
        log_probabilities = split_windows(log_probabilities, lengths, 0)
        losses = split_windows(losses, lengths, 0)
        word_index = split_windows(word_index, lengths, IGNORED)
    return log_probabilities, losses.sum(1), word_index


def split_windows(row: torch.Tensor, lengths: torch.Tensor, fill: int) -> torch.Tensor:
    """Return the values of windows that lie one after another in a row as rows of their own.

    `row`: (1, tokens, ...). `lengths`: (windows,), of the windows, the longest first; tokens behind
    the last are fillers. Returns (windows, longest, ...), with `fill` behind the end of a window.
    """
    import torch

    is_token = torch.arange(int(lengths[0]), device=row.device) < lengths[:, None]
    rows = row.new_full((*is_token.shape, *row.shape[2:]), fill)
    rows[is_token] = row[0, : int(lengths.sum())]
    return rows


def gather_batch(
    accelerator: Accelerator,
    log_probabilities: torch.Tensor,
    losses: torch.Tensor,
    word_index: torch.Tensor,
) -> BatchPredictions:
    """Return what `predict_batch` returned on all processes, without duplicated samples.

    Each process pads to its own longest window, so all are first padded to the longest of all:
    gathering tensors of unequal shapes hangs or scrambles rows. `gather_for_metrics` drops the
    samples that even out the last batch.
    """
    log_probabilities = accelerator.pad_across_processes(log_probabilities, dim=1)
    word_index = accelerator.pad_across_processes(word_index, dim=1, pad_index=IGNORED)
    return accelerator.gather_for_metrics((log_probabilities, losses, word_index))


# --- Legal sequences of tags ----------------------------------------------------------------


def legal_transitions(label_names: Sequence[str]) -> np.ndarray:
    """Return whether IOB2 allows a label behind another, (labels + 1, labels).

    I-X is legal only behind B-X or I-X. The last row is the start of a sentence. A type that has
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

    # The messages of the next word: `open_total` is that of the tags that may follow every tag,
    # `same_type` that of the I-X that may follow this word's tag.
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

        Labels of one name, such as all that are not entity tags, count as one tag.
        """
        scores = np.ascontiguousarray(log_probabilities.T, np.float64)
        of_labels = np.exp(np.maximum(scores - scores.max(0), LEAST_LOG_RATIO))
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
    # All words with one place in their sentence lie together, the longest sentences first.
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

    They are those of `entities`. `tag_ids`: (words,), of sentences in turn. `lengths`:
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


def bridge_gaps(tags: Sequence[str | None]) -> list[str]:
    """Return entity tags of a sentence, in which None is a word without a sub-word, without gaps.

    Such a word is inside an entity that has words on both sides of it, otherwise O.
    """
    before = accumulate(tags, lambda earlier, tag: tag or earlier, initial="O")
    bridged = [tag or "O" for tag in before][1:]
    following = "O"
    for position in reversed(range(len(tags))):
        if tags[position] is not None:
            following = bridged[position]
            continue
        earlier = bridged[position]
        inside = earlier[0] in "BIM" and following[0] in "IMEL" and earlier[1:] == following[1:]
        bridged[position] = f"I{following[1:]}" if inside else "O"
    return bridged


# --- Predictions back to words --------------------------------------------------------------


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
    """How decoding trades precision for recall.

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
    """Return the logarithms of the odds; those of 0 and 1 are finite.

    Probabilities nearer to 0 or 1 than fp32 can tell from 1 are all taken for the nearest.
    """
    clipped = probabilities.astype(np.float64).clip(1e-7, 1 - 1e-7)
    return np.log(clipped) - np.log1p(-clipped)


class WordPredictions:
    """The predictions of some sentences by word, filled in any order.

    They take 6 bytes per word. For decoding, they take 4 bytes more for each word and label, and
    with a calibration 4 more for each word.
    """

    def __init__(
        self,
        num_words: int,
        label_names: Sequence[str],
        decode: bool,
        calibration: Calibration | None = None,
        operating_point: OperatingPoint = NEUTRAL,
    ) -> None:
        """Make room for `num_words` words, without a prediction yet.

        `decode`: whether the tags are to be the most probable legal sequence of each sentence, not
        the most probable tag of each word. With a `calibration`, the probability of a tag is then
        that of `sequence_probabilities`, and the score of an entity its calibrated probability,
        whatever the bias. Otherwise they are the tag's own probability, and the mean of those of
        the entity's tags. `operating_point`: of decoded tags; a least score needs a calibration.
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
        """Return what decides the tags of words, (words, labels): biased log probabilities."""
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
        sizes = words[last] + 1 - words[first]  # with words inside that have no sub-word
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
        """Return the words with a prediction, (words,), and their number in each sentence."""
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


class SentencePrediction(NamedTuple):
    """The predictions of a sentence; each list has an item for each word."""

    words: list[str]
    gold: list[str]  # tags; empty without labels
    predicted: list[str]  # tags
    probabilities: list[float]  # of the predicted tags
    entity_scores: list[float]  # their mean over the words of an entity is its score


def postprocess(
    predictions: WordPredictions, split: Iterable[dict[str, Any]], label_names: Sequence[str]
) -> Iterator[SentencePrediction]:
    """Yield the predictions of each sentence, in order.

    `split`: rows with `tokens` and, if they are labelled, `labels`. A word without a sub-word has
    probability 0, and the tag O, or the tag of an entity around it.
    """
    names = [*label_names, None]  # NO_TAG indexes the last
    entity_tags = are_entity_tags(label_names)
    start = 0
    for row in split:
        end = start + len(row["tokens"])
        tags = [names[i] for i in predictions.tag_ids[start:end]]
        predicted = bridge_gaps(tags) if entity_tags else [tag or "O" for tag in tags]
        gold = [names[i] for i in row["labels"]] if "labels" in row else []
        probabilities = predictions.probabilities[start:end].tolist()
        scores = predictions.entity_scores[start:end].tolist()
        yield SentencePrediction(row["tokens"], gold, predicted, probabilities, scores)
        start = end


def entity_score(entity_scores: Sequence[float], first: int, after_last: int) -> float:
    """Return the score of the entity of these words; see `SentencePrediction`."""
    return sum(entity_scores[first:after_last]) / (after_last - first)
