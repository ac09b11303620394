"""Argilla's exports: records of version 1, and of version 2 with responses to questions."""

from typing import Any

from corpus.formats.records import Fault, Fields, Record
from corpus.problems import ProblemKind
from support.text import quote

SPANS = "spans"  # the field of a record that gets the spans
RESPONSES = ".responses"  # end of the names of columns in flat exports
NOT_SUBMITTED = {"draft": ProblemKind.NOT_ANNOTATED, "discarded": ProblemKind.REJECTED_ANSWER}


def is_argilla_record(fields: Fields) -> bool:
    """Return whether a record comes from Argilla."""
    responses = fields.get("responses", "")
    nested = isinstance(fields.get("fields"), dict) and isinstance(responses, dict | None)
    version_1 = "annotation" in fields and (
        "prediction" in fields or _are_labelled_first(fields["annotation"])
    )
    flat = any(key.endswith(RESPONSES) for key in fields)
    return nested or version_1 or flat or any(map(_are_answers_of_users, fields.values()))


def record_of_argilla(record: Record) -> Record:
    """Return a record whose field `spans` holds the submitted spans.

    A record without a submitted response is left out.
    """
    fields: Fields = record.fields or {}
    if isinstance(fields.get("fields"), dict):
        inner = {key: value for key, value in fields["fields"].items() if isinstance(value, str)}
        answers = fields.get("responses") or {}
        bad = [given for given in answers.values() if given and not _are_answers(given)]
        if bad:
            return _unreadable(record, inner, bad[0])
        responses = {question: _values(given) for question, given in answers.items() if given}
        return _answered(_with_id(record, fields.get("id")), inner, responses)
    if "annotation" in fields:
        return _version_1(record, fields)
    answers = {key: given for key, given in fields.items() if _are_answers_of_users(given)}
    if answers:  # a FeedbackDataset of version 1
        responses = {question: _values(given) for question, given in answers.items()}
        return _answered(record, fields, responses)
    responses = {}
    for key, given in fields.items():
        if key.endswith(RESPONSES) and given:
            statuses = fields.get(f"{key}.status")
            if not isinstance(statuses, list):
                statuses = [None] * len(given) if isinstance(given, list) else []
            if not isinstance(given, list) or len(given) != len(statuses):
                return _unreadable(record, fields, given)
            responses[key] = list(zip(given, statuses, strict=True))
    return _answered(record, fields, responses)


def _unreadable(record: Record, fields: Fields, answers: Any) -> Record:
    """Return a record with a fault: its answers cannot be read."""
    fault = Fault(ProblemKind.SPAN_FORM, f"not a list of answers: {quote(answers)}")
    return record._replace(fields={**fields, SPANS: None}, faults=(fault,))


def _with_id(record: Record, record_id: Any) -> Record:
    return record._replace(record_id=record_id) if isinstance(record_id, str | int) else record


def _version_1(record: Record, fields: Fields) -> Record:
    annotation, status = fields["annotation"], str(fields.get("status")).lower()
    if annotation is None and status != "validated":
        kind = NOT_SUBMITTED.get(status, ProblemKind.NOT_ANNOTATED)
        return record._replace(fields={**fields, SPANS: []}, left_out=kind)
    left_out = NOT_SUBMITTED.get(status)
    spans = annotation
    if isinstance(annotation, list):
        spans = [
            [*span[1:], span[0]] if isinstance(span, list) and len(span) == 3 else span
            for span in annotation
        ]
    return record._replace(fields={**fields, SPANS: spans}, left_out=left_out)


def _answered(
    record: Record, fields: Fields, responses: dict[str, list[tuple[Any, Any]]]
) -> Record:
    """Return the record with the one submitted list of spans; `responses` are (value, status)."""
    answers = [answer for given in responses.values() for answer in given if answer[0] is not None]
    submitted = [
        value for value, status in answers if str(status or "submitted").lower() == "submitted"
    ]
    spans = [value for value in submitted if _are_spans(value)]
    with_spans: Fields = {**fields, SPANS: spans[0] if spans else None}
    if not submitted:
        statuses = {str(status).lower() for _, status in answers}
        kind = NOT_SUBMITTED["discarded" if statuses == {"discarded"} else "draft"]
        return record._replace(fields=with_spans, left_out=kind)
    if len(spans) > 1:
        detail = f"{len(spans)} responses to {quote(fields.get('text'))}"
        fault = Fault(ProblemKind.SEVERAL_ANNOTATIONS, detail)
        return record._replace(fields=with_spans, faults=(fault,))
    return record._replace(fields=with_spans)


def _are_labelled_first(spans: Any) -> bool:
    """Return whether a value holds spans of version 1: label, start, end."""
    return (
        isinstance(spans, list)
        and bool(spans)
        and all(
            isinstance(span, list) and [type(item) for item in span[:3]] == [str, int, int]
            for span in spans
        )
    )


def _are_answers(value: Any) -> bool:
    """Return whether a value is a list of answers to a question."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _are_answers_of_users(value: Any) -> bool:
    """Return whether a value is a list of answers to a question, each by a user."""
    needed = {"user_id", "value"}
    return bool(value) and _are_answers(value) and all(needed <= item.keys() for item in value)


def _values(answers: list[Fields]) -> list[tuple[Any, Any]]:
    return [(answer.get("value"), answer.get("status")) for answer in answers]


def _are_spans(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and "start" in item and "end" in item for item in value
    )
