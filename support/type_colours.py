"""The colours of types: hues spread over the types of a run, the same on pages and in the terminal.

hues = type_hues(["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])    # of LOC and PER
terminal_style(hues["LOC"], "truecolor")
"""

import colorsys
import math
import zlib
from collections.abc import Iterable, Mapping

from common import are_entity_tags

FIRST_HUE = 215  # blue
NEIGHBOURS = 0.382  # share of the circle between types whose names are neighbours
# A colour of this luminance has a contrast of at least 4.5 to black and to white.
LUMINANCE, SATURATION = 0.18, 0.75
ANSI = ("red", "yellow", "green", "cyan", "blue", "magenta")  # by hue, 60 degrees apart


def type_hues(label_names: Iterable[str]) -> dict[str, int]:
    """Return the hue of each type in degrees, as far apart as the number of types allows.

    `label_names`: the labels of a model, or types; their order does not matter.
    """
    labels = set(label_names)
    if are_entity_tags(labels):
        labels = {label.partition("-")[2] for label in labels} - {""}
    types = sorted(labels)
    number = len(types)
    stride = max(1, round(NEIGHBOURS * number))
    while math.gcd(stride, number) > 1:
        stride += 1
    return {
        name: (FIRST_HUE + round(360 * (position * stride % number) / number)) % 360
        for position, name in enumerate(types)
    }


def hue_of(name: str, hues: Mapping[str, int]) -> int:
    """Return the hue of a type; one that the run does not know gets its own by its name."""
    known = hues.get(name)
    return zlib.crc32(name.encode("utf-8", "replace")) % 360 if known is None else known


def terminal_style(hue: int, color_system: str | None) -> str:
    """Return the colour of a hue as rich reads it, readable on dark and on light backgrounds.

    `color_system`: that of a rich `Console`. A terminal of 16 colours gets the nearest of its own.
    """
    if color_system not in ("truecolor", "256"):
        return ANSI[round(hue / 60) % len(ANSI)]
    low, high = 0.0, 1.0
    for _ in range(10):
        lightness = (low + high) / 2
        if _luminance(hue, lightness) > LUMINANCE:
            high = lightness
        else:
            low = lightness
    channels = colorsys.hls_to_rgb(hue / 360, low, SATURATION)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


def _luminance(hue: int, lightness: float) -> float:
    """Return the relative luminance of WCAG 2, from 0 to 1."""
    channels = colorsys.hls_to_rgb(hue / 360, lightness, SATURATION)
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
