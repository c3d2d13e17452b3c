"""Pixels come in right, whatever their encoding."""

import zlib

import numpy as np
import pytest
from dicom_files import dataset, enhanced, pattern, save, write_series
from pydicom import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from mrnetlib.dicom import read_study, to_square, to_square_pixels
from mrnetlib.dicom.convert import storable
from mrnetlib.files import InputError

STACK = np.stack([pattern(index) for index in range(8)])


def read(folder, plane="sagittal"):
    return read_study(folder)[plane].pixels


def test_implicit_big_endian_and_files_without_preamble(tmp_path):
    for name, syntax in (("implicit", ImplicitVRLittleEndian), ("big", ExplicitVRBigEndian)):
        for index in range(8):
            image = pattern(index)
            if name == "big":
                image = image.byteswap()
            ds = dataset(image, index=index)
            ds.file_meta.TransferSyntaxUID = syntax
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            dcmwrite(folder / f"{index}.dcm", ds, enforce_file_format=True)
        np.testing.assert_array_equal(read(tmp_path / name), STACK)
    for syntax in (True, False):
        folder = tmp_path / f"bare-{syntax}"
        folder.mkdir()
        for index in range(8):
            ds = dataset(pattern(index), index=index)
            del ds.file_meta, ds.preamble
            ds.save_as(folder / f"IM{index}", implicit_vr=syntax, little_endian=True)
        np.testing.assert_array_equal(read(folder), STACK)


def test_deflated_and_a_deflate_bomb(tmp_path):
    for index in range(8):
        ds = dataset(pattern(index), index=index)
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        save(ds, tmp_path / "good" / f"{index}.dcm")
    np.testing.assert_array_equal(read(tmp_path / "good"), STACK)
    content = (tmp_path / "good" / "0.dcm").read_bytes()
    begin = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(1 << 26)) + packer.flush()
    (tmp_path / "bomb").mkdir()
    (tmp_path / "bomb" / "0.dcm").write_bytes(content[:begin] + bomb)
    with pytest.raises(InputError, match="unpacks to an implausible size"):
        read_study(tmp_path / "bomb")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_pixels_are_the_same(tmp_path, syntax):
    from pydicom.pixels import get_encoder

    if not get_encoder(syntax).is_available:
        pytest.skip(f"SKIPPED ALOUD: no encoder for {syntax.name}; install the codecs extra")
    large = lambda i: pattern(i, 64, 64)  # noqa: E731
    write_series(tmp_path, image=large, mend=lambda ds, index: ds.compress(syntax))
    np.testing.assert_array_equal(read(tmp_path), np.stack([large(i) for i in range(8)]))


def test_compressed_multiframe_is_read_frame_by_frame(tmp_path):
    ds = enhanced("axial", order=[2, 0, 3, 1], count=4)
    ds.compress(RLELossless)
    save(ds, tmp_path / "one.dcm")
    expected = [pattern(i) * (2.0 * [2, 0, 3, 1].index(i) + 1) for i in range(4)]
    np.testing.assert_array_equal(read(tmp_path, "axial"), expected)


def test_a_missing_codec_is_named(tmp_path, monkeypatch):
    from mrnetlib.dicom import pixels

    class Lacking:
        is_available = False

    monkeypatch.setattr(pixels, "get_decoder", lambda uid: Lacking)

    def claim(ds, index):
        ds.compress(RLELossless)
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.201"  # HTJ2K lossless

    write_series(tmp_path, mend=claim)
    with pytest.raises(InputError, match=r"High-Throughput.*pip install 'mrnetlib\[codecs\]'"):
        read_study(tmp_path)


def test_a_syntax_that_nothing_decodes(tmp_path):
    def claim(ds, index):
        ds.compress(RLELossless)
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG2

    write_series(tmp_path, mend=claim)
    with pytest.raises(InputError, match=r"MPEG2.*is not one that can be read"):
        read_study(tmp_path)


def test_signed_rescaled_and_twelve_bits(tmp_path):
    signed = lambda i: pattern(i).astype(np.int16) - 200  # noqa: E731
    write_series(tmp_path / "signed", image=signed)
    assert read(tmp_path / "signed").dtype == np.float32
    np.testing.assert_array_equal(read(tmp_path / "signed"), STACK - 200.0)
    np.testing.assert_array_equal(storable(read(tmp_path / "signed")), STACK)
    shifted = {"RescaleSlope": 1, "RescaleIntercept": 200}
    write_series(tmp_path / "shifted", image=signed, **shifted)
    np.testing.assert_array_equal(read(tmp_path / "shifted"), STACK)
    assert read(tmp_path / "shifted").dtype == np.uint16
    slopes = {"RescaleSlope": lambda i: 0.5 + i, "RescaleIntercept": 1}
    write_series(tmp_path / "slopes", **slopes)
    scale = np.arange(8)[:, None, None] + 0.5
    np.testing.assert_allclose(read(tmp_path / "slopes"), STACK * scale + 1)
    twelve = {"BitsStored": 12, "HighBit": 11}
    write_series(tmp_path / "unextended", image=lambda i: signed(i) & 0xFFF, **twelve)
    np.testing.assert_array_equal(read(tmp_path / "unextended"), STACK - 200.0)
    write_series(tmp_path / "bytes", image=lambda i: (pattern(i) // 4).astype(np.uint8))
    np.testing.assert_array_equal(read(tmp_path / "bytes"), STACK // 4)


def test_monochrome1_is_turned_so_that_air_is_dark(tmp_path):
    for top in (4095, 65535):
        inverse = lambda i, top=top: np.uint16(top) - pattern(i)  # noqa: E731
        write_series(tmp_path / str(top), image=inverse, PhotometricInterpretation="MONOCHROME1")
        np.testing.assert_array_equal(read(tmp_path / str(top)), STACK)


def disc(rows, columns, row_mm, column_mm, radius=50.0):
    """A bright disc of `radius` mm in the middle, on pixels of any shape; (1, H, W) uint16."""
    y = (np.arange(rows) - (rows - 1) / 2) * row_mm
    x = (np.arange(columns) - (columns - 1) / 2) * column_mm
    return (1000 * (np.hypot(y[:, None], x) < radius)).astype(np.uint16)[None]


@pytest.mark.parametrize(
    ("rows", "columns", "row_mm", "column_mm"),
    [(512, 512, 0.3, 0.3), (320, 512, 0.5, 0.3), (256, 128, 0.6, 1.2), (200, 320, 0.5, 0.5)],
)
def test_a_disc_stays_a_disc_of_the_right_size(rows, columns, row_mm, column_mm):
    squared = to_square_pixels(disc(rows, columns, row_mm, column_mm), (row_mm, column_mm))
    assert squared.shape == (1, 256, 256) and squared.dtype == np.uint16
    pixel = max(rows * row_mm, columns * column_mm) / 256
    inside = squared[0] > 500
    height, width = np.ptp(np.flatnonzero(inside.any(1))), np.ptp(np.flatnonzero(inside.any(0)))
    assert height * pixel == pytest.approx(100, abs=2) and width * pixel == pytest.approx(
        100, abs=2
    )
    area = squared.sum() / 1000 * pixel**2
    assert area == pytest.approx(np.pi * 50**2, rel=0.01)
    np.testing.assert_allclose(np.argwhere(inside).mean(0), 127.5, atol=0.6)


def test_square_already_is_untouched_and_fine_stripes_do_not_alias(tmp_path):
    volume = np.arange(256 * 256, dtype=np.uint16).reshape(1, 256, 256)
    assert to_square_pixels(volume, (0.6, 0.6)) is volume
    stripes = np.zeros((1, 640, 640), np.uint16)
    stripes[:, :, ::2] = 1000
    middle = to_square_pixels(stripes)[0, 20:-20, 20:-20]
    assert abs(middle.astype(float) - 500).max() < 60
    write_series(tmp_path, image=lambda i: pattern(i, 24, 48), PixelSpacing=[0.6, 0.3])
    volume = to_square(read_study(tmp_path)["sagittal"], 32)
    assert volume.pixels.shape == (8, 32, 32)
    assert volume.spacing == pytest.approx((4.0, 0.45, 0.45))


def test_padding_is_the_lowest_value():
    tall = np.full((2, 100, 50), 700.0, np.float32)
    tall[:, 40:60] = -20.0
    squared = to_square_pixels(tall, size=100)
    assert (squared[:, :, :24] == -20).all() and (squared[:, :30, 30:70] == 700).all()
