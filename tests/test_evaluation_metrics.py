"""Measures on predictions whose right answers are known."""

import numpy as np
import pandas as pd
import pytest
from conftest import paired_models
from planted_predictions import ordered_study

from mrnetlib.evaluation import metrics
from mrnetlib.evaluation.comparisons import mcnemar
from mrnetlib.evaluation.metrics import MEASURES, best_planes, measured, measures, single_view
from mrnetlib.evaluation.roc import wilson_interval
from mrnetlib.files import InputError
from mrnetlib.names import TASKS

COLUMNS = ["auc", "sensitivity", "specificity", "accuracy", "n"]


def test_measures_of_five_exams_by_hand():
    label, probability = [1, 1, 1, 0, 0], [0.9, 0.5, 0.2, 0.5, 0.1]  # 0.5 is called positive
    found = measures(label, probability)
    assert list(found) == COLUMNS
    assert found["auc"] == pytest.approx((2 + 1.5 + 1) / 6)
    rates = [found[name] for name in COLUMNS[1:]]
    assert rates == pytest.approx([2 / 3, 1 / 2, 3 / 5, 5])
    with pytest.raises(InputError, match="positive"):
        measures([1, 1], [0.2, 0.9])


@pytest.mark.parametrize("name", list(MEASURES))
def test_shares_are_an_estimates_deviation(name):
    label, first, _ = paired_models(2, exams=400)
    measure = MEASURES[name]
    estimate, share = measure.influence(label, first)
    assert estimate == pytest.approx(measure.estimate(label, first))
    assert share.shape == label.shape and share.sum() == pytest.approx(0)
    limits = measure.interval(label, first, 0.95)
    assert limits.estimate == pytest.approx(estimate)
    half = 1.96 * np.sqrt((share**2).sum())
    assert (limits.high - limits.low) / 2 == pytest.approx(half, rel=0.05)


def test_a_rate_counts_the_exams_of_its_class():
    label, first, second = paired_models(4)
    called = [(model >= 0.5) == (label == 1) for model in (first, second)]
    for name, kept in (("sensitivity", label == 1), ("specificity", label == 0)):
        right = [model[kept] for model in called]
        measure = MEASURES[name]
        assert measure.exact(label, first, second) == (mcnemar(*right), "McNemar, exact")
        wilson = wilson_interval(int(right[0].sum()), int(kept.sum()))
        assert measure.interval(label, first, 0.95) == wilson
    with pytest.raises(InputError, match="Sensitivity: a single exam"):
        MEASURES["sensitivity"].influence([1, 0, 0], [0.5, 0.5, 0.1])


def test_rates_are_what_a_threshold_moves():
    assert metrics.rates() == ["sensitivity", "specificity", "accuracy"]
    with pytest.raises(InputError, match="measure 'f1': expected one of auc, sensitivity"):
        metrics.named("f1")


def test_single_view_has_nine_rows_per_architecture():
    predictions, _ = ordered_study()
    table = single_view(predictions)
    assert list(table.columns) == ["architecture", "plane", "class", *COLUMNS]
    assert len(table) == 27
    axial = table[table["plane"] == "axial"]
    assert set(axial["auc"]) == {15 / 25}
    assert set(axial["specificity"]) == {3 / 5}
    assert set(single_view(predictions, "tune").query("plane == 'axial'")["auc"]) == {1.0}
    with pytest.raises(InputError, match="no train exam"):
        single_view(predictions, "train")
    spoilt = predictions.assign(label=0)
    with pytest.raises(InputError, match=r"alexnet axial, test exams: all 30 exams are negative"):
        measured(spoilt, ["architecture", "plane"])


def test_best_plane_is_chosen_on_the_split_asked_for():
    predictions, _ = ordered_study()
    table = best_planes(predictions)
    assert list(table.columns) == ["architecture", "task", "plane", "auc"]
    assert table["task"].tolist() == list(TASKS) * 3
    assert set(table["plane"]) == {"axial"}
    assert set(best_planes(predictions, "test")["plane"]) == {"sagittal"}


def test_a_tie_goes_to_the_first_plane_whatever_the_order_of_the_rows():
    predictions, _ = ordered_study(["alexnet"])
    tied = predictions.assign(probability=0.5)
    assert set(best_planes(tied)["plane"]) == {"axial"}
    assert set(best_planes(tied.iloc[::-1])["plane"]) == {"axial"}


def test_measures_of_several_seeds_are_means():
    predictions, _ = ordered_study(["alexnet"])
    other = predictions.assign(probability=0.5, seed=1)
    both = pd.concat([predictions.assign(seed=0), other])
    table = single_view(both).set_index(["plane", "class"])
    assert set(table.loc["axial", "auc"]) == {(15 / 25 + 0.5) / 2}
    assert set(table["n"]) == {10}
    assert set(best_planes(both)["auc"]) == {0.75}
    assert [len(own) for own in metrics.each_seed(np.ones((4, 3)))] == [4, 4, 4]
    assert len(metrics.each_seed([0.1, 0.2])) == 1
