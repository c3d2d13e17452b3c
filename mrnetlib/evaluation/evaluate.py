"""Predictions of other people's networks: measured and fused as the study's own.

``python -m mrnetlib evaluate TEST.csv --fit-on TRAIN.csv``

A file holds one task: a column ``label`` (0 or 1), a column of probabilities for each plane (axial,
coronal, sagittal), in any order, and where wanted a column ``exam``, and ``fused`` with the
probabilities of their own fusion.
"""

from pathlib import Path

import pandas as pd

from mrnetlib import fusion
from mrnetlib.evaluation import metrics
from mrnetlib.evaluation.roc import auc_interval, checked
from mrnetlib.files import InputError
from mrnetlib.names import PLANES

#: Other names under which published files have the columns.
ALIASES = {"labels": "label", "preds": "fused"}


def read(path: Path) -> pd.DataFrame:
    """A file of one task's predictions.

    Returns
    -------
    DataFrame with the columns exam (str; the line's number where the file has none), label (0 or
    1), one of probabilities (0..1) per plane, and ``fused`` where the file has it.

    Raises
    ------
    InputError
        For a missing column or plane, a label other than 0 and 1, and a probability that is
        missing or out of range.
    """
    try:
        table = pd.read_csv(path, dtype={"exam": str})
    except FileNotFoundError:
        raise InputError(f"{path}: not found. Give a CSV of one task's predictions.") from None
    except (ValueError, pd.errors.ParserError) as error:  # empty, not text, ragged
        raise InputError(f"{path}: not a readable CSV ({error}).") from None
    names = [str(column).strip().casefold() for column in table.columns]
    table.columns = [ALIASES.get(name, name) for name in names]
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise InputError(f"{path}: two columns for {twice[0]}, expected one. Take one out.")
    missing = [column for column in ("label", *PLANES) if column not in table]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; found {', '.join(table.columns)}. Expected "
            f"label, {', '.join(PLANES)}, and exam where wanted."
        )
    if "exam" not in table:
        table["exam"] = [str(line) for line in range(len(table))]
    if table["exam"].duplicated().any():
        twice = table.loc[table["exam"].duplicated(), "exam"].iloc[0]
        raise InputError(f"{path}: exam {twice} is listed twice, expected each exam once.")
    models = [column for column in (*PLANES, "fused") if column in table]
    try:
        checked(table["label"], table[models])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return table[["exam", "label", *models]].astype({"label": int})


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
    fitted here), auc with auc_low and auc_high
    (95 %, DeLong on the logit scale), sensitivity, specificity, accuracy (at 0.5), n.
    """
    models = {plane: test[plane] for plane in PLANES}
    models["mean"] = test[list(PLANES)].mean(axis=1)
    if "fused" in test:
        models["fused"] = test["fused"]
    if train is not None:
        columns = ["exam", "label", *PLANES]
        same = len(test[columns].merge(train[columns]))
        if same:
            raise InputError(
                f"{same} of the {len(test)} test exams are among those that the fusion is to be "
                "fitted on. Give the predictions for other exams."
            )
        regression = fusion.fit(train.assign(split="train"))
        models["fusion"] = fusion.apply(regression, test.assign(split="test"))["probability"]
    rows = []
    for model, probability in models.items():
        found = metrics.measures(test["label"], probability)
        interval = auc_interval(test["label"], probability)
        limits = {"auc": found.pop("auc"), "auc_low": interval.low, "auc_high": interval.high}
        rows.append({"model": model, **limits, **found})
    return pd.DataFrame(rows)
