"""The unit in which the offsets of spans count: characters, UTF-16 units, bytes, CRLF as one.

Python and most tools count characters (code points). Label Studio's browser counts UTF-16 units,
Java tools do, and some count bytes, or count CRLF as one. Where a text has no such characters, all
units agree. The spans of a whole file decide.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from corpus.words import Splitter, Words
from support.text import counted

SPECIAL = re.compile(r"[^\x00-\x7f]|\r\n")  # what units count differently


# Causes of offsets that are wrong by one, and the corrections of start and end.
SHIFTS = {
    "if the end were the last character": (0, 1),
    "if characters counted from 1, and the end were the last one": (-1, 0),
    "if characters counted from 1": (-1, -1),
}
MIN_SHIFTED = 2  # spans; a single one may be wrong for another reason
NEARLY_ALL = 0.9


class OffsetUnit(StrEnum):
    """Units of offsets, the likeliest first; the values are their names for the user."""

    CHARACTERS = "characters"
    UTF16 = "UTF-16 units"
    BYTES = "UTF-8 bytes"
    CRLF_AS_ONE = "characters, and CRLF as one"
    UTF16_CRLF_AS_ONE = "UTF-16 units, and CRLF as one"


class Span(NamedTuple):
    """A labelled span of a text. `text`: the characters that the export carries with it."""

    start: int
    end: int
    label: str
    text: str | None = None


class Positions:
    """The positions of offsets in a text, counted in characters."""

    def __init__(self, text: str, unit: OffsetUnit) -> None:
        self._positions: dict[int, int] | None = None
        if unit is not OffsetUnit.CHARACTERS and not (text.isascii() and "\r\n" not in text):
            self._positions = {}
            for position, offset in enumerate(accumulate(_widths(text, unit), initial=0)):
                self._positions.setdefault(offset, position)
            self._total = max(self._positions)

    def of(self, span: Span) -> Span | None:
        """Return a span in characters; None if an offset lies inside a character."""
        if self._positions is None:
            return span
        start, end = (
            self._positions.get(offset, None if 0 <= offset <= self._total else offset)
            for offset in (span.start, span.end)
        )
        return None if start is None or end is None else span._replace(start=start, end=end)


def _widths(text: str, unit: OffsetUnit) -> Iterable[int]:
    """Yield the number of units of each character."""
    crlf_as_one = unit in (OffsetUnit.CRLF_AS_ONE, OffsetUnit.UTF16_CRLF_AS_ONE)
    for character, after in zip(text, f"{text[1:]}\0", strict=True):
        if crlf_as_one and character == "\r" and after == "\n":
            yield 0
        elif unit is OffsetUnit.BYTES:
            yield len(character.encode("utf-8", "surrogatepass"))
        elif unit is OffsetUnit.CRLF_AS_ONE:
            yield 1
        else:
            yield 1 + (character > "\uffff")


def same_text(text: str, carried: str) -> bool:
    """Return whether a text equals the one that a span carries.

    White space and Unicode's composition may differ. Label Studio writes a line feed in the text
    of a span as a backslash and n.
    """
    if text == carried:
        return True
    return _squeezed(text) in (_squeezed(carried), _squeezed(carried.replace("\\n", "\n")))


def _squeezed(text: str) -> str:
    return unicodedata.normalize("NFC", "".join(text.split()))


def cut_words(span: Span, words: Words) -> tuple[int, int, list[str]]:
    """Return the first word of a span, the word after its last, and the words that it cuts.

    A word that sticks out only by characters without a width, which stay with it, is not cut.
    """
    first = bisect_right(words, span.start, key=lambda word: word[2])
    stop = bisect_left(words, span.end, first, key=lambda word: word[1])
    cut = [
        word
        for word, start, end in ((words[first], words[stop - 1]) if stop > first else ())
        if (start < span.start < end and not _has_no_width(word[: span.start - start]))
        or (start < span.end < end and not _has_no_width(word[span.end - start :]))
    ]
    return first, stop, cut


def _has_no_width(text: str) -> bool:
    return all(unicodedata.category(character) == "Cf" for character in text)


def fit_in_characters(text: str, spans: Iterable[Span], split_words: Splitter) -> bool:
    """Return whether all spans of a text fit that would differ in another unit."""
    special = SPECIAL.search(text)
    words: Words | None = None
    for span in spans if special else ():
        if special is None or span.end <= special.start():
            continue
        if span.text is None and _between_blanks(text, span):
            continue
        if span.text is None and words is None:
            words = split_words(text)
        if not _fits(text, words, span):
            return False
    return True


def _between_blanks(text: str, span: Span) -> bool:
    """Return whether a span consists of whole words, because no word has white space inside."""
    start, end = span.start, span.end
    if not 0 <= start < end <= len(text) or text[start].isspace():
        return False
    outside = (text[start - 1] if start else " ") + (text[end] if end < len(text) else " ")
    return outside.isspace()


class UnitSurvey:
    """Counts, over the texts of a file, the spans that fit in each unit.

    Only spans count that differ between units. A span fits if its text is the text that it
    carries; if it carries none, if it begins and ends at the edges of words.
    """

    def __init__(self, split_words: Splitter) -> None:
        self.split_words = split_words
        self.spans = 0
        self.misfits: Counter[OffsetUnit] = Counter()
        self.differing: set[frozenset[OffsetUnit]] = set()  # pairs of units that fit differently

    def add(self, text: str, spans: Iterable[Span]) -> None:
        """Count the spans of a text."""
        if text.isascii() and "\r\n" not in text:
            return
        words: Words | None = None
        positions = {unit: Positions(text, unit) for unit in OffsetUnit}
        for span in spans:
            placed = {unit: positions[unit].of(span) for unit in OffsetUnit}
            if len(set(placed.values())) == 1:
                continue
            self.spans += 1
            if span.text is None and words is None:
                words = self.split_words(text)
            for unit, converted in placed.items():
                if converted is None or not _fits(text, words, converted):
                    self.misfits[unit] += 1
            self.differing |= {
                frozenset((first, second))
                for first in OffsetUnit
                for second in OffsetUnit
                if placed[first] != placed[second]
            }

    def unit(self) -> tuple[OffsetUnit, str | None]:
        """Return the unit of the file, and a description of what does not fit.

        Characters are the unit if all spans fit, and if no other unit fits better. Another one is
        if only in it all spans fit.
        """
        characters = OffsetUnit.CHARACTERS
        if not self.misfits[characters]:
            return characters, None
        fitting = [unit for unit in OffsetUnit if not self.misfits[unit]]
        alike = all(frozenset((fitting[0], unit)) not in self.differing for unit in fitting[1:])
        if fitting and alike:
            return fitting[0], None
        best = min(OffsetUnit, key=lambda unit: self.misfits[unit])
        if self.misfits[best] == self.misfits[characters]:
            return characters, None
        rows = [
            f"{self.spans - self.misfits[unit]:,} in {unit}"
            for unit in OffsetUnit
            if self.misfits[unit] <= self.misfits[characters]
        ]
        of_them = f"of {counted(self.spans, 'span')} after special characters"
        return characters, f"{of_them} these fit: {'; '.join(rows)}"


class ShiftSurvey:
    """Counts the spans that do not fit, and those that would fit if moved by one character."""

    def __init__(self, split_words: Splitter) -> None:
        self.split_words = split_words
        self.spans = 0
        self.fitting: Counter[str] = Counter()

    def add(self, text: str, span: tuple[int, int]) -> None:
        """Count a span that does not fit."""
        self.spans += 1
        words = self.split_words(text)
        for cause, (start, end) in SHIFTS.items():
            moved = Span(span[0] + start, span[1] + end, "")
            whole = _fits(text, words, moved)
            if whole and not (text[moved.start].isspace() or text[moved.end - 1].isspace()):
                self.fitting[cause] += 1

    def description(self) -> str | None:
        """Describe the shift that explains nearly all spans that do not fit, if there is one."""
        cause, count = next(iter(self.fitting.most_common(1)), ("", 0))
        if count < MIN_SHIFTED or count < NEARLY_ALL * self.spans:
            return None
        return f"{count:,} of {counted(self.spans, 'span')} that do not fit would fit {cause}"


def _fits(text: str, words: Words | None, span: Span) -> bool:
    if not 0 <= span.start < span.end <= len(text):
        return False
    if span.text is not None:
        return same_text(text[span.start : span.end], span.text)
    first, stop, cut = cut_words(span, words or [])
    return first < stop and not cut
