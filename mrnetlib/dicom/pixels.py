"""Pixels of chosen images, as stored or through the codec that their transfer syntax needs."""

import struct
from collections.abc import Iterator
from itertools import groupby

import numpy as np
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import UID, RLELossless

from mrnetlib.dicom.archives import UnreadableError
from mrnetlib.dicom.headers import Header, Image

#: A stack with more voxels than this is refused rather than read: half a gigabyte as uint16.
MAX_VOXELS = 1 << 28

_IMPLICIT, _EXPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
NATIVE = {"", _IMPLICIT, _EXPLICIT, _BIG, "1.2.840.10008.1.2.1.99"}

#: What a decoder needs to know of the header.
_IMAGE_TAGS = [
    "SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns",
    "BitsAllocated BitsStored HighBit PixelRepresentation ExtendedOffsetTable",
    "ExtendedOffsetTableLengths PixelData",
]

CODECS = "pip install 'mrnetlib[codecs]'"


def syntax_name(syntax: str) -> str:
    """A transfer syntax in words; registered names only, never text of a file."""
    uid = UID(syntax)
    return uid.name if uid.is_valid and uid.name != syntax else "an unregistered transfer syntax"


def cannot_decode(header: Header) -> str:
    """Why the pixels of a file cannot be decoded here, "" where they can."""
    if header.syntax in NATIVE:
        return ""
    name = syntax_name(header.syntax)
    try:
        if get_decoder(UID(header.syntax)).is_available:
            return ""
    except NotImplementedError:
        return f"its compression ({name}) is not one that can be read; send it uncompressed"
    return f"its compression ({name}) needs the codecs extra; install it with {CODECS}"


def read(images: list[Image]) -> Iterator[np.ndarray]:
    """Stored values of images of one matrix, each (H, W), in the order given.

    Raises
    ------
    UnreadableError
        Where the pixels are cut short or cannot be decoded.
    """
    for header, group in groupby(images, key=lambda image: image.header):
        frames = [image.frame for image in group]
        yield from (_native if header.syntax in NATIVE else _decoded)(header, frames)


def _native(header: Header, frames: list[int]) -> Iterator[np.ndarray]:
    allocated = header.bits[0]
    dtype = np.dtype(
        f"{'<' if header.little else '>'}{'i' if header.signed else 'u'}{allocated // 8}"
    )
    size = header.rows * header.columns * dtype.itemsize
    with header.file.open() as opened:
        opened.seek(header.offset)
        start = opened.read(12)
        if len(start) < 12:
            raise UnreadableError("its pixels are cut short")
        order = "<" if header.little else ">"
        if header.implicit:
            (length,), begin = struct.unpack(order + "L", start[4:8]), header.offset + 8
        else:
            (length,), begin = struct.unpack(order + "L", start[8:12]), header.offset + 12
        swapped = dtype.itemsize == 1 and not header.little and start[4:6] == b"OW"
        if length < size * header.frames:
            raise UnreadableError("its pixels are cut short")
        for frame in frames:
            opened.seek(begin + frame * size)
            content = opened.read(size)
            if len(content) < size:
                raise UnreadableError("its pixels are cut short")
            if swapped:  # bytes travel in pairs, and big-endian pairs are turned round
                if size % 2:
                    raise UnreadableError("its pixels are bytes in pairs and odd in number")
                content = np.frombuffer(content, np.uint16).byteswap().tobytes()
            stored = np.frombuffer(content, dtype).reshape(header.rows, header.columns)
            yield _stored_bits(stored.astype(dtype.newbyteorder("="), copy=False), header)


def _decoded(header: Header, frames: list[int]) -> Iterator[np.ndarray]:
    tags = " ".join(_IMAGE_TAGS).split()
    with header.file.open() as opened:
        try:
            data = dcmread(opened, force=True, specific_tags=tags)
            encoded = list(generate_frames(data.PixelData, number_of_frames=header.frames))
        except Exception:
            raise UnreadableError("its compressed pixels are cut short or damaged") from None
    if len(encoded) < header.frames:
        raise UnreadableError("its pixels are cut short")
    decoder = get_decoder(UID(header.syntax))
    # pydicom's own RLE decoder survives damage that brings a faster one down.
    plugin = "pydicom" if header.syntax == RLELossless else ""
    for frame in frames:
        _check_size(encoded[frame], header)
        try:
            image, _ = decoder.as_array(data, index=frame, raw=True, decoding_plugin=plugin)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException:  # codecs raise anything on damaged bytes, even panics of Rust
            raise UnreadableError("its compressed pixels are cut short or damaged") from None
        if image.shape != (header.rows, header.columns):
            raise UnreadableError("its compressed pixels do not have the size its header says")
        yield _stored_bits(image, header)


def _check_size(encoded: bytes, header: Header) -> None:
    """A damaged stream may announce gigabytes: compare its own size with the header's first."""
    size = None
    if header.syntax == RLELossless:
        return
    if encoded[:4] == b"\xff\x4f\xff\x51" and len(encoded) >= 24:  # JPEG 2000: SIZ
        right, bottom, left, top = struct.unpack(">4L", encoded[8:24])
        size = bottom - top, right - left
    elif encoded[:2] == b"\xff\xd8":  # JPEG and JPEG-LS: the first SOF
        size = _jpeg_size(encoded)
    if size != (header.rows, header.columns):
        raise UnreadableError("its compressed pixels are cut short or damaged")


def _jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(encoded):
        if encoded[at] != 0xFF:
            return None
        marker, length = encoded[at + 1], int.from_bytes(encoded[at + 2 : at + 4], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return struct.unpack(">2H", encoded[at + 5 : at + 9])
        at += 2 + length if marker != 0xFF else 1
    return None


def _stored_bits(pixels: np.ndarray, header: Header) -> np.ndarray:
    """Values of which only BitsStored bits count (DICOM PS3.5 8.1.1).

    Nothing is cut off where the values use more bits than the header admits, unless an overlay is
    said to live there: such headers are wrong more often than such pixels.
    """
    allocated, stored, highest = header.bits
    unused = 8 * pixels.dtype.itemsize - stored
    if unused <= 0 or pixels.dtype.kind not in "ui":
        return pixels
    if highest > stored - 1 and highest < allocated:
        pixels = pixels >> (highest + 1 - stored)
    if pixels.dtype.kind == "u":
        return pixels & ((1 << stored) - 1) if header.overlay else pixels
    low, high = int(pixels.min()), int(pixels.max())
    unextended = low >= 0 and 1 << (stored - 1) <= high < 1 << stored
    if header.overlay or unextended:
        return (pixels << unused) >> unused
    return pixels


def rescaled(pixels: Iterator[np.ndarray], images: list[Image]) -> np.ndarray:
    """The stack (S, H, W) after each image's rescale, MONOCHROME1 turned so that air is dark.

    Returns uint16 where the rescale is none or a whole shift and all values are 0 to 65,535, else
    float32.

    Raises
    ------
    UnreadableError
        As `read`, and for values that are not finite.
    """
    first = images[0].header
    stored = None
    for index, one in enumerate(pixels):
        if stored is None:
            stored = np.empty((len(images), first.rows, first.columns), one.dtype)
        stored[index] = one if one.dtype == stored.dtype else one.astype(stored.dtype)
    scales = [(1.0 if i.slope in (None, 0.0) else i.slope, i.intercept or 0.0) for i in images]
    if all(scale == (1.0, 0.0) for scale in scales):
        values = stored
    else:
        shift = all(slope == 1 and intercept.is_integer() for slope, intercept in scales)
        values = np.empty(stored.shape, np.int32 if shift else np.float32)
        for one, into, (slope, intercept) in zip(stored, values, scales, strict=True):
            into[:] = one.astype(np.int32 if shift else np.float64) * slope + intercept
    if first.photometric == "MONOCHROME1":
        top = values.max()
        values = top - values.astype(np.float32 if values.dtype.kind == "f" else np.int32)
    if values.dtype == np.uint16:
        return values
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise UnreadableError("its rescaled values are not finite")
        return values
    small = values.min() >= 0 and values.max() <= np.iinfo(np.uint16).max
    return values.astype(np.uint16 if small else np.float32)
