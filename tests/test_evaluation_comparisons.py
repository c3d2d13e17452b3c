"""Paired tests, against slow definitions and planted differences."""

from math import comb

import numpy as np
import pytest
from scipy.stats import norm

from mrnetlib.evaluation.comparisons import (
    contrast,
    exams_needed,
    holm,
    mcnemar,
    p_text,
    p_value,
    published_difference,
    square_and_add,
)
from mrnetlib.evaluation.roc import Interval, hanley_mcneil_variance, newcombe_interval
from mrnetlib.files import InputError


def test_square_and_add_limit_touches_zero_at_its_own_p():
    # where the interval of level 1 - p just reaches 0, p is right (Newcombe's limits, level 0.95)
    one, other = (Interval(area, *newcombe_interval(area, 50, 50), "") for area in (0.9, 0.75))
    found = square_and_add(one, other)
    assert (found.p < 0.05) == (found.low > 0)


def test_mcnemar_counts_only_exams_that_differ():
    first = np.array([1, 1, 1, 1, 1, 0, 1, 1, 1, 0], dtype=bool)
    second = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1], dtype=bool)
    expected = min(1, 2 * sum(comb(6, k) for k in range(3)) / 2**6)
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(first[:4], second[:4]) == pytest.approx(2 / 2**4)
    assert mcnemar(first, first) == 1
    with pytest.raises(InputError, match=r"shapes \(3,\) and \(2,\)"):
        mcnemar(first[:3], second[:2])


def test_p_values_are_never_printed_as_zero():
    found = [p_value(p) for p in (0.0, 0.0004, 0.0123, 0.25, 1.0)]
    assert found == ["< 0.001", "< 0.001", "0.012", "0.25", "1.00"]
    assert [p_text(p) for p in (0.0001, 0.25)] == ["p < 0.001", "p = 0.25"]


def test_holm_is_the_step_down_procedure():
    generator = np.random.default_rng(6)
    for _ in range(20):
        p = generator.random(8) ** 3
        corrected = holm(p)
        for alpha in (0.01, 0.05, 0.2):
            rejected = np.zeros(8, dtype=bool)
            for step, index in enumerate(np.argsort(p)):
                if p[index] > alpha / (8 - step):
                    break
                rejected[index] = True
            np.testing.assert_array_equal(corrected <= alpha, rejected)
    assert holm([0.01, 0.04, 0.03, 0.2]).tolist() == pytest.approx([0.04, 0.09, 0.09, 0.2])
    assert holm([]).tolist() == []
    with pytest.raises(InputError, match="p-values"):
        holm([0.1, np.nan])


def test_exams_needed_reach_the_power_and_no_fewer_do():
    needed = exams_needed(0.88, 0.84, 0.45, 0.4)

    def power(exams):
        one, other = (
            np.sqrt(hanley_mcneil_variance(area, 0.45 * exams, 0.55 * exams))
            for area in (0.88, 0.84)
        )
        deviation = np.sqrt(one**2 + other**2 - 2 * 0.4 * one * other)
        return norm.cdf(0.04 / deviation - norm.ppf(0.975))

    assert power(needed) >= 0.8 > power(needed - 1)
    assert exams_needed(0.84, 0.88, 0.45, 0.4) == needed
    assert exams_needed(0.88, 0.84, 0.45, 0.7) < needed < exams_needed(0.88, 0.86, 0.45, 0.4)
    # three equal tasks with independent errors carry three times as much
    three = exams_needed([0.88] * 3, [0.84] * 3, [0.45] * 3, 0.4)
    assert three == pytest.approx(needed / 3, rel=0.02)
    with pytest.raises(InputError, match="expected two different areas"):
        exams_needed(0.8, 0.8, 0.5, 0.5)
    for given in ((0.8, 1.0, 0.5, 0.5), (0.8, 0.7, 0.0, 0.5), (0.8, 0.7, 0.5, 1.0)):
        with pytest.raises(InputError, match="strictly between 0 and 1"):
            exams_needed(*given)


def test_published_difference_is_hanley_and_mcneils_z():
    found = published_difference(0.8914, 0.8114, 95, 25, 0.5)
    variances = [hanley_mcneil_variance(area, 95, 25) for area in (0.8914, 0.8114)]
    deviation = np.sqrt(sum(variances) - 2 * 0.5 * np.sqrt(np.prod(variances)))
    assert found.p == pytest.approx(2 * norm.cdf(-0.08 / deviation))
    assert found.high - found.low == pytest.approx(2 * norm.ppf(0.975) * deviation)
    assert published_difference(0.8914, 0.8114, 95, 25, 0.0).p > found.p
    with pytest.raises(InputError, match=r"correlation 1\.5"):
        published_difference(0.8914, 0.8114, 95, 25, 1.5)


def test_a_difference_without_variance_is_not_tested():
    with pytest.raises(InputError, match="no variance on these exams"):
        contrast(0.1, np.zeros(5))
