"""A square pixel is where its slice says: a hot spot keeps its place in the patient."""

from itertools import product

import numpy as np
import pytest
from dicom_files import write_series

from mrnetlib.dicom import read_study, to_square
from mrnetlib.dicom.geometry import square_grid

ROWS, COLUMNS, ROW_MM, COLUMN_MM = 20, 30, 0.8, 0.5
SPOT = (3, 6, 21)  # slice, row, column as stored


def hot_slice(index: int) -> np.ndarray:
    image = np.full((ROWS, COLUMNS), 10, np.uint16)
    image[0, 0] += index
    if index == SPOT[0]:
        image[SPOT[1], SPOT[2]] = 60_000
    return image


def centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    weights = np.where(image > 500, image.astype(float), 0)
    row, column = (np.arange(size) for size in image.shape)
    total = weights.sum()
    return weights.sum(1) @ row / total, weights.sum(0) @ column / total


@pytest.mark.parametrize("turns", [*product((1, -1), (1, -1), (False, True))])
def test_a_spot_keeps_its_place_in_the_patient(tmp_path, turns):
    left, head, swap = turns
    # A coronal stack, oblique by eight degrees, stored in one of eight ways.
    tilt = np.radians(8)
    axes = [left * np.array([np.cos(tilt), np.sin(tilt), 0]), head * np.array([0.0, 0, -1])]
    across, down = axes[::-1] if swap else axes
    normal = np.array([-np.sin(tilt), np.cos(tilt), 0])
    positions = [np.array([-31.5, 12.25, 40.0]) + 4.0 * index * normal for index in range(8)]
    write_series(
        tmp_path, "coronal", 8, hot_slice, PixelSpacing=[ROW_MM, COLUMN_MM],
        ImageOrientationPatient=[*across.round(9), *down.round(9)],
        ImagePositionPatient=lambda index: list(positions[index].round(9)),
    )  # fmt: skip
    volume = to_square(read_study(tmp_path)["coronal"], 48)
    hottest = int(volume.pixels.max(axis=(1, 2)).argmax())
    grid = square_grid(volume.images[hottest], volume.turn, 48)
    row, column = centre_of_mass(volume.pixels[hottest])
    found = grid.first + grid.pixel * (row * grid.down + column * grid.across)
    truth = positions[SPOT[0]] + ROW_MM * SPOT[1] * down + COLUMN_MM * SPOT[2] * across
    np.testing.assert_allclose(found, truth, atol=0.02)
    assert grid.pixel == pytest.approx(max(ROWS * ROW_MM, COLUMNS * COLUMN_MM) / 48)
    assert volume.spacing[1:] == pytest.approx((grid.pixel, grid.pixel))


def test_without_a_spacing_nothing_has_a_place(tmp_path):
    write_series(tmp_path, "coronal", 8, hot_slice, PixelSpacing=None)
    volume = read_study(tmp_path)["coronal"]
    assert square_grid(volume.images[0], volume.turn, 48) is None
