"""Planes from orientations, standard display, and square slices.

Coordinates are DICOM's (LPS): x grows to the patient's left, y to the back, z to the head.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mrnetlib.dicom.headers import Image
from mrnetlib.files import InputError
from mrnetlib.names import SLICE_SIZE

#: An oblique stack belongs to a plane while its normal is within this many degrees of the plane's
#: axis. At 45 degrees it would belong to two.
MAX_OBLIQUE = 40.0

#: A plane's axis, and which way columns run to the right and rows downwards on a light box.
_AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
_RIGHTWARDS = {"sagittal": (0, 1, 0), "coronal": (1, 0, 0), "axial": (1, 0, 0)}
_DOWNWARDS = {"sagittal": (0, 0, -1), "coronal": (0, 0, -1), "axial": (0, 1, 0)}

#: Pixels whose sides differ by less than this share are square.
SQUARE = 1e-3

#: Pixels longer than wide by more than this factor are damage.
MAX_ASPECT = 10.0


@lru_cache(1024)
def frame_of(orientation: tuple[float, ...]) -> np.ndarray | None:
    """Unit vectors (3, 3) along the columns' index, the rows' index and the slice normal.

    `orientation` is ImageOrientationPatient, six direction cosines. None where they are no two
    perpendicular unit vectors, within a hundredth. Read-only: slices of a stack share it.
    """
    if len(orientation) != 6:
        return None
    across, down = np.reshape(orientation, (2, 3))
    lengths = np.linalg.norm([across, down], axis=1)
    if (abs(lengths - 1) > 0.01).any() or abs(across @ down) > 0.01:
        return None
    across = across / lengths[0]
    down = down - (down @ across) * across
    down = down / np.linalg.norm(down)
    frame = np.array([across, down, np.cross(across, down)])
    frame.flags.writeable = False
    return frame


def plane_of(frame: np.ndarray) -> tuple[str, float]:
    """The plane whose axis is nearest to the normal, and the angle to it in degrees."""
    normal = np.abs(frame[2])
    plane = max(_AXES, key=lambda name: normal[_AXES[name]])
    return plane, float(np.degrees(np.arccos(min(1.0, normal[_AXES[plane]]))))


def upward_normal(frame: np.ndarray, plane: str) -> np.ndarray:
    """The normal pointing the way slices are counted: to the left, to the back, to the head."""
    return frame[2] * (1.0 if frame[2][_AXES[plane]] > 0 else -1.0)


def display_turn(frame: np.ndarray, plane: str) -> tuple[bool, bool, bool]:
    """What brings stored slices to standard display: swap axes, then flip rows, flip columns.

    Standard are sagittal slices with the front at the left, coronal and axial ones with the
    patient's right at the left; the head, in axial slices the front, is on top. Slices are never
    mirrored to make a left knee look like a right one.
    """
    right, below = np.array(_RIGHTWARDS[plane]), np.array(_DOWNWARDS[plane])
    swap = bool(abs(frame[0] @ right) < abs(frame[1] @ right))
    across, down = (frame[1], frame[0]) if swap else (frame[0], frame[1])
    return swap, bool(down @ below < 0), bool(across @ right < 0)


def turned(pixels: np.ndarray, turn: tuple[bool, bool, bool]) -> np.ndarray:
    """Slices (S, H, W) after `display_turn`; a view where nothing is to be done."""
    swap, rows, columns = turn
    if swap:
        pixels = pixels.transpose(0, 2, 1)  # (S, H, W) -> (S, W, H)
    return pixels[:, :: -1 if rows else 1, :: -1 if columns else 1]


def _weights(length: int, step: float, size: int, pixel: float) -> tuple[np.ndarray, np.ndarray]:
    """Triangle filter from `length` samples, `step` mm apart, to `size`, `pixel` mm apart.

    Returns weights (size, length) that add up to 1 in each row, and which of the `size` samples
    lie on the image; both grids share their centre.
    """
    centres = ((np.arange(size) + 0.5 - size / 2) * pixel + length * step / 2) / step - 0.5
    reach = max(1.0, pixel / step)
    distance = np.abs(centres[:, None] - np.arange(length)) / reach
    weights = np.maximum(1 - distance, 0)
    weights[weights < 1e-9] = 0
    inside = (centres > -0.5 - 1e-9) & (centres < length - 0.5 + 1e-9)
    weights[~inside] = 0
    totals = weights.sum(axis=1, keepdims=True)
    return (weights / np.where(totals > 0, totals, 1)).astype(np.float32), inside


def to_square_pixels(
    pixels: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0), size: int = SLICE_SIZE
) -> np.ndarray:
    """Bring slices to `size` x `size` with square pixels.

    The longer side of the field of view fills the output; the shorter is centred and padded with
    the volume's lowest value, which in MR is air. Shrinking averages over what a new pixel covers
    (triangle filter), so nothing aliases.

    Parameters
    ----------
    pixels : (S, H, W), any real or integer type.
    spacing : mm between rows and between columns; NaN is read as square.

    Returns
    -------
    (S, size, size) of the same dtype; the very array where it has that form already.
    """
    rows, columns = spacing
    if not (np.isfinite(rows) and np.isfinite(columns) and rows > 0 and columns > 0):
        rows = columns = 1.0
    if not 1 / MAX_ASPECT <= rows / columns <= MAX_ASPECT:
        raise InputError(
            f"pixels of {rows:g} x {columns:g} mm; expected sides that differ by less than a "
            f"factor of {MAX_ASPECT:g}. Check PixelSpacing."
        )
    height, width = pixels.shape[1:]
    if abs(rows / columns - 1) < SQUARE:
        rows = columns
    if height == width == size and rows == columns:
        return pixels
    pixel = max(height * rows, width * columns) / size
    down, on_rows = _weights(height, rows, size, pixel)
    across, on_columns = _weights(width, columns, size, pixel)
    outside = ~(on_rows[:, None] & on_columns)
    lowest, highest = pixels.min(), pixels.max()
    squared = np.empty((len(pixels), size, size), pixels.dtype)
    for stored, into in zip(pixels, squared, strict=True):
        resampled = down @ stored.astype(np.float32) @ across.T  # (h, H)(H, W)(W, w) -> (h, w)
        if pixels.dtype.kind in "ui":
            resampled = np.rint(resampled)
        np.clip(resampled, lowest, highest, out=resampled)
        resampled[outside] = lowest
        into[:] = resampled
    return squared


@dataclass(frozen=True, repr=False)
class Volume:
    """One plane of an exam.

    Attributes
    ----------
    pixels : (S, H, W), uint16 where the values allow, else float32, after rescale. Slices run
        from right to left (sagittal), front to back (coronal), foot to head (axial); each is in
        standard display.
    spacing : mm between slices, rows and columns; NaN where unknown.
    plane : axial, coronal or sagittal.
    series : which series it is, in words that identify nobody.
    reason : why that one.
    gaps : after how many slices one is missing (only where gaps were allowed).
    images : what each slice was read from, in the order of the slices.
    turn : what brought the stored slices to standard display, see `display_turn`.
    """

    pixels: np.ndarray
    spacing: tuple[float, float, float]
    plane: str
    series: str
    reason: str
    gaps: tuple[int, ...] = ()
    images: tuple[Image, ...] = ()
    turn: tuple[bool, bool, bool] = (False, False, False)

    def __repr__(self) -> str:
        slices, rows, columns = self.pixels.shape
        return (
            f"Volume({self.plane}: {slices} slices of {rows} x {columns} {self.pixels.dtype}; "
            f"{self.series}; {self.reason})"
        )


def to_square(volume: Volume, size: int = SLICE_SIZE) -> Volume:
    """The volume with slices of `size` x `size` square pixels; see `to_square_pixels`."""
    squared = to_square_pixels(volume.pixels, volume.spacing[1:], size)
    if squared is volume.pixels:
        return volume
    _, rows, columns = volume.pixels.shape
    side = max(rows * volume.spacing[1], columns * volume.spacing[2]) / size
    spacing = (volume.spacing[0], side, side)
    return replace(volume, pixels=squared, spacing=spacing)


class Grid(NamedTuple):
    """Where a slice's square pixels lie in the patient, in mm (LPS).

    ``first`` (3,) is the centre of the pixel in row 0 and column 0, ``across`` and ``down`` (3,)
    are unit vectors along the columns' and the rows' index, ``pixel`` is a pixel's side.
    """

    first: np.ndarray
    across: np.ndarray
    down: np.ndarray
    pixel: float


def square_grid(image: Image, turn: tuple[bool, bool, bool], size: int) -> Grid | None:
    """Where the pixels of a slice lie after `turned` and `to_square_pixels`.

    Turning and padding leave the centre of the field of view where it is, so all follows from it.
    None where the image does not say the spacing of its pixels.
    """
    if not image.spacing:
        return None
    frame, (rows, columns) = frame_of(image.orientation), image.spacing
    height, width = image.header.rows, image.header.columns
    centre = np.array(image.position)
    centre = centre + frame[0] * columns * (width - 1) / 2 + frame[1] * rows * (height - 1) / 2
    swap, flip_rows, flip_columns = turn
    across, down = (frame[1], frame[0]) if swap else (frame[0], frame[1])
    across, down = across * (-1 if flip_columns else 1), down * (-1 if flip_rows else 1)
    pixel = max(height * rows, width * columns) / size
    return Grid(centre - (across + down) * pixel * (size - 1) / 2, across, down, pixel)
