"""Predictions of other people's networks: measured and fused as the study's own.

``python -m mrnetlib evaluate TEST.csv --fit-on TRAIN.csv``

A file holds one task: a column ``label`` (0 or 1), a column of probabilities for each plane (axial,
coronal, sagittal), in any order, and where wanted a column ``exam``, and ``fused`` with the
probabilities of their own fusion. Files without a header and arrays (``.npy``) are read with the
names of their columns, and labels may lie in a file of their own.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mrnetlib import fusion
from mrnetlib.evaluation.metrics import MEASURES, measures
from mrnetlib.evaluation.predictions import Form, read_file
from mrnetlib.exams.layout import read_label_file
from mrnetlib.files import InputError, read_text
from mrnetlib.names import PLANES

#: Published files have some columns under other names.
FORM = Form(
    columns=["label", *PLANES],
    probabilities=[*PLANES, "fused"],
    optional=["exam", "fused"],
    aliases={"labels": "label", "preds": "fused"},
    both_classes=True,
    remedy="Give a CSV of one task's predictions with these columns, and exam where wanted; "
    "--columns names those of a file without a header, --labels a file with the labels.",
)

#: What an array that is not a table of columns is told.
JOINED = """Join yours, and evaluate test.csv:
    import numpy as np
    names = "label", "axial", "coronal", "sagittal"
    columns = np.column_stack([np.load(f"{name}.npy") for name in names])
    np.savetxt("test.csv", columns, delimiter=",", header=",".join(names), comments="")"""

#: Probabilities that agree to so many decimals are the same, and with so few may be by chance.
SAME, FEW = 6, 3

#: What stands for the number of an exam that has none.
UNNUMBERED = "in row "


def read(
    path: Path, columns: Sequence[str] | None = None, labels: Path | None = None
) -> pd.DataFrame:
    """A file of one task's predictions: CSV, with commas, semicolons or tabs, or ``.npy``.

    Parameters
    ----------
    columns : their names, in the file's order, where the file does not say them.
    labels : a file with the labels, where this one has none: lines ``0000,1``, matched by exam
        where this file numbers them, else in its order; or one label a line, or ``.npy``.

    Returns
    -------
    DataFrame with the columns label (0 or 1), one of probabilities (0..1) per plane, exam (str;
    its row where the file has none), and ``fused`` where the file has it.

    Raises
    ------
    InputError
        As `mrnetlib.evaluation.predictions.read_file`, and for labels of one class only.
    """
    path = Path(path)
    array = path.suffix == ".npy"
    table = _of_array(path, columns) if array else _of_text(path, columns)
    if labels is not None:
        table = _labelled(path, table, Path(labels))
    table = read_file(path, FORM, table)
    exams = table["exam"] if "exam" in table else UNNUMBERED + table.index.astype(str)
    return table.assign(exam=[f"{exam:g}" if isinstance(exam, float) else exam for exam in exams])


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: not found. {FORM.remedy}") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a whole .npy file ({error}). Save it again.") from None


def _of_array(path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    array = _array(path)
    if getattr(array, "ndim", 0) != 2 or array.dtype.kind not in "iufb":
        shape = getattr(array, "shape", "none")
        raise InputError(f"{path}: an array of shape {shape}, expected exams x columns. {JOINED}")
    return _named(path, pd.DataFrame(array), columns)


def _of_text(path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    """The cells of a CSV as text, with points for decimal commas."""
    text = read_text(path, FORM.remedy)
    separator = max(",;\t", key=text.lstrip().partition("\n")[0].count)
    try:
        table = pd.read_csv(
            io.StringIO(text), sep=separator, header=None, dtype=str, skipinitialspace=True
        )
    except ValueError as error:  # empty, or ragged
        raise InputError(f"{path}: not a readable CSV ({error}). {FORM.remedy}") from None
    if separator != ",":
        table = table.apply(lambda column: column.str.replace(",", "."))
    if pd.to_numeric(table.iloc[0], errors="coerce").notna().sum() < min(2, table.shape[1]):
        table, header = table.iloc[1:].reset_index(drop=True), table.iloc[0]
        names = zip(header, range(1, len(header) + 1), strict=True)
        columns = columns or [f"column {n}" if pd.isna(name) else name for name, n in names]
    return _named(path, table, columns)


def _named(path: Path, table: pd.DataFrame, columns: Sequence[str] | None) -> pd.DataFrame:
    if columns is None:
        raise InputError(
            f"{path}: does not name its {table.shape[1]} columns. Say them in its order, as in "
            f"--columns {','.join(FORM.columns)}; others than these, and exam, do not matter."
        )
    if len(columns) != table.shape[1]:
        raise InputError(
            f"{path}: has {table.shape[1]} columns, expected the {len(columns)} of "
            f"{','.join(columns)}. Name each of them."
        )
    return table.set_axis(list(columns), axis=1)


def _number(exam: str) -> str:
    """An exam's number without its zeros: 0007 and 7 are one."""
    return str(exam).strip().lstrip("0")


def _labelled(path: Path, table: pd.DataFrame, labels: Path) -> pd.DataFrame:
    """A table with the labels of another file."""
    if "label" in table:
        raise InputError(f"{path}: has labels of its own. Leave out --labels, or that column.")
    found = _labels(labels)
    numbered = next((name for name in table if str(name).strip().casefold() == "exam"), None)
    if numbered is not None and not isinstance(found.index, pd.RangeIndex):
        known = found.set_axis([_number(exam) for exam in found.index])
        exams = table[numbered].map(_number)
        odd = table[numbered][~exams.isin(known.index)]
        if len(odd):
            raise InputError(f"{labels}: has no label for exam {odd.iloc[0]} of {path.name}.")
        return table.assign(label=known[exams].to_numpy())
    if len(found) != len(table):
        raise InputError(
            f"{labels}: has {len(found)} labels, expected one for each of the {len(table)} rows of "
            f"{path.name}, in their order; or give both files a column exam."
        )
    return table.assign(label=found.to_numpy())


def _labels(path: Path) -> pd.Series:
    """Labels by exam, or without numbers in their order."""
    if path.suffix == ".npy":
        return pd.Series(np.ravel(_array(path)))
    lines = read_text(path, "Give the labels, a line for each exam, as in 0000,1.").split("\n")
    alone = [line.strip() for line in lines if line.strip()]
    if any(mark in line for line in alone for mark in ",;\t"):
        return read_label_file(path)
    return pd.Series(alone[1 if alone and not alone[0][0].isdigit() else 0 :])


def measured(test: pd.DataFrame, train: pd.DataFrame | None = None) -> pd.DataFrame:
    """The measures of each plane, of the planes' mean, and of their fusion.

    Parameters
    ----------
    test : from `read`; the exams to measure on.
    train : the same models' predictions for other exams, on which the logistic regression is
        fitted, as in the paper; without them there is no fusion.

    Returns
    -------
    DataFrame with the columns model (a plane, ``mean``, ``fused`` as the file has it, ``fusion`` as
    fitted here), auc with auc_low and auc_high (95 %), sensitivity, specificity, accuracy and
    whatever else is a measure of Table I, n.
    """
    columns = [*fusion.EXAM, *PLANES]
    table = test.assign(split="test")[columns]
    models = {plane: test[plane] for plane in PLANES}
    models["mean"] = fusion.fuse(table, "mean")["probability"]
    if "fused" in test:
        models["fused"] = test["fused"]
    if train is not None:
        _refuse_shared(test, train)
        regression = fusion.fit(train.assign(split="train")[columns])
        models["fusion"] = fusion.apply(regression, table)["probability"]
    rows = []
    for model, probability in models.items():
        found = measures(test["label"], probability)
        interval = MEASURES["auc"].interval(test["label"], probability, 0.95)
        limits = {"auc": found.pop("auc"), "auc_low": interval.low, "auc_high": interval.high}
        rows.append({"model": model, **limits, **found})
    return pd.DataFrame(rows)


def _refuse_shared(test: pd.DataFrame, train: pd.DataFrame) -> None:
    """Refuse to measure a fusion on the exams that it is fitted on, in whatever order they are.

    They are the same by their numbers, or by label and probabilities. Where these have few
    decimals, some may agree by chance: then more than half have to.
    """
    numbers = [
        {_number(exam) for exam in table["exam"] if not exam.startswith(UNNUMBERED)}
        for table in (test, train)
    ]
    shared = len(numbers[0] & numbers[1])
    if shared:
        raise InputError(
            f"{shared} of the {len(test)} test exams are by their numbers among those that the "
            "fusion is to be fitted on. Give the predictions for other exams; if they are, number "
            "them apart, or take the column exam out."
        )
    columns = ["label", *PLANES]
    rows = test[columns].round(SAME)
    same = rows.merge(train[columns].round(SAME).drop_duplicates())
    fine = (same[list(PLANES)].round(FEW) != same[list(PLANES)]).any(axis=1).sum()
    if fine or 2 * len(same) > len(test):
        raise InputError(
            f"{len(same)} of the {len(test)} test exams are by their label and probabilities among "
            "those that the fusion is to be fitted on. Give the predictions for other exams."
        )
