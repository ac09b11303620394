"""Writers and naive readers of the exports of annotation tools, for `fuzz.py`."""

import html
import json
from typing import Any

from naive_records import array_of, cells, each, lines_of, spans_in, table_of
from random_corpora import Entities, Format, Sentence, squeezed, text_and_spans, utf16


def doccano(number: int, pairs: Sentence) -> Any:
    """Return a record of doccano."""
    text, spans = text_and_spans(pairs)
    return {"id": number, "text": text, "label": [list(span) for span in spans]}


def doccano_entities(record: Any) -> Entities:
    """Read a record of doccano."""
    return spans_in(record["text"], [tuple(span) for span in record["label"]])


def prodigy(number: int, pairs: Sentence) -> Any:
    """Return a record of Prodigy; every fourth is rejected."""
    text, spans = text_and_spans(pairs)
    listed = [{"start": start, "end": end, "label": label} for start, end, label in spans]
    return {"text": text, "spans": listed, "answer": "reject" if number % 4 == 3 else "accept"}


def prodigy_entities(record: Any) -> Entities:
    """Read a record of Prodigy."""
    if record["answer"] == "reject":
        return []
    spans = [(span["start"], span["end"], span["label"]) for span in record["spans"]]
    return spans_in(record["text"], spans)


def label_studio(number: int, pairs: Sentence) -> Any:
    """Return a task of Label Studio, whose offsets count UTF-16 units; every fourth is skipped."""
    text, spans = text_and_spans(pairs)
    results = [
        {
            "id": f"r{i}",
            "type": "labels",
            "value": {
                "start": utf16(text, start),
                "end": utf16(text, end),
                "text": text[start:end],
                "labels": [label],
            },
        }
        for i, (start, end, label) in enumerate(spans)
    ]
    results.append({"type": "choices", "value": {"choices": ["a"]}})
    annotation = {"result": results, "was_cancelled": number % 4 == 3}
    return {"id": number, "data": {"text": text}, "annotations": [annotation]}


def label_studio_entities(record: Any) -> Entities:
    """Read a task of Label Studio, by the text that it carries."""
    (annotation,) = record["annotations"]
    if annotation["was_cancelled"]:
        return []
    values = [r["value"] for r in annotation["result"] if r["type"] == "labels"]
    values.sort(key=lambda value: value["start"])
    return [(value["labels"][0], squeezed(value["text"])) for value in values]


def argilla(number: int, pairs: Sentence) -> Any:
    """Return a record of Argilla 2; every fourth is a draft."""
    text, spans = text_and_spans(pairs)
    value = [{"start": start, "end": end, "label": label} for start, end, label in spans]
    status = "draft" if number % 4 == 3 else "submitted"
    responses = {"ner": [{"value": value, "status": status}]}
    return {"id": str(number), "fields": {"text": text}, "responses": responses}


def argilla_entities(record: Any) -> Entities:
    """Read a record of Argilla 2."""
    (answer,) = record["responses"]["ner"]
    if answer["status"] != "submitted":
        return []
    spans = [(span["start"], span["end"], span["label"]) for span in answer["value"]]
    return spans_in(record["fields"]["text"], spans)


def dialogue(number: int, pairs: Sentence) -> Any:
    """Return a task of Label Studio with two paragraphs; the spans are in the second."""
    text, spans = text_and_spans(pairs)
    paragraphs = [{"author": "A", "text": "Hello there"}, {"author": "B", "text": text}]
    results = [
        {
            "type": "paragraphlabels",
            "value": {
                "start": "1",
                "end": "1",
                "startOffset": utf16(text, start),
                "endOffset": utf16(text, end),
                "text": text[start:end],
                "paragraphlabels": [label],
            },
        }
        for start, end, label in spans
    ]
    annotation = {"result": results, "was_cancelled": False}
    return {"id": number, "data": {"dialogue": paragraphs}, "annotations": [annotation]}


def dialogue_entities(record: Any) -> Entities:
    """Read the spans of paragraphs by the text that they carry."""
    (annotation,) = record["annotations"]
    if annotation["was_cancelled"]:
        return []
    values = [result["value"] for result in annotation["result"]]
    return [(value["paragraphlabels"][0], squeezed(value["text"])) for value in values]


def hypertext(number: int, pairs: Sentence) -> Any:
    """Return a task of Label Studio whose text is HTML."""
    text, spans = text_and_spans(pairs)
    results = [
        {
            "type": "hypertextlabels",
            "value": {
                "start": "/p[1]/text()[1]",
                "end": "/p[1]/text()[1]",
                "globalOffsets": {"start": utf16(text, start), "end": utf16(text, end)},
                "text": text[start:end],
                "hypertextlabels": [label],
            },
        }
        for start, end, label in spans
    ]
    source = f"<p>{html.escape(text)}</p>"
    annotation = {"result": results, "was_cancelled": False}
    return {"id": number, "data": {"html": source}, "annotations": [annotation]}


def hypertext_entities(record: Any) -> Entities:
    """Read the spans of HTML by the text that they carry."""
    (annotation,) = record["annotations"]
    if annotation["was_cancelled"]:
        return []
    values = [result["value"] for result in annotation["result"]]
    return [(value["hypertextlabels"][0], squeezed(value["text"])) for value in values]


def studio_min(number: int, pairs: Sentence) -> dict[str, Any]:
    """Return a record of Label Studio's JSON-MIN."""
    text, spans = text_and_spans(pairs)
    values = [
        {
            "start": utf16(text, start),
            "end": utf16(text, end),
            "text": text[start:end],
            "labels": [label],
        }
        for start, end, label in spans
    ]
    return {"text": text, "id": number, "label": values, "annotator": 1, "annotation_id": number}


def studio_min_entities(record: Any) -> Entities:
    """Read a record of Label Studio's JSON-MIN, by the text that the spans carry."""
    values = sorted(record["label"], key=lambda value: value["start"])
    return [(value["labels"][0], squeezed(value["text"])) for value in values]


def argilla_1(number: int, pairs: Sentence) -> Any:
    """Return a record of Argilla 1; every fourth is discarded."""
    text, spans = text_and_spans(pairs)
    status = "Discarded" if number % 4 == 3 else "Validated"
    annotation = [[label, start, end] for start, end, label in spans]
    return {"id": str(number), "text": text, "annotation": annotation, "prediction": None} | {
        "status": status
    }


def argilla_1_entities(record: Any) -> Entities:
    """Read a record of Argilla 1."""
    if record["status"] == "Discarded":
        return []
    return spans_in(
        record["text"], [(start, end, label) for label, start, end in record["annotation"]]
    )


def argilla_flat(number: int, pairs: Sentence) -> Any:
    """Return a record of Argilla 2 as exported to a data set, in flat columns."""
    text, spans = text_and_spans(pairs)
    value = [{"start": start, "end": end, "label": label} for start, end, label in spans]
    return {
        "id": str(number),
        "text": text,
        "ner.responses": [value],
        "ner.responses.status": ["submitted"],
    }


def argilla_flat_entities(record: Any) -> Entities:
    """Read a record of Argilla 2 in flat columns."""
    (value,) = record["ner.responses"]
    if record["ner.responses.status"] != ["submitted"]:
        return []
    return spans_in(record["text"], [(s["start"], s["end"], s["label"]) for s in value])


def light_tag(number: int, pairs: Sentence) -> Any:
    """Return an example of LightTag."""
    text, spans = text_and_spans(pairs)
    listed = [
        {"start": start, "end": end, "tag": label, "value": text[start:end]}
        for start, end, label in spans
    ]
    return {"example_id": str(number), "content": text, "annotations": listed}


def light_tag_entities(record: Any) -> Entities:
    """Read an example of LightTag, by the text that the spans carry."""
    listed = sorted(record["annotations"], key=lambda span: span["start"])
    return [(span["tag"], squeezed(span["value"])) for span in listed]


def dataturks(number: int, pairs: Sentence) -> Any:
    """Return a record of Dataturks, whose ends are the last characters."""
    text, spans = text_and_spans(pairs)
    listed = [
        {"label": [label], "points": [{"start": start, "end": end - 1, "text": text[start:end]}]}
        for start, end, label in spans
    ]
    return {"content": text, "annotation": listed, "extras": None}


def dataturks_entities(record: Any) -> Entities:
    """Read a record of Dataturks, by the text that the points carry."""
    listed = [(a["points"][0], a["label"][0]) for a in record["annotation"]]
    listed.sort(key=lambda pair: pair[0]["start"])
    return [(label, squeezed(point["text"])) for point, label in listed]


FORMATS = (
    Format("doccano.jsonl", lines_of(doccano), each(doccano_entities)),
    Format("prodigy.jsonl", lines_of(prodigy), each(prodigy_entities)),
    Format("studio.json", array_of(label_studio), each(label_studio_entities)),
    Format("argilla.json", array_of(argilla), each(argilla_entities)),
    Format("min.json", array_of(studio_min), each(studio_min_entities)),
    Format(
        "studio.csv",
        table_of(studio_min, ",", json.dumps),
        cells(studio_min_entities, ",", json.loads, "label"),
    ),
    Format(
        "studio.tsv",
        table_of(studio_min, "\t", json.dumps),
        cells(studio_min_entities, "\t", json.loads, "label"),
    ),
    Format("dialogue.json", array_of(dialogue), each(dialogue_entities)),
    Format("hypertext.json", array_of(hypertext), each(hypertext_entities)),
    Format("argilla1.json", array_of(argilla_1), each(argilla_1_entities)),
    Format("flat.jsonl", lines_of(argilla_flat), each(argilla_flat_entities)),
    Format("lighttag.json", array_of(light_tag), each(light_tag_entities)),
    Format("dataturks.json", lines_of(dataturks), each(dataturks_entities)),
)
