"""Words, sub-words and tags: the chapter on alignment that every script of this suite reads.

Text is split into words (`split_words`), words into sub-words by the model's tokenizer, sentences
too long for the model into overlapping windows (`make_windows`). Labels go from words to
sub-words (`align_labels_with_tokens`), predictions the other way (`WordPredictions`,
`postprocess`), and lists of tags into scores (`score_tags`). Names follow the chapter "Token
classification" of the Hugging Face LLM course where the functions do the course's job.

Nothing here knows files, the Hub or arguments. torch, datasets, seqeval and evaluate are
imported by the functions that need them, so that `infer.py` starts without them.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

IGNORED = -100  # the label, or word index, of a sub-word that has none
NO_TAG = -1  # the tag id of a word that got no prediction
PREFIXES = "BIESLUM"

# --- Raw text to words ----------------------------------------------------------------------


# --- Tags -----------------------------------------------------------------------------------


def are_entity_tags(label_names: Iterable[str]) -> bool:
    """Whether every label is O or a prefix, a hyphen and a type; other tags are plain."""
    return all(
        name == "O" or (len(name) > 2 and name[0] in PREFIXES and name[1] == "-")
        for name in label_names
    )


def entities(tags: list[str]) -> list[tuple[str, int, int]]:
    """(type, first word, one past the last word) of each entity of IOB2 tags, in order.

    Read as conlleval reads: an I-X that continues no X begins one.
    """
    found = []
    open_type, start = None, 0
    for position, tag in enumerate(tags):
        prefix, _, entity_type = tag.partition("-")
        if open_type is not None and (prefix != "I" or entity_type != open_type):
            found.append((open_type, start, position))
            open_type = None
        if prefix != "O" and open_type is None:
            open_type, start = entity_type, position
    if open_type is not None:
        found.append((open_type, start, len(tags)))
    return found


def inside_labels(label_names: list[str], entity_tags: bool | None = None) -> list[int]:
    """For each label id the id that continues it: B-X gives I-X, any other itself.

    By name: the order of the labels means nothing. Where a corpus has B-X but no I-X, a word's
    later sub-words are left unlabelled (-100), as no label is right for them. `entity_tags`:
    what the corpus's tags are, where the model has labels besides; default: found out.
    """
    ids = {name: i for i, name in enumerate(label_names)}
    if not (are_entity_tags(label_names) if entity_tags is None else entity_tags):
        return list(range(len(label_names)))
    return [
        ids.get("I-" + name[2:], IGNORED) if name.startswith("B-") else i
        for i, name in enumerate(label_names)
    ]


def align_labels_with_tokens(
    labels: list[int], word_ids: list[int | None], inside: list[int] | None = None
) -> list[int]:
    """Labels of words to labels of sub-words; those that own no label get -100.

    `labels`: (words,). `word_ids`: (sub-words,), the word of each sub-word, None for special
    tokens. `inside`: what `inside_labels` gives, to label all sub-words of a word; None labels
    its first only.
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


def make_windows(word_ids: list[int | None], max_length: int) -> list[tuple[int, int, int, int]]:
    """Cut a tokenized sentence into windows of at most `max_length` tokens, specials included.

    `word_ids`: (tokens,) of the whole sentence, None for the special tokens around it. Returns
    (start, end, first, last) for each window: it shows the content tokens [start, end) and owns
    the words `first` to `last` (inclusive) whose first sub-word lies there. A window begins with
    a word; neighbours share about a quarter of their length. Each word is owned by exactly one
    window: the one that shows it the most context on its shorter side, the earlier of two equals.
    """
    content = [i for i, word in enumerate(word_ids) if word is not None]
    if not content:
        return []
    content_end = content[-1] + 1
    budget = max_length - (len(word_ids) - (content_end - content[0]))
    if budget < 1:
        raise ValueError(f"a window of {max_length} tokens has no room beside the special tokens")
    word_starts = [i for i in content if i == content[0] or word_ids[i] != word_ids[i - 1]]

    spans = []
    start = content[0]
    while True:
        end = min(start + budget, content_end)
        spans.append((start, end))
        following = bisect_right(word_starts, start)
        if end == content_end or following == len(word_starts):
            break
        # Begin at the last word that leaves a quarter in common, but always go ahead.
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
        owned[owner].append(word_ids[word_start])
    return [(*span, words[0], words[-1]) for span, words in zip(spans, owned, strict=True) if words]


def encode(
    sentences: list[list[str]], tokenizer, max_length: int
) -> Iterator[tuple[int, dict[str, list[int]], list[int | None]]]:
    """Tokenize sentences of words into windows: (sentence, columns, owned words) for each.

    `columns`: what the model reads (`input_ids`, perhaps `token_type_ids`), each (tokens,).
    The attention mask is all ones and left to the collator. Owned words: (tokens,), the word of
    each sub-word that the window owns, None elsewhere. A sentence without a sub-word gives none.
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
    examples: dict[str, list],
    tokenizer,
    max_length: int,
    inside: list[int] | None,
    word_starts: Iterable[int] | None,
) -> dict[str, list]:
    """A batch of sentences with labels to a batch of windows with labels (for `Dataset.map`).

    For training (`word_starts` None) labels follow `inside` (see `align_labels_with_tokens`).
    For evaluation each word has one label, on its first sub-word, and `word_index` says which
    word of the split that is: `word_starts` holds the index of each sentence's first word.
    `length` is the number of tokens, `words` the number of words the window owns, `part` the
    window's number in its sentence.
    """
    columns: dict[str, list] = {"labels": [], "length": [], "words": [], "part": []}
    if word_starts is not None:
        columns["word_index"] = []
        word_starts = list(word_starts)
    previous, part = None, 0
    for sentence, inputs, owned in encode(examples["tokens"], tokenizer, max_length):
        part = part + 1 if sentence == previous else 0
        previous = sentence
        num_words = len(examples["tokens"][sentence])
        labels = examples["labels"][sentence] if "labels" in examples else [IGNORED] * num_words
        if word_starts is None:
            aligned = align_labels_with_tokens(labels, owned, inside)
        else:
            word_numbers = range(word_starts[sentence], word_starts[sentence] + num_words)
            columns["word_index"].append(align_labels_with_tokens(word_numbers, owned))
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
def full_precision(model):
    """Scores are fp32: without the autocast that accelerate puts around a model's forward.

    It shadows the class's method by an attribute of the (unwrapped) model.
    """
    autocast_forward = model.__dict__.pop("forward", None)
    try:
        yield
    finally:
        if autocast_forward is not None:
            model.forward = autocast_forward


def token_loss(logits, labels, num_labelled: float, label_smoothing: float = 0.0):
    """Cross entropy summed over labelled tokens, divided by `num_labelled`: their number in an
    update, over all its micro-batches and processes, on average (see `checkpoints.Plan`).

    `logits`: (batch, tokens, labels); `labels`: (batch, tokens), -100 where there is none.
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


def predict_batch(model, batch: dict) -> tuple:
    """Tags of one batch: (tag ids, their probabilities, losses, word indices).

    The first two and the last: (batch, tokens); `losses`: (batch,), summed over each window's
    labelled words. The logits are dropped at once. Leaves `batch` without its labels.
    """
    import torch
    import torch.nn.functional as F

    labels, word_index = batch.pop("labels"), batch.pop("word_index")
    with torch.no_grad():
        logits = model(**batch).logits.float()
    probabilities, tag_ids = logits.softmax(-1).max(-1)
    losses = F.cross_entropy(
        logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    ).sum(1)
    return tag_ids, probabilities, losses, word_index


def gather_batch(accelerator, tag_ids, probabilities, losses, word_index) -> tuple:
    """What `predict_batch` gave on every process, on every process, without the duplicates that
    even out the last batch. Processes pad to their own longest window: pad to the longest of all
    first, else gathering tensors of unequal shapes hangs or scrambles rows."""
    tag_ids, probabilities = accelerator.pad_across_processes((tag_ids, probabilities), dim=1)
    word_index = accelerator.pad_across_processes(word_index, dim=1, pad_index=IGNORED)
    return accelerator.gather_for_metrics((tag_ids, probabilities, losses, word_index))


# --- Predictions back to words --------------------------------------------------------------


class WordPredictions:
    """Predictions of a split by word, 6 bytes a word, in whatever order they arrive."""

    def __init__(self, num_words: int):
        self.tag_ids = np.full(num_words, NO_TAG, dtype=np.int16)
        self.probabilities = np.zeros(num_words, dtype=np.float32)
        self.losses = array("f")  # a window's each, summed over its words

    def add(self, tag_ids, probabilities, losses, word_index) -> None:
        """What `gather_batch` gives. A word that comes twice is written twice, counted once."""
        mask = word_index.ne(IGNORED)
        words = word_index[mask].cpu().numpy()
        self.tag_ids[words] = tag_ids[mask].cpu().numpy()
        self.probabilities[words] = probabilities[mask].cpu().numpy()
        self.losses.extend(losses.tolist())

    @property
    def loss(self) -> float:
        """Summed over words; in whatever order the windows came, to the last digit."""
        return math.fsum(self.losses)

    def check_complete(self, words_with_subwords: int) -> None:
        """The suite's invariant: words in the corpus = words scored."""
        predicted = int((self.tag_ids != NO_TAG).sum())
        if predicted != words_with_subwords:
            raise AssertionError(
                f"{predicted} words were predicted where {words_with_subwords} have sub-words, of "
                f"{len(self.tag_ids)} in the corpus: the scores would not cover it"
            )


def postprocess(
    predictions: WordPredictions, split, label_names: list[str]
) -> Iterator[tuple[list[str], list[str], list[str], list[float]]]:
    """(words, gold tags, predicted tags, probabilities) of each sentence of the split, in order.

    A word without a sub-word is predicted O. `split`: rows with `tokens` and `labels`; without
    `labels` the gold tags are empty.
    """
    names = [*label_names, "O"]  # NO_TAG indexes the last
    start = 0
    for row in split:
        end = start + len(row["tokens"])
        predicted = [names[i] for i in predictions.tag_ids[start:end]]
        gold = [names[i] for i in row["labels"]] if "labels" in row else []
        yield row["tokens"], gold, predicted, predictions.probabilities[start:end].tolist()
        start = end


# --- Scores ---------------------------------------------------------------------------------
