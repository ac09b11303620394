"""Rows of a blank word and `O`, which some tools write instead of blank lines between sentences."""

SPACES = " \u00a0\u2002\u2003\u2009\u202f\u3000"
WITHOUT_WIDTH = "\u200b\u2060\ufeff"  # zero-width space, word joiner, byte-order mark
EMPTY_QUOTES = '""'  # an empty cell of a CSV file
BLANK_WORDS = frozenset(("", EMPTY_QUOTES, *SPACES, *WITHOUT_WIDTH))


def is_blank_tag(*tags: object) -> bool:
    """Return whether each tag is `O` or blank."""
    return all(isinstance(tag, str) and (tag in ("O", "o") or tag in BLANK_WORDS) for tag in tags)


def is_blank_row(word: object, tag: object) -> bool:
    """Return whether a word is blank and its tag `O`, blank or missing."""
    return isinstance(word, str) and word in BLANK_WORDS and (tag is None or is_blank_tag(tag))
