"""Splits of a corpus: read from their sources, searched, written.

`read_split` writes the sentences of a split to an Arrow file: words, tag ids, documents, origins.
Later steps read that file in batches, so that memory does not grow with the corpus.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.formats.sentence import OpenedSource, Sentence
from corpus.plausible import plausible
from corpus.problems import MAX_SHOWN, Place, Problem, ProblemKind, Problems
from corpus.sources import Source

MIN_WORDS = 5  # words of a file to compare; shorter texts may be equal by chance
ONE_ANNOTATOR = (
    "one annotation of each text: name the files of one annotator, or those of a curator "
    "(INCEpTION: curation/*/CURATION_USER.tsv)"
)
BATCH_SIZE = 1000  # sentences in memory at a time
RAW_SCHEMA = pa.schema(
    {
        "tokens": pa.list_(pa.string()),
        "tag_ids": pa.list_(pa.int32()),
        "doc_id": pa.string(),
        # The origin of a sentence: the number of its source, its lines (see `Place`), its record.
        "source": pa.int32(),
        "line": pa.int32(),
        "line_step": pa.int8(),
        "lines": pa.list_(pa.int32()),
        "record_id": pa.string(),
    }
)


class CorpusTags:
    """Tags of a corpus by tag id, in the order in which they first occur.

    `names`: the tag of each id; an integer if it has no name. `written`: the tag as
    written in the files, such as "1" for "B-PER". A tag that is written
    in two ways has two ids.
    """

    def __init__(self) -> None:
        self.names: list[str | int] = []
        self.written: list[str | int] = []
        self._ids: dict[tuple[str | int, str | int], int] = {}

    def id_of(self, name: str | int, written: str | int) -> int:
        """Return the id of a tag; a tag that occurs for the first time gets a new one."""
        key = (name, written)
        if key not in self._ids:
            self._ids[key] = len(self.names)
            self.names.append(name)
            self.written.append(written)
        return self._ids[key]


class _SourceTagIds(dict[str | int, int]):
    """Tag ids of one source by written tag; integers are positions in `label_names`."""

    def __init__(self, tags: CorpusTags, label_names: list[str] | None) -> None:
        super().__init__()
        self.tags = tags
        self.label_names = label_names or []
        self.names_of_integers = {str(i): name for i, name in enumerate(self.label_names)}

    def __missing__(self, written: str | int) -> int:
        name = written.strip() if isinstance(written, str) else written
        if name not in self.label_names:
            name = self.names_of_integers.get(str(name), name)
        self[written] = self.tags.id_of(name, written)
        return self[written]


# Columns of a written split that say where a sentence comes from. They are read from the disk when
# a file names the sentence, so they cost no memory.
ORIGIN_FIELDS = {
    "source": pa.int32(),  # the number of its source in `Corpus.sources` of the split
    "line": pa.int32(),  # of its first word
    "line_step": pa.int8(),
    "lines": pa.list_(pa.int32()),
    "record_id": pa.string(),
}


def place_of_origin(origin: Mapping[str, Any], sources: Sequence[str]) -> Place:
    """Return the place of a sentence.

    `origin`: its row, with `ORIGIN_FIELDS` and perhaps `doc_id`. `sources`: the names of the
    sources of its split.
    """
    return Place(
        sources[origin["source"]],
        origin["line"],
        origin["record_id"],
        origin.get("doc_id"),
        origin["line_step"] or 0,
        origin["lines"] and tuple(origin["lines"]),
    )


class RawBatch:
    """Some sentences of a `RawSplit`.

    `tag_ids` (int; -1 without labels) and `starts` (bool; true for the first word of a sentence)
    have one value per word. `offsets` holds the position of each sentence's first word, then the
    number of all words.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.tokens, self.documents = batch["tokens"], batch["doc_id"]
        self.tag_ids: np.ndarray = batch["tag_ids"].values.to_numpy()
        self.offsets: np.ndarray = batch["tag_ids"].offsets.to_numpy()
        self.starts = np.zeros(len(self.tag_ids), bool)
        self.starts[self.offsets[:-1]] = True
        self.origins = {name: batch[name] for name in ORIGIN_FIELDS}
        self._origins = batch.select([*ORIGIN_FIELDS, "doc_id"])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def sentence_of(self, position: int) -> int:
        """Return the sentence that holds a word, given by its position in the batch."""
        return int(np.searchsorted(self.offsets, position, side="right")) - 1

    def place(self, sentence: int, word: int, sources: Sequence[Source]) -> Place:
        """Return the place of a word of a sentence."""
        origin = self._origins.slice(sentence, 1).to_pylist()[0]
        return place_of_origin(origin, [source.name for source in sources]).at(word)


class LocatedWord(NamedTuple):
    """A word with its place in the corpus."""

    place: Place
    word: str
    tag: str | int | None  # as written in the file
    sentence: list[str]  # the words of its sentence
    number: int  # of the word in its sentence, from 0

    @property
    def text(self) -> str:
        """The words of the sentence, joined by spaces."""
        return " ".join(self.sentence)

    @property
    def span(self) -> tuple[int, int]:
        """The first character of the word in `text`, and the one after its last."""
        start = sum(len(word) + 1 for word in self.sentence[: self.number])
        return start, start + len(self.word)


class RawSplit:
    """A split as read: an Arrow file of `RAW_SCHEMA`, with its counts."""

    def __init__(self, path: Path, sources: list[Source], tags: CorpusTags) -> None:
        self.path, self.sources, self.tags = path, sources, tags
        self.opened: list[OpenedSource] = []
        self.sentences = self.words = self.longest = 0
        self.documents: Counter[str] = Counter()  # sentences by document
        self.tag_counts: Counter[int] = Counter()  # words by tag id

    @property
    def labelled(self) -> bool:
        """Return whether all sources of the split have labels."""
        return all(opened.labelled for opened in self.opened)

    @property
    def raw_text(self) -> bool:
        """Return whether words come from the suite's word splitter."""
        return any(opened.raw_text for opened in self.opened)

    def count(self, batch: RawBatch) -> None:
        """Add a batch of sentences to the counts."""
        sizes = np.diff(batch.offsets)
        self.sentences += len(sizes)
        self.words += len(batch.tag_ids)
        self.longest = max(self.longest, *sizes.tolist(), 0)
        self.documents.update(batch.documents.drop_null().to_pylist())
        counts = enumerate(np.bincount(batch.tag_ids[batch.tag_ids >= 0]).tolist())
        self.tag_counts.update({number: count for number, count in counts if count})

    def record_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the sentences in order, at most `BATCH_SIZE` at a time."""
        with pa.OSFile(str(self.path)) as file:  # not mapped: its pages would count as memory
            yield from pa.ipc.open_stream(file)

    def batches(self) -> Iterator[RawBatch]:
        """Return an iterator over the sentences, as `RawBatch`."""
        return map(RawBatch, self.record_batches())

    def find(
        self, mask_of: Callable[[RawBatch], np.ndarray], limit: int = MAX_SHOWN
    ) -> tuple[int, list[LocatedWord]]:
        """Return the number of words for which `mask_of` is true, and the first `limit` of them.

        `mask_of` returns one bool per word of a batch.
        """
        count = 0
        first: list[LocatedWord] = []
        for batch in self.batches():
            positions = np.flatnonzero(mask_of(batch))
            count += len(positions)
            for position in positions[: limit - len(first)].tolist():
                sentence = batch.sentence_of(position)
                word = position - int(batch.offsets[sentence])
                first.append(self._locate_word(batch, sentence, word))
        return count, first

    def locate(self, positions: list[tuple[int, int]]) -> list[LocatedWord]:
        """Return the words at `positions`: pairs of sentence and word number, ascending."""
        located: list[LocatedWord] = []
        remaining = positions[::-1]
        first = 0  # number of the batch's first sentence
        for batch in self.batches() if positions else ():
            while remaining and remaining[-1][0] < first + len(batch):
                sentence, word = remaining.pop()
                located.append(self._locate_word(batch, sentence - first, word))
            if not remaining:
                break
            first += len(batch)
        return located

    def _locate_word(self, batch: RawBatch, sentence: int, word: int) -> LocatedWord:
        place = batch.place(sentence, word, self.sources)
        words = batch.tokens[sentence].as_py()
        tag_id = int(batch.tag_ids[batch.offsets[sentence] + word])
        tag = self.tags.written[tag_id] if tag_id >= 0 else None
        return LocatedWord(place, words[word], tag, words, word)


class PartOfSplit(RawSplit):
    """Some sentences of a split: those for which `mask` (bool, one per sentence) is true."""

    def __init__(self, whole: RawSplit, mask: np.ndarray) -> None:
        super().__init__(whole.path, whole.sources, whole.tags)
        self.opened, self.mask = whole.opened, mask
        for batch in self.batches():
            self.count(batch)

    def record_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the sentences of the part in order."""
        first = 0
        for batch in super().record_batches():
            mask = self.mask[first : first + batch.num_rows]
            first += batch.num_rows
            yield batch.filter(pa.array(mask))


# --- Reading ------------------------------------------------------------------------------------


def read_split(
    path: Path,
    sources: list[Source],
    tags: CorpusTags,
    declared: list[str] | None,
    problems: Problems,
    *,
    column_requested: bool = False,
) -> RawSplit:
    """Read all sources of a split into the file `path`; add their problems to `problems`.

    `declared`: names of integer tags that the user gave. `column_requested`: the user named the
    column of tags.
    """
    split = RawSplit(path, sources, tags)
    contents: list[_Content] = []
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, RAW_SCHEMA) as writer:
        for number, source in enumerate(sources):
            opened = plausible(
                source.open(problems), source.name, problems, column_requested=column_requested
            )
            split.opened.append(opened)
            tag_ids = _SourceTagIds(tags, declared or opened.label_names)
            contents.append(_Content())
            for sentences in batched(opened.sentences, BATCH_SIZE):
                if len(sources) > 1:
                    contents[-1].add(sentences)
                batch = _record_batch(sentences, tag_ids, number)
                split.count(RawBatch(batch))
                writer.write(batch)
    _report_equal_files(sources, contents, problems)
    return split


class _Content:
    """The words and the tags of a file, as hashes."""

    def __init__(self) -> None:
        self.size = self.words = self.tags = 0

    def add(self, sentences: list[Sentence]) -> None:
        """Add sentences."""
        self.size += sum(len(sentence.words) for sentence in sentences)
        self.words = hash((self.words, *(tuple(sentence.words) for sentence in sentences)))
        self.tags = hash((self.tags, *(tuple(sentence.tags or ()) for sentence in sentences)))


def _report_equal_files(
    sources: list[Source], contents: list[_Content], problems: Problems
) -> None:
    """Report files with the same words: by several annotators, or the same file twice."""
    first: dict[int, int] = {}
    for number, content in enumerate(contents):
        if content.size < MIN_WORDS:
            continue
        before = first.setdefault(content.words, number)
        place, name = Place(sources[number].name), sources[before].name
        if content.tags != contents[before].tags:
            detail = f"the words of {name} with other tags"
            problem = Problem(ProblemKind.SEVERAL_ANNOTATIONS, place, detail, ONE_ANNOTATOR)
            problems.add(problem)
        elif before != number:
            detail = f"the words and tags of {name}"
            problems.warnings.add(Problem(ProblemKind.REPEATED_FILE, place, detail))


def batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield the items in lists of `size`; the last list may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def _record_batch(sentences: list[Sentence], tag_ids: _SourceTagIds, source: int) -> pa.RecordBatch:
    words = list(chain.from_iterable(sentence.words for sentence in sentences))
    ends = np.cumsum([len(sentence.words) for sentence in sentences])
    ids = np.full(len(words), -1, np.int32)
    if sentences[0].tags is not None:
        tags: Iterator[str | int] = chain.from_iterable(
            sentence.tags or () for sentence in sentences
        )
        ids = np.fromiter(map(tag_ids.__getitem__, tags), np.int32, len(words))
    # Most lines are ranges; the check of the type avoids a call.
    steps = [
        1 if isinstance(sentence.lines, range) else _line_step(sentence.lines)
        for sentence in sentences
    ]
    lines = [
        None if step is not None else list(sentence.lines)
        for sentence, step in zip(sentences, steps, strict=True)
    ]
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    columns = [
        pa.ListArray.from_arrays(offsets, pa.array(words, pa.string())),
        pa.ListArray.from_arrays(offsets, pa.array(ids, pa.int32())),
        pa.array([sentence.document for sentence in sentences], pa.string()),
        pa.array(np.full(len(sentences), source, np.int32)),
        pa.array([sentence.lines[0] for sentence in sentences], pa.int32()),
        pa.array(steps, pa.int8()),
        pa.array(lines, pa.list_(pa.int32())),
        pa.array([sentence.record_id for sentence in sentences], pa.string()),
    ]
    return pa.record_batch(columns, schema=RAW_SCHEMA)


def _line_step(lines: Sequence[int]) -> int | None:
    """Return the distance between the lines of successive words, 0 or 1; None for any other."""
    first, count = lines[0], len(lines)
    if lines[-1] == first + count - 1 and list(lines) == list(range(first, first + count)):
        return 1
    return 0 if list(lines) == [first] * count else None


def sentence_hashes(split: RawSplit) -> np.ndarray:
    """Return a hash per sentence, equal for equal words; hashes differ between processes."""
    hashes = (hash(tuple(words)) for batch in split.batches() for words in batch.tokens.to_pylist())
    return np.fromiter(hashes, np.int64, split.sentences)


# --- Writing ------------------------------------------------------------------------------------


def write_split(
    split: RawSplit,
    mask: np.ndarray | None,
    label_ids: Callable[[RawBatch], np.ndarray],
    path: Path,
) -> str:
    """Write the sentences selected by `mask` with their label ids; return a hash of the content.

    `mask`: bool, one per sentence; None for all of them. `label_ids` returns the label id of
    each word of a batch. The content is words and labels. Each sentence keeps its origin, see
    `ORIGIN_FIELDS`.
    """
    fields = {"tokens": pa.list_(pa.string())}
    if split.labelled:
        fields["labels"] = pa.list_(pa.int64())
    if split.documents:
        fields["doc_id"] = pa.string()
    schema = pa.schema(fields | ORIGIN_FIELDS)
    # One hash per stream of values, so that batch boundaries do not matter.
    hashes = [hashlib.blake2b(digest_size=16) for _ in range(4)]
    first = 0  # number of the batch's first sentence
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in split.batches():
            columns = [batch.tokens]
            if split.labelled:
                columns.append(pa.ListArray.from_arrays(batch.tokens.offsets, label_ids(batch)))
            if split.documents:
                columns.append(batch.documents)
            columns += batch.origins.values()
            written = pa.record_batch(columns, schema=schema)
            if mask is not None:
                written = written.filter(pa.array(mask[first : first + len(batch)]))
            first += len(batch)
            for digest, content in zip(hashes, _content(written), strict=False):
                digest.update(content)
            writer.write(written)
    return "".join(digest.hexdigest() for digest in hashes)


def _content(batch: pa.RecordBatch) -> Iterator[bytes]:
    """Yield words per sentence, bytes per word, the bytes of all words, and the labels."""
    words = batch["tokens"].flatten()
    yield pc.list_value_length(batch["tokens"]).to_numpy().astype("<i4").tobytes()
    yield pc.binary_length(words).to_numpy(zero_copy_only=False).astype("<i4").tobytes()
    yield "".join(words.to_pylist()).encode()
    if "labels" in batch.schema.names:
        yield batch["labels"].flatten().to_numpy().astype("<i4").tobytes()
