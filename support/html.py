"""Pages made of Jinja2 templates: escaping, numbers, colours, and what all pages share.

A page is one file: no script, no network, light and dark by the reader's own setting. The base
page, its style sheet and the macros lie in `support/templates`; each package adds its own folder.
"""

import math
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from support.text import printable
from support.type_colours import hue_of

TEMPLATES = Path(__file__).parent / "templates"


@lru_cache
def page_environment(package_templates: Path) -> Environment:
    """Return the environment that renders the HTML templates of a package.

    Every value is escaped, because labels and texts of a corpus are data. Templates of
    `support/templates` can be extended and imported by name.
    """
    environment = Environment(
        loader=FileSystemLoader([package_templates, TEMPLATES]),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        number=number, score=score, percent=percent, duration=duration, width=width, hue=hue
    )
    # Read as data: a style sheet may hold what Jinja takes for the beginning of a comment.
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    environment.globals["stylesheet"] = Markup(style)
    return environment


def shown(value: object) -> object:
    """Return a template's value as it is shown, before it is escaped.

    Control characters become pictures of themselves, None becomes nothing, markup stays markup.
    """
    if value is None:
        return ""
    return value if isinstance(value, Markup) else printable(value)


@pass_context
def hue(context: Context, name: str) -> int:
    """Return the hue of a type in degrees, from the page's `hues` (`support.type_colours`)."""
    return hue_of(name, context["hues"])


def number(value: object) -> str:
    """Return a count with separated thousands, a loss or score with 4 digits, None as a dash."""
    if value is None:
        return "–"
    if not isinstance(value, Real) or not math.isfinite(value):
        return str(value)
    real = cast(float, value)
    if real == int(real):
        return f"{int(real):,}"
    return f"{real:.4f}" if abs(real) >= 0.001 else f"{real:.2e}"


def score(value: float | None, digits: int = 4) -> str:
    """Return a score with 4 digits, None as a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(part: float, whole: float) -> str:
    """Return `part` as a percentage of `whole`, or a dash if `whole` is 0."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def duration(seconds: float | None) -> str:
    """Return a duration in the units a reader would choose, None as a dash."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def width(share: float) -> str:
    """Return the CSS width of a bar, for a share of 0 to 1; a share outside is clipped."""
    return f"{100 * min(max(share, 0.0), 1.0):.1f}%"
