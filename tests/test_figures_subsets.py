"""Figures of studies of fewer planes, tasks or architectures, in whatever order these stand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from mrnetlib import figures
from mrnetlib.figures import choices
from mrnetlib.names import PLANE_TITLES, TASK_TITLES

SHAPES = [
    (("alexnet",), ("sagittal",), ("meniscus",)),
    (("resnet18", "alexnet"), ("sagittal", "axial"), ("acl",)),
    (("googlenet",), ("coronal",), ("meniscus", "abnormal")),
    (("mynet", "googlenet", "alexnet"), ("sagittal", "coronal", "axial"), ("acl", "abnormal")),
]
shapes = pytest.mark.parametrize(("architectures", "planes", "tasks"), SHAPES)
pytestmark = pytest.mark.filterwarnings("error")


def table(columns, *values, **more):
    """A row for each combination of values, with what else every row holds."""
    return pd.DataFrame(itertools.product(*values), columns=columns).assign(**more)


def titles(figure):
    """The panels' titles in reading order."""
    found = [axes.get_title("left") or axes.get_title() for axes in figure.axes]
    return [title for title in found if title]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def heights(axes):
    return [[bar.get_height() for bar in container] for container in axes.containers]


def ordered(values, order):
    return [value for value in order if value in values]


def predictions(architectures, planes, tasks):
    """Every network is right about four test exams."""
    parts = [
        table(["architecture", "plane", "task"], architectures, planes, tasks,
              exam=exam, split="test", label=label, probability=0.2 + 0.5 * label)
        for exam, label in (("a", 0), ("b", 1), ("c", 0), ("d", 1))
    ]  # fmt: skip
    return pd.concat(parts)


@shapes
def test_roc_curves_and_confusion_matrices(architectures, planes, tasks):
    single = predictions(architectures, planes, tasks)
    fused = single[single["plane"] == planes[0]].drop(columns="plane")
    curves = figures.roc_curves(fused, single)
    assert len(curves.axes) == len(architectures) * len(tasks)
    names = [text.get_text().split()[0] for text in curves.axes[0].get_legend().get_texts()]
    assert names == [*ordered(planes, PLANE_TITLES), "multi-view"]
    matrices = figures.confusion_matrices(fused)
    assert titles(matrices) == [TASK_TITLES[task] for task in ordered(tasks, TASK_TITLES)]
    assert len(matrices.axes) == len(architectures) * len(tasks)


@shapes
def test_single_vs_multi(architectures, planes, tasks):
    single = table(["architecture", "plane", "class"], architectures, planes, tasks, auc=0.7)
    multi = table(["architecture", "class"], architectures, [*tasks, "average"], views="multi")
    rest = table(["architecture", "views"], architectures, ["single-best", "single-mean"])
    table_1 = pd.concat([multi, rest.assign(**{"class": "average"})]).assign(auc=0.9)
    figure = figures.single_vs_multi(table_1, single)
    left, right = figure.axes[:2]
    assert heights(left) == [pytest.approx([0.2] * len(tasks))] * len(planes) + [
        pytest.approx([0.4] * len(tasks))
    ]
    assert heights(right) == [pytest.approx([0.4])] * 3
    assert legend(figure)[: len(planes)] == ordered(planes, PLANE_TITLES)
    assert len(titles(figure)) == len(architectures)


@shapes
def test_fusion_weights_of_the_planes_there_are(architectures, planes, tasks):
    weights = {plane: float(place) for place, plane in enumerate(PLANE_TITLES)}
    own = {plane: weights[plane] for plane in planes}
    figure = figures.fusion_weights(table(["architecture", "task"], architectures, tasks, **own))
    assert legend(figure) == ordered(planes, PLANE_TITLES)
    expected = [[weights[plane]] * len(tasks) for plane in legend(figure)]
    assert heights(figure.axes[0]) == expected
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert shown == [TASK_TITLES[task] for task in ordered(tasks, TASK_TITLES)]


@shapes
def test_training_curves(architectures, planes, tasks):
    del architectures
    numbers = {"train_loss": 0.3, "tune_loss": 0.4, "tune_auc": 0.8}
    history = table(["epoch", "plane", "task"], [1, 2], planes, tasks, **numbers)
    figure = figures.training_curves(history.assign(best=history["epoch"] - 1))
    assert len(titles(figure)) == (len(planes) + 1) * len(tasks)
    first = f"{PLANE_TITLES[ordered(planes, PLANE_TITLES)[0]]}, "
    assert titles(figure)[0] == first + TASK_TITLES[ordered(tasks, TASK_TITLES)[0]]
    assert legend(figure)[5:] == ordered(planes, PLANE_TITLES)


def test_training_curves_without_one_of_the_networks():
    history = pd.DataFrame({"epoch": [1, 1, 1], "plane": ["axial", "axial", "sagittal"]})
    history = history.assign(task=["acl", "abnormal", "acl"], best=1)
    history = history.assign(train_loss=0.3, tune_loss=0.4, tune_auc=0.8)
    shown = [axes.axison for axes in figures.training_curves(history).axes]
    assert shown == [True, True, False, True, True, True]


@shapes
def test_pipeline_draws_the_studys_own_networks(architectures, planes, tasks):
    del architectures
    figure = figures.pipeline(planes=planes, tasks=tasks)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert sum(word.startswith("CNN") for word in words) == len(planes) * len(tasks)
    assert [word for word in words if word in PLANE_TITLES.values()] == [
        PLANE_TITLES[plane] for plane in ordered(planes, PLANE_TITLES)
    ]


@pytest.mark.parametrize("planes", [("sagittal",), ("sagittal", "axial")])
def test_exams_of_fewer_planes(planes):
    counts = pd.DataFrame({f"slices_{plane}": [17, 30, 61] for plane in planes})
    assert titles(figures.slices_per_exam(counts)) == [
        PLANE_TITLES[plane] for plane in ordered(planes, PLANE_TITLES)
    ]
    volumes = {plane: np.zeros((9, 16, 16), np.uint8) for plane in planes}
    assert len(figures.exam(volumes, slices=6).axes) == 6 * len(planes)


def test_chosen_planes_stand_around_their_row():
    rows = table(["row", "plane"], ["one", "two"], ["sagittal", "axial"], auc=0.8, low=0.7)
    rows = rows.assign(high=0.9, by_tune=rows["plane"] == "axial", by_test=False)
    figure = choices.chosen_planes(rows)
    assert legend(figure)[:2] == ["axial", "sagittal"]
    places = figure.axes[0].collections[-1].get_offsets()[:, 1]
    assert sorted(places) == pytest.approx([-0.12, 0.12, 0.88, 1.12])
    alone = choices.chosen_planes(rows[rows["plane"] == "sagittal"])
    assert list(alone.axes[0].collections[-1].get_offsets()[:, 1]) == [0, 1]


def test_all_choices_of_one_architecture():
    columns = ["choice", "number", "difference", "low", "high", "p_holm"]
    summary = pd.DataFrame([("first", "multi-view AUC", 0.1, 0.05, 0.15, 0.01)], columns=columns)
    none = pd.DataFrame(columns=["name", "difference", "low", "high", "p_holm"])
    (axes,) = choices.all_choices(summary, none, [0.01]).axes
    assert [label.get_text().split(",")[0] for label in axes.get_yticklabels()] == [
        "first",
        "one seed",
    ]
    assert axes.get_xlabel() == "difference in the multi-view AUC"
