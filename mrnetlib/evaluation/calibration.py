"""Are the probabilities to be believed, and where should they be cut?"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import chi2, norm

from mrnetlib.evaluation.roc import checked, wilson_interval
from mrnetlib.files import InputError


def brier(label: Any, probability: Any) -> float:
    """Mean squared distance of probability and label (Brier 1950): 0 perfect, 1 worst.

    Always predicting the share s of positives scores s (1 - s); a model has to be below.
    """
    positive, probability = checked(label, probability, both_classes=False)
    return float(((probability - positive) ** 2).mean())


def calibration_curve(
    label: Any, probability: Any, bins: int = 5, level: float = 0.95
) -> pd.DataFrame:
    """Share of positive exams where the model says so much: bins of about equally many exams.

    Exams with equal probability are never parted, so there may be fewer bins than asked for;
    constant predictions give one.

    Parameters
    ----------
    label : (E,) 0 or 1.
    probability : (E,) 0..1.
    bins : at least 1; 120 exams carry about five.

    Returns
    -------
    DataFrame with the columns predicted (mean probability), observed (share of positives), low,
    high (Wilson's limits of observed), n.
    """
    positive, probability = checked(label, probability, both_classes=False)
    if bins < 1:
        raise InputError(f"bins {bins}: expected at least 1.")
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, probability, side="left")
    rows = []
    for bin_ in np.unique(place):
        inside = place == bin_
        observed = wilson_interval(int(positive[inside].sum()), int(inside.sum()), level)
        rows.append([probability[inside].mean(), *observed[:3], inside.sum()])
    table = pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "n"])
    return table.astype({"n": int})


def calibration_in_the_large(label: Any, probability: Any, level: float = 0.95) -> dict[str, float]:
    """Does the model predict as many positive exams as there are?

    Parameters
    ----------
    label : (E,) 0 or 1, both present.
    probability : (E,) 0..1; on the logit scale 0 and 1 count as 1e-6 and 1 - 1e-6.

    Returns
    -------
    observed and predicted share of positives, their difference, and `intercept` with its limits
    `low` and `high` and likelihood-ratio `p`: the constant to add to every logit for the shares
    to agree (Cox 1958); above 0 the model predicts too few.
    """
    positive, probability = checked(label, probability)
    offset = logit(np.clip(probability, 1e-6, 1 - 1e-6))

    def surplus(intercept: float) -> float:
        return float(expit(offset + intercept).sum() - positive.sum())

    def log_likelihood(intercept: float) -> float:
        signed = np.where(positive, 1, -1) * (offset + intercept)
        return float(-np.logaddexp(0, -signed).sum())

    # logits lie within +-14, so +-40 brackets every root
    intercept = float(brentq(surplus, -40, 40, xtol=1e-12))
    fitted = expit(offset + intercept)
    half = norm.ppf((1 + level) / 2) / np.sqrt((fitted * (1 - fitted)).sum())
    gain = max(0.0, 2 * (log_likelihood(intercept) - log_likelihood(0.0)))
    return {
        "observed": float(positive.mean()),
        "predicted": float(probability.mean()),
        "difference": float(positive.mean() - probability.mean()),
        "intercept": intercept,
        "low": float(intercept - half),
        "high": float(intercept + half),
        "p": float(chi2.sf(gain, 1)),
    }


def threshold_at_sensitivity(label: Any, probability: Any, sensitivity: float) -> float:
    """The highest threshold that still finds this share of the positive exams.

    Choose it on the tuning exams and measure it on the test exams with
    `mrnetlib.evaluation.metrics.rates`; chosen on the exams it is measured on, it flatters.

    Parameters
    ----------
    label : (E,) 0 or 1.
    probability : (E,) 0..1.
    sensitivity : above 0, at most 1.

    Returns
    -------
    One of the positive exams' probabilities, 0..1.
    """
    positive, probability = checked(label, probability)
    if not 0 < sensitivity <= 1:
        raise InputError(f"sensitivity {sensitivity}: expected a share above 0, at most 1.")
    found = np.sort(probability[positive])[::-1]
    # 1e-9 keeps 0.95 of 20 exams at 19 whatever the rounding of the product
    return float(found[int(np.ceil(sensitivity * len(found) - 1e-9)) - 1])


def best_threshold(label: Any, probability: Any, measure: str = "youden") -> float:
    """The threshold that makes a measure largest on these exams.

    Parameters
    ----------
    label : (E,) 0 or 1.
    probability : (E,) 0..1.
    measure : ``youden`` (sensitivity + specificity - 1; Youden 1950) or ``accuracy``.

    Returns
    -------
    Halfway between the two neighbouring probabilities it lies between, 0..1; the one closest to
    0.5 where several are equally good.
    """
    positive, probability = checked(label, probability)
    weights = {
        "youden": (1 / positive.sum(), 1 / (~positive).sum()),
        "accuracy": (1 / len(positive), 1 / len(positive)),
    }
    if measure not in weights:
        raise InputError(f"measure '{measure}': expected one of {', '.join(weights)}.")
    values = np.unique(probability)
    thresholds = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [1.0]])
    called = probability[:, None] >= thresholds  # (E, T)
    of_positive, of_negative = weights[measure]
    score = of_positive * called[positive].sum(0) + of_negative * (~called[~positive]).sum(0)
    best = thresholds[score >= score.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])
