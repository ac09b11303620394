"""An HTML page of tagged texts, styled like the report of a run.

    tagger = Tagger(folder)
    file.writelines(render_texts(tagger(texts), label_names=tagger.label_names))

The page holds one text in memory at a time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from common import are_entity_tags
from support.html import page_environment
from support.type_colours import type_hues

TEMPLATES = Path(__file__).parent / "templates"
NO_SCORE = 10_001  # after all texts that have a score


class Part(NamedTuple):
    """A stretch of a text: an entity or word with its label, or text between them (label None)."""

    text: str
    label: str | None = None
    score: str = ""
    type: str = ""  # gives the label its colour
    type_number: int = 0  # by which the page is filtered; 0 without a type


class Article(NamedTuple):
    """One text of the page; `heading` names its file where the texts of a file begin.

    `lowest_score`: in ten thousandths, by which the page is sorted; texts without one come last.
    """

    number: int
    record_id: str | None
    heading: str | None
    parts: list[Part]
    word_by_word: bool
    type_numbers: list[int]
    lowest_score: int


class Articles:
    """The texts of a page, read once as a stream, and the counts of those read so far."""

    def __init__(self, results: Iterable[dict[str, Any]]):
        self.number = 0
        self._results = results
        self._counts: Counter[str] = Counter()
        self._plain = False  # plain tags of words, no entities
        self._type_numbers: dict[str, int] = {"": 0}

    def __iter__(self) -> Iterator[Article]:
        file = None
        for result in self._results:
            self.number += 1
            self._plain = "entities" not in result
            if not self._plain:
                self._counts.update(entity["entity_group"] for entity in result["entities"])
            else:
                self._counts.update(span["tag"] for span in result.get("words") or ())
            heading = None
            if result.get("file") != file:
                file = result.get("file")
                heading = file or ""
            parts = [
                part._replace(type_number=self._type_number(part.type))
                for part in text_parts(result)
            ]
            spans = result.get("entities") or result.get("words") or ()
            scores = [span["score"] for span in spans]
            yield Article(
                self.number,
                result.get("record_id"),
                heading,
                parts,
                result.get("words") is not None,
                sorted({part.type_number for part in parts} - {0}),
                round(10_000 * min(scores)) if scores else NO_SCORE,
            )

    def _type_number(self, type_: str) -> int:
        return self._type_numbers.setdefault(type_, len(self._type_numbers))

    @property
    def num_labels(self) -> int:
        """The number of entities, or of words with plain tags, in the texts read so far."""
        return self._counts.total()

    @property
    def noun(self) -> str:
        """The noun for the labels that are counted."""
        singular, plural = ("tag", "tags") if self._plain else ("entity", "entities")
        return singular if self.num_labels == 1 else plural

    @property
    def counts_by_type(self) -> list[tuple[str, int, int]]:
        """Name, number and count of each type in the texts read so far, by the type's name."""
        return [
            (type_, self._type_number(type_), count)
            for type_, count in sorted(self._counts.items())
        ]


def render_texts(
    results: Iterable[dict[str, Any]], title: str = "", label_names: Iterable[str] = ()
) -> Iterator[str]:
    """Yield the pieces of a page of tagged texts, each text in one piece as soon as it is read.

    Each of `results` has `text` and `entities` (`entity_group`, `score`, `start`, `end`: code
    points of the text, in order). If it has `words` (`tag`, `score`, `start`, `end`), these are
    shown instead of the entities. A `file` is a heading above the texts that come from it, and a
    `record_id` is shown beside the text. Without a script, the page is filtered by type and sorted
    by the lowest score in each text. Raises ValueError for offsets that overlap or lie outside the
    text. `label_names`: the labels of the model; each of their types has a colour.
    """
    template = page_environment(TEMPLATES).get_template("tagged_texts.html.jinja")
    pieces = template.generate(
        title=title or "Tagged texts", texts=Articles(results), hues=type_hues(label_names)
    )
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
