"""Calibration and thresholds, against scikit-learn and planted miscalibration."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve as sklearn_curve
from sklearn.metrics import brier_score_loss

from mrnetlib.evaluation.calibration import (
    best_threshold,
    brier,
    calibration_curve,
    calibration_in_the_large,
    threshold_at_sensitivity,
)
from mrnetlib.evaluation.metrics import rates
from mrnetlib.files import InputError


def calibrated(seed, exams=400, shift=0.0):
    """Labels drawn with the probabilities, then probabilities shifted on the logit scale."""
    generator = np.random.default_rng(seed)
    truth = generator.uniform(0.05, 0.95, exams)
    label = (generator.random(exams) < truth).astype(int)
    return label, expit(logit(truth) + shift)


def test_brier_agrees_with_scikit_learn():
    label, probability = calibrated(0)
    assert brier(label, probability) == pytest.approx(brier_score_loss(label, probability))
    assert brier([1, 1], [1.0, 0.0]) == 0.5
    assert brier(label, np.full(400, label.mean())) == pytest.approx(
        label.mean() * (1 - label.mean())
    )


def test_calibration_curve_agrees_with_scikit_learn():
    label, probability = calibrated(1)
    table = calibration_curve(label, probability, bins=5)
    observed, predicted = sklearn_curve(label, probability, n_bins=5, strategy="quantile")
    np.testing.assert_allclose(table["observed"], observed)
    np.testing.assert_allclose(table["predicted"], predicted)
    assert table["n"].sum() == 400
    assert ((table["low"] <= table["observed"]) & (table["observed"] <= table["high"])).all()


def test_calibration_curve_never_parts_equal_probabilities():
    table = calibration_curve([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5], bins=3)
    assert table[["predicted", "observed", "n"]].to_numpy().tolist() == [[0.5, 0.5, 4]]
    two = calibration_curve([0, 0, 0, 1, 1], [0.2, 0.2, 0.2, 0.9, 0.9], bins=4)
    assert two["n"].tolist() == [3, 2]
    assert two.notna().all().all()
    with pytest.raises(InputError, match="bins 0"):
        calibration_curve([0, 1], [0.1, 0.2], bins=0)


def test_calibration_in_the_large_finds_the_planted_shift():
    found = calibration_in_the_large(*calibrated(2, exams=4000, shift=-0.7))
    assert found["intercept"] == pytest.approx(0.7, abs=0.12)
    assert found["low"] < 0.7 < found["high"]
    assert found["p"] < 1e-6
    assert found["difference"] == pytest.approx(found["observed"] - found["predicted"])
    right = calibration_in_the_large(*calibrated(2, exams=4000))
    assert right["low"] < 0 < right["high"]
    assert right["p"] > 0.05


def test_calibration_in_the_large_is_where_the_likelihood_peaks():
    label, probability = calibrated(3, exams=80, shift=0.4)
    found = calibration_in_the_large(label, probability)["intercept"]

    def likelihood(intercept):
        p = expit(logit(probability) + intercept)
        return np.log(np.where(label == 1, p, 1 - p)).sum()

    assert likelihood(found) > max(likelihood(found - 1e-3), likelihood(found + 1e-3))


def test_calibration_of_certain_and_constant_probabilities_is_a_number():
    for probability in ([0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0], [0.5] * 4, [0.0] * 4):
        assert np.isfinite(list(calibration_in_the_large([0, 1, 0, 1], probability).values())).all()
    with pytest.raises(InputError, match="all 2 exams are positive"):
        calibration_in_the_large([1, 1], [0.2, 0.3])


@pytest.mark.parametrize("wanted", [0.5, 0.9, 0.95, 1.0])
def test_threshold_reaches_the_sensitivity_and_no_higher_one_does(wanted):
    label, probability = calibrated(4, exams=60)
    probability = probability.round(1)
    threshold = threshold_at_sensitivity(label, probability, wanted)
    assert rates(label, probability, threshold)["sensitivity"] >= wanted
    higher = np.unique(probability[probability > threshold])
    assert all(rates(label, probability, t)["sensitivity"] < wanted for t in higher)


def test_threshold_counts_exactly():
    # 19 of 20 positive exams are 0.95 whatever the product rounds to
    probability = np.linspace(0.05, 1, 20)
    label = np.r_[np.ones(20), 0]
    assert threshold_at_sensitivity(label, np.r_[probability, 0.5], 0.95) == probability[1]
    with pytest.raises(InputError, match=r"sensitivity 1\.2"):
        threshold_at_sensitivity(label, np.r_[probability, 0.5], 1.2)


@pytest.mark.parametrize("measure", ["youden", "accuracy"])
def test_best_threshold_beats_every_other(measure):
    label, probability = calibrated(5, exams=70)

    def score(threshold):
        found = rates(label, probability, threshold)
        both = found["sensitivity"] + found["specificity"]
        return both if measure == "youden" else found["accuracy"]

    best = score(best_threshold(label, probability, measure))
    assert best >= max(score(t) for t in np.linspace(0, 1, 501)) - 1e-12
    assert best_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9], measure) == 0.5
    with pytest.raises(InputError, match="measure 'f1'"):
        best_threshold(label, probability, "f1")
