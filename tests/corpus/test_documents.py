"""Documents of a split: from marks, ids and files."""

import json

import pytest

from corpus.documents import digest_of, document_numbers, has_neighbours
from corpus.load import load_corpus
from tests.helpers.corpora import numbered


def numbers_of(settings, split: str = "train") -> list[int]:
    return document_numbers(load_corpus(settings), split).tolist()


def records(*documents) -> str:
    """Return records of one word each, with their documents."""
    rows = (
        {"tokens": [f"w{number}"], "ner_tags": ["O"]} | ({} if doc is None else {"doc_id": doc})
        for number, doc in enumerate(documents)
    )
    return "\n".join(map(json.dumps, rows))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (numbered(6, 3), [0, 0, 1, 1, 2, 2]),
        (numbered(4, 0), [0, 1, 2, 3]),
        ("a O\n\nb O\n\n-DOCSTART- O\n\nc O\n\nd O\n", [0, 0, 1, 1]),  # a mark only between two
        ("-DOCSTART- O\n\n-DOCSTART- O\n\na O\n\nb O\n", [0, 0]),
        ("# newdoc id = x\na\tO\n\nb\tO\n\n# newdoc\nc\tO\n", [0, 0, 1]),
    ],
)
def test_documents_of_one_file_of_columns(content, expected, corpus_settings):
    assert numbers_of(corpus_settings(train_file=content, hold_out=False)) == expected


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (["x", "x", "y", "x"], [0, 0, 1, 2]),  # a document is a run of neighbours
        ([7, 7, 8], [0, 0, 1]),
        ([None, None, "x", "x", None, None], [0, 1, 2, 2, 3, 4]),
        ([None, None], [0, 1]),
    ],
)
def test_documents_of_records(documents, expected, tmp_path, corpus_settings):
    (tmp_path / "train.jsonl").write_text(records(*documents))
    settings = corpus_settings(train_file=[str(tmp_path / "train.jsonl")], hold_out=False)
    assert numbers_of(settings) == expected


def test_files_of_several_are_documents_unless_they_say_more(tmp_path, corpus_settings):
    contents = ["a O\n\nb O\n", numbered(4, 2), "c O\n\nd O\n\n-DOCSTART- O\n\ne O\n\nf O\n"]
    files = []
    for name, content in zip("xyz", contents, strict=True):
        files.append(str(tmp_path / f"{name}.conll"))
        (tmp_path / f"{name}.conll").write_text(content)
    expected = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    settings = corpus_settings(train_file=files, test_file=files[:1], hold_out=False)
    assert numbers_of(settings) == expected
    assert numbers_of(settings, "test") == [0, 1]  # one file may hold sentences of any origin
    assert numbers_of(corpus_settings(train_file=files, max_train_samples=3)) == [0, 0, 1]


def test_files_of_records_are_no_documents(tmp_path, corpus_settings):
    files = [str(tmp_path / name) for name in ("x.jsonl", "y.jsonl")]
    for file, documents in zip(files, ([None, None], ["d", "d"]), strict=True):
        with open(file, "w") as target:
            target.write(records(*documents))
    assert numbers_of(corpus_settings(train_file=files, hold_out=False)) == [0, 1, 2, 2]


def test_equal_ids_in_two_files_are_two_documents(tmp_path, corpus_settings):
    files = [str(tmp_path / name) for name in ("x.jsonl", "y.jsonl")]
    for file in files:
        with open(file, "w") as target:
            target.write(records("d", "d"))
    assert numbers_of(corpus_settings(train_file=files, hold_out=False)) == [0, 0, 1, 1]


def test_documents_of_many_batches(corpus_settings):
    """More than the 10,000 sentences that are read at a time."""
    corpus = load_corpus(corpus_settings(train_file=numbered(24_000, 3), hold_out=False))
    numbers = document_numbers(corpus, "train")
    assert numbers.tolist() == [0] * 8000 + [1] * 8000 + [2] * 8000
    assert has_neighbours(numbers)
    assert digest_of(numbers) != digest_of(numbers[:-1])


def test_sentences_alone_have_no_neighbours(corpus_settings):
    alone = load_corpus(corpus_settings(train_file=numbered(4, 4), hold_out=False))
    assert not has_neighbours(document_numbers(alone, "train"))
    assert not has_neighbours(document_numbers(alone, "train")[:0])
