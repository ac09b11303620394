"""Dataturks' exports: a text and annotations, whose points include the last character."""

from typing import Any

from corpus.formats.records import Fault, Fields, Record
from corpus.problems import ProblemKind
from support.text import quote

SPANS = "spans"  # the field of a record that gets the spans


def is_dataturks_record(fields: Fields) -> bool:
    """Return whether a record comes from Dataturks; a text without entities has no annotation."""
    annotations = fields.get("annotation")
    return (
        isinstance(fields.get("content"), str)
        and "annotation" in fields
        and (
            annotations is None
            or (isinstance(annotations, list) and all(map(_is_annotation, annotations)))
        )
    )


def record_of_dataturks(record: Record) -> Record:
    """Return a record whose fields are `text` and `spans`."""
    fields: Fields = record.fields or {}
    spans: list[Any] = []
    faults: list[Fault] = []
    for annotation in fields["annotation"] or ():
        for point in annotation["points"]:
            if type(point.get("end")) is int:
                spans.append({**point, "end": point["end"] + 1, "label": annotation.get("label")})
            else:
                faults.append(Fault(ProblemKind.SPAN_FORM, quote(annotation)))
    rest = {key: v for key, v in fields.items() if key not in ("content", "annotation")}
    new_fields: Fields = {**rest, "text": fields["content"], SPANS: spans}
    return record._replace(fields=new_fields, faults=(*record.faults, *faults))


def _is_annotation(value: Any) -> bool:
    points = value.get("points") if isinstance(value, dict) else None
    return isinstance(points, list) and all(isinstance(point, dict) for point in points)
