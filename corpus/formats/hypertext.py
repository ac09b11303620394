"""Texts that Label Studio shows as HTML: their spans count the characters shown."""

import re
from html.parser import HTMLParser
from itertools import accumulate
from typing import Any

from corpus.formats.offset_units import OffsetUnit, Positions, Span, same_text

BLOCKS = {
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset",
    "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main",
    "nav", "ol", "p", "pre", "section", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}  # fmt: skip
MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|&(?:#\d+|#[xX][0-9a-fA-F]+|\w+);")


def is_hypertext_span(span: dict[str, Any]) -> bool:
    """Return whether a span is placed by elements of a page, not by offsets into a text."""
    return type(span.get("start")) is not int and (
        "globalOffsets" in span or "hypertextlabels" in span
    )


def offsets_of(span: dict[str, Any]) -> tuple[Any, Any]:
    """Return the offsets of a span in the characters shown; None where it has none."""
    shown = span.get("globalOffsets")
    if isinstance(shown, dict):
        return shown.get("start"), shown.get("end")
    only_text = span.get("start") == span.get("end") == "/text()[1]"
    return (span.get("startOffset"), span.get("endOffset")) if only_text else (None, None)


class _Renderer(HTMLParser):
    """Collects the characters that a browser shows, and where blocks begin and end."""

    def __init__(self, break_text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.break_text = break_text  # of the element br
        self.parts: list[str] = []
        self.edges: set[int] = set()  # positions of block edges
        self.length = 0

    def handle_data(self, data: str) -> None:
        """Collect a text node."""
        self.parts.append(data)
        self.length += len(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the beginning of a block."""
        if tag in BLOCKS:
            self.edges.add(self.length)
        if tag == "br":
            self.handle_data(self.break_text)

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a block."""
        if tag in BLOCKS:
            self.edges.add(self.length)


def rendered(text: str, spans: list[Span]) -> tuple[str, list[Span]] | None:
    """Return the text that a browser shows for HTML, and the spans in its characters.

    Of several ways to count, the first is taken in which each span has the text that it carries.
    Returns None if there is none, or for a text without markup. Blocks are separated by a line
    feed, so that their words stay apart.
    """
    if not MARKUP.search(text):
        return None
    for break_text in ("", "\n"):
        renderer = _Renderer(break_text)
        renderer.feed(text)
        renderer.close()
        shown = "".join(renderer.parts)
        for unit in (OffsetUnit.UTF16, OffsetUnit.CHARACTERS):
            placed = [Positions(shown, unit).of(span) for span in spans]
            known = [span for span in placed if span is not None and _carries(shown, span)]
            if len(known) == len(spans):
                return _with_line_feeds(shown, renderer.edges, known)
    return None


def _carries(text: str, span: Span) -> bool:
    inside = 0 <= span.start < span.end <= len(text)
    return inside and span.text is not None and same_text(text[span.start : span.end], span.text)


def _with_line_feeds(text: str, edges: set[int], spans: list[Span]) -> tuple[str, list[Span]]:
    """Return a text with a line feed at each edge between two words, and its spans."""
    inserted = {edge for edge in edges if 0 < edge < len(text)}
    inserted = {edge for edge in inserted if not (text[edge - 1].isspace() or text[edge].isspace())}
    counts = list(accumulate((position in inserted for position in range(len(text))), initial=0))
    moved = [
        span._replace(start=span.start + counts[span.start + 1], end=span.end + counts[span.end])
        for span in spans
    ]
    parts = (("\n" if i in inserted else "") + letter for i, letter in enumerate(text))
    return "".join(parts), moved
