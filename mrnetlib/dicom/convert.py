"""From DICOM studies to exams in MRNet's layout: many studies, all cores, little memory."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrnetlib.dicom.archives import File
from mrnetlib.dicom.choose import Preference, parse
from mrnetlib.dicom.gather import Gathered, gather
from mrnetlib.dicom.geometry import Volume, to_square_pixels
from mrnetlib.dicom.sources import Walk
from mrnetlib.dicom.study import Examination, examine
from mrnetlib.dicom.tables import Conversion, Done, key_text, numbered, refused, write_tables
from mrnetlib.dicom.workplace import (
    Workplace,
    key_written,
    left_behind,
    locked,
    request_digest,
    workplace,
)
from mrnetlib.exams import intensity
from mrnetlib.exams.intensity import Landmarks
from mrnetlib.files import InputError, sha256, write_array
from mrnetlib.names import MRNET_FOLDERS, PLANES, SLICE_SIZE
from mrnetlib.parallel import each, ending, stoppable


@dataclass(frozen=True)
class _Task:
    """One study's work, small enough to be sent to another process."""

    exam: str
    place: Workplace
    split: str
    files: list[File]
    refused: str
    measure: bool
    preferences: list[Preference]
    allow_gaps: bool
    size: int
    landmarks: dict[str, Landmarks] | None


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


def as_exam(volume: Volume, size: int) -> np.ndarray:
    """A volume's slices as exams have them: (S, size, size) uint16, see `storable`."""
    return storable(to_square_pixels(volume.pixels, volume.spacing[1:], size))


def _work(task: _Task) -> Done:
    """Examine a study and write its volumes; only a failure to write raises."""
    if task.refused:
        return refused(task.exam, task.refused)
    try:
        study = examine(task.files, task.preferences, task.allow_gaps)
        volumes = {}
        for plane in list(study.volumes):
            # one plane's pixels at a time are copied
            volumes[plane] = as_exam(study.volumes.pop(plane), task.size)
    except MemoryError:
        return refused(task.exam, "there is not memory enough to read it; give fewer --workers")
    except Exception as error:  # one study among thousands must not stop the others
        return refused(task.exam, f"it could not be read ({type(error).__name__})")
    done = Done(task.exam, study)
    for plane, pixels in volumes.items():
        if task.measure:
            done.measured[plane] = intensity.measure(pixels)
        if task.landmarks is not None:
            pixels = intensity.apply(pixels, task.landmarks[plane])
        path = task.place.exams / task.split / plane / f"{task.exam}.npy"
        write_array(path, pixels)
        done.slices[plane], done.sha256[plane] = len(pixels), sha256(path)
    if not study.faults:  # what failed is tried again
        task.place.keep(task.exam, _content(done))
    return done


def _content(done: Done) -> dict[str, Any]:
    return {
        "rows": done.study.rows,
        "slices": done.slices,
        "sha256": done.sha256,
        "measured": done.measured,
    }


def _resumed(task: _Task) -> Done | None:
    """A study that an earlier run of the same request finished, None where there is none."""
    kept = task.place.kept(task.exam)
    if kept is None or task.refused:
        return None
    for plane, checksum in kept["sha256"].items():
        path = task.place.exams / task.split / plane / f"{task.exam}.npy"
        if not path.is_file() or sha256(path) != checksum:
            return None
    study = Examination(rows=kept["rows"])
    measured = {plane: np.array(values) for plane, values in kept["measured"].items()}
    return Done(task.exam, study, kept["slices"], kept["sha256"], measured)


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
    size: int = SLICE_SIZE,
    follow_links: bool = False,
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
    key_file : write which exam came from which study and folder, outside `out`; UTF-8, for its
        owner only, since it identifies people.
    workers : processes, by default one per core.
    split : ``train`` or ``test`` (MRNet's ``valid``) for all exams, where there are no `labels`.
    labels : CSV with columns exam (the name of the study's folder), split (train or test),
        abnormal, acl, meniscus; exams are then numbered train first, in the file's order, and
        MRNet's label files are written.
    landmarks : standardize with these, learned before (``landmarks.json``).
    learn_landmarks : learn landmarks on the training exams, write ``OUT/landmarks.json``, and
        standardize all exams with them.
    size : side of the slices in pixels.
    follow_links : follow links that lead out of `source` as well.
    progress : show a progress bar.

    Raises
    ------
    InputError
        Where the whole cannot be done: no such source, `out` in use, no DICOM in it, a disk that
        is full. Faulty studies do not raise; they are in ``failed``. `out` appears only when all
        is written.
    """
    source, out = Path(source), Path(out)
    if not out.name:  # "." and its like have no name, which the lock beside it needs
        out = out.resolve()
    key_file = Path(key_file) if key_file is not None else None
    if not 16 <= size <= 2048:
        raise InputError(
            f"size: {size}, expected 16 to 2048 pixels; MRNet's slices have {SLICE_SIZE}."
        )
    preferences = parse(prefer)
    scales = intensity.load(landmarks) if landmarks else None
    _check_request(source, out, key_file, split, scales, learn_landmarks, landmarks)
    with stoppable(), locked(out):
        gathered = gather(source, Walk(follow_links, out))
        if not gathered.studies:
            said = [f"{source}: no DICOM files among {gathered.others} files", *gathered.lost]
            raise InputError(f"{'. '.join(said)}. Check the path.")
        exams = numbered(gathered, source, split, labels)
        if learn_landmarks and not any(row["split"] == "train" for row in exams):
            raise InputError(
                "landmarks are learned on training exams and there are none; set split."
            )
        same = [prefer, allow_gaps, size, learn_landmarks, exams]
        with (
            key_written(key_file, key_text(exams, gathered.studies)) as name_key,
            workplace(out, request_digest(same, landmarks, gathered.studies)) as place,
        ):
            common = (preferences, allow_gaps, size, scales)
            tasks = [_task(row, place, gathered, learn_landmarks, common) for row in exams]
            done, notes = _all_done(tasks, workers, progress)
            _add_faults(exams, done, gathered)
            if learn_landmarks:
                _learn_and_apply(tasks, done, workers, progress)
            notes += left_behind(out, place)
            conversion = write_tables(place.exams, out, exams, done, gathered, notes)
            name_key()
    return conversion


def _task(row, place: Workplace, gathered: Gathered, learn: bool, common: tuple) -> _Task:
    files, reason = gathered.studies[row["study"]], gathered.refused.get(row["study"], "")
    measure = learn and row["split"] == "train"
    return _Task(row["exam"], place, MRNET_FOLDERS[row["split"]], files, reason, measure, *common)


def _all_done(
    tasks: list[_Task], workers: int | None, progress: bool
) -> tuple[list[Done], list[str]]:
    """What all studies gave, and a note on those that an earlier run finished."""
    found = {task.exam: _resumed(task) for task in tasks}
    rest = [task for task in tasks if found[task.exam] is None]
    for one in each(_work, rest, workers, "exams" if progress else None, _crashed):
        found[one.exam] = one
    count = len(tasks) - len(rest)
    note = [f"{count} exams were taken over from a run that was stopped"] if count else []
    return list(found.values()), note


def _add_faults(exams: list[dict[str, Any]], done: list[Done], gathered: Gathered) -> None:
    """Add what is known of studies from outside: what was lost, and that two may be one."""
    for row, one in zip(exams, done, strict=True):
        for fault in gathered.faults[row["study"]]:
            _add_fault(one, fault)
    parts = defaultdict(list)
    for row, one in zip(exams, done, strict=True):
        for kin in gathered.kin[row["study"]]:
            if one.slices:
                parts[kin].append(one)
    for those in parts.values():
        planes = [plane for one in those for plane in one.slices]
        if len(those) > 1 and len(planes) == len(set(planes)):
            names = ", ".join(one.exam for one in those)
            for one in those:
                _add_fault(
                    one,
                    f"exams {names} share a patient or a frame of reference and have different "
                    "planes: they seem to be one whose StudyInstanceUID changes between series",
                )


def _add_fault(one: Done, fault: str) -> None:
    if fault not in one.study.faults:
        one.study.faults.append(fault)
        one.study.rows.append({"decision": "refused", "reason": fault})


def _check_request(source, out, key_file, split, scales, learn_landmarks, landmarks) -> None:
    if split not in MRNET_FOLDERS:
        raise InputError(f"split: '{split}', expected {' or '.join(MRNET_FOLDERS)}.")
    if os.path.lexists(out) and (not out.is_dir() or next(os.scandir(out), None)):
        raise InputError(f"{out}: exists and is not empty. Choose another folder, or remove it.")
    if learn_landmarks and landmarks:
        raise InputError("landmarks are either given or learned; leave one of the two out.")
    if scales is not None and (lacking := set(PLANES) - set(scales)):
        raise InputError(f"{landmarks}: no landmarks for {', '.join(sorted(lacking))}. Learn them.")
    if key_file is None:
        return
    key = key_file.resolve()
    if os.path.lexists(key_file) or key.exists():
        raise InputError(f"{key_file}: exists. Choose another key file; keys are not overwritten.")
    if out.resolve() in (key, *key.parents):
        raise InputError(
            f"{key_file}: lies in {out}, which is to be free of identities. Put the key elsewhere."
        )


def _crashed(task: _Task, status: int) -> Done:
    """What a study gives whose process ended twice, by a codec or from outside."""
    return refused(
        task.exam,
        f"the process that read it was ended {ending(status)}; give fewer --workers, and if that "
        "does not help, one of its files is damaged",
    )


def _learn_and_apply(
    tasks: list[_Task], done: list[Done], workers: int | None, progress: bool
) -> None:
    """Learn landmarks from what training exams gave, then standardize every volume written."""
    exams = tasks[0].place.exams
    scales = {}
    for plane in PLANES:
        measured = [one.measured[plane] for one in done if plane in one.measured]
        if measured:
            scales[plane] = intensity.average(measured)
    intensity.save(exams / "landmarks.json", scales)
    jobs = [
        (exams / task.split / plane / f"{one.exam}.npy", scales[plane])
        for task, one in zip(tasks, done, strict=True)
        for plane in one.slices
        if plane in scales
    ]
    by_exam = {one.exam: one for one in done}
    label = "standardize" if progress else None
    for exam, plane, checksum in each(_standardize, jobs, workers, label):
        by_exam[exam].sha256[plane] = checksum
