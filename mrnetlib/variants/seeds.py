"""Several trainings of one recipe: intervals that cover the choice of exams *and* of the seed.

A number that was measured once has two sources of luck: which exams were tested, and which seed
the training had. Trainings are to exams what readers are to cases in a reading study, so its
analysis fits: Obuchowski & Rockette 1995, with the degrees of freedom of Hillis 2007. The variance
of a mean over S seeds is

    (variance between the seeds) / S + (covariance that the seeds share because of the exams),

the second part from DeLong's covariance. A seed's own reaction to single exams is in the first part
already; adding DeLong's whole variance would count it twice. Few seeds may agree by luck, so the
variance is never taken below that of these very seeds on other exams.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm, t

from mrnetlib.evaluation.comparisons import Comparison, contrast
from mrnetlib.evaluation.metrics import named
from mrnetlib.evaluation.predictions import same_exams
from mrnetlib.evaluation.roc import Interval, logit_interval
from mrnetlib.evaluation.scores import NOTHING
from mrnetlib.files import InputError


class Score(NamedTuple):
    """A measure of S trainings on E exams: estimates (S,) and each exam's influence (E, S)."""

    estimates: np.ndarray
    share: np.ndarray


def score(table: pd.DataFrame, measure: str = "auc") -> Score:
    """A measure per seed, averaged over the architectures and tasks in the table.

    Parameters
    ----------
    table : columns seed, architecture, task, exam, label, probability; every combination of the
        first three on the same exams.
    measure : an entry of `mrnetlib.evaluation.metrics.MEASURES`.

    Raises
    ------
    InputError
        For differing exams, one class only, or fewer than two exams of a class.
    """
    estimates, shares, exams, entry = [], [], None, named(measure)
    for seed, of_seed in table.groupby("seed", sort=False):
        cells = []
        for key, group in of_seed.groupby(["architecture", "task"], sort=False):
            group = group.sort_values("exam")
            exams = group["exam"].to_numpy() if exams is None else exams
            if not np.array_equal(exams, group["exam"].to_numpy()):
                raise InputError(
                    f"seed {seed}, {', '.join(key)}: holds other exams than the ones before. "
                    "Expected each of the same exams once. Make them with the same study."
                )
            values = group["label"].to_numpy(), group["probability"].to_numpy()
            cells.append(entry.influence(*values))
        estimates.append(np.mean([estimate for estimate, _ in cells]))
        shares.append(np.mean([share for _, share in cells], axis=0))
    if exams is None:
        raise InputError("no predictions to measure: the table is empty. Ask for other rows.")
    return Score(np.array(estimates), np.column_stack(shares))


def _variance(found: Score) -> tuple[float, float]:
    """Variance of the mean over seeds and its degrees of freedom."""
    count = len(found.estimates)
    covariance = found.share.T @ found.share  # (S, S)
    if count == 1:
        return float(covariance[0, 0]), np.inf
    between = found.estimates.var(ddof=1) / count
    shared = (covariance.sum() - np.trace(covariance)) / (count * (count - 1))
    these_seeds = (found.share.mean(axis=1) ** 2).sum()
    variance = max(between + max(0.0, shared), these_seeds)
    freedom = (count - 1) * (variance / between) ** 2 if between > NOTHING else np.inf
    return float(variance), float(freedom)


def _method(count: int) -> str:
    return "exams" if count == 1 else f"exams and {count} seeds"


def interval(found: Score, level: float = 0.95) -> Interval:
    """The mean over seeds with limits on the logit scale; `method` says what they cover.

    Without any variance, or at 0 or 1, the limits are the estimate itself.
    """
    mean, count = float(found.estimates.mean()), len(found.estimates)
    variance, freedom = _variance(found)
    if not 0 < mean < 1 or variance < NOTHING:
        return Interval(mean, mean, mean, "no variance")
    wider = t.ppf((1 + level) / 2, freedom) / norm.ppf((1 + level) / 2)
    low, high = logit_interval(mean, variance * wider**2, level)
    return Interval(mean, float(low), float(high), _method(count))


def difference(first: Score, second: Score, level: float = 0.95) -> Comparison:
    """First minus second, mean over the seeds, paired by exam and by seed.

    Returns
    -------
    Comparison; `method` says what interval and p cover. Where nothing differs on any exam, the
    difference is exactly 0 with p = 1; where it has no variance although there is a difference
    (one model perfect, one constant), the limits are -1 and 1 and p is 1: it cannot be tested.

    Raises
    ------
    InputError
        For other seeds or exams.
    """
    if first.share.shape != second.share.shape:
        raise InputError(
            f"first has {first.share.shape} exams and seeds, second {second.share.shape}; "
            "expected the same. Compare the same exams and seeds."
        )
    both = Score(first.estimates - second.estimates, first.share - second.share)
    mean, count = float(both.estimates.mean()), len(both.estimates)
    variance, freedom = _variance(both)
    if variance < NOTHING:
        if abs(mean) < NOTHING:
            return Comparison(0.0, 0.0, 0.0, 1.0, "no exam differs")
        return Comparison(mean, -1.0, 1.0, 1.0, "no variance")
    if count == 1:
        return contrast(mean, both.share[:, 0], level)._replace(method=_method(1))
    half = float(t.ppf((1 + level) / 2, freedom) * np.sqrt(variance))
    p = float(2 * t.sf(abs(mean) / np.sqrt(variance), freedom))
    return Comparison(mean, max(-1.0, mean - half), min(1.0, mean + half), p, _method(count))


def compare(
    first: pd.DataFrame, second: pd.DataFrame, measure: str = "auc", level: float = 0.95
) -> Comparison:
    """`difference` of two tables of predictions, which have to hold the same seeds and exams.

    Parameters
    ----------
    first, second : as for `score`, and the column split; their test exams are compared.
    """
    return difference(*_paired([first, second], measure), level)


def _paired(tables: Sequence[pd.DataFrame], measure: str) -> list[Score]:
    """The scores of tables whose test exams are the same, seed by seed."""
    keys = ["seed", "architecture", "task"]
    tables = [table[table["split"] == "test"] for table in tables]
    ordered = [table.sort_values([*keys, "exam"]) for table in tables]
    groups = [dict(list(table.groupby(keys))) for table in ordered]
    for other in groups[1:]:
        if set(groups[0]) != set(other):
            odd = sorted(set(groups[0]) ^ set(other))[0]
            raise InputError(
                f"seed {odd[0]}, {odd[1]}, {odd[2]}: in one of two compared tables only. Run "
                "'make choices' again."
            )
        for key, group in groups[0].items():
            same_exams(group, other[key], f"seed {key[0]}, {key[1]}, {key[2]}")
    return [score(table, measure) for table in ordered]


def trend(tables: Sequence[pd.DataFrame], measure: str = "auc", level: float = 0.95) -> Comparison:
    """How much a measure rises per step, over tables in equal steps: the least-squares slope.

    Parameters
    ----------
    tables : at least two, as for `compare`; for example a doubling of the training exams apart.
    """
    places = np.arange(len(tables)) - (len(tables) - 1) / 2
    weights = places / (places**2).sum()
    steps = _paired(tables, measure)
    estimates, share = (np.stack(parts, axis=-1) @ weights for parts in zip(*steps, strict=True))
    return difference(Score(estimates, share), Score(0 * estimates, 0 * share), level)


def equal_seeds(found: Score) -> float:
    """P-value of the trainings being equally good, tested on the same exams.

    The areas' contrasts over their DeLong covariance are chi-squared with one degree less than
    trainings (DeLong et al. 1988); trainings that judge alike take away more. 1 for one training.
    """
    apart = found.estimates - found.estimates.mean()
    share = found.share - found.share.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(share.T @ share)
    usable = values > max(NOTHING, 1e-9 * values.max())
    statistic = ((vectors[:, usable].T @ apart) ** 2 / values[usable]).sum()
    return float(chi2.sf(statistic, usable.sum())) if usable.any() else 1.0


def deviations(found: Score) -> tuple[float, float]:
    """Standard deviations of one training's number: by the choice of exams, and of the seed."""
    exams = np.sqrt((found.share**2).sum(axis=0).mean())
    seeds = found.estimates.std(ddof=1) if len(found.estimates) > 1 else np.nan
    return float(exams), float(seeds)


def deviation_limits(deviation: float, count: int, level: float = 0.95) -> tuple[float, float]:
    """Limits of a standard deviation that was estimated from `count` normal values (chi-square)."""
    tails = chi2.ppf([(1 + level) / 2, (1 - level) / 2], count - 1)
    low, high = deviation * np.sqrt((count - 1) / tails)
    return float(low), float(high)
