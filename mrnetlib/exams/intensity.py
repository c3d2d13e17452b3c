"""Intensity standardization: one grey scale for the same tissue, whatever the scanner's gain.

The method is that of Nyul & Udupa 2000 (IEEE Trans. Med. Imaging 19(2):143-150, after their
1999 paper, doi 10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M): percentiles of
every training exam are brought to a common scale and averaged; a new exam's own percentiles are
then moved onto those averages, piece by piece linearly. Landmarks belong to one plane and are
learned on training exams only.

Three things differ from common implementations. Percentiles are those of the foreground, found
from the histogram, so that air around the knee does not drown the tissue. Landmarks that coincide
are merged instead of dividing by zero. Integers are counted, not sorted, and mapped through a
lookup table, which gives the same values many times faster.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrnetlib.files import InputError, read_json, write_json

#: Percentiles of the foreground that are matched: Nyul & Udupa's deciles between two cut-offs.
PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)

#: Standardized volumes are 0..255; the first and last percentile land on its ends.
TOP = 255.0

#: Foreground is what exceeds the background by this share of the bright tissue's height above it.
FOREGROUND = 0.05

#: Integers that span at most this many values are counted; others are treated as real numbers.
COUNTABLE = 1 << 16


@dataclass(frozen=True)
class Landmarks:
    """The standard scale of one plane.

    Attributes
    ----------
    percentiles : of the foreground, ascending, 0..100.
    standard : where each percentile lands, 0..255, not descending.
    exams : how many training exams were averaged.
    """

    percentiles: tuple[float, ...]
    standard: tuple[float, ...]
    exams: int


def _counted(volume: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Ascending values of an integer volume and how often each occurs; None for other volumes."""
    if volume.dtype.kind not in "bui":
        return None
    low, high = int(volume.min()), int(volume.max())
    if high - low >= COUNTABLE:
        return None
    counts = np.zeros(high - low + 1, np.int64)
    plain = volume.dtype.kind == "u" and low >= 0 and high < COUNTABLE
    for part in volume:  # one slice at a time: bincount makes a copy eight bytes a pixel
        if plain:
            counts += np.bincount(part.ravel(), minlength=high + 1)[low:]
        else:
            shifted = part.astype(np.int64).ravel() - low
            counts += np.bincount(shifted, minlength=high - low + 1)
    there = np.flatnonzero(counts)
    return there + low, counts[there]


def _sorted(volume: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending values of any volume, each counted once or as often as it occurs."""
    counted = _counted(volume)
    if counted is None:
        values = np.sort(volume, axis=None).astype(np.float64)
        counted = values, np.ones(len(values), np.int64)
    return counted


def _quantiles(values: np.ndarray, counts: np.ndarray, percentiles: Iterable[float]) -> np.ndarray:
    """Percentiles of counted values, interpolated linearly between ranks as numpy does."""
    upto = np.cumsum(counts)
    rank = np.asarray(percentiles) / 100 * (upto[-1] - 1)
    below = np.floor(rank).astype(np.int64)
    low = values[np.searchsorted(upto, below, side="right")].astype(np.float64)
    above = np.minimum(below + 1, upto[-1] - 1)
    high = values[np.searchsorted(upto, above, side="right")].astype(np.float64)
    return low + (high - low) * (rank - below)


def _threshold(values: np.ndarray, counts: np.ndarray) -> float:
    """The value above which voxels are foreground; the lowest value itself never is.

    Voxels brighter than the mean are tissue whatever the share of air, so their 99th percentile
    tells how bright the tissue is; air lies within a small share of that above the lowest value.
    """
    lowest = float(values[0])
    bright = values > np.average(values, weights=counts)
    if not bright.any():
        return lowest
    top = _quantiles(values[bright], counts[bright], [99.0])[0]
    return lowest + FOREGROUND * (float(top) - lowest)


def measure(volume: np.ndarray, foreground: str | np.ndarray = "auto") -> np.ndarray:
    """Percentiles of a volume's foreground.

    Parameters
    ----------
    volume : (S, H, W), any integer or real type, finite.
    foreground : ``"auto"`` finds it from the histogram, ``"all"`` takes every voxel, and a boolean
        array (S, H, W) says it.

    Returns
    -------
    float64, one value per entry of `PERCENTILES`; all equal for an image without contrast.

    Raises
    ------
    InputError
        For a volume that is not three-dimensional, is empty, or holds NaN or infinity.
    """
    volume = np.asarray(volume)
    if volume.ndim != 3 or volume.size == 0 or volume.dtype.kind not in "buif":
        raise InputError(
            f"a volume of {volume.dtype} {volume.shape}; expected numbers (slices, rows, columns)."
        )
    if volume.dtype.kind == "f" and not np.isfinite(volume).all():
        raise InputError(
            "the volume holds NaN or infinity; expected finite numbers. Mend it first."
        )
    if isinstance(foreground, np.ndarray):
        chosen = volume[foreground.astype(bool)]
        if chosen.size:
            return _quantiles(*_sorted(chosen[None]), PERCENTILES)
        foreground = "auto"
    values, counts = _sorted(volume)
    if foreground == "auto":
        tissue = values > _threshold(values, counts)
        if tissue.any():
            values, counts = values[tissue], counts[tissue]
    elif foreground != "all":
        raise InputError(f"foreground: {foreground!r}, expected 'auto', 'all' or a boolean array.")
    return _quantiles(values, counts, PERCENTILES)


def average(measured: Iterable[np.ndarray]) -> Landmarks:
    """Landmarks from the percentiles (`measure`) of the training exams of one plane.

    Each exam's percentiles are stretched so that the first lands on 0 and the last on 255, then
    averaged. Exams without contrast are left out; `InputError` where none is left.
    """
    stretched = []
    for percentiles in measured:
        span = percentiles[-1] - percentiles[0]
        if span > 0:
            stretched.append((percentiles - percentiles[0]) * (TOP / span))
    if not stretched:
        raise InputError(
            "no landmarks can be learned: no exam with any contrast was given. "
            "Give at least one training exam of this plane."
        )
    standard = np.mean(stretched, axis=0)
    return Landmarks(PERCENTILES, tuple(float(value) for value in standard), len(stretched))


def learn(volumes: Iterable[np.ndarray], foreground: str = "auto") -> Landmarks:
    """Landmarks of one plane from the training exams' volumes, one in memory at a time.

    Parameters
    ----------
    volumes : arrays (S, H, W) as for `measure`.
    foreground : as for `measure`.
    """
    return average(measure(volume, foreground) for volume in volumes)


def knots(percentiles: np.ndarray, standard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the piecewise linear map, equal percentiles merged into one corner.

    A merged corner lands on the middle of the targets it had; at the ends on the very end, so
    that the darkest stays at 0 and the brightest at 255.
    """
    corners, where, counts = np.unique(percentiles, return_inverse=True, return_counts=True)
    targets = np.bincount(where, np.asarray(standard)) / counts
    targets[0], targets[-1] = standard[0], standard[-1]
    return corners, targets


def map_values(
    values: np.ndarray, percentiles: np.ndarray, standard: Iterable[float]
) -> np.ndarray:
    """Move values of an exam with these percentiles onto the standard scale, without clipping.

    Beyond the outermost percentiles the outermost pieces go on. An exam without contrast becomes
    0. Returns float64 of the values' shape.
    """
    corners, targets = knots(np.asarray(percentiles), np.asarray(list(standard)))
    values = np.asarray(values, np.float64)
    if len(corners) == 1:
        return np.zeros_like(values)
    moved = np.interp(values, corners, targets)
    slopes = np.diff(targets) / np.diff(corners)
    moved += np.minimum(values - corners[0], 0) * slopes[0]
    moved += np.maximum(values - corners[-1], 0) * slopes[-1]
    return moved


def _to_uint8(moved: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(moved, 0, TOP)).astype(np.uint8)


def apply(
    volume: np.ndarray, landmarks: Landmarks, foreground: str | np.ndarray = "auto"
) -> np.ndarray:
    """Standardize a volume.

    Parameters
    ----------
    volume, foreground : as for `measure`. The foreground only says whose percentiles are matched;
        all voxels are mapped.
    landmarks : of the volume's plane, from `learn` or `load`.

    Returns
    -------
    uint8 (S, H, W), 0..255.
    """
    volume = np.asarray(volume)
    percentiles = measure(volume, foreground)
    low, high = (int(volume.min()), int(volume.max())) if volume.dtype.kind in "bui" else (0, 0)
    if volume.dtype.kind in "bui" and high - low < COUNTABLE:
        values = np.arange(low, high + 1)
        table = _to_uint8(map_values(values, percentiles, landmarks.standard))
        if volume.dtype.kind == "u" and high < COUNTABLE:
            table = np.concatenate([np.zeros(low, np.uint8), table])
            low = 0
        out = np.empty(volume.shape, np.uint8)
        for part, into in zip(volume, out, strict=True):  # indices cost eight bytes a pixel
            np.take(table, part if low == 0 else part.astype(np.int64) - low, out=into, mode="clip")
        return out
    out = np.empty(volume.shape, np.uint8)
    for part, into in zip(volume, out, strict=True):
        into[:] = _to_uint8(map_values(part, percentiles, landmarks.standard))
    return out


def save(path: Path, landmarks: dict[str, Landmarks]) -> None:
    """Write the landmarks of all planes as JSON."""
    percentiles = next(iter(landmarks.values())).percentiles if landmarks else PERCENTILES
    write_json(
        path,
        {
            "method": "Nyul & Udupa 2000",
            "range": [0, TOP],
            "percentiles": list(percentiles),
            "standard": {plane: list(scale.standard) for plane, scale in landmarks.items()},
            "exams": {plane: scale.exams for plane, scale in landmarks.items()},
        },
    )


def load(path: Path) -> dict[str, Landmarks]:
    """Read landmarks written by `save`; a file of another shape is an `InputError`."""
    content = read_json(path)
    try:
        percentiles = tuple(float(value) for value in content["percentiles"])
        found = {
            str(plane): Landmarks(
                percentiles,
                tuple(float(value) for value in standard),
                int(content.get("exams", {}).get(plane, 0)),
            )
            for plane, standard in content["standard"].items()
        }
        scales = [np.array(scale.standard) for scale in found.values()]
        good = percentiles == PERCENTILES and all(
            len(scale) == len(percentiles)
            and np.isfinite(scale).all()
            and (np.diff(scale) >= 0).all()
            for scale in scales
        )
    except (TypeError, KeyError, AttributeError, ValueError):
        good = False
    if not good:
        raise InputError(
            f"{path}: not a landmarks file of this version; expected the percentiles "
            f"{', '.join(f'{p:g}' for p in PERCENTILES)} and for each plane as many ascending "
            "values. Learn the landmarks again (notebook 01_preprocessing)."
        )
    return found
