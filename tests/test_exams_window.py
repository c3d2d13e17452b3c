import numpy as np
import pytest

from mrnetlib.exams import window
from mrnetlib.files import InputError


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


def test_exams_of_two_depths_are_refused_and_not_clipped():
    deep, flat = np.full((2, 4, 4), 3000, np.uint16), np.full((2, 4, 4), 77, np.uint8)
    for volumes in ([deep, flat], [flat, deep]):
        with pytest.raises(InputError, match="uint16 and uint8: no linear scale fits both"):
            window.white_level(iter(volumes))
    with pytest.raises(InputError, match="an exam of uint16"):
        window.to_grey(deep, window.white_level(iter([flat])))
    with pytest.raises(InputError, match="an exam of uint8"):
        window.to_grey(flat, window.white_level(iter([deep])))
