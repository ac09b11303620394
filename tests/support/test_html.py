"""Numbers, colours and contrasts of the pages."""

import itertools
import re

import pytest

from support import markup


@pytest.mark.parametrize(
    ("given_number", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (7.0, "7"),
        (1234567, "1\u202f234\u202f567"),
        (0.25, "0.2500"),
        (2e-5, "2.00e-05"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("text", "text"),
    ],
)
def test_numbers(given_number, shown):
    assert markup.number(given_number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0.26, "0.3 s"), (59.9, "59.9 s"), (60, "1 min 00 s"), (3661, "1 h 01 min")],
)
def test_durations(seconds, shown):
    assert markup.duration(seconds) == shown


def luminance(red: float, green: float, blue: float) -> float:
    """Relative luminance of sRGB in 0 to 1, as WCAG 2 defines it."""
    linear = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    )
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: tuple, other: tuple) -> float:
    light, dark = sorted((luminance(*one), luminance(*other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def theme_variables(dark: bool) -> dict[str, str]:
    blocks = re.findall(r":root\{(.*?)\}", markup.STYLE, re.DOTALL)
    assert len(blocks) == 2
    return dict(re.findall(r"--([\w-]+):([^;]+)", blocks[dark]))


@pytest.mark.parametrize("dark", [False, True])
def test_labels_can_be_read_in_both_themes_whatever_their_hue(dark):
    import colorsys

    theme = theme_variables(dark)
    share = {name: float(theme[name].rstrip("%")) / 100 for name in ("ts", "tl", "bs", "bl")}
    for hue in range(360):
        text = colorsys.hls_to_rgb(hue / 360, share["tl"], share["ts"])
        ground = colorsys.hls_to_rgb(hue / 360, share["bl"], share["bs"])
        assert contrast(text, ground) >= 4.5, hue


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["ink", "muted", "accent", "wrong"])
def test_text_can_be_read_in_both_themes(dark, name):
    theme = theme_variables(dark)

    def rgb(value):
        digits = value.lstrip("#")
        digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
        return tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))

    for ground in ("bg", "panel"):
        assert contrast(rgb(theme[name]), rgb(theme[ground])) >= 4.5


def test_well_known_types_are_told_apart():
    for types in (
        ["PER", "ORG", "LOC", "MISC"],
        ["person", "location", "corporation", "group", "product", "creative-work"],
    ):
        hues = [markup.hue(name) for name in types]
        apart = [min((a - b) % 360, (b - a) % 360) for a, b in itertools.combinations(hues, 2)]
        assert min(apart) >= 45
