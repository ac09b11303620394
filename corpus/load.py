"""Load a corpus: from its settings to checked splits of words and label ids.

Each corpus is read once and then cached by its content, so that an edited file is read again. The
splits are memory-mapped: memory does not grow with the size of the corpus.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from corpus.formats.sentence import ROW_LAYOUTS
from corpus.hold_out import hold_out
from corpus.labels import Labels, declared_names, scheme_note, settle_labels
from corpus.problems import CorpusError, Place, Problem, ProblemKind, Problems
from corpus.sources import SPLITS, Source, find_sources
from corpus.splits import (
    ORIGIN_FIELDS,
    CorpusTags,
    RawSplit,
    place_of_origin,
    read_split,
    write_split,
)
from corpus.tag_problems import report_stray_tags
from corpus.words import installed_splitter, splitter_of
from settings.run_settings import CorpusSettings
from support.errors import UserError
from support.files import sync_folder
from support.processes import local_rank
from support.text import counted

# Part of every cache key. Raise it, so that all corpora are read again, whenever a change gives the
# same files different splits, labels or notes, or changes the fields of `Corpus`.
READER_VERSION = 7
SUMMARY = "corpus.json"  # of a cached corpus: its fields, with checksums of its files


@dataclass
class Corpus:
    """Checked splits, with their labels and notes on them.

    `splits`: those of "train", "validation" and "test" that exist. Columns: tokens (list of words),
    labels (list of positions in `label_names`, one per word; absent from a test split without
    labels), doc_id (string; only if there are documents), and those of `ORIGIN_FIELDS`: see
    `places`.
    """

    splits: datasets.DatasetDict
    label_names: list[str]  # O first; for entity tags IOB2, both tags of each type
    entity_tags: bool
    name: str  # shown to the user
    fingerprint: str  # a hash of words and labels
    sources: dict[str, list[str]]  # the files, or splits of data sets, of each split
    word_splitter: str  # the name of the splitter that splits text into such words
    notes: list[str] = field(default_factory=list)  # lines to show to the user
    # By split: the numbers of the sources whose sentences without a `doc_id` are one document.
    whole_files: dict[str, list[int]] = field(default_factory=dict)

    def places(self, split: str) -> Iterator[Place]:
        """Yield the place of each sentence of a split, in order: that of its first word."""
        rows, names = self.splits[split], self.sources[split]
        columns = [name for name in (*ORIGIN_FIELDS, "doc_id") if name in rows.column_names]
        for row in rows.select_columns(columns):
            yield place_of_origin(row, names)


def load_corpus(settings: CorpusSettings, word_splitter: str | None = None) -> Corpus:
    """Return the corpus that the settings name.

    `word_splitter`: the name of the splitter of raw text, if a model has one already. In a run of
    several processes, call this on the main process first; the others then read the cached corpus.
    Raises `UserError`; if the corpus has problems, a `CorpusError` with all of them.
    """
    sources = find_sources(settings, word_splitter)
    folder = cache_folder(settings) / content_key(settings, sources.by_split, word_splitter)
    summary = None
    if not (settings.overwrite_cache and local_rank() == 0):
        summary = _cached_summary(folder)
    if summary is None:
        with new_folder(folder.parent) as work:
            summary = read_corpus(settings, sources.by_split, work, word_splitter)
            summary["name"] = sources.name
            _seal(work, summary)
            _move_into_cache(work, folder, replace=settings.overwrite_cache)
    corpus = _open_folder(folder, summary, settings)
    corpus.notes[:0] = sources.notes
    return corpus


def read_corpus(
    settings: CorpusSettings,
    sources: dict[str, list[Source]],
    folder: Path,
    word_splitter: str | None = None,
) -> dict[str, Any]:
    """Read every split into `folder`; return the fields of `Corpus` other than splits and name.

    Raises `CorpusError`.
    """
    problems = Problems()
    raw, labels = read_raw(settings, sources, folder, problems)
    if labels is None:
        raise CorpusError(problems)
    report_stray_tags(labels.table, labels.scheme, raw, problems.warnings)
    word_splitter = word_splitter or corpus_splitter(raw)
    notes = notes_on(raw, labels, word_splitter)
    for group in problems.warnings.groups:
        title = f"{group.title[:1].upper()}{group.title[1:]}"
        if group.kind is ProblemKind.SIMILAR_TYPES:
            details = "; ".join(problem.detail for problem in group.shown)
            notes.append(f"WARNING: {title}: {details}. Expected {group.shown[0].expected}.")
            continue
        notes.append(f"{title}: {group.count:,}, for example {group.shown[0]}")
    parts: dict[str, tuple[RawSplit, np.ndarray | None]] = {
        split: (raw_split, None) for split, raw_split in raw.items()
    }
    if needs_hold_out(settings, raw):
        held_out, note = hold_out(raw["train"], settings.seed)
        parts["train"], parts["validation"] = (raw["train"], ~held_out), (raw["train"], held_out)
        notes.append(note)
    digests = {
        split: write_split(*parts[split], labels.ids, folder / f"{split}.arrow")
        for split in SPLITS
        if split in parts
    }
    for raw_split in raw.values():
        raw_split.path.unlink()
    content = json.dumps([labels.names, digests])
    return {
        "label_names": labels.names,
        "entity_tags": labels.scheme is not None,
        "fingerprint": hashlib.blake2b(content.encode(), digest_size=16).hexdigest(),
        "sources": {
            split: [source.name for source in raw_split.sources]
            for split, (raw_split, _) in parts.items()
        },
        "notes": notes,
        "word_splitter": word_splitter,
        "whole_files": {split: files_of_rows(raw_split) for split, (raw_split, _) in parts.items()},
    }


def read_raw(
    settings: CorpusSettings,
    sources: dict[str, list[Source]],
    folder: Path,
    problems: Problems,
) -> tuple[dict[str, RawSplit], Labels | None]:
    """Read every split into `folder`; return the splits and the labels of the corpus.

    What is wrong goes to `problems`; there are no labels then.
    """
    declared, tags = declared_names(settings.label_names), CorpusTags()
    requested = settings.label_column_name is not None
    raw = {
        split: read_split(
            folder / f"{split}.raw",
            split_sources,
            tags,
            declared,
            problems,
            column_requested=requested,
        )
        for split, split_sources in sources.items()
    }
    check_splits(raw, problems)
    if problems:
        return raw, None
    task, scheme = settings.task_name, settings.tag_scheme
    labels = settle_labels(
        task, scheme, raw, tags.names, declared, problems, column_requested=requested
    )
    return raw, labels


def needs_hold_out(settings: CorpusSettings, raw: dict[str, RawSplit]) -> bool:
    """Return whether part of the training split becomes the validation split."""
    return settings.hold_out and "train" in raw and "validation" not in raw


def check_splits(raw: dict[str, RawSplit], problems: Problems) -> None:
    """Report splits without sentences, and sources without the labels that they need."""
    for name, split in raw.items():
        if not split.sentences and not problems:
            files = ", ".join(source.name for source in split.sources)
            detail = f"the {name} split is empty"
            problems.add(Problem(ProblemKind.NO_SENTENCE, Place(files), detail))
        unlabelled = [
            (source, opened)
            for source, opened in zip(split.sources, split.opened, strict=True)
            if opened.layout_kind is not None and not opened.labelled
        ]
        if name == "test" and len(unlabelled) == len(split.sources):
            continue  # it will be tagged, not scored
        for source, opened in unlabelled:
            expected = f"labels in the {name} split; name their column with --label_column_name"
            place = Place(source.name)
            problems.add(Problem(ProblemKind.NO_LABELS, place, opened.layout, expected))


def notes_on(raw: dict[str, RawSplit], labels: Labels, word_splitter: str) -> list[str]:
    """Return lines for the user about the layout, the word splitter and the tag scheme."""
    first_of: dict[str, str] = {}  # layout -> the first file that has it
    for split in raw.values():
        for source, opened in zip(split.sources, split.opened, strict=True):
            first_of.setdefault(opened.layout, source.name)
    notes = [f"{name}: {layout}." for layout, name in first_of.items()]
    notes += _notes_on_columns(raw)
    if any(split.raw_text for split in raw.values()):
        notes.append(f"Raw text is split into words by the suite's word splitter, {word_splitter}.")
    tagged = any(split.tag_counts for split in raw.values())
    return [*notes, *labels.notes, scheme_note(labels)] if tagged else notes


def _notes_on_columns(raw: dict[str, RawSplit]) -> list[str]:
    """Return what was decided by the content of files, each with the first file and a count."""
    files_of: dict[str, list[str]] = {}
    for split in raw.values():
        for source, opened in zip(split.sources, split.opened, strict=True):
            for note in opened.notes:
                files_of.setdefault(note, []).append(source.name)
    notes = []
    for note, files in files_of.items():
        others = f" and {counted(len(files) - 1, 'more file')}" if len(files) > 1 else ""
        notes.append(f"{files[0]}{others}: {note}.")
    return notes


def corpus_splitter(raw: dict[str, RawSplit]) -> str:
    """Return the name of the splitter that splits text into the words of these splits."""
    batches = (batch for split in raw.values() for batch in split.batches())
    return splitter_of("".join(batch.tokens.flatten().to_pylist()) for batch in batches)


def files_of_rows(split: RawSplit) -> list[int]:
    """Return the numbers of the sources of a split that are one document if they name none.

    These are files of one word in each row, if there are several. A single file may hold sentences
    of any origin, and so may a file of records.
    """
    if len(split.sources) < 2:
        return []
    return [n for n, opened in enumerate(split.opened) if opened.layout_kind in ROW_LAYOUTS]


# --- The cache ----------------------------------------------------------------------------------


def cache_folder(settings: CorpusSettings) -> Path:
    """Return the folder of all cached corpora."""
    return Path(settings.cache_dir or datasets.config.HF_DATASETS_CACHE) / "token-classification"


def content_key(
    settings: CorpusSettings, sources: dict[str, list[Source]], word_splitter: str | None = None
) -> str:
    """Return a hash of the content of the files and of the settings that affect how it is read."""
    key_parts = (
        READER_VERSION,
        word_splitter or installed_splitter(),
        settings.task_name,
        settings.text_column_name,
        settings.label_column_name,
        settings.tag_scheme,
        settings.span_alignment,
        tuple(settings.label_names or ()),
        settings.seed,
        settings.hold_out,
        [(split, source.name) for split in sources for source in sources[split]],
    )
    digest = hashlib.blake2b(repr(key_parts).encode(), digest_size=16)
    files = [file for split in sources for source in sources[split] for file in source.files]
    if settings.label_names and os.path.isfile(settings.label_names[0]):
        files.append(settings.label_names[0])
    for path in files:
        try:
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


@contextlib.contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder to read into; delete it afterwards unless it was renamed.

    A full disk raises UserError.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent, prefix="reading-"))
    except OSError as error:
        raise UserError(
            f"{parent}: cannot be written to: {error.strerror}. "
            "Name another folder with --cache_dir."
        ) from None
    try:
        with full_disk_reported(parent):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def full_disk_reported(cache: Path) -> Iterator[None]:
    """Turn the error of a full disk, or of a used-up quota, under the cache into a `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"{cache}: the cache cannot be written: {os.strerror(error.errno)}. Free some space, "
            "or name a folder on another disk with --cache_dir."
        ) from None


def file_digest(path: Path) -> str:
    """Return the checksum of a cached file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _seal(work: Path, summary: dict[str, Any]) -> None:
    """Write the summary of a corpus with the checksums of its files; sync them all to the disk."""
    paths = sorted(work.glob("*.arrow"))
    content = json.dumps({"summary": summary, "files": {p.name: file_digest(p) for p in paths}})
    checksum = hashlib.blake2b(content.encode()).hexdigest()
    (work / SUMMARY).write_text(f"{checksum}\n{content}", encoding="utf-8")
    for path in (*paths, work / SUMMARY):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    sync_folder(work)


def _cached_summary(folder: Path) -> dict[str, Any] | None:
    """Return the summary of a cached corpus; None if there is none, or if a file is damaged."""
    try:
        checksum, _, content = (folder / SUMMARY).read_text(encoding="utf-8").partition("\n")
        if hashlib.blake2b(content.encode()).hexdigest() != checksum:
            return None
        sealed: dict[str, Any] = json.loads(content)
        whole = all(
            file_digest(folder / name) == digest for name, digest in sealed["files"].items()
        )
    except (OSError, ValueError):
        return None
    return sealed["summary"] if whole else None


def _move_into_cache(work: Path, folder: Path, replace: bool) -> None:
    # Another run may have cached the same content meanwhile; its copy stays unless it is damaged.
    if replace or _cached_summary(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        work.rename(folder)
        sync_folder(folder.parent)
    except OSError:
        if _cached_summary(folder) is None:
            raise


def _open_folder(folder: Path, summary: dict[str, Any], settings: CorpusSettings) -> Corpus:
    limits = (
        settings.max_train_samples,
        settings.max_eval_samples,
        settings.max_predict_samples,
    )
    splits = datasets.DatasetDict()
    for split, limit in zip(SPLITS, limits, strict=True):
        path = folder / f"{split}.arrow"
        if path.is_file():
            splits[split] = datasets.Dataset(
                datasets.table.MemoryMappedTable.from_file(str(path)),
                split=datasets.NamedSplit(split),
                fingerprint=f"{folder.name[:16]}-{split}",
            )
            if limit is not None:
                splits[split] = splits[split].select(range(min(limit, len(splits[split]))))
    return Corpus(splits=splits, **summary)
