"""Tests of tagging/chunks.py: the size of chunks, and their neighbours in documents."""

import itertools
from types import SimpleNamespace

import pytest

from support.errors import UserError
from tagging.chunks import CHUNK_CHARACTERS, CHUNK_TEXTS, in_chunks
from tagging.input_lines import GRACE_S
from tagging.items import Item


def sizes_of(chunks) -> list[int]:
    return [len(chunk.items) for chunk in chunks]


def test_chunks_grow_and_depend_on_the_items_alone():
    items = [Item("x" * 10)] * 5000
    chunks = [*in_chunks(items, lambda: False)]
    sizes = sizes_of(chunks)
    assert sizes[:4] == [8, 16, 32, 64] and max(sizes) == CHUNK_TEXTS
    assert sum(sizes) == 5000
    assert not any(chunk.before or chunk.after for chunk in chunks)
    long = [Item("x" * (CHUNK_CHARACTERS // 2))] * 5
    assert sizes_of(in_chunks(long, lambda: False)) == [2, 2, 1]
    assert sizes_of(in_chunks(items[:3], lambda: True)) == [1, 1, 1]


# --- Neighbours -----------------------------------------------------------------------------


def tagger_of(context: int) -> SimpleNamespace:
    """Return a tagger for which each character is a sub-word."""
    return SimpleNamespace(context=context, num_sub_words=lambda text, words: len(text))


def items_of(*lengths: int) -> list[Item]:
    """Return texts of a few letters in documents of these numbers of texts."""
    letters = itertools.cycle("abcdefghijkl")
    return [
        Item(next(letters) * (1 + position % 3), document=("f", str(number)))
        for number, length in enumerate(lengths)
        for position in range(length)
    ]


def never(seconds: float = 0) -> bool:
    return False


def nearest_by_hand(items: list[Item], numbers: range, document) -> list[Item]:
    """Return the nearest texts of a document that hold seven letters together."""
    nearest = []
    for number in numbers:
        if items[number].document != document or sum(len(i.text) for i in nearest) >= 7:
            break
        nearest.append(items[number])
    return nearest


@pytest.mark.parametrize("skip", [0, 5, 9, 40])
def test_neighbours_of_a_chunk_are_the_nearest_of_its_document(skip):
    items = items_of(3, 30, 1, 100)
    start = skip
    for chunk in in_chunks(iter(items), never, tagger_of(7), skip):
        end = start + len(chunk.items)
        assert chunk.items == items[start:end]
        before = nearest_by_hand(items, range(start - 1, -1, -1), items[start].document)
        after = nearest_by_hand(items, range(end, len(items)), items[end - 1].document)
        assert (chunk.before, chunk.after) == (before[::-1], after)
        start = end
    assert start == len(items)


def test_a_model_without_context_reads_nothing_ahead():
    items = iter(items_of(50))
    (first, *_) = itertools.islice(in_chunks(items, never, tagger_of(0)), 1)
    assert len(first.items) == 8 and (first.before, first.after) == ([], [])
    assert len([*items]) == 42
    alone = iter([Item("text")] * 50)  # texts without a document
    (first, *_) = itertools.islice(in_chunks(alone, never, tagger_of(9)), 1)
    assert len([*alone]) == 42


def test_a_pipe_is_waited_for_briefly():
    """The first two texts have arrived, and the third one within the time of grace."""
    seconds = []

    def is_waiting(wait: float = 0) -> bool:
        seconds.append(wait)
        return len(seconds) in (2, 4)

    chunks = in_chunks(items_of(9), is_waiting, tagger_of(5))
    chunk = next(chunks)
    assert seconds == [0, 0, GRACE_S, GRACE_S]
    assert [item.text for item in (*chunk.items, *chunk.after)] == ["a", "bb", "ccc"]
    chunk = next(chunks)
    assert [item.text for item in chunk.before] == ["a", "bb"]
    assert chunk.items[0].text == "ccc"


def test_items_before_an_error_are_yielded_with_their_neighbours():
    def items():
        yield from items_of(10)
        raise UserError("broken")

    chunks = in_chunks(items(), never, tagger_of(100))
    first, second = next(chunks), next(chunks)
    assert len(first.items) == 8 and first.after == second.items
    assert len(second.items) == 2 and second.before == first.items
    with pytest.raises(UserError, match="broken"):
        next(chunks)
