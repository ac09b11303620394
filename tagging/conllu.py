"""Results as CoNLL-U: the lines of the input with the tags filled in, or new ones."""

import re
from collections.abc import Iterable, Iterator, Sequence

from corpus.formats.label_column import CONLLU_COLUMNS
from tagging.chunks import TaggedItem

UPOS = frozenset(
    (
        *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON"),
        *("PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X", "_"),
    )
)
MISC = CONLLU_COLUMNS.index("misc")
UNTIDY = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
EMPTY = ["_"] * len(CONLLU_COLUMNS)


def as_conllu(items: Iterable[TaggedItem], label_names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence of CoNLL-U for each text.

    A sentence that was CoNLL-U keeps its comments, multi-word tokens, empty nodes and all other
    columns. Entity tags are written to MISC as `NER=B-PER`. Plain tags are written to UPOS if all
    `label_names` of the model are universal parts of speech, otherwise to XPOS.
    """
    plain = "upos" if UPOS.issuperset(label_names) else "xpos"
    for item in items:
        column = MISC if "entities" in item.result else CONLLU_COLUMNS.index(plain)
        rows = _new_rows(item) if item.rows is None else item.rows
        tags = item.tagged.tags
        lines = [
            line if position is None else _filled(line, column, tags[position])
            for line, position in rows
        ]
        yield "\n".join([*lines, "", ""])


def _filled(line: str, column: int, tag: str) -> str:
    """Return the line of a word with a tag in one of its columns."""
    cells = line.split("\t")
    if column != MISC:
        cells[column] = tag
    else:
        kept = [
            entry
            for entry in cells[MISC].split("|")
            if entry != "_" and entry.partition("=")[0].lower() != "ner"
        ]
        cells[MISC] = "|".join([*kept, f"NER={tag}"])
    return "\t".join(cells)


def _new_rows(item: TaggedItem) -> list[tuple[str, int | None]]:
    """Return the lines of a sentence that was not CoNLL-U, without tags."""
    text, words = item.tagged.text, item.tagged.words
    rows: list[tuple[str, int | None]] = []
    record_id = item.fields.get("sent_id", item.fields.get("id"))
    if isinstance(record_id, str | int):
        rows.append((f"# sent_id = {UNTIDY.sub(' ', str(record_id))}", None))
    rows.append((f"# text = {UNTIDY.sub(' ', text).strip()}", None))
    for position, (word, _, end) in enumerate(words):
        cells = EMPTY.copy()
        cells[0], cells[1] = str(position + 1), UNTIDY.sub(" ", word).strip() or "_"
        if position + 1 < len(words) and words[position + 1][1] == end:
            cells[MISC] = "SpaceAfter=No"
        rows.append(("\t".join(cells), position))
    return rows
