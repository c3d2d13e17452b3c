"""A row's measure and every source of its luck: the exams, the seeds, the choice of a plane.

The same recipe gives another number on other test exams, with another seed, and, where the best
plane was chosen on a few tuning exams, with other tuning exams. The three are independent, so the
variance of an estimate that is a mean over S seeds is

    sum over exams of (mean over seeds of the exam's share)^2      DeLong et al. 1988
    + sum over architectures of (variance between its seeds) / S
    + variance of the estimate over the planes that resampled tuning exams choose

The first part is given the networks that were trained, the second given the exams; what a network
makes of single exams is in both, so that the sum is a little too large rather than too small. The
third is the second term of the law of total variance, var(E[estimate | planes]): tuning exams are
drawn again with replacement (Efron & Tibshirani 1993), each draw chooses its planes, and their test
estimates stand in for the expectations. Planes that are equally good differ on the test exams by
luck, too; what luck alone makes of that is known from the exams' shares and the seeds and taken
off (never below zero).

A variance from few seeds is itself uncertain: limits are Student's with Satterthwaite's (1946)
degrees of freedom. An architecture with one seed adds nothing to the second part, for nothing is
known of it; `covers` says so.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, t

from mrnetlib.evaluation.comparisons import Comparison
from mrnetlib.evaluation.roc import logit_interval

#: Variances below this are rounding.
NOTHING = 1e-12


class Choice(NamedTuple):
    """What a choice that could have been another adds to an estimate.

    For B draws of the tuning exams: by how much the estimate would be another (B,), each exam's
    share in that (B, E), and per architecture the same seed by seed (B, S).
    """

    moved: np.ndarray
    share: np.ndarray
    by_seed: dict[str, np.ndarray]


class Score(NamedTuple):
    """An estimate in parts: per architecture what each seed adds (S,), and the exams' shares (E,).

    `share` is None where a class has a single exam, `choice` where nothing was chosen.
    """

    by_seed: dict[str, np.ndarray]
    share: np.ndarray | None
    choice: Choice | None = None

    @property
    def estimate(self) -> float:
        return float(sum(part.mean() for part in self.by_seed.values()))


def _plus(first: dict[str, np.ndarray], second: dict, weight: float) -> dict:
    """Parts by architecture, the second's times a weight; those of one architecture are paired."""
    total = dict(first)
    for name, part in second.items():
        total[name] = total[name] + weight * part if name in total else weight * part
    return total


def plus(first: Score, second: Score, weight: float = 1.0) -> Score:
    """First and `weight` times second, on the same exams; an architecture's seeds are paired.

    Shares and choices add up exam by exam and draw by draw, so that the variance of the sum knows
    how its parts err together.
    """
    shares = first.share, second.share
    share = None if any(part is None for part in shares) else shares[0] + weight * shares[1]
    one, other = first.choice, second.choice
    if other is not None:
        nothing = Choice(0 * other.moved, 0 * other.share, {})
        one = nothing if one is None else one
        one = Choice(
            one.moved + weight * other.moved,
            one.share + weight * other.share,
            _plus(one.by_seed, other.by_seed, weight),
        )
    return Score(_plus(first.by_seed, second.by_seed, weight), share, one)


def minus(first: Score, second: Score) -> Score:
    """The difference of two scores on the same exams; an architecture's seeds are paired."""
    return plus(first, second, -1)


def chance(choice: Choice | None) -> float:
    """The variance that choosing adds: of the draws, less what equal planes would show by luck."""
    if choice is None:
        return 0.0
    luck = ((choice.share - choice.share.mean(axis=0)) ** 2).sum(axis=1).mean()
    for part in choice.by_seed.values():
        if (seeds := part.shape[1]) > 1:
            luck += (part - part.mean(axis=0)).var(axis=1, ddof=1).mean() / seeds
    return max(0.0, float(choice.moved.var() - luck))


def freedom(total: float, seeds: Iterable[tuple[float, int]]) -> float:
    """Satterthwaite's degrees of freedom of a variance; inf where nothing in it is from few seeds.

    Parameters
    ----------
    total : the variance.
    seeds : the parts of it that come from seeds, each with their number.
    """
    uncertain = sum(part**2 / (count - 1) for part, count in seeds)
    return total**2 / uncertain if uncertain > NOTHING**2 else np.inf


def variance(found: Score) -> tuple[float, float]:
    """The variance of an estimate and Satterthwaite's degrees of freedom; inf for one seed."""
    many = [part for part in found.by_seed.values() if len(part) > 1]
    seeds = np.array([part.var(ddof=1) / len(part) for part in many])
    total = float((found.share**2).sum() + seeds.sum() + chance(found.choice))
    return total, freedom(total, [(own, len(part)) for own, part in zip(seeds, many, strict=True)])


def limits(found: Score, level: float = 0.95) -> tuple[float, float] | None:
    """Limits of an estimate on the logit scale; None where there is no variance to take."""
    if found.share is None or not 0 < found.estimate < 1:
        return None
    total, freedom = variance(found)
    if total < NOTHING:
        return None
    wider = t.ppf((1 + level) / 2, freedom) / norm.ppf((1 + level) / 2)
    low, high = logit_interval(found.estimate, total * wider**2, level)
    return float(low), float(high)


def against_zero(difference: Score, method: str, level: float = 0.95) -> Comparison | None:
    """A difference with Student's limits and test; None where there is no variance to take."""
    if difference.share is None:
        return None
    (total, freedom), estimate = variance(difference), difference.estimate
    if total < NOTHING:
        return None
    half = float(t.ppf((1 + level) / 2, freedom) * np.sqrt(total))
    p = float(2 * t.sf(abs(estimate) / np.sqrt(total), freedom))
    method = method if np.isinf(freedom) else f"{method}, t"
    return Comparison(estimate, max(-1.0, estimate - half), min(1.0, estimate + half), p, method)


def covers(found: Score) -> str:
    """What an interval is about: ``exams, one seed``; ``exams, 3 seeds, choice of the plane``."""
    counts = sorted({len(part) for part in found.by_seed.values()})
    seeds = " to ".join(map(str, {counts[0]: 0, counts[-1]: 0}))
    words = ["exams", "one seed" if seeds == "1" else f"{seeds} seeds"]
    words += ["choice of the plane"] * (found.choice is not None)
    return ", ".join(words)
