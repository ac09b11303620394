"""The text between the words of a sentence, read back from the corpus."""

import json

import pytest

from corpus.problems import Place
from results.original_text import OriginalTexts

RECORDS = [
    {"id": 1, "data": {"text": "Isn't  it\nso?"}, "label": [[0, 5, "X"]]},
    {"id": 2, "tokens": ["a", "b"], "note": "ab"},
    {"id": 3, "text": "x (y) [z]* x"},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, RECORDS)), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("line", "words", "expected"),
    [
        (1, ["Is", "n't", "it", "so", "?"], ["", "  ", "\n", "", ""]),
        (1, ["it", "so"], ["\n", ""]),
        (3, ["(", "y", ")", "[", "z", "]", "*"], ["", "", " ", "", "", "", ""]),
        (2, ["a", "b"], ["", ""]),
        (1, ["other", "words"], [" ", " "]),
        (1, ["it"], [" "]),
        (4, ["it", "so"], [" ", " "]),
        (None, ["it", "so"], [" ", " "]),
    ],
)
def test_the_text_between_words_is_that_of_the_record(file, line, words, expected):
    place = Place(file, line)
    assert OriginalTexts([place, None]).between(place, words) == expected


@pytest.mark.parametrize(
    "content", [b"", b"a O\nb O\n", b"{broken\n", b"\xff\xfe{}\n", b"[" * 5000]
)
def test_other_layouts_and_splits_have_a_space_between_words(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    for place in (Place(str(path), 1), Place("train", 1), Place(str(tmp_path), 1), None):
        assert OriginalTexts([place]).between(place, ["a", "b"]) == [" ", " "]
