"""Records of annotation tools, converted to records of texts or words; others stay as they are."""

from collections.abc import Iterable, Iterator
from typing import Any

from corpus.formats.argilla import RESPONSES, is_argilla_record, record_of_argilla
from corpus.formats.column_names import TEXT_COLUMNS
from corpus.formats.dataturks import is_dataturks_record, record_of_dataturks
from corpus.formats.gliner import (
    is_dygie_record,
    is_gliner_record,
    record_of_gliner,
    records_of_dygie,
)
from corpus.formats.label_studio import (
    dialogue_of,
    is_task,
    records_of_dialogue,
    records_of_task,
)
from corpus.formats.nested import parts_of, records_of_parts
from corpus.formats.records import Fault, Fields, Record
from corpus.formats.spacy import is_spacy_document, records_of_spacy
from corpus.formats.spans import are_spans_by_key, spans_by_key
from corpus.problems import ProblemKind
from support.text import quote

# Fields with which tools say that nothing can be learned from a record, and their values.
STATUS_FIELDS = ("answer", "status", "annotation_status")
REJECTED = {
    "reject", "rejected", "ignore", "ignored", "skip", "skipped", "discard", "discarded",
    "cancel", "cancelled", "canceled",
}  # fmt: skip
PENDING = {"pending", "draft"}
ANSWERS = {"accept", "reject", "ignore"}  # of Prodigy
PRODIGY_FIELDS = ("_input_hash", "_task_hash")
# Columns of tables that decide whether a record is used, or hold the words of a tool.
EXPORT_COLUMNS = (
    *STATUS_FIELDS, "meta", "metadata", "data", "annotation", "annotations", "prediction",
    "fields", "responses", "tokenized_text", "dialogue",
)  # fmt: skip
REJECTED_FLAGS = ("was_cancelled", "rejected", "ignored", "skipped")
MARKS = frozenset((*EXPORT_COLUMNS, *REJECTED_FLAGS))
WORDS = frozenset(TEXT_COLUMNS)  # a record with one of these keys is not a dialogue


def records_of_exports(records: Iterable[Record]) -> Iterator[Record]:
    """Yield records with a text and spans, or words and tags, for those of annotation tools."""
    answered = False
    for record in records:
        fields = record.fields
        if fields is not None and dict in map(type, fields.values()):
            fields = {k: spans_by_key(v) if are_spans_by_key(v) else v for k, v in fields.items()}
            record = record._replace(fields=fields)
        if fields is None or _is_plain(fields):
            yield record
        elif is_task(fields):
            yield from records_of_task(record)
        elif is_gliner_record(fields):
            yield record_of_gliner(record)
        elif is_dygie_record(fields):
            yield from records_of_dygie(record)
        elif is_dataturks_record(fields):
            yield record_of_dataturks(record)
        elif is_spacy_document(fields):
            yield from records_of_spacy(record)
        else:
            if is_argilla_record(fields):
                record = record_of_argilla(record)
            elif isinstance(fields.get("data"), dict):
                record = record._replace(fields={**fields, **fields["data"], "data": None})
            answered = answered or _is_answered(fields)
            record = record._replace(
                left_out=record.left_out or _reason(fields),
                faults=(*record.faults, *(_faults_of_answer(fields) if answered else ())),
            )
            fields = record.fields or {}
            parts, dialogue = parts_of(fields), dialogue_of(fields)
            if parts is not None:
                yield from records_of_parts(record, parts)
            elif dialogue is not None:
                yield from records_of_dialogue(record, dialogue)
            else:
                yield record


def _is_plain(fields: Fields) -> bool:
    """Return whether no key of a record needs a closer look; quick, as most records are plain."""
    keys = fields.keys()
    no_marks = MARKS.isdisjoint(keys) and not WORDS.isdisjoint(keys)
    return no_marks and RESPONSES not in "\n".join(fields)


def _reason(fields: Fields) -> ProblemKind | None:
    """Return the reason for which a record is left out, by its status; None to keep it."""
    for holder in (fields, fields.get("meta"), fields.get("metadata")):
        if not isinstance(holder, dict):
            continue
        statuses = {_lowered(holder.get(key)) for key in STATUS_FIELDS}
        if statuses & REJECTED or any(holder.get(flag) is True for flag in REJECTED_FLAGS):
            return ProblemKind.REJECTED_ANSWER
        if statuses & PENDING:
            return ProblemKind.NOT_ANNOTATED
    return None


def _is_answered(fields: Fields) -> bool:
    """Return whether a record comes from Prodigy, so that `answer` is not the answer of a quiz."""
    return _lowered(fields.get("answer")) in ANSWERS or any(key in fields for key in PRODIGY_FIELDS)


def _faults_of_answer(fields: Fields) -> list[Fault]:
    """Return a fault if a record has an answer that Prodigy does not give."""
    answer = fields.get("answer")
    if answer is None or _lowered(answer) in ANSWERS:
        return []
    return [Fault(ProblemKind.UNKNOWN_ANSWER, f"{quote(answer)} of {quote(fields.get('text'))}")]


def _lowered(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
