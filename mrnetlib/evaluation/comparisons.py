"""Two models on the same exams: is one better, or were these exams kind to it?"""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest, norm, rankdata

from mrnetlib.evaluation.roc import (
    Interval,
    auc_interval,
    checked,
    hanley_mcneil_variance,
    influence,
)
from mrnetlib.files import InputError


class Comparison(NamedTuple):
    """First minus second model: difference, its limits, two-sided p-value and method."""

    difference: float
    low: float
    high: float
    p: float
    method: str


def two_models(label: Any, first: Any, second: Any, both_classes: bool = True) -> tuple:
    """Labels (E,) bool and two models side by side (E, 2) float, checked as in `checked`."""
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(
            f"the two models have probabilities of shape {first.shape} and {second.shape}; "
            "expected one per exam for the same exams. Compare the same exams."
        )
    return checked(label, np.column_stack([first, second]), both_classes)


def square_and_add(first: Interval, second: Interval, level: float = 0.95) -> Comparison:
    """Difference of two estimates from their own intervals, as if they were independent.

    Each limit adds the distances of the two intervals' limits in quadrature (Newcombe 1998).
    For models on the same exams this is wider than need be; it is the answer where a paired
    variance does not exist.
    """
    difference = first.estimate - second.estimate
    low = difference - np.hypot(first.estimate - first.low, second.high - second.estimate)
    high = difference + np.hypot(first.high - first.estimate, second.estimate - second.low)
    # the side towards zero tells how far the difference is from none
    towards_zero = difference - low if difference > 0 else high - difference
    z = norm.ppf((1 + level) / 2) * abs(difference) / towards_zero if difference else 0.0
    p = float(2 * norm.sf(z))
    low, high = max(-1.0, float(low)), min(1.0, float(high))
    return Comparison(difference, low, high, p, "square and add")


def contrast(estimate: float, share: np.ndarray, level: float = 0.95) -> Comparison:
    """A difference of areas with a normal interval and test.

    Parameters
    ----------
    estimate : the difference, -1..1.
    share : (E,) each exam's influence on it, from `mrnetlib.evaluation.roc.influence`.

    Raises
    ------
    InputError
        Where no exam has an influence, so that there is no variance to test with.
    """
    deviation = float(np.sqrt((share**2).sum()))
    if deviation < 1e-9:
        raise InputError("the difference has no variance on these exams. Use square_and_add.")
    half = norm.ppf((1 + level) / 2) * deviation
    p = float(2 * norm.sf(abs(estimate) / deviation))
    low, high = max(-1.0, estimate - half), min(1.0, estimate + half)
    return Comparison(float(estimate), float(low), float(high), p, "DeLong, paired")


def paired_delong(label: Any, first: Any, second: Any, level: float = 0.95) -> Comparison:
    """Difference of two areas under the curve on the same exams (DeLong et al. 1988).

    Parameters
    ----------
    label : (E,) 0 or 1.
    first, second : (E,) probabilities of two models for the same exams in the same order.
    level : coverage of the interval.

    Returns
    -------
    Comparison; where DeLong's variance is 0 or does not exist it is that of `square_and_add`,
    and two models that order the exams alike differ by exactly 0 with p = 1.

    Raises
    ------
    InputError
        See `mrnetlib.evaluation.roc.checked`.
    """
    positive, columns = two_models(label, first, second)
    if np.array_equal(*rankdata(columns, axis=0).T):
        return Comparison(0.0, 0.0, 0.0, 1.0, "same order of exams")
    if min(positive.sum(), (~positive).sum()) > 1:
        areas, share = influence(label, columns)
        share = share[:, 0] - share[:, 1]
        if (share**2).sum() > 1e-12:
            return contrast(areas[0] - areas[1], share, level)
    return square_and_add(
        auc_interval(label, columns[:, 0], level), auc_interval(label, columns[:, 1], level), level
    )


def mcnemar(
    label: Any, first: Any, second: Any, threshold: float = 0.5, measure: str = "accuracy"
) -> dict[str, float]:
    """McNemar's exact test of two models' decisions on the same exams.

    Only exams that one model gets right and the other wrong tell the two apart; without a
    difference each is a fair coin (McNemar 1947).

    Parameters
    ----------
    label : (E,) 0 or 1.
    first, second : (E,) probabilities; positive where ``>= threshold``.
    measure : ``accuracy`` (all exams), ``sensitivity`` (positive ones) or ``specificity``.

    Returns
    -------
    difference (first minus second, -1..1), only_first, only_second (numbers of exams that only
    this model gets right), n and the two-sided p (1 where they never differ).
    """
    positive, columns = two_models(label, first, second, both_classes=False)
    kept = {
        "accuracy": np.ones_like(positive),
        "sensitivity": positive,
        "specificity": ~positive,
    }
    if measure not in kept:
        raise InputError(f"measure '{measure}': expected one of {', '.join(kept)}.")
    right = ((columns >= threshold) == positive[:, None])[kept[measure]]
    if not len(right):
        raise InputError(f"{measure}: found no exam of its class. Choose exams of both classes.")
    only_first = int((right[:, 0] & ~right[:, 1]).sum())
    only_second = int((right[:, 1] & ~right[:, 0]).sum())
    discordant = only_first + only_second
    p = binomtest(only_first, discordant, 0.5).pvalue if discordant else 1.0
    return {
        "difference": (only_first - only_second) / len(right),
        "only_first": only_first,
        "only_second": only_second,
        "n": len(right),
        "p": float(p),
    }


def holm(p: Any) -> np.ndarray:
    """P-values corrected for being several (Holm 1979), in the order given.

    Called significant below 0.05, they are wrong anywhere in the table in at most 5 % of tables
    without any true difference, however the comparisons depend on each other.

    Raises
    ------
    InputError
        For a p-value that is missing or outside 0..1.
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise InputError(f"p-values {p}: expected a list of numbers from 0 to 1.")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1, steps)
    return corrected


def published_difference(
    first: float,
    second: float,
    positives: int,
    negatives: int,
    correlation: float,
    level: float = 0.95,
) -> Comparison:
    """Difference of two published areas under the curve, without their predictions.

    Hanley-McNeil variances (1982) and a correlation that has to be assumed: models on the same
    exams err together, so 0 is too cautious (Hanley & McNeil 1983).

    Parameters
    ----------
    first, second : areas, strictly between 0 and 1.
    positives, negatives : numbers of exams.
    correlation : between the two estimated areas, 0 to below 1.
    """
    _check_areas([first], [second], [positives / (positives + negatives)], correlation)
    one, other = (
        np.sqrt(hanley_mcneil_variance(area, positives, negatives)) for area in (first, second)
    )
    deviation = float(np.sqrt(one**2 + other**2 - 2 * correlation * one * other))
    difference, half = first - second, norm.ppf((1 + level) / 2) * deviation
    p = float(2 * norm.sf(abs(difference) / deviation))
    low, high = float(difference - half), float(difference + half)
    return Comparison(difference, low, high, p, "Hanley-McNeil")


def _check_areas(first: Any, second: Any, positive_share: Any, correlation: float) -> None:
    shares = np.concatenate([first, second, positive_share])
    if not ((shares > 0) & (shares < 1)).all() or not 0 <= correlation < 1:
        raise InputError(
            f"areas {list(first)} and {list(second)}, positive share {list(positive_share)}, "
            f"correlation {correlation}: expected areas and shares strictly between 0 and 1 and "
            "a correlation from 0 to below 1."
        )


def exams_needed(
    first: Any,
    second: Any,
    positive_share: Any,
    correlation: float,
    power: float = 0.8,
    level: float = 0.95,
) -> int:
    """Exams needed to tell two areas under the curve apart, both models on the same exams.

    Variances and correlation as for `published_difference`.

    Parameters
    ----------
    first, second : the two true areas; or (T,) one per task, to compare their means, with the
        tasks' errors taken as independent.
    positive_share : share of positive exams, or (T,).
    correlation : between the two models' estimated areas, 0 to below 1.
    power : chance to find the difference significant at 1 - `level`, two-sided.

    Raises
    ------
    InputError
        For equal (mean) areas or a parameter outside its range.
    """
    areas = np.atleast_1d(first).astype(float), np.atleast_1d(second).astype(float)
    share = np.atleast_1d(positive_share).astype(float)
    _check_areas(*areas, share, correlation)
    difference = abs(areas[0].mean() - areas[1].mean())
    if difference < 1e-12 or not 0 < power < 1 or not 0 < level < 1:
        raise InputError(
            f"areas {first} and {second}, power {power}, level {level}: expected two different "
            "areas, and power and level strictly between 0 and 1."
        )
    reach = norm.ppf((1 + level) / 2) + norm.ppf(power)

    def found(exams: int) -> bool:
        sizes = share * exams, (1 - share) * exams
        one, other = (np.sqrt(hanley_mcneil_variance(area, *sizes)) for area in areas)
        variance = (one**2 + other**2 - 2 * correlation * one * other).sum() / len(share) ** 2
        return difference >= reach * np.sqrt(variance)

    enough = 2
    while not found(enough):
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if found(middle) else (enough, middle)
    return enough
