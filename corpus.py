"""A corpus as people have it, made into checked splits of words and tag ids.

`load_corpus` reads files (through `readers`), folders and Hub data sets once into memory-mapped
Arrow, kept by content: an edited file is read anew, and memory does not grow with the corpus.
Entity tags are IOB2 afterwards, whatever the files used.
"""

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import pyarrow as pa

import readers
import tag_schemes
from arguments import TASKS, UserError
from readers import Opened, Problems, Sentence, Wanted
from records import Record, open_records
from sentences import quote

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {  # what data sets and folders call a split -> its name here
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
    "testing": "test",
}
SAMPLE = Path(__file__).parent / "data" / "sample"
PARQUET_COPY = "refs/convert/parquet"
VALIDATION_SHARE = 0.1
BATCH = 1000  # sentences written at a time


@dataclass
class Corpus:
    """Checked splits and all that is known of them.

    `splits`: "train", "validation", "test", those that exist, with the columns tokens
    (list of words), labels (list of ids into `label_names`, one a word; absent where a test
    split has none) and doc_id (a string; only where there are documents).
    """

    splits: datasets.DatasetDict
    label_names: list[str]  # IOB2 for entity tags, O first
    entity_tags: bool
    name: str  # for people
    fingerprint: str  # of the content: the same words and labels, the same value
    notes: list[str] = field(default_factory=list)  # lines to tell the user
    word_splitter: str | None = None  # of the words, where the corpus has raw text
    statistics: dict[str, dict] = field(default_factory=dict)  # by split


class Source(NamedTuple):
    """One file, or one split of a data set, that sentences come from."""

    name: str
    open: Callable[[Problems], Opened]
    files: tuple[Path, ...]  # what its content is


def load_corpus(args) -> Corpus:
    """Read the corpus that the arguments name, or what an earlier run read of the same content.

    Raises `UserError` with all that is wrong with it. On several processes the main one calls
    this first; the others then find what it read.
    """
    sources, notes, name = find_sources(args)
    folder = _cache_folder(args) / _key(args, sources)
    first_here = os.environ.get("LOCAL_RANK", "0") == "0"
    if not (folder / "corpus.json").is_file() or (args.overwrite_cache and first_here):
        problems = Problems()
        with _new_folder(folder) as work:
            summary = read_corpus(args, sources, Path(work), problems)
            if problems:
                raise UserError(str(problems))
            summary |= {"name": name}
            (Path(work) / "corpus.json").write_text(json.dumps(summary), encoding="utf-8")
            _put_in_place(Path(work), folder)
    corpus = _open_folder(folder, args)
    corpus.notes[:0] = notes
    return corpus


# --- Where the corpus is --------------------------------------------------------------------


def find_sources(args) -> tuple[dict[str, list[Source]], list[str], str]:
    """Sources by split, notes for the user, and the corpus's name for people."""
    if args.task_name not in TASKS:
        raise UserError(f"--task_name {args.task_name}: expected one of {', '.join(TASKS)}")
    wanted = Wanted(args.task_name, args.text_column_name, args.label_column_name)
    notes: list[str] = []
    sources: dict[str, list[Source]] = {}
    names = []
    if args.sample:
        sources = {split: [_file_source(SAMPLE / f"{split}.conll", wanted)] for split in SPLITS}
        names.append("data/sample")
    elif args.dataset_name:
        sources = _hub_sources(args, wanted, notes)
        names.append(args.dataset_name)
    missing = []
    for split in SPLITS:
        patterns = getattr(args, f"{split}_file")
        if not patterns:
            continue
        paths = []
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            found = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
            paths += found
            if not found:
                missing.append(f"--{split}_file {pattern}: no such file")
            missing += [
                f"--{split}_file {path}: a folder, expected a file"
                for path in found
                if os.path.isdir(path)
            ]
        sources[split] = [_file_source(path, wanted) for path in paths]
        names += [Path(path).name for path in paths]
    if missing:
        raise UserError("\n".join(missing))
    if not sources:
        raise UserError("No corpus: name one with --dataset_name, --train_file or --sample.")
    ordered = {split: sources[split] for split in SPLITS if split in sources}
    return ordered, notes, ", ".join(names)


def _file_source(path, wanted: Wanted) -> Source:
    return Source(str(path), lambda problems: readers.read(path, wanted, problems), (Path(path),))


def _hub_sources(args, wanted: Wanted, notes: list[str]) -> dict[str, list[Source]]:
    loaded = _load_from_hub(args, notes)
    sources: dict[str, list[Source]] = {}
    for split, dataset in loaded.items():
        ours = SPLIT_NAMES.get(split)
        if ours is not None:
            sources.setdefault(ours, []).append(
                _dataset_source(f"{args.dataset_name} {split}", dataset, wanted)
            )
    if not sources:
        raise UserError(
            f"{args.dataset_name}: its splits are {', '.join(map(quote, loaded))}, expected "
            "'train' and, if there are more, 'validation' and 'test'"
        )
    return sources


def _load_from_hub(args, notes: list[str]) -> datasets.DatasetDict:
    def load(revision):
        return datasets.load_dataset(
            args.dataset_name,
            args.dataset_config_name,
            revision=revision,
            cache_dir=args.cache_dir,
            token=args.hub_token,
        )

    try:
        try:
            return load(args.dataset_revision)
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error) or args.dataset_revision:
                raise
            loaded = load(PARQUET_COPY)
            notes.append(
                f"{args.dataset_name} is a script, which `datasets` no longer runs: "
                f"read from its parquet copy at revision {PARQUET_COPY}."
            )
            return loaded
    except Exception as error:
        # Whatever the libraries raise here is about a name, an access right or the network.
        raise UserError(f"--dataset_name {args.dataset_name}: {error}") from error


def _dataset_source(name: str, dataset: datasets.Dataset, wanted: Wanted) -> Source:
    names_of = {
        column: feature.feature.names
        for column, feature in dataset.features.items()
        if hasattr(getattr(feature, "feature", None), "names")
    }

    def rows() -> Iterator[Record]:
        row = 0
        for batch in dataset.with_format("arrow").iter(batch_size=BATCH):
            for fields in batch.to_pylist():
                row += 1
                yield Record(row, fields)

    return Source(
        name,
        lambda problems: open_records(rows(), wanted, problems, name, names_of),
        tuple(Path(file["filename"]) for file in dataset.cache_files),
    )


# --- Kept by content --------------------------------------------------------------------------


def _cache_folder(args) -> Path:
    return Path(args.cache_dir or datasets.config.HF_DATASETS_CACHE) / "token-classification"


def _key(args, sources: dict[str, list[Source]]) -> str:
    """A hash of the content, of the arguments that matter to it, and of the code that reads."""
    asked = (
        *(args.task_name, args.text_column_name, args.label_column_name, args.tag_scheme),
        *(args.label_names, None if "validation" in sources else args.seed),
        [(split, source.name) for split, found in sources.items() for source in found],
    )
    digest = hashlib.blake2b(repr(asked).encode(), digest_size=16)
    code = [Path(module.__file__) for module in (readers, tag_schemes)] + [Path(__file__)]
    files = [path for found in sources.values() for source in found for path in source.files]
    if args.label_names and os.path.isfile(args.label_names[0]):
        files.append(Path(args.label_names[0]))
    for path in code + files:
        try:
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
    return digest.hexdigest()


def _new_folder(folder: Path) -> tempfile.TemporaryDirectory:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(
            dir=folder.parent, prefix="reading-", ignore_cleanup_errors=True
        )
    except OSError as error:
        raise UserError(
            f"{folder.parent}: {error.strerror}; --cache_dir names another folder"
        ) from None


def _put_in_place(work: Path, folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
    try:
        os.rename(work, folder)
    except OSError:  # another run has just put the same content there
        if not (folder / "corpus.json").is_file():
            raise
    else:
        work.mkdir()  # for the context manager to remove


def _open_folder(folder: Path, args) -> Corpus:
    summary = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    limits = {
        "train": args.max_train_samples,
        "validation": args.max_eval_samples,
        "test": args.max_predict_samples,
    }
    splits = datasets.DatasetDict()
    for split in summary["statistics"]:
        table = datasets.table.MemoryMappedTable.from_file(str(folder / f"{split}.arrow"))
        dataset = datasets.Dataset(
            table, split=datasets.NamedSplit(split), fingerprint=f"{folder.name[:16]}-{split}"
        )
        limit = limits[split]
        splits[split] = (
            dataset if limit is None else dataset.select(range(min(limit, len(dataset))))
        )
    return Corpus(splits=splits, **summary)


# --- Sentences to Arrow, tags as numbers --------------------------------------------------------


class RawSplit:
    """A split as read: words and documents, and tags as numbers into the tags of all splits."""

    def __init__(self, path: Path, sources: list[Source]):
        self.path, self.sources = path, sources
        self.ends: list[int] = []  # sentences up to the end of each source
        self.sentences = self.words = self.longest = 0
        self.documents: set[str] = set()
        self.labelled = True
        self.tag_counts: Counter = Counter()
        self.layouts: list[str] = []
        self.raw_text = False

    def batches(self) -> Iterator["RawBatch"]:
        with pa.memory_map(str(self.path)) as file:
            for batch in pa.ipc.open_stream(file):
                yield RawBatch(batch)


class RawBatch:
    def __init__(self, batch: pa.RecordBatch):
        self.tokens, self.documents = batch["tokens"], batch["doc_id"]
        self.tags = batch["tags"].values.to_numpy()
        self.offsets = batch["tags"].offsets.to_numpy()
        self.starts = np.zeros(len(self.tags), bool)
        self.starts[self.offsets[:-1]] = True


RAW_SCHEMA = pa.schema(
    {"tokens": pa.list_(pa.string()), "tags": pa.list_(pa.int32()), "doc_id": pa.string()}
)


class _TagNumbers(dict):
    """Tags of one source -> numbers into the tags of the corpus, new ones as they come."""

    def __init__(self, corpus_tags: dict[str | int, int], names: list[str] | None):
        super().__init__()
        self.corpus_tags, self.names = corpus_tags, names

    def __missing__(self, tag: str | int) -> int:
        known = isinstance(tag, int) and self.names is not None and 0 <= tag < len(self.names)
        name = self.names[tag] if known else tag.strip() if isinstance(tag, str) else tag
        self[tag] = self.corpus_tags.setdefault(name, len(self.corpus_tags))
        return self[tag]


def write_raw_split(
    path: Path,
    sources: list[Source],
    corpus_tags: dict[str | int, int],
    label_names: list[str] | None,
    problems: Problems,
) -> RawSplit:
    """Read all sources of a split into one Arrow file, whatever is wrong going to `problems`."""
    split = RawSplit(path, sources)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, RAW_SCHEMA) as writer:
        for source in sources:
            opened = source.open(problems)
            split.layouts.append(f"{source.name}: {opened.layout}")
            split.labelled &= opened.labelled
            split.raw_text |= opened.raw_text
            numbers = _TagNumbers(corpus_tags, label_names or opened.label_names)
            sentences = (sentence for sentence in opened.sentences if len(sentence.words))
            while batch := list(islice(sentences, BATCH)):
                writer.write(_raw_batch(batch, numbers, split))
            split.ends.append(split.sentences)
    return split


def _raw_batch(batch: list[Sentence], numbers: _TagNumbers, split: RawSplit) -> pa.RecordBatch:
    sizes = [len(sentence.words) for sentence in batch]
    tags = [
        [-1] * len(sentence.words)
        if sentence.tags is None
        else list(map(numbers.__getitem__, sentence.tags))
        for sentence in batch
    ]
    split.sentences += len(batch)
    split.words += sum(sizes)
    split.longest = max(split.longest, *sizes)
    documents = [sentence.document for sentence in batch]
    split.documents.update(document for document in set(documents) if document is not None)
    for sentence_tags in tags:
        split.tag_counts.update(sentence_tags)
    columns = [[sentence.words for sentence in batch], tags, documents]
    return pa.record_batch(columns, schema=RAW_SCHEMA)


# --- The corpus as a whole --------------------------------------------------------------------


def read_corpus(args, sources, folder: Path, problems: Problems) -> dict:
    """Read every split into `folder`; returns what `corpus.json` keeps."""
    declared = _declared_names(args.label_names)
    tags: dict[str | int, int] = {}
    raw = {
        split: write_raw_split(folder / f"{split}.raw", found, tags, declared, problems)
        for split, found in sources.items()
    }
    for split, found in raw.items():
        if not found.sentences and not problems:
            problems.add("empty split", split, f"no sentence in {found.sources[0].name}")
        if split != "test" and found.sentences and not found.labelled:
            problems.add("no labels", split, f"{found.layouts[0]}, no labels", "a column of labels")
    if problems:
        return {}
    names = list(tags)
    notes: list[str] = []
    bad = [name for name in names if not isinstance(name, str) or not name]
    _report_bad_tags(bad, names, raw, declared, problems)
    if problems:
        return {}
    entity_tags = all(map(tag_schemes.is_entity_tag, names))
    table = tag_schemes.TagTable(names)
    if entity_tags:
        label_names = tag_schemes.iob2_names(table.types)
        scheme = settle_scheme(args.tag_scheme, table, raw.values())
        notes.append(f"Entity tags in {scheme.upper()}.")
    else:
        label_names = sorted(names, key=lambda name: (name != "O", name))
    statistics, fingerprint = {}, hashlib.blake2b(repr(label_names).encode(), digest_size=16)
    for split, found in raw.items():
        statistics[split] = _write_split(
            found, folder / f"{split}.arrow", table, label_names, entity_tags
        )
        fingerprint.update(statistics[split].pop("digest").encode())
        found.path.unlink()
    return {
        "label_names": label_names,
        "entity_tags": entity_tags,
        "fingerprint": fingerprint.hexdigest(),
        "notes": notes,
        "word_splitter": None,
        "statistics": statistics,
    }


def settle_scheme(asked: str, table: tag_schemes.TagTable, splits: Iterable[RawSplit]) -> str:
    if asked != "auto":
        return asked
    forbidden = any(
        table.illegal(batch.tags, batch.starts, "iob1").any()
        for split in splits
        if split.labelled
        for batch in split.batches()
    )
    return tag_schemes.guess_scheme(set(table.prefixes) - {"O"}, forbidden)


def _declared_names(label_names: list[str] | None) -> list[str] | None:
    if label_names and len(label_names) == 1 and os.path.isfile(label_names[0]):
        return Path(label_names[0]).read_text(encoding="utf-8").split()
    return label_names


def _report_bad_tags(bad, names, raw, declared, problems: Problems) -> None:
    for name in bad:
        problems.add("labels without a name", "the corpus", quote(name), "--label_names")


def _write_split(raw: RawSplit, path: Path, table, label_names, entity_tags: bool) -> dict:
    """Write the split with its final labels; returns its statistics and a digest of its content."""
    schema = {"tokens": pa.list_(pa.string())}
    if raw.labelled:
        schema["labels"] = pa.list_(pa.int64())
    if raw.documents:
        schema["doc_id"] = pa.string()
    numbers = {name: number for number, name in enumerate(label_names)}
    plain = np.array([numbers.get(name, -1) for name in table.names])
    digest = hashlib.blake2b(digest_size=16)
    counts = np.zeros(len(label_names), int)
    schema = pa.schema(schema)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in raw.batches():
            columns = [batch.tokens]
            digest.update(repr(batch.tokens.to_pylist()).encode())
            if raw.labelled:
                labels = (
                    table.to_iob2(batch.tags, batch.starts, label_names)
                    if entity_tags
                    else plain[batch.tags]
                )
                counts += np.bincount(labels, minlength=len(label_names))
                digest.update(labels.astype("<i8").tobytes())
                columns.append(
                    pa.ListArray.from_arrays(pa.array(batch.offsets, pa.int32()), labels)
                )
            if raw.documents:
                columns.append(batch.documents)
            writer.write(pa.record_batch(columns, schema=schema))
    return {
        "sentences": raw.sentences,
        "words": raw.words,
        "documents": len(raw.documents),
        "longest": raw.longest,
        "labels": dict(zip(label_names, counts.tolist(), strict=True)) if raw.labelled else None,
        "digest": digest.hexdigest(),
    }
