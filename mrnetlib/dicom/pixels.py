"""Pixels of chosen images, as stored or through the codec that their transfer syntax needs."""

import struct
from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO

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

#: The length of an element that ends where a delimiter stands: of encapsulated pixels.
UNDEFINED = 0xFFFFFFFF

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
    """Values of images of one matrix as they lie in the file, each (H, W), in the order given.

    Bits that are not stored are still among them; see `scale.masked`.

    Raises
    ------
    UnreadableError
        Where the pixels are cut short, longer than the header says, or cannot be decoded.
    """
    for header, group in groupby(images, key=lambda image: image.header):
        frames = [image.frame for image in group]
        yield from (_native if header.syntax in NATIVE else _decoded)(header, frames)


def _native(header: Header, frames: list[int]) -> Iterator[np.ndarray]:
    allocated = header.bits[0]
    order = "<" if header.little else ">"
    dtype = np.dtype(f"{order}{'i' if header.signed else 'u'}{allocated // 8}")
    size = header.rows * header.columns * dtype.itemsize
    with header.file.open() as opened:
        length, begin, kind = _element(opened, header)
        _check_length(length, size * header.frames)
        swapped = dtype.itemsize == 1 and not header.little and kind == b"OW"
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
            yield stored.astype(dtype.newbyteorder("="), copy=False)


def _element(opened: BinaryIO, header: Header) -> tuple[int, int, bytes]:
    """The pixel element's length, where its value begins, and its VR where one is written."""
    opened.seek(header.offset)
    start = opened.read(12)
    if len(start) < 12:
        raise UnreadableError("its pixels are cut short")
    # What the file says of its VRs is not always so; the element itself shows it.
    explicit = start[4:6] in (b"OW", b"OB") and start[6:8] == bytes(2)
    field, size = (start[8:12], 12) if explicit else (start[4:8], 8)
    (length,) = struct.unpack(f"{'<' if header.little else '>'}L", field)
    return length, header.offset + size, start[4:6] if explicit else b""


def _check_length(length: int, needed: int) -> None:
    if length == UNDEFINED:
        raise UnreadableError(
            "its pixels are compressed and its header says they are not (a wrong transfer syntax)"
        )
    if length < needed:
        raise UnreadableError("its pixels are cut short")
    if length > needed + 1:  # one byte may fill up an odd number
        raise UnreadableError(
            f"its pixels take {length} bytes where matrix, frames and bits of its header make "
            f"{needed}, so the header is not theirs"
        )


def _decoded(header: Header, frames: list[int]) -> Iterator[np.ndarray]:
    tags = " ".join(_IMAGE_TAGS).split()
    with header.file.open() as opened:
        if _element(opened, header)[0] != UNDEFINED:
            raise UnreadableError(
                f"its header says {syntax_name(header.syntax)} and its pixels are not compressed "
                "(a wrong transfer syntax)"
            )
        opened.seek(0)
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
        yield image


def _check_size(encoded: bytes, header: Header) -> None:
    """A damaged stream may announce gigabytes: compare its own size with the header's first."""
    found = None
    if header.syntax == RLELossless:
        return
    if encoded[:4] == b"\xff\x4f\xff\x51" and len(encoded) > 42:  # JPEG 2000: SIZ
        right, bottom, left, top = struct.unpack(">4L", encoded[8:24])
        found = bottom - top, right - left, (encoded[42] & 0x7F) + 1
    elif encoded[:2] == b"\xff\xd8":  # JPEG and JPEG-LS: the first SOF
        found = _jpeg_size(encoded)
    if found is None or found[:2] != (header.rows, header.columns):
        raise UnreadableError("its compressed pixels are cut short or damaged")
    if found[2] > header.bits[0]:
        raise UnreadableError(
            f"its compressed pixels have {found[2]} bits and its header allocates {header.bits[0]}"
        )


def _jpeg_size(encoded: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and bits."""
    at = 2
    while at + 9 <= len(encoded):
        if encoded[at] != 0xFF:
            return None
        marker, length = encoded[at + 1], int.from_bytes(encoded[at + 2 : at + 4], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            bits, rows, columns = struct.unpack(">BHH", encoded[at + 4 : at + 9])
            return rows, columns, bits
        at += 2 + length if marker != 0xFF else 1
    return None
