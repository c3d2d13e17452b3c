"""The exercises of notebook 05, which need nothing but the published table."""

from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import norm

from mrnetlib.evaluation import comparisons, published
from mrnetlib.names import ARCHITECTURES
from mrnetlib.study import Study
from mrnetlib.teaching.answers import Exercise, function, number, numbers


def _significant(correlation: float, level: float = 0.95) -> int:
    """Differences of two architectures that stay significant after Holm's correction."""
    multi = published.TABLE_1.query("views == 'multi'").set_index(["architecture", "class"])["auc"]
    p = [
        comparisons.published_difference(
            multi[one, kind], multi[two, kind], *published.CLASS_SIZES[kind], correlation, level
        ).p
        for kind in published.CLASSES
        for one, two in combinations(ARCHITECTURES, 2)
    ]
    return int((comparisons.holm(p) < 1 - level).sum())


def _alike(answer: Any, study: Study) -> str | None:
    truth = [_significant(correlation) for correlation in (0.0, 0.9)]
    hints = ["Count the rows whose p after Holm's correction is below 0.05."] * 2
    return numbers(answer, truth, 0, hints)


def _coarser(answer: Any, study: Study) -> str | None:
    truth = int(published.granularity(3, tolerance=1e-4)["fits"].sum())
    return number(answer, truth, 0, "Sum the column fits of the table that granularity gives.")


def _two_digits(answer: Any, study: Study) -> str | None:
    rows = published.TABLE_1.query("views == 'multi' and `class` != 'average'").to_dict("records")
    sizes = range(1, published.TEST_EXAMS)
    fits = [
        sum(bool(published.decisions_behind(row, size, tolerance=0.005)) for size in sizes)
        for row in rows
    ]
    hint = "Of the nine rows, count those for which more than one number of positives fits."
    return number(answer, sum(count > 1 for count in fits), 0, hint)


def _band(answer: Any, study: Study) -> str | None:
    cases = [(level, repeats) for level in (0.95, 0.8) for repeats in (200, 2000)]

    def right(level: float, repeats: int) -> float:
        return float(norm.ppf(0.975) * np.sqrt(level * (1 - level) / repeats))

    hint = "A share that was counted in so many studies has a standard error; go 1.96 of them."
    return function(answer, right, cases, hint, within=2e-4)


EXERCISES = {
    "05-1": Exercise("two numbers of differences, as in (2, 7)", _alike),
    "05-2": Exercise("a number of values, 0 to 3", _coarser),
    "05-3": Exercise("a number of rows, 0 to 9", _two_digits),
    "05-4": Exercise("a function of a level and a number of studies", _band),
}
