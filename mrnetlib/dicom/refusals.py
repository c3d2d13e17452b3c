"""What is not a stack of MR slices, each with its own sentence."""

import re
from collections.abc import Hashable
from functools import lru_cache

from mrnetlib.dicom.headers import MAX_FRAMES, Image
from mrnetlib.dicom.kinds import NOT_MAGNITUDE, dixon, is_complex_part, said
from mrnetlib.dicom.pixels import NATIVE, cannot_decode

#: A larger matrix than this is no MR image but damage.
MAX_SIDE = 4096

#: Series of up to this many images are localizers if their description says so.
FEW_IMAGES = 20

_LOCALIZER_TYPES = {"LOCALIZER", "LOCALISER", "SCOUT", "SURVEY"}
_LOCALIZER_WORDS = re.compile(r"\b(LOC|SMARTBRAIN|3 ?PL|3 ?PLANE)\b")
_LOCALIZER_NAMES = re.compile(r"\b(\w*LOCALI[SZ]ERS?|\w*SCOUTS?|SURVEY|SCANOGRAM)\b")
_CALIBRATION_TYPES = {"CALIBRATION", "SHIM", "SENSITIVITY", "FIELD MAP", "B0", "B1", "B0 MAP"}
_CALIBRATION_WORDS = re.compile(
    r"\b(CALIB\w*|KALIB\w*|CAL|SHIM\w*|B[01]|B[01] ?MAP\w*|FIELD ?MAP\w*|SENSE REF\w*"
    r"|REF(ERENCE)? ?SCANS?|PRE ?SCAN(?! NORM)|(COIL|RECEIVE\w*|SENSE) ?(SENS|SURVEY|MAP)\w*"
    r"|SENSITIVITY)\b"
)
_MAP_WORDS = re.compile(r"\b(FAT ?FRAC\w*|PDFF)\b")
_PROJECTIONS = {"PROJECTION IMAGE", "MIP", "MINIP", "MNIP", "MAX IP", "MIN IP", "MAXIMUM"}
_MAPS = {
    *("ADC", "EADC", "FA", "TRACEW", "TENSOR", "EXPONENTIAL ADC", "QUANTITY", "STD DEVIATION"),
    *("R1", "R2", "R2*", "RHO", "MAP", "PARAMETRIC", "SUBTRACTION", "SUBTRACT", "DIFFERENCE"),
    *("RATIO", "DIVISION", "PERFUSION", "FAT FRACTION", "FF", "PDFF"),
}
_REFORMATTED = {"MPR", "REFORMATTED", "RESAMPLED", "MPR THIN", "VOLUME RENDERED"}

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MR_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.4",  # MR Image
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image
}


class Refused(Exception):
    """A series that cannot become a volume.

    ``fault`` is True where something is wrong with a series that should have become one, False
    where it never was meant to: a localizer, a capture of the screen, a map.
    """

    def __init__(self, reason: str, fault: bool = True):
        super().__init__(reason)
        self.reason, self.fault = reason, fault


def _values(image: Image) -> set[str]:
    """ImageType without the two values that every image has, underscores read as blanks."""
    return {value.replace("_", " ") for value in image.image_type[2:] if value}


def is_reformatted(image: Image) -> bool:
    """Whether an image was computed from another stack's: reformatted, or plainly derived.

    The water image of a Dixon acquisition is derived, and the picture that was wanted.
    """
    derived = image.image_type[:1] == ("DERIVED",) and not dixon_of(image)
    return derived or bool(_values(image) & _REFORMATTED)


def dixon_of(image: Image) -> str:
    """Which image of a Dixon acquisition this is, "" where it is none; see `kinds.dixon`."""
    return dixon(image.image_type, image.header.title, image.header.description)


def is_phase(image: Image) -> bool:
    """Whether an image is the phase, real or imaginary part and not the magnitude."""
    return image.component in NOT_MAGNITUDE or is_complex_part(image.image_type)


def telling(image: Image) -> Hashable:
    """What of an image's type makes another kind of picture of it; other values do not matter."""
    return _telling_values(image.image_type), is_phase(image), dixon_of(image)


@lru_cache(1024)
def _telling_values(image_type: tuple[str, ...]) -> frozenset[str]:
    known = _LOCALIZER_TYPES | _CALIBRATION_TYPES | _PROJECTIONS | _MAPS | _REFORMATTED
    return frozenset(value.replace("_", " ") for value in image_type[2:]) & known


def check_kind(images: list[Image]) -> None:
    """Refuse images that are no plain MR slices; they are alike in what is looked at here.

    Raises
    ------
    Refused
    """
    image, header = images[0], images[0].header
    values = _values(image)
    everything = {value.replace("_", " ") for value in image.image_type}
    if header.sop_class.startswith(_SECONDARY_CAPTURE) or header.converted:
        raise Refused("a secondary capture (a picture of a screen), not an MR series", False)
    if header.samples != 1 or header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise Refused("colour images (RGB or palette), not the grey values of an MR series", False)
    if header.modality not in ("MR", "") and header.sop_class not in _MR_CLASSES:
        raise Refused("not MR but another modality; only MR images are read", False)
    if not header.rows or not header.columns:
        if header.sop_class in _MR_CLASSES or not header.sop_class:
            raise Refused("the header names no matrix; it is cut short or damaged, fetch it again")
        raise Refused("holds no images (for example a report, a key note or spectra)", False)
    if header.extras.mosaic or "MOSAIC" in everything:
        raise Refused(
            "a Siemens mosaic (many slices tiled in one image); export it as single slices",
            False,
        )
    if any(image.header.burnt_in for image in images):
        raise Refused("annotation is burnt into the pixels; export the series without it", False)
    words = said(header.description)
    few = len(images) <= FEW_IMAGES and _LOCALIZER_WORDS.search(words)
    if everything & _LOCALIZER_TYPES or few or _LOCALIZER_NAMES.search(words):
        raise Refused("a localizer, made to plan the other series", False)
    if values & _CALIBRATION_TYPES or _CALIBRATION_WORDS.search(words):
        raise Refused("a calibration of coil or field, made for the other series", False)
    if values & _PROJECTIONS:
        raise Refused("a projection through the knee (MIP), not slices of it", False)
    if is_phase(image):
        raise Refused("phase, real or imaginary images; the magnitude images are wanted", False)
    if (
        _MAP_WORDS.search(words)
        or values & _MAPS
        or any(value.endswith((" MAP", " MAPPED")) for value in values)
    ):
        raise Refused("a derived map (such as ADC or a subtraction), not acquired images", False)


def check_pixels(images: list[Image]) -> None:
    """Refuse images whose header makes it impossible to read their pixels.

    Raises
    ------
    Refused
    """
    header = images[0].header
    total = len(images)
    without = sum(image.header.offset < 0 for image in images)
    if without:
        raise Refused(
            f"{without} of {total} images hold no pixels or no whole numbers; fetch them again"
        )
    if header.frames > 1 and header.described == 0:
        raise Refused(
            "several frames in one file without a position for each (not an enhanced MR object); "
            "export the series as single images"
        )
    if header.frames > MAX_FRAMES:
        raise Refused("an implausible number of frames; the file is damaged")
    if not (0 < header.rows <= MAX_SIDE and 0 < header.columns <= MAX_SIDE):
        raise Refused(
            f"an implausible matrix of {header.rows} x {header.columns}; the file is damaged"
        )
    for image in images:
        allocated, stored, highest = image.header.bits
        if allocated not in (8, 16, 32) or not 0 < stored <= allocated or not highest < allocated:
            raise Refused(
                f"{allocated} bits allocated and {stored} stored per pixel; expected 8, 16 or 32 "
                "allocated and no more stored"
            )
        if image.header.syntax not in NATIVE and (reason := cannot_decode(image.header)):
            raise Refused(reason)
