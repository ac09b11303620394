"""Results as annotation tools import them, for people to correct: doccano, Label Studio, brat."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from support.files import written_whole
from tagging.chunks import TaggedItem
from tagging.entity_tables import to_json

LINE_PARTS = re.compile(r"[^\r\n]+")
BLANKS = re.compile(r"\s")


def _spans(item: TaggedItem) -> list[tuple[int, int, str, float]]:
    """Return start, end, label and score of each entity, or of each word with a plain tag."""
    key, label = ("entities", "entity_group") if "entities" in item.result else ("words", "tag")
    return [(span["start"], span["end"], span[label], span["score"]) for span in item.result[key]]


def as_doccano(items: Iterable[TaggedItem]) -> Iterator[str]:
    """Yield doccano's JSON Lines: the fields of the record, `text`, and `label` as a list of spans.

    Offsets count code points.
    """
    for item in items:
        labels = [[start, end, label] for start, end, label, _ in _spans(item)]
        yield to_json(item.fields | {"text": item.tagged.text, "label": labels}) + "\n"


def as_label_studio(items: Iterable[TaggedItem], model: str) -> Iterator[str]:
    """Yield a JSON array of Label Studio's tasks with predictions of `model`.

    The names are those of its template for named entities: `text`, and `label` for the labels.
    Offsets count UTF-16 units, as its browser does.
    """
    opening = "[\n"
    for item in items:
        text = item.tagged.text
        spans = _spans(item)
        result: list[dict[str, Any]] = [
            {
                "id": f"entity-{number}",
                "from_name": "label",
                "to_name": "text",
                "type": "labels",
                "score": round(score, 4),
                "value": {
                    "start": _utf16_units(text[:start]),
                    "end": _utf16_units(text[:end]),
                    "text": text[start:end],
                    "labels": [label],
                },
            }
            for number, (start, end, label, score) in enumerate(spans, 1)
        ]
        prediction: dict[str, Any] = {"model_version": model, "result": result}
        if spans:
            prediction["score"] = round(sum(span[3] for span in spans) / len(spans), 4)
        task = {"data": item.fields | {"text": text}, "predictions": [prediction]}
        yield opening + to_json(task)
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def write_brat(items: Iterable[TaggedItem], text_path: Path | None) -> Iterator[str]:
    """Yield what `as_brat` yields; the text gets the name `text_path` when it is complete."""
    if text_path is None:
        yield from as_brat(items, None)
    else:
        with written_whole(text_path) as file:
            yield from as_brat(items, file)


def as_brat(items: Iterable[TaggedItem], text_file: IO[str] | None) -> Iterator[str]:
    """Yield the annotations of one brat document, which holds all texts, each on its own lines.

    The document is written to `text_file`; None if it is the input itself. A span that contains
    line ends is written in parts, as brat requires. Scores are notes.
    """
    offset = number = 0
    last = "\n"
    for position, item in enumerate(items):
        text = item.tagged.text
        separator = "\n" if position else ""
        offset += len(separator)
        rows = []
        for start, end, label, score in _spans(item):
            number += 1
            parts = [
                (start + part.start(), start + part.end())
                for part in LINE_PARTS.finditer(text[start:end])
            ]
            places = ";".join(f"{offset + first} {offset + after}" for first, after in parts)
            words = " ".join(text[first:after] for first, after in parts)
            rows.append(f"T{number}\t{BLANKS.sub('_', label)} {places}\t{words}\n")
            rows.append(f"#{number}\tAnnotatorNotes T{number}\tscore {score:.4f}\n")
        if text_file is not None:
            text_file.write(separator + text)
        offset += len(text)
        last = text
        yield "".join(rows)
    if text_file is not None and not last.endswith("\n"):
        text_file.write("\n")
