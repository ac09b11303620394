"""Lists written as text, in the notation of JSON, Python or numpy."""

import json

import pytest

from corpus.formats.cells import cell_value
from corpus.problems import Problems
from tests.helpers.corpus_files import read, write_file

EU = (["EU", "rejects"], ["B-ORG", "O"])


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("['EU' 'rejects']", ["EU", "rejects"]),
        ("['EU'\n 'it\\'s' \"x\"]", ["EU", "it's", "x"]),
        ("[3 0 12]", [3, 0, 12]),
        ("[]", []),
        ('["EU", "x"]', ["EU", "x"]),
        ("[(0, 2, 'ORG')]", [[0, 2, "ORG"]]),
        # Not values: they stay text.
        ("['a' 'b' ... 'c']", "['a' 'b' ... 'c']"),
        ("['a''b']", "['a''b']"),
        ("['EU' 'x', 'y']", "['EU' 'x', 'y']"),
        ("[sic]", "[sic]"),
        ("[3 x]", "[3 x]"),
    ],
)
def test_values_of_cells(cell, value):
    assert cell_value(cell) == value


def test_lists_that_numpy_printed_into_a_table_are_read(tmp_path):
    content = "tokens,ner_tags\n\"['EU' 'rejects']\",\"['B-ORG' 'O']\"\n"
    assert read(write_file(tmp_path, "a.csv", content)) == [EU]


def test_lists_in_strings_of_json_are_read(tmp_path):
    lines = [{"tokens": "['EU', 'rejects']", "ner_tags": "['B-ORG', 'O']"}] * 2
    content = "\n".join(map(json.dumps, lines))
    assert read(write_file(tmp_path, "a.jsonl", content)) == [EU, EU]
    text = json.dumps({"text": "EU rejects", "entities": "[[0, 2, 'ORG']]"})
    assert read(write_file(tmp_path, "b.jsonl", text)) == [EU]


def test_a_text_in_brackets_is_a_text(tmp_path):
    lines = [{"text": "[1]", "spans": []}, {"text": "EU rejects", "spans": [[0, 2, "ORG"]]}]
    content = "\n".join(map(json.dumps, lines))
    sentences = read(write_file(tmp_path, "a.jsonl", content), problems := Problems())
    assert not problems and sentences == [(["[", "1", "]"], ["O"] * 3), EU]
