"""Exams on their way in: which are held out, the inventory, grey values as bytes, made once.

What both doors and the user's own folder share: an inventory ``exams.csv`` with the exams of all
three splits, one linear window per plane where intensities are not standardized, and a note of what
a folder of exams was made of, so that it is made again when that has changed.
"""

import io
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from mrnetlib.exams.layout import check_contrast, read_labels, read_volume, volume_path
from mrnetlib.files import InputError, read_json, read_text, sha256, write_csv, write_json
from mrnetlib.names import MRNET_FOLDERS, PLANES, SPLITS, TASKS

#: The white level of volumes that are bytes already.
UINT8 = 255.0

#: This share of the training exams' pixels stays below 255.
BELOW_WHITE = 0.995


def hold_out(labels: pd.DataFrame, fraction: float, rng: np.random.Generator) -> pd.Index:
    """Choose the tuning exams among the training exams, stratified by label combination.

    Parameters
    ----------
    labels : DataFrame indexed by exam, one column of 0 and 1 per task.
    fraction : share of the exams to hold out, in (0, 1).

    Returns
    -------
    Index of the exams held out. Each combination of labels gives its share, rounded so that the
    total is right (largest remainder).
    """
    if not 0 < fraction < 1:
        raise InputError(f"tune_fraction: {fraction}, expected a share between 0 and 1.")
    groups = [rng.permutation(group.index) for _, group in labels.groupby(list(TASKS), sort=True)]
    wanted = np.array([len(group) * fraction for group in groups])
    take = np.floor(wanted).astype(int)
    short = round(wanted.sum()) - take.sum()
    take[np.argsort(take - wanted, kind="stable")[:short]] += 1
    chosen = np.concatenate([group[:n] for group, n in zip(groups, take, strict=True)])
    return labels.index[labels.index.isin(chosen)]


def take_inventory(
    folder: Path, tune_fraction: float, seed: int, progress: bool = True
) -> pd.DataFrame:
    """The table ``exams.csv``: every exam with its split, labels, slices and checksums.

    Parameters
    ----------
    folder : a folder in MRNet's layout.
    tune_fraction : share of the training exams held out for early stopping.
    seed : of the draw of the tuning exams.

    Returns
    -------
    DataFrame with columns exam, split (train, tune, test), the tasks, ``slices_<plane>``,
    ``size`` (pixels of a slice's side) and ``sha256_<plane>``.
    """
    rows = []
    for split in MRNET_FOLDERS:
        labels = read_labels(folder, split)
        held_out = set()
        if split == "train":
            held_out = set(hold_out(labels, tune_fraction, np.random.default_rng([seed, 1])))
        for exam, row in tqdm(
            labels.iterrows(), f"{split} exams", total=len(labels), disable=not progress
        ):
            paths = {plane: volume_path(folder, split, plane, exam) for plane in PLANES}
            volumes = {plane: read_volume(path) for plane, path in paths.items()}
            for plane, volume in volumes.items():
                check_contrast(paths[plane], volume)
            rows.append(
                {"exam": exam, "split": "tune" if exam in held_out else split, **row.to_dict()}
                | {f"slices_{plane}": len(volume) for plane, volume in volumes.items()}
                | {"size": volumes[PLANES[0]].shape[1]}
                | {f"sha256_{plane}": sha256(path) for plane, path in paths.items()}
            )
    return pd.DataFrame(rows)


def write_inventory(path: Path, inventory: pd.DataFrame) -> None:
    """Write ``exams.csv``."""
    write_csv(path, inventory)


#: What the columns of ``exams.csv`` hold; others do not matter.
INVENTORY = {
    "exam": r"\S+",
    "split": "|".join(SPLITS),
    **dict.fromkeys(TASKS, "[01]"),
    **{f"slices_{plane}": r"[1-9]\d{0,5}" for plane in PLANES},
    "size": r"[1-9]\d{0,4}",
    **{f"sha256_{plane}": "[0-9a-f]{64}" for plane in PLANES},
}


def read_inventory(path: Path) -> pd.DataFrame:
    """Read ``exams.csv``; exam numbers stay text ("0000").

    Raises
    ------
    InputError
        For a file that is missing or no CSV, a missing column, an exam twice, and a split, a label,
        a number of slices or a checksum that cannot be.
    """
    remedy = "Run notebook 00_exams, which writes it."
    text = read_text(path, remedy, latin=False)
    try:
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except ValueError as error:  # empty, ragged
        raise InputError(f"{path}: not a readable CSV ({error}). {remedy}") from None
    for column, form in INVENTORY.items():
        if column not in table:
            raise InputError(f"{path}: no column {column}. {remedy}")
        odd = ~table[column].astype(str).str.fullmatch(form)
        odd |= table.duplicated(column) if column == "exam" else False
        if odd.any():
            row = table[odd].iloc[0]
            raise InputError(
                f"{path}: exam {row['exam']}: {column} is '{row[column]}' or is there twice, "
                f"expected {form}. {remedy}"
            )
    numbers = [name for name in INVENTORY if name in TASKS or name.startswith(("slices", "size"))]
    return table.astype(dict.fromkeys(numbers, int))


def check_volumes(folder: Path, inventory: pd.DataFrame) -> None:
    """Compare all volumes of a folder with an inventory's checksums.

    Raises
    ------
    InputError
        For the first volume that is missing or not the one that was counted.
    """
    for row in inventory.itertuples():
        for plane in PLANES:
            path = volume_path(folder, row.split, plane, row.exam)
            read_volume(path)
            if sha256(path) != getattr(row, f"sha256_{plane}"):
                raise InputError(
                    f"{path}: is not the volume that exams.csv tells of: damaged, or another one "
                    "since. Put the right one back, or run notebook 00_exams again."
                )


def white_level(volumes: Iterable[np.ndarray]) -> float:
    """The grey value that becomes 255, the same for all exams of a plane.

    uint8 volumes stay as they are. For uint16 it is a high quantile of all the training exams'
    pixels: one linear scale, so that the scanners' differences stay.
    """
    counts, kinds = np.zeros(2**16, np.int64), set()
    for volume in volumes:
        kinds.add(volume.dtype)
        counts += np.bincount(volume.ravel(), minlength=len(counts))
    if len(kinds) > 1:
        raise InputError(
            f"training exams of {' and '.join(sorted(map(str, kinds)))}: no linear scale fits "
            "both. Bring all exams to one depth, or standardize."
        )
    if kinds == {np.dtype(np.uint8)}:
        return UINT8
    return float(max(1, np.searchsorted(np.cumsum(counts), BELOW_WHITE * counts.sum())))


def to_grey(volume: np.ndarray, white: float) -> np.ndarray:
    """A volume (S, H, W) as uint8 with the grey value `white` at 255."""
    if (volume.dtype == np.uint8) != (white == UINT8):
        raise InputError(
            f"an exam of {volume.dtype} where the training exams have another depth: no linear "
            "scale fits both. Bring all exams to one depth, or standardize."
        )
    if volume.dtype == np.uint8:
        return np.asarray(volume)
    return np.minimum(np.rint(volume * (255 / white)), 255).astype(np.uint8)


def claim(note: Path, of: dict[str, Any], made: Iterable[Path]) -> None:
    """Note what generated folders are made of, and remove those that were made of something else.

    Parameters
    ----------
    note : a JSON file beside the folders, written before them: they are of what it says.
    of : what they are to be made of now, as JSON takes it.
    made : the folders. Where `note` says something else, a printed line says what has changed.

    Raises
    ------
    InputError
        For a folder that is there without a note: it may be the user's.
    """
    there = [folder for folder in made if folder.exists()]
    if note.is_file():
        before, of = read_json(note), json.loads(json.dumps(of))
        if before == of:
            return
        odd = [key for key in of.keys() | before.keys() if before.get(key) != of.get(key)]
        print(f"{note.parent.name}: made with another {', '.join(sorted(odd))}, made again")
        for folder in there:
            shutil.rmtree(folder)
    elif there:
        raise InputError(
            f"{there[0]}: is there, but {note.name}, which says what it was made of, is not. Move "
            "it away, or give the study another name."
        )
    write_json(note, of)
