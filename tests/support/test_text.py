"""Text for people: what cannot be shown as it is."""

import pytest

from support.text import printable


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
