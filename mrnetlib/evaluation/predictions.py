"""Files of predictions, read and checked before anything is computed from them.

`read_file` is the one reader: of a study's own files, of those that its variants add, and of other
people's. A study has one file per network, ``predictions/<architecture>_<plane>_<task>.csv``, and
one per fused model, ``fused/<architecture>_<task>.csv``, with the columns
``exam,split,label,probability,seed``: a row per exam and seed of the training.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrnetlib.files import InputError
from mrnetlib.names import PLANES, SPLITS, TASKS, fused_path, history_path, prediction_path

COLUMNS = ["exam", "split", "label", "probability", "seed"]
HISTORY = ["epoch", "train_loss", "tune_loss", "tune_auc", "seconds", "best", "seed"]

#: A file that knows nothing of seeds holds one.
ONE_SEED = {"seed": 0}

#: Columns that stay text, whatever they look like ("0007").
TEXT = ("exam", "split", "variant", "task")


@dataclass(frozen=True)
class Form:
    """What a kind of file has to hold; other columns, and their order, do not matter."""

    columns: Sequence[str]
    remedy: str  # what to do about a file that is not so: a sentence
    probabilities: Sequence[str] = ("probability",)
    keys: Sequence[str] = ("exam",)  # what tells its rows apart
    optional: Sequence[str] = ()  # columns that are read where they are
    #: columns that a file may lack, and what its rows then hold
    filled: dict[str, Any] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    both_classes: bool = False  # refuse labels of one class only


def _names(table: pd.DataFrame, form: Form) -> list[str]:
    """The names of a file's columns without outer spaces, in lower case."""
    names = [str(column).strip().casefold() for column in table.columns]
    return [form.aliases.get(name, name) for name in names]


def read_columns(path: Path, form: Form, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """The columns that a file has to hold, their values not yet checked.

    `table` is what the file holds where it has been read already, its numbers perhaps as text.
    """
    try:
        if table is None:
            header = pd.read_csv(path, nrows=0)
            kinds = zip(header.columns, _names(header, form), strict=True)
            table = pd.read_csv(path, dtype={raw: str for raw, name in kinds if name in TEXT})
    except FileNotFoundError:
        raise InputError(f"{path}: not found. {form.remedy}") from None
    except (OSError, ValueError) as error:  # a folder, empty, not text, ragged
        raise InputError(f"{path}: not a readable CSV ({error}). {form.remedy}") from None
    table.columns = _names(table, form)
    lacking = {name: value for name, value in form.filled.items() if name not in table}
    table = table.assign(**lacking)
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise InputError(f"{path}: two columns for {twice[0]}, expected one. Take one out.")
    missing = [column for column in form.columns if column not in table]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; columns are {','.join(table.columns)}, "
            f"expected {','.join(form.columns)}. {form.remedy}"
        )
    if table.empty:
        raise InputError(f"{path}: holds no row. {form.remedy}")
    return table[[*form.columns, *(name for name in form.optional if name in table)]]


def _refuse(path: Path, table: pd.DataFrame, column: str, strange: Any, expected: str) -> None:
    """An error that names the first exam whose value of a column is strange."""
    if strange.any():
        row = table[strange].iloc[0]
        place = f"exam {row['exam']}" if "exam" in row else f"row {row.name}"
        raise InputError(f"{path}: {place} has {column} {row[column]}, expected {expected}")


def read_file(path: Path, form: Form, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """A file of predictions, or what `table` holds, which is what has been read of it.

    Returns
    -------
    DataFrame with the form's columns: exam, split and task as text, label int, 0 or 1, seed int,
    probabilities float, 0..1.

    Raises
    ------
    InputError
        Naming the file, and the exam where it is about one: for a file that is missing or no CSV,
        a missing column, a value out of range, and an exam that is listed twice.
    """
    table = read_columns(path, form, table)
    if "split" in table:
        words = f"{' or '.join(SPLITS)}. {form.remedy}"
        _refuse(path, table, "split", ~table["split"].isin(SPLITS), words)
    label = pd.to_numeric(table["label"], errors="coerce")
    _refuse(path, table, "label", ~label.isin((0, 1)), f"0 or 1. {form.remedy}")
    values = {"label": label.astype(int)}
    if "seed" in table:
        seed = pd.to_numeric(table["seed"], errors="coerce")
        _refuse(path, table, "seed", ~(seed % 1 == 0), f"a whole number. {form.remedy}")
        values["seed"] = seed.astype(int)
    present = [name for name in form.probabilities if name in table]
    for column in present:
        number = pd.to_numeric(table[column], errors="coerce")
        strange = ~number.between(0, 1)  # also true for NaN
        _refuse(path, table, column, strange, f"a number from 0 to 1. {form.remedy}")
        values[column] = number.astype(float)
    table = table.assign(**values)
    keys = [key for key in form.keys if key in table]
    if keys:
        _each_once(table, keys, path, form.remedy)
    if form.both_classes and table["label"].nunique() < 2:
        raise InputError(f"{path}: all labels are {label.iloc[0]:.0f}, expected both classes.")
    return table


def _each_once(table: pd.DataFrame, keys: Sequence[str], name: Any, remedy: str) -> None:
    """Refuse a table that lists an exam twice, or one without a number."""
    twice = table.duplicated(list(keys)) | table[list(keys)].isna().any(axis=1)
    if twice.any():
        row = table[twice].iloc[0]
        found = ", ".join(f"{key} {row[key]}" for key in keys)
        raise InputError(
            f"{name}: {found} is listed twice or has no number, expected each exam once. {remedy}"
        )


def of_split(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of one split; an `InputError` where there is none."""
    chosen = predictions[predictions["split"] == split]
    if chosen.empty:
        raise InputError(
            f"the predictions hold no {split} exam, found {sorted(set(predictions['split']))}. "
            f"Predict the {split} exams, or ask for another split."
        )
    return chosen


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
    if np.array_equal(first[key].to_numpy(), other[key].to_numpy()):
        return  # a merge takes a hundred times as long
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


def aligned(tables: Iterable[tuple[Any, str, pd.DataFrame]]) -> Iterator[pd.DataFrame]:
    """Tables of predictions with their rows in the first one's order of exams.

    Parameters
    ----------
    tables : triples of a name for errors, the task, and a table with the columns exam, split,
        label and probability, a row per exam.

    Raises
    ------
    InputError
        Where a table lists an exam twice, or does not hold the same exams and splits as the first
        one, or other labels than the first one of its task.
    """
    first, first_of_task = None, {}
    for name, task, table in tables:
        first = table if first is None else first
        _each_once(table, ["exam"], name, "Make it again.")
        same_exams(first, table, name, labels=False)
        same_exams(first_of_task.setdefault(task, table), table, name)
        yield table.set_index("exam").loc[first["exam"]].reset_index()


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
    """
    chosen = [(name, "", of_split(table, split)) for table in (first, second)]
    first, second = aligned(chosen)
    columns = first["label"], first["probability"], second["probability"]
    return tuple(column.to_numpy() for column in columns)


def _read_all(paths: dict[tuple, Path], keys: list[str], made_by: str) -> pd.DataFrame:
    """Read the files, demand the same exams everywhere, stack them into one long table."""
    if not paths:
        raise InputError("no predictions asked for: give at least one architecture and one task.")
    remedy = f"Run notebook {made_by}, which writes it."
    form = Form(COLUMNS, remedy, keys=["seed", "exam"], filled=ONE_SEED)
    names, groups, first_of = [], [], {}
    for key, path in paths.items():
        table = read_file(path, form)
        _same_seeds(table, first_of.setdefault(key[0], table), path, key[0])
        for seed, rows in table.groupby("seed"):
            name = path if len(rows) == len(table) else f"{path}, seed {seed}"
            names.append(dict(zip(keys, key, strict=True)))
            groups.append((name, key[-1], rows))
    parts = [table.assign(**name) for name, table in zip(names, aligned(groups), strict=True)]
    return pd.concat(parts, ignore_index=True)[[*keys, *COLUMNS]]


def _same_seeds(table: pd.DataFrame, first: pd.DataFrame, path: Path, architecture: str) -> None:
    """Refuse files of an architecture that were not trained with the same seeds."""
    found, wanted = (sorted(set(one["seed"])) for one in (table, first))
    if found != wanted:
        raise InputError(
            f"{path}: holds the seeds {', '.join(map(str, found))}, another file of {architecture} "
            f"{', '.join(map(str, wanted))}; expected the same in all of them. Make them with the "
            "same study."
        )


def read_history(results: Path, architecture: str, plane: str, task: str) -> pd.DataFrame:
    """One network's training curves: columns `HISTORY`, a row per seed and epoch."""
    form = Form(HISTORY, "Run notebook 02_per_plane_training, which writes it.", filled=ONE_SEED)
    return read_columns(history_path(results, architecture, plane, task), form)


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
    (0 or 1), probability (0..1), seed (int; 0 where a file does not say), a row per exam and seed.

    Raises
    ------
    InputError
        As `read_file` and `aligned`: every file and seed has to hold the same exams, and all files
        of an architecture the same seeds.
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
