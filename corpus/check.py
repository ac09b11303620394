"""Check a corpus for `--check`: report its figures, its problems, and warnings."""

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from corpus.hold_out import hold_out
from corpus.labels import Labels
from corpus.load import (
    cache_folder,
    corpus_splitter,
    needs_hold_out,
    new_folder,
    notes_on,
    read_raw,
)
from corpus.problems import (
    ALL,
    MAX_SHOWN,
    GroupedProblems,
    Place,
    Problem,
    ProblemKind,
    Problems,
    write_problems,
)
from corpus.sources import Source, find_sources
from corpus.splits import (
    PartOfSplit,
    RawBatch,
    RawSplit,
    sentence_hashes,
)
from corpus.tag_problems import report_stray_tags
from settings.run_settings import CorpusSettings
from support.errors import UserError
from support.terminal import table_text
from support.text import counted, quote

LONG_FROM = 1000  # words; a longer sentence usually means that blank lines are missing


def check_corpus(
    settings: CorpusSettings,
    tokenizer: Any = None,
    window_length: int = 512,
    problem_file: Path | None = None,
) -> tuple[str, bool]:
    """Return the report on a whole corpus, and whether it has no problems.

    `tokenizer`: a fast tokenizer; without it the report leaves out sub-words. `window_length`:
    sub-words per window, including special tokens. `problem_file`: gets every problem, not only
    the first of each kind, see `write_problems`.
    """
    problems = Problems(MAX_SHOWN if problem_file is None else ALL)
    try:
        sources = find_sources(settings)
        with new_folder(cache_folder(settings)) as folder:
            lines = _check(settings, sources.by_split, folder, problems, tokenizer, window_length)
    except UserError as error:
        if problem_file is not None:
            write_problems(problem_file, problems, error)
        return f"{error}\n\nTraining would not start.", False
    if problem_file is not None:
        write_problems(problem_file, problems)
    text = [f"Corpus: {sources.name}", *sources.notes, *lines]
    if problems.warnings:
        text += ["", "Warnings", "--------", str(problems.warnings)]
    if problems:
        text += ["", "Problems", "--------", str(problems)]
    found = "Warnings, but no problems" if problems.warnings else "No problems"
    if problems:
        end = "Training would not start."
    elif "train" in sources.by_split:
        end = f"{found}: a model can be trained on this corpus."
    else:
        end = f"{found}. The corpus has no training split."
    return "\n".join([*text, "", end]), not problems


def _check(
    settings: CorpusSettings,
    sources: dict[str, list[Source]],
    folder: Path,
    problems: Problems,
    tokenizer: Any,
    window_length: int,
) -> list[str]:
    """Return the notes and tables as lines; add to `problems`."""
    raw, labels = read_raw(settings, sources, folder, problems)
    notes = [] if labels is None else notes_on(raw, labels, corpus_splitter(raw))
    splits = raw
    if labels is not None and needs_hold_out(settings, raw):
        held_out, note = hold_out(raw["train"], settings.seed)
        notes.append(note)
        splits = {
            "train": PartOfSplit(raw["train"], ~held_out),
            "validation": PartOfSplit(raw["train"], held_out),
            **{name: split for name, split in raw.items() if name != "train"},
        }
    coverage = {}
    if tokenizer is not None:
        limit = window_length - tokenizer.num_special_tokens_to_add()
        coverage = {name: Coverage(tokenizer, limit, split) for name, split in splits.items()}
    warnings = problems.warnings
    report_unknown_words(coverage, warnings)
    if labels is not None:
        report_stray_tags(labels.table, labels.scheme, raw, warnings)
    report_empty_words(raw, warnings)
    report_long_sentences(raw, warnings)
    report_shared_sentences(splits, warnings)
    if labels is not None and "train" in raw:
        report_no_entity(raw["train"], labels, warnings)
    lines = [*notes, "", *split_table(splits, coverage)]
    if labels is not None:
        lines += ["", label_table(splits, labels)]
    return lines


# --- Sub-words ----------------------------------------------------------------------------------


class Coverage:
    """Words of a split that a tokenizer cannot represent, or that do not fit into one window.

    A word without a known sub-word cannot be represented.

    `limit`: sub-words per window, excluding special tokens.
    """

    def __init__(self, tokenizer: Any, limit: int, split: RawSplit) -> None:
        self.tokenizer, self.limit, self.split = tokenizer, limit, split
        self.beyond = 0  # words not entirely inside the first window of their sentence
        self.unknown: Counter[str] = Counter()  # words without a known sub-word, and their counts
        self.first: dict[str, tuple[int, int]] = {}  # the first place of each: sentence, word
        number = 0
        for batch in split.batches():
            positions = np.flatnonzero(self._without_known_sub_word(batch))
            sentences = np.searchsorted(batch.offsets, positions, side="right") - 1
            words = batch.tokens.flatten().take(positions).to_pylist()
            self.unknown.update(words)
            in_sentence = (positions - batch.offsets[sentences]).tolist()
            places = zip((number + sentences).tolist(), in_sentence, strict=True)
            for word, place in zip(words, places, strict=True):
                self.first.setdefault(word, place)
            number += len(batch)

    def _without_known_sub_word(self, batch: RawBatch) -> np.ndarray:
        """Return a mask (bool, one per word) of the words without a known sub-word."""
        known = np.zeros(len(batch.tag_ids), bool)
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


def report_unknown_words(coverage: dict[str, Coverage], warnings: GroupedProblems) -> None:
    """Report each word without a known sub-word once, at its first place, most frequent first."""
    total: Counter[str] = Counter()
    for split_coverage in coverage.values():
        total.update(split_coverage.unknown)
    shown = [word for word, _ in total.most_common()[: warnings.limit]]
    places: dict[str, Place] = {}
    for split_coverage in coverage.values():
        first_places = split_coverage.first
        new = [word for word in shown if word in first_places and word not in places]
        located = split_coverage.split.locate(sorted(first_places[word] for word in new))
        places |= {word.word: word.place for word in located}
    first = [
        Problem(
            ProblemKind.UNKNOWN_WORD,
            places[word],
            quote(word) + (f", {total[word]:,} times" if total[word] > 1 else ""),
        )
        for word in shown
    ]
    warnings.add_counted(first, len(total))


# --- Warnings about words and sentences -----------------------------------------------------------


def report_empty_words(raw: dict[str, RawSplit], warnings: GroupedProblems) -> None:
    """Report words that are empty strings."""
    for split in raw.values():
        count, words = split.find(
            lambda batch: pc.equal(batch.tokens.flatten(), "").to_numpy(zero_copy_only=False),
            warnings.limit,
        )
        first = [
            Problem(
                ProblemKind.EMPTY_WORD,
                word.place,
                "no characters" if word.tag is None else f"no characters, tag {quote(word.tag)}",
                text=word.text,
                span=word.span,
            )
            for word in words
        ]
        warnings.add_counted(first, count)


def report_no_entity(train: RawSplit, labels: Labels, warnings: GroupedProblems) -> None:
    """Report a training split without entities: its labels may be in another column."""
    if labels.scheme is None:
        return
    outside = labels.names.index("O")
    if all((labels.ids(batch) == outside).all() for batch in train.batches()):
        place = Place(", ".join(source.name for source in train.sources))
        expected = "entity tags; name their column with --label_column_name"
        warnings.add(Problem(ProblemKind.NO_ENTITY, place, "every tag is O", expected))


def report_long_sentences(raw: dict[str, RawSplit], warnings: GroupedProblems) -> None:
    """Report sentences of more than `LONG_FROM` words."""
    for split in raw.values():
        count, words = split.find(
            lambda batch: _first_words(batch, longer_than=LONG_FROM), warnings.limit
        )
        first = [
            Problem(
                ProblemKind.LONG_SENTENCE,
                word.place,
                f"a sentence of {counted(len(word.sentence), 'word')} starts here",
                "a blank line between sentences",
                (f"{LONG_FROM:,}",),
            )
            for word in words
        ]
        warnings.add_counted(first, count)


def _first_words(batch: RawBatch, longer_than: int) -> np.ndarray:
    """Return the first word of each long sentence; bool, one per word."""
    mask = np.zeros(len(batch.tag_ids), bool)
    mask[batch.offsets[:-1][np.diff(batch.offsets) > longer_than]] = True
    return mask


def report_shared_sentences(raw: dict[str, RawSplit], warnings: GroupedProblems) -> None:
    """Report sentences that two splits share: a model may be scored on what it has learned."""
    hashes = {name: sentence_hashes(split) for name, split in raw.items()}
    for earlier, later in combinations(raw, 2):
        shared = np.flatnonzero(np.isin(hashes[later], hashes[earlier]))
        first = [
            Problem(
                ProblemKind.SHARED_SENTENCE,
                word.place,
                quote(" ".join(word.sentence)),
                title_values=(later, earlier),
                text=word.text,
            )
            for word in raw[later].locate(
                [(sentence, 0) for sentence in shared[: warnings.limit].tolist()]
            )
        ]
        warnings.add_counted(first, len(shared))


# --- Tables -------------------------------------------------------------------------------------


def split_table(raw: dict[str, RawSplit], coverage: dict[str, Coverage]) -> list[str]:
    """Return the figures of each split as a table, and the place of the longest sentence."""
    head = ["split", "sentences", "words", "documents", "longest"]
    for split_coverage in list(coverage.values())[:1]:  # all have the same limit
        head.append(f"words beyond one window of {split_coverage.limit} sub-words")
    rows = []
    for name, split in raw.items():
        sizes = (split.sentences, split.words, len(split.documents), split.longest)
        row = [name, *(f"{size:,}" for size in sizes)]
        if coverage:
            row.append(f"{100 * coverage[name].beyond / max(1, split.words):.2f} %")
        rows.append(row)
    longest = max(raw.values(), key=lambda split: split.longest)
    _, first = longest.find(lambda batch: _first_words(batch, longest.longest - 1), limit=1)
    return [
        table_text(head, rows),
        *(f"Longest sentence: {counted(longest.longest, 'word')}, {word.place}" for word in first),
    ]


def label_table(raw: dict[str, RawSplit], labels: Labels) -> str:
    """Return entities by type, or words by tag, in each split that has labels, as a table."""
    labelled = {name: split for name, split in raw.items() if split.labelled}
    size = len(labels.names)
    counts = {
        name: sum(
            (np.bincount(labels.ids(batch), minlength=size) for batch in split.batches()),
            start=np.zeros(size, int),
        )
        for name, split in labelled.items()
    }
    plain = labels.scheme is None
    rows = [
        [
            name if plain else name.removeprefix("B-"),
            *(f"{int(split_counts[number]):,}" for split_counts in counts.values()),
        ]
        for number, name in enumerate(labels.names)
        if plain or name.startswith("B-")
    ]
    return table_text(["words by tag" if plain else "entities by type", *labelled], rows)
