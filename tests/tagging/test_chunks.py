"""Tests of tagging/chunks.py: the size of chunks."""

from tagging.chunks import CHUNK_CHARACTERS, CHUNK_TEXTS, in_chunks
from tagging.inputs import Item


def test_chunks_grow_and_depend_on_the_items_alone():
    items = [Item("x" * 10)] * 5000
    sizes = [len(chunk) for chunk in in_chunks(items, lambda: False)]
    assert sizes[:4] == [8, 16, 32, 64] and max(sizes) == CHUNK_TEXTS
    assert sum(sizes) == 5000
    long = [Item("x" * (CHUNK_CHARACTERS // 2))] * 5
    assert [len(chunk) for chunk in in_chunks(long, lambda: False)] == [2, 2, 1]
    assert [len(chunk) for chunk in in_chunks(items[:3], lambda: True)] == [1, 1, 1]
