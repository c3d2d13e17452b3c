"""Cases beside those that users reported: series in pieces, on two scales, of two knees."""

import numpy as np
from dicom_files import pattern, write_series

from mrnetlib.dicom import examine
from mrnetlib.dicom.sources import find


def examined(folder):
    return examine(list(find(folder)))


def fault(folder):
    """What is said of the only series, of which nothing is taken."""
    study = examined(folder)
    assert not study.volumes
    return "; ".join(study.faults)


def test_a_slope_of_0_among_others_is_none(tmp_path):
    write_series(tmp_path, RescaleSlope=lambda i: 0 if i < 4 else 2.5, RescaleIntercept=0)
    assert "4 of its 8 images have no rescale slope" in fault(tmp_path)


def test_an_overlay_in_an_old_group_is_no_part_of_the_picture(tmp_path):
    def overlay(ds, index):
        for element, value in ((0x10, 24), (0x11, 24), (0x102, 15)):
            ds.add_new((0x60FE, element), "US", value)

    write_series(tmp_path, image=lambda i: pattern(i) | np.uint16(1 << 15), mend=overlay)
    assert examined(tmp_path).volumes["sagittal"].pixels.max() < 1 << 15


def test_padding_that_some_files_name_is_that_of_all(tmp_path):
    def padded(index):
        image = pattern(index)
        image[:2] = 65535
        return image

    def named(ds, index):
        if index < 4:
            ds.add_new(0x00280120, "US", 65535)

    write_series(tmp_path, image=padded, mend=named)
    assert examined(tmp_path).volumes["sagittal"].pixels.max() < 65535


def test_bits_stored_on_two_scales_are_refused_and_those_that_a_slice_needs_are_not(tmp_path):
    scaled = lambda i: pattern(i) * np.uint16(16 if i > 3 else 1)  # noqa: E731
    bits = {"BitsStored": lambda i: 16 if i > 3 else 12, "HighBit": lambda i: 15 if i > 3 else 11}
    write_series(tmp_path / "two", image=scaled, **bits)
    assert "on scales of their own" in fault(tmp_path / "two")
    needed = lambda i: int(pattern(i).max()).bit_length()  # noqa: E731
    write_series(tmp_path / "one", BitsStored=needed, HighBit=lambda i: needed(i) - 1)
    assert len(examined(tmp_path / "one").volumes["sagittal"].pixels) == 8


def test_pixels_of_the_other_byte_order_are_refused(tmp_path):
    twelve = {"BitsStored": 12, "HighBit": 11}
    write_series(tmp_path, image=lambda i: pattern(i).byteswap(), **twelve)
    assert "in the other order" in fault(tmp_path)
