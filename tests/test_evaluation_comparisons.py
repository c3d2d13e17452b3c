"""Paired tests, against slow definitions and planted differences."""

from math import comb

import numpy as np
import pytest
from conftest import paired_models
from scipy.stats import norm

from mrnetlib.evaluation.comparisons import (
    exams_needed,
    holm,
    mcnemar,
    paired_delong,
    published_difference,
    square_and_add,
)
from mrnetlib.evaluation.roc import Interval, delong, hanley_mcneil_variance, newcombe_interval
from mrnetlib.files import InputError


def test_paired_delong_uses_the_covariance():
    label, first, second = paired_models(0)
    areas, covariance = delong(label, np.column_stack([first, second]))
    found = paired_delong(label, first, second)
    deviation = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    z = (areas[0] - areas[1]) / deviation
    assert found.method == "DeLong, paired"
    assert found.p == pytest.approx(2 * norm.cdf(-abs(z)), rel=1e-9)
    assert found.low == pytest.approx(areas[0] - areas[1] - 1.959964 * deviation, abs=1e-7)
    assert found.high == pytest.approx(areas[0] - areas[1] + 1.959964 * deviation, abs=1e-7)


def test_paired_delong_turns_its_sign_with_its_models():
    label, first, second = paired_models(1)
    one, other = paired_delong(label, first, second), paired_delong(label, second, first)
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p == pytest.approx(other.p)


def test_paired_delong_finds_a_planted_difference_and_no_other():
    planted, none = paired_models(3, better=1.0), paired_models(3, better=0.0)
    assert paired_delong(*planted).low > 0
    assert paired_delong(*planted).p < 0.01
    assert paired_delong(*none).low < 0 < paired_delong(*none).high
    assert paired_delong(*none).p > 0.05


def test_delong_is_wrong_in_one_of_twenty_without_a_difference():
    wrong = sum(paired_delong(*paired_models(seed, better=0.0)).p < 0.05 for seed in range(600))
    assert 0.03 < wrong / 600 < 0.075


@pytest.mark.parametrize(
    "label, first, second, difference",
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], [0.5, 0.5, 0.5, 0.5], 0.5),  # perfect, constant
        ([0, 0, 1, 1], [0.8, 0.9, 0.1, 0.2], [0.1, 0.2, 0.8, 0.9], -1.0),  # all wrong, perfect
        ([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.9], [0.5, 0.6, 0.1, 0.2], 2 / 3),  # one positive
    ],
)
def test_paired_delong_without_variance_is_cautious(label, first, second, difference):
    found = paired_delong(label, first, second)
    assert found.method == "square and add"
    assert found.difference == pytest.approx(difference)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert 0.005 < found.p <= 1  # four exams cannot convince


def test_models_that_order_exams_alike_do_not_differ():
    label, first, _ = paired_models(5)
    found = paired_delong(label, first, first**2)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    constant = paired_delong(label, np.full(120, 0.5), np.full(120, 0.9))
    assert constant.p == 1


def test_square_and_add_limit_touches_zero_at_its_own_p():
    # where the interval of level 1 - p just reaches 0, p is right (Newcombe's limits, level 0.95)
    one, other = (Interval(area, *newcombe_interval(area, 50, 50), "") for area in (0.9, 0.75))
    found = square_and_add(one, other)
    assert (found.p < 0.05) == (found.low > 0)


def test_mcnemar_counts_only_exams_that_differ():
    label = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    first = [0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.9]
    second = [0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1]
    found = mcnemar(label, first, second)
    assert (found["only_first"], found["only_second"], found["n"]) == (4, 2, 10)
    assert found["difference"] == pytest.approx(0.2)
    expected = min(1, 2 * sum(comb(6, k) for k in range(3)) / 2**6)
    assert found["p"] == pytest.approx(expected)
    positive = mcnemar(label, first, second, measure="sensitivity")
    assert (positive["only_first"], positive["only_second"], positive["n"]) == (4, 1, 6)
    negative = mcnemar(label, first, second, measure="specificity")
    assert (negative["only_first"], negative["only_second"], negative["n"]) == (0, 1, 4)
    assert mcnemar(label, first, first)["p"] == 1
    with pytest.raises(InputError, match="measure 'auc'"):
        mcnemar(label, first, second, measure="auc")
    with pytest.raises(InputError, match="no exam of its class"):
        mcnemar([0, 0], [0.1, 0.2], [0.3, 0.4], measure="sensitivity")


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


def test_comparisons_refuse_models_with_different_exams():
    for compare in (paired_delong, mcnemar):
        with pytest.raises(InputError, match=r"shape \(3,\) and \(2,\)"):
            compare([0, 1, 1], [0.1, 0.2, 0.3], [0.1, 0.2])
        with pytest.raises(InputError, match="label 3 at row 1"):
            compare([0, 3], [0.1, 0.2], [0.1, 0.2])
