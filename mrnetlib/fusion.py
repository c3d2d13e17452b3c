"""Fusion of the planes: one probability of several, by a logistic regression or a rival of it.

`WAYS` is the only list of ways to fuse; a new one is an entry there. The settings take the names
that `fuse_on` may have from it, so scikit-learn is imported only where a regression is fitted.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from mrnetlib.files import InputError

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

#: The columns of fused predictions before the probability.
EXAM = ["exam", "split", "label"]


class Way(NamedTuple):
    """A way to make one probability of several planes'."""

    words: str  # that follow "fusion" or "a regression"
    #: the splits on whose predictions a logistic regression is fitted
    fitted_on: tuple[str, ...] = ()
    #: the regression is fitted on predictions by networks that did not see these exams
    out_of_fold: bool = False
    #: without a regression: probabilities (E, planes) -> (E,)
    rule: Callable[[np.ndarray], np.ndarray] | None = None


WAYS = {
    "train": Way("on the training exams", ("train",)),
    "out_of_fold": Way("on training exams out of fold", ("train",), out_of_fold=True),
    "tune": Way("on the tuning exams", ("tune",)),
    "train+tune": Way("on training and tuning exams", ("train", "tune")),
    "mean": Way("by the mean of the planes", rule=lambda planes: planes.mean(axis=1)),
    "max": Way("by the maximum of the planes", rule=lambda planes: planes.max(axis=1)),
}

#: What a study's `fuse_on` may be: regressions on what notebook 02 predicts. The paper's is
#: ``train``.
FITTED_ON = tuple(how for how, way in WAYS.items() if way.fitted_on and not way.out_of_fold)


def way(how: str) -> Way:
    """An entry of `WAYS`; an unknown name is an `InputError` that lists the known ones."""
    if how not in WAYS:
        raise InputError(f"fusion '{how}': expected one of {', '.join(WAYS)}.")
    return WAYS[how]


def by_plane(predictions: pd.DataFrame, planes: Sequence[str]) -> pd.DataFrame:
    """One architecture's, task's and seed's predictions with the planes side by side.

    Parameters
    ----------
    predictions : long table with columns plane, exam, split, label, probability; of one seed,
        for networks of different seeds are no planes of one model.
    planes : one or more.

    Returns
    -------
    DataFrame with columns exam, split, label and one column of probabilities per plane, in the
    order in which the exams first appear.
    """
    if "seed" in predictions and predictions["seed"].nunique() > 1:
        seeds = ", ".join(map(str, predictions["seed"].unique()))
        raise InputError(f"fusion: predictions of the seeds {seeds}. Fuse each seed by itself.")
    wide = predictions.pivot(index=EXAM, columns="plane", values="probability")
    order = predictions[EXAM].drop_duplicates()
    wide = wide.reindex(pd.MultiIndex.from_frame(order))
    missing = [plane for plane in planes if plane not in wide or wide[plane].isna().any()]
    if missing:
        raise InputError(
            f"fusion: no prediction of {', '.join(missing)} for some exams. Every exam needs all "
            "planes; run notebook 02_per_plane_training for them."
        )
    return wide[list(planes)].reset_index().rename_axis(columns=None)


def planes_of(table: pd.DataFrame) -> list[str]:
    """The planes of a table as `by_plane` gives it."""
    return [column for column in table.columns if column not in EXAM]


def fitted_exams(table: pd.DataFrame, how: str = "train") -> pd.DataFrame:
    """The rows of a table, as `by_plane` gives it, that a regression is fitted on."""
    chosen = way(how)
    if not chosen.fitted_on:
        raise InputError(f"fusion '{how}' fits nothing: expected one of {', '.join(FITTED_ON)}.")
    return table[table["split"].isin(chosen.fitted_on)]


def fit(table: pd.DataFrame, how: str = "train") -> "LogisticRegression":
    """Fit the regression of one task (scikit-learn's, L2 with C = 1, as published code has it).

    Parameters
    ----------
    table : as `by_plane` gives it; all its planes are used.
    how : an entry of `WAYS` that fits a regression: ``train`` as in the paper, ``tune``, or
        ``train+tune``.
    """
    from sklearn.linear_model import LogisticRegression

    exams = fitted_exams(table, how)
    if exams["label"].nunique() < 2:
        raise InputError(
            f"fusion: the {len(exams)} exams of '{how}' have one label only. Use more exams."
        )
    return LogisticRegression().fit(exams[planes_of(table)].to_numpy(), exams["label"].to_numpy())


def apply(regression: "LogisticRegression", table: pd.DataFrame) -> pd.DataFrame:
    """The fused predictions of all exams: columns exam, split, label, probability (0..1)."""
    probability = regression.predict_proba(table[planes_of(table)].to_numpy())[:, 1]
    return table[EXAM].assign(probability=probability)


def coefficients(regression: "LogisticRegression", planes: Sequence[str]) -> dict[str, float]:
    """Intercept and weight of each plane, in log odds per unit of probability."""
    values = np.concatenate([regression.intercept_, regression.coef_[0]])
    return dict(zip(("intercept", *planes), map(float, values), strict=True))


def models(predictions: pd.DataFrame, how: str, planes: Sequence[str]) -> pd.DataFrame:
    """The regressions of several models, each fitted by itself.

    Parameters
    ----------
    predictions : as for `by_plane`, with the columns architecture, task and seed.
    how : as for `fit`.

    Returns
    -------
    DataFrame with the columns architecture, task, seed, intercept, and a weight per plane.
    """
    keys, rows = ["architecture", "task", "seed"], []
    for key, own in predictions.groupby(keys, sort=False):
        regression = fit(by_plane(own, planes), how)
        rows.append(dict(zip(keys, key, strict=True)) | coefficients(regression, planes))
    return pd.DataFrame(rows)


def fuse(table: pd.DataFrame, how: str, unseen: pd.DataFrame | None = None) -> pd.DataFrame:
    """One architecture's and task's planes made one, in any of the `WAYS`.

    Parameters
    ----------
    table : as `by_plane` gives it.
    how : an entry of `WAYS`.
    unseen : for ``out_of_fold``, such a table of the training exams' predictions by networks that
        did not see them.

    Returns
    -------
    DataFrame with the columns exam, split, label, probability (0..1), a row per row of `table`.
    """
    chosen = way(how)
    if chosen.rule is not None:
        return table[EXAM].assign(probability=chosen.rule(table[planes_of(table)].to_numpy()))
    if chosen.out_of_fold and unseen is None:
        raise InputError(f"fusion '{how}': needs the out-of-fold predictions. Give them.")
    return apply(fit(unseen if chosen.out_of_fold else table, how), table)
