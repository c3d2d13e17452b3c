"""Volumes as bytes without standardization: one linear window for all exams of a plane."""

from collections.abc import Iterable

import numpy as np

from mrnetlib.files import InputError

#: The white level of volumes that are bytes already.
UINT8 = 255.0

#: This share of the training exams' pixels stays below 255.
BELOW_WHITE = 0.995


def white_level(volumes: Iterable[np.ndarray]) -> float:
    """The grey value that becomes 255, the same for all exams of a plane.

    uint8 volumes stay as they are. For uint16 it is a high quantile of all the training exams'
    pixels: one linear scale, so that the scanners' differences stay.
    """
    counts, kinds = np.zeros(2**16, np.int64), set()
    for volume in volumes:
        kinds.add(volume.dtype)
        counts += np.bincount(volume.ravel(), minlength=len(counts))
    if len(kinds) > 1:
        raise InputError(
            f"training exams of {' and '.join(sorted(map(str, kinds)))}: no linear scale fits "
            "both. Bring all exams to one depth, or standardize."
        )
    if kinds == {np.dtype(np.uint8)}:
        return UINT8
    return float(max(1, np.searchsorted(np.cumsum(counts), BELOW_WHITE * counts.sum())))


def to_grey(volume: np.ndarray, white: float) -> np.ndarray:
    """A volume (S, H, W) as uint8 with the grey value `white` at 255."""
    if (volume.dtype == np.uint8) != (white == UINT8):
        raise InputError(
            f"an exam of {volume.dtype} where the training exams have another depth: no linear "
            "scale fits both. Bring all exams to one depth, or standardize."
        )
    if volume.dtype == np.uint8:
        return np.asarray(volume)
    return np.minimum(np.rint(volume * (255 / white)), 255).astype(np.uint8)
