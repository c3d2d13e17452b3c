"""An exam as a real DICOM study: three series of MR images."""

import uuid
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

#: plane -> description, sequence, variant, options, TR, TE (ms), flip angle, echo train, weighting
SERIES = {
    "axial": ("AX PD FAT SAT", "SE", ["SK", "SP"], "FS", 2800.0, 30.0, 90.0, 6),
    "coronal": ("COR T1", "SE", ["SK"], "", 600.0, 12.0, 90.0, 1),
    "sagittal": ("SAG T2 FAT SAT", "SE", ["SK", "SP"], "FS", 3500.0, 82.0, 90.0, 14),
}
IMPLEMENTATION = UID("2.25.165381047281965401293847561029384756102")
NOTE = "Synthetic image of a digital knee phantom; not of a patient."


def uid(*parts) -> UID:
    """A valid UID (2.25 root of UUIDs) that depends on `parts` alone."""
    name = "/".join(map(str, ("digital knee", *parts)))
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, name).int}")


def _number(value: float) -> str:
    """A decimal string of at most 16 characters."""
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"


def _study(exam, seed) -> Dataset:
    """What all images of the exam share."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = MRImageStorage
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = "20200101"
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = "120000"
    ds.AccessionNumber = f"P{exam.exam}"
    ds.Modality = "MR"
    ds.Manufacturer, _, _ = exam.scanner.name.rpartition(" ")
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "MR KNEE, SYNTHETIC"
    ds.ManufacturerModelName = exam.scanner.name
    ds.PatientName = f"PHANTOM^{exam.exam}"
    ds.PatientID = f"PHANTOM{exam.exam}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.BodyPartExamined = "KNEE"
    ds.MRAcquisitionType = "2D"
    ds.MagneticFieldStrength = _number(exam.scanner.tesla)
    ds.PatientPosition = "FFS"
    ds.StudyInstanceUID = uid(seed, exam.exam, "study")
    ds.FrameOfReferenceUID = uid(seed, exam.exam, "frame")
    ds.PositionReferenceIndicator = ""
    ds.StudyID = exam.exam
    ds.Laterality = exam.side
    ds.ImageComments = NOTE
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    return ds


def _series(ds: Dataset, exam, plane: str, number: int, seed) -> None:
    """What the images of one series share."""
    name, sequence, variant, options, repetition, echo, flip, train = SERIES[plane]
    volume, geometry = exam.volumes[plane], exam.geometry[plane]
    ds.SeriesInstanceUID = uid(seed, exam.exam, plane)
    ds.SeriesNumber = number
    ds.SeriesDescription = f"{name} SYNTHETIC"
    ds.ProtocolName = name
    ds.ScanningSequence = sequence
    ds.SequenceVariant = variant
    ds.ScanOptions = options
    ds.RepetitionTime, ds.EchoTime = _number(repetition), _number(echo)
    ds.EchoTrainLength = train
    ds.FlipAngle = _number(flip)
    ds.SliceThickness = _number(geometry.thickness)
    ds.SpacingBetweenSlices = _number(geometry.slice_spacing)
    ds.ImageOrientationPatient = [_number(c) for c in geometry.orientation.ravel()]
    ds.PixelSpacing = [_number(s) for s in geometry.spacing]
    ds.Rows, ds.Columns = volume.shape[1:]
    top = float(np.percentile(volume, 99.5))
    ds.WindowCenter, ds.WindowWidth = _number(round(top / 2)), _number(max(1, round(top)))


def write_study(exam, folder: Path, seed: int) -> None:
    """Write the exam's three series under `folder`, one folder each, ``IM0001.dcm`` and so on.

    Half of the series run backwards (InstanceNumber against the plane's standard direction), as
    series from different scanners do.
    """
    for number, plane in enumerate(exam.volumes, 2):
        volume, geometry = exam.volumes[plane], exam.geometry[plane]
        backwards = uid(seed, exam.exam, plane, "direction").endswith(tuple("01234"))
        ds = _study(exam, seed)
        _series(ds, exam, plane, number, seed)
        series = Path(folder) / f"{number:03d}_{SERIES[plane][0].replace(' ', '_')}"
        series.mkdir(parents=True)
        count = len(volume)
        for index in range(count):
            instance = count - index if backwards else index + 1
            ds.SOPInstanceUID = uid(seed, exam.exam, plane, index)
            ds.InstanceNumber = instance
            ds.AcquisitionNumber = 1
            ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
            ds.ImagePositionPatient = [_number(c) for c in geometry.positions[index]]
            ds.PixelData = volume[index].astype("<u2").tobytes()
            _save(ds, series / f"IM{instance:04d}.dcm")


def _save(ds: Dataset, path: Path) -> None:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    FileDataset(path, ds, file_meta=meta, preamble=b"\x00" * 128).save_as(
        path, enforce_file_format=True
    )
