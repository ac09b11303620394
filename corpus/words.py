"""Split raw text into words.

A splitter has a name, which is saved with every model: `words-2`, or `words-1` of models trained
by earlier versions. Thai, Lao, Khmer and Burmese have no spaces between words. If ICU is installed,
its dictionaries find them, and its version is part of the name; otherwise words are single
characters.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from corpus.apostrophes import ELISIONS, SUFFIX, Apostrophes, apostrophes_of
from support.errors import UserError

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

OLD_SPLITTER = "words-1"
WORD_SPLITTER = "words-2"  # a change of the patterns changes the name
ICU_PACKAGE = "icu4py"  # ICU for Python, with wheels that contain the dictionaries
Words = list[tuple[str, int, int]]  # (word, start, end)
Splitter = Callable[[str], Words]

_LETTERS = r"\p{L}\p{M}\p{N}_"
_END = rf"(?![{_LETTERS}])"
_CLITIC = rf"['’](?:s|m|d|re|ve|ll){_END}"
_NOT = rf"n['’]t{_END}"
_TITLES = "Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Inc|Ltd|Corp|Co|Bros|Gen|Col|Capt|Lt|Sgt|Gov|Sen|Rep|Rev|vs"
_ADDRESS = r"(?:https?://|www\.)\S*[\p{L}\p{N}/]"
_MENTION = rf"[@#][{_LETTERS}]+"  # or a hashtag
_ENGLISH_CLITICS = rf"(?i:{_NOT}|{_CLITIC})"  # did|n't, John|'s, as in the Penn Treebank
_ABBREVIATIONS = (
    r"(?:\p{L}\.){2,}|\p{Lu}\.(?=\s*\p{Lu})",  # U.S., J. Smith
    rf"(?:{_TITLES})\.(?=\s+\S)",  # Mr., unless it ends the text
    r"\p{N}+(?:[.,:/]\p{N}+)+",  # 1,000.50, 12:30, 3/4
    r"\p{Lu}+&\p{Lu}+",  # AT&T
)
_ANYTHING = r"\.{2,}|-{2,}|\S\p{M}*"  # ellipses, dashes, anything else alone

# --- words-1 ------------------------------------------------------------------------------------

_OLD_JOINERS = r"[-‐\u00ad\u200c\u200d]"
_OLD_PATTERNS = (
    _ADDRESS,
    rf"[{_LETTERS}.+-]+@[{_LETTERS}-]+(?:\.[{_LETTERS}-]+)+",
    _MENTION,
    r"[\p{Han}\p{Hiragana}\p{Katakana}]\p{M}*",
    _ENGLISH_CLITICS,
    *_ABBREVIATIONS,
    rf"(?i:\p{{L}}+?(?={_NOT}))",
    rf"[{_LETTERS}]+"
    rf"(?:(?:{_OLD_JOINERS}|(?!(?i:{_CLITIC}|['’]t(?![{_LETTERS}])))['’])[{_LETTERS}]+)*",
    _ANYTHING,
)

# --- words-2 ------------------------------------------------------------------------------------

# Scripts without spaces between words: by character, and by dictionary if there is one.
_BY_CHARACTER = r"\p{Han}\p{Hiragana}\p{Katakana}ーｰ"
_BY_DICTIONARY = r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}&&[\p{L}\p{M}]]"
_DICTIONARY_RANGES = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f"
)
# Characters without a width: soft hyphens, joiners, marks of direction. They stay with a word
# beside them and do not end it, except for U+200B, a space without width.
_ZERO_WIDTH = (
    r"\u00ad\u061c\u180e\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
)
_TAGS = (r"\x{e0001}\x{e0020}-\x{e007f}", r"\U000e0001\U000e0020-\U000e007f")  # in both syntaxes
_EMOJI = r"\p{Extended_Pictographic}[\x{1f3fb}-\x{1f3ff}]?\p{M}*"
_NEEDS_DICTIONARY = re.compile(f"[{_DICTIONARY_RANGES}]")
# Texts without any of these characters, nearly all texts of most languages, have a simpler and
# four times faster pattern.
_SPECIAL = re.compile(
    rf"[{_DICTIONARY_RANGES}{_ZERO_WIDTH}{_TAGS[1]}\u200b\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
    r"\U00016fe0-\U00016fff\U0001aff0-\U0001b16f\U0001f200\U00020000-\U0003ffff]"
)


def _word_pattern(apostrophes: Apostrophes, special: bool, by_dictionary: bool) -> str:
    """Return the pattern of a word.

    `special`: the text has characters of `_SPECIAL`. With `by_dictionary`, characters in which to
    look words up are one match.
    """
    # Classes without inner brackets are several times faster.
    zero_width, letters, contracted = "", r"\p{L}\p{N}_", r"\p{L}"
    without_spaces: tuple[str, ...] = ()
    if special:
        zero_width = _ZERO_WIDTH + _TAGS[0]
        letters = rf"[\p{{L}}\p{{N}}_&&[^{_BY_CHARACTER}{_BY_DICTIONARY}]]"
        contracted = rf"[\p{{L}}&&{letters}]"
        looked_up = rf"{_BY_DICTIONARY}[{zero_width}\u200b{_BY_DICTIONARY}]*"
        without_spaces = (
            rf"[{_BY_CHARACTER}]\p{{M}}*",
            looked_up if by_dictionary else rf"{_BY_DICTIONARY}\p{{M}}*",
            rf"{_EMOJI}(?:\u200d{_EMOJI})+",
        )
    inside = rf"[{zero_width}\p{{M}}{letters}]"
    run = rf"[\p{{M}}{letters}]{inside}*"
    if special:
        run = rf"[{zero_width}]*{run}"
    by_apostrophes: dict[Apostrophes, tuple[str, ...]] = {
        Apostrophes.ENGLISH: (),
        Apostrophes.ELISION: (rf"(?i:{ELISIONS})['’](?=[\p{{L}}\p{{N}}«“\"])",),
        Apostrophes.SUFFIX: (
            rf"(?<=[{_LETTERS}])['’](?i:{SUFFIX}){_END}",
            rf"[\p{{Lu}}\p{{N}}]{inside}*(?:[-‐'’]{inside}+)*(?=['’](?i:{SUFFIX}){_END})",
        ),
    }
    words = (
        _ADDRESS,
        # A local part has at most 64 characters. Without the limit, time would be quadratic.
        rf"(?>[\p{{M}}{letters}.+-]{{1,64}})@[{_LETTERS}-]+(?:\.[{_LETTERS}-]+)+",
        _MENTION,
        *without_spaces,
        *by_apostrophes[apostrophes],
        _ENGLISH_CLITICS,
        *_ABBREVIATIONS,
        rf"(?i:{contracted}+?(?={_NOT}))",
        rf"{run}(?:(?:[-‐]|(?!(?i:{_CLITIC}|['’]t{_END}))['’]){run})*",
        _ANYTHING,
    )
    pattern = "|".join(f"(?:{word})" for word in words)
    attached = rf"[{zero_width}\u200b]*"
    return f"{attached}(?:{pattern}){attached}" if special else pattern


@cache
def _pre_tokenizer(
    apostrophes: Apostrophes | None, special: bool = False, by_dictionary: bool = False
) -> "PreTokenizer":
    """Return the regular expression of words-2, or of words-1 if `apostrophes` is None."""
    # Imported here because most corpora come as words.
    from tokenizers import Regex, pre_tokenizers

    if apostrophes is None:
        pattern = "|".join(f"(?:{pattern})" for pattern in _OLD_PATTERNS)
    else:
        pattern = _word_pattern(apostrophes, special, by_dictionary)
    return pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)


# --- Splitters ------------------------------------------------------------------------------------


def split_words(text: str, splitter: str | None = None) -> Words:
    """Return the words of raw text as (word, start, end), with `text[start:end] == word`.

    Positions are in code points. Between two words there is only white space. The text may
    contain halves of surrogate pairs. `splitter`: the name of a splitter, see `word_splitter`.
    Raises TypeError for what is not a string.
    """
    return word_splitter(splitter)(text)


@cache
def word_splitter(name: str | None = None) -> Splitter:
    """Return the splitter that a model was trained with; None for the newest one.

    Raises UserError if this installation cannot split text in the same way.
    """
    name = installed_splitter() if name is None else name
    base, package, icu = [*name.split("+"), "", ""][:3]
    if base not in (OLD_SPLITTER, WORD_SPLITTER):
        raise UserError(
            f"word splitter: unknown to this version: got {name}, expected {OLD_SPLITTER} or "
            f"{WORD_SPLITTER}. Use the version of the suite that trained the model."
        )
    installed = installed_splitter().partition("+")[2]
    if icu and not installed.endswith(f"+{icu}"):
        raise UserError(
            "word splitter: the words of the model were found with the dictionaries of ICU: got "
            f"{installed.replace('+', ', ') or 'no ICU'}, expected {package}, {icu}. To get the "
            f"same words, install it: pip install {package.replace('-', '==')}"
        )
    return partial(_split, old=base == OLD_SPLITTER, by_dictionary=bool(icu))


@cache
def installed_splitter() -> str:
    """Return the name of the newest splitter, with the version of ICU if it is installed."""
    if find_spec(ICU_PACKAGE) is None:
        return WORD_SPLITTER
    from importlib.metadata import version  # slow, and rarely needed

    import icu4py

    return f"{WORD_SPLITTER}+{ICU_PACKAGE}-{version(ICU_PACKAGE)}+icu-{icu4py.icu_version}"


def needs_dictionary(text: str) -> bool:
    """Return whether a text has characters of a script whose words only a dictionary can find."""
    return not text.isascii() and _NEEDS_DICTIONARY.search(text) is not None


def splitter_of(texts: Iterable[str]) -> str:
    """Return the name of the splitter that a model needs for such texts.

    A model of other scripts is saved without the version of ICU: it tags without ICU as well.
    """
    installed = installed_splitter()
    by_dictionary = installed != WORD_SPLITTER and any(map(needs_dictionary, texts))
    return installed if by_dictionary else WORD_SPLITTER


def _split(text: str, *, old: bool, by_dictionary: bool) -> Words:
    accepted = _LONE_SURROGATE.sub(_REPLACEMENT, text)
    by_dictionary = by_dictionary and needs_dictionary(text)
    if old:
        pre_tokenizer = _pre_tokenizer(None)
    else:
        special = not text.isascii() and _SPECIAL.search(text) is not None
        pre_tokenizer = _pre_tokenizer(apostrophes_of(text), special, by_dictionary)
    placed = pre_tokenizer.pre_tokenize_str(accepted)
    if not by_dictionary:
        return [(text[start:end], start, end) for _, (start, end) in placed]
    words = []
    for word, (start, end) in placed:
        if needs_dictionary(word):
            pieces = _pieces(word)
            words += [(text[start + i : start + j], start + i, start + j) for i, j in pieces]
        else:
            words.append((text[start:end], start, end))
    return words


def _pieces(run: str) -> list[tuple[int, int]]:
    """Return (start, end) of the words that ICU finds in a text without spaces.

    A piece without a letter, such as a character without width, stays with the word before it.
    """
    from icu4py.breakers import WordBreaker

    pieces: list[tuple[int, int]] = []
    for start, end in WordBreaker(run, "und").segments():
        has_letter = any(character.isalpha() for character in run[start:end])
        if pieces and not (has_letter and any(map(str.isalpha, run[: pieces[-1][1]]))):
            pieces[-1] = (pieces[-1][0], end)
        else:
            pieces.append((start, end))
    return pieces


# --- Halves of surrogate pairs --------------------------------------------------------------------

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # tokenizers do not accept it
_REPLACEMENT = "\ufffd"


def readable(words: list[str]) -> list[str]:
    """Return words that tokenizers accept: half of a surrogate pair becomes U+FFFD."""
    if not _LONE_SURROGATE.search("".join(words)):
        return words
    return [_LONE_SURROGATE.sub(_REPLACEMENT, word) for word in words]
