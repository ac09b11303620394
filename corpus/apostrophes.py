"""The rule of a text for its apostrophes: elision, as in French, or suffixes, as in Turkish.

Which language a text is in shows in its most frequent words. Without evidence, the apostrophes are
read as English ones: D'Angelo, O'Brien and Sana'a stay whole in an English text.
"""

import re
from enum import StrEnum


class Apostrophes(StrEnum):
    """Ways in which a language uses the apostrophe between two letters."""

    ENGLISH = "english"  # did|n't, John|'s; otherwise inside a word
    ELISION = "elision"  # l'|Italie, dell'|arte
    SUFFIX = "suffix"  # Ankara|'da


# Words of French and Italian that lose their last vowel.
_SHORT_ELISIONS = "c|d|m|s|t|v|ç"  # also found in English texts, as in "coup d'etat"
_LONG_ELISIONS = (
    "l|j|n|qu|jusqu|lorsqu|puisqu|quoiqu|"
    "agl|alcun|all|anch|bell|buon|ch|ciascun|coll|com|cos|dagl|dall|degl|dell|dov|gl|mezz|negl|"
    "nell|nessun|nient|qualcun|quand|quant|quell|quest|sant|senz|sugl|sull|tutt|un"
)
ELISIONS = f"{_LONG_ELISIONS}|{_SHORT_ELISIONS}"
# Turkish writes case and other endings of names and numbers behind an apostrophe. A chain has few
# endings; the limit also bounds the ways in which a regular expression can read it.
_ENDING = (
    "n?[dt][ae]n?|[yn]?[ae]|[yns]?[ıiuü]|n?[ıiuü]n|y?l[ae]|l[ae]r|l[ıiuü]k?|s[ıiuü]z|[cç][ae]|ki|"
    "[dt][ıiuü]r|[ıiuü]nc[ıiuü]|[ıiuü]?m[ıiuü]z|[ıiuü]m|y?ken|yd[ıiuü]|y?m[ıiuü]ş"
)
SUFFIX = f"(?:{_ENDING}){{1,4}}"

_APOSTROPHE = re.compile("['’]")
_CANDIDATE = re.compile(
    rf"(?<![\w'’])(?:(?:{ELISIONS})['’](?=\w)|\w{{2,64}}['’]{SUFFIX}(?!\w))", re.IGNORECASE
)
_NOT_ELIDED = (  # English words that look like an elision
    r"c['’]mon|d['’](?:oh|ya|you)|l['’]il|m['’](?:kay|lady|lord)|n['’]t|"
    r"s['’](?:mores?|pose)|t['’](?:is|other|was|will)"
)
_ELIDED = re.compile(
    rf"(?<![\w'’])(?!(?:{_NOT_ELIDED})(?!\w))(?:({_LONG_ELISIONS})|{_SHORT_ELISIONS})['’](?=\w)"
)
# An ending of one letter is also found in names, such as Sana'a and Hawai'i.
_SUFFIXED = re.compile(rf"(?<![\w'’])(\w{{2,64}})['’](?=\w\w){SUFFIX}(?!\w)")
_ENGLISH_CLITIC = re.compile(r"\w\w['’](?:s|t|m|re|ve|ll)(?!\w)", re.IGNORECASE)
# Not the parts of a word with an apostrophe: the suffix of Ahmet'in is not the English word.
_WORD = re.compile(r"(?<![\w'’])[^\W\d_]+(?![\w])(?!['’]\w)")
_TURKISH_LETTER = re.compile("[ığşİ]")
_ACCENT = re.compile("[àâçèéêëîïôùûœ]")

_ENGLISH_WORDS = """
about after an and are as at be been but by can did do does for from get go good got had has have he
her here him his how i if in is it its just know like more my new not now of or our out over said
she so than that the their them then there they this to up was we were what when where which who
why will with would you your
"""
_ROMANCE_WORDS = """
au aux avec ce ces cette dans des du elle elles est et il ils je la le les leur mais nous pas que
qui sa ses sont sur très un une vous été
al alla alle anche che con da dal dalla degli dei del della delle dello di ed era gli ha hanno lo
nei nel nella più questa questo sono sul sulla è
"""
_TURKISH_WORDS = """
ama ancak bir bu daha de dedi değil etti gibi ile ise için kadar ki mi olan olarak oldu sonra ve çok
"""
_ENGLISH, _ROMANCE, _TURKISH = (
    frozenset(words.split()) for words in (_ENGLISH_WORDS, _ROMANCE_WORDS, _TURKISH_WORDS)
)


def apostrophes_of(text: str) -> Apostrophes:
    """Return how a text uses apostrophes.

    Words of another language count only in lower case, because names such as "La Liga" are found
    in English texts; there must be more of them than of English ones.
    """
    if not _APOSTROPHE.search(text) or not _CANDIDATE.search(text):
        return Apostrophes.ENGLISH
    english = len(_ENGLISH_CLITIC.findall(text))
    romance = sum(2 if long else 1 for long in _ELIDED.findall(text))
    turkish = sum(name[0].isupper() or name[0].isdigit() for name in _SUFFIXED.findall(text))
    for word in _WORD.findall(text):
        english += word.lower() in _ENGLISH
        romance += word in _ROMANCE or (word.islower() and bool(_ACCENT.search(word)))
        turkish += word in _TURKISH or bool(_TURKISH_LETTER.search(word))
    if romance > english and romance >= turkish:
        return Apostrophes.ELISION
    return Apostrophes.SUFFIX if turkish > max(english, romance) else Apostrophes.ENGLISH
