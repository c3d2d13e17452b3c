"""Small DICOM studies with everything that can be odd about them, for tests of the DICOM door."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"

#: Orientation of the images of each plane in standard display, and the way its slices count.
ORIENTATION = {
    "sagittal": [0, 1, 0, 0, 0, -1],
    "coronal": [1, 0, 0, 0, 0, -1],
    "axial": [1, 0, 0, 0, 1, 0],
}
AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
TIMES = {"sagittal": (3000, 70), "coronal": (600, 15), "axial": (3000, 35)}


def uid(*parts: object) -> str:
    """A UID that depends on `parts` alone."""
    return generate_uid(entropy_srcs=[repr(part) for part in parts])


def pattern(index: int, rows: int = 24, columns: int = 24) -> np.ndarray:
    """A slice (rows, columns) uint16 like no other and without symmetry: 0 around, else bright."""
    y, x = np.mgrid[:rows, :columns]
    image = 100 + 50 * index + 3 * y + x
    image[:2] = image[-2:] = 0
    image[:, :2] = image[:, -2:] = 0
    return image.astype(np.uint16)


def dataset(
    pixels: np.ndarray, plane: str = "sagittal", index: int = 0, step: float = 4.0, **changes: Any
) -> FileDataset:
    """One image; `changes` sets elements by keyword, None takes an element away."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MR
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    position = [0.0, 0.0, 0.0]
    position[AXIS[plane]] = index * step
    repetition, echo = TIMES[plane]
    elements = {
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "SOPClassUID": MR,
        "SOPInstanceUID": uid(plane, index, pixels.tobytes()),
        "Modality": "MR",
        "StudyInstanceUID": uid("study"),
        "SeriesInstanceUID": uid("series", plane),
        "SeriesNumber": AXIS[plane] + 1,
        "InstanceNumber": 99 - index,
        "AcquisitionNumber": 1,
        "EchoNumbers": 1,
        "EchoTime": echo,
        "RepetitionTime": repetition,
        "ImagePositionPatient": position,
        "ImageOrientationPatient": ORIENTATION[plane],
        "PixelSpacing": [0.6, 0.6],
        "SliceThickness": 3.5,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8 * pixels.dtype.itemsize,
        "BitsStored": 8 * pixels.dtype.itemsize,
        "HighBit": 8 * pixels.dtype.itemsize - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
    } | changes
    for keyword, value in elements.items():
        if value is not None:
            setattr(ds, keyword, value)
    ds["PixelData"].VR = "OW"
    meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", uid("none"))
    return ds


def save(ds: FileDataset, path: Path) -> Path:
    """Write a data set with its preamble and file meta."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    plane: str = "sagittal",
    count: int = 8,
    image: Callable[[int], np.ndarray] = pattern,
    mend: Callable[[FileDataset, int], None] | None = None,
    **changes: Any,
) -> list[Path]:
    """Write a series, file names in no order of position; `mend` changes each data set last.

    A change that is callable is called with the slice's index.
    """
    paths = []
    for index in range(count):
        said = {key: value(index) if callable(value) else value for key, value in changes.items()}
        ds = dataset(image(index), plane, index, **said)
        if mend is not None:
            mend(ds, index)
        name = f"{plane}-{said.get('SeriesInstanceUID', '')[-6:]}-{index * 7919 % 1009:04d}.dcm"
        paths.append(save(ds, folder / name))
    return paths


def write_study(folder: Path, count: int = 8, **changes: Any) -> None:
    """Write a study of three plain series."""
    for plane in AXIS:
        write_series(folder / plane, plane, count, **changes)


def enhanced(
    plane: str = "sagittal", count: int = 8, order: list[int] | None = None
) -> FileDataset:
    """An enhanced multi-frame object; frame k shows slice order[k], rescaled by 2 k + 1."""
    order = order or list(range(count))
    pixels = np.stack([pattern(index) for index in order])
    ds = dataset(pixels[0], plane, SOPClassUID=ENHANCED_MR)
    ds.NumberOfFrames, ds.PixelData = count, pixels.tobytes()
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(ds, keyword)

    def group(**sequences: dict[str, Any]) -> Dataset:
        item = Dataset()
        for name, elements in sequences.items():
            inner = Dataset()
            for keyword, value in elements.items():
                setattr(inner, keyword, value)
            setattr(item, name, Sequence([inner]))
        return item

    ds.SharedFunctionalGroupsSequence = Sequence(
        [
            group(
                PixelMeasuresSequence={"PixelSpacing": [0.6, 0.6], "SliceThickness": 3.5},
                PlaneOrientationSequence={"ImageOrientationPatient": ORIENTATION[plane]},
                MREchoSequence={"EffectiveEchoTime": 70.0},
            )
        ]
    )
    frames = []
    for frame, index in enumerate(order):
        position = [0.0, 0.0, 0.0]
        position[AXIS[plane]] = 4.0 * index
        frames.append(
            group(
                PlanePositionSequence={"ImagePositionPatient": position},
                PixelValueTransformationSequence={
                    "RescaleSlope": 2 * frame + 1,
                    "RescaleIntercept": 0,
                },
            )
        )
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return ds


def at(plane: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Callable[[int], list[float]]:
    """Positions of a plane's slices, 4 mm apart, from a place in mm; for ImagePositionPatient."""

    def position(index: int) -> list[float]:
        place = [x, y, z]
        place[AXIS[plane]] += 4.0 * index
        return place

    return position


def write_knee(
    folder: Path, first: int = 1, planes: tuple[str, ...] = tuple(AXIS), **changes: Any
) -> None:
    """Series of one knee, numbered from `first`; x, y and z among the changes are its place."""
    place = {axis: changes.pop(axis, 0.0) for axis in "xyz"}
    for number, plane in enumerate(planes, first):
        said = {
            "SeriesInstanceUID": uid("knee", number),
            "SeriesNumber": number,
            "ImagePositionPatient": at(plane, **place),
        }
        write_series(folder / str(number), plane, **(said | changes))
