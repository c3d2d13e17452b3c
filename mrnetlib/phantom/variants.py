"""Normal variants: what looks like a lesion and is none, in exams of either label.

Physiological fluid, red marrow, an oedematous fat pad, a bursa, vessels, scars, and screws of an
operation long healed. They leave no trace in the lesion masks. The signal inside a meniscus that
reaches no surface, and the bright ACL of mucoid change or of the magic angle, belong to the knee
itself (`mrnetlib.phantom.anatomy.draw_knee`).
"""

from dataclasses import dataclass

import numpy as np

#: Kind -> chance that a knee has it.
CHANCES = {
    "physiological fluid": 0.60,
    "red marrow": 0.30,
    "fat pad oedema": 0.20,
    "bursa": 0.15,
    "scar": 0.12,
    "bright vessels": 0.35,
    "perimeniscal recess": 0.25,
    "screw": 0.04,
}


@dataclass(frozen=True)
class Variant:
    """One normal variant: its kind (a key of `CHANCES`), size (0 to 1) and place (-1 to 1, x3)."""

    kind: str
    size: float
    place: tuple[float, float, float]


def draw_variants(rng: np.random.Generator) -> list[Variant]:
    """Draw a knee's normal variants; labels play no part."""
    found = []
    for kind, chance in CHANCES.items():
        draws = rng.random(5)
        if draws[0] < chance:
            place = tuple(float(2 * d - 1) for d in draws[2:])
            found.append(Variant(kind, float(draws[1]), place))
    return found
