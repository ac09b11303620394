"""Tests of tagging/terminal.py: labels under the words."""

import re

import pytest

from tagging import writers
from tagging.tagger import Tagger


def pretty(texts: list[str], tagger: Tagger, width: int = 80, colour: bool = False, **options):
    answers = tagger.tag_texts([(text, None) for text in texts])
    results = [writers.Result(a, tagger.result(a, **options), {}) for a in answers]
    return "".join(writers.as_pretty(results, width, colour))


def test_labels_stand_under_the_words(look_up):
    assert pretty(["Peter Blackburn went to Paris .", "", "said"], look_up) == (
        "[Peter Blackburn] went to [Paris] .\nPER 0.87                  LOC 0.87\n\nsaid\n"
    )
    # Wide characters and joined emoji count the columns they take; short words make room.
    assert pretty(["中文 👩‍👩‍👧 EU EU EU said"], look_up) == (
        "中文 👩‍👩‍👧 [EU]     [EU]     [EU] said\n        ORG 0.87 ORG 0.87 ORG 0.87\n"
    )
    assert pretty(["Peter said"], look_up, all_words=True) == "Peter said\nB-PER\n"


def test_long_lines_break_between_words_and_controls_move_no_cursor(look_up):
    shown = pretty(["said Peter " * 20 + "\x1b[2J\tEU\r"], look_up, width=40)
    lines = shown.splitlines()
    assert all(writers.width_of(line) <= 40 for line in lines)
    assert sum(line.count("[Peter]") for line in lines) == 20
    assert "\x1b" not in shown and "\r" not in shown and "\t" not in shown
    above, below = lines[0], lines[1]
    for match in re.finditer(r"\[Peter\]", above):
        assert below[match.start() : match.start() + 3] == "PER"


def test_colours_take_no_columns(look_up):
    plain = pretty(["EU and Anna met Peter"], look_up, colour=True)
    assert "\x1b[1;" in plain and "[EU]" not in plain.replace("\x1b[", "")
    bare = re.sub(r"\x1b\[[0-9;]*m", "", plain)
    assert bare == "EU and   Anna met Peter\nORG 0.87 PER 0.87 PER 0.87\n"


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("abc", 3),
        ("é", 1),
        ("e\u0301", 1),
        ("中文", 4),
        ("한국", 4),
        ("ｗｉｄｅ", 8),
        ("🙂", 2),
        ("👍🏽", 2),
        ("👩‍👩‍👧", 2),
        ("🇩🇪", 2),
        ("🇩🇪🇫🇷", 4),
        ("❤", 1),
        ("❤️", 2),
        ("a\u200bb", 2),
        ("שלום", 4),
        ("नि", 2),
    ],
)
def test_columns_on_a_terminal(text, width):
    assert writers.width_of(text) == width
