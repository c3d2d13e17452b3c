"""What few files say beside the usual: how many images there should be, what else is in the pixels.

Makers keep some of it in private blocks, which count only under their creator's name.
"""

from typing import NamedTuple

from pydicom.dataset import Dataset

from mrnetlib.dicom.values import counted, items, number, raw, text

#: How many images there should be: ImagesInAcquisition, NumberOfSeriesRelatedInstances.
_IMAGES = (0x00201002, 0x00201209)

#: In how many files a concatenation comes: InConcatenationTotalNumber.
_PARTS = 0x00209163

#: At how many positions: NumberOfSlices.
_PLACES = "NumberOfSlices"

#: Private elements by group, creator and element.
_GE_IMAGES = 0x0025, "GEMS_SERS_01", 0x07  # images in series
_GE_PLACES = 0x0021, "GEMS_RELA_01", 0x4F  # locations in acquisition
_PHILIPS_PLACES = 0x2001, "PHILIPS IMAGING DD 001", 0x18  # number of slices
_GE_COMPONENT = 0x0043, "GEMS_PARM_01", 0x2F  # which part of a complex image
_SIEMENS_MOSAIC = 0x0019, "SIEMENS MR HEADER", 0x0A  # number of images in a mosaic

#: What GE's number of a component says.
_COMPONENTS = ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")

_PADDING_VALUE, _PADDING_LIMIT = 0x00280120, 0x00280121
_OVERLAY_ROWS, _OVERLAY_BIT, _OVERLAY_DATA = 0x0010, 0x0102, 0x3000


class Extras(NamedTuple):
    """Of one file; most have none of it.

    ``images`` and ``places`` are the numbers announced for its series, ``parts`` the files of a
    concatenation; ``padding`` is the range of stored values that mean outside of the picture;
    ``overlay`` is the lowest bit of the pixels that an overlay is said to live in, 0 where no bit
    is said, None where there is no such overlay.
    """

    images: int | None = None
    places: int | None = None
    parts: int | None = None
    padding: tuple[int, int] | None = None
    overlay: int | None = None
    component: str = ""
    mosaic: bool = False


#: What nearly all files have; one object serves them.
_NONE = Extras()


def extras(data: Dataset, signed: bool, little: bool) -> Extras:
    """What a file says beside the usual; `signed` and `little` are its pixels'."""
    creators, overlays = _groups(data)
    images = [counted(data, tag) for tag in _IMAGES]
    places = [number(data, _PLACES)]
    component, mosaic = "", False
    if creators:
        images.append(_private(data, creators, *_GE_IMAGES, little))
        places.append(_private(data, creators, *_GE_PLACES, little))
        places.append(_private(data, creators, *_PHILIPS_PLACES, little))
        which = _private(data, creators, *_GE_COMPONENT, little)
        component = _COMPONENTS[which] if which in range(4) else ""
        mosaic = (_private(data, creators, *_SIEMENS_MOSAIC, little) or 0) > 1
    found = Extras(
        images=max((int(count) for count in images if count), default=None),
        places=max((int(count) for count in places if count), default=None),
        parts=counted_binary(raw(data, _PARTS), little),
        padding=_padding(data, signed, little),
        overlay=_overlay(data, overlays) if overlays else None,
        component=component,
        mosaic=mosaic,
    )
    return _NONE if found == _NONE else found


def _groups(data: Dataset) -> tuple[dict[tuple[int, str], int], set[int]]:
    """Which block of its group each private creator has; the groups of overlays."""
    creators: dict[tuple[int, str], int] = {}
    overlays = set()
    for tag in data.keys():  # noqa: SIM118 - a data set iterates over its elements
        group, element = tag >> 16, tag & 0xFFFF
        if group & 1:
            if 0x10 <= element <= 0xFF:
                creators[group, text(data, tag).upper()] = element
        elif 0x6000 <= group <= 0x60FF:
            overlays.add(group)
    return creators, overlays


def _private(
    data: Dataset,
    creators: dict[tuple[int, str], int],
    group: int,
    creator: str,
    element: int,
    little: bool,
) -> int | None:
    """A whole number of a private block, None where the block is another's or has none."""
    block = creators.get((group, creator))
    if block is None:
        return None
    tag = group << 16 | block << 8 | element
    found = number(data, tag)
    return counted_binary(raw(data, tag), little) if found is None else int(found)


def counted_binary(content: bytes, little: bool) -> int | None:
    """A whole number that is stored in two or four bytes, None where there is none."""
    if len(content) not in (2, 4):
        return None
    return int.from_bytes(content, "little" if little else "big", signed=True)


def _padding(data: Dataset, signed: bool, little: bool) -> tuple[int, int] | None:
    """The range of stored values that are padding, lower first.

    The elements' VR is that of the pixels, whatever is written: their bytes are read as those.
    """
    ends = []
    for tag in (_PADDING_VALUE, _PADDING_LIMIT):
        content = raw(data, tag)
        if len(content) == 2:
            ends.append(int.from_bytes(content, "little" if little else "big", signed=signed))
    return (min(ends), max(ends)) if ends and len(raw(data, _PADDING_VALUE)) == 2 else None


def _overlay(data: Dataset, groups: set[int]) -> int | None:
    bits = []
    for group in groups:
        start = group << 16
        if data.get_item(start | _OVERLAY_DATA) is None:
            announced = data.get_item(start | _OVERLAY_ROWS) is not None
            bit = number(data, start | _OVERLAY_BIT)
            if announced or bit is not None:
                bits.append(max(0, int(bit or 0)))
    known = [bit for bit in bits if bit > 0]
    return min(known) if known else 0 if bits else None


def body_part(data: Dataset) -> str:
    """The part of the body that the file names, "" where it names none."""
    levels = [data]
    for group in items(data, "SharedFunctionalGroupsSequence")[:1]:
        levels += items(group, "FrameAnatomySequence")
    regions = [item for level in levels for item in items(level, "AnatomicRegionSequence")]
    parts = [text(data, "BodyPartExamined"), *(text(region, "CodeMeaning") for region in regions)]
    return " ".join(parts).strip()
