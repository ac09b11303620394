"""Split raw text into words."""

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

WORD_SPLITTER = "words-1"  # saved with every model; a change of the pattern changes the name
Words = list[tuple[str, int, int]]  # (word, start, end)

_LETTERS = r"\p{L}\p{M}\p{N}_"
_JOINERS = r"[-‐\u00ad\u200c\u200d]"  # hyphens, also soft ones; joiners of Persian, Indic scripts
_CLITIC = r"['’](?:s|m|d|re|ve|ll)(?![\p{L}\p{M}\p{N}_])"
_NOT = r"n['’]t(?![\p{L}\p{M}\p{N}_])"
_TITLES = "Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Inc|Ltd|Corp|Co|Bros|Gen|Col|Capt|Lt|Sgt|Gov|Sen|Rep|Rev|vs"
_WORD_PATTERNS = (
    r"(?:https?://|www\.)\S*[\p{L}\p{N}/]",  # addresses
    rf"[{_LETTERS}.+-]+@[{_LETTERS}-]+(?:\.[{_LETTERS}-]+)+",
    rf"[@#][{_LETTERS}]+",  # mentions, hashtags
    r"[\p{Han}\p{Hiragana}\p{Katakana}]\p{M}*",  # scripts without spaces: by character
    rf"(?i:{_NOT}|{_CLITIC})",  # did|n't, John|'s, as in the Penn Treebank
    r"(?:\p{L}\.){2,}|\p{Lu}\.(?=\s*\p{Lu})",  # U.S., J. Smith
    rf"(?:{_TITLES})\.(?=\s+\S)",  # Mr., unless it ends the text
    r"\p{N}+(?:[.,:/]\p{N}+)+",  # 1,000.50, 12:30, 3/4
    r"\p{Lu}+&\p{Lu}+",  # AT&T
    rf"(?i:\p{{L}}+?(?={_NOT}))",
    rf"[{_LETTERS}]+(?:(?:{_JOINERS}|(?!(?i:{_CLITIC}|['’]t(?![{_LETTERS}])))['’])[{_LETTERS}]+)*",
    r"\.{2,}|-{2,}|\S\p{M}*",  # ellipses, dashes, anything else alone
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # tokenizers do not accept it
_REPLACEMENT = "\ufffd"


@cache
def _pre_tokenizer() -> "PreTokenizer":
    # Imported here because most corpora come as words.
    from tokenizers import Regex, pre_tokenizers

    pattern = Regex("|".join(f"(?:{p})" for p in _WORD_PATTERNS))
    return pre_tokenizers.Split(pattern, behavior="removed", invert=True)


def split_words(text: str) -> Words:
    """Return the words of raw text as (word, start, end), with `text[start:end] == word`.

    Positions are in code points. Between two words there is only white space. The text may
    contain halves of surrogate pairs. Raises TypeError for what is not a string.
    """
    if _LONE_SURROGATE.search(text):
        placed = _pre_tokenizer().pre_tokenize_str(_LONE_SURROGATE.sub(_REPLACEMENT, text))
        return [(text[start:end], start, end) for _, (start, end) in placed]
    return [(word, start, end) for word, (start, end) in _pre_tokenizer().pre_tokenize_str(text)]


def readable(words: list[str]) -> list[str]:
    """Return words that tokenizers accept: half of a surrogate pair becomes U+FFFD."""
    if not _LONE_SURROGATE.search("".join(words)):
        return words
    return [_LONE_SURROGATE.sub(_REPLACEMENT, word) for word in words]
