"""Records of raw text with character spans, as doccano, Prodigy, Label Studio and spaCy write."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from corpus.formats.column_names import SPAN_COLUMNS
from corpus.formats.hypertext import is_hypertext_span, offsets_of, rendered
from corpus.formats.offset_units import (
    OffsetUnit,
    Positions,
    ShiftSurvey,
    Span,
    UnitSurvey,
    cut_words,
    fit_in_characters,
    same_text,
)
from corpus.formats.records import (
    Fault,
    Fields,
    Record,
    RecordLayout,
    document_of,
    identifier,
    lone_surrogate,
    missing_field,
    record_id_of,
)
from corpus.formats.sentence import ReadOptions, Sentence
from corpus.problems import Place, Problem, ProblemKind, Problems
from corpus.words import Splitter, Words, word_splitter
from support.text import counted, quote

SPANS_EXAMPLE = '{"text": "EU rejects", "spans": [{"start": 0, "end": 2, "label": "ORG"}]}'
WHOLE_WORDS = (
    "spans of whole words. --span_alignment expand widens these spans, --span_alignment skip "
    "leaves them out"
)
ONE_LABEL = (
    "spans that do not overlap, because a word has one tag. Keep only the outer or only the inner "
    "ones of nested spans"
)
ONE_ANNOTATION = "one annotation of each text: delete the others in the tool, and export again"
ONE_TEXT = "spans of one text in each record: export a task for each text"
ANSWERS = "accept, reject or ignore"
# Keys of a span's label, its start and its end. LightTag has tag, UBIAI entityLabel, Google
# displayName.
LABEL_KEYS = ("label", "entity_group", "tag", "entityLabel", "displayName")
EDGE_KEYS = (("start", "start_offset", "startOffset"), ("end", "end_offset", "endOffset"))
DISCONTINUOUS = re.compile(r"T\d+\t\S+ \d+ \d+(?:;\d+ \d+)+\t")  # a span of brat
EMPTY_CELLS = {"", "null", "none", "nan"}  # what CSV writes for a missing value
NOTED = {  # faults that do not stop training
    ProblemKind.SPAN_REPEATED,
    ProblemKind.SPAN_EXPANDED,
    ProblemKind.SPAN_LEFT_OUT,
    ProblemKind.REGION_LEFT_OUT,
    ProblemKind.NO_SPANS,
}
EXPECTED = {
    ProblemKind.SPAN_CUTS_WORD: WHOLE_WORDS,
    ProblemKind.SPANS_OVERLAP: ONE_LABEL,
    ProblemKind.SEVERAL_ANNOTATIONS: ONE_ANNOTATION,
    ProblemKind.SEVERAL_TEXTS: ONE_TEXT,
    ProblemKind.UNKNOWN_ANSWER: ANSWERS,
    ProblemKind.SPAN_TEXT: "offsets of the text that the span carries",
}


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
    annotated: dict[int, tuple[int, int]] = {}
    shifts = ShiftSurvey(split_words)
    for record in records:
        if record.fields is None:
            continue
        text = record.fields.get(layout.text)
        text = text if isinstance(text, str) else None
        for line, sentence, faults in _read_record(
            record, record.fields, layout, options, name, split_words, annotated
        ):
            place = Place(name, line, sentence.record_id, sentence.document)
            for fault in faults:
                target = problems.warnings if fault.kind in NOTED else problems
                expected = EXPECTED.get(fault.kind, "" if fault.kind in NOTED else SPANS_EXAMPLE)
                target.add(fault.at(place, expected, text))
                misplaced = fault.kind is not ProblemKind.SPAN_REPEATED
                if misplaced and fault.span is not None and fault.text is not None:
                    shifts.add(fault.text, fault.span)
            if any(fault.kind not in NOTED for fault in faults):
                continue
            if sentence.words:
                yield sentence
            else:
                kind = ProblemKind.EMPTY_SENTENCE
                problems.warnings.add(Problem(kind, place, quote(record.fields), text=text))
    shift = shifts.description()
    if shift is not None:
        target = problems if problems.concern(name) else problems.warnings
        expected = "the position of the first character, from 0, and that after the last"
        target.add(Problem(ProblemKind.OFFSET_UNIT, Place(name), shift, expected))


def _read_record(
    record: Record,
    fields: Fields,
    layout: RecordLayout,
    options: ReadOptions,
    name: str,
    split_words: Splitter,
    annotated: dict[int, tuple[int, int]],
) -> Iterator[tuple[int, Sentence, list[Fault]]]:
    """Yield the line, the sentence and the faults of a record, or of each line of its text.

    `annotated`: see `_other_annotation`.
    """
    text: Any = fields.get(layout.text)
    faults = list(record.faults)
    document, record_id = document_of(fields, layout), record_id_of(record, layout)
    fault = missing_field(fields, layout, options) or _fault_of_text(text, layout.text)
    if fault or layout.labels is None:
        words = [] if fault else split_words(text)
        sentence = _sentence(words, None, document, record.line, name, record_id)
        yield record.line, sentence, [*faults, *([fault] if fault else [])]
        return
    text, spans, span_faults = placed_spans(text, fields.get(layout.labels), layout)
    faults += span_faults
    if _is_missing(fields.get(layout.labels)):
        others = (key for key in fields if key.lower() in SPAN_COLUMNS and key != layout.labels)
        elsewhere = next((key for key in others if parsed_spans(fields[key])[0]), None)
        if elsewhere is None:
            faults.append(Fault(ProblemKind.NO_SPANS, quote(text)))
        else:
            detail = f"no {layout.labels!r}, but spans in {elsewhere!r}: {quote(fields)}"
            faults.append(Fault(ProblemKind.MISSING_COLUMN, detail))
    other = _other_annotation(record, record_id, text, spans, annotated)
    if other:
        faults.append(other)
    pieces = [(0, text, spans)]
    if layout.by_line:
        inside = [span for span in spans if 0 <= span.start < span.end <= len(text)]
        faults += tags_of_spans(text, [], [span for span in spans if span not in inside])[1]
        pieces = split_at_lines(text, inside)
    for line, piece, spans_of_piece in pieces:
        words = split_words(piece)
        tags, tag_faults = tags_of_spans(piece, words, spans_of_piece, options.span_alignment)
        line += record.line
        sentence = _sentence(words, tags, document, line, name, record_id)
        yield line, sentence, [*faults, *tag_faults]
        faults = []  # those of the record are reported once


def _other_annotation(
    record: Record,
    record_id: str | None,
    text: str,
    spans: list[Span],
    annotated: dict[int, tuple[int, int]],
) -> Fault | None:
    """Return a fault if an earlier record is the same text of the same id with other spans.

    Several people have annotated the text then. `annotated`: hashes of the records so far, with
    the hash and the line of the spans of each; they need little memory.
    """
    fields = record.fields or {}
    own_id = record_id or identifier(fields.get("_input_hash"))  # Prodigy's identifier of a text
    if own_id is None:
        return None
    content = hash(frozenset((span.start, span.end, span.label) for span in spans))
    key = hash((own_id, record.part, text))
    first, line = annotated.setdefault(key, (content, record.line))
    if first == content:
        return None
    detail = f"{quote(text)} has other spans than the record with the same id on line {line:,}"
    return Fault(ProblemKind.SEVERAL_ANNOTATIONS, detail)


def _sentence(
    words: Words,
    tags: list[str] | None,
    document: str | None,
    line: int,
    name: str,
    record_id: str | None,
) -> Sentence:
    lines = (line,) * len(words)
    return Sentence([word for word, _, _ in words], tags, document, lines, name, record_id)


def split_at_lines(text: str, spans: list[Span]) -> list[tuple[int, str, list[Span]]]:
    """Return the lines of a text, each with its number from 0 and its spans, but no blank lines.

    Lines that a span joins stay together. Without a line that is not blank, the text is returned.
    """
    pieces: list[tuple[int, str, list[Span]]] = []
    waiting = sorted(spans, reverse=True)
    start = position = first = 0
    inside: list[Span] = []
    for number, line in enumerate(_lines(text)):
        position += len(line)
        while waiting and waiting[-1].start < position:
            inside.append(waiting.pop())
        if any(span.end > position for span in inside):
            continue
        piece = text[start:position]
        if piece.strip():
            moved = [s._replace(start=s.start - start, end=s.end - start) for s in inside]
            pieces.append((first, piece.rstrip("\r\n"), moved))
        start, first, inside = position, number + 1, []
    return pieces or [(0, text, spans)]


def _lines(text: str) -> list[str]:
    """Return the lines of a text with their ends, LF or CRLF."""
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), last]


def _fault_of_text(text: Any, key: str) -> Fault | None:
    if not isinstance(text, str):
        return Fault(ProblemKind.TEXT_NOT_STRING, f"{key!r} is {quote(text)}")
    return lone_surrogate(text)


def _is_missing(spans: Any) -> bool:
    """Return whether a record has no list of spans, because its text has no entities."""
    if isinstance(spans, float):
        return spans != spans  # JSON's NaN, as pandas writes it
    return spans in (None, {}) or (isinstance(spans, str) and spans.strip().lower() in EMPTY_CELLS)


# --- Spans in a text ----------------------------------------------------------------------------


def placed_spans(
    text: str, raw_spans: Any, layout: RecordLayout
) -> tuple[str, list[Span], list[Fault]]:
    """Return a text, its spans in characters, and the faults of spans that cannot be placed.

    The text is another one if it is the source of a hypertext.
    """
    spans, faults = parsed_spans(raw_spans)
    shown = rendered(text, spans) if layout.hypertext else None
    if shown is not None:
        return *shown, faults
    positions = Positions(text, layout.unit)
    placed = []
    for span in spans:
        converted = positions.of(span)
        if converted is None:
            detail = f"{span.start}-{span.end} ({span.label}), in {layout.unit}, of {quote(text)}"
            faults.append(Fault(ProblemKind.SPAN_OUTSIDE_TEXT, detail))
        else:
            placed.append(converted)
    return text, placed, faults


def find_unit(
    read: Callable[[], Iterable[Record]], layout: RecordLayout, split_words: Splitter
) -> tuple[OffsetUnit, str | None]:
    """Return the unit of the offsets in a file, and a description of what does not fit.

    `read` returns the records from the first one on. Other units than characters are tried only if
    a span does not fit.
    """
    texts = _texts_with_spans(read(), layout)
    if all(fit_in_characters(text, spans, split_words) for text, spans in texts):
        return OffsetUnit.CHARACTERS, None
    survey = UnitSurvey(split_words)
    for text, spans in _texts_with_spans(read(), layout):
        survey.add(text, spans)
    return survey.unit()


def _texts_with_spans(
    records: Iterable[Record], layout: RecordLayout
) -> Iterator[tuple[str, list[Span]]]:
    """Yield the texts in which units differ, with the spans that are in the unit of the file."""
    for record in records:
        fields = record.fields or {}
        text, spans = fields.get(layout.text), fields.get(str(layout.labels))
        if isinstance(text, str) and spans and record.left_out is None:
            if text.isascii() and "\r" not in text:
                continue  # all units agree
            parsed, _ = parsed_spans(spans)
            if not (layout.hypertext and rendered(text, parsed)):
                yield text, parsed


def tags_of_spans(
    text: str, words: Words, spans: list[Span], alignment: str = "strict"
) -> tuple[list[str], list[Fault]]:
    """Return the IOB2 tags of the words, and the faults of the spans.

    `words` are (word, start, end). Spans are in characters, begin and end at the edge of a word
    or in the space between two words, and do not overlap. Any other span is a fault. `alignment`
    concerns spans that begin or end inside a word: "strict" does not move them, "expand" widens
    them to whole words, "skip" leaves them out.
    """
    faults: list[Fault] = []
    tags, last_end = ["O"] * len(words), 0
    last: Span | None = None  # the previous span, which ends at `last_end`
    for span in sorted(spans, key=lambda span: span[:3]):
        start, end, label, own_text = span
        if not 0 <= start < end <= len(text):
            size = f"the text has {counted(len(text), 'character')}"
            detail = f"{_shown(text, span)}; {size}: {quote(text)}"
            faults.append(Fault(ProblemKind.SPAN_OUTSIDE_TEXT, detail, text, (start, end)))
            continue
        if own_text is not None and not same_text(text[start:end], own_text):
            detail = f"{_shown(text, span)} carries {quote(own_text)}{_places_of(own_text, text)}"
            faults.append(Fault(ProblemKind.SPAN_TEXT, detail, text, (start, end)))
            continue
        if last is not None and start < last_end:
            repeated = span[:3] == last[:3]
            kind = ProblemKind.SPAN_REPEATED if repeated else ProblemKind.SPANS_OVERLAP
            overlap = "" if repeated else f" overlaps {_shown(text, last)}"
            detail = f"{_shown(text, span)}{overlap} in {quote(text)}"
            faults.append(Fault(kind, detail, text, (start, end)))
            continue
        last_end, last = end, span
        first, stop, cut = cut_words(span, words)
        if stop == first:
            detail = f"{_shown(text, span)} in {quote(text)}"
            faults.append(Fault(ProblemKind.SPAN_WITHOUT_WORD, detail, text, (start, end)))
            continue
        if cut:
            whole_start, whole_end = min(start, words[first][1]), max(end, words[stop - 1][2])
            whole = f"{whole_start}-{whole_end} {quote(text[whole_start:whole_end])}"
            detail = (
                f"{_shown(text, span)} cuts {quote(cut[0])}; whole words: {whole}, in {quote(text)}"
            )
            kind = {
                "expand": ProblemKind.SPAN_EXPANDED,
                "skip": ProblemKind.SPAN_LEFT_OUT,
            }.get(alignment, ProblemKind.SPAN_CUTS_WORD)
            if kind is ProblemKind.SPAN_EXPANDED and tags[first] != "O":
                detail = f"{_shown(text, span)}, widened to {whole}, in {quote(text)}"
                kind = ProblemKind.SPANS_OVERLAP
            faults.append(Fault(kind, detail, text, (start, end)))
            if kind is not ProblemKind.SPAN_EXPANDED:
                continue
            last_end = whole_end
        tags[first:stop] = [f"I-{label}"] * (stop - first)
        tags[first] = f"B-{label}"
    return tags, faults


def _shown(text: str, span: Span) -> str:
    """Return a span with its characters and its label."""
    covered = text[max(span.start, 0) : max(span.end, 0)]
    return f"{span.start}-{span.end} {quote(covered)} ({span.label})"


def _places_of(own_text: str, text: str) -> str:
    """Describe where the text that a span carries is found, up to three times."""
    places: list[str] = []
    start = text.find(own_text)
    while own_text and start >= 0 and len(places) < 3:
        places.append(f"{start}-{start + len(own_text)}")
        start = text.find(own_text, start + 1)
    return f", found at {', '.join(places)}" if places else f", not found in {quote(text)}"


# --- The form of spans --------------------------------------------------------------------------


def parsed_spans(spans: Any) -> tuple[list[Span], list[Fault]]:
    """Return the spans of a record in any tool's format, and faults of what are none."""
    if _is_missing(spans):
        return [], []
    if isinstance(spans, dict) and len(spans) == 1:  # spaCy's {"entities": [...]}
        spans = next(iter(spans.values()))
    if not isinstance(spans, list):
        return [], [Fault(ProblemKind.SPANS_NOT_LIST, quote(spans))]
    parsed = list(map(_parse_span, spans))
    complete = [span for span in parsed if span is not None]
    if len(complete) == len(parsed):
        return complete, []
    faults = [
        Fault(ProblemKind.SPAN_FORM, f"{_described(span)}{quote(span)}")
        for span, result in zip(spans, parsed, strict=True)
        if result is None
    ]
    return complete, faults


def are_spans_by_key(value: Any) -> bool:
    """Return whether an object holds spans as `datasets` stores them: a list for each key."""
    return (
        isinstance(value, dict)
        and any(key in value for key in EDGE_KEYS[0])
        and all(isinstance(values, list) for values in value.values())
        and len(set(map(len, value.values()))) == 1
    )


def spans_by_key(value: Fields) -> list[Fields]:
    """Return the spans of an object that holds a list for each key."""
    return [dict(zip(value, values, strict=True)) for values in zip(*value.values(), strict=True)]


def _parse_span(span: Any) -> Span | None:
    """Return the span that a value holds in any tool's format; None if it is not a span."""
    own_text = None
    if isinstance(span, dict):
        start, end, label = span.get("start"), span.get("end"), span.get("label")
        if type(start) is type(end) is int and isinstance(label, str):  # nearly all spans
            own_text = span.get("text", span.get("value"))
            return _span_of(start, end, label, own_text)
        label = next((span[key] for key in LABEL_KEYS if span.get(key)), None) or _labels_of(span)
        if isinstance(label, list) and len(label) == 1:  # Label Studio
            label = label[0]
        start, end = (next((span[key] for key in keys if key in span), None) for keys in EDGE_KEYS)
        if is_hypertext_span(span):
            start, end = offsets_of(span)
        own_text = next((span[key] for key in ("text", "value") if key in span), None)
        span = [start, end, label]
    if not isinstance(span, list) or len(span) != 3:
        return None
    start, end, label = span
    if type(start) is not int or type(end) is not int or not isinstance(label, str):
        return None
    return _span_of(start, end, label, own_text)


def _span_of(start: int, end: int, label: str, own_text: Any) -> Span | None:
    label = label.strip()
    if not label or not (label.isascii() or lone_surrogate(label) is None):
        return None
    return Span(start, end, label, own_text if isinstance(own_text, str) else None)


def _described(span: Any) -> str:
    """Return the reason why a value is not a span, for the message; "" if none is known."""
    if not isinstance(span, dict):
        pieces = isinstance(span, str) and DISCONTINUOUS.match(span)
        return "a discontinuous span, which tags cannot express: " if pieces else ""
    label = span.get("label", _labels_of(span))
    if type(label) is int:
        return "its label is a number; export names of labels: "
    if label in ([], ""):
        return "no label: "
    if isinstance(label, list) and len(label) > 1:
        return f"{len(label)} labels, where tags can express one: "
    return ""


def _labels_of(span: Fields) -> Any:
    """Return the labels of a span of Label Studio: labels, hypertextlabels, paragraphlabels."""
    return next((span[key] for key in span if str(key).endswith("labels")), None)
