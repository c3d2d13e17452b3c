"""Predictions of other people's networks: measured and fused as the study's own.

``python -m mrnetlib evaluate TEST.csv --fit-on TRAIN.csv``

A file holds one task: a column ``label`` (0 or 1), a column of probabilities for each plane (axial,
coronal, sagittal), in any order, and where wanted a column ``exam``, and ``fused`` with the
probabilities of their own fusion.
"""

from pathlib import Path

import pandas as pd

from mrnetlib import fusion
from mrnetlib.evaluation.metrics import MEASURES, measures
from mrnetlib.evaluation.predictions import Form, read_file
from mrnetlib.files import InputError
from mrnetlib.names import PLANES

#: Published files have some columns under other names.
FORM = Form(
    columns=["label", *PLANES],
    probabilities=[*PLANES, "fused"],
    optional=["exam", "fused"],
    aliases={"labels": "label", "preds": "fused"},
    both_classes=True,
    remedy="Give a CSV of one task's predictions with these columns, and exam where wanted.",
)


def read(path: Path) -> pd.DataFrame:
    """A file of one task's predictions.

    Returns
    -------
    DataFrame with the columns label (0 or 1), one of probabilities (0..1) per plane, exam (str;
    the line's number where the file has none), and ``fused`` where the file has it.

    Raises
    ------
    InputError
        As `mrnetlib.evaluation.predictions.read_file`, and for labels of one class only.
    """
    table = read_file(path, FORM)
    return table if "exam" in table else table.assign(exam=table.index.astype(str))


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
    """Refuse to measure a fusion on the exams that it is fitted on."""
    columns = ["exam", "label", *PLANES]
    same = len(test[columns].merge(train[columns]))
    if same:
        raise InputError(
            f"{same} of the {len(test)} test exams are among those that the fusion is to be "
            "fitted on. Give the predictions for other exams."
        )
