"""Random corpora for `fuzz.py`: sentences in documents, and a format that holds them."""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

WORDS = (
    *("Anna", "Müller", "works", "in", "Paris", "東", "ran", "Zoë", "😀", "San", "José", "yes"),
    *("U.S.", "#1", '"', "ไทย", "1,000", "&", "Ze\u0301"),
)
TYPES = ("PER", "LOC", "ORG")
Sentence = list[tuple[str, str]]  # words and tags
Entities = list[tuple[str, str]]  # type and characters, without white space
Document = list[Sentence]
Write = Callable[[list[Document]], str | bytes]


class Format(NamedTuple):
    """A format: its file name, a function that writes documents, and a naive reader.

    `read` takes the content of the file, decoded if `is_text`, and that of the file beside it, if
    there is one. `task`: pos for plain tags, which are read as entities of one word.
    """

    name: str
    write: Write
    read: Callable[..., Entities]
    task: str = "ner"
    beside: tuple[str, Write] | None = None  # the name and the writer of a second file
    is_text: bool = True


def sentence(generator: random.Random) -> Sentence:
    """Return a random sentence with its IOB2 tags."""
    pairs: Sentence = []
    for _ in range(generator.randint(1, 4)):
        pairs += [(word, "O") for word in generator.choices(WORDS, k=generator.randint(0, 3))]
        words, type_ = generator.choices(WORDS, k=generator.randint(1, 3)), generator.choice(TYPES)
        pairs += [(word, f"{'I' if i else 'B'}-{type_}") for i, word in enumerate(words)]
    return [*pairs, ("said", "O"), ("nothing", "O")]


def documents(generator: random.Random) -> list[Document]:
    """Return random documents."""
    return [
        [sentence(generator) for _ in range(generator.randint(1, 4))]
        for _ in range(generator.randint(2, 5))
    ]


def text_and_spans(pairs: Sentence) -> tuple[str, list[tuple[int, int, str]]]:
    """Return a sentence as text, with its entities as (start, end, type)."""
    text, spans = "", []
    for word, tag in pairs:
        text += " " if text else ""
        if tag[0] == "B":
            spans.append((len(text), len(text) + len(word), tag[2:]))
        elif tag[0] == "I":
            spans[-1] = (spans[-1][0], len(text) + len(word), spans[-1][2])
        text += word
    return text, spans


def entities_of(pairs: Sentence) -> Entities:
    """Return the entities of IOB2 tags."""
    entities: Entities = []
    before = "O"
    for word, tag in pairs:
        if tag[0] == "B" or (tag[0] == "I" and before[2:] != tag[2:]):
            entities.append((tag[2:], squeezed(word)))
        elif tag[0] == "I":
            entities[-1] = (tag[2:], entities[-1][1] + squeezed(word))
        before = tag
    return entities


def squeezed(text: str) -> str:
    """Return a text without white space."""
    return "".join(text.split())


def sentences_of(corpus: list[Document]) -> Iterator[Sentence]:
    """Yield the sentences of all documents."""
    for document in corpus:
        yield from document


def utf16(text: str, position: int) -> int:
    """Return a position counted in UTF-16 units."""
    return len(text[:position].encode("utf-16-le")) // 2
