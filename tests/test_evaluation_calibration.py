"""Calibration and thresholds, against scikit-learn and planted miscalibration."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve as sklearn_curve
from sklearn.metrics import brier_score_loss

from mrnetlib import figures
from mrnetlib.evaluation.calibration import (
    best_threshold,
    brier,
    calibration,
    calibration_curve,
    calibration_curves,
    calibration_in_the_large,
)
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
    assert found["intercept_low"] < 0.7 < found["intercept_high"]
    assert found["observed"] > found["predicted"]
    right = calibration_in_the_large(*calibrated(2, exams=4000))
    assert right["intercept_low"] < 0 < right["intercept_high"]


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


def test_best_threshold_beats_every_other():
    label, probability = calibrated(5, exams=70)

    def score(threshold):
        called = probability >= threshold
        return called[label == 1].mean() + (~called[label == 0]).mean()

    best = score(best_threshold(label, probability))
    assert best >= max(score(t) for t in np.linspace(0, 1, 501)) - 1e-12
    assert best_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9]) == 0.5


def study():
    """Two architectures; the second says too little."""
    parts = []
    for architecture, shift in (("alexnet", 0.0), ("resnet18", -1.0)):
        label, probability = calibrated(6, exams=600, shift=shift)
        columns = {"label": label, "probability": probability, "split": "test"}
        parts.append(pd.DataFrame(columns).assign(architecture=architecture, task="acl"))
    spoilt = parts[0].assign(split="train", probability=0.0)
    return pd.concat([*parts, spoilt], ignore_index=True)


def test_the_table_tells_the_model_that_says_too_little():
    table = calibration(study()).set_index("architecture")
    right, low = table.loc["alexnet"], table.loc["resnet18"]
    assert right["intercept_low"] < 0 < right["intercept_high"]
    assert low["intercept_low"] > 0.5 and low["predicted"] < low["observed"]
    share = right["observed"]
    assert right["brier"] < low["brier"]
    assert right["brier_of_share"] == pytest.approx(share * (1 - share))
    assert table["n"].tolist() == [600, 600]
    with pytest.raises(InputError, match="no tune exam"):
        calibration(study(), "tune")


def test_curves_of_all_models_stand_in_one_table():
    fused = study()
    table = calibration_curves(fused, bins=4)
    assert list(table.columns[:4]) == ["architecture", "task", "predicted", "observed"]
    assert table.groupby("architecture")["n"].sum().tolist() == [600, 600]
    own = fused[(fused["architecture"] == "resnet18") & (fused["split"] == "test")]
    known = calibration_curve(own["label"], own["probability"], 4)
    found = table[table["architecture"] == "resnet18"][known.columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, known)


def test_the_figure_has_a_panel_per_architecture_and_task():
    curves = calibration_curves(study(), bins=4)
    figure = figures.calibration_curves(curves, caption="study tiny: made-up numbers")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["ACL tear", ""]
    drawn = figure.axes[1].lines[1]
    own = curves[curves["architecture"] == "resnet18"]
    np.testing.assert_allclose(drawn.get_xydata(), own[["predicted", "observed"]])
    assert figure.axes[0].texts[0].get_text() == "groups of 150"
    uneven = figures.calibration_curves(curves.assign(n=[149, 151] * 4))
    assert uneven.axes[0].texts[0].get_text() == "groups of 149 to 151"
    assert "made-up" in figure.get_supxlabel()


def seeds_of(count):
    """The same exams judged by so many seeds, the second and later ones a little otherwise."""
    label, probability = calibrated(7, exams=100)
    names = {"architecture": "alexnet", "task": "acl", "split": "test", "label": label}
    shifts = np.linspace(0, 0.6, count)
    return pd.concat(
        pd.DataFrame({**names, "seed": seed, "probability": expit(logit(probability) + shift)})
        for seed, shift in enumerate(shifts)
    )


def test_calibration_is_the_mean_over_seeds_and_its_interval_knows_them():
    three = calibration(seeds_of(3)).iloc[0]
    alone = [calibration(own).iloc[0] for _, own in seeds_of(3).groupby("seed")]
    for name in ("brier", "predicted", "intercept"):
        assert three[name] == pytest.approx(np.mean([one[name] for one in alone]))
    assert three["n"] == 100
    widths = [one["intercept_high"] - one["intercept_low"] for one in [three, *alone]]
    assert widths[0] > 1.2 * max(widths[1:])


def test_groups_of_several_seeds_count_exams_once():
    once, thrice = calibration_curves(seeds_of(1)), calibration_curves(
        pd.concat([seeds_of(1).assign(seed=seed) for seed in range(3)])
    )  # fmt: skip
    pd.testing.assert_frame_equal(once, thrice)
    assert once["n"].sum() == 100
