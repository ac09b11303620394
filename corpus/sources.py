"""Sources of a corpus: files, globs, folders of split files, data sets on disk or on the Hub."""

import glob
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import datasets
from huggingface_hub import HfApi

from corpus.formats.brat import files_of_brat, without_annotation_files
from corpus.formats.detect import read
from corpus.formats.record_source import open_records
from corpus.formats.records import Record
from corpus.formats.sentence import OpenedSource, ReadOptions
from corpus.formats.tables import class_names, records_of_batches, relevant_columns
from corpus.formats.text import regular_file
from corpus.problems import Problems
from settings.check_values import TASKS
from settings.run_settings import CorpusSettings
from support.errors import UserError
from support.text import closest, one_edit_apart

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {  # usual names of a split -> its name here; testa and testb as in CoNLL-2003
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "devel", "eval", "testa"), "validation"),
    **dict.fromkeys(("test", "testing", "testb"), "test"),
}
NON_DATA_SUFFIXES = {".md", ".rst", ".pdf", ".py", ".html", ".lock", ".yaml", ".yml"}
SAMPLE = Path(__file__).parents[1] / "data" / "sample"
PARQUET_COPY = "refs/convert/parquet"
BATCH_SIZE = 1000  # rows of a data set in memory at a time


class Source(NamedTuple):
    """One file, or one split of a data set, that sentences come from."""

    name: str
    open: Callable[[Problems], OpenedSource]
    files: tuple[str, ...]  # the files that hold its content


@dataclass(frozen=True)
class CorpusSources:
    """The sources of a corpus by split, in the order of `SPLITS`."""

    by_split: dict[str, list[Source]]
    name: str  # shown to the user
    notes: list[str]  # lines to show to the user


def find_sources(settings: CorpusSettings, word_splitter: str | None = None) -> CorpusSources:
    """Return the sources that the settings name, without reading them.

    `word_splitter`: the name of the splitter of raw text; None for the newest one. Raises
    `UserError` for names that do not exist.
    """
    if settings.task_name not in TASKS:
        raise UserError(
            f"--task_name {settings.task_name}: unknown task: expected one of {', '.join(TASKS)}"
        )
    options = ReadOptions(
        settings.task_name,
        settings.text_column_name,
        settings.label_column_name,
        span_alignment=settings.span_alignment,
        word_splitter=word_splitter,
    )
    notes: list[str] = []
    sources: dict[str, list[Source]] = {}
    names = []
    if settings.sample:
        sources = {split: [_file_source(SAMPLE / f"{split}.conll", options)] for split in SPLITS}
        names.append("data/sample")
    elif settings.dataset_name:
        sources = _named_sources(settings, settings.dataset_name, options, notes)
        folder = Path(settings.dataset_name)
        names.append(folder.resolve().name if folder.exists() else settings.dataset_name)
    problems: list[str] = []
    for split in SPLITS:
        paths = _files_of(settings, split, problems)
        if paths:
            sources[split] = [_file_source(path, options) for path in paths]
            names += [Path(path).name for path in paths]
    if problems:
        raise UserError("\n".join(problems))
    if not sources:
        raise UserError(
            "No corpus was named. Name one with --dataset_name, --train_file or --sample."
        )
    if len(names) > 6:
        names[5:] = [f"... ({len(names)} files)"]
    by_split = {split: sources[split] for split in SPLITS if split in sources}
    return CorpusSources(by_split, ", ".join(names), notes)


# --- Files --------------------------------------------------------------------------------------


def _files_of(settings: CorpusSettings, split: str, problems: list[str]) -> list[str]:
    """Return the files that a flag such as `--train_file` names by path or glob, each once."""
    paths: list[str] = []
    for pattern in getattr(settings, f"{split}_file") or ():
        flag = f"--{split}_file {pattern}"
        if os.path.isdir(pattern):
            problems.append(
                f"{flag}: is a folder. To read a folder of split files, use --dataset_name."
            )
            continue
        exists = os.path.exists(pattern)
        matches = [pattern] if exists else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            similar = None if glob.has_magic(pattern) else _similar_file_name(pattern)
            suggestion = f"; did you mean {similar}?" if similar else ""
            problems.append(f"{flag}: no such file{suggestion}")
        paths += [path for path in matches if not os.path.isdir(path)]
    return without_annotation_files(list(dict.fromkeys(paths)))


def _similar_file_name(path: str) -> str | None:
    """Return the file in the same folder whose name is closest to that of `path`.

    Names are compared without their extensions: equal extensions do not make names alike.
    """
    folder, base_name = os.path.split(path)
    names = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    similar = [
        name
        for name in names
        if one_edit_apart(name, base_name) or closest(Path(base_name).stem, [Path(name).stem])
    ]
    return closest(base_name, similar)


def _file_source(path: str | Path, options: ReadOptions) -> Source:
    name = str(path)
    try:
        content = str(regular_file(name))
    except OSError as error:
        raise UserError(f"{name}: {error}") from None
    beside = [file for file in files_of_brat(name) or () if file != name and os.path.isfile(file)]
    return Source(name, lambda problems: read(name, options, problems), (content, *beside))


# --- Folders and data sets ------------------------------------------------------------------------


def _named_sources(
    settings: CorpusSettings, dataset_name: str, options: ReadOptions, notes: list[str]
) -> dict[str, list[Source]]:
    """Return the sources of a folder of split files, or of a data set on disk or on the Hub."""
    folder = Path(dataset_name)
    if folder.is_file():
        raise UserError(f"--dataset_name {folder}: is a file. To read a file, use --train_file.")
    if folder.is_dir() and not any(
        (folder / name).is_file() for name in ("dataset_dict.json", "state.json")
    ):
        return _folder_sources(folder / (settings.dataset_config_name or ""), options)
    try:
        if folder.is_dir():
            loaded = datasets.load_from_disk(str(folder))
            if isinstance(loaded, datasets.Dataset):
                loaded = {"train": loaded}
        else:
            loaded = _load_from_hub(settings, dataset_name, notes)
    except Exception as error:
        # All errors that the libraries raise here concern a name, an access right or the network.
        raise UserError(f"--dataset_name {dataset_name}: {error}") from error
    sources: dict[str, list[Source]] = {}
    for split, dataset in loaded.items():
        if split.lower() in SPLIT_NAMES:
            source = _dataset_source(f"{dataset_name} {split}", dataset, options)
            sources.setdefault(SPLIT_NAMES[split.lower()], []).append(source)
    if not sources:
        raise UserError(
            f"--dataset_name {dataset_name}: no known split: got {', '.join(loaded)}, expected "
            "train, and optionally validation and test"
        )
    return sources


def _folder_sources(folder: Path, options: ReadOptions) -> dict[str, list[Source]]:
    """Return the files of a folder whose names, or whose folders' names, name a split."""
    sources: dict[str, list[Source]] = {}
    paths = [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in map(Path, without_annotation_files(paths)):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts) or path.suffix in NON_DATA_SUFFIXES:
            continue
        words = [re.findall(r"[a-z]+", part.lower()) for part in reversed(parts)]
        split = next((SPLIT_NAMES[word] for word in chain(*words) if word in SPLIT_NAMES), None)
        if split is not None:
            sources.setdefault(split, []).append(_file_source(path, options))
    if not sources:
        raise UserError(
            f"--dataset_name {folder}: no file is named after a split. Name the files like "
            "train.conll, validation.jsonl or test-00000.parquet."
        )
    for split_sources in sources.values():
        names = [source.name.lower() for source in split_sources]
        if len({"".join(re.findall(r"\.[a-z]+", name)[-2:]) for name in names}) > 1:
            listed = ", ".join(Path(source.name).name for source in split_sources)
            raise UserError(
                f"--dataset_name {folder}: several formats of one split: got {listed}, expected "
                "one format. Name the files with --train_file, --validation_file and --test_file."
            )
    return sources


def _load_from_hub(
    settings: CorpusSettings, dataset_name: str, notes: list[str]
) -> datasets.DatasetDict:
    def load(name: str, revision: str | None) -> datasets.DatasetDict:
        return datasets.load_dataset(
            name,
            settings.dataset_config_name,
            revision=revision,
            cache_dir=settings.cache_dir,
            token=settings.hub_token,
        )

    try:
        return load(dataset_name, settings.dataset_revision)
    except RuntimeError as error:
        # `datasets` has no class of its own for this error.
        if "scripts are no longer supported" not in str(error) or settings.dataset_revision:
            raise
        # `datasets` finds no files under an old name: "conll2003" is "eriktks/conll2003" today.
        full_name = HfApi(token=settings.hub_token).dataset_info(dataset_name).id
        loaded = load(full_name, PARQUET_COPY)
        notes.append(
            f"{dataset_name} is a loading script, which `datasets` no longer runs. Its parquet "
            f"copy at revision {PARQUET_COPY} was read."
        )
        return loaded


def _dataset_source(name: str, dataset: datasets.Dataset, options: ReadOptions) -> Source:
    used = dataset.select_columns(relevant_columns(dataset.features.arrow_schema, options))
    names_of = class_names(used.features.arrow_schema.metadata)

    def open_rows(problems: Problems) -> OpenedSource:
        def read_records(_: Problems) -> Iterator[Record]:
            return records_of_batches(used.with_format("arrow").iter(batch_size=BATCH_SIZE))

        return open_records(read_records, options, problems, name, names_of)

    return Source(name, open_rows, tuple(file["filename"] for file in dataset.cache_files))
