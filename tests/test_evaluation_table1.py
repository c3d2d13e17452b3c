"""Table I with intervals and tests: the same numbers, and what planted differences do."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mrnetlib.evaluation.comparisons import mcnemar, paired_delong
from mrnetlib.evaluation.metrics import MEASURES, best_planes, table_1
from mrnetlib.evaluation.roc import auc_interval, wilson_interval
from mrnetlib.evaluation.table1 import Row, _row_interval, table_1_comparisons, table_1_intervals
from mrnetlib.files import InputError
from mrnetlib.names import PLANES, TASKS

STRENGTH = {"alexnet": 2.5, "resnet18": 2.5, "googlenet": 0.6}  # of the fused models
SINGLE = 0.8


def study(seed=0, exams=120, architectures=tuple(STRENGTH)):
    """Fused models of planted strength; every single view is weaker than the good ones."""
    generator = np.random.default_rng(seed)
    label = {task: generator.random(2 * exams) < 0.45 for task in TASKS}
    numbers = [f"{number:04d}" for number in range(2 * exams)]
    split = ["tune"] * exams + ["test"] * exams

    def rows(strength, task, **names):
        score = generator.normal(strength * (label[task] - 0.5), 1)
        own = {"exam": numbers, "split": split, "label": label[task].astype(int)}
        return pd.DataFrame({**own, "probability": 1 / (1 + np.exp(-score))}).assign(
            task=task, **names
        )

    predictions = pd.concat(
        rows(SINGLE, task, architecture=architecture, plane=plane)
        for architecture in architectures
        for plane in PLANES
        for task in TASKS
    )
    fused = pd.concat(
        rows(STRENGTH[architecture], task, architecture=architecture)
        for architecture in architectures
        for task in TASKS
    )
    return predictions, fused


def own(table, task, architecture):
    chosen = (table["task"] == task) & (table["architecture"] == architecture)
    return table[chosen & (table["split"] == "test")]


def test_intervals_stand_behind_table_1s_own_numbers():
    predictions, fused = study()
    table = table_1_intervals(predictions, fused)
    plain = table_1(predictions, fused)
    pd.testing.assert_frame_equal(table[plain.columns.tolist()], plain)
    for measure in MEASURES:
        low, high = table[f"{measure}_low"], table[f"{measure}_high"]
        assert ((low <= table[measure]) & (table[measure] <= high)).all()
        assert low.between(0, 1).all() and high.between(0, 1).all()
    assert table.notna().all().all()


def test_class_rows_carry_delongs_and_wilsons_intervals():
    predictions, fused = study()
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
        found = _row_interval(Row("a", "multi", "average", models), "auc", 0.95)
        covered += found.low <= truth <= found.high
    assert 0.91 < covered / 300 < 0.985


def test_comparisons_find_the_planted_differences():
    predictions, fused = study()
    table = table_1_comparisons(predictions, fused)
    assert len(table) == 3 * 4 + 3 * 2
    by_pair = table.set_index(["first", "second", "class"])
    same = by_pair.loc[("alexnet multi", "resnet18 multi", "average")]
    other = by_pair.loc[("alexnet multi", "googlenet multi", "average")]
    views = by_pair.loc[("alexnet multi", "alexnet single-best", "average")]
    assert same["low"] < 0 < same["high"] and same["p_holm"] > 0.05
    assert other["low"] > 0 and other["p_holm"] < 0.001
    assert views["low"] > 0 and views["p_holm"] < 0.001
    assert (table["p_holm"] >= table["p"]).all()


def test_comparisons_of_a_class_are_the_paired_tests():
    predictions, fused = study()
    one, other = (own(fused, "meniscus", name) for name in ("alexnet", "googlenet"))
    given = one["label"], one["probability"], other["probability"]
    key = ("alexnet multi", "googlenet multi", "meniscus")
    area = table_1_comparisons(predictions, fused).set_index(["first", "second", "class"]).loc[key]
    expected = paired_delong(*given)
    assert (area["difference"], area["p"]) == pytest.approx((expected.difference, expected.p))
    right = table_1_comparisons(predictions, fused, "accuracy")
    right = right.set_index(["first", "second", "class"]).loc[key]
    assert right["p"] == mcnemar(*given)["p"]
    assert right["difference"] == pytest.approx(mcnemar(*given)["difference"])
    assert right["method"] == "McNemar, exact"


@pytest.mark.parametrize("kind", ["perfect", "constant", "one positive", "identical"])
def test_degenerate_predictions_give_numbers_not_nan(kind):
    predictions, fused = study(exams=20, architectures=["alexnet", "googlenet"])
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
    predictions, fused = study()
    renamed = fused.assign(exam=fused["exam"].replace("0200", "9999"))
    with pytest.raises(InputError, match="does not hold the same exams"):
        table_1_intervals(predictions, renamed)
    with pytest.raises(InputError, match="measure 'f1'"):
        table_1_comparisons(predictions, fused, "f1")
    with pytest.raises(InputError, match="googlenet: has fused predictions"):
        table_1_comparisons(predictions[predictions["architecture"] != "googlenet"], fused)


def test_rows_of_fused_predictions_may_come_in_any_order():
    predictions, fused = study()
    shuffled = fused.sample(frac=1, random_state=0)
    expected = table_1_intervals(predictions, fused).set_index(["architecture", "views", "class"])
    found = table_1_intervals(predictions, shuffled).set_index(["architecture", "views", "class"])
    pd.testing.assert_frame_equal(found.loc[expected.index], expected)
    assert best_planes(predictions, "test").shape == (9, 4)
