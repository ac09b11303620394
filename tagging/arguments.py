"""The arguments of `Tagger`, checked one by one: a wrong one is named by its position."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def texts_of(texts: str | Iterable[str]) -> Iterator[str]:
    """Yield the texts of a call; raise TypeError for an argument that is not a text.

    The error is raised at its turn, so that `texts` may be a stream.
    """
    if isinstance(texts, str):
        texts = [texts]
    for position, text in enumerate(_elements(texts, "texts", "a string or strings")):
        if not isinstance(text, str):
            raise TypeError(f"texts[{position}]: got {_kind(text)}, expected a string")
        yield text


def sentences_of(sentences: Iterable[Iterable[str]]) -> list[list[str]]:
    """Return sentences as lists of words; raise TypeError for one that is not words."""
    checked = []
    for position, words in enumerate(_elements(sentences, "sentences", "lists of words")):
        place = f"sentences[{position}]"
        if isinstance(words, str):
            raise TypeError(
                f"{place}: got a string, expected a list of words. To tag texts, call the tagger."
            )
        checked.append(list(_elements(words, place, "a list of words")))
        for number, word in enumerate(checked[-1]):
            if not isinstance(word, str):
                raise TypeError(f"{place}[{number}]: got {_kind(word)}, expected a string")
    return checked


def documents_of(documents: Iterable[Any], num_sentences: int) -> Sequence[Any]:
    """Return the documents of sentences; raise an error unless there is one for each sentence."""
    checked = list(_elements(documents, "documents", "a document for each sentence"))
    if len(checked) != num_sentences:
        raise ValueError(
            f"documents: got {len(checked)}, expected {num_sentences}, one for each sentence"
        )
    return checked


def _elements(value: Any, place: str, expected: str) -> Iterable[Any]:
    """Return `value`, whose elements have an order; raise TypeError if it has none."""
    unordered = isinstance(value, str | bytes | bytearray | dict | set | frozenset)
    if unordered or not isinstance(value, Iterable):
        raise TypeError(f"{place}: got {_kind(value)}, expected {expected}")
    return value


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
