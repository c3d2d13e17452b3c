"""The bootstrap, against samples drawn and measured one by one, and against DeLong."""

import time

import numpy as np
import pytest
from conftest import draw_models, paired_models
from sklearn.metrics import roc_auc_score

from mrnetlib.evaluation.comparisons import paired_delong
from mrnetlib.evaluation.optimism import (
    bootstrap_auc,
    bootstrap_counts,
    from_draws,
    paired_bootstrap,
)
from mrnetlib.evaluation.roc import delong
from mrnetlib.files import InputError


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
    assert areas.std() == pytest.approx(np.sqrt(delong(label, probability)[1].item()), rel=0.08)


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


def test_bootstrap_agrees_with_delong_and_repeats_with_its_seed():
    label, first, second = paired_models(4, better=0.3)
    one, again = (
        paired_bootstrap(label, first, second, np.random.default_rng(5)) for _ in range(2)
    )
    exact = paired_delong(label, first, second)
    assert one == again
    assert one.difference == pytest.approx(exact.difference, abs=1e-12)
    assert one.low == pytest.approx(exact.low, abs=0.02)
    assert one.high == pytest.approx(exact.high, abs=0.02)


def test_from_draws_counts_the_smaller_side():
    draws = np.concatenate([np.full(10, -0.1), np.full(989, 0.2)])
    found = from_draws(0.15, draws)
    assert found.p == pytest.approx(2 * 11 / 1000)
    assert from_draws(0.0, np.zeros(999)).p == 1
    assert from_draws(0.5, np.full(999, 0.5)).p == pytest.approx(0.002)


def test_paired_bootstrap_finds_a_planted_difference_and_refuses_other_exams():
    generator = np.random.default_rng(2)
    assert paired_bootstrap(*paired_models(3, better=1.0), generator).p < 0.01
    assert paired_bootstrap(*paired_models(3, better=0.0), generator).p > 0.05
    with pytest.raises(InputError, match="Compare the same exams"):
        paired_bootstrap([0, 1, 1], [0.1, 0.2, 0.3], [0.1, 0.2], generator)
