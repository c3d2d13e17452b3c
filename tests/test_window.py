import numpy as np

from mrnetlib import window


def test_grey_scales_are_kept_apart_without_standardization():
    dark = np.full((2, 4, 4), 100, np.uint16)
    bright = np.full((2, 4, 4), 400, np.uint16)
    white = window.white_level(iter([dark, bright]))
    assert white == 400
    assert window.to_grey(bright, white).max() == 255
    assert window.to_grey(dark, white).max() == 64
    assert window.to_grey(dark * 10, white).dtype == np.uint8
    small = np.full((2, 4, 4), 77, np.uint8)
    assert window.white_level(iter([small])) == 255
    np.testing.assert_array_equal(window.to_grey(small, 255), small)
