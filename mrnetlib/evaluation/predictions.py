"""A study's predictions, read from its result files and checked before anything is computed.

One file per network, ``predictions/<architecture>_<plane>_<task>.csv``, and one per fused model,
``fused/<architecture>_<task>.csv``, both with the columns ``exam,split,label,probability``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrnetlib.files import InputError
from mrnetlib.names import PLANES, SPLITS, TASKS, fused_path, prediction_path

COLUMNS = ["exam", "split", "label", "probability"]


def _read_file(path: Path, made_by: str) -> pd.DataFrame:
    """One file of predictions, every column checked; exams stay text ("0007")."""
    try:
        table = pd.read_csv(path, dtype={"exam": str, "split": str})
    except FileNotFoundError:
        raise InputError(f"{path}: not found. Run notebook {made_by}, which writes it.") from None
    except (ValueError, pd.errors.ParserError) as error:  # empty, not text, ragged
        raise InputError(f"{path}: not a readable CSV ({error}). Make it again.") from None
    if list(table.columns) != COLUMNS:
        raise InputError(
            f"{path}: columns are {','.join(map(str, table.columns))}, expected "
            f"{','.join(COLUMNS)}. Run notebook {made_by} again."
        )
    if table.empty:
        raise InputError(f"{path}: holds no exam. Run notebook {made_by} again.")
    label = pd.to_numeric(table["label"], errors="coerce")
    for column, values, allowed in (("split", table["split"], SPLITS), ("label", label, (0, 1))):
        strange = ~values.isin(allowed)
        if strange.any():
            row = table[strange].iloc[0]
            raise InputError(
                f"{path}: exam {row['exam']} has {column} {row[column]}, expected "
                f"{' or '.join(map(str, allowed))}. Run notebook {made_by} again."
            )
    number = pd.to_numeric(table["probability"], errors="coerce")
    strange = ~number.between(0, 1)  # also true for NaN
    if strange.any():
        row = table[strange].iloc[0]
        raise InputError(
            f"{path}: exam {row['exam']} has probability {row['probability']}, expected a number "
            f"from 0 to 1. Run notebook {made_by} again."
        )
    twice = table["exam"].duplicated() | table["exam"].isna()
    if twice.any():
        raise InputError(
            f"{path}: exam {table.loc[twice, 'exam'].iloc[0]} is listed twice or has no number, "
            f"expected each exam once. Run notebook {made_by} again."
        )
    return table.assign(label=label.astype(int), probability=number.astype(float))


def same_exams(first: pd.DataFrame, other: pd.DataFrame, name: Any, labels: bool = True) -> None:
    """Refuse two tables of predictions that cannot be compared exam by exam.

    Parameters
    ----------
    first, other : tables with the columns exam, split and label.
    name : what `other` is called in the error, for example its path.
    labels : whether the labels have to agree, too (they differ between tasks).

    Raises
    ------
    InputError
        Naming the first exam that is missing, extra, or has another split or label.
    """
    key = ["exam", "split", *(["label"] if labels else [])]
    odd = first[key].merge(other[key], how="outer", indicator=True)
    odd = odd[odd["_merge"] != "both"]
    if len(odd):
        row = odd.iloc[0]
        found = " ".join(f"{column} {row[column]}" for column in key)
        where = "missing here" if row["_merge"] == "left_only" else "found only here"
        raise InputError(
            f"{name}: does not hold the same exams as the file before it: {found} is {where}. "
            "Expected the same exams, splits and labels. Make both files with the same study."
        )


def _read_all(paths: dict[tuple, Path], keys: list[str], made_by: str) -> pd.DataFrame:
    """Read the files, demand the same exams everywhere, stack them into one long table."""
    first, first_of_task, parts = None, {}, []
    for values, path in paths.items():
        table = _read_file(path, made_by)
        task = values[-1]
        first = table if first is None else first
        same_exams(first, table, path, labels=False)
        same_exams(first_of_task.setdefault(task, table), table, path)
        table = table.set_index("exam").loc[first["exam"]].reset_index()
        parts.append(table.assign(**dict(zip(keys, values, strict=True))))
    if not parts:
        raise InputError("no predictions asked for: give at least one architecture and one task.")
    return pd.concat(parts, ignore_index=True)[[*keys, *COLUMNS]]


def read_predictions(
    results: Path,
    architectures: Sequence[str],
    planes: Sequence[str] = PLANES,
    tasks: Sequence[str] = TASKS,
) -> pd.DataFrame:
    """All single-view predictions of a study in one long table.

    Parameters
    ----------
    results : the study's result folder.
    architectures, planes, tasks : what to read, in this order.

    Returns
    -------
    DataFrame with the columns architecture, plane, task, exam (str, "0007"), split, label
    (0 or 1), probability (0..1).

    Raises
    ------
    InputError
        Naming the file that is missing, has other columns, holds a value out of range or an
        exam twice, or does not hold the same exams, splits and labels as the others.
    """
    paths = {
        (architecture, plane, task): prediction_path(results, architecture, plane, task)
        for architecture in architectures
        for plane in planes
        for task in tasks
    }
    return _read_all(paths, ["architecture", "plane", "task"], "02_per_plane_training")


def read_fused(
    results: Path, architectures: Sequence[str], tasks: Sequence[str] = TASKS
) -> pd.DataFrame:
    """All fused predictions of a study: as `read_predictions`, without the column plane."""
    paths = {
        (architecture, task): fused_path(results, architecture, task)
        for architecture in architectures
        for task in tasks
    }
    return _read_all(paths, ["architecture", "task"], "03_fusion")


def paired(
    first: pd.DataFrame, second: pd.DataFrame, name: Any = "the second table", split: str = "test"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two models' probabilities on the same exams, in the same order.

    Parameters
    ----------
    first, second : tables with the columns exam, split, label and probability, one row per exam.
    name : what `second` is called in an error, for example its path.
    split : the exams to compare on.

    Returns
    -------
    label (E,) int, first (E,) and second (E,) float.

    Raises
    ------
    InputError
        Where the two do not hold the same exams with the same labels.
    """
    first, second = (table[table["split"] == split] for table in (first, second))
    same_exams(first, second, name)
    ordered = second.set_index("exam")["probability"].loc[first["exam"]]
    return first["label"].to_numpy(), first["probability"].to_numpy(), ordered.to_numpy()
