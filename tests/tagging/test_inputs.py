"""Tests of tagging/inputs.py: chunks of inputs."""

from tagging import inputs


def test_chunks_grow_and_depend_on_the_items_alone():
    items = [inputs.Item("x" * 10)] * 5000
    sizes = [len(chunk) for chunk in inputs.chunks(items, lambda: False)]
    assert sizes[:4] == [8, 16, 32, 64] and max(sizes) == inputs.CHUNK_TEXTS
    assert sum(sizes) == 5000
    long = [inputs.Item("x" * (inputs.CHUNK_CHARACTERS // 2))] * 5
    assert [len(chunk) for chunk in inputs.chunks(long, lambda: False)] == [2, 2, 1]
    assert [len(chunk) for chunk in inputs.chunks(items[:3], lambda: True)] == [1, 1, 1]
