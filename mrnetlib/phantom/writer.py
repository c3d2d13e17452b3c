"""Whole sets of exams on disk: DICOM studies or MRNet's layout; resumable, in parallel."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mrnetlib.exams import layout
from mrnetlib.exams.intake import claim
from mrnetlib.exams.layout import volume_path, write_exam, write_labels
from mrnetlib.files import InputError, code_digest, write_array, write_csv
from mrnetlib.names import PLANES, TASKS
from mrnetlib.parallel import each
from mrnetlib.phantom.cohort import (
    PhantomExam,
    Protocol,
    describe_difficulty,
    describe_exam,
    draw_labels,
    make_exam,
)
from mrnetlib.phantom.dicom_writer import write_study

FORMATS = ("dicom", "mrnet")
#: What is made, each in a folder of its own.
MADE = ("dicom", "exams", "lesions", "tissues")
#: What the exams of a folder were made of.
NOTE = "phantom.json"
#: Where studies are before they are complete; removed at the end.
UNFINISHED = "unfinished"


def to_uint8(volume: np.ndarray) -> np.ndarray:
    """A series as distributed sets have it: 0..255, the brightest 0.1 % clipped."""
    top = max(1.0, float(np.percentile(volume, 99.9)))
    return np.clip(np.rint(volume * (255.0 / top)), 0, 255).astype(np.uint8)


def _done(folder: Path, split: str, exam: str, format: str) -> bool:
    """Whether the exam is complete: its masks, and what is written last, are there."""
    masks = [
        folder / of / plane / f"{exam}.npy" for of in ("lesions", "tissues") for plane in PLANES
    ]
    if not all(path.is_file() for path in masks):
        return False
    if format == "dicom":
        return (folder / "dicom" / exam).is_dir()
    return volume_path(folder / "exams", split, PLANES[-1], exam).is_file()


def _write_exam(folder: Path, made: PhantomExam, split: str, format: str, seed: int) -> None:
    for plane in PLANES:
        write_array(folder / "lesions" / plane / f"{made.exam}.npy", made.lesions[plane])
        write_array(folder / "tissues" / plane / f"{made.exam}.npy", made.tissues[plane])
    if format == "mrnet":
        volumes = {plane: to_uint8(volume) for plane, volume in made.volumes.items()}
        write_exam(folder / "exams", split, made.exam, volumes)
        return
    final = folder / "dicom" / made.exam
    if final.is_dir():  # whole; only a mask was missing
        return
    temporary = folder / UNFINISHED / f"{made.exam}-{os.getpid()}"
    try:
        write_study(made, temporary, seed)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(final)
    except OSError as error:
        raise InputError(
            f"{final}: could not be written ({error.strerror or error}); nothing was left "
            "half-written. Free some space or choose another folder, and run it again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _job(task: tuple) -> None:
    folder, exam, split, labels, protocol, seed, format = task
    made = make_exam(exam, labels, protocol, seed)
    _write_exam(folder, made, split, format, seed)


def _write_labels(folder: Path, table: pd.DataFrame, format: str) -> None:
    if format == "dicom":
        write_csv(folder / "dicom" / "labels.csv", table)
        return
    for split, rows in table.groupby("split"):
        write_labels(folder / "exams", split, rows.set_index("exam"))


def _write_findings(folder: Path, table: pd.DataFrame, protocol: Protocol, seed: int) -> None:
    """What there is to be seen in each exam, in words; see `write_exams`."""
    rows = []
    for row in table.itertuples():
        labels = {task: getattr(row, task) for task in TASKS}
        side, lesions = describe_exam(row.exam, labels, protocol, seed)
        variants, levels = describe_difficulty(row.exam, seed)
        words = "; ".join(map(str, lesions)), "; ".join(variants)
        rows.append((row.exam, side, *words, *(levels[plane] for plane in PLANES)))
    findings = pd.DataFrame(rows, columns=["exam", "side", "findings", "variants", *PLANES])
    write_csv(folder / "lesions" / "findings.csv", findings)


def write_exams(
    folder: Path,
    train: int,
    test: int,
    protocol: Protocol,
    seed: int,
    format: str = "dicom",
    workers: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Make a set of exams and write it.

    Exams that are there already are kept; they are made again where other settings, or another
    phantom's code, made them.

    Parameters
    ----------
    folder : the study's data folder. ``dicom/<exam>/<series>/IM####.dcm`` and
        ``dicom/labels.csv``, or ``exams/train|valid/<plane>/<exam>.npy`` (uint8) with MRNet's
        label files; for both ``lesions/<plane>/<exam>.npy`` (uint8 codes of `LESIONS`),
        ``lesions/findings.csv`` (exam, side, findings and normal variants in words, and how good
        each plane's series is, a key of `mrnetlib.phantom.quality.LEVELS`) and
        ``tissues/<plane>/<exam>.npy`` (uint8 codes of the tissues, the anatomy without lesions).
    train, test : number of exams; 1130 and 120 give MRNet's counts.
    format : "dicom" or "mrnet".
    workers : processes. The bytes written do not depend on it.

    Returns
    -------
    DataFrame as from `draw_labels`.

    Raises
    ------
    InputError
        When the folder holds exams that were not made here, or the disk is full.
    """
    if format not in FORMATS:
        raise InputError(f"format '{format}' is unknown; use one of {', '.join(FORMATS)}.")
    folder = Path(folder)
    table = draw_labels(train, test, seed)
    made_of = {"train": train, "test": test, "seed": seed, "format": format}
    made_of |= {"protocol": dataclasses.asdict(protocol)}
    made_of |= {"code": code_digest(Path(__file__).parent, Path(layout.__file__))}
    claim(folder / NOTE, made_of, [folder / name for name in MADE])
    _write_labels(folder, table, format)
    _write_findings(folder, table, protocol, seed)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    jobs = [
        (folder, row.exam, row.split, {t: getattr(row, t) for t in TASKS}, protocol, seed, format)
        for row in table.itertuples()
        if not _done(folder, row.split, row.exam, format)
    ]
    bar = tqdm(total=len(table), initial=len(table) - len(jobs), desc="exams", disable=not progress)
    with bar:
        for _ in each(_job, jobs, workers):
            bar.update()
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    return table
