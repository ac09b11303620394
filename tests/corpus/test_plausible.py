"""Layouts that fit a file by its form, but are not words and tags."""

import json
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.formats import detect
from corpus.formats.sentence import ReadOptions
from corpus.load import load_corpus
from corpus.plausible import plausible
from corpus.problems import ProblemKind, Problems
from support.errors import UserError
from tagging.input_lines import BrokenLines, Source
from tagging.inputs import read_items
from tests.helpers.broken_corpora import BrokenCorpus, check_broken_corpus, record

NUMBERS = range(40)
POS = {"task_name": "pos"}


def refused(name: str, content: str, place: str, **flags: str) -> BrokenCorpus:
    return BrokenCorpus(name, content, flags, [(ProblemKind.IMPLAUSIBLE, 1, [place])])


CASES = {
    "texts with a label": refused(
        "a.tsv", "".join(f"The film {n} was good\tB-POS\n" for n in NUMBERS), "a.tsv:1"
    ),
    "tags in place of words": refused(
        "a.tsv", "O\tin\tIN\nB-LOC\tNew\tNNP\nI-LOC\tYork\tNNP\n", "a.tsv:1"
    ),
    "JSON in place of tags": refused(
        "a.tsv", "".join(f'w{n}\t{{"id": {n}}}\n' for n in NUMBERS), "a.tsv:1"
    ),
    "JSON in place of words": refused(
        "a.jsonl",
        "".join(record(tokens=['{"a":1}'], ner_tags=["B-X"]) for _ in NUMBERS),
        "a.jsonl:1",
    ),
    "as many tags as words": refused(
        "a.tsv", "".join(f"w{n}\tt{n}\n" for n in NUMBERS), "a.tsv:1", **POS
    ),
    "lemmas in place of tags": refused(
        "a.tsv", "Dogs\tdog\nbark\tbark\nin\tin\nthe\tthe\n", "a.tsv:1", **POS
    ),
    "numbers in place of words": refused(
        "a.tsv", "".join(f"{n}\tB-X\n{n}\tO\n\n" for n in NUMBERS), "a.tsv:1"
    ),
    "texts in lists": refused(
        "a.jsonl",
        "".join(record(tokens=["The film was good"], ner_tags=["B-POS"]) for _ in NUMBERS),
        "a.jsonl:1",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_refused(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)


def items(path: Path) -> list[list[str]]:
    options, problems = ReadOptions(), BrokenLines(skip=False)
    return [
        [word for word, _, _ in item.words or []]
        for item in read_items(Source(str(path)), "conll", "line", options, problems)
    ]


def test_an_input_to_tag_is_checked_as_well(tmp_path, snapshot):
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{n}\tAnna works in Paris\n" for n in NUMBERS))
    with pytest.raises(UserError) as error:
        items(path)
    assert str(error.value).replace(str(tmp_path), "<folder>") == snapshot


def test_an_input_to_tag_needs_no_tags(tmp_path, capsys):
    path = tmp_path / "a.conllu"
    path.write_text("1\tAnna\tAnna\tPROPN\t_\t_\t0\troot\t_\t_\n")
    assert items(path) == [["Anna"]]
    path.write_text("O\tin\nB-LOC\tParis\n")
    assert items(path) == [["in", "Paris"]]
    assert "so the words are in column 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "rows",
    [
        [["x", "y"], ["O", "B-X"]],  # too few words to judge
        [["New York", "in", "Hanoi", "Hà Nội"], ["B-X", "O", "B-X", "B-X"]],  # half have a blank
        [["[", "1", "]", "{", "}"], ["O", "O", "O", "O", "O"]],
    ],
)
def test_unusual_words_are_accepted(corpus_settings, tmp_path, rows):
    words, tags = rows
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": words, "ner_tags": tags}) + "\n")
    corpus = load_corpus(corpus_settings(train_file=(str(path),), hold_out=False))
    assert corpus.splits["train"]["tokens"][:] == [words]


def test_a_requested_column_may_hold_as_many_tags_as_words(corpus_settings, tmp_path):
    """Lemmas, for example, are learned if the user asks for them."""
    path = tmp_path / "a.tsv"
    path.write_text("form\tlemma\tupos\n" + "".join(f"Dogs{n}\tdog{n}\tN\n\n" for n in NUMBERS))
    flags = {"train_file": (str(path),), "hold_out": False, **POS}
    corpus = load_corpus(corpus_settings(**flags, label_column_name="lemma"))
    assert set(corpus.label_names) == {f"dog{n}" for n in NUMBERS}


@pytest.mark.parametrize("form", ["en:{}", "zh/{}", "{}0"])
def test_words_that_share_a_prefix_or_end_in_a_number_are_not_words(tmp_path, snapshot, form):
    words = [form.format(letters) for letters in ("am", "see", "go", "Rome", "Paris")] * 8
    rows = "".join(f"{word}\tB-LOC\n{word}\tO\n\n" for word in words)
    check_broken_corpus(refused("a.tsv", rows, "a.tsv:1"), tmp_path, snapshot)


SUB_WORDS = {
    "WordPiece": ["[CLS]", "An", "##na", "ran", "[SEP]"],
    "SentencePiece": ["\u2581An", "na", "\u2581ran"],
    "byte-level BPE": ["\u0120Anna", "\u0120r", "an"],
}


@pytest.mark.parametrize("tokenizer", SUB_WORDS)
def test_sub_words_are_not_words(tmp_path, snapshot, tokenizer):
    words = SUB_WORDS[tokenizer]
    content = record(tokens=words, ner_tags=["B-X", *["O"] * (len(words) - 1)]) * 4
    check_broken_corpus(refused("a.jsonl", content, "a.jsonl:1"), tmp_path, snapshot)


def items_of(path: Path, *, skip: bool = False) -> tuple[list[str], BrokenLines]:
    problems = BrokenLines(skip=skip, verbose=False)
    items = read_items(Source(str(path)), "auto", "line", ReadOptions(needs_labels=False), problems)
    return [item.text for item in items], problems


@pytest.mark.parametrize(
    "words", [["Anna left home", "Bob came back", "x"], ['{"a": 1}', '["b"]', '{"c": 1}']]
)
def test_lists_of_texts_or_json_are_not_words_to_tag(tmp_path, words):
    path = tmp_path / "a.jsonl"
    path.write_text(record(tokens=words) * 3)
    with pytest.raises(UserError, match="not words and tags"):
        items_of(path)
    path.write_text(record(tokens=["Anna", "left", "New York"]) * 3)
    assert items_of(path)[0] == ["Anna left New York"] * 3


def test_some_words_that_end_in_a_number_are_words(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"CO2\tB-X\nfell{'' if n % 9 else n}\tO\n\n" for n in NUMBERS))
    problems = Problems()
    opened = plausible(detect.read(path, ReadOptions(), problems), str(path), problems)
    assert len(list(opened.sentences)) == len(NUMBERS) and not problems
