"""Tests of tagging/terminal.py: labels under the words."""

import io
import re

import pytest
from rich.cells import cell_len

from tagging.chunks import Chunk, tag_chunk
from tagging.items import Item
from tagging.tagger import Tagger
from tagging.terminal import as_pretty


class Terminal(io.StringIO):
    """A terminal that records the text written to it."""

    def isatty(self) -> bool:
        return True


def pretty(texts: list[str], tagger: Tagger, width: int = 80, file=None, **options) -> str:
    items = tag_chunk(tagger, Chunk([Item(text) for text in texts]), **options)
    return "".join(as_pretty(items, file or io.StringIO(), width))


def test_labels_are_under_the_words(look_up):
    assert pretty(["Peter Blackburn went to Paris .", "", "said"], look_up) == (
        "[Peter Blackburn] went to [Paris] .\nPER 0.87                  LOC 0.87\n\nsaid\n"
    )
    # Wide characters and joined emoji count as the columns they take; short words are spaced out.
    assert pretty(["中文 👩‍👩‍👧 EU EU EU said"], look_up) == (
        "中文 👩‍👩‍👧 [EU]     [EU]     [EU] said\n        ORG 0.87 ORG 0.87 ORG 0.87\n"
    )
    assert pretty(["Peter said"], look_up, all_words=True) == "Peter said\nB-PER\n"


def test_long_lines_break_between_words_and_control_characters_do_not_move_the_cursor(look_up):
    shown = pretty(["said Peter " * 20 + "\x1b[2J\tEU\r"], look_up, width=40)
    lines = shown.splitlines()
    assert all(cell_len(line) <= 40 for line in lines)
    assert sum(line.count("[Peter]") for line in lines) == 20
    assert "\x1b" not in shown and "\r" not in shown and "\t" not in shown
    above, below = lines[0], lines[1]
    for match in re.finditer(r"\[Peter\]", above):
        assert below[match.start() : match.start() + 3] == "PER"


def test_colours_take_no_columns(look_up, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    coloured = pretty(["EU and Anna met Peter"], look_up, file=Terminal())
    assert "\x1b[1;" in coloured and "[EU]" not in coloured.replace("\x1b[", "")
    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert bare == "EU and   Anna met Peter\nORG 0.87 PER 0.87 PER 0.87\n"


@pytest.mark.parametrize(
    ("variable", "value", "file", "coloured"),
    [
        ("TERM", "xterm", Terminal, True),
        ("TERM", "dumb", Terminal, False),
        ("NO_COLOR", "1", Terminal, False),
        ("TERM", "xterm", io.StringIO, False),
        ("FORCE_COLOR", "1", io.StringIO, True),
    ],
)
def test_colour_follows_the_terminal_and_the_environment(
    look_up, monkeypatch, variable, value, file, coloured
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    shown = pretty(["Peter said"], look_up, file=file())
    assert ("\x1b[" in shown) == coloured
    assert ("[Peter]" in shown) == (not coloured)


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
        ("नि", 1),
    ],
)
def test_columns_on_a_terminal(look_up, text, width):
    """The label is under its word, whatever precedes the word on the line."""
    above, below = pretty([f"{text} EU"], look_up).splitlines()
    assert above.endswith("[EU]")
    assert below == " " * (width + 1) + "ORG 0.87"
