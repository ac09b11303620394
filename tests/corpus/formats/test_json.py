"""JSON Lines, arrays and objects, whole and broken."""

import json
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.formats.text import CHUNK_SIZE
from corpus.problems import ProblemKind, Problems
from tests.helpers.broken_corpora import TOKENS, BrokenCorpus, check_broken_corpus, record
from tests.helpers.corpus_files import read, records, write_file


def test_a_large_array_is_read_in_pieces(tmp_path):
    sentences = (
        [(["word" * 50], ["O"])] * 2000 + [(["x" * 3 * CHUNK_SIZE], ["B-X"])] + [(["y"], ["O"])]
    )
    assert read(write_file(tmp_path, "a.json", json.dumps(records(sentences)))) == sentences


SPANS = [{"start": 0, "end": 4, "label": "PER"}]


@pytest.mark.parametrize(
    "record",
    [
        {"annotations": SPANS, "text": "Anna ran"},
        {"id": 1, "annotations": [[0, 4, "PER"]], "text": "Anna ran"},
        {"annotations": [{"id": 1, "result": [{"value": SPANS[0]}]}], "data": {"text": "Anna ran"}},
    ],
    ids=["objects", "lists", "a task of Label Studio"],
)
@pytest.mark.parametrize("form", ["one line", "two lines", "indented"])
def test_annotations_before_their_text_are_not_records(tmp_path, record, form):
    text = json.dumps(record, indent=1 if form == "indented" else None)
    path = write_file(tmp_path, "a.json", f"{text}\n{text}" if form == "two lines" else text)
    count = 2 if form == "two lines" else 1
    assert read(path) == [(["Anna", "ran"], ["B-PER", "O"])] * count


def test_a_record_with_a_place_of_its_own_is_not_an_annotation(tmp_path):
    content = {"data": [{"start": 7, "end": 15, "text": "Anna ran", "spans": [[0, 4, "PER"]]}]}
    path = write_file(tmp_path, "a.json", json.dumps(content))
    assert read(path) == [(["Anna", "ran"], ["B-PER", "O"])]


def test_a_sentence_of_two_objects_is_not_a_text_with_its_annotation(tmp_path):
    """Stanza writes lists of words, which look like spaCy's [text, annotation]."""
    words = [{"text": "Anna", "ner": "S-PER"}, {"text": "ran", "ner": "O"}]
    path = write_file(tmp_path, "a.json", json.dumps([words]))
    assert read(path, problems := Problems()) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.NOT_JSON_OBJECT]


def test_a_large_record_after_a_key_like_that_of_an_array(tmp_path):
    text = "Anna " + "ran " * CHUNK_SIZE
    spans = [{"start": 0, "end": 4, "label": "PER"}]
    path = write_file(
        tmp_path, "a.json", json.dumps({"data": [{"content": text, "annotations": spans}]})
    )
    ((words, tags),) = read(path)
    assert (len(words), tags[:2]) == (CHUNK_SIZE + 1, ["B-PER", "O"])


CASES = {
    "a line that is not JSON": BrokenCorpus(
        "a.jsonl",
        TOKENS + "{'tokens': ['EU'], 'ner_tags': ['O']}\n",
        {},
        [(ProblemKind.NOT_JSON, 1, ["a.jsonl:2"])],
    ),
    "a truncated line": BrokenCorpus(
        "a.jsonl", TOKENS + '{"tokens": ["EU"', {}, [(ProblemKind.NOT_JSON, 1, ["a.jsonl:2"])]
    ),
    "a first line that is not JSON": BrokenCorpus(
        "a.jsonl", "{tokens}\n" + TOKENS, {}, [(ProblemKind.NOT_JSON, 1, ["a.jsonl:1"])]
    ),
    "a number instead of an object": BrokenCorpus(
        "a.jsonl", TOKENS + "12\n", {}, [(ProblemKind.NOT_JSON_OBJECT, 1, ["a.jsonl:2"])]
    ),
    "a truncated array": BrokenCorpus(
        "a.json", "[" + TOKENS + "," + TOKENS, {}, [(ProblemKind.NOT_JSON, 1, ["a.json:3"])]
    ),
    "an array without a comma": BrokenCorpus(
        "a.json",
        "[" + TOKENS + record(tokens=[], ner_tags=[]) + "]",
        {},
        [(ProblemKind.NOT_JSON, 1, ["a.json:2"])],
    ),
    "an element of an array that is not JSON": BrokenCorpus(
        "a.json", "[" + TOKENS + ",\n{'tokens': []}]", {}, [(ProblemKind.NOT_JSON, 1, ["a.json:3"])]
    ),
    "text after an array": BrokenCorpus(
        "a.json", "[" + TOKENS + "]\n[]", {}, [(ProblemKind.NOT_JSON, 1, ["a.json:3"])]
    ),
    "an empty array": BrokenCorpus("a.json", "[]", {}, [(ProblemKind.NO_SENTENCE, 1, ["a.json"])]),
    "a truncated object over several lines": BrokenCorpus(
        "a.json",
        '{\n"tokens": ["EU"],\n"ner_tags": ["O"]\n',
        {},
        [(ProblemKind.NOT_JSON, 1, ["a.json:1"])],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)
