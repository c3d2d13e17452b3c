"""Two models on the same exams: is one better, or were these exams kind to it?"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from mrnetlib.evaluation.roc import Interval, hanley_mcneil_variance
from mrnetlib.files import InputError


class Comparison(NamedTuple):
    """First minus second model: difference, its limits, two-sided p-value and method."""

    difference: float
    low: float
    high: float
    p: float
    method: str


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
    z = ndtri((1 + level) / 2) * abs(difference) / towards_zero if difference else 0.0
    p = float(2 * ndtr(-z))
    low, high = max(-1.0, float(low)), min(1.0, float(high))
    return Comparison(difference, low, high, p, "square and add")


def contrast(estimate: float, share: np.ndarray, level: float = 0.95) -> Comparison:
    """A difference of two measures with a normal interval and test.

    Parameters
    ----------
    estimate : the difference, -1..1.
    share : (E,) each exam's part in its deviation, see `mrnetlib.evaluation.metrics.Measure`.

    Raises
    ------
    InputError
        Where no exam has an influence, so that there is no variance to test with.
    """
    deviation = float(np.sqrt((share**2).sum()))
    if deviation < 1e-9:
        raise InputError("the difference has no variance on these exams. Use square_and_add.")
    half = ndtri((1 + level) / 2) * deviation
    p = float(2 * ndtr(-abs(estimate) / deviation))
    low, high = max(-1.0, estimate - half), min(1.0, estimate + half)
    return Comparison(float(estimate), float(low), float(high), p, "normal, paired")


def mcnemar(first: Any, second: Any) -> float:
    """P-value of McNemar's exact test of two models' decisions on the same exams.

    Only exams that one model gets right and the other wrong tell the two apart; without a
    difference each is a fair coin (McNemar 1947). Where the models never differ, p is 1.

    Parameters
    ----------
    first, second : (E,) bool, whether each model is right, exam by exam.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(
            f"the two models' decisions have shapes {first.shape} and {second.shape}; expected "
            "one per exam for the same exams. Compare the same exams."
        )
    from scipy.stats import binomtest  # a second to load, which only this needs

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


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


def p_value(p: float) -> str:
    """A p-value for a table, never 0: ``0.25``, ``0.031``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_text(p: float) -> str:
    """A p-value in a sentence: ``p = 0.25``, ``p < 0.001``."""
    return f"p {'' if p < 0.001 else '= '}{p_value(p)}"


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
    difference, half = first - second, ndtri((1 + level) / 2) * deviation
    p = float(2 * ndtr(-abs(difference) / deviation))
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
    reach = ndtri((1 + level) / 2) + ndtri(power)

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
