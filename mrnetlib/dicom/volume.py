"""One plane of an exam, as it comes through the door."""

from dataclasses import dataclass

import numpy as np

from mrnetlib.dicom.geometry import to_square_pixels


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
    """

    pixels: np.ndarray
    spacing: tuple[float, float, float]
    plane: str
    series: str
    reason: str
    gaps: tuple[int, ...] = ()

    def __repr__(self) -> str:
        slices, rows, columns = self.pixels.shape
        return (
            f"Volume({self.plane}: {slices} slices of {rows} x {columns} {self.pixels.dtype}; "
            f"{self.series}; {self.reason})"
        )


def to_square(volume: Volume, size: int = 256) -> Volume:
    """The volume with slices of `size` x `size` square pixels; see `to_square_pixels`."""
    squared = to_square_pixels(volume.pixels, volume.spacing[1:], size)
    if squared is volume.pixels:
        return volume
    _, rows, columns = volume.pixels.shape
    side = max(rows * volume.spacing[1], columns * volume.spacing[2]) / size
    spacing = (volume.spacing[0], side, side)
    return Volume(squared, spacing, volume.plane, volume.series, volume.reason, volume.gaps)
