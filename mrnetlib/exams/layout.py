"""Exams in MRNet's format: read, validate, write.

The layout is that of MRNet-v1.0 (Bien et al. 2018)::

    <folder>/train/<plane>/0000.npy     uint8 (S, H, W), S differs from exam to exam
    <folder>/train-<task>.csv           lines "0000,1" without a header
    <folder>/valid/..., valid-<task>.csv

MRNet's 120 `valid` exams are this study's test exams. Volumes that come through the DICOM door
lie in the same layout as uint16 and become uint8 when they are standardized.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mrnetlib.files import InputError, read_text, write_array, write_text
from mrnetlib.names import MRNET_FOLDERS, PLANES, TASKS

VOLUME_DTYPES = ("uint8", "uint16")

#: How label files say a label; tables that went through a spreadsheet have decimals.
LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "0,0": 0, "1,0": 1}


def label_path(folder: Path, split: str, task: str) -> Path:
    """The label file of one task; `split` is ``train`` or ``test``."""
    return Path(folder) / f"{MRNET_FOLDERS[split]}-{task}.csv"


def volume_path(folder: Path, split: str, plane: str, exam: str) -> Path:
    """The volume of one exam's plane; a ``tune`` exam lies among the training exams."""
    folder_of_split = MRNET_FOLDERS["test" if split == "test" else "train"]
    return Path(folder) / folder_of_split / plane / f"{exam}.npy"


def read_label_file(path: Path) -> pd.Series:
    """One task's labels, 0 or 1, by exam; `read_labels` says what is refused."""
    labels: dict[str, int] = {}
    remedy = "Expected one label file per task and split, lines '0000,1'."
    for number, line in enumerate(read_text(path, remedy, latin=False).splitlines(), 1):
        if not line.strip():
            continue
        separator = max(";\t,", key=lambda mark: mark in line)  # a comma may be a decimal one
        fields = [field.strip(" \t\"'") for field in line.split(separator)]
        if len(fields) != 2 or fields[1] not in LABELS or not fields[0]:
            hint = " It looks like a header; delete that line." if number == 1 else ""
            if len(fields) == 3 and fields[2] in LABELS:
                hint = " The first column looks like an index; delete that column."
            raise InputError(
                f"{path}, line {number}: found '{line}', expected an exam number, a comma and 0 "
                f"or 1, as in '0000,1'.{hint}"
            )
        exam = fields[0]
        if exam in labels:
            raise InputError(f"{path}, line {number}: exam {exam} is labelled twice. Keep one.")
        labels[exam] = LABELS[fields[1]]
    if not labels:
        raise InputError(f"{path}: empty. Expected lines '0000,1'.")
    return pd.Series(labels, name=path.stem)


def read_labels(folder: Path, split: str) -> pd.DataFrame:
    """Labels of all tasks.

    Returns
    -------
    DataFrame indexed by exam ("0000"), one int column (0 or 1) per task, in the files' order.

    Raises
    ------
    InputError
        For a missing or empty file, a header line, a label other than 0 and 1, an exam listed
        twice, or tasks that do not label the same exams.
    """
    columns = {task: read_label_file(label_path(folder, split, task)) for task in TASKS}
    exams = columns[TASKS[0]].index
    for task in TASKS[1:]:
        odd = exams.symmetric_difference(columns[task].index)
        if len(odd):
            raise InputError(
                f"{label_path(folder, split, task)}: does not label the same exams as "
                f"{label_path(folder, split, TASKS[0]).name} ({len(odd)} differ, first {odd[0]}). "
                "Every exam needs a label for every task."
            )
    return pd.DataFrame({task: column.reindex(exams) for task, column in columns.items()})


def read_volume(path: Path) -> np.ndarray:
    """One exam's plane as a read-only memory map: (S, H, W), uint8 or uint16, square slices.

    Raises `InputError` for a missing, truncated, pickled or otherwise unreadable file, and for
    another shape or type.
    """
    try:
        # `np.load` would also open an archive under this name; this opens arrays only.
        volume = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise InputError(
            f"{path}: not found. Every exam needs the three planes {', '.join(PLANES)}."
        ) from None
    except Exception as error:  # NumPy's own reading of the header has many
        raise InputError(
            f"{path}: not a whole .npy file ({error}). Copy it again from its source."
        ) from None
    if volume.ndim != 3 or volume.shape[1] != volume.shape[2] or 0 in volume.shape:
        raise InputError(
            f"{path}: shape {volume.shape}, expected (slices, size, size), "
            "as in (34, 256, 256). Convert it again."
        )
    if volume.dtype.name not in VOLUME_DTYPES:
        raise InputError(
            f"{path}: dtype {volume.dtype}, expected {' or '.join(VOLUME_DTYPES)}. "
            "Convert it again."
        )
    return volume


def check_contrast(path: Path, volume: np.ndarray) -> None:
    """Refuse a volume (S, H, W) of one single grey value, with an `InputError` that names it."""
    middle = volume[len(volume) // 2]
    if middle.min() == middle.max() and volume.min() == volume.max():
        raise InputError(
            f"{path}: every pixel is {int(volume.flat[0])}, expected a picture. Convert or copy "
            "it again."
        )


def write_labels(folder: Path, split: str, labels: pd.DataFrame) -> None:
    """Write the three label files of a split from a table indexed by exam."""
    for task in TASKS:
        lines = [f"{exam},{int(label)}\n" for exam, label in labels[task].items()]
        write_text(label_path(folder, split, task), "".join(lines))


def write_exam(folder: Path, split: str, exam: str, volumes: dict[str, np.ndarray]) -> None:
    """Write one exam's planes, each (S, H, W) uint8 or uint16, in MRNet's layout."""
    for plane in PLANES:
        write_array(volume_path(folder, split, plane, exam), volumes[plane])


def problems(folder: Path, progress: bool = False) -> Iterator[str]:
    """Everything wrong with a folder in MRNet's layout, one sentence each.

    The headers and sizes of all volumes are checked; of the pixels a slice of each is read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        yield f"{folder}: no such folder. Give the folder that holds 'train' and 'valid'."
        return
    deeper = [path.parent for path in folder.glob(f"*/{label_path('', 'train', TASKS[0])}")]
    if deeper and not label_path(folder, "train", TASKS[0]).exists():
        yield f"{folder}: the exams lie one level deeper. Give {deeper[0]} instead."
        return
    higher = [
        path for path in folder.resolve().parents if label_path(path, "train", TASKS[0]).exists()
    ]
    if higher and not any(folder.glob("*.csv")):
        yield f"{folder}: is a part of the exams' folder. Give {higher[0]} instead."
        return
    seen: set[str] = set()
    for split in MRNET_FOLDERS:
        try:
            labels = read_labels(folder, split)
        except InputError as error:
            yield str(error)
            continue
        for exam in sorted(seen & set(labels.index)):
            yield f"{folder}: exam {exam} is a training and a test exam. Number one of them anew."
        seen |= set(labels.index)
        for plane in PLANES:
            folder_of_plane = volume_path(folder, split, plane, "x").parent
            if not folder_of_plane.is_dir():
                yield (
                    f"{folder_of_plane}: no such folder. Every exam needs the three planes "
                    f"{', '.join(PLANES)}."
                )
                continue
            # Names that begin with a dot are notes of macOS beside the files.
            there = {path.stem for path in folder_of_plane.glob("[!.]*.npy")}
            for exam in sorted(there - set(labels.index)):
                yield (
                    f"{volume_path(folder, split, plane, exam)}: an exam without a label. Add it "
                    f"to the {MRNET_FOLDERS[split]} label files or take it away."
                )
            yield from _volume_problems(folder, split, plane, labels.index, there, progress)


def _volume_problems(
    folder: Path, split: str, plane: str, exams: pd.Index, there: set[str], progress: bool
) -> Iterator[str]:
    for exam in tqdm(exams, f"{split} {plane}", disable=not progress, leave=False):
        path = volume_path(folder, split, plane, exam)
        if exam not in there and exam.zfill(4) in there:
            yield (
                f"{path}: not found, but {exam.zfill(4)}.npy is. Write {exam.zfill(4)} instead of "
                f"{exam} in the {MRNET_FOLDERS[split]} label files."
            )
            continue
        try:
            check_contrast(path, read_volume(path))
        except InputError as error:
            yield str(error)


def counts(folder: Path) -> pd.DataFrame:
    """Exams, positives per task and slices per plane, one row per split.

    Columns: split, exams, the three tasks' positives, and for every plane ``<plane>_min``,
    ``<plane>_median``, ``<plane>_max`` and ``<plane>_total`` slices.
    """
    rows = []
    for split in MRNET_FOLDERS:
        labels = read_labels(folder, split)
        row = {"split": split, "exams": len(labels), **labels.sum().to_dict()}
        for plane in PLANES:
            slices = np.array(
                [len(read_volume(volume_path(folder, split, plane, e))) for e in labels.index]
            )
            row |= {
                f"{plane}_min": int(slices.min()),
                f"{plane}_median": float(np.median(slices)),
                f"{plane}_max": int(slices.max()),
                f"{plane}_total": int(slices.sum()),
            }
        rows.append(row)
    return pd.DataFrame(rows)
