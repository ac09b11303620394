"""Results as spaCy's DocBin, where spaCy is installed."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from json import loads
from typing import Any

from corpus.words import Words
from tagging.chunks import TaggedItem
from tagging.entity_tables import to_json


def spacy_is_installed() -> bool:
    """Return whether spaCy can be imported."""
    return find_spec("spacy") is not None


def as_doc_bin(items: Iterable[TaggedItem]) -> Iterator[bytes]:
    """Yield a DocBin in one piece at the end: spaCy's format holds all documents together.

    Entities are `doc.ents`, plain tags `token.tag_`. The fields of the record are in
    `doc.user_data["fields"]`. The text of each document is that of the input.
    """
    # Imported here because spaCy is optional and slow to import.
    from spacy.tokens import Doc, DocBin
    from spacy.vocab import Vocab

    vocabulary = Vocab()
    documents = DocBin(attrs=["ENT_IOB", "ENT_TYPE", "TAG"], store_user_data=True)
    for item in items:
        text, words, tags, *_ = item.tagged
        tokens, spaces, positions = _tokens(text, words)
        tags_of_tokens = None
        if "entities" not in item.result:
            tags_of_tokens = ["_SP" if p is None else tags[p] for p in positions]
        document = Doc(vocabulary, words=tokens, spaces=spaces, tags=tags_of_tokens)
        entities: list[Any] = [
            document.char_span(entity["start"], entity["end"], label=entity["entity_group"])
            for entity in item.result.get("entities", ())
        ]
        document.set_ents([entity for entity in entities if entity is not None])
        document.user_data["fields"] = loads(to_json(item.fields))
        documents.add(document)
    yield documents.to_bytes()


def _tokens(text: str, words: Words) -> tuple[list[str], list[bool], list[int | None]]:
    """Return tokens, whether a space follows each, and the word that each is.

    Tokens and spaces give the text. White space that is not one space after a word is a token of
    its own, as in spaCy; so is other text between words.
    """
    tokens: list[str] = []
    spaces: list[bool] = []
    positions: list[int | None] = []
    end = 0

    def add_gap(gap: str) -> None:
        if gap.startswith(" ") and tokens and not spaces[-1]:
            spaces[-1] = True
            gap = gap[1:]
        if gap:
            tokens.append(gap)
            spaces.append(False)
            positions.append(None)

    for position, (_, start, after) in enumerate(words):
        add_gap(text[end:start])
        if start < after:
            tokens.append(text[start:after])
            spaces.append(False)
            positions.append(position)
        end = after
    add_gap(text[end:])
    return tokens, spaces, positions
