"""Results for a terminal: the text with its labels under the words, in colour through rich."""

import io
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from support.terminal import console
from support.text import on_terminal
from support.type_colours import hue_of, terminal_style, type_hues
from tagging.chunks import TaggedItem


class Cell(NamedTuple):
    """A stretch of text and the label under it."""

    text: str
    label: str = ""  # empty: no label
    kind: str = ""  # the type or tag, which decides its colour


def as_pretty(
    items: Iterable[TaggedItem],
    file: IO[str],
    width: int | None = None,
    label_names: Iterable[str] = (),
) -> Iterator[str]:
    """Yield each text in lines of at most `width` columns, with labels under the words.

    `width` defaults to that of the terminal. Colour depends on `file` and on NO_COLOR, FORCE_COLOR
    and TERM, as rich reads them. Without colour, entities are in brackets. `label_names`: those of
    the model; each of their types has a colour.
    """
    width = width or shutil.get_terminal_size().columns
    destination = console(file)
    coloured = destination.color_system is not None and not destination.no_color
    buffer = console(
        io.StringIO(),
        force_terminal=coloured,
        color_system=destination.color_system if coloured else None,
    )
    hues = type_hues(label_names)

    def style_of(kind: str) -> str:
        type_ = kind if kind in hues else kind.partition("-")[2] or kind
        return terminal_style(hue_of(type_, hues), destination.color_system)

    shown_source = None
    for item in items:
        lines: list[Text] = []
        if item.source is not None and item.source != shown_source:
            lines.append(Text(f"== {visible(item.source)} =="))
            shown_source = item.source
        body = [
            line
            for cells in _lines_of_cells(_cells(item.result, brackets=not coloured), width)
            for line in _draw(cells, style_of)
        ]
        lines += body or [Text("")]
        with buffer.capture() as capture:
            buffer.print(Text("\n").join(lines))
        yield capture.get()


def _cells(result: dict[str, Any], brackets: bool) -> Iterator[Cell]:
    """Yield the cells of a text: its entities or tagged words, and the words between them."""
    text, position = result["text"], 0
    if "words" in result:
        marks = [
            (word["start"], word["end"], word["tag"], word["tag"])
            for word in result["words"]
            if word["tag"] != "O"
        ]
        brackets = False
    else:
        marks = [
            (
                entity["start"],
                entity["end"],
                f"{entity['entity_group']} {entity['score']:.2f}",
                entity["entity_group"],
            )
            for entity in result["entities"]
        ]
    for start, end, label, kind in marks:
        yield from _plain_cells(text[position:start])
        marked = visible(text[start:end])
        yield Cell(f"[{marked}]" if brackets else marked, visible(label), kind)
        position = end
    yield from _plain_cells(text[position:])


def _plain_cells(text: str) -> Iterator[Cell]:
    for piece in re.findall(r"\n|[^\S\n]+|\S+", text):
        yield Cell("\n" if piece == "\n" else visible(piece))


def _lines_of_cells(cells: Iterable[Cell], width: int) -> Iterator[list[Cell]]:
    """Yield lines of cells; a line ends before a cell too wide for it, and at the text's LF."""
    line: list[Cell] = []
    used = 0
    for cell in cells:
        size = max(cell_len(cell.text), cell_len(cell.label) + 1 if cell.label else 0)
        if cell.text == "\n" or (line and used + size > width):
            yield line
            line, used = [], 0
            if not cell.text.strip():
                continue
        line.append(cell)
        used += size
    if line:
        yield line


def _draw(cells: list[Cell], style_of: Callable[[str], str]) -> Iterator[Text]:
    """Yield a line of text and, if it has labels, the line of its labels.

    `style_of` returns the colour of a kind.
    """
    above, below = Text(), Text()
    column, label_end = 0, 0  # columns used above and below
    for cell in cells:
        style = ""
        if cell.label:
            style = style_of(cell.kind)
            if (
                label_end and label_end >= column
            ):  # the previous label reaches this column: make room
                above.append(" " * (label_end + 1 - column))
                column = label_end + 1
            below.append(" " * (column - label_end))
            below.append(cell.label, style)
            label_end = column + cell_len(cell.label)
            style = f"bold {style}"
        above.append(cell.text, style)
        column += cell_len(cell.text)
    above.rstrip()
    yield above
    if below:
        yield below


def visible(text: str) -> str:
    """Return a text in which nothing moves the cursor.

    Each white-space character becomes a space, each control character its visible symbol.
    """
    return on_terminal(re.sub(r"\s", " ", text))
