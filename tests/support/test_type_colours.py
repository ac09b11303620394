"""The colours of types."""

import itertools

import pytest
from rich.color import Color

from support.type_colours import ANSI, hue_of, terminal_style, type_hues


@pytest.mark.parametrize("number", [1, 2, 4, 9, 17, 60, 200])
def test_hues_are_as_far_apart_as_their_number_allows(number):
    hues = type_hues([f"T{n:03}" for n in range(number)]).values()
    assert all(0 <= hue < 360 for hue in hues)
    apart = [min((a - b) % 360, (b - a) % 360) for a, b in itertools.combinations(hues, 2)]
    assert min(apart, default=360) >= 360 // number - 1


@pytest.mark.parametrize("number", [9, 17, 60, 200])
def test_types_with_neighbouring_names_have_colours_far_apart(number):
    hues = list(type_hues([f"T{n:03}" for n in range(number)]).values())
    apart = [min((a - b) % 360, (b - a) % 360) for a, b in itertools.pairwise(hues)]
    assert min(apart) >= 70


def test_labels_and_types_give_the_same_hues_in_any_order():
    hues = type_hues(["I-PER", "O", "B-LOC", "B-PER", "B-a-b"])
    assert hues == type_hues(["a-b", "PER", "LOC"])
    assert set(hues) == {"PER", "LOC", "a-b"}
    assert set(type_hues(["NN", "O", "PRP$"])) == {"NN", "O", "PRP$"}
    assert type_hues([]) == {}
    assert hue_of("PER", hues) == hues["PER"]
    assert hue_of("\ud800", hues) == hue_of("\ud800", {})


def test_colours_of_a_terminal_are_readable_on_black_and_on_white():
    for hue in range(0, 360, 7):
        red, green, blue = Color.parse(terminal_style(hue, "truecolor")).triplet.normalized
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
        ]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert min((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)) > 4.4, hue


def test_a_terminal_of_16_colours_gets_the_nearest():
    assert [terminal_style(hue, "standard") for hue in (0, 60, 120, 180, 240, 300)] == list(ANSI)
    assert terminal_style(359, "standard") == "red"
