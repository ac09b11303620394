"""The terminal: tables and styled lines through rich, without its surprises.

Markup, emoji codes and highlighting are off, because labels and texts of a corpus are data. rich
follows NO_COLOR, FORCE_COLOR and TERM, and knows the width of wide characters.
"""

import io
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

from support.processes import is_main_process
from support.text import on_terminal

NAME_WIDTH = 10  # columns for the name of a row


def say(*lines: str) -> None:
    """Print lines on the main process, above a progress bar if there is one."""
    if is_main_process():
        from tqdm.auto import tqdm

        for line in lines:
            tqdm.write(on_terminal(line))


def row_lines(rows: Mapping[str, str]) -> list[str]:
    """Return rows of a name and a text, one string each.

    On a terminal, the strings are wrapped at its width and contain line breaks.
    """
    lines = [f"{name:{NAME_WIDTH}}{text}" for name, text in rows.items()]
    if not sys.stdout.isatty():
        return lines
    width = max(shutil.get_terminal_size().columns, 2 * NAME_WIDTH)
    wrapper = textwrap.TextWrapper(
        width,
        subsequent_indent=" " * NAME_WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )
    return ["\n".join(wrapper.wrap(line)) for line in lines]


def console(file: IO[str] | None = None, **options: Any) -> Any:
    """Return a rich `Console` that prints text as it is; `options` go to its constructor."""
    from rich.console import Console

    plain: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False, "soft_wrap": True}
    # In a notebook rich would show the text itself, and write nothing to `file`.
    return Console(file=file, force_jupyter=False, **plain, **options)


def table_text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as plain lines: the first column left-aligned, the others right-aligned."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="", expand=False)
    for position, name in enumerate(head):
        justify: Any = "right" if position else "left"
        table.add_column(Text(on_terminal(name)), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(on_terminal(cell)) for cell in row))
    # Wide enough for every cell: a table that is cut to the window loses figures.
    lines = io.StringIO()
    console(lines, width=10_000, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in lines.getvalue().splitlines())
