"""The bootstrap, against samples drawn and measured one by one, and against DeLong."""

import time

import numpy as np
import pandas as pd
import pytest
from conftest import draw_models
from planted_predictions import ordered_study
from sklearn.metrics import roc_auc_score

from mrnetlib.evaluation.optimism import bootstrap_auc, bootstrap_counts, plane_choice
from mrnetlib.evaluation.roc import influence
from mrnetlib.files import InputError
from mrnetlib.names import ARCHITECTURES


@pytest.mark.parametrize("decimals", [None, 1])
def test_bootstrap_areas_are_those_of_the_drawn_exams(decimals):
    label, probability = draw_models(4, exams=40, decimals=decimals)
    counts = bootstrap_counts(label, 20, np.random.default_rng(0))
    areas = bootstrap_auc(label, probability, counts)
    for sample, row in zip(counts.astype(int), areas, strict=True):
        drawn = np.repeat(np.arange(40), sample)
        expected = [roc_auc_score(label[drawn], column[drawn]) for column in probability.T]
        np.testing.assert_allclose(row, expected, atol=1e-12)


def test_bootstrap_keeps_every_stratum_and_repeats_with_its_seed():
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 2, (50, 3))
    first, second = (bootstrap_counts(labels, 30, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for combination in np.unique(labels, axis=0):
        members = (labels == combination).all(axis=1)
        assert (first[:, members].sum(axis=1) == members.sum()).all()
    assert len(np.unique(first, axis=0)) > 1


def test_bootstrap_spread_is_delongs():
    label, probability = draw_models(6, models=1)
    areas = bootstrap_auc(
        label, probability, bootstrap_counts(label, 4000, np.random.default_rng(1))
    )
    assert areas.std() == pytest.approx(
        np.sqrt((influence(label, probability)[1] ** 2).sum()), rel=0.08
    )


def test_bootstrap_of_a_whole_study_is_fast():
    # 27 networks and 9 fused models, three tasks on the same 120 exams, 2,000 draws
    generator = np.random.default_rng(8)
    labels = generator.integers(0, 2, (120, 3))
    probability = generator.random((120, 36)).round(2)
    begin = time.process_time()
    counts = bootstrap_counts(labels, 2000, generator)
    for task in range(3):
        bootstrap_auc(labels[:, task], probability[:, task::3], counts)
    assert time.process_time() - begin < 5


def test_bootstrap_without_the_label_among_the_strata_is_refused():
    counts = np.zeros((1, 4))
    counts[0, :2] = 2
    with pytest.raises(InputError, match="one class only"):
        bootstrap_auc([0, 0, 1, 1], np.array([[0.1], [0.2], [0.3], [0.4]]), counts)


def simulated(planes=("axial", "sagittal"), strength=1.0):
    """Long predictions in which the last plane is the better one."""
    generator = np.random.default_rng(0)
    parts = []
    for split, count in {"tune": 20, "test": 40}.items():
        label = (np.arange(count) % 5 < 2).astype(int)
        for place, plane in enumerate(planes, 1):
            score = strength * place * label + generator.normal(size=count)
            exams = [f"{split}{number:02d}" for number in range(count)]
            columns = {"exam": exams, "split": split, "label": label, "plane": plane}
            parts.append(pd.DataFrame(columns | {"probability": 1 / (1 + np.exp(-score))}))
    return pd.concat(parts, ignore_index=True).assign(architecture="alexnet", task="acl")


def test_the_price_of_a_plane():
    found = plane_choice(simulated(), draws=200).iloc[0]
    assert found["inflated_by"] == 0, "both choose the better plane"
    assert abs(found["optimism"]) < 0.03, "there is little to choose"
    assert found["draws_low"] < found["optimism"] < found["draws_high"]
    alike = simulated(planes=("axial", "sagittal", "coronal"), strength=0.0)
    found = plane_choice(alike, draws=200).iloc[0]
    assert found["inflated_by"] == found["chosen_on_test"] - found["chosen_on_tune"] >= 0
    assert found["optimism"] > 0.03, "the best of three guesses looks like more"
    pd.testing.assert_series_equal(found, plane_choice(alike, draws=200).iloc[0])


def test_the_price_is_a_mean_over_tasks_for_every_architecture():
    table = plane_choice(ordered_study()[0], draws=20)
    columns = ["chosen_on_tune", "chosen_on_test", "inflated_by"]
    assert list(table.columns[:4]) == ["architecture", *columns]
    assert table["architecture"].tolist() == list(ARCHITECTURES)
    assert table[columns].to_numpy().tolist() == [[0.6, 1.0, 0.4]] * 3
    assert plane_choice(simulated(planes=("axial",)), draws=20).loc[0, "inflated_by"] == 0


def test_seeds_that_say_the_same_change_nothing():
    once = simulated()
    twice = pd.concat([once.assign(seed=0), once.assign(seed=1)])
    pd.testing.assert_frame_equal(plane_choice(once, draws=50), plane_choice(twice, draws=50))
