"""From DICOM studies to exams in MRNet's layout: many studies, all cores, little memory."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrnetlib.dicom.choose import Preference, parse
from mrnetlib.dicom.geometry import to_square_pixels
from mrnetlib.dicom.sources import File, studies
from mrnetlib.dicom.study import Examination, examine
from mrnetlib.dicom.tables import Conversion, Done, numbered, write_key, write_tables
from mrnetlib.exams import intensity
from mrnetlib.exams.intensity import Landmarks
from mrnetlib.files import InputError, sha256, write_array
from mrnetlib.names import MRNET_FOLDERS, PLANES
from mrnetlib.parallel import each

#: Side of MRNet's slices in pixels.
SIZE = 256


@dataclass(frozen=True)
class _Task:
    """One study's work, small enough to be sent to another process."""

    exam: str
    folder: Path
    files: list[File]
    preferences: list[Preference]
    allow_gaps: bool
    size: int
    landmarks: dict[str, Landmarks] | None
    measure: bool


def storable(pixels: np.ndarray) -> np.ndarray:
    """Raw values as uint16, which MRNet-style exams are kept in before standardization.

    uint16 passes as it is. Whole numbers that span less than 65,536 are shifted so that the
    lowest is 0; others are stretched linearly over 0..65,535. Standardization gives the same from
    either, because it knows only ranks.
    """
    if pixels.dtype == np.uint16:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    span, top = high - low, np.iinfo(np.uint16).max
    whole = span <= top and np.array_equal(pixels, np.rint(pixels))
    scale = 1.0 if whole or span == 0 else top / span
    stored = np.empty(pixels.shape, np.uint16)
    for one, into in zip(pixels, stored, strict=True):
        into[:] = np.rint((one.astype(np.float64) - low) * scale)
    return stored


def _work(task: _Task) -> Done:
    """Examine a study and write its volumes; only a failure to write raises."""
    try:
        study = examine(task.files, task.preferences, task.allow_gaps)
        volumes = {}
        for plane in list(study.volumes):
            volume = study.volumes.pop(plane)  # one plane's pixels at a time are copied
            volumes[plane] = storable(
                to_square_pixels(volume.pixels, volume.spacing[1:], task.size)
            )
    except Exception as error:  # one study among thousands must not stop the others
        study, volumes = Examination(), {}
        study.faults.append(f"it could not be read ({type(error).__name__})")
        study.rows.append({"decision": "refused", "reason": study.faults[0]})
    done = Done(task.exam, study, {}, {}, {})
    for plane, pixels in volumes.items():
        if task.measure:
            done.measured[plane] = intensity.measure(pixels)
        if task.landmarks is not None:
            pixels = intensity.apply(pixels, task.landmarks[plane])
        path = task.folder / plane / f"{task.exam}.npy"
        write_array(path, pixels)
        done.slices[plane], done.sha256[plane] = len(pixels), sha256(path)
    return done


def _standardize(task: tuple[Path, Landmarks]) -> tuple[str, str, str]:
    """Standardize a raw volume where it lies; returns exam, plane and the new checksum."""
    path, landmarks = task
    write_array(path, intensity.apply(np.load(path, allow_pickle=False), landmarks))
    return path.stem, path.parent.name, sha256(path)


def convert(
    source: Path,
    out: Path,
    prefer: str | list[str] | None = None,
    allow_gaps: bool = False,
    key_file: Path | None = None,
    workers: int | None = None,
    split: str = "test",
    labels: Path | None = None,
    landmarks: Path | None = None,
    learn_landmarks: bool = False,
    size: int = SIZE,
    progress: bool = True,
) -> Conversion:
    """Turn DICOM studies into exams in MRNet's layout.

    ``OUT/<train|valid>/<plane>/<exam>.npy`` hold (S, size, size), uint16 raw values, or uint8
    0..255 where they are standardized; ``OUT/exams.csv`` lists the exams, ``OUT/dicom_report.csv``
    every series found. Exams are numbered in the order of their files' names; a study that gives no
    volume keeps its number, so the report can name it. Nothing written says who it is.

    Parameters
    ----------
    source : a folder, zip, DICOMDIR or file, of one study or of thousands.
    out : a folder that does not exist or is empty.
    prefer : which series to take, see `mrnetlib.dicom.choose.parse`.
    allow_gaps : take stacks with missing slices; the report says where.
    key_file : write which exam came from which files, outside `out`; it identifies people.
    workers : processes, by default one per core.
    split : ``train`` or ``test`` (MRNet's ``valid``) for all exams, where there are no `labels`.
    labels : CSV with columns exam (the name of the study's folder), split (train or test),
        abnormal, acl, meniscus; exams are then numbered train first, in the file's order, and
        MRNet's label files are written.
    landmarks : standardize with these, learned before (``landmarks.json``).
    learn_landmarks : learn landmarks on the training exams, write ``OUT/landmarks.json``, and
        standardize all exams with them.
    size : side of the slices in pixels.
    progress : show a progress bar.

    Raises
    ------
    InputError
        Where the whole cannot be done: no such source, `out` in use, no DICOM in it, a disk that
        is full. Faulty studies do not raise; they are in ``failed``. `out` appears only when all
        is written.
    """
    source, out = Path(source), Path(out)
    preferences = parse(prefer)
    scales = intensity.load(landmarks) if landmarks else None
    if not 16 <= size <= 2048:
        raise InputError(f"size: {size}, expected 16 to 2048 pixels; MRNet's slices have {SIZE}.")
    _check_request(source, out, key_file, split, scales, learn_landmarks, landmarks)
    broken: list[Path] = []
    found, others = studies(source, broken)
    if not found:
        raise InputError(f"{source}: no DICOM files among {others} files. Check the path.")
    exams = numbered(found, source, split, labels)
    with _appearing(out) as folder:
        tasks = [
            _Task(
                exam=row["exam"],
                folder=folder / MRNET_FOLDERS[row["split"]],
                files=found[row["study"]],
                preferences=preferences,
                allow_gaps=allow_gaps,
                size=size,
                landmarks=scales,
                measure=learn_landmarks and row["split"] == "train",
            )
            for row in exams
        ]
        done = list(each(_work, tasks, workers, "exams" if progress else None, _crashed))
        if learn_landmarks:
            _learn_and_apply(folder, exams, done, workers, progress)
        conversion = write_tables(
            folder, out, exams, done, labels is not None, others, broken, len(found) - len(exams)
        )
        if key_file is not None:
            write_key(Path(key_file), exams, found)
    return conversion


def _check_request(source, out, key_file, split, scales, learn_landmarks, landmarks) -> None:
    if split not in MRNET_FOLDERS:
        raise InputError(f"split: '{split}', expected {' or '.join(MRNET_FOLDERS)}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not empty. Choose another folder, or remove it.")
    if learn_landmarks and landmarks:
        raise InputError("landmarks are either given or learned; leave one of the two out.")
    if scales is not None and (lacking := set(PLANES) - set(scales)):
        raise InputError(f"{landmarks}: no landmarks for {', '.join(sorted(lacking))}. Learn them.")
    if key_file is None:
        return
    key = Path(key_file).resolve()
    if key.exists():
        raise InputError(f"{key_file}: exists. Choose another key file; keys are not overwritten.")
    if out.resolve() in key.parents:
        raise InputError(
            f"{key_file}: lies in {out}, which is to be free of identities. Put the key elsewhere."
        )


@contextlib.contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` when the block succeeds, and else disappears."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}).") from None
    try:
        yield folder
        umask = os.umask(0)
        os.umask(umask)
        folder.chmod(0o777 & ~umask)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _crashed(task: _Task) -> Done:
    """What a study gives whose pixels made a codec bring its process down."""
    fault = "reading it brought a decoder down; one of its files is damaged"
    row = {"decision": "refused", "reason": fault}
    return Done(task.exam, Examination({}, [row], [fault]), {}, {}, {})


def _learn_and_apply(folder, exams, done, workers, progress) -> None:
    """Learn landmarks from what training exams gave, then standardize every volume written."""
    if not any(row["split"] == "train" for row in exams):
        raise InputError("landmarks are learned on training exams and there are none; set split.")
    scales = {}
    for plane in PLANES:
        measured = [one.measured[plane] for one in done if plane in one.measured]
        if measured:
            scales[plane] = intensity.average(measured)
    intensity.save(folder / "landmarks.json", scales)
    splits = {row["exam"]: MRNET_FOLDERS[row["split"]] for row in exams}
    tasks = [
        (folder / splits[one.exam] / plane / f"{one.exam}.npy", scales[plane])
        for one in done
        for plane in one.slices
        if plane in scales
    ]
    by_exam = {one.exam: one for one in done}
    label = "standardize" if progress else None
    for exam, plane, checksum in each(_standardize, tasks, workers, label):
        by_exam[exam].sha256[plane] = checksum
