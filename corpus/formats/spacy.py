"""The JSON training files of spaCy 2: documents of paragraphs, with the tags of each token."""

from collections.abc import Iterator
from typing import Any

from corpus.formats.records import Fields, Record
from corpus.problems import ProblemKind

MISSING = (None, "", "-")  # entity tags of tokens that nobody has annotated


def is_spacy_document(fields: Fields) -> bool:
    """Return whether a record is a document of spaCy."""
    paragraphs = fields.get("paragraphs")
    return (
        isinstance(paragraphs, list)
        and bool(paragraphs)
        and all(isinstance(p, dict) and isinstance(p.get("sentences"), list) for p in paragraphs)
    )


def records_of_spacy(record: Record) -> Iterator[Record]:
    """Yield a record of words and tags for each sentence of a document.

    A paragraph whose tokens have no entity tags is one record of text and spans. A sentence with a
    token that nobody has annotated is left out.
    """
    fields: Fields = record.fields or {}
    for paragraph in fields["paragraphs"]:
        sentences = [_tokens(sentence) for sentence in paragraph["sentences"]]
        tagged = any("ner" in token for tokens in sentences for token in tokens)
        if not tagged and isinstance(paragraph.get("raw"), str):
            text: Fields = {"text": paragraph["raw"], "spans": paragraph.get("entities")}
            yield record._replace(fields=text, record_id=_id(fields))
            continue
        for tokens in sentences:
            tags = [token.get("ner") for token in tokens]
            missing = any(tag in MISSING for tag in tags)
            yield record._replace(
                fields={
                    "tokens": [token.get("orth") for token in tokens],
                    "ner_tags": ["O" if tag in MISSING else tag for tag in tags],
                    "pos_tags": [token.get("tag", "") for token in tokens],
                },
                record_id=_id(fields),
                left_out=ProblemKind.NOT_ANNOTATED if missing else None,
            )


def _tokens(sentence: Any) -> list[Fields]:
    tokens = sentence.get("tokens") if isinstance(sentence, dict) else None
    return [token for token in tokens or () if isinstance(token, dict)]


def _id(fields: Fields) -> str | int | None:
    value = fields.get("id")
    return value if isinstance(value, str | int) else None
