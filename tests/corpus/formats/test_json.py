"""JSON Lines, arrays and objects, whole and broken."""

import json
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.formats.text import CHUNK_SIZE
from corpus.problems import ProblemKind
from tests.helpers.broken_corpora import TOKENS, BrokenCorpus, check_broken_corpus, record
from tests.helpers.corpus_files import read, records, write_file


def test_a_large_array_is_read_in_pieces(tmp_path):
    sentences = (
        [(["word" * 50], ["O"])] * 2000 + [(["x" * 3 * CHUNK_SIZE], ["B-X"])] + [(["y"], ["O"])]
    )
    assert read(write_file(tmp_path, "a.json", json.dumps(records(sentences)))) == sentences


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
