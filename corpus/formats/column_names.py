"""Names of columns and fields, and the number of lines that determine a layout."""

import re
from collections.abc import Iterable, Mapping, Sequence

HEAD_SIZE = 1000  # lines or records that a layout is determined from
TEXT_COLUMNS = ("tokens", "words", "token", "word", "form", "text", "sentence")
SPAN_COLUMNS = ("spans", "entities", "label", "labels")
SENTENCE_COLUMNS = (
    *("sentence_id", "sent_id", "sentence #", "sentence_idx", "sentid", "sentenceid"),
    *("sentence_number", "sentence_no", "sent_idx", "sent", "sentence"),
)
DOCUMENT_COLUMNS = (
    *("doc_id", "document_id", "docid", "doc", "document", "doc_name", "document_name"),
    *("file_name", "filename", "file"),
)
DOCUMENT_NAME = re.compile(  # article_id, tweetID, Post No
    r"(?:doc|document|article|tweet|post|text|file|paper|abstract|note|comment|review|message|email|"
    r"story|book|conversation|dialog|dialogue|thread|report|case|patient)"
    r"[ _-]?(?:id|idx|index|name|no|nr|num|number|#)",
    re.IGNORECASE,
)
RECORD_ID_COLUMNS = ("id", "sent_id", "sentence_id")


def label_columns(task: str) -> tuple[str, ...]:
    """Return the possible names of the label column, the likeliest first."""
    names: tuple[str, ...] = (f"{task}_tags", task, f"{task}_tag", f"{task}_labels")
    if task == "pos":
        names += ("upos", "upos_tags")
    return (*names, "labels", "tags", "label", "tag")


def first_named(names: Sequence[str], candidates: Iterable[str]) -> int | None:
    """Return the position in `names` of the first candidate among them, ignoring case."""
    lowered = [name.lower() for name in names]
    return next((lowered.index(name) for name in candidates if name in lowered), None)


def document_field(fields: Mapping[str, object]) -> str | None:
    """Return the field of a record that names its document: doc_id and the like, or article_id."""
    names = [name for name, value in fields.items() if type(value) in (str, int)]
    named = first_named(names, DOCUMENT_COLUMNS)
    if named is not None:
        return names[named]
    return next(filter(DOCUMENT_NAME.fullmatch, names), None)


def requested_column(column: str, names: Sequence[str], width: int) -> int | None:
    """Return the position of a column that the user named or numbered.

    Numbers count from 0; negative ones count from the end of `width` columns.
    """
    position = first_named(names, [column.lower()])
    if column in names:
        return names.index(column)
    if position is None and column.removeprefix("-").isdecimal() and -width <= int(column) < width:
        return int(column) % width
    return position
