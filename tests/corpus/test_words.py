"""Split raw text into words."""

from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.words import WORD_SPLITTER, readable, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        (" \t\n ", ""),
        ("My name is Sylvain and I work at Hugging Face in Brooklyn.",
         "My name is Sylvain and I work at Hugging Face in Brooklyn ."),
        ("EU rejects German call, Mr. Fischler said.",
         "EU rejects German call , Mr. Fischler said ."),
        # Contractions and possessives as in the Penn Treebank.
        ("They didn't; she's John's.", "They did n't ; she 's John 's ."),
        ("I can't, you won’t, we'll've", "I ca n't , you wo n’t , we 'll 've"),
        ("O'Brien's o'clock rock'n'roll", "O'Brien 's o'clock rock'n'roll"),
        ("the dogs' '90s 'quoted'", "the dogs ' ' 90s ' quoted '"),
        # Abbreviations keep their full stop; that of a sentence is a word.
        ("U.S. and U.K. a.m. J. R. R. Tolkien vs. Dr. No",
         "U.S. and U.K. a.m. J. R. R. Tolkien vs. Dr. No"),
        ("Plan B. It ended.", "Plan B. It ended ."),
        ("We took plan B.", "We took plan B ."),
        # Numbers, money, sports results, times.
        ("$1,000.50 rose 3.5% to 3/4 at 12:30, 2-1 (1-0).",
         "$ 1,000.50 rose 3.5 % to 3/4 at 12:30 , 2-1 ( 1-0 ) ."),
        ("the 1990s, No. 7, 10km", "the 1990s , No . 7 , 10km"),
        ("AT&T's R&D", "AT&T 's R&D"),
        ("mother-in-law Rolls-Royce 70-year-old", "mother-in-law Rolls-Royce 70-year-old"),
        ("wait... what -- no—yes!?", "wait ... what -- no — yes ! ?"),
        # The web.
        ("See https://example.org/a?b=c#d, (www.example.com).",
         "See https://example.org/a?b=c#d , ( www.example.com ) ."),
        ("@user_1 #nlp mail me.you+x@example.co.uk.",
         "@user_1 #nlp mail me.you+x@example.co.uk ."),
        # Other languages.
        ("L'État, c'est moi d’abord", "L'État , c'est moi d’abord"),
        ("Größe naïve Ångström Łódź", "Größe naïve Ångström Łódź"),
        ("«Москва» — столица России.", "« Москва » — столица России ."),
        ("¿Qué? ¡No!", "¿ Qué ? ¡ No !"),
        ("東京は日本。", "東 京 は 日 本 。"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("서울은 수도", "서울은 수도"),
        ("می\u200cخواهم Ber\u00adlin\u00ad", "می\u200cخواهم Ber\u00adlin \u00ad"),
        ("مرحبا بالعالم، نعم؟", "مرحبا بالعالم ، نعم ؟"),
    ],
)  # fmt: skip
def test_words_of_texts(text, words):
    assert [word for word, _, _ in split_words(text)] == words.split()


# Lone surrogates are not text: Unicode encodings cannot represent them.
unicode_text = st.text(st.characters(exclude_categories=["Cs"]))
FRAGMENTS = [
    "Mr.", "U.S.", "don't", "John's", "O'Brien", "AT&T", "1,000.5", "-", "--", "...", ".", ",", "'",
    "’", "n't", "n’t", "a", "B.", "C.", "@x", "#y_z", "http://a/b", "www.", "a@b.c", "é", "e\u0301",
    "東", "京", "\u00ad", "\u200d", "\u0000", "\u3000", "\u2028", "\n", "\t", " ", "(", '"', "😀",
]  # fmt: skip
news_text = st.lists(st.sampled_from(FRAGMENTS)).map("".join)


@given(unicode_text | news_text)
@settings(max_examples=400)
def test_words_are_cut_out_of_the_text(text):
    words = split_words(text)
    position = 0
    for word, start, end in words:
        assert position <= start < end <= len(text)
        assert text[start:end] == word
        assert not text[position:start].strip()
        position = end
    assert not text[position:].strip()


@given(unicode_text | news_text, st.text(" \t\n\u00a0\u3000", max_size=3))
@settings(max_examples=400)
def test_space_around_a_text_changes_no_word(text, space):
    expected = [(word, start + len(space), end + len(space)) for word, start, end in
                split_words(text)]  # fmt: skip
    assert split_words(space + text + space) == expected


def test_every_character_is_a_word_or_space():
    characters = [c for c in map(chr, range(0x110000)) if category(c) not in ("Cs", "Co", "Cn")]
    # Python counts the four ASCII separators as space; Unicode counts them as control characters.
    expected = [c for c in characters if not c.isspace() or "\x1c" <= c <= "\x1f"]
    split = []
    for begin in range(0, len(characters), 10_000):
        text = " ".join(characters[begin : begin + 10_000])
        split += [word for word, _, _ in split_words(text)]
    assert split == expected


def test_the_splitter_keeps_its_name():
    """Models record the name; a new name means that the words have changed."""
    assert WORD_SPLITTER == "words-1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\ud83d", ["\ud83d"]),
        ("EU \ud83d rejects\udc4d.", ["EU", "\ud83d", "rejects", "\udc4d", "."]),
        ("a\udfffb", ["a", "\udfff", "b"]),
    ],
)
def test_half_a_surrogate_pair_is_a_word(text, words):
    placed = split_words(text)
    assert [word for word, _, _ in placed] == words
    assert all(text[start:end] == word for word, start, end in placed)


def test_readable_words_hold_no_half_of_a_surrogate_pair():
    words = ["EU", "\U0001f44d", "a\ud83d", "\udc4d"]
    assert readable(words) == ["EU", "\U0001f44d", "a\ufffd", "\ufffd"]


@pytest.mark.parametrize("value", [1, None, ["a"]])
def test_what_is_not_a_string_is_a_type_error(value):
    with pytest.raises(TypeError, match="expected string"):
        split_words(value)
