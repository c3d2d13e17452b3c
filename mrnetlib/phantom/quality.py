"""How good a series is: patients move, coils are noisy, fat suppression is uneven.

Every series draws its own quality, whatever the exam's label and its other series: what one plane
loses another may show. That is what several views are good for, besides the other cut.
"""

from dataclasses import dataclass

import numpy as np

#: Word for a series -> chance, factor on the noise, motion (0 to 1), both before they vary.
LEVELS = {
    "clean": (0.55, 0.8, 0.0),
    "fair": (0.28, 1.3, 0.35),
    "poor": (0.17, 2.0, 0.85),
}


@dataclass(frozen=True)
class Quality:
    """Of one series.

    Attributes
    ----------
    level : a key of `LEVELS`.
    noise : factor on the scanner's noise.
    motion : 0 for none; strength of ghosts, and of the blur along the phase direction.
    ghost : distance of the first ghost, as a share of the field of view.
    phase_along_rows : whether the phase direction, along which ghosts lie, is the row index's.
    unsuppressed : strength of the fat that a fat-suppressed series has left, 0 to 1.
    patch : where that is, in shares of the volume along slices, rows, columns, and its size.
    """

    level: str
    noise: float
    motion: float
    ghost: float
    phase_along_rows: bool
    unsuppressed: float
    patch: tuple[float, float, float, float]


def draw_quality(rng: np.random.Generator) -> Quality:
    """Draw one series' quality."""
    names = list(LEVELS)
    level = names[rng.choice(len(names), p=[LEVELS[name][0] for name in names])]
    _, noise, motion = LEVELS[level]
    return Quality(
        level=level,
        noise=noise * float(np.exp(rng.normal(0, 0.2))),
        motion=float(np.clip(motion * np.exp(rng.normal(0, 0.3)), 0, 1.2)),
        ghost=float(rng.uniform(0.08, 0.3)),
        phase_along_rows=bool(rng.random() < 0.5),
        unsuppressed=float(rng.uniform(0.3, 1.0) * (rng.random() < 0.35)),
        patch=(*(float(c) for c in rng.uniform(-0.1, 1.1, 3)), float(rng.uniform(0.25, 0.5))),
    )


def moved(images: np.ndarray, quality: Quality) -> np.ndarray:
    """Ghosts and blur of a patient who moved, along the phase direction, (S, H, W) float32."""
    if quality.motion == 0:
        return images
    axis = 1 if quality.phase_along_rows else 2
    step = max(1, round(quality.ghost * images.shape[axis]))
    strength = 0.16 * quality.motion
    ghosts = np.roll(images, step, axis) + np.roll(images, -step, axis)
    near = np.roll(images, 1, axis) + np.roll(images, -1, axis)
    blur = 0.22 * quality.motion
    return (1 - 2 * blur - 2 * strength) * images + blur * near + strength * ghosts


def unsuppressed_field(quality: Quality, shape: tuple[int, int, int]) -> np.ndarray:
    """Where fat stays bright in a fat-suppressed series, 0 to 1, (S, H, W) float32."""
    *centre, size = quality.patch
    axes = np.ix_(*(np.linspace(0, 1, count, dtype=np.float32) for count in shape))
    squared = sum(((axis - c) / size) ** 2 for axis, c in zip(axes, centre, strict=True))
    return quality.unsuppressed * np.exp(-squared)
