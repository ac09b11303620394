"""Chunks: lists of inputs whose texts are sorted by length and tagged together."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from support.errors import UserError
from tagging.entities import TaggedText
from tagging.input_lines import GRACE_S
from tagging.items import Item
from tagging.tagger import Tagger

CHUNK_TEXTS = 1024  # enough for batches without padding
CHUNK_CHARACTERS = 1 << 19
FIRST_CHUNK_TEXTS = 8  # few, so that the first results come soon


class TaggedItem(NamedTuple):
    """An input with its tags."""

    tagged: TaggedText
    result: dict[str, Any]  # as `Tagger.result` returns it
    fields: dict[str, Any]  # of the input, repeated in the output
    source: str | None = None  # the file, if there are several
    rows: list[tuple[str, int | None]] | None = None  # of CoNLL-U, as in `Item`


class Chunk(NamedTuple):
    """Inputs that are tagged together, and their neighbours in the same documents."""

    items: list[Item]
    before: Sequence[Item] = ()  # the context of the first item
    after: Sequence[Item] = ()  # the context of the last item


def in_chunks(
    items: Iterable[Item],
    is_waiting: Callable[..., bool],
    tagger: Tagger | None = None,
    skip: int = 0,
) -> Iterator[Chunk]:
    """Yield items in chunks, the first of them short.

    The chunks depend on the items alone, so every process gets the same chunks of the same file,
    except that a chunk ends early if `is_waiting` reports that no further item has arrived. A
    reading error is raised after the items before it have been yielded.

    For a tagger with context, a chunk has its neighbours. Those after it are read ahead, unless
    none arrives for `GRACE_S`: `is_waiting` takes the seconds to wait. `skip`: the number of items
    at the start that are context only, because an interrupted job has written their results.
    """
    reader = _Reader(items)
    previous: Sequence[Item] = deque(itertools.islice(reader, skip), CHUNK_TEXTS)
    size = FIRST_CHUNK_TEXTS
    chunk: list[Item] = []
    characters = 0
    while True:
        item = next(reader, None)
        if item is not None:
            chunk.append(item)
            characters += len(item.text)
        full = len(chunk) >= size or characters >= CHUNK_CHARACTERS
        if chunk and (item is None or full or (not reader.ahead and is_waiting())):
            before: list[Item] = []
            after: list[Item] = []
            if tagger is not None:
                before = _nearest(tagger, reversed(previous), chunk[0])[::-1]
                after = _nearest(tagger, reader.following(is_waiting), chunk[-1])
            yield Chunk(chunk, before, after)
            previous = [*before, *chunk]
            chunk, characters = [], 0
            size = min(2 * size, CHUNK_TEXTS)
        if item is None:
            if reader.failure is not None:
                raise reader.failure
            return


class _Reader:
    """Items one by one, which can be read ahead; a reading error ends them and is raised later."""

    def __init__(self, items: Iterable[Item]):
        self.ahead: deque[Item] = deque()
        self.failure: UserError | None = None
        self._items = iter(items)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        return self.ahead.popleft() if self.ahead else self._read()

    def _read(self) -> Item:
        if self.failure is not None:
            raise StopIteration
        try:
            return next(self._items)
        except UserError as error:
            self.failure = error
            raise StopIteration from None

    def following(self, is_waiting: Callable[..., bool]) -> Iterator[Item]:
        """Yield the next items without taking them, until none arrives for `GRACE_S`."""
        yield from list(self.ahead)
        while not is_waiting(GRACE_S):
            try:
                self.ahead.append(self._read())
            except StopIteration:
                return
            yield self.ahead[-1]


def _nearest(tagger: Tagger, items: Iterable[Item], beside: Item) -> list[Item]:
    """Return the first items of the document of `beside` that are in its context."""
    if not tagger.context or beside.document is None:
        return []
    same = itertools.takewhile(lambda item: item.document == beside.document, items)
    nearest: list[Item] = []
    missing = tagger.context
    while missing > 0 and (item := next(same, None)) is not None:
        nearest.append(item)
        missing -= tagger.num_sub_words(item.text, item.words)
    return nearest


def tag_chunk(
    tagger: Tagger, chunk: Chunk, *, all_words: bool = False, min_score: float = 0.0
) -> list[TaggedItem]:
    """Return the items of a chunk with their tags, in order."""
    return [
        TaggedItem(
            tagged,
            tagger.result(tagged, all_words, min_score),
            item.fields or {},
            item.source,
            item.rows,
        )
        for item, tagged in zip(chunk.items, tagged_texts(tagger, chunk), strict=True)
    ]


def tagged_texts(tagger: Tagger, chunk: Chunk) -> list[TaggedText]:
    """Return the texts of a chunk with their tags, in order."""
    texts, before, after = ([(item.text, item.words) for item in items] for items in chunk)
    return tagger.tag_texts(texts, [item.document for item in chunk.items], before, after)
