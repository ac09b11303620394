"""What `--check` tells: a corpus's figures and everything that is wrong with it or odd about it."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from corpus.labels import Labels, declared_names, report_strays, settle_labels
from corpus.load import (
    CorpusTags,
    PartOfSplit,
    RawBatch,
    RawSplit,
    cache_folder,
    check_splits,
    find_sources,
    hold_out,
    new_folder,
    notes_on,
    read_split,
    sentence_hashes,
)
from corpus.problems import SHOWN, GroupedProblems, Place, Problem, ProblemKind, Problems
from support.errors import UserError
from support.text import counted, quote

NO_LIMIT = 10**6  # sub-words; tokenizers without a limit state 10**30
LONG = 1000  # words: longer sentences are mostly files without blank lines


def check_corpus(args, tokenizer=None, max_seq_length: int | None = None) -> tuple[str, bool]:
    """Read the whole corpus; returns what to print and whether it is without fault.

    `tokenizer`: a fast one, if it is at hand; without it nothing is said of sub-words.
    `max_seq_length`: sub-words of a window, special tokens included.
    """
    problems = Problems()
    try:
        sources, notes, name = find_sources(args)
        with new_folder(cache_folder(args)) as folder:
            lines = _check(args, sources, folder, problems, tokenizer, max_seq_length)
    except UserError as error:
        return f"{error}\n\nTraining would not start.", False
    text = [f"Corpus: {name}", *notes, *lines]
    if problems.warnings:
        text += ["", "Worth a look", "------------", str(problems.warnings)]
    if problems:
        text += ["", "To be mended", "------------", str(problems)]
    if problems:
        end = "Training would not start."
    elif "train" in sources:
        end = "The corpus can be trained on."
    else:
        end = "The corpus has no training split; nothing is wrong with it."
    return "\n".join([*text, "", end]), not problems


def _check(args, sources, folder: Path, problems: Problems, tokenizer, max_seq_length) -> list[str]:
    declared, tags = declared_names(args), CorpusTags()
    raw = {
        split: read_split(folder / split, found, tags, declared, problems)
        for split, found in sources.items()
    }
    check_splits(raw, problems)
    labels = None if problems else settle_labels(args, raw, list(tags), declared, problems)
    notes = [] if labels is None else notes_on(raw, labels)
    splits = raw
    if labels is not None and "train" in raw and "validation" not in raw and args.scores_epochs:
        held_out, note = hold_out(raw["train"], args.seed)
        notes.append(note)
        parts = {"train": ~held_out, "validation": held_out}
        splits = {name: PartOfSplit(raw["train"], mask) for name, mask in parts.items()} | {
            name: split for name, split in raw.items() if name != "train"
        }
    sub_words = {}
    if tokenizer is not None:
        limit = window_size(tokenizer, max_seq_length)
        sub_words = {name: SubWords(tokenizer, limit, split) for name, split in splits.items()}
    report_unknown_words(sub_words, problems.warnings)
    report_strays(labels, raw, problems.warnings)
    report_empty_words(raw, problems.warnings)
    report_long_sentences(raw, problems.warnings)
    report_duplicates(splits, problems.warnings)
    if labels is not None and "train" in raw:
        report_no_entity(raw["train"], labels, problems.warnings)
    lines = [*notes, "", *split_table(splits, sub_words)]
    if labels is not None:
        lines += ["", *label_table(splits, labels)]
    return lines


def window_size(tokenizer, max_seq_length: int | None) -> int:
    """Sub-words of a sentence that fit into one window."""
    length = min(max_seq_length or tokenizer.model_max_length, tokenizer.model_max_length)
    return length - tokenizer.num_special_tokens_to_add()


class SubWords:
    """How a split's words fare with a tokenizer."""

    def __init__(self, tokenizer, limit: int, split: RawSplit):
        self.tokenizer, self.limit, self.split = tokenizer, limit, split
        self.beyond = 0  # words that are not whole in a sentence's first window
        self.unknown: Counter = Counter()  # words without pieces, and how often they stand there
        self.first: dict[str, tuple[int, int]] = {}  # their first sentence, and place in it
        number = 0
        for batch in split.batches():
            positions = np.flatnonzero(self._without_pieces(batch))
            in_sentence = np.searchsorted(batch.offsets, positions, side="right") - 1
            words = batch.tokens.flatten().take(positions).to_pylist()
            self.unknown.update(words)
            places = zip(number + in_sentence, positions - batch.offsets[in_sentence], strict=True)
            for word, place in zip(words, places, strict=True):
                self.first.setdefault(word, place)
            number += len(batch.offsets) - 1

    def _without_pieces(self, batch: RawBatch) -> np.ndarray:
        """Words without any sub-word, or with none but the unknown one; bool, one a word."""
        known = np.zeros(len(batch.tags), bool)
        encoded = self.tokenizer(
            batch.tokens.to_pylist(),
            is_split_into_words=True,
            add_special_tokens=False,
            truncation=False,
            verbose=False,
        )
        for offset, encoding in zip(batch.offsets, encoded.encodings, strict=False):
            words = np.array([-1 if word is None else word for word in encoding.word_ids], int)
            ids = np.array(encoding.ids, int)
            known[offset + words[(ids != self.tokenizer.unk_token_id) & (words >= 0)]] = True
            self.beyond += len(set(words[self.limit :].tolist()) - {-1})
        return ~known


def report_unknown_words(sub_words: dict[str, SubWords], findings: GroupedProblems) -> None:
    """Each word without pieces once, the most frequent first, with its first place."""
    total, places = Counter(), {}
    for found in sub_words.values():
        total.update(found.unknown)
    shown = [word for word, _ in total.most_common(SHOWN)]
    for found in sub_words.values():
        here = sorted((found.first[w], w) for w in shown if w in found.first and w not in places)
        located = found.split.locate([position for position, _ in here])
        places |= {word: one.place for (_, word), one in zip(here, located, strict=True)}
    listed = [
        Problem(
            ProblemKind.UNKNOWN_WORD,
            places[word],
            quote(word) + (f", {total[word]:,} times" if total[word] > 1 else ""),
        )
        for word in shown
    ]
    findings.add_counted(listed, len(total))


def report_empty_words(raw: dict[str, RawSplit], findings: GroupedProblems) -> None:
    for split in raw.values():
        count, first = split.find(
            lambda batch: pc.equal(batch.tokens.flatten(), "").to_numpy(zero_copy_only=False)
        )
        kind = ProblemKind.EMPTY_WORD
        listed = [
            Problem(kind, found.place, f"an empty word, tag {quote(found.tag)}") for found in first
        ]
        findings.add_counted(listed, count)


def report_no_entity(train: RawSplit, labels: Labels, findings: GroupedProblems) -> None:
    """A wrong column of labels may look like this."""
    if labels.scheme is None:
        return
    outside = labels.names.index("O")
    if all((labels.ids(batch) == outside).all() for batch in train.batches()):
        place = Place(", ".join(source.name for source in train.sources))
        advice = "names of entities; --label_column_name says where they are"
        findings.add(Problem(ProblemKind.NO_ENTITY, place, "every tag is O", advice))


def report_long_sentences(raw: dict[str, RawSplit], findings: GroupedProblems) -> None:
    for split in raw.values():
        count, first = split.find(lambda batch: _first_words(batch, longer_than=LONG))
        listed = [
            Problem(
                ProblemKind.LONG_SENTENCE,
                found.place,
                f"{counted(len(found.sentence.words), 'word')} from here",
                "a blank line between sentences",
                (f"{LONG:,}",),
            )
            for found in first
        ]
        findings.add_counted(listed, count)


def _first_words(batch: RawBatch, longer_than: int) -> np.ndarray:
    mask = np.zeros(len(batch.tags), bool)
    mask[batch.offsets[:-1][np.diff(batch.offsets) > longer_than]] = True
    return mask


def report_duplicates(raw: dict[str, RawSplit], findings: GroupedProblems) -> None:
    """Sentences of one split that stand in another too: what is scored may have been learned."""
    hashes = {name: sentence_hashes(split) for name, split in raw.items()}
    for earlier, later in combinations(raw, 2):
        twice = np.flatnonzero(np.isin(hashes[later], hashes[earlier]))
        if len(twice):
            shown = [(int(sentence), 0) for sentence in twice[:SHOWN]]
            kind, values = ProblemKind.SHARED_SENTENCE, (later, earlier)
            listed = [
                Problem(
                    kind, found.place, quote(" ".join(found.sentence.words)), title_values=values
                )
                for found in raw[later].locate(shown)
            ]
            findings.add_counted(listed, len(twice))


# --- Tables -----------------------------------------------------------------------------------


def split_table(raw: dict[str, RawSplit], sub_words: dict[str, SubWords]) -> list[str]:
    rows = [["split", "sentences", "words", "documents", "longest"]]
    limited = any(found.limit < NO_LIMIT for found in sub_words.values())
    if limited:
        rows[0].append("words beyond one window")
    for name, split in raw.items():
        sizes = (split.sentences, split.words, len(split.documents), split.longest)
        row = [name, *(f"{size:,}" for size in sizes)]
        if limited:
            share = 100 * sub_words[name].beyond / max(1, split.words)
            row.append(f"{share:.2f} % of {sub_words[name].limit} sub-words")
        rows.append(row)
    lines = aligned(rows)
    name, split = max(raw.items(), key=lambda item: item[1].longest)
    _, first = split.find(lambda batch: _first_words(batch, split.longest - 1), limit=1)
    longest = [
        f"longest sentence: {counted(split.longest, 'word')}, {found.place}" for found in first
    ]
    return lines + longest


def label_table(raw: dict[str, RawSplit], labels: Labels) -> list[str]:
    """Entities by type, or words by tag, in each split that has labels."""
    labelled = {name: split for name, split in raw.items() if split.labelled}
    counts = {}
    for name, split in labelled.items():
        counts[name] = Counter()
        for batch in split.batches():
            found = np.bincount(labels.ids(batch), minlength=len(labels.names)).tolist()
            counts[name].update(dict(zip(labels.names, found, strict=True)))
    shown = labels.names
    if labels.scheme is not None:
        shown = [name for name in labels.names if name.startswith("B-")]
    title = "words by tag" if labels.scheme is None else "entities by type"
    rows = [[title, *labelled]]
    for name in shown:
        title = name if labels.scheme is None else name.removeprefix("B-")
        rows.append([title, *(f"{counts[split][name]:,}" for split in labelled)])
    return aligned(rows)


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
