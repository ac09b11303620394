"""An HTML page of tagged texts, styled like the report of a run.

    file.writelines(render_texts(Tagger(folder)(texts)))

The page holds one text in memory at a time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from common import are_entity_tags
from support.html import page_environment

TEMPLATES = Path(__file__).parent / "templates"


class Part(NamedTuple):
    """A stretch of a text: an entity or word with its label, or text between them (label None)."""

    text: str
    label: str | None = None
    score: str = ""
    type: str = ""  # gives the label its colour


class Article(NamedTuple):
    """One text of the page; `heading` names its file where the texts of a file begin."""

    number: int
    heading: str | None
    parts: list[Part]
    word_by_word: bool


class Articles:
    """The texts of a page, read once as a stream, and the counts of those read so far."""

    def __init__(self, results: Iterable[dict[str, Any]]):
        self.number = 0
        self._results = results
        self._counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Article]:
        file = None
        for result in self._results:
            self.number += 1
            self._counts.update(entity["entity_group"] for entity in result.get("entities") or ())
            heading = None
            if result.get("file") != file:
                file = result.get("file")
                heading = file or ""
            word_by_word = result.get("words") is not None
            yield Article(self.number, heading, list(text_parts(result)), word_by_word)

    @property
    def num_entities(self) -> int:
        """The number of entities in the texts read so far."""
        return self._counts.total()

    @property
    def counts_by_type(self) -> list[tuple[str, int]]:
        """The number of entities of each type in the texts read so far, by the type's name."""
        return sorted(self._counts.items())


def render_texts(results: Iterable[dict[str, Any]], title: str = "") -> Iterator[str]:
    """Yield the pieces of a page of tagged texts, each text in one piece as soon as it is read.

    Each of `results` has `text` and `entities` (`entity_group`, `score`, `start`, `end`: code
    points of the text, in order). If it has `words` (`tag`, `score`, `start`, `end`), these are
    shown instead of the entities. A `file` is a heading above the texts that come from it. Raises
    ValueError for offsets that overlap or lie outside the text.
    """
    template = page_environment(TEMPLATES).get_template("tagged_texts.html.jinja")
    pieces = template.generate(title=title or "Tagged texts", texts=Articles(results))
    return map(str, pieces)  # not `Markup`, which would escape what a caller adds to it


def text_parts(result: dict[str, Any]) -> Iterator[Part]:
    """Yield a text in parts: its words or entities with their labels, and the text between."""
    text, words = result["text"], result.get("words")
    # Chunks and entities come as B- and I- tags, and share the colour of their type.
    entity_tags = are_entity_tags(word["tag"] for word in words or ())
    position = 0
    for span in words if words is not None else result.get("entities") or ():
        start, end = span["start"], span["end"]
        if not position <= start <= end <= len(text):
            raise ValueError(
                f"offsets {start}:{end} overlap the span before or lie outside the text of "
                f"{len(text)} characters: {span}"
            )
        if position < start:
            yield Part(text[position:start])
        marked, score = text[start:end], f"{span['score']:.3f}"
        if words is None:
            yield Part(marked, span["entity_group"], score, span["entity_group"])
        elif not entity_tags:
            yield Part(marked, span["tag"], score, span["tag"])
        elif span["tag"] == "O":
            yield Part(marked)
        else:
            yield Part(marked, span["tag"], score, span["tag"].partition("-")[2])
        position = end
    if position < len(text):
        yield Part(text[position:])
