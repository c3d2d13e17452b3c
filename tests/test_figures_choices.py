"""The figures of the choices show what their tables say."""

import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection

from mrnetlib.figures import choices as pictures


def words(figure):
    return {
        word.get_text()
        for axes in figure.axes
        for word in [axes.title, axes.xaxis.label, *axes.get_yticklabels(), *axes.texts]
    }


def differences(each=((0.1, 0.0), (-0.2, 0.1))):
    rows = [
        ("one", "AlexNet, ACL tear", 0.05, 0.01, 0.2, 0.06, each[0]),
        ("one", "AlexNet, Abnormal", 0.15, 0.1, 0.2, 0.01, each[0]),
        ("two", "AlexNet, ACL tear", -0.05, -0.4, 0.1, 0.5, each[1]),
    ]
    return pd.DataFrame(rows, columns=["panel", "row", "difference", "low", "high", "p", "each"])


def dots(axes):
    """Place, value and whether it is filled, of every dot."""
    points = [drawn for drawn in axes.collections if isinstance(drawn, PathCollection)]
    return [
        (float(place), float(value), bool(face[:3].min() < 1))
        for drawn in points
        for (value, place), face in zip(drawn.get_offsets(), drawn.get_facecolors(), strict=True)
    ]


def segments(axes):
    """Both ends of every interval."""
    lines = [drawn for drawn in axes.collections if isinstance(drawn, LineCollection)]
    return [tuple(part[:, 0]) for drawn in lines for part in drawn.get_segments()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_rows_are_named_after_architecture_task_and_view():
    assert pictures.row_name("resnet18", "acl", "multi") == "ResNet-18, ACL tear, multi-view"
    assert pictures.row_name("alexnet", "average") == "AlexNet, average of the tasks"
    assert pictures.row_name("alexnet", "acl", "axial") == "AlexNet, ACL tear, axial"


def test_differences_fill_the_dots_whose_p_is_small():
    figure = pictures.differences(differences(), caption="a toy")
    one, two = figure.axes
    assert dots(one) == [(0, 0.05, False), (1, 0.15, True)]
    assert segments(one) == [(0.01, 0.2), (0.1, 0.2)]
    assert dots(two) == [(0, -0.05, False)], "a missing row stays empty"
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    ticks = [line for line in one.lines if line.get_marker() == "|"]
    assert list(ticks[0].get_xdata()) == [0.1, 0.0, 0.1, 0.0]
    assert "difference in AUC; ticks: single seeds" in words(figure)
    assert figure.get_supxlabel() == "a toy"
    assert one.get_xlim() == two.get_xlim()
    assert dots(pictures.differences(differences(), level=0.9).axes[0])[0][2]


def test_a_panel_may_have_a_scale_of_its_own():
    one, two = pictures.differences(differences(), own_scale=["two"]).axes
    assert one.get_xlim()[1] < 0.25 < two.get_xlim()[1]
    assert (one.get_title(), two.get_title()) == ("one", "two (other scale)")


def test_differences_of_one_seed_have_no_ticks_and_take_an_order():
    rows = ["AlexNet, Abnormal", "AlexNet, ACL tear"]
    figure = pictures.differences(differences(((0.1,), (0.1,))), rows=rows, number="the rate")
    assert not [line for line in figure.axes[0].lines if line.get_marker() == "|"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == rows
    assert dots(figure.axes[0]) == [(0, 0.15, True), (1, 0.05, False)]
    assert "difference in the rate" in words(figure)


def test_seed_strips_show_every_seed_and_the_studys_own_interval():
    table = pd.DataFrame([["a row", (0.8, 0.9, 0.7), 0.6, 0.95]])
    table.columns = ["row", "seeds", "low", "high"]
    figure = pictures.seed_strips(table, level=0.8)
    axes = figure.axes[0]
    assert "its 80% interval, by exams" in legend(figure)
    assert [dot[1:] for dot in dots(axes)] == [(0.8, True), (0.9, False), (0.7, False)]
    assert segments(axes) == [(0.6, 0.95)]


def test_learning_curves_have_a_panel_per_model_and_a_mark_per_number_of_exams():
    rows = [
        (panel, count, auc, auc - 0.1, auc + 0.05, (auc - 0.02, auc + 0.02))
        for panel in ("one", "two")
        for count, auc in ((60, 0.8), (15, 0.6), (30, 0.7))
    ]
    table = pd.DataFrame(rows, columns=["panel", "exams", "auc", "low", "high", "seeds"])
    figure = pictures.learning_curves(table)
    axes = figure.axes[0]
    assert "all seeds" in legend(figure)
    line = next(line for line in axes.lines if line.get_marker() == "o")
    assert list(line.get_xdata()) == [15, 30, 60]
    assert list(line.get_ydata()) == pytest.approx([0.6, 0.7, 0.8])
    band, bars = axes.collections
    assert band.get_datalim(axes.transData).y0 == pytest.approx(0.58)
    assert bars.get_segments()[0][:, 1] == pytest.approx([0.5, 0.65])
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["15", "30", "60"]


def test_learning_curves_name_the_exams_below_the_lowest_panel_of_each_column():
    panels = pd.DataFrame({"panel": list("abcde"), "low": 0.6, "high": 0.8, "exams": 15})
    table = pd.concat([panels.assign(seeds=[(0.7, 0.8)] * 5), panels.assign(seeds=[(0.6,)] * 5)])
    figure = pictures.learning_curves(table)
    shown = [axes.xaxis.label.get_visible() for axes in figure.axes[:5]]
    assert shown == [False, False, True, True, True]
    assert [axes.get_visible() for axes in figure.axes] == [True] * 5 + [False]


def test_chosen_planes_are_marked_for_both_kinds_of_exams():
    rows = [
        ("a row", "axial", 0.9, 0.8, 0.95, False, True),
        ("a row", "sagittal", 0.8, 0.7, 0.9, True, False),
    ]
    table = pd.DataFrame(rows, columns=["row", "plane", "auc", "low", "high", "by_tune", "by_test"])
    axes = pictures.chosen_planes(table).axes[0]
    marks = {line.get_marker(): line.get_xdata()[0] for line in axes.lines if line.get_ms() > 10}
    assert marks == {"o": 0.8, "s": 0.9}


def test_all_choices_stand_above_the_architectures():
    summary = pd.DataFrame(
        [
            ("first", "multi-view AUC", 0.1, 0.05, 0.15, 0.01),
            ("second", "accuracy", 0.1, 0.05, 0.15, 0.2),
        ],
        columns=["choice", "number", "difference", "low", "high", "p_holm"],
    )
    pairs = pd.DataFrame([("A against B", 0.02, 0.01, 0.03, 0.06)])
    pairs.columns = ["name", "difference", "low", "high", "p_holm"]
    figure = pictures.all_choices(summary, pairs, [-0.01, 0.01])
    axes, rates = figure.axes
    assert "p < 0.05 after Holm" in legend(figure)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert (names[0], names[-1]) == ("first", "A against B")
    assert dots(axes) == [(0, 0.1, True), (2, 0.02, False)]
    assert [label.get_text() for label in rates.get_yticklabels()] == ["second (accuracy)"]
    assert dots(rates) == [(0, 0.1, False)]
    ticks = next(line for line in axes.lines if line.get_marker() == "|")
    assert list(ticks.get_xdata()) == [-0.01, 0.01]
