"""The figures about the paper's table show what their tables say."""

import pandas as pd
from matplotlib.collections import PathCollection

from mrnetlib.evaluation import published
from mrnetlib.figures.published import coverage, exams_needed, granularity, published_areas


def text(figure):
    return {word.get_text() for axes in figure.axes for word in [axes.title, *axes.texts]}


def test_published_areas_draws_every_interval_in_its_class():
    rows = [("acl", "A", 0.9, 0.8, 0.95, True), ("acl", "B", 0.7, 0.6, 0.8, False)]
    table = pd.DataFrame(rows, columns=["class", "model", "auc", "low", "high", "own"])
    figure = published_areas(pd.concat([table, table.assign(**{"class": "meniscus"})]))
    assert [axes.get_title() for axes in figure.axes] == ["ACL tear", "Meniscus tear"]
    lines = figure.axes[0].collections[-1].get_segments()
    assert [(line[0, 0], line[1, 0]) for line in lines] == [(0.8, 0.95), (0.6, 0.8)]
    assert {"0.900", "0.700"} <= text(figure)


def test_granularity_marks_what_fits():
    single = published.TABLE_1.query("views == 'single'")
    figure = granularity(single, published.TEST_EXAMS, [3, 9])
    assert "ResNet-18: 0.7537" in text(figure)
    points = [
        [c for c in axes.collections if isinstance(c, PathCollection)] for axes in figure.axes
    ]
    # a cross is a marker without a filled area, a dot has one
    filled = [[len(point.get_paths()[0].vertices) > 4 for point in own] for own in points]
    assert filled == [[True, True], [False, True], [False, True]]


def test_coverage_has_a_line_per_method_and_a_panel_per_class():
    rows = [
        (kind, 9, 8, area, method, 0.94)
        for kind in ("abnormal", "acl")
        for area in (0.8, 0.9)
        for method in ("one", "two")
    ]
    columns = ["class", "positives", "negatives", "area", "method", "coverage"]
    figure = coverage(pd.DataFrame(rows, columns=columns), 0.95, 100)
    assert len(figure.axes) == 2
    first, last = figure.axes
    assert first.get_legend() is None
    assert [label.get_text() for label in last.get_legend().get_texts()] == ["one", "two"]
    assert len([line for line in first.lines if len(line.get_xdata()) == 2]) >= 2
    assert "Abnormal\n9 positive, 8 negative" in text(figure)


def test_exams_needed_is_logarithmic_and_names_its_marks():
    rows = [("easy", 0.0, 100), ("easy", 0.5, 60), ("hard", 0.0, 9000), ("hard", 0.5, 5000)]
    table = pd.DataFrame(rows, columns=["comparison", "correlation", "exams"])
    figure = exams_needed(table, {"tested": 120})
    assert figure.axes[0].get_yscale() == "log"
    assert "tested: 120" in text(figure)
