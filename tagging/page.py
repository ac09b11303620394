"""A page of tagged texts, in the look of a run's report.

    file.writelines(render_texts(Tagger(folder)(texts)))

Nothing of it needs more than one text at a time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from common import are_entity_tags
from support.markup import (
    PAGE_END,
    Html,
    escape,
    hue,
    number,
    page_start,
    pill,
    tag,
    tag_pill,
    together,
)

# The rule above closes the box of the texts before; the position keeps it from being painted over.
HEAD_STYLE = "position:relative;margin:0;padding:1.25rem 0 .5rem;border-top:1px solid var(--rule)"


def render_texts(results: Iterable[dict], title: str = "") -> Iterator[str]:
    """A page of tagged texts in pieces, one for each result, so that any number streams.

    Each of `results` has `text` and `entities` (`entity_group`, `score`, `start`, `end`: code
    points of the text, in order) and, where each word is wanted with its tag, `words` (`tag`,
    `score`, `start`, `end`), which are then shown instead. A `file` heads the texts that come from
    it. Raises ValueError for offsets that overlap or lie outside the text.
    """
    title = title or "Tagged texts"
    counts, texts, file = Counter(), 0, None
    yield page_start(title) + f'{tag("header", tag("h1", title))}<main class="texts">\n'
    for texts, result in enumerate(results, start=1):
        for entity in result.get("entities") or ():
            counts[entity["entity_group"]] += 1
        head = None
        if result.get("file") != file:
            file = result.get("file")
            head = tag("h2", file, style=HEAD_STYLE)
        yield together(
            head,
            tag(
                "article",
                tag("span", texts, class_="line"),
                tag("div", *text_parts(result), class_="text", dir="auto"),
            ),
            "\n",
        )
    pills = (together(pill(kind), f" {number(n)} ") for kind, n in sorted(counts.items()))
    found = f"{number(texts)} text{'s' if texts != 1 else ''}, {number(counts.total())} entities "
    yield tag("p", found, *pills, class_="summary") + Html("</main>") + PAGE_END


def text_parts(result: dict) -> Iterator[object]:
    """A text cut at its words or entities, each of these marked."""
    text, position = result["text"], 0
    words = result.get("words")
    if not text:
        yield tag("span", "empty", class_="quiet")
    # Chunks and entities come as B- and I- tags, and share the colour of their type.
    entity_tags = are_entity_tags(word["tag"] for word in words or ())
    for one in words if words is not None else result.get("entities") or ():
        start, end = one["start"], one["end"]
        if not position <= start <= end <= len(text):
            raise ValueError(f"no place for {start}:{end} in a text of {len(text)}: {one}")
        yield text[position:start]
        marked = text[start:end]
        yield _word_mark(marked, one, entity_tags) if words is not None else _mark(marked, one)
        position = end
    yield text[position:]


def _mark(text: str, entity: dict) -> Html:
    kind, confidence = entity["entity_group"], f"{entity['score']:.3f}"
    label = tag("b", kind, " ", tag("i", confidence), dir="ltr")
    label = tag("span", label, class_="label", style="white-space:nowrap")
    # Its own direction keeps the label behind the words, in whatever script they are.
    return tag("mark", text, label, class_="t", style=f"--h:{hue(kind)}", dir="auto")


def _word_mark(text: str, word: dict, entity_tags: bool) -> Html:
    if entity_tags and word["tag"] == "O":
        return escape(text)
    title = f"{word['tag']} {word['score']:.3f}"
    below = tag_pill(word["tag"], entity_tags)
    return tag("span", tag("bdi", text), below, class_="stack", title=title)
