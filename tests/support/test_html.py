"""Numbers, colours and contrasts of the pages."""

import re

import numpy as np
import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from support.html import TEMPLATES, duration, number, page_environment, width


@pytest.mark.parametrize(
    ("given_number", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (7.0, "7"),
        (1234567, "1,234,567"),
        (np.int64(1000), "1,000"),
        (2**60 + 1, "1,152,921,504,606,846,977"),
        (0.25, "0.2500"),
        (np.float32(0.25), "0.2500"),
        (2e-5, "2.00e-05"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("text", "text"),
    ],
)
def test_numbers(given_number, shown):
    assert number(given_number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0.26, "0.3 s"), (9.94, "9.9 s"), (9.96, "10 s"),
     (59.4, "59 s"), (59.6, "1 min 00 s"), (60, "1 min 00 s"), (3661, "1 h 01 min")],
)  # fmt: skip
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def rendered(source: str, **values) -> str:
    return page_environment(TEMPLATES).from_string(source).render(**values)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ("<b> & 'c'", "&lt;b&gt; &amp; &#39;c&#39;"),
        ("\x00\x1b\ud800", "\u2400\u241b\ufffd"),
        (7, "7"),
        (Markup("<b>"), "<b>"),
    ],
)
def test_a_value_of_a_template_is_data(value, shown):
    assert rendered("{{ value }}", value=value) == shown


def test_a_name_that_a_template_misses_is_an_error():
    with pytest.raises(UndefinedError):
        rendered("{{ value }}")


@pytest.mark.parametrize(("share", "shown"), [(-1, "0.0%"), (0.126, "12.6%"), (2, "100.0%")])
def test_a_bar_stays_inside_its_cell(share, shown):
    assert width(share) == shown


def luminance(red: float, green: float, blue: float) -> float:
    """Return the relative luminance of sRGB in 0 to 1, as WCAG 2 defines it."""
    linear = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    )
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: tuple, second: tuple) -> float:
    light, dark = sorted((luminance(*first), luminance(*second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def theme_variables(dark: bool) -> dict[str, str]:
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "page.css").read_text(), re.DOTALL)
    assert len(blocks) == 2
    return dict(re.findall(r"--([\w-]+): ([^;]+)", blocks[dark]))


@pytest.mark.parametrize("dark", [False, True])
def test_labels_of_every_hue_are_readable_in_both_themes(dark):
    import colorsys

    theme = theme_variables(dark)
    share = {name: float(theme[name].rstrip("%")) / 100 for name in ("ts", "tl", "bs", "bl")}
    for degrees in range(360):
        text = colorsys.hls_to_rgb(degrees / 360, share["tl"], share["ts"])
        ground = colorsys.hls_to_rgb(degrees / 360, share["bl"], share["bs"])
        assert contrast(text, ground) >= 4.5, degrees


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["ink", "muted", "accent", "wrong"])
def test_text_is_readable_in_both_themes(dark, name):
    theme = theme_variables(dark)

    def rgb(value):
        digits = value.lstrip("#")
        digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
        return tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))

    for ground in ("bg", "panel"):
        assert contrast(rgb(theme[name]), rgb(theme[ground])) >= 4.5
