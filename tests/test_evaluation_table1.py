"""Table I with intervals and tests: the same numbers, and what planted differences do."""

import numpy as np
import pandas as pd
import pytest
from conftest import paired_models
from planted_predictions import noisy_study, ordered_rows, ordered_study, seeded_study
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score

from mrnetlib import fusion
from mrnetlib.evaluation.comparisons import Comparison, mcnemar
from mrnetlib.evaluation.metrics import MEASURES, Measure, best_planes, single_view
from mrnetlib.evaluation.printed import table_1_text
from mrnetlib.evaluation.roc import Interval, auc, auc_interval, influence, wilson_interval
from mrnetlib.evaluation.table1 import (
    Row,
    compare,
    interval,
    rows,
    table_1,
    table_1_comparisons,
    table_1_intervals,
)
from mrnetlib.files import InputError
from mrnetlib.names import ARCHITECTURES, TASKS


def two(label, first, second):
    """Two rows of one model each."""
    return (Row("", "", "", [(np.asarray(label), np.asarray(model))]) for model in (first, second))


def own(table, task, architecture):
    chosen = (table["task"] == task) & (table["architecture"] == architecture)
    return table[chosen & (table["split"] == "test")]


def test_intervals_stand_behind_table_1s_own_numbers():
    predictions, fused = noisy_study()
    table = table_1_intervals(predictions, fused)
    plain = table_1(predictions, fused)
    pd.testing.assert_frame_equal(table[plain.columns.tolist()], plain)
    for measure in MEASURES:
        low, high = table[f"{measure}_low"], table[f"{measure}_high"]
        assert ((low <= table[measure]) & (table[measure] <= high)).all()
        assert low.between(0, 1).all() and high.between(0, 1).all()
    assert table.notna().all().all()


def test_class_rows_carry_delongs_and_wilsons_intervals():
    predictions, fused = noisy_study()
    row = table_1_intervals(predictions, fused).iloc[1]
    given = own(fused, "acl", "alexnet")
    area = auc_interval(given["label"], given["probability"])
    assert (row["auc_low"], row["auc_high"]) == (area.low, area.high)
    right = int(((given["probability"] >= 0.5) == (given["label"] == 1)).sum())
    accuracy = wilson_interval(right, 120)
    assert (row["accuracy_low"], row["accuracy_high"]) == (accuracy.low, accuracy.high)


def test_interval_of_an_average_covers_the_true_average():
    # three tasks on the same 120 exams whose models share noise; true areas from the binormal model
    generator = np.random.default_rng(11)
    strengths = np.array([1.6, 2.0, 1.2])
    truth = norm.cdf(strengths / np.sqrt(2)).mean()
    covered = 0
    for _ in range(300):
        label = generator.random((120, 3)) < 0.45
        noise = 0.6 * generator.normal(size=(120, 1)) + 0.8 * generator.normal(size=(120, 3))
        probability = norm.cdf(strengths * (label - 0.5) + noise)
        models = [(label[:, task].astype(int), probability[:, task]) for task in range(3)]
        found = interval(Row("a", "multi", "average", models), "auc")
        covered += found.low <= truth <= found.high
    assert 0.91 < covered / 300 < 0.985


def test_comparisons_find_the_planted_differences():
    predictions, fused = noisy_study()
    table = table_1_comparisons(predictions, fused)
    assert len(table) == 3 * 4 + 3 * 2 + 2, "the last two on the mean over architectures"
    by_pair = table.set_index(["first", "second", "class"])
    same = by_pair.loc[("alexnet multi", "resnet18 multi", "average")]
    other = by_pair.loc[("alexnet multi", "googlenet multi", "average")]
    views = by_pair.loc[("alexnet multi", "alexnet single-best", "average")]
    assert same["low"] < 0 < same["high"] and same["p_holm"] > 0.05
    assert other["low"] > 0 and other["p_holm"] < 0.001
    assert views["low"] > 0 and views["p_holm"] < 0.001
    assert (table["p_holm"] >= table["p"]).all()


def test_comparisons_of_a_class_are_the_paired_tests():
    predictions, fused = noisy_study()
    one, other = (own(fused, "meniscus", name) for name in ("alexnet", "googlenet"))
    label, first, second = one["label"], one["probability"], other["probability"]
    key = ("alexnet multi", "googlenet multi", "meniscus")
    area = table_1_comparisons(predictions, fused).set_index(["first", "second", "class"]).loc[key]
    expected = compare(*(Row("", "", "", [(label, model)]) for model in (first, second)), "auc")
    assert (area["difference"], area["p"]) == pytest.approx((expected.difference, expected.p))
    assert area["method"] == "DeLong, paired"
    right = table_1_comparisons(predictions, fused, "accuracy")
    right = right.set_index(["first", "second", "class"]).loc[key]
    called = [(model >= 0.5) == (label == 1) for model in (first, second)]
    assert right["p"] == mcnemar(*called)
    assert right["difference"] == pytest.approx(called[0].mean() - called[1].mean())
    assert right["method"] == "McNemar, exact"


@pytest.mark.parametrize("kind", ["perfect", "constant", "one positive", "identical"])
def test_degenerate_predictions_give_numbers_not_nan(kind):
    predictions, fused = noisy_study(exams=20, architectures=["alexnet", "googlenet"])
    if kind == "one positive":
        first = (predictions["exam"] == "0020") | (predictions["exam"] == "0000")
        predictions["label"] = first.astype(int)
        fused["label"] = fused["exam"].isin(["0020", "0000"]).astype(int)
    elif kind == "perfect":
        fused["probability"] = fused["label"].astype(float)
    elif kind == "constant":
        fused["probability"] = 0.5
    else:
        fused["probability"] = np.tile(fused["probability"][:40].to_numpy(), 6)
    for table in (
        table_1_intervals(predictions, fused),
        *(table_1_comparisons(predictions, fused, measure) for measure in MEASURES),
    ):
        numbers = table.select_dtypes("number")
        assert np.isfinite(numbers.to_numpy()).all()


def test_different_exams_in_fused_and_single_view_are_refused():
    predictions, fused = noisy_study()
    renamed = fused.assign(exam=fused["exam"].replace("0200", "9999"))
    with pytest.raises(InputError, match="does not hold the same exams"):
        table_1_intervals(predictions, renamed)
    with pytest.raises(InputError, match="measure 'f1'"):
        table_1_comparisons(predictions, fused, "f1")
    with pytest.raises(InputError, match="googlenet abnormal: has fused predictions"):
        table_1_comparisons(predictions[predictions["architecture"] != "googlenet"], fused)


def test_rows_of_fused_predictions_may_come_in_any_order():
    predictions, fused = noisy_study()
    shuffled = fused.sample(frac=1, random_state=0)
    expected = table_1_intervals(predictions, fused).set_index(["architecture", "views", "class"])
    found = table_1_intervals(predictions, shuffled).set_index(["architecture", "views", "class"])
    pd.testing.assert_frame_equal(found.loc[expected.index], expected)
    assert best_planes(predictions, "test").shape == (9, 4)


def test_table_1_averages_what_it_says():
    table = table_1(*ordered_study())
    columns = ["architecture", "views", "class", "auc", "sensitivity", "specificity", "accuracy"]
    assert list(table.columns) == [*columns, "n"]
    assert table["architecture"].tolist() == [name for name in ARCHITECTURES for _ in range(6)]
    assert table["views"].tolist()[:6] == ["multi"] * 4 + ["single-best", "single-mean"]
    assert table["class"].tolist()[:6] == [*TASKS, "average", "average", "average"]
    auc = table.groupby("views")["auc"].unique().map(lambda values: values.tolist()).to_dict()
    # best on tune is axial, whose test area is 15 of 25; the mean is over 15, 20 and 25 of 25
    assert auc == {"multi": [1.0], "single-best": [0.6], "single-mean": [pytest.approx(0.8)]}
    best = table_1(*ordered_study(), select_on="test").query("views == 'single-best'")
    assert best["auc"].eq(1).all()
    assert (table["n"] == 10).all()


def test_average_is_the_plain_mean_of_three_unequal_tasks():
    predictions, fused = ordered_study(["alexnet"])
    for task, wrong in zip(TASKS, (0, 5, 10), strict=True):
        chosen = (fused["task"] == task) & (fused["split"] == "test")
        fused.loc[chosen, "probability"] = ordered_rows(wrong, "test")["probability"].to_numpy()
    table = table_1(predictions, fused)
    assert table["auc"].tolist()[:4] == pytest.approx([1, 0.8, 0.6, 0.8])
    assert table["specificity"].tolist()[:4] == pytest.approx([1, 0.8, 0.6, 0.8])


def without(table, **names):
    """A table without the rows of these names."""
    return table[~np.logical_and.reduce([table[key] == name for key, name in names.items()])]


@pytest.mark.parametrize("make", [table_1, table_1_intervals, table_1_comparisons])
def test_a_row_without_counterpart_is_named(make):
    predictions, fused = ordered_study()
    with pytest.raises(InputError, match=r"googlenet abnormal: has fused .* but no single-view"):
        make(without(predictions, architecture="googlenet"), fused)
    with pytest.raises(InputError, match=r"alexnet acl: has single-view .* but no fused"):
        make(predictions, without(fused, architecture="alexnet", task="acl"))
    lacking = without(predictions, architecture="alexnet", task="acl", plane="coronal")
    with pytest.raises(InputError, match="alexnet acl coronal: no predictions"):
        make(lacking, fused)
    with pytest.raises(InputError, match="hold no test exam"):
        make(predictions, fused[fused["split"] == "tune"])
    with pytest.raises(InputError, match="alexnet acl, test exams: exam test3 is listed twice"):
        make(predictions, pd.concat([fused, fused.query("exam == 'test3'")[1:2]]))


def test_one_class_only_names_the_model_and_the_class():
    predictions, fused = ordered_study(["alexnet"])
    predictions.loc[predictions["split"] == "test", "label"] = 0
    with pytest.raises(InputError, match=r"alexnet multi abnormal, test exams: all 10 .*negative"):
        table_1(predictions, fused.assign(label=0))


def balanced():
    """Balanced accuracy: the mean of sensitivity and specificity."""
    parts = MEASURES["sensitivity"], MEASURES["specificity"]

    def shares(*given):
        found = [part.influence(*given) for part in parts]
        return tuple(sum(values) / 2 for values in zip(*found, strict=True))

    def limits(label, probability, level):
        estimate, share = shares(label, probability)
        half = norm.ppf((1 + level) / 2) * np.sqrt((share**2).sum())
        return Interval(estimate, estimate - half, estimate + half, "normal")

    return Measure("Balanced accuracy", lambda *given: shares(*given)[0], shares, limits)


def test_a_measure_is_added_in_one_place(monkeypatch):
    predictions, fused = noisy_study()
    before = table_1(predictions, fused), table_1_intervals(predictions, fused)
    monkeypatch.setitem(MEASURES, "balanced", balanced())
    table, limits = table_1(predictions, fused), table_1_intervals(predictions, fused)
    given = own(fused, "acl", "alexnet")
    known = balanced_accuracy_score(given["label"], given["probability"] >= 0.5)
    assert table.loc[1, "balanced"] == pytest.approx(known)
    for old, new in zip(before, (table, limits), strict=True):
        pd.testing.assert_frame_equal(new[old.columns], old)
    assert (limits["balanced_low"] < limits["balanced"]).all()
    assert (limits["balanced"] < limits["balanced_high"]).all()
    assert "balanced" in single_view(predictions)
    text = table_1_text(table, "a", "MRNet", "tune")
    assert f"| {known:.4f} |" in text.splitlines()[5]
    assert "| Balanced accuracy |" in text and "Balanced accuracy (paper)" not in text
    tests = table_1_comparisons(predictions, fused, "balanced")
    far = tests[(tests["second"] == "googlenet multi") & (tests["class"] == "average")]
    assert far["low"].gt(0).all() and set(tests["method"]) == {"normal, paired"}


@pytest.mark.parametrize("planes", [("axial", "sagittal"), ("sagittal",)])
@pytest.mark.parametrize("task", ["acl"])
def test_a_study_of_fewer_planes_tasks_and_architectures_has_its_table(planes, task):
    predictions, _ = noisy_study(architectures=["alexnet"])
    chosen = predictions["plane"].isin(planes) & (predictions["task"] == task)
    predictions = predictions[chosen]
    wide = fusion.by_plane(predictions, planes)
    about = {"architecture": "alexnet", "task": task}
    fused = fusion.fuse(wide, "tune").assign(**about)
    table = table_1(predictions, fused)
    assert table["views"].tolist() == ["multi", "multi", "single-best", "single-mean"]
    assert [len(row.models) for row in rows(predictions, fused)] == [1, 1, 1, len(planes)]
    assert table.loc[0, "auc"] == table.loc[1, "auc"]
    single = single_view(predictions)["auc"]
    assert table.loc[3, "auc"] == pytest.approx(single.mean())
    limits = table_1_intervals(predictions, fused)
    assert np.isfinite(limits.select_dtypes("number").to_numpy()).all()
    tests = table_1_comparisons(predictions, fused)
    assert tests["second"].tolist() == ["alexnet single-best", "alexnet single-mean"]
    assert (tests["p"] == 1).all() or len(planes) > 1, "one plane's fusion orders the exams alike"
    text = table_1_text(table, "small", "MRNet", "tune")
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 2 + 4


def test_one_models_difference_is_delongs():
    label, first, second = paired_models(0)
    areas, share = influence(label, np.column_stack([first, second]))
    covariance = share.T @ share
    found = compare(*two(label, first, second), "auc")
    deviation = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    z = (areas[0] - areas[1]) / deviation
    assert found.method == "DeLong, paired"
    assert found.p == pytest.approx(2 * norm.cdf(-abs(z)), rel=1e-9)
    assert found.low == pytest.approx(areas[0] - areas[1] - 1.959964 * deviation, abs=1e-7)
    assert found.high == pytest.approx(areas[0] - areas[1] + 1.959964 * deviation, abs=1e-7)
    turned = compare(*two(label, second, first), "auc")
    assert found.difference == pytest.approx(-turned.difference)
    assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low))


def test_delong_finds_a_planted_difference_and_is_seldom_wrong_without_one():
    planted = compare(*two(*paired_models(3, better=1.0)), "auc")
    assert planted.low > 0 and planted.p < 0.01
    pairs = [two(*paired_models(seed, better=0.0)) for seed in range(600)]
    wrong = sum(compare(*pair, "auc").p < 0.05 for pair in pairs)
    assert 0.03 < wrong / 600 < 0.075


@pytest.mark.parametrize(
    "label, first, second, difference",
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], [0.5, 0.5, 0.5, 0.5], 0.5),  # perfect, constant
        ([0, 0, 1, 1], [0.8, 0.9, 0.1, 0.2], [0.1, 0.2, 0.8, 0.9], -1.0),  # all wrong, perfect
        ([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.9], [0.5, 0.6, 0.1, 0.2], 2 / 3),  # one positive
    ],
)
def test_a_difference_without_variance_is_cautious(label, first, second, difference):
    found = compare(*two(label, first, second), "auc")
    assert found.method == "square and add"
    assert found.difference == pytest.approx(difference)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert 0.005 < found.p <= 1  # four exams cannot convince


def test_models_that_order_exams_alike_do_not_differ():
    label, first, _ = paired_models(5)
    found = compare(*two(label, first, first**2), "auc")
    assert found == Comparison(0.0, 0.0, 0.0, 1.0, "no exam differs")
    assert compare(*two(label, np.full(120, 0.5), np.full(120, 0.9)), "auc").p == 1


def test_numbers_are_means_over_seeds_of_each_seeds_measure():
    predictions, fused = seeded_study(seeds=3, counts={"tune": 20, "test": 40})
    table = table_1(predictions, fused)
    alone = [
        table_1(predictions[predictions["seed"] == seed], fused[fused["seed"] == seed])
        for seed in range(3)
    ]
    fixed = table["views"] != "single-best"  # a single seed may choose another plane
    for measure in MEASURES:
        mean = np.mean([one[measure] for one in alone], axis=0)
        assert table.loc[fixed, measure].to_numpy() == pytest.approx(mean[fixed])
    assert (table["n"] == 40).all()
    pooled = own(fused, "acl", "alexnet")
    assert table.loc[1, "auc"] != auc(pooled["label"], pooled["probability"])


def test_architectures_may_have_other_numbers_of_seeds():
    predictions, fused = seeded_study(seeds=3, counts={"tune": 20, "test": 40})
    kept = [t[(t["architecture"] != "googlenet") | (t["seed"] == 0)] for t in (predictions, fused)]
    table = table_1_intervals(*kept).set_index(["architecture", "views", "class"])
    assert table.loc[("alexnet", "multi", "acl"), "covers"] == "exams, 3 seeds"
    one = table.loc[("googlenet", "multi", "acl")]
    single = own(kept[1], "acl", "googlenet")
    expected = auc_interval(single["label"], single["probability"])
    assert (one["covers"], one["auc_low"]) == ("exams, one seed", expected.low)
    tests = table_1_comparisons(*kept)
    assert tests["covers"].iloc[-1] == "exams, 1 to 3 seeds"
    assert np.isfinite(tests.select_dtypes("number").to_numpy()).all()


@pytest.mark.parametrize("kind", ["perfect", "constant", "all called positive"])
def test_degenerate_seeds_give_numbers_within_their_range(kind):
    predictions, fused = seeded_study(seeds=3, counts={"tune": 20, "test": 30}, architectures=["a"])
    values = {"perfect": fused["label"], "constant": 0.5}
    fused["probability"] = values.get(kind, 0.5 + fused["probability"] / 2)
    if kind == "all called positive":  # one seed lets a single exam go
        first = fused.index[(fused["split"] == "test") & (fused["label"] == 0)][0]
        fused.loc[first, "probability"] = 0.1
    table = table_1_intervals(predictions, fused)
    for measure in MEASURES:
        low, high = table[f"{measure}_low"], table[f"{measure}_high"]
        assert (
            low.between(0, table[measure] + 1e-12).all() and high.between(table[measure], 1).all()
        )
    widths = table["specificity_high"] - table["specificity_low"]
    assert widths.min() > 0.03, "thirty exams are never sure"
