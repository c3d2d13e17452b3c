"""Normal variants: what looks like a lesion and is none, in exams of either label.

Physiological fluid, red marrow, an oedematous fat pad, a bursa, vessels, scars, and screws of an
operation long healed. They leave no trace in the lesion masks. The signal inside a meniscus that
reaches no surface, and the bright ACL of mucoid change or of the magic angle, belong to the knee
itself (`mrnetlib.phantom.anatomy.draw_knee`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Kind -> chance that a knee has it.
CHANCES = {
    "physiological fluid": 0.75,
    "red marrow": 0.12,
    "fat pad oedema": 0.35,
    "bursa": 0.35,
    "scar": 0.12,
    "bright vessels": 0.50,
    "perimeniscal recess": 0.30,
    "screw": 0.04,
}

BONE = ("femur", "tibia", "patella")
FAT = ("fat",)
SOFT = ("fat", "fluid", "fascia", "muscle", "ligament")
VESSEL = ("vessel",)


@dataclass(frozen=True)
class Variant:
    """One normal variant: its kind (a key of `CHANCES`), size (0 to 1) and place (-1 to 1, x3)."""

    kind: str
    size: float
    place: tuple[float, float, float]


@dataclass(frozen=True)
class Spot:
    """A cloudy ellipsoid of a tissue that replaces others: centre and radii in mm, knee frame."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    tissue: str
    on: tuple[str, ...]
    strength: float = 1.0


def draw_variants(rng: np.random.Generator) -> list[Variant]:
    """Draw a knee's normal variants; labels play no part."""
    found = []
    for kind, chance in CHANCES.items():
        draws = rng.random(5)
        if draws[0] < chance:
            place = tuple(float(2 * d - 1) for d in draws[2:])
            found.append(Variant(kind, float(draws[1]), place))
    return found


def _fluid(s: float, a: float, b: float, c: float) -> list[Spot]:
    side = 1 if a > 0 else -1
    pouch = Spot((3 * a, -29.5, 57), (14 + 8 * s, 1.5 + 5.5 * s, 13 + 9 * s), "fluid", SOFT)
    recess = (side * 28, -25, 38), (3 + 5 * s, 2 + 4 * s, 7 + 8 * s)
    return [pouch, Spot(*recess, "fluid", SOFT)]


def _red_marrow(s: float, a: float, b: float, c: float) -> list[Spot]:
    return [
        Spot((14 * a, -3, 38 + 6 * b), (16, 14, 7 + 8 * s), "red_marrow", BONE, 0.9),
        Spot((14 * b, 4, -26 + 4 * a), (14, 12, 5 + 6 * s), "red_marrow", BONE, 0.7),
    ]


def _fat_pad(s: float, a: float, b: float, c: float) -> list[Spot]:
    centre = (10 * a, -28 + 2 * b, 12 + 5 * c)
    return [Spot(centre, (6 + 4 * s, 3 + 3 * s, 5 + 4 * s), "oedema", FAT, 0.7)]


def _bursa(s: float, a: float, b: float, c: float) -> list[Spot]:
    size = 0.7 + s
    centre = (24 + 2 * a, 38 + 2 * b, 13 + 4 * c)
    return [Spot(centre, (3 * size, 3 * size, 6 * size), "fluid", SOFT)]


def _scar(s: float, a: float, b: float, c: float) -> list[Spot]:
    return [Spot((8 * a, -30, 10 + 6 * b), (2 + 3 * s, 8, 2 + 2 * s), "scar", FAT, 0.8)]


def _vessels(s: float, a: float, b: float, c: float) -> list[Spot]:
    return [
        Spot((-3 + 2 * a, 38, 10 * b), (5, 5, 40), "fluid", VESSEL, 0.6 + 0.4 * s),
        Spot((47, 28, 0), (6, 8, 60), "fluid", VESSEL, 0.6),
    ]


def _recess(s: float, a: float, b: float, c: float) -> list[Spot]:
    side = 1 if a > 0 else -1
    centre = (side * 36, 6 + 14 * b, 5 + 2 * c)
    return [Spot(centre, (1.5 + 1.5 * s, 8 + 5 * s, 2 + 2 * s), "fluid", SOFT, 0.9)]


def _screw(s: float, a: float, b: float, c: float) -> list[Spot]:
    return [Spot((3 + 4 * a, -4, -18 + 4 * b), (4, 4, 10), "metal", BONE)]


#: Kind -> its spots, from size and place.
SPOTS: dict[str, Callable[..., list[Spot]]] = {
    "physiological fluid": _fluid,
    "red marrow": _red_marrow,
    "fat pad oedema": _fat_pad,
    "bursa": _bursa,
    "scar": _scar,
    "bright vessels": _vessels,
    "perimeniscal recess": _recess,
    "screw": _screw,
}


def spots(variant: Variant) -> list[Spot]:
    """Where a normal variant changes the knee."""
    return SPOTS[variant.kind](variant.size, *variant.place)
