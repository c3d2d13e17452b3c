"""Are the probabilities to be believed, and where should they be cut?"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, t

from mrnetlib.evaluation.metrics import seeded
from mrnetlib.evaluation.predictions import of_split
from mrnetlib.evaluation.roc import checked, wilson_interval
from mrnetlib.evaluation.scores import freedom
from mrnetlib.files import InputError


def brier(label: Any, probability: Any) -> float:
    """Mean squared distance of probability and label (Brier 1950): 0 perfect, 1 worst.

    Always predicting the share s of positives scores s (1 - s); a model has to be below.
    """
    positive, probability = checked(label, probability, both_classes=False)
    return float(((probability - positive) ** 2).mean())


def calibration_curve(
    label: Any, probability: Any, bins: int = 5, level: float = 0.95, seeds: int = 1
) -> pd.DataFrame:
    """Share of positive exams where the model says so much: bins of about equally many exams.

    Exams with equal probability are never parted, so there may be fewer bins than asked for;
    constant predictions give one.

    Parameters
    ----------
    label : (E,) 0 or 1.
    probability : (E,) 0..1.
    bins : at least 1; 120 exams carry about five.
    seeds : how often every exam is among E, once for each training. Trainings judge the same exams,
        so that the limits are those of as many exams as there are, not of so many times more.

    Returns
    -------
    DataFrame with the columns predicted (mean probability), observed (share of positives), low,
    high (Wilson's limits of observed), n (exams in a bin, on average over the seeds).
    """
    positive, probability = checked(label, probability, both_classes=False)
    if bins < 1:
        raise InputError(f"bins {bins}: expected at least 1.")
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, probability, side="left")
    rows = []
    for bin_ in np.unique(place):
        inside = place == bin_
        observed = wilson_interval(positive[inside].sum() / seeds, inside.sum() / seeds, level)
        rows.append([probability[inside].mean(), *observed[:3], round(inside.sum() / seeds)])
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "n"])


def calibration_in_the_large(label: Any, probability: Any, level: float = 0.95) -> dict[str, float]:
    """Does the model predict as many positive exams as there are?

    Parameters
    ----------
    label : (E,) 0 or 1, both present.
    probability : (E,) 0..1; on the logit scale 0 and 1 count as 1e-6 and 1 - 1e-6.

    Returns
    -------
    observed and predicted share of positives, and `intercept` with its limits `intercept_low` and
    `intercept_high`: the constant to add to every logit for the shares to agree (Cox 1958); above
    0 the model predicts too few.
    """
    positive, probability = checked(label, probability)
    offset = logit(np.clip(probability, 1e-6, 1 - 1e-6))

    def surplus(intercept: float) -> float:
        return float(expit(offset + intercept).sum() - positive.sum())

    # logits lie within +-14, so +-40 brackets every root
    intercept = float(brentq(surplus, -40, 40, xtol=1e-12))
    fitted = expit(offset + intercept)
    half = norm.ppf((1 + level) / 2) / np.sqrt((fitted * (1 - fitted)).sum())
    return {
        "observed": float(positive.mean()),
        "predicted": float(probability.mean()),
        "intercept": intercept,
        "intercept_low": float(intercept - half),
        "intercept_high": float(intercept + half),
    }


def calibration(fused: pd.DataFrame, split: str = "test", level: float = 0.95) -> pd.DataFrame:
    """Whether models can be believed, for ``calibration.csv``: a row per architecture and class.

    Parameters
    ----------
    fused : long table with the columns architecture, task, split, label and probability, and seed
        where there are several.
    split : the exams to look at.
    level : coverage of the intercept's interval, over exams and seeds.

    Returns
    -------
    DataFrame with the columns architecture, class, brier, brier_of_share (of always saying the
    share of positives of these exams), what `calibration_in_the_large` gives, all means over the
    seeds, and n, the exams.
    """
    rows = []
    given = of_split(seeded(fused), split)
    for key, group in given.groupby(["architecture", "task"], sort=False):
        seeds = [(own["label"], own["probability"]) for _, own in group.groupby("seed")]
        share = group["label"].mean()
        scores = {"brier": float(np.mean([brier(*one) for one in seeds]))}
        scores |= {"brier_of_share": share * (1 - share)}
        large = pd.DataFrame([calibration_in_the_large(*one, level) for one in seeds])
        names = dict(zip(("architecture", "class"), key, strict=True))
        rows.append(names | scores | _over_seeds(large, level) | {"n": len(seeds[0][0])})
    return pd.DataFrame(rows)


def _over_seeds(large: pd.DataFrame, level: float) -> dict[str, float]:
    """Means over seeds of `calibration_in_the_large`, the seeds' own luck added to the interval."""
    mean, count = large.mean(), len(large)
    if count > 1:
        z = norm.ppf((1 + level) / 2)
        exams = (((large["intercept_high"] - large["intercept"]) / z) ** 2).mean()
        seeds = large["intercept"].var() / count
        total = exams + seeds
        half = t.ppf((1 + level) / 2, freedom(total, [(seeds, count)])) * np.sqrt(total)
        mean["intercept_low"], mean["intercept_high"] = (
            mean["intercept"] + sign * half for sign in (-1, 1)
        )
    return {name: float(value) for name, value in mean.items()}


def calibration_curves(fused: pd.DataFrame, split: str = "test", bins: int = 5) -> pd.DataFrame:
    """`calibration_curve` of every architecture and task, with these as the first two columns."""
    parts = [
        calibration_curve(
            group["label"], group["probability"], bins, seeds=group["seed"].nunique()
        ).assign(architecture=architecture, task=task)
        for (architecture, task), group in of_split(seeded(fused), split).groupby(
            ["architecture", "task"], sort=False
        )
    ]
    table = pd.concat(parts, ignore_index=True)
    return table[["architecture", "task", *table.columns[:-2]]]


def best_threshold(label: Any, probability: Any) -> float:
    """The threshold where sensitivity + specificity is largest on these exams (Youden 1950).

    Parameters
    ----------
    label : (E,) 0 or 1, both present.
    probability : (E,) 0..1.

    Returns
    -------
    Halfway between the two neighbouring probabilities it lies between, 0..1; the one closest to
    0.5 where several are equally good.
    """
    positive, probability = checked(label, probability)
    values = np.unique(probability)
    thresholds = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [1.0]])
    called = probability[:, None] >= thresholds  # (E, T)
    of_positive, of_negative = 1 / positive.sum(), 1 / (~positive).sum()
    score = of_positive * called[positive].sum(0) + of_negative * (~called[~positive]).sum(0)
    best = thresholds[score >= score.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])
