"""Split raw text into words."""

import time
import unicodedata
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import words as words_module
from corpus.words import (
    OLD_SPLITTER,
    WORD_SPLITTER,
    installed_splitter,
    readable,
    split_words,
    splitter_of,
    word_splitter,
)
from support.errors import UserError


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
        ("L'État, c'est moi d’abord", "L' État , c' est moi d’ abord"),
        ("Größe naïve Ångström Łódź", "Größe naïve Ångström Łódź"),
        ("«Москва» — столица России.", "« Москва » — столица России ."),
        ("¿Qué? ¡No!", "¿ Qué ? ¡ No !"),
        ("東京は日本。", "東 京 は 日 本 。"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("서울은 수도", "서울은 수도"),
        ("می\u200cخواهم Ber\u00adlin\u00ad", "می\u200cخواهم Ber\u00adlin\u00ad"),
        ("مرحبا بالعالم، نعم؟", "مرحبا بالعالم ، نعم ؟"),
        # Scripts without spaces end where another script begins.
        ("在Apple公司2024年，コーヒー", "在 Apple 公 司 2024 年 ， コ ー ヒ ー"),
        ("#东京 联系我abc@x.com", "#东京 联 系 我 abc@x.com"),
        ("ซื้อiPhoneที่๒๕๖๗", "ซื้ อ iPhone ที่ ๒๕๖๗"),
        # Elision.
        ("Anna aime l'Italie et la France.", "Anna aime l' Italie et la France ."),
        ("l'Italie", "l' Italie"),
        ("Qu'est-ce qu'il a dit jusqu’à aujourd'hui",
         "Qu' est-ce qu' il a dit jusqu’ à aujourd'hui"),
        ("La commedia dell'arte nell'80, un'amica.",
         "La commedia dell' arte nell' 80 , un' amica ."),
        ("Dov'è l'arte, l'«Italia»?", "Dov' è l' arte , l' « Italia » ?"),
        # Names and loans in English texts.
        ("D'Angelo went to L'Aquila and Côte d'Ivoire.",
         "D'Angelo went to L'Aquila and Côte d'Ivoire ."),
        ("It was a coup d'etat in Sana'a", "It was a coup d'etat in Sana'a"),
        ("c'mon, did n't d'you", "c'mon , did n't d'you"),
        # Turkish endings of names and numbers.
        ("Ankara'da", "Ankara 'da"),
        ("Türkiye'nin başkenti Ankara’dır; 1923'te kuruldu.",
         "Türkiye 'nin başkenti Ankara ’dır ; 1923 'te kuruldu ."),
        ("Kur'an'ın ve Ali'yi Mehmet'in evi", "Kur'an 'ın ve Ali 'yi Mehmet 'in evi"),
        # Characters without a width stay with a word beside them; U+200B ends it.
        ("\ufeffEU rejects\u200b a\u200bb a\u2060b", "\ufeffEU rejects\u200b a\u200b b a\u2060b"),
        ("\u200e(Anna)\u200f \u200b x", "\u200e( Anna )\u200f \u200b x"),
        ("John's\u200b.", "John 's\u200b ."),
        ("👩\u200d👩\u200d👧 👩🏽\u200d🚀ok", "👩\u200d👩\u200d👧 👩🏽\u200d🚀 ok"),
    ],
)  # fmt: skip
def test_words_of_texts(text, words):
    assert [word for word, _, _ in split_words(text, WORD_SPLITTER)] == words.split()


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
    assert (OLD_SPLITTER, WORD_SPLITTER) == ("words-1", "words-2")
    assert installed_splitter().partition("+")[0] == WORD_SPLITTER


# --- Older models, and ICU ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("L'État, c'est moi d’abord", "L'État , c'est moi d’abord"),
        ("Ankara'da didn't", "Ankara'da did n't"),
        ("Berlin\u00ad \ufeffEU", "Berlin \u00ad \ufeff EU"),
        ("東京2024年", "東 京 2024年"),
        ("กรุงเทพ", "กรุงเทพ"),
    ],
)
def test_older_models_split_text_as_they_were_trained(text, words):
    assert [word for word, _, _ in split_words(text, OLD_SPLITTER)] == words.split()


english_text = st.lists(
    st.sampled_from([*(f for f in FRAGMENTS if f.isascii() and f.isprintable()), "the", "of"])
).map(" ".join)


@given(english_text)
@settings(max_examples=400)
def test_english_has_the_words_that_it_had(text):
    assert split_words(f"the {text} and", WORD_SPLITTER) == split_words(
        f"the {text} and", OLD_SPLITTER
    )


def test_the_simple_pattern_gives_the_words_of_the_whole_one():
    """Texts without special characters have a pattern of their own; any special one ends that."""
    text = "Größe D'Angelo's 3/4 naïve@x.org, мы 1990s—don't «Łódź» 😀!"
    expected = split_words(text, WORD_SPLITTER)
    assert split_words(text + " 東", WORD_SPLITTER)[:-1] == expected
    assert split_words(text + " \u200b", WORD_SPLITTER)[:-1] == expected
    for codepoint in range(0x110000):
        character = chr(codepoint)
        if category(character) in ("Cs", "Co", "Cn") or words_module._SPECIAL.search(character):
            continue
        name = unicodedata.name(character, "")
        assert not name.startswith(("CJK UNIFIED", "HIRAGANA", "KATAKANA", "THAI", "KHMER")), name
        assert category(character) != "Cf" or codepoint in VISIBLE_FORMAT, hex(codepoint)


# Signs of numbers, verses and musical or other notations, which have a width or an effect.
VISIBLE_FORMAT = {
    *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD,
    *range(0x13430, 0x13440), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B),
}  # fmt: skip


@pytest.mark.parametrize("lead", ["", "l'a une ", "Ankara'da bir "])
@pytest.mark.parametrize(
    "unit",
    [
        "a.",
        "a-",
        "a-.",
        "1+",
        "[ ",
        "a'",
        "'in",
        "A-",
        "é'",
        "a@",
        "n't",
        "Mr. ",
        "aก",
        "\u200b",
        "\u200ba",
    ],
)
def test_the_time_is_linear(unit, lead):
    begin = time.perf_counter()
    split_words(lead + unit * (60_000 // len(unit)))
    assert time.perf_counter() - begin < 3


def test_icu_finds_words_of_scripts_without_spaces():
    pytest.importorskip("icu4py")
    assert splitter_of(["ပါ"]) == installed_splitter()
    texts = {
        "นายสมชายทำงานที่กรุงเทพ": "นาย สมชาย ทำงาน ที่ กรุงเทพ",
        "ສະບາຍດີຊາວໂລກ": "ສະບາຍດີ ຊາວໂລກ",
        "សួស្តីពិភពលោក": "សួស្តី ពិភពលោក",
        # Burmese, by code points, because editors reorder its marks.
        "\u1015\u102b\u1000\u1019\u1039\u1018\u102c": "\u1015\u102b \u1000\u1019\u1039\u1018\u102c",
        "ใช้iPhone ที่\u200bกรุงเทพ": "ใช้ iPhone ที่\u200b กรุงเทพ",
    }
    for text, words in texts.items():
        placed = split_words(text)
        assert [word for word, _, _ in placed] == words.split(" ")
        assert all(text[start:end] == word for word, start, end in placed)
    by_character = split_words("กรุงเทพ", WORD_SPLITTER)
    assert [word for word, _, _ in by_character] == ["ก", "รุ", "ง", "เ", "ท", "พ"]
    assert splitter_of(["EU", "กรุงเทพ"]) == installed_splitter() != WORD_SPLITTER
    assert splitter_of(["EU", "東京"]) == WORD_SPLITTER


@pytest.mark.parametrize(
    "name", ["words-3", "words-2+icu4py-1.2.0+icu-78.3", "words-2+icu4py-9.0.0+icu-99.1"]
)
def test_a_splitter_that_is_missing_is_refused(name, monkeypatch, snapshot):
    other = f"{WORD_SPLITTER}+icu4py-2.0.0+icu-80.1" if "99" in name else WORD_SPLITTER
    monkeypatch.setattr(words_module, "installed_splitter", lambda: other)
    with pytest.raises(UserError) as error:
        word_splitter.__wrapped__(name)
    assert str(error.value) == snapshot


def test_the_package_of_icu_may_differ_if_its_version_does_not(monkeypatch):
    installed = f"{WORD_SPLITTER}+icu4py-1.3.0+icu-78.3"
    monkeypatch.setattr(words_module, "installed_splitter", lambda: installed)
    assert word_splitter.__wrapped__("words-2+icu4py-1.2.0+icu-78.3")("EU") == [("EU", 0, 2)]


# --- What is not text -----------------------------------------------------------------------------


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
