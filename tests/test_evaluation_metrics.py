"""Measures and Table I on predictions whose right answers are known."""

import numpy as np
import pandas as pd
import pytest

from mrnetlib.evaluation.metrics import (
    best_planes,
    confusion,
    measures,
    rates,
    single_view,
    table_1,
    table_1_text,
)
from mrnetlib.files import InputError
from mrnetlib.names import ARCHITECTURES, PLANES, TASKS

LABEL = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
# probabilities with areas that can be counted by hand: wrong[k] puts k of 25 pairs in disorder
WRONG = {
    0: [0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9],
    5: [0.1, 0.1, 0.1, 0.1, 0.95, 0.9, 0.9, 0.9, 0.9, 0.9],
    10: [0.1, 0.1, 0.1, 0.95, 0.95, 0.9, 0.9, 0.9, 0.9, 0.9],
}


def rows(probability, split, **names):
    exams = [f"{split}{number}" for number in range(10)]
    own = pd.DataFrame({"exam": exams, "split": split, "label": LABEL, "probability": probability})
    return own.assign(**names)


def study(architectures=ARCHITECTURES):
    """Axial best on tune, sagittal best on test, coronal in between; fused perfect on test."""
    tune = {"axial": 0, "coronal": 5, "sagittal": 10}
    test = {"axial": 10, "coronal": 5, "sagittal": 0}
    predictions = pd.concat(
        rows(WRONG[wrong[plane]], split, architecture=architecture, plane=plane, task=task)
        for architecture in architectures
        for plane in PLANES
        for task in TASKS
        for split, wrong in (("tune", tune), ("test", test))
    )
    fused = pd.concat(
        rows(WRONG[0], split, architecture=architecture, task=task)
        for architecture in architectures
        for task in TASKS
        for split in ("tune", "test")
    )
    return predictions, fused


def test_counts_and_rates_at_a_threshold():
    label, probability = [1, 1, 1, 0, 0], [0.9, 0.5, 0.2, 0.5, 0.1]
    assert confusion(label, probability) == {"tp": 2, "fn": 1, "tn": 1, "fp": 1}  # 0.5 is positive
    assert rates(label, probability) == pytest.approx(
        {"sensitivity": 2 / 3, "specificity": 1 / 2, "accuracy": 3 / 5}
    )
    assert rates(label, probability, 0.9)["specificity"] == 1
    assert confusion([1, 1], [0.2, 0.9]) == {"tp": 1, "fn": 1, "tn": 0, "fp": 0}
    found = measures(label, probability)
    assert list(found) == ["auc", "sensitivity", "specificity", "accuracy", "n"]
    assert found["auc"] == pytest.approx((2 + 1.5 + 1) / 6)
    assert found["n"] == 5
    with pytest.raises(InputError, match="positive"):
        rates([1, 1], [0.2, 0.9])


def test_single_view_has_nine_rows_per_architecture():
    predictions, _ = study()
    table = single_view(predictions)
    columns = ["architecture", "plane", "class", "auc", "sensitivity", "specificity", "accuracy"]
    assert list(table.columns) == [*columns, "n"]
    assert len(table) == 27
    axial = table[table["plane"] == "axial"]
    assert set(axial["auc"]) == {15 / 25}
    assert set(axial["specificity"]) == {3 / 5}
    assert set(single_view(predictions, "tune").query("plane == 'axial'")["auc"]) == {1.0}
    with pytest.raises(InputError, match="no train exam"):
        single_view(predictions, "train")


def test_best_plane_is_chosen_on_the_split_asked_for():
    predictions, _ = study()
    table = best_planes(predictions)
    assert list(table.columns) == ["architecture", "task", "plane", "auc"]
    assert table["task"].tolist() == list(TASKS) * 3
    assert set(table["plane"]) == {"axial"}
    assert set(best_planes(predictions, "test")["plane"]) == {"sagittal"}


def test_a_tie_goes_to_the_first_plane_whatever_the_order_of_the_rows():
    predictions, _ = study(["alexnet"])
    tied = predictions.assign(probability=0.5)
    assert set(best_planes(tied)["plane"]) == {"axial"}
    assert set(best_planes(tied.iloc[::-1])["plane"]) == {"axial"}


def test_table_1_averages_what_it_says():
    table = table_1(*study())
    columns = ["architecture", "views", "class", "auc", "sensitivity", "specificity", "accuracy"]
    assert list(table.columns) == [*columns, "n"]
    assert table["architecture"].tolist() == [name for name in ARCHITECTURES for _ in range(6)]
    assert table["views"].tolist()[:6] == ["multi"] * 4 + ["single-best", "single-mean"]
    assert table["class"].tolist()[:6] == [*TASKS, "average", "average", "average"]
    auc = table.groupby("views")["auc"].unique().map(lambda values: values.tolist()).to_dict()
    # best on tune is axial, whose test area is 15 of 25; the mean is over 15, 20 and 25 of 25
    assert auc == {"multi": [1.0], "single-best": [0.6], "single-mean": [pytest.approx(0.8)]}
    assert table_1(*study(), select_on="test").query("views == 'single-best'")["auc"].eq(1).all()
    assert (table["n"] == 10).all()


def test_average_is_the_plain_mean_of_three_unequal_tasks():
    predictions, fused = study(["alexnet"])
    for task, wrong in zip(TASKS, (0, 5, 10), strict=True):
        chosen = (fused["task"] == task) & (fused["split"] == "test")
        fused.loc[chosen, "probability"] = WRONG[wrong]
    table = table_1(predictions, fused)
    assert table["auc"].tolist()[:4] == pytest.approx([1, 0.8, 0.6, 0.8])
    assert table["specificity"].tolist()[:4] == pytest.approx([1, 0.8, 0.6, 0.8])


def test_an_architecture_without_single_views_is_named():
    predictions, fused = study()
    with pytest.raises(InputError, match="googlenet: has fused predictions but no single-view"):
        table_1(predictions[predictions["architecture"] != "googlenet"], fused)


def test_one_class_only_names_the_network_and_the_class():
    predictions, fused = study(["alexnet"])
    with pytest.raises(InputError, match=r"alexnet .*test exams: all 10 exams are negative"):
        table_1(predictions, fused.assign(label=0))


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_printed_table_names_its_data_and_shows_the_paper_only_for_mrnet(form):
    table = table_1(*study())
    phantom = table_1_text(table, "phantom", "the digital knee", "tune", form)
    assert "study phantom: exams of the digital knee, 10 test exams" in phantom
    assert "the highest AUC on the tune exams" in phantom
    assert "0.8914" not in phantom and "(paper)" not in phantom
    assert "not comparable" in phantom
    real = table_1_text(table, "mrnet", "MRNet", "test", form)
    assert "0.8914" in real and "AUC (paper)" in real
    assert "the highest AUC on the test exams" in real
    assert "0.8000" in real  # rounded to four decimals


def test_printed_table_has_a_cell_for_every_column():
    table = table_1(*study(["alexnet", "densenet121"]))
    lines = table_1_text(table, "mrnet", "MRNet-v1.0", "tune").splitlines()
    assert {line.count("|") for line in lines if line.startswith("|")} == {12}
    assert "DenseNet-121" in "\n".join(lines)
    escaped = table_1_text(table, "a<b", "x & y", "tune", "html")
    assert "a&lt;b" in escaped and "x &amp; y" in escaped
    with pytest.raises(InputError, match="form 'latex'"):
        table_1_text(table, "a", "b", "tune", "latex")
