"""Text for people: counts, quoted values, suggestions, safe characters."""

import difflib
import json
import re
from collections.abc import Iterable

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 word`, `2,000 words`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def quote(value: object) -> str:
    """Return a value in quotes, on one line of at most 80 characters or so."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return repr(text) if len(text) <= 80 else f"{text[:77]!r}..."


def shortened(value: object, length: int = 200) -> str:
    """Return a value as text, a list joined by commas, cut after `length` characters."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= length else text[:length] + " ..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known word closest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def unknown_flag(word: str, known: Iterable[str]) -> str:
    """Return the message about a flag that does not exist."""
    return f"unknown argument {word}{did_you_mean(word, known)}"


def printable(value: object) -> str:
    """Return `value` as text that can be shown, control characters as pictures of themselves.

    Tabs and line feeds stay. Half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.
    """
    return _CONTROL.sub(_control_picture, str(value))


def _control_picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"
