"""Cases that users of DICOM readers reported: what else lies in the pixels, and whose they are."""

import numpy as np
import pytest
from dicom_files import dataset, pattern, save, write_series
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from mrnetlib.dicom import examine, read_study
from mrnetlib.dicom.sources import find
from mrnetlib.files import InputError

STACK = np.stack([pattern(index) for index in range(8)])


def read(folder):
    return read_study(folder)["sagittal"].pixels


def garbage(index):
    """A slice whose four unused bits hold what the memory held."""
    return pattern(index) | (np.arange(24, dtype=np.uint16) % 16 << 12)


TWELVE = {"BitsStored": 12, "HighBit": 11}


def test_bits_that_are_not_stored_are_masked_and_said(tmp_path):
    write_series(tmp_path / "plain", image=garbage, **TWELVE)
    write_series(
        tmp_path / "rle", image=garbage, mend=lambda ds, i: ds.compress(RLELossless), **TWELVE
    )
    for folder in ("plain", "rle"):
        np.testing.assert_array_equal(read(tmp_path / folder), STACK)
    assert "bits of its pixels beyond those stored" in noted(tmp_path / "plain")
    high = {"BitsStored": 12, "HighBit": 15}
    write_series(tmp_path / "high", image=lambda i: (pattern(i) << 4) + 7, **high)
    np.testing.assert_array_equal(read(tmp_path / "high"), STACK)
    signed = lambda i: (pattern(i) - 200).astype(np.int16) & 0xFFF | (5 << 12)  # noqa: E731
    write_series(tmp_path / "signed", image=signed, **TWELVE)
    np.testing.assert_array_equal(read(tmp_path / "signed"), STACK - 200.0)
    assert "beyond those stored" in noted(tmp_path / "signed")


def noted(folder):
    """What the report says of the series that was taken."""
    study = examine(list(find(folder)))
    assert not study.faults
    return study.rows[0]["reason"]


def overlaid(bit, group=0x6000, data=False):
    """Adds an overlay plane that is said to live in the pixels' `bit`, or has data of its own."""

    def mend(ds, index):
        ds.add_new((group, 0x0010), "US", 24)
        ds.add_new((group, 0x0011), "US", 24)
        ds.add_new((group, 0x0102), "US", bit)
        if data:
            ds.add_new((group, 0x3000), "OW", bytes(72))

    return mend


@pytest.mark.parametrize(
    ("bit", "group", "stored"),
    [(12, 0x6000, 12), (0, 0x6000, 12), (13, 0x6004, 16), (15, 0x601E, 16)],
)
def test_writing_in_an_overlay_is_no_part_of_the_picture(tmp_path, bit, group, stored):
    written = lambda i: pattern(i) | (np.uint16(1) << (bit or 12)) * (np.arange(24) < 8)  # noqa: E731
    bits = {"BitsStored": stored, "HighBit": stored - 1, "mend": overlaid(bit, group)}
    write_series(tmp_path, image=lambda i: written(i).astype(np.uint16), **bits)
    np.testing.assert_array_equal(read(tmp_path), STACK)


def test_an_overlay_in_an_unknown_bit_is_refused_and_one_with_data_left_out(tmp_path):
    write_series(tmp_path / "somewhere", mend=overlaid(0))
    with pytest.raises(InputError, match="nothing says in which bit; it may be a name"):
        read_study(tmp_path / "somewhere")
    write_series(tmp_path / "apart", mend=overlaid(0, data=True))
    np.testing.assert_array_equal(read(tmp_path / "apart"), STACK)


def test_an_overlay_below_the_stored_bits_and_one_within_the_picture(tmp_path):
    high = {"BitsStored": 12, "HighBit": 15, "mend": overlaid(2)}
    write_series(tmp_path / "below", image=lambda i: (pattern(i) << 4) | 4, **high)
    np.testing.assert_array_equal(read(tmp_path / "below"), STACK)
    write_series(tmp_path / "clear", mend=overlaid(14))
    np.testing.assert_array_equal(read(tmp_path / "clear"), STACK)
    write_series(tmp_path / "within", mend=overlaid(8))
    with pytest.raises(InputError, match="in bit 8 of its pixels, which the picture uses too"):
        read_study(tmp_path / "within")


def padded(value, limit=None, dtype=np.int16):
    """A slice with padding in two columns that are air."""

    def image(index):
        pixels = pattern(index).astype(dtype)
        pixels[:, 0], pixels[:, 1] = value, value if limit is None else limit
        return pixels

    return image


def padding(value, vr="SS", limit=None):
    def mend(ds, index):
        ds.add_new(0x00280120, vr, value)
        if limit is not None:
            ds.add_new(0x00280121, vr, limit)

    return mend


@pytest.mark.parametrize(
    ("image", "mend"),
    [
        (padded(-32768), padding(-32768)),
        (padded(-2000), padding(63536, "US")),  # written as unsigned, meant as the pixels are
        (padded(-2000, -1500), padding(-2000, limit=-1500)),
        (padded(65535, dtype=np.uint16), padding(65535, "US")),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_padding_becomes_background(tmp_path, image, mend, syntax):
    def both(ds, index):
        mend(ds, index)
        ds.file_meta.TransferSyntaxUID = syntax

    write_series(tmp_path, image=image, mend=both)
    np.testing.assert_array_equal(read(tmp_path), STACK)
    assert "padding around the picture was made as dark as air" in noted(tmp_path)


def test_padding_of_inverted_pictures_and_padding_alone(tmp_path):
    inverse = lambda i: np.where(np.arange(24) < 2, 65535, 4095 - pattern(i)).astype(np.uint16)  # noqa: E731
    said = {"PhotometricInterpretation": "MONOCHROME1", "mend": padding(65535, "US")}
    write_series(tmp_path / "inverse", image=inverse, **said)
    np.testing.assert_array_equal(read(tmp_path / "inverse"), STACK)
    one = dataset(np.full((24, 24), -5, np.int16))
    padding(-5)(one, 0)
    save(one, tmp_path / "alone" / "a.dcm")
    assert (read(tmp_path / "alone") == -5).all()


def test_slices_of_different_signs_and_sizes_are_on_one_scale(tmp_path):
    signs = lambda i: pattern(i).astype(np.int16 if i else np.uint16) - 20 * (i > 0)  # noqa: E731
    write_series(tmp_path / "signs", image=lambda i: signs(i).astype(np.int16 if i else np.uint16))
    expected = STACK.astype(np.float32)
    expected[1:] -= 20
    np.testing.assert_array_equal(read(tmp_path / "signs"), expected)
    sizes = lambda i: pattern(i).astype(np.uint16 if i % 2 else np.uint32)  # noqa: E731
    write_series(tmp_path / "sizes", image=sizes)
    np.testing.assert_array_equal(read(tmp_path / "sizes"), STACK)
    assert "different numbers of bits" in noted(tmp_path / "sizes")


def test_slices_that_no_rescale_brings_to_one_scale(tmp_path):
    eight = lambda i: pattern(i) if i > 2 else (pattern(i) // 8).astype(np.uint8)  # noqa: E731
    write_series(tmp_path / "bits", image=eight)
    with pytest.raises(InputError, match="on scales of their own"):
        read_study(tmp_path / "bits")
    write_series(tmp_path / "slopes", RescaleSlope=lambda i: 2.5 if i > 2 else None)
    with pytest.raises(InputError, match="3 of its 8 images have no rescale slope"):
        read_study(tmp_path / "slopes")


@pytest.mark.parametrize("extra", [2, 1152])
def test_more_bytes_than_the_header_needs(tmp_path, extra):
    def lengthen(ds, index):
        ds.PixelData += bytes(extra)

    write_series(tmp_path, mend=lengthen)
    with pytest.raises(InputError, match=f"take {1152 + extra} bytes where .* make 1152"):
        read_study(tmp_path)


def test_an_odd_number_of_bytes_is_filled_up(tmp_path):
    odd = lambda i: (pattern(i, 25, 25) // 4).astype(np.uint8)  # noqa: E731
    write_series(
        tmp_path, image=odd, mend=lambda ds, i: setattr(ds, "PixelData", ds.PixelData + b"\0")
    )
    np.testing.assert_array_equal(read(tmp_path), np.stack([odd(i) for i in range(8)]))


def renamed(folder, old, new):
    """Write another transfer syntax, padded to an even length, over the one that files have."""
    for path in folder.iterdir():
        content = path.read_bytes()
        at = content.index(old.encode())
        length = len(old) + len(old) % 2
        told = new.encode() + bytes(len(new) % 2)
        content = (
            content[: at - 2] + len(told).to_bytes(2, "little") + told + content[at + length :]
        )
        group = content.index(b"\x02\0\0\0UL") + 8
        size = int.from_bytes(content[group : group + 4], "little") + len(told) - length
        path.write_bytes(content[:group] + size.to_bytes(4, "little") + content[group + 4 :])


def test_a_header_that_names_the_wrong_transfer_syntax(tmp_path):
    def write(name, syntax):
        write_series(
            tmp_path / name, mend=lambda ds, i: setattr(ds.file_meta, "TransferSyntaxUID", syntax)
        )

    write("explicit", ExplicitVRLittleEndian)
    renamed(tmp_path / "explicit", ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    write("implicit", ImplicitVRLittleEndian)
    renamed(tmp_path / "implicit", ImplicitVRLittleEndian, ExplicitVRLittleEndian)
    for folder in ("explicit", "implicit"):
        np.testing.assert_array_equal(read(tmp_path / folder), STACK)
    write("native", ExplicitVRLittleEndian)
    renamed(tmp_path / "native", ExplicitVRLittleEndian, RLELossless)
    with pytest.raises(InputError, match=r"says RLE Lossless and its pixels are not compressed"):
        read_study(tmp_path / "native")
    write_series(tmp_path / "rle", mend=lambda ds, i: ds.compress(RLELossless))
    renamed(tmp_path / "rle", RLELossless, ExplicitVRLittleEndian)
    with pytest.raises(InputError, match="are compressed and its header says they are not"):
        read_study(tmp_path / "rle")


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_compressed_pixels_of_more_bits_than_the_header_allocates(tmp_path, syntax):
    from pydicom.pixels import get_encoder

    if not get_encoder(syntax).is_available:
        pytest.skip(f"SKIPPED ALOUD: no encoder for {syntax.name}; install the codecs extra")

    def claim(ds, index):
        ds.compress(syntax)
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit = 7

    write_series(tmp_path, image=lambda i: pattern(i, 64, 64), mend=claim)
    with pytest.raises(InputError, match="have 16 bits and its header allocates 8"):
        read_study(tmp_path)
