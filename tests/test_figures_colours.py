"""Colours that a figure's reader has to tell apart can be told apart by the colour-blind, too.

What they see is simulated after Machado, Oliveira and Fernandes 2009, "A Physiologically-based
Model for Simulation of Color Vision Deficiency", IEEE TVCG 15(6), Table 1, severity 1: a matrix on
linear RGB. Colours are compared in CIELAB, in which 2 is just seen side by side.
"""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mrnetlib.figures import choices, published
from mrnetlib.figures.style import LESION_COLOURS, LESION_LINES, PLANE_COLOURS, TASK_COLOURS

VISIONS = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}

#: Linear RGB to XYZ, and the white of the screen: IEC 61966-2-1 (sRGB, D65).
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(axis=1)

PALETTES = {
    "planes": PLANE_COLOURS.values(),
    "tasks": TASK_COLOURS.values(),
    "curves of publications": published._COLOURS,
    "choices": (choices._BLUE, choices._RED),
}


def lab(colour, vision) -> np.ndarray:
    """A colour in CIELAB as a kind of vision sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(VISIONS[vision]) @ linear, 0, 1)
    ratio = TO_XYZ @ seen / WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first, second, vision) -> float:
    return float(np.linalg.norm(lab(first, vision) - lab(second, vision)))


def closest(colours, vision) -> float:
    """The distance of the two colours that are hardest to tell apart."""
    return min(distance(one, two, vision) for one, two in combinations(colours, 2))


def test_the_simulation_does_what_is_known_of_it():
    assert np.allclose(lab("white", "full"), [100, 0, 0], atol=0.1)
    assert np.allclose(lab("red", "full"), [53.2, 80.1, 67.2], atol=0.2)  # known of sRGB
    for vision in VISIONS:
        assert np.allclose(lab("#808080", vision), lab("#808080", "full"), atol=0.5)
    red_and_green = "#D02020", "#408000"
    assert distance(*red_and_green, "full") > 90
    assert distance(*red_and_green, "deuteranopia") < 20


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("palette", PALETTES)
def test_what_differs_in_colour_is_told_apart(palette, vision):
    assert closest(PALETTES[palette], vision) > 20


@pytest.mark.parametrize("vision", VISIONS)
def test_lesions_are_told_apart_by_colour_or_by_line(vision):
    """Six colours on a grey picture: what is close in colour has another line."""
    looks = list(zip(LESION_COLOURS, map(str, LESION_LINES), strict=True))
    for (one, its_line), (two, other_line) in combinations(looks, 2):
        assert distance(one, two, vision) > 10 or its_line != other_line
    assert len({line for _, line in looks}) == len(looks)
