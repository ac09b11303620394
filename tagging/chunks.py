"""Chunks: lists of inputs whose texts are sorted by length and tagged together."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from support.errors import UserError
from tagging.entities import TaggedText
from tagging.inputs import Item
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


def in_chunks(items: Iterable[Item], is_waiting: Callable[[], bool]) -> Iterator[list[Item]]:
    """Yield items in chunks, the first of them short.

    The chunks depend on the items alone, so every process gets the same chunks of the same file,
    except that a chunk ends early if `is_waiting` reports that no further item has arrived. A
    reading error is raised after the items before it have been yielded.
    """
    size = FIRST_CHUNK_TEXTS
    chunk: list[Item] = []
    characters = 0
    failure = None
    items = iter(items)
    while True:
        try:
            item = next(items, None)
        except UserError as error:
            item, failure = None, error
        if item is not None:
            chunk.append(item)
            characters += len(item.text)
        full = len(chunk) >= size or characters >= CHUNK_CHARACTERS
        if chunk and (item is None or full or is_waiting()):
            yield chunk
            chunk, characters = [], 0
            size = min(2 * size, CHUNK_TEXTS)
        if failure is not None:
            raise failure
        if item is None:
            return


def tag_chunk(
    tagger: Tagger, chunk: list[Item], *, all_words: bool = False, min_score: float = 0.0
) -> list[TaggedItem]:
    """Return the items of a chunk with their tags, in order."""
    tagged_texts = tagger.tag_texts([(item.text, item.words) for item in chunk])
    return [
        TaggedItem(
            tagged,
            tagger.result(tagged, all_words, min_score),
            item.fields or {},
            item.source,
            item.rows,
        )
        for item, tagged in zip(chunk, tagged_texts, strict=True)
    ]
