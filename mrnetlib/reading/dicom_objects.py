"""A reading as DICOM objects of the exam it was made from, for viewers and archives.

They belong to the exam's own study: they hold the patient's identity, as all objects of a study
must, and its dates. Nothing else that is written of a reading does.
"""

import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

from highdicom import PatientSexValues, sr
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.uid import UID
from pydicom import Dataset
from pydicom.valuerep import DA, TM

from mrnetlib.dicom.sources import quiet
from mrnetlib.files import MANIFEST, InputError, written_whole
from mrnetlib.names import TASK_TITLES
from mrnetlib.reading import codes
from mrnetlib.reading.maps import parametric_map
from mrnetlib.reading.models import network_file
from mrnetlib.reading.reading import DISCLAIMER, PlaneReading, Reading
from mrnetlib.reading.structured import TOLD, report, separate

FOLDER = "dicom"
MAKER = "mrnetlib, research software"
MODEL = "Reading of a knee exam"

#: Series of the objects are numbered from here, beyond those that scanners give.
FIRST_SERIES = 9001
#: Of these numbers the report has the first, key objects and maps those from here.
_KEYS, _MAPS = 1, 10

#: What every object of a study must say, be it nothing (type 2); some exams lack it.
_STUDY_SAYS = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"),
    *("StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
_STUDY_MAY_SAY = ("StudyDescription",)

#: What these must be readable as; nonsense is left out of the objects.
_READ_AS = {
    "PatientBirthDate": DA,
    "StudyDate": DA,
    "StudyTime": TM,
    "PatientSex": PatientSexValues,
    "PatientSize": float,
    "PatientWeight": float,
}


def obstacles(reading: Reading) -> list[str]:
    """Why some or all DICOM objects of a reading are not written: sentences, none where all are."""
    if all(one.source is None for one in reading.planes.values()):
        return [
            "No DICOM objects were written: the exam came as arrays, so there is no study that "
            "they could belong to."
        ]
    said = []
    for plane, one in reading.planes.items():
        if one.source is None:
            said.append(f"The {plane} plane came as an array, so no DICOM object refers to it.")
        elif reason := _homeless(one):
            said.append(f"No DICOM object refers to the {plane} plane: {reason}.")
        elif reason := _placeless(one):
            said.append(f"No map of evidence was written for the {plane} plane: {reason}.")
    return said


def _homeless(one: PlaneReading) -> str:
    """Why nothing can refer to a plane's images, "" where it can."""
    header = one.source.volume.images[0].header
    lacking = {"study": header.study, "series": header.series, "class": header.sop_class}
    missing = [name for name, value in lacking.items() if not value]
    return f"its images do not say their {missing[0]}" if missing else ""


def _placeless(one: PlaneReading) -> str:
    """Why a plane's evidence has no place in the patient, "" where it has."""
    if not one.source.volume.images[0].header.frame_of_reference:
        return "its images name no frame of reference"
    if any(grid is None for grid in one.source.grids()):
        return "its images do not say the spacing of their pixels"
    return ""


def _readable(source: Dataset, keyword: str, kind: Callable) -> bool:
    try:
        value = source[keyword].value
        if value not in (None, ""):
            kind(value)
    except (ValueError, TypeError):
        return False
    return True


def _usable(reading: Reading) -> dict[str, PlaneReading]:
    planes = reading.planes.items()
    return {plane: one for plane, one in planes if one.source and not _homeless(one)}


class _Exam:
    """The source images of a reading's planes and what its objects have in common."""

    def __init__(self, reading: Reading):
        self.reading = reading
        self.planes = _usable(reading)
        with quiet():
            self.sources = {p: self._read(one) for p, one in self.planes.items()}
        self.version = importlib.metadata.version("mrnetlib")
        self.uid = UID()
        self.device = sr.ObserverContext(
            observer_type=codes.DEVICE,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                uid=self.uid, name="mrnetlib", manufacturer_name=MAKER, model_name=MODEL
            ),
        )

    @staticmethod
    def _read(one: PlaneReading) -> list[Dataset]:
        """One data set a slice, with all that a study's objects must say, its texts in UTF-8."""
        sources = one.source.datasets()
        for source in {id(source): source for source in sources}.values():
            for keyword, kind in _READ_AS.items():
                if keyword in source and not _readable(source, keyword, kind):
                    del source[keyword]
            for keyword in _STUDY_SAYS:
                if keyword not in source:
                    setattr(source, keyword, "")
            source.SpecificCharacterSet = "ISO_IR 192"  # what was read remembers its own
        return sources

    def all_sources(self) -> list[Dataset]:
        """Every source image once."""
        found = (source for sources in self.sources.values() for source in sources)
        return list({str(source.SOPInstanceUID): source for source in found}.values())

    def algorithm(self, planes: list[str], task: str) -> sr.AlgorithmIdentification:
        """What says something of planes and a task: SHA-256 of the networks, and of the manifests,
        which hold those of all else."""
        own = {MANIFEST, *(network_file(plane, task) for plane in planes)}
        files = self.reading.models.items()
        return sr.AlgorithmIdentification(
            name="mrnetlib",
            version=self.version,
            parameters=[f"{name} {sum_}" for name, sum_ in files if PurePath(name).name in own],
            manufacturer=MAKER,
        )

    def common(self, series: int, title: str) -> dict:
        """What an object says of the software, and of the series that it begins."""
        return {
            "series_instance_uid": UID(),
            "series_number": FIRST_SERIES + series,
            "series_description": title,
            "manufacturer": MAKER,
        }

    def placed(self, made: Dataset) -> Dataset:
        """An object with what its study says of itself and with the meaning of our own codes."""
        source = self.all_sources()[0]
        for keyword in _STUDY_MAY_SAY:
            if keyword in source:
                setattr(made, keyword, source[keyword].value)
        scheme = Dataset()
        scheme.CodingSchemeDesignator = codes.SCHEME
        scheme.CodingSchemeName = codes.SCHEME_NAME
        scheme.CodingSchemeResponsibleOrganization = "mrnetlib"
        made.CodingSchemeIdentificationSequence = [scheme]
        if "SharedFunctionalGroupsSequence" in made and "Laterality" in made:
            del made.Laterality  # a map's frames say it
        return made

    def side(self) -> str:
        """R or L where the images say it, else ""."""
        sides = {image.side for one in self.planes.values() for image in one.source.volume.images}
        return sides.pop() if len(sides) == 1 and sides <= {"R", "L"} else ""

    def telling(self, plane: str, task: str) -> list[tuple[Dataset, int | None]]:
        """The slices with most evidence: source image and, in a multi-frame one, frame from 1."""
        one, sources = self.planes.get(plane), self.sources.get(plane, [])
        if one is None:
            return []
        frames = one.source.frames()
        chosen = one.telling[task][:TOLD]
        many = [int(sources[index].get("NumberOfFrames") or 1) > 1 for index in chosen]
        return [
            (sources[index], frames[index] + 1 if several else None)
            for index, several in zip(chosen, many, strict=True)
        ]

    def images(self, plane: str, task: str) -> list[sr.SourceImageForMeasurementGroup]:
        """References to the slices with most evidence."""
        return [
            sr.SourceImageForMeasurementGroup(
                source.SOPClassUID, source.SOPInstanceUID, [frame] if frame else None
            )
            for source, frame in self.telling(plane, task)
        ]


def _maps(exam: _Exam) -> Iterator[tuple[str, Dataset]]:
    """A series each: viewers tell series apart by their titles, and some show of each one map."""
    for place, (plane, one) in enumerate(exam.planes.items()):
        if _placeless(one):
            continue
        sources = list({id(source): source for source in exam.sources[plane]}.values())
        grids, spacing = one.source.grids(), one.source.volume.spacing[0]
        said = {"manufacturer_model_name": MODEL, "software_versions": exam.version}
        said |= {"device_serial_number": exam.version, "instance_number": 1}
        for count, (task, evidence) in enumerate(one.evidence.items()):
            title = f"{TASK_TITLES[task]}, {plane}: evidence (research)"
            said |= exam.common(_MAPS + place * len(one.evidence) + count, title)
            parts = evidence, grids, spacing, sources, exam.side()
            made = parametric_map(plane, task, *parts, said)
            yield f"evidence_{plane}_{task}.dcm", made


def _key_objects(exam: _Exam) -> Iterator[tuple[str, Dataset]]:
    for count, task in enumerate(exam.reading.probabilities):
        told = [found for plane in exam.planes for found in exam.telling(plane, task)]
        if not told:
            continue
        images = [source for source, _ in told]
        content = KeyObjectSelection(
            document_title=codes.OF_INTEREST,
            referenced_objects=images,
            observer_device_context=exam.device,
            description=f"Slices with most evidence for {TASK_TITLES[task]}. {DISCLAIMER}",
        )
        _name_frames(content, [frame for _, frame in told])
        separate(content[0])
        document = KeyObjectSelectionDocument(
            evidence=list({str(image.SOPInstanceUID): image for image in images}.values()),
            content=content,
            sop_instance_uid=UID(),
            instance_number=1,
            **exam.common(_KEYS + count, f"{TASK_TITLES[task]}: most evidence (research)"),
        )
        yield f"key_images_{task}.dcm", document


def _name_frames(content: KeyObjectSelection, frames: list[int | None]) -> None:
    """Say which frames of multi-frame images are meant, which highdicom leaves out."""
    items = [item for item in content[0].ContentSequence if item.ValueType == "IMAGE"]
    for item, frame in zip(items, frames, strict=True):
        if frame:
            item.ReferencedSOPSequence[0].ReferencedFrameNumber = frame


def _objects(exam: _Exam) -> Iterator[tuple[str, Dataset]]:
    common = exam.common(0, "Reading by networks (research)")
    made = report(
        exam.reading, exam.images, exam.algorithm, exam.device, exam.all_sources(), common
    )
    yield "report.dcm", made
    yield from _key_objects(exam)
    yield from _maps(exam)


def write_objects(reading: Reading, folder: Path) -> list[Path]:
    """Write the DICOM objects of a reading.

    ``folder/dicom/report.dcm`` is a structured report (TID 1500), ``key_images_<task>.dcm`` a key
    object selection, ``evidence_<plane>_<task>.dcm`` a parametric map. They hold the patient's
    identity. What cannot be written, and why, `obstacles` says; the list is empty where nothing
    can.

    Raises
    ------
    InputError
        Where the exam's own headers hold what no object of its study may hold.
    """
    if not _usable(reading):
        return []
    try:
        with quiet():
            exam = _Exam(reading)
            made = [(name, exam.placed(one)) for name, one in _objects(exam)]
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"{reading.exam}: no DICOM objects can be made of it, because its headers hold what "
            f"the standard does not allow ({type(error).__name__}). Mend them, or read it with "
            "--anonymous, which leaves the objects out."
        ) from error
    # All are made before the first is written.
    paths = []
    for name, dataset in made:
        path = Path(folder) / FOLDER / name
        with written_whole(path) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)
        paths.append(path)
    return paths
