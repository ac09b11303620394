"""Words, sub-words and windows: the course's rows, tables by hand, properties."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import common
from encoder.batches import encode_split
from encoder.collate import JoinWindows, PadBatch
from scoring.scores import compute_metrics
from scoring.word_predictions import WordPredictions
from tests.helpers.sub_words import (
    COURSE_LABELS,
    COURSE_VOCABULARY,
    FIRST_LABELS,
    FIRST_ROW,
    labelled,
    letters_tokenizer,
    split_of,
    word_piece_tokenizer,
)

# --- The course's printed outputs -----------------------------------------------------------


def test_course_word_ids():
    tokenizer = word_piece_tokenizer(COURSE_VOCABULARY)
    ((sentence, columns, owned),) = common.encode([FIRST_ROW], tokenizer, 512)
    assert sentence == 0
    assert tokenizer.convert_ids_to_tokens(columns["input_ids"]) == (
        ["[CLS]", *FIRST_ROW[:7], "la", "##mb", ".", "[SEP]"]
    )
    assert owned == [None, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8, None]


def test_course_alignment():
    word_ids = [None, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8, None]
    inside = common.inside_labels(COURSE_LABELS)
    assert common.align_labels_with_tokens(FIRST_LABELS, word_ids, inside) == (
        [-100, 3, 0, 7, 0, 0, 0, 7, 0, 0, 0, -100]
    )
    first_only = [-100, 3, 0, 7, 0, 0, 0, 7, 0, -100, 0, -100]
    assert common.align_labels_with_tokens(FIRST_LABELS, word_ids) == first_only


# --- Labels by name -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "inside"),
    [
        # CoNLL-2003's order, where the course's parity happens to hold.
        (COURSE_LABELS, [0, 2, 2, 4, 4, 6, 6, 8, 8]),
        # By type within prefix, as sorting gives it, and O in the middle.
        (["B-LOC", "B-PER", "I-LOC", "I-PER", "O"], [2, 3, 2, 3, 4]),
        (["I-PER", "O", "B-PER"], [0, 1, 0]),
        # Types with hyphens, with a prefix's name in them, and one that is part of another.
        (["O", "B-SUB-X", "I-SUB-X", "B-X", "I-X"], [0, 2, 2, 4, 4]),
        (["O", "B-SUB-B-X", "I-SUB-B-X", "I-SUB-I-X"], [0, 2, 2, 3]),
        # There is no I-X: no label is right for a word's later sub-words.
        (["O", "B-X", "B-Y", "I-Y"], [0, -100, 3, 3]),
        # Parts of speech continue as themselves.
        (["NOUN", "VERB", "ADJ", "X"], [0, 1, 2, 3]),
        # So do plain tags of which some look like entity tags.
        (["B-X", "I-X", "NN"], [0, 1, 2]),
    ],
)
def test_inside_labels(names, inside):
    assert common.inside_labels(names) == inside


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (COURSE_LABELS, True),
        (["O", "I-LOC"], True),
        (["O", "S-LOC", "E-LOC", "U-LOC", "L-LOC", "M-LOC"], True),
        (["O", "B-SUB-X"], True),
        (["NOUN", "VERB"], False),
        (["O", "B-LOC", "NOUN"], False),
        (["O", "B-"], False),
        (["O", "B"], False),
        (["o", "b-loc"], False),
        (["-LRB-", "NN", ":"], False),
    ],
)
def test_entity_tags_are_distinguished_from_plain_tags(names, expected):
    assert common.are_entity_tags(names) is expected


@pytest.mark.parametrize(
    ("labels", "word_ids", "all_tokens", "first_only"),
    [
        ([], [None, None], [-100, -100], [-100, -100]),
        # The second word of an entity continues it with all its sub-words.
        ([1, 2], [None, 0, 0, 1, 1], [-100, 1, 2, 2, 2], [-100, 1, -100, 2, -100]),
        # Two entities side by side stay two.
        ([1, 1], [0, 0, 1, 1], [1, 2, 1, 2], [1, -100, 1, -100]),
        # Word 1 is empty, or a control character: it has no sub-word.
        ([1, 0, 2], [None, 0, 2, 2, None], [-100, 1, 2, 2, -100], [-100, 1, 2, -100, -100]),
        # A window that owns only the middle of what it shows.
        ([1, 2, 0], [None, None, 1, None], [-100, -100, 2, -100], [-100, -100, 2, -100]),
    ],
)
def test_alignment_by_hand(labels, word_ids, all_tokens, first_only):
    inside = common.inside_labels(["O", "B-SUB-X", "I-SUB-X"])
    assert common.align_labels_with_tokens(labels, word_ids, inside) == all_tokens
    assert common.align_labels_with_tokens(labels, word_ids) == first_only


def test_words_without_subwords_shift_no_label():
    words = ["ab", "", "\u0000", "c", "\u200b", "de", "\n"]
    examples = {"tokens": [words], "labels": [[1, 0, 0, 2, 0, 1, 2]]}
    inside = common.inside_labels(["O", "B-X", "I-X"])
    train = common.tokenize_and_align_labels(examples, letters_tokenizer(), 512, inside, None)
    assert train["labels"] == [[-100, 1, 2, 2, 1, 2, -100]]
    evaluate = common.tokenize_and_align_labels(examples, letters_tokenizer(), 512, inside, [100])
    assert evaluate["labels"] == [[-100, 1, -100, 2, 1, -100, -100]]
    assert evaluate["word_index"] == [[-100, 100, -100, 103, 105, -100, -100]]
    assert evaluate["words"] == [3]


def test_a_sentence_without_subwords_gives_no_window():
    examples = {"tokens": [["a"], [], ["\u0000", ""], ["b"]], "labels": [[1], [], [0, 0], [2]]}
    for tokenizer in (letters_tokenizer(), letters_tokenizer(specials=False)):
        columns = common.tokenize_and_align_labels(examples, tokenizer, 8, None, [0, 1, 1, 3])
        words = [[i for i in row if i != -100] for row in columns["word_index"]]
        assert words == [[0], [3]]


def test_words_that_are_special_tokens_stay_words():
    words = ["a", "[SEP]", "b", "[CLS]", "[SEP]"]
    ((_, _, owned),) = common.encode([words], letters_tokenizer(), 512)
    assert owned == [None, 0, 1, 2, 3, 4, None]
    parts = [owned for _, _, owned in common.encode([words], letters_tokenizer(), 4)]
    assert sorted(w for part in parts for w in part if w is not None) == [0, 1, 2, 3, 4]


def test_truncation_and_padding_of_the_tokenizer_file_are_ignored():
    tokenizer = letters_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=16)
    ((_, columns, owned),) = common.encode([["abc", "def"]], tokenizer, 512)
    assert owned == [None, 0, 0, 0, 1, 1, 1, None]
    assert len(columns["input_ids"]) == 8


# --- Windows, by hand -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word_ids", "max_length", "windows"),
    [
        ([None, None], 8, []),
        ([], 8, []),
        ([None, 0, 1, None], 8, [(1, 3, 0, 1)]),
        ([None, 0, 1, 2, None], 5, [(1, 4, 0, 2)]),
        # Room for 6: both windows show word 5 at an edge; the first owns it.
        ([None, *range(10), None], 8, [(1, 7, 0, 5), (6, 11, 6, 9)]),
        # Room for 8, a quarter is 2: shared words 6 and 7 each go where they are not at an edge.
        ([None, *range(14), None], 10, [(1, 9, 0, 6), (7, 15, 7, 13)]),
        # No special tokens; words of 1, 3, 1, 4 and 1 sub-words, room for 5.
        ([0, 1, 1, 1, 2, 3, 3, 3, 3, 4], 5, [(0, 5, 0, 2), (4, 9, 3, 3), (5, 10, 4, 4)]),
        # A word of 6 in windows of 3: the window with most of it owns it; none shows its end.
        ([None, 0, 1, 1, 1, 1, 1, 1, 2, None], 5, [(1, 4, 0, 0), (2, 5, 1, 1), (8, 9, 2, 2)]),
        # A single word that is too long.
        ([None, 0, 0, 0, 0, None], 4, [(1, 3, 0, 0)]),
        # Room for a single sub-word.
        ([None, 0, 1, 1, 2, None], 3, [(1, 2, 0, 0), (2, 3, 1, 1), (4, 5, 2, 2)]),
        # Words 1 and 3 have no sub-word.
        ([None, 0, 2, 4, None], 4, [(1, 3, 0, 2), (3, 4, 4, 4)]),
        # Two special tokens before and none after.
        ([None, None, 0, 1, 2], 4, [(2, 4, 0, 1), (4, 5, 2, 2)]),
    ],
)
def test_windows_by_hand(word_ids, max_length, windows):
    assert common.make_windows(word_ids, max_length) == windows


def test_a_window_needs_room_for_a_token(snapshot):
    with pytest.raises(ValueError) as error:
        common.make_windows([None, 0, 1, None], 2)
    assert str(error.value) == snapshot


def test_windows_of_a_sentence_by_hand():
    """Room for 6 between the special tokens; each label once, special tokens around each part."""
    tokenizer = letters_tokenizer()
    words = list("abcdefghij")
    columns = common.tokenize_and_align_labels(
        {"tokens": [words], "labels": [list(range(10))]}, tokenizer, 8, None, [50]
    )
    texts = [tokenizer.convert_ids_to_tokens(ids) for ids in columns["input_ids"]]
    assert texts == [["[CLS]", *"abcdef", "[SEP]"], ["[CLS]", *"fghij", "[SEP]"]]
    assert columns["labels"] == [[-100, 0, 1, 2, 3, 4, 5, -100], [-100, -100, 6, 7, 8, 9, -100]]
    assert columns["word_index"] == [
        [-100, 50, 51, 52, 53, 54, 55, -100],
        [-100, -100, 56, 57, 58, 59, -100],
    ]
    assert columns["length"] == [8, 7]
    assert columns["words"] == [6, 4]
    assert columns["part"] == [0, 1]
    assert [len(types) for types in columns["token_type_ids"]] == [8, 7]


def test_parts_are_numbered_in_their_sentence():
    sentences = [list("abc"), list("abcdefghij"), list("ab"), list("abcdefghij")]
    columns = common.tokenize_and_align_labels(
        {"tokens": sentences, "labels": [[0] * len(s) for s in sentences]},
        letters_tokenizer(), 8, None, None,
    )  # fmt: skip
    assert columns["part"] == [0, 0, 1, 0, 0, 1]


# --- Windows, as properties -----------------------------------------------------------------

sub_word_counts = st.lists(st.integers(0, 12), max_size=60)
limits = st.integers(1, 24)


def spread(counts: list[int], specials: tuple[int, int]) -> list[int | None]:
    """Return the word ids of words with these counts of sub-words, special tokens around them."""
    content = [word for word, count in enumerate(counts) for _ in range(count)]
    return [None] * specials[0] + content + [None] * specials[1]


@given(sub_word_counts, limits, st.sampled_from([(1, 1), (0, 0), (2, 0), (0, 1)]))
def test_each_word_is_owned_once_where_it_has_most_context(counts, room, specials):
    word_ids = spread(counts, specials)
    windows = common.make_windows(word_ids, room + sum(specials))
    owned = [word for *_, first, last in windows for word in range(first, last + 1) if counts[word]]
    assert owned == [word for word, count in enumerate(counts) if count]
    for start, end, first, last in windows:
        assert end - start <= room
        assert word_ids[start] is not None
        assert start == specials[0] or word_ids[start - 1] != word_ids[start]
        for word in (w for w in range(first, last + 1) if counts[w]):
            begin = word_ids.index(word)
            assert start <= begin < end
            contexts = [
                min(begin - other_start, other_end - begin - counts[word])
                for other_start, other_end, *_ in windows
                if other_start <= begin < other_end
            ]
            assert min(begin - start, end - begin - counts[word]) == max(contexts)
            if counts[word] <= room:
                assert begin + counts[word] <= end


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4)), max_size=40),
    st.integers(7, 20),
    st.booleans(),
    st.booleans(),
)
@settings(deadline=None)
def test_windows_lose_no_label(words, room, specials, all_tokens):
    """Labels of all windows in a row = labels without windows, if no word is too long."""
    tokenizer = WITH_SPECIALS if specials else WITHOUT_SPECIALS
    names = ["O", "B-SUB-X", "I-SUB-X", "B-Y", "I-Y"]
    inside = common.inside_labels(names) if all_tokens else None
    examples = {
        "tokens": [["".join("abcdefg"[:count]) for count, _ in words]],
        "labels": [[label for _, label in words]],
    }
    limit = room + 2 * specials
    whole = common.tokenize_and_align_labels(examples, tokenizer, 10**6, inside, None)
    parts = common.tokenize_and_align_labels(examples, tokenizer, limit, inside, None)
    assert all(length <= limit for length in parts["length"])
    assert parts["length"] == [len(ids) for ids in parts.get("input_ids", [])]
    assert labelled(parts["labels"]) == labelled(whole["labels"])

    # Computed without the code under test: a word's label, then the label that continues it.
    following = {0: 0, 1: 2, 2: 2, 3: 4, 4: 4}
    expected = []
    for count, label in words:
        rest = [following[label]] * (count - 1) if all_tokens else []
        expected += [label, *rest] if count else []
    assert labelled(parts["labels"]) == expected

    scored = common.tokenize_and_align_labels(examples, tokenizer, limit, inside, [1000])
    with_sub_words = [i for i, (count, _) in enumerate(words) if count]
    assert labelled(scored["word_index"]) == [1000 + i for i in with_sub_words]
    assert labelled(scored["labels"]) == [words[i][1] for i in with_sub_words]
    assert sum(scored["words"]) == len(with_sub_words)


WITH_SPECIALS, WITHOUT_SPECIALS = letters_tokenizer(), letters_tokenizer(specials=False)


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(3, 12))
@settings(deadline=None)
def test_words_too_long_for_a_window_are_still_scored(counts, limit):
    examples = {"tokens": [["a" * count for count in counts]], "labels": [[0] * len(counts)]}
    columns = common.tokenize_and_align_labels(examples, WITH_SPECIALS, limit, None, [0])
    assert labelled(columns["word_index"]) == [i for i, count in enumerate(counts) if count]


# --- Batches to words -----------------------------------------------------------------------


class OneHot(torch.nn.Module):
    """A model whose logits encode its input: token id modulo the number of labels."""

    def __init__(self, num_labels: int):
        super().__init__()
        self.num_labels = num_labels

    def forward(self, input_ids, attention_mask, token_type_ids=None, **_):

        assert set(attention_mask.unique().tolist()) <= {0, 1}
        return SimpleNamespace(
            logits=5.0 * torch.nn.functional.one_hot(input_ids % self.num_labels, self.num_labels)
        )


@pytest.mark.parametrize("unpadded", [True, False])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("limit", [4, 6, 64])
def test_predictions_return_to_their_words_in_any_order(side, limit, unpadded):
    tokenizer = letters_tokenizer(padding_side=side)
    random = np.random.default_rng(0)
    sentences = [
        ["".join(random.choice(list("abcxyz"), size=random.integers(0, 3))) for _ in range(n)]
        for n in random.integers(0, 12, size=30)
    ]
    split = split_of(sentences, [[1] * len(s) for s in sentences])
    windows = encode_split(split, tokenizer, limit, None, True, f"{side}{limit}")
    names = ["T0", "T1", "T2"]
    predictions = WordPredictions(windows.num_words, names, decode=False)
    collate = JoinWindows(tokenizer, 0) if unpadded else PadBatch(tokenizer)
    order = random.permutation(len(windows)).tolist() + [len(windows)] * 3
    for start in range(0, len(order), 7):
        batch = collate(windows.__getitems__(order[start : start + 7]))
        predictions.add(*common.predict_batch(OneHot(3), batch))
    predictions.check_complete(windows.words_with_subwords)

    # A word is tagged by its first letter; a word without letters is O.
    ids = tokenizer.get_vocab()
    rows = list(common.postprocess(predictions, split, names))
    assert [row[0] for row in rows] == sentences
    for words, gold, tags, probabilities, _ in rows:
        assert gold == ["T1"] * len(words)
        assert tags == [names[ids[word[0]] % 3] if word else "O" for word in words]
        right = np.exp(5) / (np.exp(5) + 2)
        assert probabilities == pytest.approx([right if word else 0.0 for word in words])
    tagged = [ids[word[0]] % 3 for s in sentences for word in s if word]
    losses = [-np.log(np.exp(5 * (tag == 1)) / (np.exp(5) + 2)) for tag in tagged]
    assert predictions.loss == pytest.approx(sum(losses), rel=1e-5)
    scores = compute_metrics(predictions, split, names)
    assert scores["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert scores["words"] == sum(map(len, sentences))


windows_of_values = st.lists(
    st.lists(st.integers(-100, 1000), min_size=1, max_size=50), min_size=1, max_size=20
)


@given(windows_of_values, st.sampled_from([0, -100]))
@settings(deadline=None)
def test_splitting_inverts_joining(windows, fill):
    batch = JoinWindows(letters_tokenizer(), 0)([{"input_ids": window} for window in windows])
    rows = common.split_windows(batch["input_ids"], batch["windows"].lengths, fill)
    ordered = sorted(windows, key=len, reverse=True)
    assert rows.shape == (len(windows), len(ordered[0]))
    for row, window in zip(rows.tolist(), ordered, strict=True):
        assert row[: len(window)] == window
        assert set(row[len(window) :]) <= {fill}


class ByToken(torch.nn.Module):
    """A model with random logits for each token id; it ignores everything else."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(100, 5)

    def forward(self, input_ids, **_):

        return SimpleNamespace(logits=self.table(input_ids).bfloat16())


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(0, 100))
@settings(deadline=None)
def test_predictions_without_padding_have_the_shape_of_padded_ones(lengths, seed):
    """Windows as rows, so that processes can be padded and gathered; the same values."""
    random = np.random.default_rng(seed)
    windows = [
        {
            "input_ids": random.integers(0, 100, length).tolist(),
            "labels": [-100 if i % 3 else int(random.integers(0, 5)) for i in range(length)],
            "word_index": [-100 if i % 3 else 1000 * n + i for i in range(length)],
        }
        for n, length in enumerate(sorted(lengths, reverse=True))
    ]
    model, tokenizer = ByToken(), letters_tokenizer()
    joined = JoinWindows(tokenizer, 0)(windows)
    inputs = set(joined) - {"labels", "word_index"}
    ours = common.predict_batch(model, joined)
    theirs = common.predict_batch(model, PadBatch(tokenizer)(windows))
    assert set(joined) == inputs
    own = torch.arange(max(lengths)) < torch.tensor(sorted(lengths, reverse=True))[:, None]
    assert ours[0].shape == theirs[0].shape == (*own.shape, 5)
    assert ours[0].dtype == theirs[0].dtype
    assert torch.equal(ours[0][own], theirs[0][own])
    torch.testing.assert_close(ours[1], theirs[1])
    assert torch.equal(ours[2], theirs[2])


def test_a_word_that_is_missing_stops_the_scoring(snapshot):
    predictions = WordPredictions(3, ["O", "A", "B"], decode=False)
    scores = torch.eye(3)[torch.tensor([[0, 1, 2, 0]])].log()
    index = torch.tensor([[-100, 0, 2, -100]])
    predictions.add(scores, torch.ones(1), index)
    predictions.check_complete(2)
    assert predictions.tag_ids.tolist() == [1, -1, 2]
    with pytest.raises(AssertionError) as error:
        predictions.check_complete(3)
    assert str(error.value) == snapshot


def test_a_word_that_comes_twice_counts_once():
    predictions = WordPredictions(1, ["O", "A"], decode=False)
    for _ in range(2):
        predictions.add(torch.tensor([[[-1.0, -0.5]]]), torch.tensor([0.0]), torch.tensor([[0]]))
    predictions.check_complete(1)


def test_a_word_without_a_sub_word_continues_the_entity_around_it():
    names = ["O", "B-X", "I-X"]
    predictions = WordPredictions(4, names, decode=False)
    predictions.tag_ids[:] = [1, -1, 2, -1]
    ((_, _, tags, probabilities, _),) = common.postprocess(
        predictions, split_of([[*"abcd"]]), names
    )
    assert tags == ["B-X", "I-X", "I-X", "O"]
    assert probabilities == [0.0] * 4


def test_postprocess_without_gold_tags():
    names = ["O", "B-X"]
    predictions = WordPredictions(2, names, decode=False)
    predictions.tag_ids[:] = [1, 0]
    ((words, gold, tags, *_),) = common.postprocess(predictions, split_of([["a", "b"]]), names)
    assert (words, gold, tags) == (["a", "b"], [], ["B-X", "O"])


def test_loss_of_a_step_is_the_mean_over_its_tokens_however_it_is_split():
    torch.manual_seed(0)
    logits, labels = torch.randn(8, 5, 4), torch.randint(0, 4, (8, 5))
    labels[0, 1:] = labels[3] = labels[5, 2] = -100
    count = labels.ne(-100).sum()
    whole = torch.nn.functional.cross_entropy(logits.view(-1, 4), labels.view(-1))
    assert common.token_loss(logits, labels, count).item() == pytest.approx(whole.item(), rel=1e-6)
    for size in (1, 2, 4):
        parts = zip(logits.split(size), labels.split(size), strict=True)
        total = sum(common.token_loss(*part, count) for part in parts)
        assert total.item() == pytest.approx(whole.item(), rel=1e-6)
    smooth = torch.nn.functional.cross_entropy(
        logits.view(-1, 4), labels.view(-1), label_smoothing=0.1
    )
    ours = common.token_loss(logits, labels, count, label_smoothing=0.1)
    assert ours.item() == pytest.approx(smooth.item(), rel=1e-6)


def test_loss_without_a_label_is_zero():
    logits = torch.randn(2, 3, 4, requires_grad=True)
    loss = common.token_loss(logits, torch.full((2, 3), -100), 1)
    loss.backward()
    assert loss.item() == 0.0
    assert not logits.grad.any()


def test_full_precision_takes_autocast_off_for_a_while():
    model = torch.nn.Linear(2, 2)
    model.forward = torch.autocast("cpu", dtype=torch.bfloat16)(model.forward)
    x = torch.randn(3, 2)
    assert model(x).dtype == torch.bfloat16
    with common.full_precision(model):
        assert model(x).dtype == torch.float32
    assert model(x).dtype == torch.bfloat16
    plain = torch.nn.Linear(2, 2)
    with common.full_precision(plain):
        assert plain(x).dtype == torch.float32
    assert "forward" not in plain.__dict__


@pytest.mark.parametrize(
    ("tags", "bridged"),
    [
        (["B-X", None, "I-X"], ["B-X", "I-X", "I-X"]),
        (["B-X", None, None, "I-X", None], ["B-X", "I-X", "I-X", "I-X", "O"]),
        (["B-X", None, "I-Y"], ["B-X", "O", "I-Y"]),
        ([None, "I-X", None, "B-X"], ["O", "I-X", "O", "B-X"]),
        (["B-X", "O", None, "I-X"], ["B-X", "O", "O", "I-X"]),
        (["B-X", None, "E-X", None, "S-X"], ["B-X", "I-X", "E-X", "O", "S-X"]),
        ([None, None], ["O", "O"]),
        ([], []),
    ],
)
def test_words_without_a_sub_word_do_not_interrupt_an_entity(tags, bridged):
    assert common.bridge_gaps(tags) == bridged
