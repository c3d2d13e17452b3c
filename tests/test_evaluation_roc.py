"""Areas under the curve, their variances, and intervals, against slow definitions."""

import numpy as np
import pytest
from conftest import draw_models
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score

from mrnetlib.evaluation.roc import (
    auc,
    auc_interval,
    checked,
    hanley_mcneil_variance,
    influence,
    logit_interval,
    newcombe_interval,
    wilson_interval,
)
from mrnetlib.files import InputError


def delong(label, probability):
    """Areas (M,) and DeLong's covariance (M, M)."""
    areas, share = influence(label, probability)
    return areas, share.T @ share


def slow_delong(label, probability):
    """DeLong et al. 1988 from its definition: every pair of exams, sample covariances."""
    positives, negatives = probability[label == 1], probability[label == 0]
    m, n = len(positives), len(negatives)
    v10, v01 = np.zeros((m, probability.shape[1])), np.zeros((n, probability.shape[1]))
    for model in range(probability.shape[1]):
        for i in range(m):
            for j in range(n):
                a, b = positives[i, model], negatives[j, model]
                psi = 1.0 if a > b else 0.5 if a == b else 0.0
                v10[i, model] += psi / n
                v01[j, model] += psi / m
    covariance = np.cov(v10.T, ddof=1) / m + np.cov(v01.T, ddof=1) / n
    return v10.mean(axis=0), covariance


@pytest.mark.parametrize("decimals", [None, 2, 1])
def test_delong_is_its_definition_with_and_without_ties(decimals):
    label, probability = draw_models(1, exams=60, decimals=decimals)
    areas, covariance = delong(label, probability)
    expected_areas, expected_covariance = slow_delong(label, probability)
    np.testing.assert_allclose(areas, expected_areas, atol=1e-12, rtol=0)
    np.testing.assert_allclose(covariance, expected_covariance, atol=1e-12, rtol=0)


@pytest.mark.parametrize("decimals", [None, 1])
def test_auc_agrees_with_scikit_learn_and_scipy(decimals):
    label, probability = draw_models(2, decimals=decimals)
    for column in probability.T:
        u = mannwhitneyu(column[label == 1], column[label == 0]).statistic
        assert auc(label, column) == pytest.approx(roc_auc_score(label, column), abs=1e-14)
        assert auc(label, column) == pytest.approx(u / (48 * 72), abs=1e-14)


def test_auc_of_known_orders():
    assert auc([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]) == 1
    assert auc([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4]) == 0
    assert auc([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3]) == 0.5
    assert auc([0, 0, 1], [0.1, 0.5, 0.5]) == 0.75


def test_influence_of_tasks_side_by_side_gives_their_covariance():
    # two tasks with one and the same label: the cross term must be DeLong's own
    label, probability = draw_models(3, models=2)
    shares = [influence(label, column)[1][:, 0] for column in probability.T]
    _, covariance = delong(label, probability)
    assert shares[0] @ shares[1] == pytest.approx(covariance[0, 1], abs=1e-15)


def test_hanley_mcneil_variance_from_its_published_form():
    area, m, n = 0.8914, 95, 25
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    expected = (area * (1 - area) + (m - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)) / (m * n)
    assert hanley_mcneil_variance(area, m, n) == pytest.approx(expected, rel=1e-12)


def test_logit_interval_is_symmetric_in_log_odds_and_has_the_delta_width():
    low, high = logit_interval(0.9, 0.02**2)
    odds = np.log(np.array([low, 0.9, high]) / (1 - np.array([low, 0.9, high])))
    assert odds[2] - odds[1] == pytest.approx(odds[1] - odds[0])
    assert odds[2] - odds[1] == pytest.approx(1.959964 * 0.02 / 0.09, rel=1e-6)


@pytest.mark.parametrize("area", [0.0, 0.3, 0.8914, 1.0])
def test_newcombe_limits_solve_his_equation(area):
    low, high = newcombe_interval(area, 95, 25)
    assert 0 <= low <= area <= high <= 1
    for limit in (low, high):
        if 0 < limit < 1:
            middle = (95 + 25) / 2 - 1
            spread = 1 + middle * ((1 - limit) / (2 - limit) + limit / (1 + limit))
            deviation = np.sqrt(limit * (1 - limit) * spread / (95 * 25))
            assert abs(area - limit) == pytest.approx(norm.ppf(0.975) * deviation, abs=1e-9)


@pytest.mark.parametrize(
    "label, probability, method",
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], "Newcombe"),  # area 1
        ([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], "Newcombe"),  # area 0
        ([0, 0, 0, 1], [0.1, 0.2, 0.9, 0.4], "Newcombe"),  # one positive
        ([0, 1], [0.1, 0.4], "Newcombe"),  # one exam each
        ([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], "Newcombe"),  # constant
        ([0, 1, 0, 1, 0, 1], [0.5, 0.6, 0.7, 0.8, 0.2, 0.4], "DeLong, logit scale"),
    ],
)
def test_auc_interval_is_defined_everywhere(label, probability, method):
    found = auc_interval(label, probability)
    assert found.method == method
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.high - found.low > 0.2  # a handful of exams never gives a narrow interval


def test_wilson_interval_from_its_formula():
    z, n, k = norm.ppf(0.975), 25, 10
    centre = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    found = wilson_interval(k, n)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-12)
    assert wilson_interval(5, 5).high == 1
    assert wilson_interval(5, 5).low == pytest.approx(5 / (5 + z**2))
    for successes, exams in ((0, 0), (3, 2), (-1, 4)):
        with pytest.raises(InputError, match="expected at least one exam"):
            wilson_interval(successes, exams)


def test_interval_covers_the_true_area():
    # binormal scores, 52 positive and 68 negative exams, true area 0.85
    generator = np.random.default_rng(9)
    label = np.arange(120) < 52
    score = generator.normal(label[:, None] * np.sqrt(2) * norm.ppf(0.85), 1, (120, 2000))
    areas, share = influence(label, norm.cdf(score))
    low, high = logit_interval(areas, (share**2).sum(axis=0))
    assert 0.93 < ((low <= 0.85) & (high >= 0.85)).mean() < 0.97


@pytest.mark.parametrize(
    "label, probability, message",
    [
        ([0, 2], [0.1, 0.2], "label 2 at row 1"),
        ([0, -1], [0.1, 0.2], "label -1 at row 1"),
        ([0, np.nan], [0.1, 0.2], "label nan at row 1"),
        ([0, 1], [0.1, np.nan], "probability nan at row 1"),
        ([0, 1], [0.1, 1.2], "probability 1.2 at row 1"),
        ([0, 1], [0.1, -np.inf], "probability -inf at row 1"),
        ([1, 1], [0.1, 0.2], r"all 2 exams are positive \(1\)"),
        ([0, 0], [0.1, 0.2], r"all 2 exams are negative \(0\)"),
        ([0, 1], [0.1, 0.2, 0.3], r"shape \(2,\) and probabilities \(3,\)"),
        ([], [], "no exams"),
        (["normal", "torn"], [0.1, 0.2], "not numbers"),
        ([0, 1], ["low", "high"], "not numbers"),
    ],
)
def test_bad_input_is_refused_by_name(label, probability, message):
    for function in (auc, checked, auc_interval):
        with pytest.raises(InputError, match=message):
            function(label, probability)


def test_delong_needs_two_exams_of_each_class():
    with pytest.raises(InputError, match="1 positive and 3 negative"):
        delong([1, 0, 0, 0], np.array([[0.4], [0.1], [0.2], [0.9]]))
