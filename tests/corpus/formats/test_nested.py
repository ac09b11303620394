"""Documents whose texts or sentences are in a list, and lists that only resemble them."""

import json

import pytest

from corpus.formats import detect
from corpus.formats.sentence import ReadOptions
from corpus.problems import ProblemKind, Problems
from tests.helpers.corpus_files import read, write_file

ANNA = (["Anna", "slept"], ["B-PER", "O"])
ROME = (["Rome"], ["O"])
TEXTS = [
    {"text": "Anna slept", "entities": [{"start": 0, "end": 4, "label": "PER"}]},
    {"text": "Rome", "entities": []},
]
WORDS = [{"tokens": words, "ner_tags": tags} for words, tags in (ANNA, ROME)]


@pytest.mark.parametrize("parts", [TEXTS, WORDS])
@pytest.mark.parametrize("key", ["sentences", "documents", "data", "utterances"])
@pytest.mark.parametrize("indent", [None, 1])
def test_each_part_of_a_document_is_read(tmp_path, parts, key, indent):
    document = {"doc_id": "d", "labels": ["PER"], key: parts}
    path = write_file(tmp_path, "a.json", json.dumps(document, indent=indent))
    assert read(path) == [ANNA, ROME]


def test_parts_have_the_document_of_their_record(tmp_path):
    lines = [json.dumps({"doc_id": name, "sentences": TEXTS}) for name in "ab"]
    path = write_file(tmp_path, "a.jsonl", "\n".join(lines))
    sentences = list(detect.read(path, ReadOptions(), Problems()).sentences)
    assert [(s.document, s.lines[0]) for s in sentences] == [("a", 1), ("a", 1), ("b", 2), ("b", 2)]


@pytest.mark.parametrize("parts", [TEXTS, WORDS])
def test_records_by_their_identifier_are_read(tmp_path, parts):
    content = json.dumps(dict(zip(["a1", "b2"], parts, strict=True)))
    opened = detect.read(write_file(tmp_path, "a.json", content), ReadOptions(), Problems())
    sentences = list(opened.sentences)
    assert [(s.words, s.tags) for s in sentences] == [ANNA, ROME]
    assert [s.record_id for s in sentences] == ["a1", "b2"]


def test_two_lists_of_texts_are_not_one_document(tmp_path):
    path = write_file(tmp_path, "a.json", json.dumps({"train": TEXTS, "test": TEXTS}))
    assert read(path, problems := Problems()) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.NO_SUCH_COLUMN]


def test_comments_beside_an_annotated_text_are_not_its_parts(tmp_path):
    comment = {"text": "check this", "tags": ["a", "b"]}
    fields = {"data": "Anna slept", "label": [[0, 4, "PER"]], "comments": [comment]}
    assert read(write_file(tmp_path, "a.json", json.dumps(fields))) == [ANNA]


@pytest.mark.parametrize(
    "fields",
    [
        {"utterances": [{"text": "Anna ran", "entities": [{"entity": "PER", "startPos": 0}]}]},
        {"pieces": [{"text": "Anna"}, {"text": "Rome", "entity": "place"}]},
        {"items": [{"text": "Anna", "tag": "B-PER"}, {"text": "ran", "tag": "O"}]},
        {"content": "Anna ran", "mentions": [{"text": "Anna", "type": "PER", "from": 0, "to": 4}]},
    ],
    ids=["unknown spans", "pieces of a text", "tagged words", "mentions of a text"],
)
def test_annotation_that_cannot_be_read_is_not_a_dialogue_without_entities(tmp_path, fields):
    path = write_file(tmp_path, "a.json", json.dumps(fields))
    assert read(path, problems := Problems()) == []
    assert problems
