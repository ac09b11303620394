"""Exports of annotation tools: who annotated, span types, and the text that spans carry."""

import json

import pytest

from corpus.formats import detect
from corpus.formats.sentence import ReadOptions
from corpus.problems import ProblemKind, Problems
from tests.helpers.corpus_files import csv_text, read, write_file

ANNA = (["Anna", "slept"], ["B-PER", "O"])
PER = {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]}


def task(*annotations, text="Anna slept", **fields) -> dict:
    return {"data": {"text": text}, "annotations": list(annotations), **fields}


def annotation(*values, kind="labels", **fields) -> dict:
    return {"result": [{"type": kind, "value": value} for value in values], **fields}


def warned(problems: Problems) -> list[tuple[ProblemKind, int]]:
    return [(group.kind, group.count) for group in problems.warnings.groups]


def stopped(problems: Problems) -> list[tuple[ProblemKind, int]]:
    return [(group.kind, group.count) for group in problems.groups]


LEFT_OUT = {
    "cancelled": (task({"was_cancelled": True, "result": []}), ProblemKind.REJECTED_ANSWER),
    "skipped": (task({"skipped": True, "result": []}), ProblemKind.REJECTED_ANSWER),
    "no annotation": (task(), ProblemKind.NOT_ANNOTATED),
    "only predictions": (
        {"data": {"text": "Anna slept"}, "predictions": [annotation(PER)]},
        ProblemKind.NOT_ANNOTATED,
    ),
    "an imported task": ({"id": 3, "data": {"text": "Anna slept"}}, ProblemKind.NOT_ANNOTATED),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_tasks_without_an_annotation_are_left_out_and_counted(tmp_path, name):
    left_out, kind = LEFT_OUT[name]
    path = write_file(tmp_path, "a.json", json.dumps([left_out, task(annotation(PER)), left_out]))
    assert read(path, problems := Problems()) == [ANNA]
    assert warned(problems) == [(kind, 2)] and not problems


def test_an_annotation_without_spans_is_a_text_without_entities(tmp_path):
    path = write_file(tmp_path, "a.json", json.dumps([task(annotation(PER)), task(annotation())]))
    assert read(path, problems := Problems()) == [ANNA, (["Anna", "slept"], ["O", "O"])]
    assert not problems.warnings


def test_a_file_that_nobody_has_annotated_is_rejected(tmp_path, snapshot):
    path = write_file(tmp_path, "a.json", json.dumps([task(), task({"was_cancelled": True})]))
    assert read(path, problems := Problems()) == []
    assert stopped(problems) == [(ProblemKind.NO_SENTENCE, 1)]
    assert str(problems).replace(str(tmp_path), "<folder>") == snapshot


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"answer": "reject"}, ProblemKind.REJECTED_ANSWER),
        ({"answer": "ignore"}, ProblemKind.REJECTED_ANSWER),
        ({"status": "Discarded"}, ProblemKind.REJECTED_ANSWER),
        ({"meta": {"status": "rejected"}}, ProblemKind.REJECTED_ANSWER),
        ({"ignored": True}, ProblemKind.REJECTED_ANSWER),
        ({"status": "pending"}, ProblemKind.NOT_ANNOTATED),
        ({"answer": "accept", "status": "done", "ignored": False}, None),
    ],
)
def test_records_with_a_status(tmp_path, fields, kind):
    lines = [{"text": "Anna slept", "spans": [[0, 4, "PER"]]}] * 2
    content = "\n".join(map(json.dumps, [lines[0], {**lines[1], **fields}]))
    sentences = read(write_file(tmp_path, "a.jsonl", content), problems := Problems())
    assert sentences == [ANNA] * (2 if kind is None else 1)
    assert warned(problems) == ([] if kind is None else [(kind, 1)])
    words = {"tokens": ["Anna", "slept"], "ner_tags": ["B-PER", "O"]}
    content = "\n".join(map(json.dumps, [words, {**words, **fields}]))
    assert read(write_file(tmp_path, "b.jsonl", content), Problems()) == sentences


@pytest.mark.parametrize(
    "spans", [None, {"spans": None}, {"spans": []}, {"spans": float("nan")}, {"spans": ""}]
)
def test_a_text_without_spans_has_no_entities(tmp_path, spans):
    lines = [
        {"text": "Anna slept", "spans": [[0, 4, "PER"]]},
        {"text": "all slept", **(spans or {})},
    ]
    path = write_file(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))
    assert read(path, problems := Problems()) == [ANNA, (["all", "slept"], ["O", "O"])]
    missing = spans is None or spans["spans"] != []
    assert warned(problems) == ([(ProblemKind.NO_SPANS, 1)] if missing else [])


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_tables_of_label_studio_may_begin_with_a_text_without_spans(tmp_path, delimiter):
    rows = [
        ["text", "id", "label", "annotator"],
        ["all slept", 1, "", "a"],
        ["Anna\nslept", 2, json.dumps([PER]), "a"],
    ]
    path = write_file(tmp_path, "a.tsv", csv_text(rows, delimiter=delimiter))
    assert read(path, problems := Problems()) == [(["all", "slept"], ["O", "O"]), ANNA]
    assert warned(problems) == [(ProblemKind.NO_SPANS, 1)] and not problems


def test_doccano_names_its_text_data(tmp_path):
    content = json.dumps({"id": 1, "data": "Anna slept", "label": [[0, 4, "PER"]]})
    assert read(write_file(tmp_path, "a.jsonl", content)) == [ANNA]


# --- Span types of Label Studio -----------------------------------------------------------------


def hypertext(start, end, text, label="PER") -> dict:
    offsets = {"start": start, "end": end}
    return {
        "start": "/p[1]/text()[1]",
        "end": "/p[1]/text()[1]",
        "globalOffsets": offsets,
        "text": text,
        "hypertextlabels": [label],
    }


@pytest.mark.parametrize(
    ("text", "span", "words", "tags"),
    [
        ("Anna slept", hypertext(0, 4, "Anna"), "Anna slept", "B-PER O"),
        ("<p>Anna</p><p>Bob</p>", hypertext(4, 7, "Bob"), "Anna Bob", "O B-PER"),
        ("R&amp;D: <b>Anna</b>", hypertext(5, 9, "Anna"), "R&D : Anna", "O O B-PER"),
        ("<p>😀 Anna<br>Bob</p>", hypertext(8, 11, "Bob"), "😀 Anna Bob", "O O B-PER"),
        ("😀 Anna<br/>Bob", hypertext(7, 10, "Bob"), "😀 Anna Bob", "O O B-PER"),
    ],
)
@pytest.mark.parametrize("minimal", [False, True])
def test_hypertext(tmp_path, text, span, words, tags, minimal):
    record = task(annotation(span, kind="hypertextlabels"), text=text)
    if minimal:
        record = {"text": text, "label": [span]}
    assert read(write_file(tmp_path, "a.json", json.dumps([record]))) == [
        (words.split(), tags.split())
    ]


def test_hypertext_without_a_matching_text_is_rejected(tmp_path):
    record = task(annotation(hypertext(1, 5, "Anna"), kind="hypertextlabels"), text="<p>Anna</p>")
    read(write_file(tmp_path, "a.json", json.dumps([record])), problems := Problems())
    assert stopped(problems) == [(ProblemKind.SPAN_TEXT, 1)]


def paragraph(number, start, end, text, last=None) -> dict:
    return {
        "start": str(number),
        "end": str(number if last is None else last),
        "startOffset": start,
        "endOffset": end,
        "text": text,
        "paragraphlabels": ["PER"],
    }


DIALOGUE = [{"author": "A", "text": "Hi Anna"}, {"author": "B", "text": "Bob left"}]


@pytest.mark.parametrize("minimal", [False, True])
def test_paragraphs(tmp_path, minimal):
    spans = [paragraph(0, 3, 7, "Anna"), paragraph(1, 0, 3, "Bob")]
    record = {
        "id": 4,
        "data": {"dialogue": DIALOGUE},
        "annotations": [annotation(*spans, kind="paragraphlabels")],
    }
    if minimal:
        record = {"id": 4, "dialogue": DIALOGUE, "label": spans}
    path = write_file(tmp_path, "a.json", json.dumps([record]))
    assert read(path) == [(["Hi", "Anna"], ["O", "B-PER"]), (["Bob", "left"], ["B-PER", "O"])]


def test_a_text_that_several_people_annotate_alike_has_one_annotation(tmp_path):
    anna, bob = annotation(PER, completed_by=1), annotation(PER, completed_by=2)
    path = write_file(tmp_path, "a.json", json.dumps([task(anna, bob), task(bob)]))
    assert read(path) == [ANNA] * 2
    path = write_file(tmp_path, "b.json", json.dumps([task(anna, annotation())]))
    assert read(path, problems := Problems()) == []
    assert stopped(problems) == [(ProblemKind.SEVERAL_ANNOTATIONS, 1)]


def test_label_studio_writes_a_line_feed_of_a_span_as_a_backslash_and_n(tmp_path):
    span = {"start": 0, "end": 9, "text": "Anna\\nBell", "labels": ["PER"]}
    content = json.dumps([task(annotation(span), text="Anna\nBell ran")])
    assert read(write_file(tmp_path, "a.json", content)) == [
        (["Anna", "Bell", "ran"], ["B-PER", "I-PER", "O"])
    ]


@pytest.mark.parametrize("imported", ["ner_tags", "labels", "Tags", "spans"])
def test_labels_that_a_task_was_imported_with_are_not_its_annotation(tmp_path, imported):
    data = {"text": "Anna slept", "tokens": ["Anna", "slept"], imported: ["O", "O"]}
    content = json.dumps([{"data": data, "annotations": [annotation(PER)]}])
    assert read(write_file(tmp_path, "a.json", content)) == [ANNA]


def test_the_paragraphs_of_a_task_may_have_any_keys(tmp_path):
    """Label Studio plays the part of a recording that belongs to a paragraph."""
    dialogue = [{**DIALOGUE[0], "start": 0.5, "end": 2, "type": "a", "meta": {"b": []}}]
    spans = annotation(paragraph(0, 3, 7, "Anna"), kind="paragraphlabels")
    record = {"data": {"dialogue": dialogue}, "annotations": [spans]}
    assert read(write_file(tmp_path, "a.json", json.dumps([record]))) == [
        (["Hi", "Anna"], ["O", "B-PER"])
    ]


def test_earlier_spans_in_the_data_of_a_task_are_not_a_dialogue(tmp_path):
    data = {"review": "Anna slept", "model": [{**PER, "label": "X"}]}
    content = json.dumps([{"data": data, "annotations": [annotation(PER)]}] * 2)
    assert read(write_file(tmp_path, "a.json", content)) == [ANNA] * 2


def test_a_dialogue_without_a_list_of_spans_has_no_labels(tmp_path):
    path = write_file(tmp_path, "a.jsonl", json.dumps({"dialogue": DIALOGUE}))
    assert read(path) == [(["Hi", "Anna"], None), (["Bob", "left"], None)]


UNREADABLE = {
    "a span over two paragraphs": {
        "data": {"dialogue": DIALOGUE},
        "annotations": [annotation(paragraph(0, 3, 3, "x", last=1), kind="paragraphlabels")],
    },
    "a region that only a choice labels": task(
        annotation({"start": 0, "end": 4, "text": "Anna", "choices": ["PER"]}, kind="choices")
    ),
    "a time series": task(annotation({"start": 0.5, "end": 4.5, "timeserieslabels": ["X"]})),
    "an annotation that is a number": task(17),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_spans_that_cannot_be_read_are_rejected(tmp_path, name):
    path = write_file(tmp_path, "a.json", json.dumps([UNREADABLE[name]]))
    read(path, problems := Problems())
    assert stopped(problems) == [(ProblemKind.SPAN_FORM, 1)]


def test_choices_of_a_labelled_span_are_not_spans_and_boxes_are_left_out(tmp_path):
    region = {"id": "r", "type": "choices", "value": {"start": 0, "end": 4, "choices": ["sure"]}}
    box = {"type": "rectanglelabels", "value": {"x": 1, "y": 2, "rectanglelabels": ["Logo"]}}
    results = [{"id": "r", "type": "labels", "value": PER}, region, box]
    path = write_file(tmp_path, "a.json", json.dumps([task({"result": results})]))
    assert read(path, problems := Problems()) == [ANNA]
    assert warned(problems) == [(ProblemKind.REGION_LEFT_OUT, 1)]


@pytest.mark.parametrize(
    "record",
    [
        {"id": 1, "my_text": "Anna slept", "source": "a.txt", "my_labels": [PER]},
        {"data": {"my_text": "Anna slept", "url": "x"}, "annotations": [annotation(PER)]},
    ],
)
def test_columns_of_any_name_are_found_by_their_spans(tmp_path, record):
    path = write_file(tmp_path, "a.json", json.dumps([record] * 2))
    assert read(path) == [ANNA] * 2
    opened = detect.read(path, ReadOptions(), Problems())
    assert opened.layout.startswith("text from 'my_text'")


@pytest.mark.parametrize(
    "record",
    [
        {"text": "Anna slept", "a": [PER], "b": [PER]},
        {"text": "Anna slept", "predictions": [PER]},
        {"text": "Anna slept", "tokens": [{"text": "Anna", "start": 0, "end": 4}]},
    ],
)
def test_columns_are_not_guessed(tmp_path, record):
    opened = detect.read(
        write_file(tmp_path, "a.json", json.dumps([record])), ReadOptions(), Problems()
    )
    assert not opened.labelled


# --- Offsets ------------------------------------------------------------------------------------

SPECIAL = "😀 Zoë met\r\nBob"  # one character of two UTF-16 units, one of two bytes, CRLF as one
UNITS = {  # unit -> the offsets of Zoë and Bob
    "characters": [(2, 5), (11, 14)],
    "UTF-16 units": [(3, 6), (12, 15)],
    "UTF-8 bytes": [(5, 9), (15, 18)],
    "characters, and CRLF as one": [(2, 5), (10, 13)],
    "UTF-16 units, and CRLF as one": [(3, 6), (11, 14)],
}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("carried", [True, False])
def test_the_unit_of_the_offsets_is_found(tmp_path, unit, carried):
    spans = [
        {"start": start, "end": end, "label": "PER", **({"text": text} if carried else {})}
        for (start, end), text in zip(UNITS[unit], ["Zoë", "Bob"], strict=True)
    ]
    content = json.dumps({"text": SPECIAL, "spans": spans})
    opened = detect.read(write_file(tmp_path, "a.jsonl", content), ReadOptions(), Problems())
    assert [(list(s.words), s.tags) for s in opened.sentences] == [
        (["😀", "Zoë", "met", "Bob"], ["O", "B-PER", "O", "B-PER"])
    ]
    assert unit == "characters" or opened.layout.endswith(f"whose offsets count {unit}")
    assert unit != "characters" or "offsets" not in opened.layout


def test_a_late_span_decides_the_unit_of_earlier_texts(tmp_path):
    ambiguous = {"text": "😀a b c d", "spans": [[2, 3, "X"]]}  # "a" in UTF-16 units; else " "
    unclear = {"text": "😀 张三在", "spans": [[3, 4, "PER"]]}  # a word in either unit
    clear = {"text": "😀张三在", "spans": [{"start": 2, "end": 4, "text": "张三", "label": "PER"}]}
    content = "\n".join(map(json.dumps, [unclear, ambiguous, clear]))
    sentences = read(write_file(tmp_path, "a.jsonl", content))
    assert [words[tags.index(next(t for t in tags if t != "O"))] for words, tags in sentences] == [
        "张",
        "a",
        "张",
    ]


def test_offsets_in_several_units_are_rejected(tmp_path, snapshot):
    carried = {"end": 0, "label": "PER", "text": "Zoë"}
    lines = [{"text": "😀 Zoë", "spans": [{**carried, "start": 2, "end": 5}]}] + [
        {"text": "😀 Zoë", "spans": [{**carried, "start": 3, "end": 6}]}
    ] * 3
    path = write_file(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))
    assert read(path, problems := Problems()) == []
    assert stopped(problems) == [(ProblemKind.OFFSET_UNIT, 1)]
    assert str(problems).replace(str(tmp_path), "<folder>") == snapshot


def test_a_span_that_carries_another_text_is_rejected(tmp_path, snapshot):
    spans = [{"start": 1, "end": 5, "label": "PER", "text": "Anna"}]
    path = write_file(tmp_path, "a.jsonl", json.dumps({"text": "So Anna slept", "spans": spans}))
    assert read(path, problems := Problems()) == []
    assert stopped(problems) == [(ProblemKind.SPAN_TEXT, 1)]
    assert str(problems).replace(str(tmp_path), "<folder>") == snapshot


def test_white_space_and_composition_do_not_matter_to_the_text_that_a_span_carries(tmp_path):
    spans = [{"start": 0, "end": 9, "label": "PER", "text": "Zoe\u0308 Bell"}]
    path = write_file(tmp_path, "a.jsonl", json.dumps({"text": "Zoë\r\nBell", "spans": spans}))
    assert read(path) == [(["Zoë", "Bell"], ["B-PER", "I-PER"])]


# --- Argilla and GLiNER -------------------------------------------------------------------------

SPAN = {"start": 0, "end": 4, "label": "PER"}
ARGILLA = {
    "version 1": {
        "text": "Anna slept",
        "tokens": ["Anna", "slept"],
        "prediction": None,
        "annotation": [["PER", 0, 4]],
        "status": "Validated",
    },
    "version 1, objects": {
        "text": "Anna slept",
        "prediction": [{**SPAN, "label": "LOC"}],
        "annotation": [SPAN],
        "status": "Validated",
    },
    "version 2, flat": {
        "text": "Anna slept",
        "status": "completed",
        "topic.responses": ["people"],
        "ner.responses": [[SPAN]],
        "ner.responses.status": ["submitted"],
        "ner.suggestion": [],
    },
    "version 2": {
        "status": "completed",
        "fields": {"text": "Anna slept"},
        "responses": {"ner": [{"value": [SPAN], "user_id": "u"}]},
    },
}


@pytest.mark.parametrize("name", ARGILLA)
def test_argilla(tmp_path, name):
    assert read(write_file(tmp_path, "a.json", json.dumps([ARGILLA[name]] * 2))) == [ANNA] * 2


@pytest.mark.parametrize(
    ("changes", "name", "kind"),
    [
        ({"annotation": None, "status": "Default"}, "version 1", ProblemKind.NOT_ANNOTATED),
        ({"status": "Discarded"}, "version 1", ProblemKind.REJECTED_ANSWER),
        (
            {"ner.responses": None, "topic.responses": None, "status": "pending"},
            "version 2, flat",
            ProblemKind.NOT_ANNOTATED,
        ),
        ({"responses": {}}, "version 2", ProblemKind.NOT_ANNOTATED),
        (
            {"responses": {"ner": [{"value": [SPAN], "status": "discarded"}]}},
            "version 2",
            ProblemKind.REJECTED_ANSWER,
        ),
    ],
)
def test_argilla_records_without_an_annotation_are_left_out(tmp_path, changes, name, kind):
    content = json.dumps([ARGILLA[name], {**ARGILLA[name], **changes}])
    assert read(write_file(tmp_path, "a.json", content), problems := Problems()) == [ANNA]
    assert warned(problems) == [(kind, 1)]


def test_several_responses_are_rejected(tmp_path):
    record = {**ARGILLA["version 2, flat"], "ner.responses": [[SPAN], []]}
    del record["ner.responses.status"]
    read(write_file(tmp_path, "a.json", json.dumps([record])), problems := Problems())
    assert stopped(problems) == [(ProblemKind.SEVERAL_ANNOTATIONS, 1)]


def test_gliner(tmp_path):
    words = ["Anna", "Bell", "left", "Rome"]
    record = {"tokenized_text": words, "ner": [[3, 3, "place"], [0, 1, "person"]]}
    assert read(write_file(tmp_path, "a.json", json.dumps([record]))) == [
        (words, ["B-person", "I-person", "O", "B-place"])
    ]


@pytest.mark.parametrize(
    ("span", "kind"),
    [
        ([1, 4, "X"], ProblemKind.SPAN_OUTSIDE_TEXT),
        ([0, 1, "X"], ProblemKind.SPANS_OVERLAP),
        ([2, 2], ProblemKind.SPAN_FORM),
    ],
)
def test_gliner_spans_that_do_not_fit(tmp_path, span, kind):
    record = {"tokenized_text": ["Anna", "left", "Rome"], "ner": [[0, 0, "person"], span]}
    read(write_file(tmp_path, "a.json", json.dumps([record])), problems := Problems())
    assert stopped(problems) == [(kind, 1)]


# --- Nested results, identifiers, spaCy 2 -------------------------------------------------------


def test_results_in_nested_lists_are_read(tmp_path):
    span = {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]}
    result = [[{"type": "labels", "value": span}]]
    task = {"id": 1, "data": {"text": "Anna ran"}, "annotations": [{"result": result}]}
    path = write_file(tmp_path, "a.json", json.dumps([task]))
    assert read(path) == [(["Anna", "ran"], ["B-PER", "O"])]


def test_an_argilla_record_keeps_its_id(tmp_path):
    response = {"value": [{"start": 0, "end": 4, "label": "PER"}], "status": "submitted"}
    fields = {"id": "r1", "fields": {"text": "Anna ran"}, "responses": {"ner": [response]}}
    path = write_file(tmp_path, "a.json", json.dumps([fields]))
    (sentence,) = detect.read(path, ReadOptions(), Problems()).sentences
    assert sentence.record_id == "r1"


def spacy_document(*sentences: list[tuple[str, str]], **paragraph: object) -> str:
    tokens = [
        {"tokens": [{"id": i, "orth": w, "tag": "X", "ner": t} for i, (w, t) in enumerate(pairs)]}
        for pairs in sentences
    ]
    return json.dumps([{"id": 3, "paragraphs": [{"sentences": tokens, **paragraph}]}])


def test_the_json_of_spacy_2_is_read_sentence_by_sentence(tmp_path):
    content = spacy_document(
        [("Anna", "B-PER"), ("Smith", "L-PER"), ("ran", "O")], [("Rome", "U-LOC")], raw="..."
    )
    path = write_file(tmp_path, "a.json", content)
    assert read(path) == [
        (["Anna", "Smith", "ran"], ["B-PER", "L-PER", "O"]),
        (["Rome"], ["U-LOC"]),
    ]
    assert read(path, task="pos")[1] == (["Rome"], ["X"])


def test_sentences_of_spacy_2_without_annotation_are_left_out(tmp_path):
    path = write_file(tmp_path, "a.json", spacy_document([("Anna", "-")], [("Rome", "U-LOC")]))
    assert read(path, problems := Problems()) == [(["Rome"], ["U-LOC"])]
    assert [(g.kind, g.count) for g in problems.warnings.groups] == [(ProblemKind.NOT_ANNOTATED, 1)]


def test_the_json_of_spacy_with_spans_is_read_as_text(tmp_path):
    paragraph = {"raw": "Anna ran", "sentences": [{"tokens": []}], "entities": [[0, 4, "PER"]]}
    path = write_file(tmp_path, "a.json", json.dumps([{"id": 0, "paragraphs": [paragraph]}]))
    assert read(path) == [(["Anna", "ran"], ["B-PER", "O"])]


# --- Other tools --------------------------------------------------------------------------------

TEXT = "Anna slept"
OTHERS = {
    "lighttag": {"content": TEXT, "annotations": [{"start": 0, "end": 4, "tag": "PER"}]},
    "ubiai": {
        "documentName": "d1",
        "document": TEXT,
        "tokens": [{"text": "Anna", "start": 0, "end": 4, "entityLabel": "PER"}],
    },
    "vertex": {
        "textContent": TEXT,
        "textSegmentAnnotations": [{"startOffset": 0, "endOffset": 4, "displayName": "PER"}],
    },
    "dataturks": {
        "content": TEXT,
        "annotation": [{"label": ["PER"], "points": [{"start": 0, "end": 3, "text": "Anna"}]}],
    },
    "argilla 1": {"text": TEXT, "annotation": [["PER", 0, 4]], "status": "Validated"},
    "displacy": {"text": TEXT, "ents": [{"start": 0, "end": 4, "label": "PER"}], "title": None},
    "doccano": {"data": {"text": TEXT}, "label": [[0, 4, "PER"]]},
    "nested lists": {"data": {"tokens": ANNA[0], "ner_tags": ANNA[1]}},
    "a page": task(
        {
            "result": [
                {
                    "type": "hypertextlabels",
                    "value": {
                        "start": "/p[1]/text()[1]",
                        "globalOffsets": {"start": 0, "end": 4},
                        "text": "Anna",
                        "hypertextlabels": ["PER"],
                    },
                }
            ]
        }
    )
    | {"data": {"html": "<p>Anna slept</p>"}},
}


@pytest.mark.parametrize("name", OTHERS)
def test_records_of_other_tools(tmp_path, name):
    path = write_file(tmp_path, "a.jsonl", json.dumps(OTHERS[name]))
    assert read(path) == [ANNA]


def test_a_text_is_not_the_name_of_its_document(tmp_path):
    path = write_file(tmp_path, "a.jsonl", json.dumps(OTHERS["ubiai"]))
    opened = detect.read(path, ReadOptions(), Problems())
    assert [sentence.document for sentence in opened.sentences] == ["d1"]


def test_the_sentences_of_a_document_of_dygie(tmp_path):
    document = {
        "doc_key": "d1",
        "sentences": [["Anna", "slept"], ["in", "New", "York"]],
        "ner": [[[0, 0, "PER", 0.9]], [[3, 4, "LOC"]]],
    }
    path = write_file(tmp_path, "a.jsonl", json.dumps(document))
    assert read(path) == [ANNA, (["in", "New", "York"], ["O", "B-LOC", "I-LOC"])]
    document["ner"][1][0][0] = 1  # a span over two sentences
    read(write_file(tmp_path, "b.jsonl", json.dumps(document)), problems := Problems())
    assert stopped(problems) == [(ProblemKind.SPAN_OUTSIDE_TEXT, 1)]


def test_an_element_that_is_null_is_a_text_that_nobody_annotated(tmp_path):
    content = {"classes": ["PER"], "annotations": [[TEXT, {"entities": [[0, 4, "PER"]]}], None]}
    path = write_file(tmp_path, "a.json", json.dumps(content))
    assert read(path, problems := Problems()) == [ANNA]
    assert warned(problems) == [(ProblemKind.NOT_ANNOTATED, 1)] and not problems


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([{"answer": "accept"}, {"answer": "aceptado"}], 1),
        ([{"_input_hash": 1, "answer": "yes"}, {"_input_hash": 2, "answer": "accept"}], 1),
        ([{"answer": "accept"}, {"answer": 1}], 1),
        ([{"answer": "accept"}, {"answer": None}, {}], 0),
        ([{"answer": "Paris"}, {"answer": "Anna"}], 0),  # of a quiz
    ],
)
def test_answers_that_prodigy_does_not_give_are_problems(tmp_path, lines, count):
    content = "\n".join(
        json.dumps({"text": f"{TEXT} {number}", "spans": [[0, 4, "PER"]], **fields})
        for number, fields in enumerate(lines)
    )
    sentences = read(write_file(tmp_path, "a.jsonl", content), problems := Problems())
    assert stopped(problems) == ([(ProblemKind.UNKNOWN_ANSWER, count)] if count else [])
    assert len(sentences) == len(lines) - count


def test_spans_of_several_texts_are_a_problem(tmp_path):
    results = [{"type": "labels", "to_name": name, "value": PER} for name in ("text", "title")]
    content = json.dumps([task({"result": results}), task({"result": results[:1]})])
    read(write_file(tmp_path, "a.json", content), problems := Problems())
    assert (ProblemKind.SEVERAL_TEXTS, 1) in stopped(problems)


def test_paragraphs_keep_the_other_fields_of_their_record(tmp_path):
    data = {"dialogue": DIALOGUE, "doc_id": 7}
    spans = annotation(paragraph(0, 3, 7, "Anna"), kind="paragraphlabels")
    path = write_file(tmp_path, "a.json", json.dumps([{"data": data, "annotations": [spans]}]))
    opened = detect.read(path, ReadOptions(), Problems())
    assert [sentence.document for sentence in opened.sentences] == ["7", "7"]


def test_a_list_like_a_dialogue_does_not_replace_the_words(tmp_path):
    mentions = [{"text": "Anna", "author": "x"}]
    fields = {"tokens": ANNA[0], "ner_tags": ANNA[1], "mentions": mentions, "meta": {"a": 1}}
    assert read(write_file(tmp_path, "a.jsonl", json.dumps(fields))) == [ANNA]


def test_answers_of_a_feedback_dataset(tmp_path):
    value = [{"start": 0, "end": 4, "label": "PER"}]
    content = "\n".join(
        json.dumps(
            {
                "text": TEXT,
                "ner": [{"user_id": "u", "value": value, "status": status}],
                "ner-suggestion": None,
                "metadata": "{}",
            }
        )
        for status in ("submitted", "draft")
    )
    assert read(write_file(tmp_path, "a.jsonl", content), problems := Problems()) == [ANNA]
    assert warned(problems) == [(ProblemKind.NOT_ANNOTATED, 1)] and not problems


@pytest.mark.parametrize(
    "fields",
    [
        {"fields": {"text": TEXT}, "responses": {"ner": ["x"]}},
        {"fields": {"text": TEXT}, "responses": {"ner": 3}},
        {"text": TEXT, "ner.responses": "x"},
        {"text": TEXT, "ner.responses": [[]], "ner.responses.status": ["submitted", "draft"]},
        {"text": TEXT, "annotation": 3, "prediction": None},
        {"data": {"text": TEXT}, "annotations": 3, "predictions": []},
    ],
)
def test_answers_of_another_form_are_problems(tmp_path, fields):
    path = write_file(tmp_path, "a.jsonl", json.dumps(fields))
    assert read(path, problems := Problems()) == []
    assert stopped(problems)[0][0] in (ProblemKind.SPAN_FORM, ProblemKind.LABEL_FORM)
