"""A stack of one scale from the values that lie in its files: bits, padding, rescale."""

from itertools import pairwise

import numpy as np

from mrnetlib.dicom.archives import UnreadableError
from mrnetlib.dicom.headers import Header, Image
from mrnetlib.dicom.pixels import read

#: Slices whose brightest value is this many times that of others are on another scale.
OTHER_SCALE = 2.0

#: Neighbours of which one is this many times as bright are on two scales.
STEP = 3.5


def masked(pixels: np.ndarray, header: Header) -> np.ndarray:
    """Values of which only the stored bits count (DICOM PS3.5 8.1.1); the same array if they do.

    What lies in the other bits is no part of the picture: an overlay with somebody's name, or
    what the memory held. An overlay that is said to live among the stored bits is left out where
    it stands apart from the picture.

    Raises
    ------
    UnreadableError
        Where it does not.
    """
    allocated, stored, highest = header.bits
    width = 8 * pixels.dtype.itemsize
    if pixels.dtype.kind not in "ui":
        return pixels
    shift = highest + 1 - stored if stored - 1 < highest < allocated else 0
    pixels = pixels >> shift if shift else pixels
    for bit in header.extras.overlays:
        if shift < bit < shift + stored:
            pixels = _without_overlay(pixels, bit - shift)
    unused = width - stored
    signed = pixels.dtype.kind == "i"
    low, high = (-(1 << stored - 1), 1 << stored - 1) if signed else (0, 1 << stored)
    if unused <= 0 or (pixels.max() < high and (low == 0 or pixels.min() >= low)):
        return pixels
    return (pixels << unused) >> unused


def _without_overlay(pixels: np.ndarray, bit: int) -> np.ndarray:
    """Values without one of their bits; a picture that reaches up to the bit may need it."""
    there = (pixels >> bit) & 1 != 0
    if not there.any():
        return pixels
    rest = pixels & ~(np.ones((), pixels.dtype) << bit)
    if pixels.min() < 0 or rest.max() >> (bit - 1):
        raise UnreadableError(
            f"an overlay is said to lie in bit {bit} of its pixels, which the picture uses too"
        )
    return rest


def same_scale(images: list[Image]) -> None:
    """Refuse images whose values cannot be brought to one scale.

    Raises
    ------
    UnreadableError
    """
    without = sum(image.slope in (None, 0.0) for image in images)
    slopes = {image.slope for image in images} - {None, 0.0, 1.0}
    if without and slopes:
        raise UnreadableError(
            f"{without} of its {len(images)} images have no rescale slope and the others have one"
        )
    if any(0 in i.header.extras.overlays and i.header.bits[0] == i.header.bits[1] for i in images):
        raise UnreadableError(
            "an overlay lies in its pixels and nothing says in which bit; it may be a name"
        )


def rescaled(images: list[Image], notes: list[str]) -> np.ndarray:
    """The stack (S, H, W) after each image's rescale, MONOCHROME1 turned so that air is dark.

    Padding around the picture gets the lowest value of the rest. Returns uint16 where the rescale
    is none or a whole shift and all values are 0 to 65,535, else float32. What was done to the
    values and a reader should know goes to `notes`.

    Raises
    ------
    UnreadableError
        As `read`, and for values that are not finite.
    """
    same_scale(images)
    first = images[0].header
    stored = padding = None
    cut = False
    ranges = _paddings(images)
    for index, (one, image) in enumerate(zip(read(images), images, strict=True)):
        kept = masked(one, image.header)
        if kept is not one and _cut(one, kept, image.header):
            _check_order(one, image.header)
            cut = True
        if stored is None:
            stored = np.empty((len(images), first.rows, first.columns), kept.dtype)
        if kept.dtype != stored.dtype:
            stored = stored.astype(np.result_type(stored, kept))
        stored[index] = kept
        if ranges[index]:
            padding = np.zeros(stored.shape, bool) if padding is None else padding
            padding[index] = _padded(one, kept, ranges[index])
    if cut:
        notes.append("bits of its pixels beyond those stored were set and are left out")
    if len({image.header.bits[1] for image in images}) > 1:
        notes.append("its images store different numbers of bits")
    values = _scaled(stored, images)
    dark = first.photometric != "MONOCHROME1"
    if padding is not None and padding.any():
        _fill(values, padding, dark)
        notes.append("padding around the picture was made as dark as air")
    _check_brightness(values, images)
    if not dark:
        values = values.max() - values.astype(np.float32 if values.dtype.kind == "f" else np.int32)
    return _smallest(values)


def _cut(pixels: np.ndarray, kept: np.ndarray, header: Header) -> bool:
    """Whether more than the extension of a sign was masked."""
    _, stored, highest = header.bits
    shifted = pixels >> (highest + 1 - stored) if highest > stored - 1 else pixels
    if not header.signed:
        return bool((shifted != kept).any())
    return bool(((shifted != kept) & (shifted >> stored != 0)).any())


def _paddings(images: list[Image]) -> list[tuple[int, int] | None]:
    """The range of padding of each image; one that all others name is that of the rest too."""
    said = [image.header.extras.padding for image in images]
    known = set(said) - {None, (0, 0)}
    usual = known.pop() if len(known) == 1 and len({i.header.signed for i in images}) == 1 else None
    return [usual if one is None else one if one != (0, 0) else None for one in said]


def _padded(pixels: np.ndarray, kept: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    """Where an image (H, W) holds padding: in its bits as they lie there, or in those stored."""
    low, high = padding
    return ((pixels >= low) & (pixels <= high)) | ((kept >= low) & (kept <= high))


def _check_order(pixels: np.ndarray, header: Header) -> None:
    """Refuse values that reach beyond the stored bits and would not with their bytes turned."""
    allocated, stored, highest = header.bits
    if header.signed or allocated != 16 or stored > 12 or highest != stored - 1:
        return
    if pixels.byteswap().max() < 1 << stored:
        raise UnreadableError(
            "the bytes of its pixels lie in the other order than its header says (big or little "
            "endian)"
        )


def _fill(values: np.ndarray, padding: np.ndarray, dark: bool) -> None:
    """Give padding the value of the rest that is air, in place: the lowest where air is dark."""
    if not padding.all():
        picture = values[~padding]
        values[padding] = picture.min() if dark else picture.max()


def _check_brightness(values: np.ndarray, images: list[Image]) -> None:
    """Refuse slices of 8 bits among others of more that are plainly on a scale of their own."""
    stored = np.array([image.header.bits[1] for image in images])
    allocated = np.array([image.header.bits[0] for image in images])
    if (allocated == allocated[0]).all():
        _check_steps(values, np.flatnonzero(np.diff(stored)))
        return
    tops = [np.median([one.max() for one in values[allocated == bits]]) for bits in set(allocated)]
    if max(tops) > OTHER_SCALE * max(min(tops), 1):
        raise UnreadableError(
            "its images allocate different numbers of bits and are on scales of their own, which "
            "no rescale brings together"
        )


def _check_steps(values: np.ndarray, before: np.ndarray) -> None:
    """Refuse neighbours that store different numbers of bits and are on scales of their own.

    Some scanners store as many bits as a slice needs: from one to the next that changes little.
    """
    if not len(before):
        return
    tops = [np.sort([values[i].max(), values[i + 1].max()]).astype(float) for i in before]
    if np.median([high / max(low, 1.0) for low, high in tops]) > STEP:
        raise UnreadableError(
            "its images store different numbers of bits and are on scales of their own, which no "
            "rescale brings together"
        )


def _scaled(stored: np.ndarray, images: list[Image]) -> np.ndarray:
    scales = [(1.0 if i.slope in (None, 0.0) else i.slope, i.intercept or 0.0) for i in images]
    if all(scale == (1.0, 0.0) for scale in scales):
        return stored
    shift = stored.dtype.itemsize < 4
    shift = shift and all(slope == 1 and intercept.is_integer() for slope, intercept in scales)
    values = np.empty(stored.shape, np.int32 if shift else np.float32)
    for one, into, (slope, intercept) in zip(stored, values, scales, strict=True):
        into[:] = one.astype(np.int32 if shift else np.float64) * slope + intercept
    return values


def _smallest(values: np.ndarray) -> np.ndarray:
    """uint16 where the values allow, else float32."""
    if values.dtype == np.uint16:
        return values
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise UnreadableError("its rescaled values are not finite")
        return values
    small = values.min() >= 0 and values.max() <= np.iinfo(np.uint16).max
    return values.astype(np.uint16 if small else np.float32)


def check_copies(values: np.ndarray) -> None:
    """Refuse a stack (S, H, W) in which neighbours hold the same picture, noise and all."""
    middle = values.shape[1] // 2  # two rows tell most neighbours apart
    same = [
        index
        for index, (one, other) in enumerate(pairwise(values), 1)
        if np.array_equal(one[middle], other[middle]) and np.array_equal(one, other)
        if one.min() != one.max()
    ]
    if same:
        raise UnreadableError(
            f"{len(same)} of its {len(values)} slices hold the same picture as their neighbour "
            f"(the first is slice {same[0] + 1})"
        )


def empty(values: np.ndarray) -> np.ndarray:
    """Which slices of a stack (S, H, W) hold one value alone, (S,)."""
    middle = values.shape[1] // 2
    return np.array(
        [(one[middle] == one[0, 0]).all() and (one == one[0, 0]).all() for one in values]
    )
