"""Volumes as bytes without standardization: one linear window for all exams of a plane."""

from collections.abc import Iterable

import numpy as np

#: This share of the training exams' pixels stays below 255.
BELOW_WHITE = 0.995


def white_level(volumes: Iterable[np.ndarray]) -> float:
    """The grey value that becomes 255, the same for all exams of a plane.

    uint8 volumes stay as they are. For uint16 it is a high quantile of all the training exams'
    pixels: one linear scale, so that the scanners' differences stay.
    """
    counts = np.zeros(2**16, np.int64)
    for volume in volumes:
        if volume.dtype == np.uint8:
            return 255.0
        counts += np.bincount(volume.ravel(), minlength=len(counts))
    return float(max(1, np.searchsorted(np.cumsum(counts), BELOW_WHITE * counts.sum())))


def to_grey(volume: np.ndarray, white: float) -> np.ndarray:
    """A volume (S, H, W) as uint8 with the grey value `white` at 255."""
    if volume.dtype == np.uint8:
        return np.asarray(volume)
    return np.minimum(np.rint(volume * (255 / white)), 255).astype(np.uint8)
