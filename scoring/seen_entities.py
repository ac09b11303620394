"""Surfaces of entities, to find those seen in training: the words of an entity with its type.

Two entities have the same surface if their types and words are exactly the same. "Paris" and
"PARIS" are two surfaces, and so are "Paris", the person, and "Paris", the place.
"""

import hashlib
from collections.abc import Iterable, Sequence

from common import entities


def surface(entity_type: str, words: Sequence[str]) -> int:
    """Return a surface as a hash of 64 bits, which keeps a set of many surfaces small."""
    text = "\0".join([entity_type, *words])
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def surfaces_of(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> set[int]:
    """Return the surfaces of all entities of sentences, given as words and tags."""
    return {
        surface(entity_type, words[start:end])
        for words, tags in sentences
        for entity_type, start, end in entities(tags)
    }
