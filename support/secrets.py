"""Secrets: keeping tokens out of everything that is printed or written."""

import re
import shlex
from collections.abc import Iterable

HIDDEN = "***"


def scrub(text: str, token: str | None = None) -> str:
    """Return `text` with `token`, and anything that looks like a Hub token, replaced by `***`."""
    if token:
        text = text.replace(token, HIDDEN)
    # A quote after the value may close one before the flag.
    text = re.sub(r"(--[\w-]*token)([= ]+)('[^']*'|\"[^\"]*\"|[^\s'\"]+)", rf"\1\2{HIDDEN}", text)
    return re.sub(r"\bhf_[A-Za-z0-9]{8,}", HIDDEN, text)


def scrubbed_command(words: Iterable[str], token: str | None = None) -> str:
    """Return a command line that a shell can read, without tokens: see `scrub`."""
    shown, is_value = [], False
    for word in words:
        flag, equals, _ = word.partition("=")
        is_flag = re.fullmatch(r"--[\w-]*token", flag) is not None
        if is_value:
            word = HIDDEN
        elif is_flag and equals:
            word = f"{flag}={HIDDEN}"
        word = scrub(word, token)
        shown.append(word if word == HIDDEN else shlex.quote(word))
        is_value = is_flag and not equals
    return " ".join(shown)
