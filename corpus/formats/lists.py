"""Records with a list of words and a list of tags."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from corpus.formats.label_column import typed_tag
from corpus.formats.records import (
    LISTS_EXAMPLE,
    Fault,
    Record,
    RecordLayout,
    document_of,
    lone_surrogate,
    missing_field,
    place_of,
    record_id_of,
)
from corpus.formats.sentence import ReadOptions, Sentence
from corpus.problems import Problem, ProblemKind, Problems
from corpus.schemes import is_entity_tag
from support.text import counted, quote

BLANKS = re.compile("[ \t\r\n]+")  # other white space may be a word


def read_lists(
    records: Iterable[Record],
    layout: RecordLayout,
    options: ReadOptions,
    problems: Problems,
    name: str,
) -> Iterator[Sentence]:
    """Yield a sentence for each record; add records that cannot be read to `problems`."""
    for record in records:
        line, fields = record.line, record.fields
        if fields is None:
            continue
        words: Any = fields.get(layout.text)
        tags = None if layout.labels is None else fields.get(layout.labels)
        if layout.joined:
            words, tags = split_at_blanks(words), split_tags(tags)
        word_fault = (
            missing_field(fields, layout, options)
            or fault_of_words(words, layout.text)
            or fault_of_tags(tags, words, layout.labels)
            or fault_of_tags(fields.get(layout.types or ""), words, layout.types)
        )
        if layout.types is not None and tags is not None and word_fault is None:
            tags = list(map(typed_tag, tags, fields[layout.types]))
        faults = [*record.faults, *([] if word_fault is None else [word_fault])]
        for fault in faults:
            text = None if fault_of_words(words, layout.text) else " ".join(words)
            noted = fault.kind is ProblemKind.SPAN_REPEATED
            target, expected = (problems.warnings, "") if noted else (problems, LISTS_EXAMPLE)
            target.add(fault.at(place_of(record, layout, name), expected, text))
        if any(fault.kind is not ProblemKind.SPAN_REPEATED for fault in faults):
            continue
        if words:
            document, record_id = document_of(fields, layout), record_id_of(record, layout)
            yield Sentence(words, tags, document, (line,) * len(words), name, record_id)
        else:
            place = place_of(record, layout, name)
            problems.warnings.add(Problem(ProblemKind.EMPTY_SENTENCE, place, quote(fields)))


def split_at_blanks(value: Any) -> Any:
    """Return the words of a string, separated by blanks; any other value as it is."""
    return BLANKS.sub(" ", value).strip(" ").split(" ") if isinstance(value, str) else value


def split_tags(value: Any) -> Any:
    """Return the tags of a string, separated by blanks or, if they are entity tags, by commas."""
    if isinstance(value, str) and "," in value:
        tags = [tag.strip() for tag in value.split(",")]
        if all(map(is_entity_tag, tags)):
            return tags
    return split_at_blanks(value)


def fault_of_words(words: Any, key: str) -> Fault | None:
    """Return a fault unless `words`, the value of the field `key`, is a list of strings."""
    if not isinstance(words, list):
        return Fault(ProblemKind.WORDS_NOT_LIST, f"{key!r} is {quote(words)}")
    if not set(map(type, words)) <= {str}:
        position = next(i for i, word in enumerate(words) if type(word) is not str)
        detail = f"{key!r}[{position}] is {quote(words[position])}"
        return Fault(ProblemKind.WORD_NOT_STRING, detail)
    return lone_surrogate("".join(words))


def fault_of_tags(tags: Any, words: list[str], key: str | None) -> Fault | None:
    """Return a fault unless `tags`, the value of the field `key`, has one tag for each word.

    Tags are all strings or all integers. Without a field (`key` is None) there is no fault.
    """
    if key is None:
        return None
    if not isinstance(tags, list):
        return Fault(ProblemKind.LABELS_NOT_LIST, f"{key!r} is {quote(tags)}")
    if len(tags) != len(words):
        numbers = f"{counted(len(words), 'word')}, {counted(len(tags), 'label')}"
        return Fault(ProblemKind.LABEL_COUNT, f"{numbers}: {quote(words)}, {quote(tags)}")
    types = set(map(type, tags))
    if not (types <= {str} or types <= {int}):
        detail = f"neither all strings nor all integers: {quote(tags)}"
        return Fault(ProblemKind.LABEL_TYPE, detail)
    return lone_surrogate("".join(tags)) if types == {str} else None
