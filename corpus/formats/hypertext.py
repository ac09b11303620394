"""Texts that Label Studio shows as HTML: their spans count the characters shown."""

import html
import re
from itertools import accumulate
from typing import Any

from corpus.formats.offset_units import OffsetUnit, Positions, Span, same_text

BLOCKS = {
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset",
    "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main",
    "nav", "ol", "p", "pre", "section", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}  # fmt: skip
TAG = re.compile(r"<(?:[!?]|/?([a-zA-Z][a-zA-Z0-9]*+))[^<>]*+>")  # also comments
MARKUP = re.compile(rf"{TAG.pattern}|&(?:#\d++|#[xX][0-9a-fA-F]++|\w++);")


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


def _shown(source: str, break_text: str) -> tuple[str, set[int]]:
    """Return the characters that a browser shows, and the positions where blocks begin or end.

    `break_text` stands for the element br. A standard parser would be quadratic on broken HTML.
    """
    parts: list[str] = []
    edges: set[int] = set()
    length = end = 0
    for tag in TAG.finditer(source):
        parts.append(html.unescape(source[end : tag.start()]))
        length += len(parts[-1])
        end = tag.end()
        name = (tag[1] or "").lower()
        if name in BLOCKS:
            edges.add(length)
        if name == "br":
            parts.append(break_text)
            length += len(break_text)
    parts.append(html.unescape(source[end:]))
    return "".join(parts), edges


def rendered(text: str, spans: list[Span]) -> tuple[str, list[Span]] | None:
    """Return the text that a browser shows for HTML, and the spans in its characters.

    Of several ways to count, the first is taken in which each span has the text that it carries.
    Returns None if there is none, or for a text without markup. Blocks are separated by a line
    feed, so that their words stay apart.
    """
    if not MARKUP.search(text):
        return None
    for break_text in ("", "\n"):
        shown, edges = _shown(text, break_text)
        for unit in (OffsetUnit.UTF16, OffsetUnit.CHARACTERS):
            placed = [Positions(shown, unit).of(span) for span in spans]
            known = [span for span in placed if span is not None and _carries(shown, span)]
            if len(known) == len(spans):
                return _with_line_feeds(shown, edges, known)
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
