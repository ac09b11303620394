"""Words, sub-words and tags: the functions that every script of this suite builds on.

A tokenizer turns words into sub-words; `make_windows` cuts a sentence too long for the model into
overlapping windows. Labels go from words to sub-words (`align_labels_with_tokens`,
`tokenize_and_align_labels`), predictions from sub-words back to words (`postprocess`). They are
decoded to legal tags in `scoring.decoding`. Functions that have a counterpart in the chapter "Token
classification" of the Hugging Face LLM course have the same name as there.

This module has nothing to do with files, flags or the Hub, and imports no other module of the
project. torch is imported by the functions that need it, so that `infer.py` can start without it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from transformers import BatchEncoding, PreTrainedTokenizerFast

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


class Context(NamedTuple):
    """The sentences around some sentences; their windows show the nearest sub-words of these."""

    size: int  # sub-words on each side, at most
    # The document of each sentence. Neighbours in the same document are context of each other; a
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
    The column `context` then holds four positions: start and end of the sub-words before the
    sentence, and start and end of those after it.
    """
    before = [] if context is None else [*context.before]
    after = [] if context is None else context.after
    encoded = tokenize_words([*before, *sentences, *after], tokenizer)
    shown = None if context is None else _NeighbouringSubWords(encoded, context)
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
    """Yield the fewest first sentences that have `size` sub-words; read no others."""
    remaining = iter(sentences)
    while size > 0 and (words := next(remaining, None)) is not None:
        yield words
        size -= num_sub_words(words, tokenizer)


def num_sub_words(words: list[str], tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the number of sub-words of a sentence, without special tokens."""
    start, end = content_bounds(tokenize_words([words], tokenizer).word_ids(0)) or (0, 0)
    return end - start


class _NeighbouringSubWords:
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

        `room`: the tokens that the window has left; each side gets half, and the unused part of the
        other half. `is_first`, `is_last`: whether the window is the first or last of the sentence.
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
        """Return the sentences of the context in one direction, the nearest first."""
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

    `row`: (1, tokens, ...). `lengths`: (windows,), of the windows, the longest first; tokens after
    the last are fillers. Returns (windows, longest, ...), with `fill` after the end of a window.
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


# --- Predictions back to words --------------------------------------------------------------


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


class SentencePrediction(NamedTuple):
    """The predictions of a sentence; each list has an item for each word."""

    words: list[str]
    gold: list[str]  # tags; empty without labels
    predicted: list[str]  # tags
    probabilities: list[float]  # of the predicted tags
    entity_scores: list[float]  # their mean over the words of an entity is its score


def postprocess(
    predictions: Any, split: Iterable[dict[str, Any]], label_names: Sequence[str]
) -> Iterator[SentencePrediction]:
    """Yield the predictions of each sentence, in order.

    `predictions`: `scoring.word_predictions.WordPredictions`. `split`: rows with `tokens` and, if
    they are labelled, `labels`. A word without a sub-word has probability 0. Its tag is that of an
    entity around it, or else O.
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
