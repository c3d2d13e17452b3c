"""What a DICOM file says about its images: one record per file, one per image or frame."""

from dataclasses import dataclass

from pydicom import FileDataset, dcmread
from pydicom.dataset import Dataset

from mrnetlib.dicom.archives import File, UnreadableError
from mrnetlib.dicom.extras import Extras, extras, one_side
from mrnetlib.dicom.kinds import says_fat_suppression
from mrnetlib.dicom.values import Vector, counted, items, number, numbers, raw, text, texts, whole

#: An enhanced object with more frames than this is damaged.
MAX_FRAMES = 20_000

#: The tag PixelData in both byte orders; floating-point pixels have another.
_PIXEL_DATA = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")

_INSTANCE_NUMBER, _SLICE_LOCATION = 0x00200013, 0x00201041


@dataclass(frozen=True, slots=True)
class Header:
    """What all images of a file share.

    Texts serve to group and to choose; none of them is ever written. ``offset`` is where the
    pixel element begins in the opened file, -1 where there is none; ``bits`` are allocated,
    stored and highest bit.
    """

    file: File
    frames: int
    described: int
    study: str
    series: str
    sop_class: str
    modality: str
    title: str
    description: str
    frame_of_reference: str
    series_number: float | None
    number: int | None
    location: bytes
    echo: str
    gradient_echo: bool
    fat_suppressed: bool
    burnt_in: bool
    converted: bool
    rows: int
    columns: int
    samples: int
    photometric: str
    bits: tuple[int, int, int]
    signed: bool
    lossy: bool
    syntax: str
    little: bool
    offset: int
    extras: Extras


@dataclass(frozen=True, slots=True)
class Image:
    """One image: a file's only one, or a frame of an enhanced multi-frame object.

    Numbers are None and vectors empty where the file does not say them or says nonsense. Times
    in ms; position, spacing (row, column), thickness and distance in mm, in the patient's
    coordinates (LPS: x to the left, y to the back, z to the head). ``component`` is magnitude,
    phase, real or imaginary; ``side`` R, L or B (both), "" where neither is said.
    """

    header: Header
    frame: int
    image_type: tuple[str, ...]
    component: str
    side: str
    acquisition: str
    temporal: str
    b_value: float | None
    echo_time: float | None
    repetition_time: float | None
    spacing: Vector
    position: Vector
    orientation: Vector
    thickness: float | None
    distance: float | None
    slope: float | None
    intercept: float | None


def read(file: File) -> list[Image]:
    """The images of a file: one, or one per frame of an enhanced multi-frame object.

    pydicom's warnings quote the file; call this inside `quiet`.

    Raises
    ------
    UnreadableError
        Where the file is not DICOM, or too damaged to say what it is.
    """
    with file.open() as opened:
        try:
            data = dcmread(opened, stop_before_pixels=True, force=True)
            offset = opened.tell()
            if opened.read(4) not in _PIXEL_DATA:
                offset = -1
            header = _header(file, data, offset)
            if not header.sop_class and not header.series:
                raise UnreadableError("it does not say what it is")
            return _images(header, data)
        except UnreadableError:
            raise
        except Exception:  # pydicom raises nearly anything on damaged bytes
            raise UnreadableError("its header is damaged") from None


def _header(file: File, data: FileDataset, offset: int) -> Header:
    meta = getattr(data, "file_meta", None) or Dataset()
    title, *others = (
        text(data, keyword) for keyword in ("SeriesDescription", "ProtocolName", "SequenceName")
    )
    description = " ".join((title, *others)).strip()
    allocated = whole(data, "BitsAllocated", 16)
    stored = whole(data, "BitsStored", allocated)
    _, little = data.original_encoding
    signed = whole(data, "PixelRepresentation", 0) == 1
    beside = extras(data, signed, little is not False)
    options = " ".join((*texts(data, "ScanOptions"), description))
    return Header(
        file=file,
        frames=max(1, whole(data, "NumberOfFrames", 1)),
        described=len(items(data, "PerFrameFunctionalGroupsSequence")),
        study=text(data, "StudyInstanceUID"),
        series=text(data, "SeriesInstanceUID"),
        sop_class=text(data, "SOPClassUID"),
        modality=text(data, "Modality").upper(),
        title=title,
        description=description,
        frame_of_reference=text(data, "FrameOfReferenceUID"),
        series_number=number(data, "SeriesNumber"),
        number=counted(data, _INSTANCE_NUMBER),
        location=raw(data, _SLICE_LOCATION),
        echo=text(data, "EchoNumbers"),
        gradient_echo=texts(data, "ScanningSequence") == ("GR",),
        fat_suppressed=beside.suppressed or says_fat_suppression(options),
        burnt_in=text(data, "BurnedInAnnotation").upper() == "YES",
        converted=bool(text(data, "ConversionType")),
        rows=whole(data, "Rows", 0),
        columns=whole(data, "Columns", 0),
        samples=whole(data, "SamplesPerPixel", 1),
        photometric=text(data, "PhotometricInterpretation").upper() or "MONOCHROME2",
        bits=(allocated, stored, whole(data, "HighBit", stored - 1)),
        signed=signed,
        lossy=text(data, "LossyImageCompression") == "01",
        syntax=text(meta, "TransferSyntaxUID"),
        little=little is not False,
        offset=offset,
        extras=beside,
    )


def _images(header: Header, data: FileDataset) -> list[Image]:
    groups = items(data, "PerFrameFunctionalGroupsSequence")
    if not groups:
        return [_image(header, 0, [data])]
    if len(groups) != header.frames or len(groups) > MAX_FRAMES:
        raise UnreadableError("it announces another number of frames than it describes")
    shared = items(data, "SharedFunctionalGroupsSequence")[:1]
    return [_image(header, index, [group, *shared, data]) for index, group in enumerate(groups)]


def _image(header: Header, frame: int, levels: list[Dataset]) -> Image:
    """A record from the frame's own functional groups, the shared ones and the file, in turn."""

    def look(group: str, keyword: str, reader=number):
        for level in levels[:-1]:
            for item in items(level, group):
                found = reader(item, keyword)
                if found not in (None, "", ()):
                    return found
        return reader(levels[-1], keyword)

    def fitting(group: str, keyword: str, count: int) -> Vector:
        found = look(group, keyword, numbers)
        return found if len(found) == count else ()

    echo_time = number(levels[-1], "EchoTime")
    if len(levels) > 1:
        echo_time = look("MREchoSequence", "EffectiveEchoTime") or echo_time
    kind, component, side = (), "", ""
    if len(levels) > 1:
        kind = look("MRImageFrameTypeSequence", "FrameType", texts)
        component = look("MRImageFrameTypeSequence", "ComplexImageComponent", text).upper()
        side = one_side(look("FrameAnatomySequence", "FrameLaterality", text))
    spacing = fitting("PixelMeasuresSequence", "PixelSpacing", 2)
    temporal = look("FrameContentSequence", "TemporalPositionIndex", text)
    return Image(
        header=header,
        frame=frame,
        image_type=kind or texts(levels[-1], "ImageType"),
        component=component or header.extras.component,
        side=side or header.extras.side,
        acquisition=look("FrameContentSequence", "FrameAcquisitionNumber", text)
        or text(levels[-1], "AcquisitionNumber"),
        temporal=temporal or text(levels[-1], "TemporalPositionIdentifier"),
        b_value=look("MRDiffusionSequence", "DiffusionBValue"),
        echo_time=echo_time,
        repetition_time=look("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
        spacing=spacing if all(part > 0 for part in spacing) else (),
        position=fitting("PlanePositionSequence", "ImagePositionPatient", 3),
        orientation=fitting("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        thickness=look("PixelMeasuresSequence", "SliceThickness"),
        distance=look("PixelMeasuresSequence", "SpacingBetweenSlices"),
        slope=look("PixelValueTransformationSequence", "RescaleSlope"),
        intercept=look("PixelValueTransformationSequence", "RescaleIntercept"),
    )
