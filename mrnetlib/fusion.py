"""Fusion of the planes: per task a logistic regression on the three planes' probabilities."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from mrnetlib.files import InputError
from mrnetlib.names import PLANES

#: Which exams' predictions the regression may be fitted on. The paper uses the training exams'.
FUSE_ON = {"train": ("train",), "tune": ("tune",), "train+tune": ("train", "tune")}


def by_plane(predictions: pd.DataFrame, planes: tuple[str, ...] = PLANES) -> pd.DataFrame:
    """One architecture's and task's predictions with the planes side by side.

    Parameters
    ----------
    predictions : long table with columns plane, exam, split, label, probability.

    Returns
    -------
    DataFrame with columns exam, split, label and one column of probabilities per plane, in the
    order in which the exams first appear.
    """
    keys = ["exam", "split", "label"]
    wide = predictions.pivot(index=keys, columns="plane", values="probability")
    order = predictions[keys].drop_duplicates()
    wide = wide.reindex(pd.MultiIndex.from_frame(order))
    missing = [plane for plane in planes if plane not in wide or wide[plane].isna().any()]
    if missing:
        raise InputError(
            f"fusion: no prediction of {', '.join(missing)} for some exams. Every exam needs all "
            "planes; run notebook 02_per_plane_training for them."
        )
    return wide[list(planes)].reset_index().rename_axis(columns=None)


def fit(table: pd.DataFrame, fuse_on: str = "train", planes=PLANES) -> LogisticRegression:
    """Fit the regression of one task (scikit-learn's, L2 with C = 1, as published code has it).

    Parameters
    ----------
    table : as `by_plane` gives it.
    fuse_on : ``train`` as in the paper, ``tune``, or ``train+tune``.
    """
    if fuse_on not in FUSE_ON:
        raise InputError(f"fuse_on '{fuse_on}': expected one of {', '.join(FUSE_ON)}.")
    exams = table[table["split"].isin(FUSE_ON[fuse_on])]
    if exams["label"].nunique() < 2:
        raise InputError(
            f"fusion: the {len(exams)} exams of '{fuse_on}' have one label only. Use more exams."
        )
    return LogisticRegression().fit(exams[list(planes)].to_numpy(), exams["label"].to_numpy())


def apply(regression: LogisticRegression, table: pd.DataFrame, planes=PLANES) -> pd.DataFrame:
    """The fused predictions of all exams: columns exam, split, label, probability (0..1)."""
    probability = regression.predict_proba(table[list(planes)].to_numpy())[:, 1]
    return table[["exam", "split", "label"]].assign(probability=probability)


def coefficients(regression: LogisticRegression, planes=PLANES) -> dict[str, float]:
    """Intercept and weight of each plane, in log odds per unit of probability."""
    values = np.concatenate([regression.intercept_, regression.coef_[0]])
    return dict(zip(("intercept", *planes), map(float, values), strict=True))
