"""An exam as it comes: DICOM through the door, or arrays; one volume a plane."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mrnetlib.dicom.convert import as_exam
from mrnetlib.dicom.geometry import Volume
from mrnetlib.dicom.study import examine_source
from mrnetlib.exams.layout import check_contrast, read_volume
from mrnetlib.files import InputError
from mrnetlib.names import PLANES

#: What to do about an exam that is none.
REMEDY = (
    "Give a DICOM study as a folder or zip, or a folder with axial.npy, coronal.npy and "
    "sagittal.npy."
)


@dataclass
class Exam:
    """One exam's planes before they are brought to a study's grey scale.

    ``raw`` (S, size, size) per plane, uint8 or uint16; ``volumes`` as the DICOM door read them,
    none for arrays; ``warnings`` are sentences, and ``series`` says which ones were taken.
    """

    name: str
    raw: dict[str, np.ndarray] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    series: dict[str, str] = field(default_factory=dict)


def arrays_of(path: Path) -> dict[str, Path]:
    """The files that hold an exam's planes as arrays, by plane; none where it is no such exam."""
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    arrays = [file for file in files if file.suffix.lower() == ".npy"]
    found: dict[str, Path] = {}
    for file in arrays:
        planes = [plane for plane in PLANES if plane in file.stem.lower()]
        if len(planes) != 1 or planes[0] in found:
            raise InputError(
                f"{file}: its name does not say which plane it is, or another one's says the same. "
                "Name the files axial.npy, coronal.npy and sagittal.npy."
            )
        found[planes[0]] = file
    return {plane: found[plane] for plane in PLANES if plane in found}


def arrive(
    path: Path,
    name: str,
    size: int,
    prefer: list[str] | None = None,
    allow_gaps: bool = False,
) -> Exam:
    """Read an exam.

    Parameters
    ----------
    path : a DICOM study (folder, zip, DICOMDIR, file), or a folder with a ``.npy`` per plane, or
        one such file.
    name : what it is called.
    size : side of the networks' slices in pixels; DICOM's are brought to it, arrays later.
    prefer, allow_gaps : see `mrnetlib.dicom.study.read_study`.

    Raises
    ------
    InputError
        Where there is nothing to read, and where no plane can be.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: not found. {REMEDY}")
    arrays = arrays_of(path)
    return _of_arrays(arrays, name) if arrays else _of_dicom(path, name, size, prefer, allow_gaps)


def _of_arrays(arrays: dict[str, Path], name: str) -> Exam:
    exam = Exam(name)
    for plane, file in arrays.items():
        volume = read_volume(file)
        check_contrast(file, volume)
        exam.raw[plane] = np.array(volume)
        exam.series[plane] = f"an array of {len(volume)} slices"
    return exam


def _of_dicom(path: Path, name: str, size: int, prefer: list[str] | None, allow_gaps: bool) -> Exam:
    study = examine_source(path, prefer, allow_gaps)
    if not study.volumes:
        said = ". ".join(study.faults) or "no DICOM images were found"
        raise InputError(f"{path}: no plane of a knee MR exam could be read: {said}. {REMEDY}")
    exam = Exam(name, warnings=[f"{fault[0].upper()}{fault[1:]}." for fault in study.faults])
    for plane, volume in study.volumes.items():
        exam.raw[plane] = as_exam(volume, size)
        exam.volumes[plane] = volume
    taken = (row for row in study.rows if row["decision"] == "taken")
    exam.series = {str(row["plane"]): str(row["reason"]) for row in taken}
    return exam
