"""Text for people: counts, quoted values, suggestions, safe characters."""

import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path

CUTOFF = 0.8  # similarity from which one name is surely a typo of the other
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

# Embeddings, overrides and isolates reorder the text after them; marks do not.
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]|\r(?!\n)")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 word`, `2,000 words`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def size_text(num_bytes: float) -> str:
    """Return a number of bytes in the unit that a reader would choose: `87 MB`, `1.4 GB`."""
    if num_bytes < 1e9:
        return f"{num_bytes / 1e6:.{0 if num_bytes >= 1e7 else 1}f} MB"
    return f"{num_bytes / 1e9:.1f} GB"


def quote(value: object) -> str:
    """Return a value in quotes, on one line of at most 80 characters or so."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return repr(text) if len(text) <= 80 else f"{text[:77]!r}..."


def shortened(value: object, length: int = 200) -> str:
    """Return a value as text, a list joined by commas, cut after `length` characters."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= length else text[:length] + " ..."


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return `; did you mean X?` for the known word closest to `word`, or an empty string."""
    close = closest(word, known, cutoff)
    return f"; did you mean {close}?" if close is not None else ""


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word closest to `word`; None where none is similar.

    A word that differs in case only is the closest. `cutoff`: the least similarity, as `difflib`
    measures it, from 0 to 1.
    """
    known = list(known)
    same = next((name for name in known if name.lower() == word.lower()), None)
    return same or next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), None)


def one_edit_apart(first: str, second: str) -> bool:
    """Return whether one edit separates two words.

    An edit adds, removes or changes a letter, or swaps two neighbours.
    """
    differing = (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    start = next(differing, min(len(first), len(second)))
    first, second = first[start:], second[start:]
    return first != second and (
        first[1:] == second[1:]
        or first == second[1:]
        or first[1:] == second
        or (first[:2] == second[1::-1] and first[2:] == second[2:])
    )


def unknown_flag(word: str, known: Iterable[str]) -> str:
    """Return the message about a flag that does not exist, with the flag that was surely meant."""
    parts = word.lstrip("-").replace("-", "_").lower().split("_")
    meant = next((name for name in known if _is_slip(parts, name.lstrip("-").split("_"))), None)
    return f"unknown argument {word}" + (f"; did you mean {meant}?" if meant is not None else "")


def _is_slip(parts: list[str], name: list[str]) -> bool:
    """Return whether an unknown name is surely a typo of `name`; both are given as their parts.

    Each part has at most one typing error or is shortened; or less than half of the name is missing
    at one end; or only the underscores differ.
    """
    if len(parts) == len(name):
        return all(map(_is_slip_of_part, parts, name))
    given, whole = "".join(parts), "".join(name)
    if len(parts) < len(name) and 2 * len(given) > len(whole):
        ends = len(parts) > 1 and parts == name[-len(parts) :]
        return ends or parts == name[: len(parts)] or given == whole
    return given == whole


def _is_slip_of_part(part: str, of: str) -> bool:
    if part == of or (len(part) >= 3 and of.startswith(part)):
        return True
    return max(len(part), len(of)) >= 4 and one_edit_apart(part, of)


def printable(value: object) -> str:
    """Return `value` as text that can be shown, control characters as pictures of themselves.

    Tabs and line feeds stay. Half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.
    """
    return _CONTROL.sub(_control_picture, str(value))


def on_terminal(value: object) -> str:
    """Return `value` as text that cannot move the cursor or reorder what is beside it.

    As `printable`; besides, the controls of bidirectional text, and a carriage return within a
    line, are written as escapes.
    """
    return _DIRECTION.sub(lambda match: f"\\u{ord(match[0]):04x}", printable(value))


def _control_picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def as_argument(path: Path | str) -> str:
    """Return a path as an argument; one that begins with `-` would be taken for a flag."""
    return f"./{path}" if str(path).startswith("-") else str(path)
