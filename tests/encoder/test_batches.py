"""Splits as windows, windows as batches: the course's batch, transformers' collator, caches."""

import pytest
import torch
from datasets import Dataset, DatasetDict
from transformers import DataCollatorForTokenClassification

import common
from encoder import batches
from encoder.batches import encode_corpus, encode_split
from encoder.collate import PadBatch
from encoder.tokenizer import load_tokenizer
from settings.run_settings import WindowSettings
from tests.helpers.models import ENTITY_LABELS
from tests.helpers.sub_words import (
    COURSE_VOCABULARY,
    corpus_of,
    course_windows,
    labelled,
    letters_tokenizer,
    rows_of,
    split_of,
    word_piece_tokenizer,
)

# --- Padding --------------------------------------------------------------------------------


def test_course_batch():
    batch = PadBatch(word_piece_tokenizer(COURSE_VOCABULARY))(rows_of(course_windows()))
    assert batch["labels"].tolist() == [
        [-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100],
        [-100, 1, 2, -100, -100, -100, -100, -100, -100, -100, -100, -100],
    ]
    assert batch["attention_mask"].tolist() == [[1] * 12, [1] * 4 + [0] * 8]
    assert batch["input_ids"].tolist() == [
        [2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 3],
        [2, 14, 15, 3] + [0] * 8,
    ]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("multiple_of", [1, 8, 5])
def test_batch_equals_transformers_collator(side, multiple_of):
    """Pads on the right whatever the tokenizer's side: positions must not depend on the batch."""
    tokenizer = word_piece_tokenizer(COURSE_VOCABULARY, padding_side=side)
    rows = rows_of(course_windows(tokenizer))
    batch = PadBatch(tokenizer, multiple_of=multiple_of)(rows)
    tokenizer.padding_side = "right"
    names = ("input_ids", "token_type_ids", "labels")
    theirs = DataCollatorForTokenClassification(
        tokenizer, pad_to_multiple_of=multiple_of if multiple_of > 1 else None
    )([{name: row[name] for name in names} for row in rows])
    assert set(batch) == set(theirs) == {*names, "attention_mask"}
    for name, values in theirs.items():
        assert batch[name].dtype == values.dtype == torch.int64
        assert batch[name].tolist() == values.tolist(), name


def test_batch_of_fixed_length():
    batch = PadBatch(word_piece_tokenizer(COURSE_VOCABULARY), length=20)(rows_of(course_windows()))
    assert {tuple(values.shape) for values in batch.values()} == {(2, 20)}
    assert batch["attention_mask"].sum(1).tolist() == [12, 4]
    assert batch["labels"][:, 12:].eq(-100).all()


@pytest.mark.parametrize("options", [{"multiple_of": 8}, {"length": 20}])
def test_windows_of_one_length_are_not_padded_if_padding_leaks(options):
    collate = PadBatch(word_piece_tokenizer(COURSE_VOCABULARY), padding_leaks=True, **options)
    first, second = rows_of(course_windows())
    assert collate([second, second])["input_ids"].shape == (2, 4)
    assert collate([first])["attention_mask"].tolist() == [[1] * 12]
    assert collate([first, second])["input_ids"].shape == (
        2,
        16 if "multiple_of" in options else 20,
    )


def test_batch_pads_with_the_tokenizers_own_ids():
    tokenizer = word_piece_tokenizer(["[UNK]", "[CLS]", "[SEP]", "Peter", "[PAD]"])
    tokenizer._pad_token_type_id = 3  # as XLNet's
    columns = common.tokenize_and_align_labels(
        {"tokens": [["Peter", "Peter"], ["Peter"]], "labels": [[0, 0], [0]]},
        tokenizer, 512, None, [0, 2],
    )  # fmt: skip
    batch = PadBatch(tokenizer)(rows_of(columns))
    assert batch["input_ids"].tolist() == [[1, 3, 3, 2], [1, 3, 2, 4]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0], [0, 0, 0, 3]]
    assert batch["word_index"].tolist() == [[-100, 0, 1, -100], [-100, 2, -100, -100]]


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
    windows = encode_corpus(corpus, tokenizer, 16, WindowSettings())
    assert set(windows) == {"train", "validation", "test"}
    assert windows["train"][0]["labels"] == [-100, 1, 2, 0, 0, 5, 6, 0, -100]  # la ##mb
    assert "word_index" not in windows["train"][0]
    assert windows["validation"][0]["labels"] == [-100, 1, 2, 0, 0, 5, -100, 0, -100]
    assert windows["validation"][1]["word_index"] == [-100, 6, -100]
    assert windows["test"][0]["word_index"] == [-100, 0, -100]
    windows = encode_corpus(corpus, tokenizer, 64, WindowSettings(label_all_tokens=False))
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
    assert encodes(label_all_tokens=False)
    larger = load_tokenizer(str(tiny_encoder))
    larger.add_tokens(["Smith-Jones"])
    assert encodes(tokenizer=larger)
    corpus.fingerprint = "other"
    assert encodes()
    monkeypatch.setattr(batches, "ENCODING", batches.ENCODING + 1)
    assert encodes()
