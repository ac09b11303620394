"""Records of raw text with character spans, as doccano, Prodigy, Label Studio and spaCy write."""

from collections.abc import Iterable, Iterator
from typing import Any

from corpus.formats.records import (
    Fault,
    Record,
    RecordLayout,
    document_of,
    lone_surrogate,
    missing_field,
    record_id_of,
)
from corpus.formats.sentence import ReadOptions, Sentence
from corpus.problems import Place, Problem, ProblemKind, Problems
from corpus.words import word_splitter
from support.text import counted, quote

SPANS_EXAMPLE = '{"text": "EU rejects", "spans": [{"start": 0, "end": 2, "label": "ORG"}]}'
PRODIGY_UNUSED = ("reject", "ignore")  # answers that leave nothing to learn from


def read_spans(
    records: Iterable[Record],
    layout: RecordLayout,
    options: ReadOptions,
    problems: Problems,
    name: str,
) -> Iterator[Sentence]:
    """Yield a sentence for each record: the words of its text, and IOB2 tags of its spans.

    The suite's word splitter makes the words, as in tagging. Records that cannot be read are
    added to `problems`.
    """
    split_words = word_splitter(options.word_splitter)
    for record in records:
        line, fields, _ = record
        if fields is None:
            continue
        if fields.get("answer") in PRODIGY_UNUSED:
            kind = ProblemKind.REJECTED_ANSWER
            problems.warnings.add(Problem(kind, Place(name, line), quote(fields)))
            continue
        text: Any = fields.get(layout.text)
        fault = missing_field(fields, layout, options) or _fault_of_text(text, layout.text)
        if fault:
            problems.add(Problem(fault.kind, Place(name, line), fault.detail, SPANS_EXAMPLE))
            continue
        placed_words = split_words(text)
        tags = None
        if layout.labels is not None:
            tags, faults = tags_of_spans(text, placed_words, fields[layout.labels])
            for fault in faults:
                problems.add(Problem(fault.kind, Place(name, line), fault.detail, SPANS_EXAMPLE))
            if faults:
                continue
        if placed_words:
            words = [word for word, _, _ in placed_words]
            document, record_id = document_of(fields, layout), record_id_of(record, layout)
            yield Sentence(words, tags, document, (line,) * len(words), name, record_id)
        else:
            kind = ProblemKind.EMPTY_SENTENCE
            problems.warnings.add(Problem(kind, Place(name, line), quote(fields)))


def _fault_of_text(text: Any, key: str) -> Fault | None:
    if not isinstance(text, str):
        return Fault(ProblemKind.TEXT_NOT_STRING, f"{key!r} is {quote(text)}")
    return lone_surrogate(text)


def tags_of_spans(
    text: str, words: list[tuple[str, int, int]], spans: Any
) -> tuple[list[str], list[Fault]]:
    """Return the IOB2 tags of the words, and the faults of the spans.

    `words` are (word, start, end). Spans are in code points, begin and end at the edge of a word
    or in the space between two words, and do not overlap. Any other span is a fault; none is
    moved to fit.
    """
    if not isinstance(spans, list):
        return [], [Fault(ProblemKind.SPANS_NOT_LIST, quote(spans))]
    parsed_spans = [_parse_span(span) for span in spans]
    faults = [
        Fault(ProblemKind.SPAN_FORM, quote(span))
        for span, parsed in zip(spans, parsed_spans, strict=True)
        if parsed is None
    ]
    tags, last_end, position = ["O"] * len(words), 0, 0
    for start, end, label in sorted(filter(None, parsed_spans)):
        described = f"{start}-{end} {quote(text[max(start, 0) : max(end, 0)])} ({label})"
        if not 0 <= start < end <= len(text):
            size = f"the text has {counted(len(text), 'character')}"
            detail = f"{described}; {size}: {quote(text)}"
            faults.append(Fault(ProblemKind.SPAN_OUTSIDE_TEXT, detail))
            continue
        if start < last_end:
            faults.append(Fault(ProblemKind.SPANS_OVERLAP, f"{described} in {quote(text)}"))
            continue
        last_end = end
        while position < len(words) and words[position][2] <= start:
            position += 1
        stop = position
        while stop < len(words) and words[stop][1] < end:
            stop += 1
        if stop == position:
            faults.append(Fault(ProblemKind.SPAN_WITHOUT_WORD, f"{described} in {quote(text)}"))
            continue
        cut = [
            word
            for word, word_start, word_end in (words[position], words[stop - 1])
            if word_start < start < word_end or word_start < end < word_end
        ]
        if cut:  # `position` stays: the next span may cut the same word
            detail = f"{described} cuts {quote(cut[0])} in {quote(text)}"
            faults.append(Fault(ProblemKind.SPAN_CUTS_WORD, detail))
            continue
        tags[position:stop] = [f"I-{label}"] * (stop - position)
        tags[position] = f"B-{label}"
        position = stop
    return tags, faults


def _parse_span(span: Any) -> tuple[int, int, str] | None:
    """Return (start, end, label) of a span in any tool's format; None if it is not a span."""
    if isinstance(span, dict):
        label = span.get("label") or span.get("labels") or span.get("entity_group")
        if isinstance(label, list) and len(label) == 1:  # Label Studio
            label = label[0]
        start = span.get("start", span.get("start_offset"))
        end = span.get("end", span.get("end_offset"))
        span = [start, end, label]
    if not isinstance(span, list) or len(span) != 3:
        return None
    start, end, label = span
    if type(start) is not int or type(end) is not int or not isinstance(label, str):
        return None
    label = label.strip()
    return None if not label or lone_surrogate(label) else (start, end, label)
