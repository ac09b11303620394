"""Words, sub-words and tags: the functions that every script of this suite builds on.

A tokenizer turns words into sub-words; `make_windows` cuts a sentence too long for the model into
overlapping windows. Labels go from words to sub-words (`align_labels_with_tokens`,
`tokenize_and_align_labels`), predictions from sub-words back to words (`WordPredictions`,
`postprocess`), where entity tags become the most probable legal sequence (`most_probable_tags`).
Functions that have a counterpart in the chapter "Token classification" of the
Hugging Face LLM course have the same name as there.

This module has nothing to do with files, flags or the Hub, and imports no other module of the
project. torch is imported by the functions that need it, so that `infer.py` can start without it.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from transformers import PreTrainedTokenizerFast

    # Log probabilities, losses, word indices: see `predict_batch`.
    BatchPredictions = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

IGNORED = -100  # label, or word index, of a sub-word that has none
NO_TAG = -1  # tag id of a word without a prediction
PREFIXES = "BIESLUM"  # of entity tags, in any tag scheme

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


def encode(
    sentences: list[list[str]], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> Iterator[tuple[int, dict[str, list[int]], list[int | None]]]:
    """Tokenize sentences of words and yield (sentence, columns, owned words) for each window.

    `columns` holds the model's inputs (`input_ids`, perhaps `token_type_ids`), each (tokens,). The
    attention mask is all ones; the collator adds it. Owned words: (tokens,), the word of each
    sub-word that the window owns, None elsewhere. A sentence without a sub-word gives no window.
    """
    encoded = tokenizer(
        sentences,
        is_split_into_words=True,
        return_attention_mask=False,
        truncation=False,
        verbose=False,
    )
    for sentence in range(len(sentences)):
        word_ids = encoded.word_ids(sentence)
        row = {name: values[sentence] for name, values in encoded.items()}
        if len(word_ids) <= max_length:
            if any(word is not None for word in word_ids):
                yield sentence, row, word_ids
            continue
        content = [i for i, word in enumerate(word_ids) if word is not None]
        if not content:
            continue
        head, tail = content[0], content[-1] + 1  # special tokens lie outside [head, tail)
        for start, end, first, last in make_windows(word_ids, max_length):
            columns = {
                name: values[:head] + values[start:end] + values[tail:]
                for name, values in row.items()
            }
            owned = [w if first <= w <= last else None for w in word_ids[start:end]]
            yield sentence, columns, [None] * head + owned + [None] * (len(word_ids) - tail)


def tokenize_and_align_labels(
    examples: dict[str, list[Any]],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    inside: list[int] | None,
    word_starts: Iterable[int] | None,
) -> dict[str, list[Any]]:
    """Turn a batch of labelled sentences into a batch of labelled windows, for `Dataset.map`.

    For training, `word_starts` is None and labels follow `inside` (see
    `align_labels_with_tokens`). For evaluation, `word_starts` holds the index of each sentence's
    first word in the split; each word has one label, on its first sub-word, and the column
    `word_index` holds that word's index in the split. `length` is the number of tokens, `words`
    the number of words that the window owns, `part` the window's number in its sentence.
    """
    columns: dict[str, list[Any]] = {"labels": [], "length": [], "words": [], "part": []}
    starts = None if word_starts is None else list(word_starts)
    if starts is not None:
        columns["word_index"] = []
    previous, part = None, 0
    for sentence, inputs, owned in encode(examples["tokens"], tokenizer, max_length):
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


class WordPredictions:
    """The predictions of some sentences by word, filled in any order.

    They take 6 bytes per word. For decoding, they take 4 bytes more for each word and label.
    """

    def __init__(self, num_words: int, label_names: Sequence[str], decode: bool) -> None:
        """Make room for `num_words` words, without a prediction yet.

        `decode`: whether the tags are to be the most probable legal sequence of each sentence, not
        the most probable tag of each word.
        """
        self.legal = legal_transitions(label_names)
        self.tag_ids = np.full(num_words, NO_TAG, dtype=np.int16)
        self.probabilities = np.zeros(num_words, dtype=np.float32)
        self.losses = array("f")  # one per window, summed over its words
        self.log_probabilities = np.zeros((num_words, len(label_names) * decode), np.float32)

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

    def decode(self, lengths: Sequence[int] | np.ndarray) -> None:
        """Replace illegal sequences of tags, once all predictions are added.

        `lengths`: (sentences,), words of each.
        """
        for words in self.illegal_sentences(lengths):
            scores = self.log_probabilities[words]
            tag_ids = most_probable_tags(scores, self.legal)
            self.tag_ids[words] = tag_ids
            self.probabilities[words] = np.exp(scores[np.arange(len(words)), tag_ids])

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


def postprocess(
    predictions: WordPredictions, split: Iterable[dict[str, Any]], label_names: Sequence[str]
) -> Iterator[tuple[list[str], list[str], list[str], list[float]]]:
    """Yield (words, gold tags, predicted tags, probabilities) of each sentence, in order.

    `split`: rows with `tokens` and `labels`; without `labels`, the gold tags are empty. A word
    without a sub-word has probability 0, and the tag O, or the tag of an entity around it.
    """
    names = [*label_names, None]  # NO_TAG indexes the last
    entity_tags = are_entity_tags(label_names)
    start = 0
    for row in split:
        end = start + len(row["tokens"])
        tags = [names[i] for i in predictions.tag_ids[start:end]]
        predicted = bridge_gaps(tags) if entity_tags else [tag or "O" for tag in tags]
        gold = [names[i] for i in row["labels"]] if "labels" in row else []
        yield row["tokens"], gold, predicted, predictions.probabilities[start:end].tolist()
        start = end
