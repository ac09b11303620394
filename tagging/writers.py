"""Tagged texts as people and programs read them: JSON Lines, CoNLL, CSV, a page, a terminal.

Each writer takes results one by one and gives pieces of text, so that streams of any length
pass through in constant memory.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tagging.tagger import Tagged

FORMATS = ("pretty", "jsonl", "conll", "html", "csv")
BY_ENDING = {
    **{f".{name}": name for name in FORMATS},
    **{".txt": "pretty", ".json": "jsonl", ".ndjson": "jsonl"},
    **{".htm": "html", ".iob2": "conll"},
}
LINE_ENDS = re.compile("[\x85\u2028\u2029]")


class Result(NamedTuple):
    """One input, tagged. `found`: what `Tagger.result` gives; `fields`: what the input carries
    along; `source`: the file it came from, where there are several.
    """

    tagged: Tagged
    found: dict
    fields: dict
    source: str | None = None


def as_jsonl(results: Iterable[Result]) -> Iterator[str]:
    """One object a line: the input's own fields, the text, what was found in it."""
    for result in results:
        source = {} if result.source is None else {"file": result.source}
        found = {
            key: _rounded(value) if isinstance(value, list) else value
            for key, value in result.found.items()
        }
        row = {**source, **result.fields, **found}
        line = json.dumps(row, ensure_ascii=False)
        # JSON may hold these as they are, but many a reader takes them for the end of a line.
        yield LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n"


def _rounded(ones: list[dict]) -> list[dict]:
    return [{**one, "score": round(one["score"], 4)} for one in ones]


def as_conll(results: Iterable[Result], scores: bool = False) -> Iterator[str]:
    """Word and tag a line, tab between them, an empty line after each text."""
    for result in results:
        _, words, tags, probabilities = result.tagged
        rows = []
        for (word, _, _), tag, probability in zip(words, tags, probabilities, strict=True):
            cells = [re.sub(r"[\t\n\v\f\r\x85\u2028\u2029]", "_", word) or "_", tag]
            rows.append("\t".join([*cells, f"{probability:.4f}"] if scores else cells) + "\n")
        yield "".join(rows) + "\n"


def as_csv(results: Iterable[Result], with_source: bool = False) -> Iterator[str]:
    """A row for each entity, or word; `text` numbers the inputs from 1."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    head = ["text", "kind", "label", "score", "start", "end", "word"]
    writer.writerow(["file", *head] if with_source else head)
    for number, result in enumerate(results, 1):
        rows = [
            (kind, one[key], f"{one['score']:.4f}", one["start"], one["end"], one["word"])
            for kind, group, key in (
                ("entity", "entities", "entity_group"),
                ("word", "words", "tag"),
            )
            for one in result.found.get(group, ())
        ]
        for row in rows:
            writer.writerow([result.source, number, *row] if with_source else [number, *row])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()  # the head, where there was no text


def as_html(results: Iterable[Result], title: str = "") -> Iterator[str]:
    """A page; `title` says what was tagged."""
    from tagging.page import render_texts

    return render_texts((result.found | {"file": result.source} for result in results), title)


# --- On a terminal ------------------------------------------------------------------------------

COLOURS = (36, 33, 35, 32, 34, 31)  # cyan, yellow, magenta, green, blue, red


class Cell(NamedTuple):
    """A stretch of text with the label that goes under it ("" for none)."""

    text: str
    label: str
    kind: str


def as_pretty(results: Iterable[Result], width: int = 80, colour: bool = True) -> Iterator[str]:
    """The text, in lines of at most `width` columns, with the labels under the words.

    Without colour entities stand in brackets.
    """
    paint = Paint() if colour else None
    shown_source = None
    for result in results:
        head = ""
        if result.source is not None and result.source != shown_source:
            head = f"== {visible(result.source)} ==\n"
            shown_source = result.source
        lines = [
            piece
            for line in _lines_of_cells(_cells(result.found, paint is None), width)
            for piece in _draw(line, paint)
        ]
        yield head + "".join(f"{line}\n" for line in lines or [""])


class Paint:
    """A colour for each kind, in the order in which the kinds appear."""

    def __init__(self):
        self.codes: dict[str, int] = {}

    def __call__(self, text: str, kind: str, style: str) -> str:
        code = self.codes.setdefault(kind, COLOURS[len(self.codes) % len(COLOURS)])
        return f"\x1b[{style}{code}m{text}\x1b[0m" if text else ""


def _cells(found: dict, brackets: bool) -> Iterator[Cell]:
    """The text cut into words and entities, which stay in one piece if a line has room."""
    text, position = found["text"], 0
    if "words" in found:
        marks = [
            (word["start"], word["end"], word["tag"], word["tag"].rpartition("-")[2])
            for word in found["words"]
            if word["tag"] != "O"
        ]
        brackets = False
    else:
        marks = [
            (
                one["start"],
                one["end"],
                f"{one['entity_group']} {one['score']:.2f}",
                one["entity_group"],
            )
            for one in found["entities"]
        ]
    for start, end, label, kind in marks:
        yield from _plain_cells(text[position:start])
        marked = visible(text[start:end])
        yield Cell(f"[{marked}]" if brackets else marked, label, kind)
        position = end
    yield from _plain_cells(text[position:])


def _plain_cells(text: str) -> Iterator[Cell]:
    for piece in re.findall(r"\n|[^\S\n]+|\S+", text):
        yield Cell("\n" if piece == "\n" else visible(piece), "", "")


def _lines_of_cells(cells: Iterable[Cell], width: int) -> Iterator[list[Cell]]:
    """Break before the cell that the line has no room for, and at line ends of the text."""
    line: list[Cell] = []
    used = 0
    for cell in cells:
        size = max(width_of(cell.text), width_of(cell.label) + 1 if cell.label else 0)
        if cell.text == "\n" or (line and used + size > width):
            yield line
            line, used = [], 0
            if not cell.text.strip():
                continue
        line.append(cell)
        used += size
    if line:
        yield line


def _draw(line: list[Cell], paint: Paint | None) -> Iterator[str]:
    """The line, and under it its labels, if it has any."""
    above, below = "", ""
    at, label_end = 0, 0  # columns used in both
    for cell in line:
        if cell.label:
            if label_end and label_end >= at:  # the label before reaches here: make room
                above += " " * (label_end + 1 - at)
                at = label_end + 1
            below += " " * (at - label_end)
            below += paint(cell.label, cell.kind, "") if paint else cell.label
            label_end = at + width_of(cell.label)
        above += paint(cell.text, cell.kind, "1;") if paint and cell.label else cell.text
        at += width_of(cell.text)
    yield above.rstrip(" ")
    if below:
        yield below


def visible(text: str) -> str:
    """White space as one space, control characters as pictures: nothing moves the cursor."""
    from support.text import printable

    return printable(re.sub(r"\s", " ", text))


def width_of(text: str) -> int:
    """Columns that a text takes on a terminal.

    Two for East Asian wide characters and emoji; none for combining marks, and for what a
    joiner or a skin tone makes part of the emoji before it.
    """
    total = last = 0
    joined = half_flag = False
    for character in text:
        if character == "\ufe0f":  # shows the character before as an emoji
            total += last == 1
            last = 2
        elif joined or (last == 2 and "\U0001f3fb" <= character <= "\U0001f3ff"):
            joined = False
        elif character == "\u200d":
            joined = last == 2
        elif half_flag and _is_regional(character):  # two of them are one flag
            half_flag = False
        elif unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            half_flag = _is_regional(character)
            wide = half_flag or unicodedata.east_asian_width(character) in "WF"
            last = 2 if wide else 1
            total += last
    return total


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
