"""Exams, seeds and the choice of a plane: what each adds to an interval, and whether it covers."""

import numpy as np
import pytest
from planted_predictions import PARTED, chosen_and_joined
from scipy.stats import t

from mrnetlib.evaluation.comparisons import contrast
from mrnetlib.evaluation.scores import (
    Choice,
    Score,
    against_zero,
    chance,
    covers,
    limits,
    minus,
    plus,
    variance,
)
from mrnetlib.evaluation.table1 import score

SHARE = np.array([0.03, -0.01, 0.02, -0.04])
EXAMS = float((SHARE**2).sum())


def scored(*seeds, share=SHARE, name="alexnet"):
    return Score({name: np.array(seeds)}, share)


def test_one_seed_is_the_exams_alone():
    found = scored(0.8)
    assert variance(found) == (pytest.approx(EXAMS), np.inf)
    apart = against_zero(minus(found, scored(0.75, share=SHARE / 2)), "DeLong, paired")
    assert apart[:4] == pytest.approx(contrast(0.05, SHARE / 2)[:4])
    assert apart.method == "DeLong, paired"
    assert covers(found) == "exams, one seed"


def test_seeds_add_their_variance_and_students_limits():
    found = scored(0.7, 0.8, 0.9)
    total, freedom = variance(found)
    seeds = 0.01 / 3
    assert total == pytest.approx(EXAMS + seeds)
    assert freedom == pytest.approx(2 * (total / seeds) ** 2)
    apart = against_zero(minus(found, scored(0.5, 0.5, 0.5, share=0 * SHARE)), "DeLong, paired")
    assert apart.high - apart.difference == pytest.approx(t.ppf(0.975, freedom) * total**0.5)
    assert apart.method == "DeLong, paired, t"
    low, high = limits(found)
    assert 0 < low < 0.8 - 2 * total**0.5 and 0.8 < high < 1


def test_seeds_are_paired_within_an_architecture_and_not_between_two():
    first, second = scored(0.7, 0.8, 0.9), scored(0.6, 0.7, 0.8)
    assert variance(minus(first, second)) == (pytest.approx(0), np.inf), "the seeds move alike"
    other = minus(first, scored(0.6, 0.7, 0.8, name="resnet18"))
    assert other.estimate == pytest.approx(0.1)
    assert variance(other)[0] == pytest.approx(2 * 0.01 / 3)
    mean = plus(plus(Score({}, 0 * SHARE), first, 0.5), other, 0.5)
    assert mean.estimate == pytest.approx((0.8 + 0.1) / 2)


def test_a_choice_adds_the_spread_of_what_could_have_been_chosen():
    moved = np.repeat([0.8, 0.6], 50)  # one plane in half of the draws
    sure = Choice(moved, np.zeros((100, 4)), {"alexnet": np.column_stack([moved, moved])})
    assert chance(sure) == pytest.approx(0.1**2)
    lucky = sure._replace(share=np.repeat([SHARE, -SHARE], 50, axis=0))
    assert chance(lucky) == pytest.approx(0.1**2 - EXAMS), "what luck alone would show is taken off"
    alike = lucky._replace(moved=np.full(100, 0.7))
    assert chance(alike) == chance(None) == 0
    found = scored(0.8)._replace(choice=sure)
    assert variance(found)[0] == pytest.approx(EXAMS + 0.1**2)
    assert variance(minus(found, found))[0] == pytest.approx(0), "it is the same choice"
    assert covers(minus(scored(0.9), found)) == "exams, one seed, choice of the plane"


def test_covers_says_how_many_seeds_each_has():
    both = minus(scored(0.7, 0.8, 0.9), scored(0.7, name="resnet18"))
    assert covers(both) == "exams, 1 to 3 seeds"


def test_what_has_no_variance_has_no_limits():
    assert limits(scored(1.0)) is None and limits(scored(0.8, share=None)) is None
    assert against_zero(scored(0.2, share=0 * SHARE), "") is None
    assert against_zero(minus(scored(0.8), scored(0.7, share=None)), "") is None


def test_intervals_cover_what_they_are_about_the_planes_choice_included():
    # nominal 95 %; the truth of the best plane is what choosing gives on average over the studies
    studies = [chosen_and_joined(seed, PARTED, draws=60) for seed in range(30)]
    best = [score(study.best, "auc") for study in studies]
    truth = np.mean([study.truth for study in studies])
    ends = [limits(one) for one in best]
    assert np.mean([low <= truth <= high for low, high in ends]) >= 0.85
    gains = [
        minus(score(study.multi, "auc"), one) for study, one in zip(studies, best, strict=True)
    ]
    expected = np.mean([gain.estimate for gain in gains])
    found = [against_zero(gain, "") for gain in gains]
    assert np.mean([one.low <= expected <= one.high for one in found]) >= 0.85
    more = [variance(gain)[0] - variance(gain._replace(choice=None))[0] for gain in gains]
    assert min(more) >= 0 and np.mean(np.array(more) > 0) > 0.5, "the choice makes it wider"
