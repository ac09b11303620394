"""Text for people: characters that cannot be shown, suggestions."""

import pytest

from support.text import (
    closest,
    did_you_mean,
    on_terminal,
    one_edit_apart,
    printable,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\r\nc", "a\tb\r\nc"),
        ("\x00\x07\x1b\x1f\x0b\x0c", "\u2400\u2407\u241b\u241f\u240b\u240c"),
        ("\x7f", "\u2421"),
        ("\x80\x9f\ud800\udfff", "\ufffd" * 4),
        ("é\u0301\u200d\u202e\U0001f469", "é\u0301\u200d\u202e\U0001f469"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\r\nc", "a\tb\r\nc"),
        ("a\rb", "a\\u000db"),
        ("\x1b[2J\x9b2J", "\u241b[2J\ufffd2J"),
        ("\u202eabc\u202c \u2066x\u2069", "\\u202eabc\\u202c \\u2066x\\u2069"),
        ("\u05d0\u200f\u200e\u0628", "\u05d0\u200f\u200e\u0628"),  # marks of real text
    ],
)
def test_nothing_on_a_terminal_moves_or_reorders(text, shown):
    assert on_terminal(text) == shown


# --- Suggestions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("B-OGR", ["O", "B-PER", "B-ORG"], "B-ORG"),
        ("b-org", ["B-ARG", "B-ORG"], "B-ORG"),  # by case alone
        ("x", ["O", "B-PER"], None),
        ("x", [], None),
    ],
)
def test_closest(word, known, expected):
    assert closest(word, known) == expected
    assert (expected or "") in did_you_mean(word, known)
    assert (did_you_mean(word, known) == "") == (expected is None)


def test_a_cutoff_excludes_what_is_less_similar():
    assert closest("PRE", ["PER"], cutoff=0.6) == "PER"
    assert closest("PRE", ["PER"], cutoff=0.75) is None


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ("PER", "PER", False),
        ("PRE", "PER", True),
        ("PR", "PER", True),
        ("PERR", "PER", True),
        ("PEX", "PER", True),
        ("XER", "PER", True),
        ("", "P", True),
        ("REP", "PER", False),
        ("P", "PER", False),
        ("ERP", "PER", False),
        ("LOCATOIN", "LOCATION", True),
        ("LCOATOIN", "LOCATION", False),
    ],
)
def test_one_edit_apart_by_hand(first, second, apart):
    assert one_edit_apart(first, second) == apart
    assert one_edit_apart(second, first) == apart


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0.0 MB"), (4_440_000, "4.4 MB"), (87_400_000, "87 MB"), (1_400_000_000, "1.4 GB")],
)
def test_sizes(size, shown):
    assert size_text(size) == shown
