"""Label Studio's exports: tasks with annotations, and dialogues of paragraphs."""

import itertools
from collections.abc import Iterator
from typing import Any

from corpus.formats.column_names import SPAN_COLUMNS, TEXT_COLUMNS, label_columns
from corpus.formats.offset_units import Span
from corpus.formats.records import Fault, Fields, Record
from corpus.formats.spans import LABEL_KEYS, parsed_spans
from corpus.problems import ProblemKind
from settings.check_values import TASKS
from support.text import counted, quote

SPANS = "spans"  # the field of a record that gets the spans of a task
# Keys of mentions and of tagged words, which paragraphs do not have.
ANNOTATION_KEYS = {"start", "type", "entity", *SPAN_COLUMNS, *LABEL_KEYS, *label_columns("ner")}
# Fields of a task's data that hold labels from before the annotation.
IMPORTED_LABELS = {*SPAN_COLUMNS, *itertools.chain(*map(label_columns, TASKS))}
NO_TEXT = ("x", "y", "points", "rle", "format", "sequence", "channel")  # of images, audio, video


def is_task(fields: Fields) -> bool:
    """Return whether a record is a task of the full export."""
    annotated = ("annotations", "completions", "predictions")
    data = fields.get("data")
    return isinstance(data, dict) and (
        any(isinstance(fields.get(key), list) for key in annotated)
        or not ({"text", "tokens", *SPAN_COLUMNS} & fields.keys() or "tokens" in data)
    )


def records_of_task(record: Record) -> Iterator[Record]:
    """Yield the records of a task: one, or one for each paragraph of a dialogue.

    Fields are those of the task's data, and `spans`. A task that was cancelled or that nobody has
    annotated is left out.
    """
    task: Fields = record.fields or {}
    annotations = task.get("annotations", task.get("completions")) or []
    if not isinstance(annotations, list):
        annotations = [annotations]
    records = [annotation for annotation in annotations if isinstance(annotation, dict)]
    kept = [
        annotation
        for annotation in records
        if not (annotation.get("was_cancelled") or annotation.get("skipped"))
    ]
    left_out: ProblemKind | None = None
    faults: list[Fault] = []
    spans: list[Any] = []
    if len(records) < len(annotations):
        detail = f"an annotation is {quote(annotations[0])}, not an object"
        faults = [Fault(ProblemKind.SPAN_FORM, detail)]
    elif not records:
        left_out = ProblemKind.NOT_ANNOTATED
    elif not kept:
        left_out = ProblemKind.REJECTED_ANSWER
    elif len(kept) > 1 and not _are_equal(kept):
        detail = f"{len(kept)} annotations of {quote(task['data'])}"
        faults = [Fault(ProblemKind.SEVERAL_ANNOTATIONS, detail)]
    else:
        spans, faults = spans_of_results(kept[0].get("result") or [])
    fields = {
        key: value
        for key, value in task["data"].items()
        if isinstance(value, str | int | list)
        and not (isinstance(value, list) and key.lower() in IMPORTED_LABELS)
    }
    task_id = task.get("id")
    record_id = task_id if isinstance(task_id, str | int) else record.record_id
    texts = any(isinstance(value, str) for value in fields.values())
    in_paragraphs = any("startOffset" in span for span in spans) if spans else not texts
    dialogue = dialogue_of(fields, certain=in_paragraphs)
    whole = Record(record.line, {**fields, SPANS: spans}, record_id, left_out, tuple(faults))
    if dialogue is None:
        yield whole
    else:
        yield from records_of_dialogue(whole, dialogue)


def spans_of_results(results: Any) -> tuple[list[Any], list[Fault]]:
    """Return the spans of an annotation's results, and faults.

    Spans are the values of results in a text whose type ends with "labels". Choices, ratings and
    other results are not spans, unless a span has nothing else. Spans of several texts are a fault.
    """
    if isinstance(results, list) and any(isinstance(result, list) for result in results):
        nested = (result if isinstance(result, list) else [result] for result in results)
        results = list(itertools.chain.from_iterable(nested))
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        return [], [Fault(ProblemKind.SPAN_FORM, quote(results))]
    spans: list[Any] = []
    faults: list[Fault] = []
    labelled = {result.get("id") for result in results if _is_labels(result)} - {None}
    for result in results:
        value = result.get("value")
        if not isinstance(value, dict):
            if _is_labels(result):
                faults.append(Fault(ProblemKind.SPAN_FORM, quote(result)))
        elif _is_labels(result) and not any(key in value for key in NO_TEXT):
            spans.append(value)
        elif _is_labels(result):
            faults.append(Fault(ProblemKind.REGION_LEFT_OUT, quote(result)))
        elif "start" in value and "end" in value and result.get("id") not in labelled:
            faults.append(Fault(ProblemKind.SPAN_FORM, f"no label: {quote(result)}"))
    texts = dict.fromkeys(
        str(result["to_name"])
        for result in results
        if result.get("value") in spans and result.get("to_name") is not None
    )
    if len(texts) > 1:
        detail = f"spans of {len(texts)} texts of one task: {', '.join(map(quote, texts))}"
        faults.append(Fault(ProblemKind.SEVERAL_TEXTS, detail))
    return spans, faults


def _are_equal(annotations: list[Fields]) -> bool:
    """Return whether the annotations of a text have the same spans, and all can be read."""
    spans: set[frozenset[Span]] = set()
    for annotation in annotations:
        values, faults = spans_of_results(annotation.get("result") or [])
        parsed, further_faults = parsed_spans(values)
        if faults or further_faults:
            return False
        spans.add(frozenset(parsed))
    return len(spans) == 1


def _is_labels(result: Fields) -> bool:
    """Return whether a result is of a type with labels; old exports have no type."""
    return str(result.get("type", "labels")).endswith("labels")


# --- Paragraphs ---------------------------------------------------------------------------------


def dialogue_of(fields: Fields, *, certain: bool = False) -> list[Fields] | None:
    """Return the dialogue of a record without texts and words: paragraphs with their authors.

    Texts that carry labels of their own, such as mentions of entities, are not paragraphs, unless
    it is `certain` that there is a dialogue.
    """
    if any(_holds_text(fields.get(key)) for key in TEXT_COLUMNS):
        return None
    return next((value for value in fields.values() if _is_dialogue(value, certain)), None)


def _holds_text(value: Any) -> bool:
    first = next(iter(value), None) if isinstance(value, list) else value
    return isinstance(first, str)


def _is_dialogue(value: Any, certain: bool) -> bool:
    keys = set() if certain else ANNOTATION_KEYS
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and keys.isdisjoint(v) and _text_key(v) for v in value)
    )


def _text_key(paragraph: Fields) -> str | None:
    """Return the key of a paragraph's text: "text", or the only string besides the author."""
    strings = {key for key, value in paragraph.items() if isinstance(value, str)}
    rest = strings - {"author"}
    return (
        "text" if "text" in strings else rest.pop() if len(strings) == 2 == len(rest) + 1 else None
    )


def records_of_dialogue(record: Record, dialogue: list[Fields]) -> Iterator[Record]:
    """Yield a record for each paragraph of a dialogue, with the other fields of the record.

    The offsets of a span count from the beginning of its paragraph. A span over several paragraphs
    is a fault of the first record.
    """
    fields: Fields = record.fields or {}
    named = next((key for key in SPAN_COLUMNS if isinstance(fields.get(key), list)), SPANS)
    rest = {key: v for key, v in fields.items() if key != named and v is not dialogue}
    annotated = isinstance(fields.get(named), list)
    spans_of: list[list[Any]] = [[] for _ in dialogue]
    faults = list(record.faults)
    for span in fields.get(named) or []:
        place = _paragraphs(span)
        if place is None or not 0 <= place[0] <= place[1] < len(dialogue):
            faults.append(Fault(ProblemKind.SPAN_FORM, quote(span)))
        elif place[0] != place[1]:
            paragraphs = counted(place[1] - place[0] + 1, "paragraph")
            faults.append(Fault(ProblemKind.SPAN_FORM, f"a span of {paragraphs}: {quote(span)}"))
        else:
            span = {**span, "start": span.get("startOffset"), "end": span.get("endOffset")}
            spans_of[place[0]].append(span)
    for number, (paragraph, spans) in enumerate(zip(dialogue, spans_of, strict=True)):
        text = paragraph[str(_text_key(paragraph))]
        new_fields: Fields = {**rest, "text": text, SPANS: spans if annotated else None}
        own_faults = () if number else tuple(faults)
        yield record._replace(fields=new_fields, faults=own_faults, part=number)


def _paragraphs(span: Any) -> tuple[int, int] | None:
    """Return the paragraphs that a span begins and ends in, counted from 0."""
    try:
        return int(span["start"]), int(span["end"])
    except (TypeError, KeyError, ValueError):
        return None
