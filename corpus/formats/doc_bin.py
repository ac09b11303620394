"""spaCy's DocBin, the .spacy files that it trains on; read where spaCy is installed."""

import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from corpus.formats.records import Fields, Record
from corpus.formats.text import FilePath, open_bytes
from corpus.problems import Place, Problem, ProblemKind, Problems

CONVERT_DOC_BIN = (
    "python -c \"import json, sys, spacy; [print(json.dumps({'text': d.text, 'spans': "
    "[[e.start_char, e.end_char, e.label_] for e in d.ents]})) for d in "
    "spacy.tokens.DocBin().from_disk(sys.argv[1]).get_docs(spacy.blank('xx').vocab)]\" "
    "FILE > NEWFILE.jsonl"
)
MISSING = ""  # spaCy's tag, or entity prefix, of an unannotated token


def is_doc_bin(start: bytes) -> bool:
    """Return whether a file is a DocBin: compressed msgpack, with the tokens of documents."""
    try:
        content = zlib.decompressobj().decompress(start, 200)
    except zlib.error:
        return False
    return b"attrs" in content


def spacy_is_installed() -> bool:
    """Return whether spaCy can be imported."""
    return find_spec("spacy") is not None


def read_doc_bin(path: FilePath, task: str, problems: Problems) -> Iterator[Record]:
    """Yield a record of words and tags for each sentence of a DocBin, or for each document.

    Words are spaCy's tokens. A sentence with a token that has no annotation for the task is left
    out.
    """
    # Imported here because spaCy is optional and slow to import.
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    name = str(path)
    try:
        with open_bytes(path) as file:
            documents = list(DocBin().from_bytes(file.read()).get_docs(Vocab()))
    except Exception as error:
        # spaCy has no class of its own for damaged files; every error here is about the content.
        detail = f"spaCy cannot read it: {error or type(error).__name__}"
        problems.add(Problem(ProblemKind.UNREADABLE_FILE, Place(name), detail))
        return
    for number, document in enumerate(documents, 1):
        split = document.has_annotation("SENT_START")
        for part, sentence in enumerate(document.sents if split else [document]):
            fields = _fields(sentence)
            if split:
                fields["doc_id"] = f"{Path(name).name}#{number}"
            marks = [token.ent_iob_ for token in sentence]
            missing = MISSING in (fields["pos_tags"] if task == "pos" else marks)
            left_out = ProblemKind.NOT_ANNOTATED if missing else None
            yield Record(number, fields, left_out=left_out, part=part)


def _fields(sentence: Any) -> Fields:
    tokens = [token for token in sentence if not token.text.isspace()]
    return {
        "tokens": [token.text for token in tokens],
        "ner_tags": [
            f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O" for token in tokens
        ],
        "pos_tags": [token.pos_ or token.tag_ for token in tokens],
    }
