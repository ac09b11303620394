"""Items: the texts to tag, each with what is known of it."""

from typing import Any, NamedTuple

from corpus.problems import Place
from corpus.words import Words


class Item(NamedTuple):
    """One text to tag."""

    text: str
    words: Words | None = None  # None: to be split
    tags: list[str] | None = None  # the gold tags, to score against
    fields: dict[str, Any] | None = None  # fields of the record that the output repeats
    source: str | None = None  # the file, if there are several
    # The lines of a sentence of CoNLL-U, each with the position of its word, if it is one.
    rows: list[tuple[str, int | None]] | None = None
    # Neighbours in the same document are context of each other; None has no context.
    document: tuple[str, str | None] | None = None
    place: Place | None = None  # of a labelled sentence


def document_key(
    path: str, document: str | None, *, of_file: bool = False
) -> tuple[str, str | None] | None:
    """Return the document of a sentence of the file `path`, distinct from those of other files.

    `of_file`: all sentences of the file without a `document` belong to one document.
    """
    return None if document is None and not of_file else (path, document)


def item_of_words(
    words: list[str],
    tags: list[str] | None = None,
    text: object = None,
    fields: dict[str, Any] | None = None,
) -> Item:
    """Return the item of given words, located in `text` if it has all of them, else joined.

    Joined words are separated by spaces.
    """
    placed = _place_words(words, text) if isinstance(text, str) else None
    if placed is None:
        text, placed = " ".join(words), []
        start = 0
        for word in words:
            placed.append((word, start, start + len(word)))
            start += len(word) + 1
    if fields is not None:
        fields = {name: field for name, field in fields.items() if name != "text"}
    return Item(str(text), placed, tags, fields)


def _place_words(words: list[str], text: str) -> Words | None:
    """Return words with their positions in a text; None if the text lacks one of them."""
    placed, position = [], 0
    for word in words:
        start = text.find(word, position)
        if start < 0:
            return None
        position = start + len(word)
        placed.append((word, start, position))
    return placed
