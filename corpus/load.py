"""A corpus as people have it, made into checked splits of words and tag ids.

`load_corpus` reads files (through `readers`), folders and Hub data sets once into memory-mapped
Arrow, kept by content: an edited file is read anew, and memory does not grow with the corpus.
Entity tags are IOB2 afterwards, whatever the files used.
"""

import contextlib
import difflib
import glob
import hashlib
import json
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from huggingface_hub import HfApi

from corpus import labels as corpus_labels
from corpus import words as words_module
from corpus.formats import detect, tables
from corpus.formats.record_layout import open_records
from corpus.formats.sentence import OpenedSource, Sentence, Wanted
from corpus.labels import Labels, declared_names, report_strays, scheme_note, settle_labels
from corpus.problems import SHOWN, CorpusError, Place, Problem, ProblemKind, Problems
from settings.flags import TASKS
from support.errors import UserError
from support.text import counted

SPLITS = ("train", "validation", "test")
SPLIT_WORDS = {  # what people call a split -> its name here; testa and testb as in CoNLL-2003
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "devel", "eval", "testa"), "validation"),
    **dict.fromkeys(("test", "testing", "testb"), "test"),
}
NO_DATA = {".md", ".rst", ".pdf", ".py", ".html", ".lock", ".yaml", ".yml"}
SAMPLE = Path(__file__).parents[1] / "data" / "sample"
PARQUET_COPY = "refs/convert/parquet"
HELD_OUT = 0.1
BATCH = 1000  # sentences in memory at a time
CODE = sorted(Path(__file__).parent.rglob("*.py"))


@dataclass
class Corpus:
    """Checked splits and all that is known of them.

    `splits`: "train", "validation", "test", those that exist, with the columns tokens
    (list of words), labels (list of ids into `label_names`, one a word; absent where a test
    split has none) and doc_id (a string; only where there are documents).
    """

    splits: datasets.DatasetDict
    label_names: list[str]  # O first; for entity tags IOB2, both tags of each type
    entity_tags: bool
    name: str  # for people
    fingerprint: str  # of the content: the same words and labels, the same value
    notes: list[str] = field(default_factory=list)  # lines to tell the user
    word_splitter: str | None = None  # `words_module.WORD_SPLITTER`, where words come from raw text


class Source(NamedTuple):
    """One file, or one split of a data set, that sentences come from."""

    name: str
    open: Callable[[Problems], OpenedSource]
    files: tuple[str, ...]  # what its content is


def load_corpus(args) -> Corpus:
    """The corpus that the arguments name, as splits of checked words and labels.

    Raises `UserError` with all that is wrong with it. On several processes the main one calls
    this first; the others then find what it has read.
    """
    sources, notes, name = find_sources(args)
    folder = cache_folder(args) / content_key(args, sources)
    reread = args.overwrite_cache and os.environ.get("LOCAL_RANK", "0") == "0"
    if reread or not (folder / "corpus.json").is_file():
        problems = Problems()
        with new_folder(folder.parent) as work:
            summary = read_corpus(args, sources, work, problems)
            if problems:
                raise CorpusError(problems)
            text = json.dumps(summary | {"name": name}, ensure_ascii=False)
            (work / "corpus.json").write_text(text, encoding="utf-8")
            _put_in_place(work, folder, reread)
    corpus = _open_folder(folder, args)
    corpus.notes[:0] = notes
    return corpus


def read_corpus(args, sources: dict[str, list[Source]], folder: Path, problems: Problems) -> dict:
    """Read every split into `folder`; returns what `Corpus` keeps of it."""
    declared = declared_names(args)
    tags = CorpusTags()
    raw = {
        split: read_split(folder / f"{split}.raw", found, tags, declared, problems)
        for split, found in sources.items()
    }
    check_splits(raw, problems)
    labels = None if problems else settle_labels(args, raw, list(tags), declared, problems)
    if labels is None:
        return {}
    report_strays(labels, raw, problems.warnings)
    notes = notes_on(raw, labels)
    for group in problems.warnings.groups:
        title = f"{group.title[:1].upper()}{group.title[1:]}"
        notes.append(f"{title}: {group.count:,}, such as {group.shown[0]}")
    parts = {split: (found, None) for split, found in raw.items()}
    if "train" in raw and "validation" not in raw and args.scores_epochs:
        held_out, note = hold_out(raw["train"], args.seed)
        parts["train"], parts["validation"] = (raw["train"], ~held_out), (raw["train"], held_out)
        notes.append(note)
    digests = {
        split: write_split(*parts[split], labels, folder / f"{split}.arrow")
        for split in SPLITS
        if split in parts
    }
    for split in raw.values():
        split.path.unlink()
    content = json.dumps([labels.names, digests])
    raw_text = any(split.raw_text for split in raw.values())
    return {
        "label_names": labels.names,
        "entity_tags": labels.scheme is not None,
        "fingerprint": hashlib.blake2b(content.encode(), digest_size=16).hexdigest(),
        "notes": notes,
        "word_splitter": words_module.WORD_SPLITTER if raw_text else None,
    }


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
        sources = _named_sources(args, wanted, notes)
        names.append(args.dataset_name)
    missing: list[str] = []
    for split in SPLITS:
        paths = _files_of(args, split, missing)
        if paths:
            sources[split] = [_file_source(path, wanted) for path in paths]
            names += [Path(path).name for path in paths]
    if missing:
        raise UserError("\n".join(missing))
    if not sources:
        raise UserError("No corpus: name one with --dataset_name, --train_file or --sample.")
    if len(names) > 6:
        names[5:] = [f"... ({len(names)} files)"]
    return {split: sources[split] for split in SPLITS if split in sources}, notes, ", ".join(names)


def _files_of(args, split: str, missing: list[str]) -> list[str]:
    """Files of --train_file and its like: paths or globs, each file once."""
    paths = []
    for pattern in getattr(args, f"{split}_file") or ():
        flag = f"--{split}_file {pattern}"
        found = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
        if os.path.isdir(pattern):
            missing.append(f"{flag}: a folder; --dataset_name takes a folder of split files")
            continue
        if not found:
            near = None if glob.has_magic(pattern) else _misspelt_name(pattern)
            missing.append(f"{flag}: no such file" + (f"; there is {near}" if near else ""))
        paths += [path for path in found if not os.path.isdir(path)]
    return list(dict.fromkeys(paths))


def _misspelt_name(path: str) -> str | None:
    """The file in the same folder that `path` looks like; equal endings make no likeness."""
    folder, wanted = os.path.split(path)
    there = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    alike = [
        name
        for name in there
        if corpus_labels.one_edit_apart(name, wanted)
        or difflib.get_close_matches(Path(wanted).stem, [Path(name).stem])
    ]
    return next(iter(difflib.get_close_matches(wanted, alike, n=1)), None)


def _file_source(path, wanted: Wanted) -> Source:
    name = str(path)
    return Source(name, lambda problems: detect.read(name, wanted, problems), (name,))


def _named_sources(args, wanted: Wanted, notes: list[str]) -> dict[str, list[Source]]:
    """Of --dataset_name: a folder of split files, one saved by `datasets`, or one on the Hub."""
    folder = Path(args.dataset_name)
    if folder.is_file():
        raise UserError(f"--dataset_name {folder}: a file; --train_file takes files")
    if folder.is_dir() and not any(
        (folder / name).is_file() for name in ("dataset_dict.json", "state.json")
    ):
        return _folder_sources(folder / (args.dataset_config_name or ""), wanted)
    try:
        if folder.is_dir():
            loaded = datasets.load_from_disk(str(folder))
            if isinstance(loaded, datasets.Dataset):
                loaded = {"train": loaded}
        else:
            loaded = _load_from_hub(args, notes)
    except Exception as error:
        # Whatever the libraries raise here is about a name, an access right or the network.
        raise UserError(f"--dataset_name {args.dataset_name}: {error}") from error
    sources: dict[str, list[Source]] = {}
    for split, dataset in loaded.items():
        if split.lower() in SPLIT_WORDS:
            source = _dataset_source(f"{args.dataset_name} {split}", dataset, wanted)
            sources.setdefault(SPLIT_WORDS[split.lower()], []).append(source)
    if not sources:
        raise UserError(
            f"--dataset_name {args.dataset_name}: its splits are {', '.join(loaded)}; expected "
            "train and, if there are more, validation and test"
        )
    return sources


def _folder_sources(folder: Path, wanted: Wanted) -> dict[str, list[Source]]:
    """Files that say by their names, or by their folder's, which split they are."""
    sources: dict[str, list[Source]] = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts) or path.suffix in NO_DATA:
            continue
        words = [re.findall(r"[a-z]+", part.lower()) for part in reversed(parts)]
        split = next((SPLIT_WORDS[word] for word in chain(*words) if word in SPLIT_WORDS), None)
        if path.is_file() and split is not None:
            sources.setdefault(split, []).append(_file_source(path, wanted))
    if not sources:
        raise UserError(
            f"--dataset_name {folder}: no file there is named after a split, such as "
            "train.conll, validation.jsonl or test-00000.parquet"
        )
    for found in sources.values():
        endings = {"".join(re.findall(r"\.[a-z]+", source.name.lower())[-2:]) for source in found}
        if len(endings) > 1:
            listed = ", ".join(Path(source.name).name for source in found)
            raise UserError(
                f"--dataset_name {folder}: several formats of one split: {listed}; "
                "--train_file, --validation_file and --test_file name one of them"
            )
    return sources


def _load_from_hub(args, notes: list[str]) -> datasets.DatasetDict:
    def load(name, revision):
        return datasets.load_dataset(
            name,
            args.dataset_config_name,
            revision=revision,
            cache_dir=args.cache_dir,
            token=args.hub_token,
        )

    try:
        return load(args.dataset_name, args.dataset_revision)
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error) or args.dataset_revision:
            raise
        # `datasets` finds no files under an old name: "conll2003" is "eriktks/conll2003" today.
        full_name = HfApi(token=args.hub_token).dataset_info(args.dataset_name).id
        loaded = load(full_name, PARQUET_COPY)
        notes.append(
            f"{args.dataset_name} is a script, which `datasets` no longer runs: read from its "
            f"parquet copy at revision {PARQUET_COPY}."
        )
        return loaded


def _dataset_source(name: str, dataset: datasets.Dataset, wanted: Wanted) -> Source:
    used = dataset.select_columns(tables.relevant_columns(dataset.column_names, wanted))
    names_of = tables.class_names(used.features.arrow_schema.metadata)

    def open_rows(problems: Problems) -> OpenedSource:
        rows = tables.records_of_batches(used.with_format("arrow").iter(batch_size=BATCH))
        return open_records(rows, wanted, problems, name, names_of)

    return Source(name, open_rows, tuple(file["filename"] for file in dataset.cache_files))


# --- Kept by content --------------------------------------------------------------------------


def cache_folder(args) -> Path:
    return Path(args.cache_dir or datasets.config.HF_DATASETS_CACHE) / "token-classification"


def content_key(args, sources: dict[str, list[Source]]) -> str:
    """A hash of the content, of the arguments that matter to it, and of the code that reads."""
    asked = (
        *(args.task_name, args.text_column_name, args.label_column_name, args.tag_scheme),
        *(args.label_names, args.seed, args.scores_epochs, words_module.WORD_SPLITTER),
        [(split, source.name) for split, found in sources.items() for source in found],
    )
    digest = hashlib.blake2b(repr(asked).encode(), digest_size=16)
    files = [file for found in sources.values() for source in found for file in source.files]
    if args.label_names and os.path.isfile(args.label_names[0]):
        files.append(args.label_names[0])
    for path in (*CODE, *files):
        try:
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
    return digest.hexdigest()


@contextlib.contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """An empty folder to read into, gone afterwards unless it was renamed."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent, prefix="reading-"))
    except OSError as error:
        raise UserError(f"{parent}: {error.strerror}; --cache_dir names another place") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(work: Path, folder: Path, replace: bool) -> None:
    if replace:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        work.rename(folder)
    except OSError:  # another run has just put the same content there
        if not (folder / "corpus.json").is_file():
            raise


def _open_folder(folder: Path, args) -> Corpus:
    summary = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    limits = (args.max_train_samples, args.max_eval_samples, args.max_predict_samples)
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


# --- Sentences as read: words, and tags as numbers ----------------------------------------------

RAW = pa.schema(
    {"tokens": pa.list_(pa.string()), "tags": pa.list_(pa.int32()), "doc_id": pa.string()}
)


class CorpusTags(dict):
    """Every tag of the corpus as its files have it -> its number; new ones as they come."""

    def __missing__(self, tag: str | int) -> int:
        self[tag] = len(self)
        return self[tag]


class _TagNumbers(dict):
    """The same for the tags of one source, whose integers are numbers of `names`."""

    def __init__(self, tags: CorpusTags, names: list[str] | None):
        super().__init__()
        self.tags, self.names = tags, names

    def __missing__(self, tag: str | int) -> int:
        found = tag.strip() if isinstance(tag, str) else tag
        if self.names and found not in self.names:
            numbers = {str(number): name for number, name in enumerate(self.names)}
            found = numbers.get(str(found), found)
        self[tag] = self.tags[found]
        return self[tag]


class RawSplit:
    """A split as read: an Arrow file of words, tag numbers and documents, and where from."""

    def __init__(self, path: Path, sources: list[Source]):
        self.path, self.sources = path, sources
        self.opened: list[OpenedSource] = []
        self.sentences = self.words = self.longest = 0
        self.documents: Counter = Counter()  # sentences by document
        self.tag_counts: Counter = Counter()  # words by tag number

    @property
    def labelled(self) -> bool:
        return all(opened.labelled for opened in self.opened)

    @property
    def raw_text(self) -> bool:
        return any(opened.raw_text for opened in self.opened)

    def batches(self) -> Iterator["RawBatch"]:
        with pa.OSFile(str(self.path)) as file:  # not mapped: its pages would count as memory
            for batch in pa.ipc.open_stream(file):
                yield RawBatch(batch)

    def reread(self) -> Iterator[Sentence]:
        """The sentences of `batches`, from the sources again: slow, but with their lines."""
        for source in self.sources:
            yield from source.open(Problems()).sentences

    def find(
        self, mask_of: Callable[["RawBatch"], np.ndarray], limit: int = SHOWN
    ) -> tuple[int, list["Found"]]:
        """Words for which `mask_of` is true: how many there are, and the first of them."""
        count, offset, first = 0, 0, []
        for batch in self.batches():
            positions = np.flatnonzero(mask_of(batch))
            count += len(positions)
            for position in positions[: limit - len(first)]:
                sentence = int(np.searchsorted(batch.offsets, position, side="right")) - 1
                first.append((offset + sentence, int(position - batch.offsets[sentence])))
            offset += len(batch.offsets) - 1
        return count, self.locate(first)

    def locate(self, positions: list[tuple[int, int]]) -> list["Found"]:
        """Words given by sentence and word number, in order, with the lines they stand in."""
        found, left = [], positions[::-1]
        for number, sentence in enumerate(self.reread() if left else ()):
            while left and left[-1][0] == number:
                word = left.pop()[1]
                tag = None if sentence.tags is None else sentence.tags[word]
                found.append(Found(sentence.place(word), sentence.words[word], tag, sentence))
            if not left:
                break
        return found


class PartOfSplit(RawSplit):
    """Some sentences of a split: those of `mask` (bool, one a sentence)."""

    def __init__(self, whole: RawSplit, mask: np.ndarray):
        super().__init__(whole.path, whole.sources)
        self.opened, self.mask = whole.opened, mask
        for batch in self.batches():
            sizes = np.diff(batch.offsets)
            self.sentences += len(sizes)
            self.words += int(sizes.sum())
            self.longest = max(self.longest, *sizes.tolist(), 0)
            self.documents.update(batch.documents.drop_null().to_pylist())
            if self.labelled:
                self.tag_counts.update(batch.tags.tolist())

    def batches(self) -> Iterator["RawBatch"]:
        sentence = 0
        with pa.OSFile(str(self.path)) as file:
            for batch in pa.ipc.open_stream(file):
                mask = self.mask[sentence : sentence + batch.num_rows]
                sentence += batch.num_rows
                yield RawBatch(batch.filter(pa.array(mask)))

    def locate(self, positions: list[tuple[int, int]]) -> list["Found"]:
        numbers = np.flatnonzero(self.mask)
        return super().locate([(int(numbers[sentence]), word) for sentence, word in positions])


class Found(NamedTuple):
    """A word where it stands."""

    place: Place
    word: str
    tag: str | int | None
    sentence: Sentence


class RawBatch:
    """Some sentences of a `RawSplit`; arrays have one value a word, `offsets` one a sentence."""

    def __init__(self, batch: pa.RecordBatch):
        self.tokens, self.documents = batch["tokens"], batch["doc_id"]
        self.tags = batch["tags"].values.to_numpy()
        self.offsets = batch["tags"].offsets.to_numpy()
        self.starts = np.zeros(len(self.tags), bool)  # true for the first word of a sentence
        self.starts[self.offsets[:-1]] = True


def read_split(
    path: Path,
    sources: list[Source],
    tags: CorpusTags,
    declared: list[str] | None,
    problems: Problems,
) -> RawSplit:
    """Read all sources of a split; what is wrong with them goes to `problems`."""
    split = RawSplit(path, sources)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, RAW) as writer:
        for source in sources:
            opened = source.open(problems)
            split.opened.append(opened)
            numbers = _TagNumbers(tags, declared or opened.label_names)
            for batch in batched(opened.sentences, BATCH):
                writer.write(_raw_batch(batch, numbers, split))
    return split


def batched(items, size: int) -> Iterator[list]:
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def _raw_batch(batch: list[Sentence], numbers: _TagNumbers, split: RawSplit) -> pa.RecordBatch:
    sizes = [len(sentence.words) for sentence in batch]
    words = list(chain.from_iterable(sentence.words for sentence in batch))
    tags = np.full(len(words), -1, np.int32)
    if batch[0].tags is not None:
        found = chain.from_iterable(sentence.tags for sentence in batch)
        tags = np.fromiter(map(numbers.__getitem__, found), np.int32, len(words))
        counts = enumerate(np.bincount(tags).tolist())
        split.tag_counts.update({number: count for number, count in counts if count})
    documents = [sentence.document for sentence in batch]
    split.sentences += len(batch)
    split.words += len(words)
    split.longest = max(split.longest, *sizes)
    split.documents.update(document for document in documents if document is not None)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    columns = [
        pa.ListArray.from_arrays(offsets, pa.array(words, pa.string())),
        pa.ListArray.from_arrays(offsets, pa.array(tags, pa.int32())),
        pa.array(documents, pa.string()),
    ]
    return pa.record_batch(columns, schema=RAW)


def check_splits(raw: dict[str, RawSplit], problems: Problems) -> None:
    """Splits that are empty, or have no labels where they must have some."""
    for name, split in raw.items():
        files = ", ".join(source.name for source in split.sources)
        if not split.sentences and not problems:
            found = f"the {name} split has none"
            problems.add(Problem(ProblemKind.NO_SENTENCE, Place(files), found))
        unlabelled = [
            (source, opened)
            for source, opened in zip(split.sources, split.opened, strict=True)
            if opened.layout_kind and not opened.labelled
        ]
        if name == "test" and len(unlabelled) == len(split.sources):
            continue  # only to be tagged
        for source, opened in unlabelled:
            expected = f"labels in the {name} split; --label_column_name says where they are"
            place = Place(source.name)
            problems.add(Problem(ProblemKind.NO_LABELS, place, opened.layout, expected))


def notes_on(raw: dict[str, RawSplit], labels: Labels) -> list[str]:
    """What the user should know of how the corpus was read."""
    first_of = {}  # layout -> the first file that has it
    for split in raw.values():
        for source, opened in zip(split.sources, split.opened, strict=True):
            first_of.setdefault(opened.layout, source.name)
    notes = [f"{name}: {layout}." for layout, name in first_of.items()]
    if any(split.raw_text for split in raw.values()):
        splitter = words_module.WORD_SPLITTER
        notes.append(f"Raw text is split into words by the suite's splitter {splitter}.")
    tagged = any(split.tag_counts for split in raw.values())
    return [*notes, scheme_note(labels)] if tagged else notes


# --- Splits as written ------------------------------------------------------------------------


def hold_out(train: RawSplit, seed: int) -> tuple[np.ndarray, str]:
    """Which sentences of the training split to validate on (bool, one a sentence), and a note.

    Whole documents in an order that the seed decides, as long as they fit into a tenth (the
    smallest where none does). Where there are fewer than two documents, a tenth of the distinct
    sentences, with all their repetitions, as far as these fit into a tenth of all; where none
    does, a tenth of all sentences.
    """
    if train.sentences < 2:
        raise UserError(
            f"{train.sources[0].name}: 1 sentence, too few to hold some out for validation; "
            "expected more, or a --validation_file"
        )
    size = max(1, round(HELD_OUT * train.sentences))
    shuffled = random.Random(seed)
    loose = train.sentences - train.documents.total()  # sentences before the first document
    documents = dict(train.documents) | ({"": loose} if loose else {})
    if len(documents) < 2:
        held_out, how = _sentences_to_hold_out(train, size, shuffled)
    else:
        order = shuffled.sample(sorted(documents), len(documents))
        chosen, left = [], size
        for document in order:
            if documents[document] <= left:
                chosen.append(document)
                left -= documents[document]
        chosen = chosen or [min(order, key=documents.get)]
        chosen_set = pa.array(chosen, pa.string())
        held_out = np.concatenate(
            [
                pc.is_in(batch.documents.fill_null(""), chosen_set).to_numpy(zero_copy_only=False)
                for batch in train.batches()
            ]
        )
        how = f"{len(chosen)} of {counted(len(documents), 'document')}"
    return held_out, (
        f"No validation split: {held_out.sum():,} of {train.sentences:,} training sentences are "
        f"held out for it ({how}, seed {seed})."
    )


def _sentences_to_hold_out(
    train: RawSplit, size: int, shuffled: random.Random
) -> tuple[np.ndarray, str]:
    """At most `size` sentences, equal ones together where that can be; and how."""
    _, first, group = np.unique(sentence_hashes(train), return_index=True, return_inverse=True)
    # Numbered as they come: hashes of texts differ from process to process.
    order = np.empty(len(first), int)
    order[np.argsort(first)] = np.arange(len(first))
    group = order[group]
    sizes = np.bincount(group)
    wanted = max(1, round(HELD_OUT * len(sizes)))
    fitting = np.flatnonzero(sizes <= size).tolist()
    chosen, left = [], size
    for number in shuffled.sample(fitting, min(wanted, len(fitting))):
        if sizes[number] <= left:
            chosen.append(number)
            left -= sizes[number]
    if chosen:
        together = ", equal ones together" if len(sizes) < train.sentences else ""
        return np.isin(group, chosen), f"chosen by sentence{together}"
    held_out = np.zeros(train.sentences, bool)
    held_out[shuffled.sample(range(train.sentences), size)] = True
    return held_out, "chosen by sentence"


def sentence_hashes(split: RawSplit) -> np.ndarray:
    """A number for each sentence, equal for equal words; of this process alone."""
    hashes = (hash(tuple(words)) for batch in split.batches() for words in batch.tokens.to_pylist())
    return np.fromiter(hashes, np.int64, split.sentences)


def write_split(raw: RawSplit, mask: np.ndarray | None, labels: Labels, path: Path) -> str:
    """Write the sentences of `mask` with their label ids; returns a hash of words and labels."""
    schema = {"tokens": pa.list_(pa.string())}
    if raw.labelled:
        schema["labels"] = pa.list_(pa.int64())
    if raw.documents:
        schema["doc_id"] = pa.string()
    schema = pa.schema(schema)
    # One hash a stream of values: where batches end makes no difference then.
    hashes = [hashlib.blake2b(digest_size=16) for _ in range(4)]
    sentence = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in raw.batches():
            columns = [batch.tokens]
            if raw.labelled:
                columns.append(pa.ListArray.from_arrays(batch.tokens.offsets, labels.ids(batch)))
            if raw.documents:
                columns.append(batch.documents)
            written = pa.record_batch(columns, schema=schema)
            if mask is not None:
                written = written.filter(pa.array(mask[sentence : sentence + len(batch.tokens)]))
            sentence += len(batch.tokens)
            for digest, values in zip(hashes, _content(written), strict=False):
                digest.update(values)
            writer.write(written)
    return "".join(digest.hexdigest() for digest in hashes)


def _content(batch: pa.RecordBatch) -> Iterator[bytes]:
    """Words per sentence, bytes per word, the words' bytes, and the labels."""
    words = batch["tokens"].flatten()
    yield pc.list_value_length(batch["tokens"]).to_numpy().astype("<i4").tobytes()
    yield pc.binary_length(words).to_numpy(zero_copy_only=False).astype("<i4").tobytes()
    yield "".join(words.to_pylist()).encode()
    if "labels" in batch.schema.names:
        yield batch["labels"].flatten().to_numpy().astype("<i4").tobytes()
