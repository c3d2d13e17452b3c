import numpy as np
import pandas as pd
import pytest
from conftest import paired_models
from scipy.stats import norm

from mrnetlib.evaluation.roc import auc, auc_interval, influence
from mrnetlib.evaluation.table1 import Row
from mrnetlib.evaluation.table1 import compare as compare_rows
from mrnetlib.files import InputError
from mrnetlib.variants import seeds
from mrnetlib.variants.seeds import Score


def table_of(label, columns, task="acl", architecture="alexnet", first_seed=0):
    """A long table of test predictions, a column of probabilities per seed."""
    parts = [
        pd.DataFrame(
            {
                "exam": [f"{number:04d}" for number in range(len(label))],
                "split": "test",
                "label": label,
                "probability": column,
            }
        ).assign(seed=first_seed + seed, architecture=architecture, task=task)
        for seed, column in enumerate(np.transpose(columns))
    ]
    return pd.concat(parts, ignore_index=True)


def paired_delong(label, first, second):
    """The paired comparison of two models as Table I makes it."""
    return compare_rows(*(Row("", "", "", [(label, one)]) for one in (first, second)), "auc")


def drawn(generator, exams=60, count=5, by_seed=0.0):
    """Two equally good recipes, each of whose trainings reacts to exams in its own way."""
    label = (np.arange(exams) % 5 < 2).astype(int)
    shared = 1.2 * label[:, None] + generator.normal(size=(exams, 1))
    scores = []
    for _ in range(2):
        own = 0.7 * generator.normal(size=(exams, 1))  # the recipe's, on these exams
        noise = 0.7 * generator.normal(size=(exams, count))
        quality = 1 + by_seed * generator.normal(size=(1, count))
        scores.append(Score(*influence(label, norm.cdf(shared * quality + own + noise))))
    return scores


def test_one_seed_is_delongs_paired_test():
    label, first, second = paired_models(3)
    found = seeds.compare(table_of(label, first[:, None]), table_of(label, second[:, None]))
    known = paired_delong(label, first, second)
    np.testing.assert_allclose(found[:4], known[:4])
    assert found.method == "exams"
    limits = seeds.interval(seeds.score(table_of(label, first[:, None])))
    np.testing.assert_allclose(limits[:3], auc_interval(label, first)[:3])


def test_the_variance_has_a_part_for_seeds_and_one_that_they_share():
    found = Score(np.array([0.1, 0.3]), np.array([[0.2, 0.1], [0.0, 0.1]]))
    variance, freedom = seeds._variance(found)
    between, shared = 0.02 / 2, 0.2 * 0.1 + 0.0 * 0.1
    assert variance == pytest.approx(between + shared)
    assert freedom == pytest.approx(((between + shared) / between) ** 2)


def test_seeds_that_agree_by_luck_leave_the_exams_variance():
    share = np.array([[0.02, -0.02], [0.01, 0.03], [0.0, -0.02]])
    found = seeds.difference(Score(np.array([0.8, 0.8]), share), Score(np.full(2, 0.7), 0 * share))
    assert found.difference == pytest.approx(0.1)
    half = 1.96 * np.sqrt((share.mean(axis=1) ** 2).sum())
    assert found.high - found.difference == pytest.approx(half, rel=1e-3)


def test_more_seeds_do_not_take_away_what_the_exams_bring():
    generator = np.random.default_rng(0)
    found = [drawn(generator, count=count)[0] for count in (2, 200)]
    low, high = seeds.interval(found[1])[1:3]
    exams_alone = 2 * 1.96 * seeds.deviations(found[1])[0]
    assert 0.6 * exams_alone < high - low < 1.1 * exams_alone


@pytest.mark.parametrize("by_seed", [0.0, 0.6])
def test_equal_recipes_are_seldom_called_different(by_seed):
    generator = np.random.default_rng(1)
    pairs = [drawn(generator, by_seed=by_seed) for _ in range(400)]
    wrong = np.mean([seeds.difference(*pair).p < 0.05 for pair in pairs])
    assert 0.01 <= wrong <= 0.08


def test_no_difference_is_exactly_none():
    label, first, _ = paired_models(1)
    table = table_of(label, np.column_stack([first, first**2]))
    again = table.assign(probability=table["probability"] ** 3)  # the same order of exams
    assert seeds.compare(again, table) == (0.0, 0.0, 0.0, 1.0, "no exam differs")


def test_what_cannot_be_tested_is_not_called_significant():
    label = np.array([0, 0, 0, 1, 1, 1])
    perfect, constant = label[:, None] * 0.5 + 0.2, np.full((6, 1), 0.5)
    found = seeds.compare(table_of(label, perfect), table_of(label, constant))
    assert (found.difference, found.p, found.method) == (0.5, 1.0, "no variance")


def test_a_score_averages_architectures_and_tasks():
    label, first, second = paired_models(2)
    parts = [
        table_of(label, first[:, None]),
        table_of(1 - label, second[:, None], task="meniscus"),
    ]
    found = seeds.score(pd.concat(parts))
    mean = (auc(label, first) + auc(1 - label, second)) / 2
    assert found.estimates[0] == pytest.approx(mean)
    alone = [seeds.score(part) for part in parts]
    np.testing.assert_allclose(found.share, (alone[0].share + alone[1].share) / 2)


@pytest.mark.parametrize("measure", ["accuracy", "sensitivity", "specificity"])
def test_rates_differ_as_in_mcnemars_table(measure):
    label, first, second = paired_models(4)
    tables = [table_of(label, one[:, None]) for one in (first, second)]
    found = seeds.compare(*tables, measure=measure)
    kept = {"accuracy": label >= 0, "sensitivity": label == 1, "specificity": label == 0}[measure]
    right = [((one >= 0.5) == (label == 1))[kept].mean() for one in (first, second)]
    assert found.difference == pytest.approx(right[0] - right[1])
    assert found.low < found.difference < found.high


def test_trainings_that_are_alike_and_that_are_not():
    label, first, _ = paired_models(5)
    alike = seeds.score(table_of(label, np.column_stack([first, first])))
    assert seeds.equal_seeds(alike) == 1
    generator = np.random.default_rng(0)
    poor = np.clip(first + generator.normal(0, 0.6, len(first)), 0, 1)
    other = seeds.score(table_of(label, np.column_stack([first, poor])))
    assert seeds.equal_seeds(other) < 0.01
    two = paired_delong(label, first, poor)
    assert seeds.equal_seeds(other) == pytest.approx(two.p)
    assert seeds.equal_seeds(seeds.score(table_of(label, first[:, None]))) == 1


def test_a_trend_is_the_slope_over_equal_steps():
    generator = np.random.default_rng(0)
    label = (np.arange(80) % 5 < 2).astype(int)
    noise = generator.normal(size=(80, 3))
    quality = (0.2, 0.7, 1.2, 1.7)
    steps = [table_of(label, norm.cdf(by * label[:, None] + noise)) for by in quality]
    found = seeds.trend(steps)
    means = [seeds.score(step).estimates.mean() for step in steps]
    assert found.difference == pytest.approx(np.polyfit(range(4), means, 1)[0])
    assert 0 < found.low < found.difference < found.high and found.p < 0.05
    two = seeds.trend([steps[0], steps[-1].sample(frac=1, random_state=0)])
    np.testing.assert_allclose(two[:4], seeds.compare(steps[-1], steps[0])[:4])
    assert seeds.trend([steps[1]] * 4) == (0.0, 0.0, 0.0, 1.0, "no exam differs")
    with pytest.raises(InputError, match="in one of two"):
        seeds.trend([*steps, steps[0].assign(seed=9)])


def test_limits_of_a_deviation_hold_it_as_often_as_they_say():
    generator = np.random.default_rng(0)
    drawn = generator.normal(0, 0.02, (1000, 5)).std(axis=1, ddof=1)
    limits = np.array([seeds.deviation_limits(one, 5, 0.9) for one in drawn])
    assert 0.88 < ((limits[:, 0] < 0.02) & (limits[:, 1] > 0.02)).mean() < 0.92


def test_other_exams_and_seeds_are_refused():
    label, first, second = paired_models(6)
    table, other = (table_of(label, one[:, None]) for one in (first, second))
    with pytest.raises(InputError, match=r"seed 0, alexnet, acl: does not hold the same exams"):
        seeds.compare(table, other.assign(label=1 - other["label"]))
    with pytest.raises(InputError, match="seed 0, alexnet, acl: in one of two"):
        seeds.compare(table, other.assign(seed=1))
    with pytest.raises(InputError, match="seed 0, alexnet, meniscus: holds other exams"):
        seeds.score(pd.concat([table, other.assign(task="meniscus").iloc[1:]]))
    with pytest.raises(InputError, match="the table is empty"):
        seeds.score(table.iloc[:0])
    with pytest.raises(InputError, match="measure 'precision'"):
        seeds.score(table, "precision")


def test_scores_without_variance_or_of_other_shapes():
    constant = Score(np.array([0.5, 0.5]), np.zeros((4, 2)))
    assert seeds.interval(constant) == (0.5, 0.5, 0.5, "no variance")
    with pytest.raises(InputError, match=r"first has \(4, 2\) exams and seeds, second \(4, 1\)"):
        seeds.difference(constant, Score(np.array([0.5]), np.zeros((4, 1))))
