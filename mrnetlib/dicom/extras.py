"""What few files say beside the usual: how many images there should be, what else is in the pixels.

Makers keep some of it in private blocks, which count only under their creator's name. Most files
say nothing of all this: one look at which of the elements are there spares the others.
"""

from collections.abc import Set
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from mrnetlib.dicom.values import counted, items, number, numbers, raw, text, texts

#: Counts of a series' images (IS), of its positions (US), of the files of a concatenation (US).
_IMAGES = tuple(map(Tag, ("ImagesInAcquisition", "NumberOfSeriesRelatedInstances")))
_PLACES, _PARTS = Tag("NumberOfSlices"), Tag("InConcatenationTotalNumber")

#: Private elements by group, creator and element.
_GE_IMAGES = 0x0025, "GEMS_SERS_01", 0x07  # images in series
_GE_PLACES = 0x0021, "GEMS_RELA_01", 0x4F  # locations in acquisition
_PHILIPS_PLACES = 0x2001, "PHILIPS IMAGING DD 001", 0x18  # number of slices
_GE_COMPONENT = 0x0043, "GEMS_PARM_01", 0x2F  # which part of a complex image
_SIEMENS_MOSAIC = 0x0019, "SIEMENS MR HEADER", 0x0A  # number of images in a mosaic
_PRIVATE = (_GE_IMAGES, _GE_PLACES, _PHILIPS_PLACES, _GE_COMPONENT, _SIEMENS_MOSAIC)

#: Elements by which creators claim a block of a group; scanners use the first few.
_CREATORS = {group << 16 | block for group, _, _ in _PRIVATE for block in range(0x10, 0x18)}

#: What GE's number of a component says.
_COMPONENTS = ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")

_PADDING, _PADDING_LIMIT = Tag("PixelPaddingValue"), Tag("PixelPaddingRangeLimit")

#: Rows and bit of the overlay planes, which have the even groups from 6000 on, in old
#: files up to 60FE; their own data.
_OVERLAYS = {
    group << 16 | element for group in range(0x6000, 0x6100, 2) for element in (0x10, 0x102)
}
_OVERLAY_DATA = 0x3000

_SIDES = tuple(map(Tag, ("ImageLaterality", "FrameLaterality", "Laterality")))
_BODY_PART, _REGION = Tag("BodyPartExamined"), Tag("AnatomicRegionSequence")
_COMPONENT, _SHARED = Tag("ComplexImageComponent"), Tag("SharedFunctionalGroupsSequence")
_SUPPRESSION, _INVERSION = Tag("SpectrallySelectedSuppression"), Tag("InversionTime")

_RARE = frozenset(
    {*_IMAGES, _PLACES, _PARTS, _PADDING, *_SIDES, _BODY_PART, _REGION, _COMPONENT, _SHARED}
    | {_SUPPRESSION, _INVERSION, *_CREATORS, *_OVERLAYS}
)

#: Inversion times, in ms, at which the signal of fat is nulled (STIR).
_FAT_NULLED = (80.0, 300.0)


class Extras(NamedTuple):
    """Of one file; most have little of it.

    ``images`` and ``places`` are the numbers announced for its series, ``parts`` the files of a
    concatenation; ``padding`` is the range of stored values that mean outside of the picture;
    ``overlays`` are the bits of the pixels that overlays are said to live in, 0 where no bit is
    said. ``side`` is R, L or B (both), ``component``
    magnitude, phase, real or imaginary, ``suppressed`` says that attributes name a suppression of
    fat.
    """

    images: int | None = None
    places: int | None = None
    parts: int | None = None
    padding: tuple[int, int] | None = None
    overlays: tuple[int, ...] = ()
    side: str = ""
    body_part: str = ""
    component: str = ""
    suppressed: bool = False
    mosaic: bool = False


#: What a file without all of it has.
_NONE = Extras()


def extras(data: Dataset, signed: bool, little: bool) -> Extras:
    """What a file says beside the usual; `signed` and `little` are its pixels'."""
    has = data.keys() & _RARE
    if not has:
        return _NONE
    found: dict[str, object] = {}
    private = _private(data, _CREATORS & has, little) if not has.isdisjoint(_CREATORS) else {}
    images = [counted(data, tag) for tag in _IMAGES if tag in has] + [private.get(_GE_IMAGES)]
    places = [private.get(_GE_PLACES), private.get(_PHILIPS_PLACES)]
    places += [_integer(data, _PLACES, little)] if _PLACES in has else []
    if any(images):
        found["images"] = max(filter(None, images))
    if any(places):
        found["places"] = max(filter(None, places))
    if _PARTS in has:
        found["parts"] = _integer(data, _PARTS, little)
    if _PADDING in has:
        found["padding"] = _padding(data, signed, little)
    if not has.isdisjoint(_OVERLAYS):
        found["overlays"] = _overlays(data, _OVERLAYS & has)
    if sides := [one_side(text(data, tag)) for tag in _SIDES if tag in has]:
        found["side"] = next(filter(None, sides), "")
    if _BODY_PART in has or _REGION in has or _SHARED in has:
        found["body_part"] = _body_part(data, has)
    if _COMPONENT in has:
        found["component"] = text(data, _COMPONENT).upper()
    elif private.get(_GE_COMPONENT) in range(4):
        found["component"] = _COMPONENTS[private[_GE_COMPONENT]]
    found["suppressed"] = _suppressed(data, has)
    found["mosaic"] = (private.get(_SIEMENS_MOSAIC) or 0) > 1
    return Extras(**found)


def _private(data: Dataset, claims: Set[int], little: bool) -> dict[tuple[int, str, int], int]:
    """Whole numbers of private blocks, by group, creator and element."""
    creators = {(tag >> 16, text(data, tag).upper()): tag & 0xFF for tag in claims}
    found = {}
    for group, creator, element in _PRIVATE:
        if block := creators.get((group, creator)):
            value = _integer(data, group << 16 | block << 8 | element, little)
            if value is not None:
                found[group, creator, element] = value
    return found


def one_side(said: str) -> str:
    """R, L or B for both from what a file says of the side, "" where it says none of them."""
    first = said[:1].upper()
    return first if first in ("R", "L", "B") else ""


def _integer(data: Dataset, tag: int, little: bool) -> int | None:
    """A whole number, also one of two or four bytes whose VR the file leaves open."""
    found = number(data, tag)
    if found is not None:
        return int(found)
    content = raw(data, tag)
    if len(content) not in (2, 4):
        return None
    return int.from_bytes(content, "little" if little else "big", signed=True)


def _padding(data: Dataset, signed: bool, little: bool) -> tuple[int, int] | None:
    """The range of stored values that are padding, lower first.

    The elements' VR is that of the pixels, whatever is written: their bytes are read as those.
    """
    order = "little" if little else "big"
    found = [raw(data, tag) for tag in (_PADDING, _PADDING_LIMIT)]
    ends = [int.from_bytes(one, order, signed=signed) for one in found if len(one) == 2]
    return (min(ends), max(ends)) if len(found[0]) == 2 else None


def _overlays(data: Dataset, there: Set[int]) -> tuple[int, ...]:
    """Bits of the pixels with overlays: of those that have no data of their own."""
    groups = sorted({tag >> 16 for tag in there})
    within = [group for group in groups if data.get_item(group << 16 | _OVERLAY_DATA) is None]
    return tuple(max(0, int(number(data, group << 16 | 0x102) or 0)) for group in within)


def _body_part(data: Dataset, has: Set[int]) -> str:
    """The part of the body that the file names, "" where it names none."""
    levels = [data] if _REGION in has else []
    if _SHARED in has:
        for group in items(data, "SharedFunctionalGroupsSequence")[:1]:
            levels += items(group, "FrameAnatomySequence")
    regions = [item for level in levels for item in items(level, "AnatomicRegionSequence")]
    parts = [text(data, _BODY_PART) if _BODY_PART in has else ""]
    return " ".join(parts + [text(region, "CodeMeaning") for region in regions]).strip()


def _suppressed(data: Dataset, has: Set[int]) -> bool:
    """Whether a spectral suppression or an inversion time says that fat is dark."""
    levels = [data] if has & {_SUPPRESSION, _INVERSION} else []
    if _SHARED in has:
        for group in items(data, "SharedFunctionalGroupsSequence")[:1]:
            levels += items(group, "MRModifierSequence")
    for level in levels:
        if text(level, "SpectrallySelectedSuppression").upper().startswith("FAT"):
            return True
        inversion = number(level, "InversionTime") or min(
            numbers(level, "InversionTimes"), default=0
        )
        inverted = level is not data or "IR" in texts(data, "ScanningSequence")
        if inverted and _FAT_NULLED[0] <= inversion <= _FAT_NULLED[1]:
            return True
    return False
