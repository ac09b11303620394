"""Splits as windows: words and labels, fillers, caches."""

import pytest
from datasets import Dataset, DatasetDict

from encoder import batches
from encoder.batches import encode_corpus, encode_split
from encoder.tokenizer import load_tokenizer
from settings.run_settings import WindowSettings
from tests.helpers.models import ENTITY_LABELS
from tests.helpers.sub_words import (
    corpus_of,
    labelled,
    letters_tokenizer,
    split_of,
)

# --- Splits of a corpus ---------------------------------------------------------------------


def test_encoded_split_counts_words_and_cuts():
    sentences = [list("abc"), [], list("abcdefghij"), ["a", "", "b"], ["\u0000"]]
    split = split_of(sentences, [[1] * len(s) for s in sentences])
    windows = encode_split(split, letters_tokenizer(), 8, None, True, "key-1")
    assert len(windows) == 4
    assert windows.num_words == 17
    assert windows.words_with_subwords == 15
    assert windows.sentences_cut == 1
    assert windows.lengths.tolist() == [5, 8, 7, 4]
    words = labelled([windows[i]["word_index"] for i in range(len(windows))])
    assert words == [0, 1, 2, *range(3, 13), 13, 15]


def test_encoded_split_of_many_batches_numbers_words_consecutively(tmp_path):
    """More than the 1000 sentences that `map` takes at a time, from a file as real corpora are."""
    sentences = [["a"] * (1 + i % 3) for i in range(2500)]
    split_of(sentences, [[0] * len(s) for s in sentences]).save_to_disk(str(tmp_path / "split"))
    split = Dataset.load_from_disk(str(tmp_path / "split"))
    windows = encode_split(split, letters_tokenizer(), 16, None, True, "0123456789abcdef")
    words = labelled([row["word_index"] for row in windows.__getitems__(list(range(2500)))])
    assert words == list(range(sum(map(len, sentences))))


def test_split_without_labels_is_encoded_for_prediction():
    windows = encode_split(
        split_of([list("ab"), list("c")]), letters_tokenizer(), 8, None, True, "key-2"
    )
    assert windows[0]["labels"] == [-100] * 4
    assert windows[0]["word_index"] == [-100, 0, 1, -100]


@pytest.mark.parametrize("sentences", [[], [[]], [["\u0000", ""], [""]]])
@pytest.mark.parametrize("evaluate", [True, False])
def test_split_without_a_subword_gives_an_empty_set(sentences, evaluate):
    from datasets import Features, List, Value

    split = Dataset.from_dict(
        {"tokens": sentences, "labels": [[0] * len(s) for s in sentences]},
        features=Features({"tokens": List(Value("string")), "labels": List(Value("int64"))}),
    )
    windows = encode_split(split, letters_tokenizer(), 8, None, evaluate, "key-3")
    assert len(windows) == 0
    assert windows.words_with_subwords == 0
    assert windows.num_words == sum(map(len, sentences))


@pytest.mark.parametrize("evaluate", [True, False])
def test_filler_changes_nothing(evaluate):
    sentences = [list("abcd"), ["a"], list("abc")]
    split = split_of(sentences, [[1] * len(s) for s in sentences])
    windows = encode_split(split, letters_tokenizer(), 8, None, evaluate, f"f{evaluate}")
    filler = windows[len(windows)]
    assert filler["input_ids"] == windows[1]["input_ids"]  # the shortest
    assert set(filler["labels"]) == {-100}
    assert set(filler.get("word_index", [-100])) == {-100}
    assert set(windows[1]["labels"]) == {-100, 1}  # the window that it was made of keeps its own
    together = windows.__getitems__([3, 0, 3, 2])
    assert together == [windows[3], windows[0], windows[3], windows[2]]
    assert windows.__getitems__([3, 3]) == [filler, filler]
    for number in range(3):  # the filler of each window has its length
        filler = windows[4 + number]
        assert filler["input_ids"] == windows[number]["input_ids"]
        assert set(filler["labels"]) == {-100}
        assert set(filler.get("word_index", [-100])) == {-100}
    assert windows.__getitems__([6, 2]) == [windows[6], windows[2]]


# --- Whole corpora --------------------------------------------------------------------------


SENTENCES = [
    (["Anna", "Smith", "went", "to", "lamb", "."], [1, 2, 0, 0, 5, 0]),
    (["EU"], [3]),
]


def test_corpus_is_encoded_for_training_and_for_evaluation(tiny_encoder):
    corpus = corpus_of(ENTITY_LABELS, train=SENTENCES, validation=SENTENCES, test=SENTENCES[1:])
    tokenizer = load_tokenizer(str(tiny_encoder))
    windows = encode_corpus(corpus, tokenizer, 16, WindowSettings(label_all_tokens=True))
    assert set(windows) == {"train", "validation", "test"}
    assert windows["train"][0]["labels"] == [-100, 1, 2, 0, 0, 5, 6, 0, -100]  # la ##mb
    assert "word_index" not in windows["train"][0]
    assert windows["validation"][0]["labels"] == [-100, 1, 2, 0, 0, 5, -100, 0, -100]
    assert windows["validation"][1]["word_index"] == [-100, 6, -100]
    assert windows["test"][0]["word_index"] == [-100, 0, -100]
    windows = encode_corpus(corpus, tokenizer, 64, WindowSettings())
    assert windows["train"][0]["labels"] == [-100, 1, 2, 0, 0, 5, -100, 0, -100]


def test_encoded_corpus_is_cached_by_all_that_it_depends_on(tiny_encoder, tmp_path, monkeypatch):
    corpus = corpus_of(ENTITY_LABELS, train=SENTENCES)
    corpus.splits.save_to_disk(str(tmp_path / "corpus"))
    corpus.splits = DatasetDict.load_from_disk(str(tmp_path / "corpus"))
    tokenizer = load_tokenizer(str(tiny_encoder))
    calls = []
    encode = batches.tokenize_and_align_labels
    monkeypatch.setattr(
        batches, "tokenize_and_align_labels", lambda *a: calls.append(a) or encode(*a)
    )

    def encodes(tokenizer=tokenizer, max_length=64, **options) -> bool:
        calls.clear()
        encode_corpus(corpus, tokenizer, max_length, WindowSettings(**options))
        return bool(calls)

    assert encodes()
    assert not encodes()
    assert not encodes(tokenizer=load_tokenizer(str(tiny_encoder)))
    assert encodes(overwrite_cache=True)
    assert encodes(max_length=16)
    assert encodes(label_all_tokens=True)
    larger = load_tokenizer(str(tiny_encoder))
    larger.add_tokens(["Smith-Jones"])
    assert encodes(tokenizer=larger)
    corpus.fingerprint = "other"
    assert encodes()
    monkeypatch.setattr(batches, "ENCODING", batches.ENCODING + 1)
    assert encodes()


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "unsealed"])
def test_a_damaged_cached_split_is_encoded_again(damage, tmp_path):
    sentences = [list("abc"), list("de")]
    split_of(sentences, [[1] * len(s) for s in sentences]).save_to_disk(str(tmp_path / "split"))
    split = Dataset.load_from_disk(str(tmp_path / "split"))

    def encoded() -> list[dict]:
        windows = encode_split(split, letters_tokenizer(), 8, None, True, "0123456789abcdef")
        return [windows[number] for number in range(len(windows))]

    whole = encoded()
    (file,) = (tmp_path / "split").glob("cache-*.arrow")
    written = file.stat().st_mtime_ns
    assert encoded() == whole
    assert file.stat().st_mtime_ns == written  # it was read again
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[content.index((2).to_bytes(8, "little"), len(content) // 2)] ^= 1
    elif damage == "unsealed":
        file.with_suffix(".blake2b").unlink()
    else:
        del content[len(content) // 2 if damage == "truncated" else 0 :]
    file.unlink()  # the first windows are still mapped
    file.write_bytes(content)
    assert encoded() == whole
    assert file.stat().st_mtime_ns != written
    assert encoded() == whole


def test_encoded_corpus_is_cached_by_its_context_and_documents(tiny_encoder, tmp_path):
    """The fingerprint of a corpus covers words and labels alone."""
    corpus = corpus_of(ENTITY_LABELS, train=SENTENCES)
    tokenizer = load_tokenizer(str(tiny_encoder))
    corpus.splits.save_to_disk(str(tmp_path / "corpus"))
    plain = DatasetDict.load_from_disk(str(tmp_path / "corpus"))

    def shown(documents: list[str], context: int) -> list[int]:
        """Return the number of sub-words that the windows show."""
        rows = plain["train"].add_column("doc_id", documents)
        corpus.splits = DatasetDict({"train": rows})
        windows = encode_corpus(corpus, tokenizer, 16, WindowSettings(), context)
        return windows["train"].lengths.tolist()

    assert shown(["d", "d"], 0) == [9, 3]  # la ##mb, [CLS] and [SEP]
    assert shown(["d", "d"], 4) == [10, 7]
    assert shown(["d", "e"], 4) == [9, 3]
    assert shown(["d", "d"], 2) == [10, 5]
    assert shown(["d", "d"], 4) == [10, 7]
