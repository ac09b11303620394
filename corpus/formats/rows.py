"""Records of one word each, grouped into sentences."""

from collections.abc import Iterable, Iterator
from typing import Any

from corpus.formats.lists import fault_of_tags, fault_of_words
from corpus.formats.records import (
    Fault,
    Record,
    RecordLayout,
    document_of,
    identifier,
    missing_field,
    record_id_of,
)
from corpus.formats.sentence import ReadOptions, Sentence
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import quote

ROWS_EXAMPLE = "a header such as: sentence_id,token,ner_tag"


def read_rows(
    records: Iterable[Record],
    layout: RecordLayout,
    options: ReadOptions,
    problems: Problems,
    name: str,
) -> Iterator[Sentence]:
    """Yield sentences; add rows that cannot be read to `problems`.

    A sentence ends at a blank row, and before a row with a different identifier. A row with an
    empty identifier belongs to the sentence before it.
    """
    words: list[str] = []
    tags: list[Any] = []
    lines: list[int] = []
    current: str | int | None = None
    document = record_id = None
    for record in records:
        line, fields = record.line, record.fields
        sentence = None
        if fields is not None and layout.sentence is not None:
            sentence = fields.get(layout.sentence)
        changed = sentence not in (None, "") and sentence != current
        if words and (changed or fields is None):
            kept_tags = None if layout.labels is None else tags
            yield Sentence(words, kept_tags, document, lines, name, record_id)
            words, tags, lines = [], [], []
        if fields is None:
            continue
        current = sentence if changed else current
        word: Any = fields.get(layout.text)
        tag: Any = None if layout.labels is None else fields.get(layout.labels)
        fault = missing_field(fields, layout, options) or fault_of_words([word], layout.text)
        if fault is None and layout.labels is not None:
            fault = fault_of_tags([tag], [word], layout.labels)
        if fault is None and layout.sentence is not None and current is None:
            detail = f"no {layout.sentence!r} in {quote(fields)}"
            fault = Fault(ProblemKind.WORD_WITHOUT_SENTENCE, detail)
        if fault:
            problems.add(Problem(fault.kind, Place(name, line), fault.detail, ROWS_EXAMPLE))
            continue
        document = document_of(fields, layout)
        if not words:
            has_id = current is not None
            record_id = identifier(current) if has_id else record_id_of(record, layout)
        words.append(word)
        tags.append(tag)
        lines.append(line)
    if words:
        kept_tags = None if layout.labels is None else tags
        yield Sentence(words, kept_tags, document, lines, name, record_id)
