"""The original text between the words of a sentence, read back from the records of the corpus.

    originals = OriginalTexts(places)              # reads each file once
    originals.between(place, ["isn't", "it", "?"])    # [" ", "", ""]

A corpus holds words. A text that a splitter has cut into words is shown as it was written.
"""

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from corpus.problems import Place

LONGEST_LINE = 1_000_000  # characters; longer records are not searched


class OriginalTexts:
    """The texts of the records at some places: strings in JSON Lines."""

    def __init__(self, places: Iterable[Place | None]):
        lines: dict[str, set[int]] = defaultdict(set)
        for place in places:
            if place is not None and place.line is not None:
                lines[place.file].add(place.line)
        self._texts = {
            (file, line): texts
            for file, numbers in lines.items()
            for line, texts in _texts_of_lines(file, numbers)
        }

    def between(self, place: Place | None, words: Sequence[str]) -> list[str]:
        """Return the white space after each word; a space if the text is not known."""
        texts = self._texts.get((place.file, place.line), ()) if place and place.line else ()
        pattern = r"(\s*)".join(map(re.escape, words))
        matches = (re.search(pattern, text) for text in texts) if len(words) > 1 else ()
        found = next((match for match in matches if match), None)
        if found is None:
            return [" "] * len(words)
        return [*found.groups(), ""]


def _texts_of_lines(file: str, numbers: set[int]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each of these lines that is a JSON object, and its strings."""
    try:
        with open(file, encoding="utf-8-sig") as lines:
            for number, line in enumerate(itertools.islice(lines, max(numbers)), start=1):
                is_record = line.lstrip().startswith("{") and len(line) <= LONGEST_LINE
                if number in numbers and is_record:
                    yield number, list(_strings(json.loads(line)))
    except (OSError, ValueError, RecursionError):  # a split of a data set, or another layout
        return


def _strings(value: Any) -> Iterator[str]:
    """Yield the strings in a JSON value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
