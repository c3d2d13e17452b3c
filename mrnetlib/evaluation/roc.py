"""What a number measured on a few exams can carry: areas under the curve, intervals, tests.

Everything takes plain arrays of labels and probabilities, one value per exam; where several
models are compared, probabilities are ``(exams, models)`` and all models saw the same exams.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtri

from mrnetlib.files import InputError


class Interval(NamedTuple):
    """An estimate with its limits and the method that gave them."""

    estimate: float
    low: float
    high: float
    method: str


def checked(label: Any, probability: Any, both_classes: bool = True) -> tuple:
    """Labels and probabilities as arrays that can be computed with.

    Parameters
    ----------
    label : (E,) array-like of 0 and 1.
    probability : (E,) or (E, M) array-like, finite, 0..1.
    both_classes : refuse labels of one class only.

    Returns
    -------
    label (E,) bool and probability (E,) or (E, M) float64.

    Raises
    ------
    InputError
        For no exams, differing lengths, labels other than 0 and 1, probabilities that are
        missing or outside 0..1, and (where asked) one class only.
    """
    label = np.asarray(label)
    try:
        values, probability = label.astype(np.float64), np.asarray(probability, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"labels or probabilities are not numbers ({error}). Expected labels 0 or 1 and "
            "probabilities from 0 to 1."
        ) from None
    if label.ndim != 1 or probability.ndim not in (1, 2) or len(label) != len(probability):
        raise InputError(
            f"labels have shape {label.shape} and probabilities {probability.shape}; expected one "
            "label per exam and one row of probabilities per exam. Compare the same exams."
        )
    if len(label) == 0:
        raise InputError("no exams: found an empty list of labels. Give at least one exam.")
    strange = ~np.isin(values, (0.0, 1.0))
    if strange.any():
        raise InputError(
            f"label {label[strange][0]} at row {int(np.argmax(strange))}: expected 0 or 1 only. "
            "Correct or leave out that exam."
        )
    outside = ~((probability >= 0) & (probability <= 1))  # also true for NaN
    if outside.any():
        row = int(np.argwhere(outside)[0, 0])
        raise InputError(
            f"probability {probability[outside].flat[0]} at row {row}: expected a number from 0 "
            "to 1. Predict that exam again."
        )
    positive = values == 1
    if both_classes and positive.all() | (~positive).all():
        name = "positive (1)" if positive.all() else "negative (0)"
        raise InputError(
            f"all {len(positive)} exams are {name}: this measure needs positive and negative "
            "exams. Choose exams of both classes."
        )
    return positive, probability


def auc(label: Any, probability: Any) -> float:
    """Area under the receiver operating characteristic curve.

    The share of (positive, negative) pairs in which the positive exam has the higher
    probability; a tie counts half (Mann & Whitney 1947).

    Parameters
    ----------
    label : (E,) 0 or 1.
    probability : (E,) 0..1.

    Returns
    -------
    0..1; 0.5 for constant probabilities.

    Raises
    ------
    InputError
        See `checked`; labels of one class only are refused and the class is named.
    """
    positive, probability = checked(label, probability)
    positives = int(positive.sum())
    negatives = len(positive) - positives
    rank_sum = _midranks(probability)[positive].sum()  # a tie counts half
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def _midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 on along the first axis; equal values share the mean of theirs."""
    return pd.DataFrame(values).rank().to_numpy().reshape(np.shape(values))


def influence(label: Any, probability: Any) -> tuple[np.ndarray, np.ndarray]:
    """Areas under the curve and what each exam adds to their deviations.

    The sum over exams of products of two columns is DeLong's covariance of the two areas; it is
    computed from midranks (DeLong et al. 1988; Sun & Xu 2014). Columns of two tasks on the same
    exams may be set side by side: the sum of products then estimates their covariance, too.

    Parameters
    ----------
    label : (E,) 0 or 1.
    probability : (E, M) 0..1, one column per model.

    Returns
    -------
    areas (M,) in 0..1 and influence (E, M).

    Raises
    ------
    InputError
        See `checked`; also for fewer than two positive or two negative exams, which leave
        nothing to estimate a variance from.
    """
    positive, probability = checked(label, probability)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if min(positives, negatives) < 2:
        raise InputError(
            f"found {positives} positive and {negatives} negative exams: DeLong's variance needs "
            "at least two of each. Use newcombe_interval, or more exams."
        )
    columns = probability.reshape(len(positive), -1)
    # placements: how much of the other class each exam is on the right side of
    ranks = _midranks(columns)
    above = (ranks[positive] - _midranks(columns[positive])) / negatives  # (m, M)
    below = 1 - (ranks[~positive] - _midranks(columns[~positive])) / positives  # (n, M)
    areas = above.mean(axis=0)
    share = np.empty_like(columns)
    share[positive] = (above - areas) / np.sqrt(positives * (positives - 1))
    share[~positive] = (below - areas) / np.sqrt(negatives * (negatives - 1))
    return areas, share


def hanley_mcneil_variance(area: Any, positives: float, negatives: float) -> Any:
    """Variance of an area under the curve known only by its value and the class sizes.

    Hanley & McNeil 1982, with exponential scores standing in for the unknown ones; this is
    what can be said about a published area without its predictions.

    Parameters
    ----------
    area : float or array, 0..1.
    positives, negatives : numbers of exams, at least 1 each.
    """
    area = np.asarray(area, dtype=np.float64)
    more_positives = (positives - 1) * (1 - area) / (2 - area)
    more_negatives = (negatives - 1) * area / (1 + area)
    return area * (1 - area) * (1 + more_positives + more_negatives) / (positives * negatives)


def logit_interval(area: Any, variance: Any, level: float = 0.95) -> tuple:
    """Limits of a share, symmetric on the logit scale, so that they stay within 0..1.

    Parameters
    ----------
    area : float or array, strictly between 0 and 1.
    variance : same shape, above 0.
    level : coverage aimed at.

    Returns
    -------
    low, high : same shape.
    """
    area = np.asarray(area, dtype=np.float64)
    half = ndtri((1 + level) / 2) * np.sqrt(variance) / (area * (1 - area))
    return expit(logit(area) - half), expit(logit(area) + half)


def newcombe_interval(area: Any, positives: int, negatives: int, level: float = 0.95) -> tuple:
    """Limits of an area under the curve from its value and the class sizes alone.

    The limits are the true areas that would be just compatible with the one found, with the
    Hanley-McNeil variance taken at the limit and both class sizes replaced by their mean inside
    it (Newcombe 2006, method 5). They exist at areas of 0 and 1 and with a single positive.

    Parameters
    ----------
    area : float or array, 0..1.
    positives, negatives : numbers of exams, at least 1 each.

    Returns
    -------
    low, high : same shape as `area`, within 0..1.
    """
    area = np.asarray(area, dtype=np.float64)
    if min(positives, negatives) < 1:
        raise InputError(
            f"found {positives} positive and {negatives} negative exams, expected at least one "
            "of each. Choose exams of both classes."
        )
    z = ndtri((1 + level) / 2)
    middle = (positives + negatives) / 2 - 1

    def too_far(true: np.ndarray) -> np.ndarray:
        spread = 1 + middle * ((1 - true) / (2 - true) + true / (1 + true))
        return np.abs(area - true) > z * np.sqrt(
            true * (1 - true) * spread / (positives * negatives)
        )

    limits = []
    for end in (0.0, 1.0):
        outside, inside = np.full_like(area, end), area.copy()
        for _ in range(60):  # halving the bracket 60 times exhausts double precision
            half = (outside + inside) / 2
            far = too_far(half)
            outside, inside = np.where(far, half, outside), np.where(far, inside, half)
        limits.append(inside)
    return limits[0], limits[1]


def delong_limits(
    area: Any, variance: Any, positives: int, negatives: int, level: float = 0.95
) -> tuple:
    """Limits of areas under the curve from DeLong's variances, defined for all of them.

    On the logit scale where the area lies within 0..1 and the variance is above 0; elsewhere
    Newcombe's. Parameters as for `newcombe_interval`, `variance` shaped like `area`.
    """
    area, variance = np.asarray(area, dtype=np.float64), np.asarray(variance)
    usable = (area > 0) & (area < 1) & (variance > 1e-12)
    safe = np.where(usable, area, 0.5), np.where(usable, variance, 1.0)
    pairs = zip(
        logit_interval(*safe, level),
        newcombe_interval(area, positives, negatives, level),
        strict=True,
    )
    low, high = (np.where(usable, logistic, newcombe) for logistic, newcombe in pairs)
    return low, high


def auc_interval(label: Any, probability: Any, level: float = 0.95) -> Interval:
    """Area under the curve with an interval that is defined for every set of predictions.

    DeLong's variance on the logit scale, which keeps close to its level at 120 exams (notebook 05
    simulates it) and, unlike Newcombe's, extends to pairs of models. Where that variance does
    not exist or is 0 (an area of 0 or 1, a single exam of a class, constant predictions), the
    interval is Newcombe's, and `method` says so.

    Parameters and errors as for `auc`.
    """
    positive, _ = checked(label, probability)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    area, variance = auc(label, probability), 0.0
    if min(positives, negatives) > 1:
        variance = float((influence(label, probability)[1] ** 2).sum())
    low, high = delong_limits(area, variance, positives, negatives, level)
    method = "DeLong, logit scale" if 0 < area < 1 and variance > 1e-12 else "Newcombe"
    return Interval(area, float(low), float(high), method)


def wilson_interval(successes: float, n: float, level: float = 0.95) -> Interval:
    """A proportion with Wilson's score interval (Wilson 1927).

    Counts need not be whole: a mean over several trainings of one network is none.

    Raises
    ------
    InputError
        Where `n` is below 1 or `successes` is not within 0..n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise InputError(
            f"{successes} of {n} exams: expected at least one exam and a count within it."
        )
    z, share = ndtri((1 + level) / 2), successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # at 0 and 1 a limit is exactly the share; rounding may not put it beyond
    low, high = min(middle - half, share), max(middle + half, share)
    return Interval(float(share), max(0.0, float(low)), min(1.0, float(high)), "Wilson")
