"""Figures of results: ROC curves, single- against multi-view, confusion matrices, fusion."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from sklearn.metrics import roc_curve

from mrnetlib.evaluation.roc import auc
from mrnetlib.figures.style import (
    MULTI_COLOUR,
    PLANE_COLOURS,
    PLANE_HATCHES,
    PLANE_LINES,
    StudyFigure,
    new_figure,
    style,
)
from mrnetlib.names import (
    ARCHITECTURES,
    PLANE_TITLES,
    PLANES,
    TASK_TITLES,
    TASKS,
    architecture_title,
)


def _in_order(values: pd.Series, order: tuple[str, ...]) -> list[str]:
    """The values that occur, known ones first in their order."""
    found = list(dict.fromkeys(values))
    return [v for v in order if v in found] + [v for v in found if v not in order]


def roc_curves(
    fused: pd.DataFrame, predictions: pd.DataFrame, *, split: str = "test", caption: str = ""
) -> StudyFigure:
    """ROC curves per architecture (rows) and task (columns), multi-view against the planes.

    Parameters
    ----------
    fused : columns architecture, task, split, label, probability: the multi-view predictions.
    predictions : the same and plane: those of the single networks.
    split : whose exams are shown.
    """
    fused, predictions = (table[table["split"] == split] for table in (fused, predictions))
    architectures = _in_order(fused["architecture"], ARCHITECTURES)
    tasks = _in_order(fused["task"], TASKS)
    with style():
        figure = new_figure(0.45 + 3.1 * len(architectures), caption)
        grid = figure.subplots(
            len(architectures), len(tasks), squeeze=False, sharex=True, sharey=True
        )
        for row, architecture in zip(grid, architectures, strict=True):
            for axes, task in zip(row, tasks, strict=True):
                chosen = f"architecture == {architecture!r} and task == {task!r}"
                _roc_panel(axes, fused.query(chosen), predictions.query(chosen))
            row[0].set_ylabel(f"{architecture_title(architecture)}\nsensitivity", weight="bold")
        for axes, task in zip(grid[0], tasks, strict=True):
            labels = fused.query(f"architecture == {architectures[0]!r} and task == {task!r}")[
                "label"
            ]
            title = (
                f"{TASK_TITLES[task]}\n{int(labels.sum())} of {len(labels)} {split} exams positive"
            )
            axes.set_title(title, fontsize=9.5)
        for axes in grid[-1]:
            axes.set_xlabel("1 − specificity")
    return figure


def _roc_panel(axes: Axes, fused: pd.DataFrame, predictions: pd.DataFrame) -> None:
    axes.plot([0, 1], [0, 1], color="#BBBBBB", lw=0.8)
    for plane in _in_order(predictions["plane"], PLANES):
        rows = predictions[predictions["plane"] == plane]
        _roc(axes, rows, PLANE_TITLES[plane].lower(), PLANE_COLOURS[plane], PLANE_LINES[plane], 1.4)
    _roc(axes, fused, "multi-view", MULTI_COLOUR, "-", 2.2)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes.legend(
        loc="lower right", fontsize=7.5, handlelength=2.4, borderaxespad=0.2, labelspacing=0.3,
        title="AUC", title_fontsize=7.5, alignment="right",
    )  # fmt: skip


def _roc(axes: Axes, rows: pd.DataFrame, name: str, colour: str, line, width: float) -> None:
    false_positive, true_positive, _ = roc_curve(rows["label"], rows["probability"])
    label = f"{name} {auc(rows['label'], rows['probability']):.2f}"
    axes.plot(false_positive, true_positive, color=colour, ls=line, lw=width, label=label)


def single_vs_multi(
    table_1: pd.DataFrame, single_view: pd.DataFrame, *, caption: str = ""
) -> StudyFigure:
    """AUC of the single planes and of their fusion, a panel per architecture.

    Parameters
    ----------
    table_1 : as in ``table1.csv``: columns architecture, views (multi, single-best, single-mean),
        class, auc.
    single_view : as in ``single_view.csv``: columns architecture, plane, class, auc.

    Notes
    -----
    Bars begin at 0.5, the AUC of guessing: a bar that hangs is worse than that.
    """
    architectures = _in_order(table_1["architecture"], ARCHITECTURES)
    lowest = min(table_1["auc"].min(), single_view["auc"].min())
    with style():
        figure = new_figure(0.6 + 1.85 * len(architectures), caption)
        panels = figure.subplots(len(architectures), 1, squeeze=False, sharex=True)[:, 0]
        for axes, architecture in zip(panels, architectures, strict=True):
            of_table = table_1[table_1["architecture"] == architecture]
            _bars(axes, of_table, single_view[single_view["architecture"] == architecture])
            axes.set_title(architecture_title(architecture), loc="left")
            axes.set(ylabel="AUC", ylim=(min(0.5, lowest - 0.06), 1.06), yticks=[0.5, 0.75, 1.0])
            axes.axhline(0.5, color="black", lw=0.9)
            axes.spines["bottom"].set_visible(False)
        names = [*(TASK_TITLES[task] for task in TASKS), "Average of the tasks"]
        panels[-1].set_xticks(range(len(names)), names, fontsize=9.5)
        for axes in panels:
            axes.tick_params(axis="x", length=0)
        handles = {h.get_label(): h for h in panels[0].containers}
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=6)
    return figure


def _bars(axes: Axes, table_1: pd.DataFrame, single_view: pd.DataFrame) -> None:
    multi = table_1[table_1["views"] == "multi"].set_index("class")["auc"]
    places = np.arange(len(TASKS))
    for index, plane in enumerate(PLANES):
        values = single_view[single_view["plane"] == plane].set_index("class")["auc"].reindex(TASKS)
        style_of_bar = {"color": PLANE_COLOURS[plane], "hatch": PLANE_HATCHES[plane], "alpha": 0.8}
        _bar(axes, places - 0.3 + 0.2 * index, values, PLANE_TITLES[plane].lower(), **style_of_bar)
    averages = table_1[table_1["class"] == "average"].set_index("views")["auc"]
    _bar(axes, [2.8], averages[["single-mean"]], "mean of planes", color="#E4E4E4")
    _bar(axes, [3.0], averages[["single-best"]], "best plane", color="#A8A8A8", hatch="xxx")
    heights = multi.reindex([*TASKS, "average"])
    _bar(axes, [0.3, 1.3, 2.3, 3.2], heights, "multi-view", color=MULTI_COLOUR)


def _bar(axes: Axes, places, values: pd.Series, label: str, **look) -> None:
    edge = {"edgecolor": "white" if look.get("hatch") and look["color"] != "#A8A8A8" else "#333333"}
    bars = axes.bar(
        places, values.to_numpy() - 0.5, 0.18, bottom=0.5, label=label, lw=0.6, **look, **edge
    )
    axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=1.5, fontsize=7.5)


def confusion_matrices(
    fused: pd.DataFrame, *, threshold: float = 0.5, split: str = "test", caption: str = ""
) -> StudyFigure:
    """Confusion matrices of the multi-view predictions per architecture (rows) and task.

    Parameters
    ----------
    fused : columns architecture, task, split, label, probability.
    threshold : an exam counts as positive where its probability reaches it.
    """
    fused = fused[fused["split"] == split]
    architectures, tasks = (
        _in_order(fused["architecture"], ARCHITECTURES),
        _in_order(fused["task"], TASKS),
    )
    with style():
        figure = new_figure(0.7 + 1.9 * len(architectures), caption)
        grid = figure.subplots(len(architectures), len(tasks), squeeze=False)
        for row, architecture in zip(grid, architectures, strict=True):
            for axes, task in zip(row, tasks, strict=True):
                rows = fused[(fused["architecture"] == architecture) & (fused["task"] == task)]
                _matrix(axes, rows["label"].to_numpy(), rows["probability"].to_numpy() >= threshold)
            row[0].set_ylabel(f"{architecture_title(architecture)}\ntrue label", weight="bold")
        for axes, task in zip(grid[0], tasks, strict=True):
            axes.set_title(TASK_TITLES[task])
        for axes in grid[-1]:
            axes.set_xlabel(f"predicted (probability ≥ {threshold:g})")
    return figure


def _matrix(axes: Axes, label: np.ndarray, predicted: np.ndarray) -> None:
    """Counts and the share of the label's exams; the diagonal is right."""
    counts = np.array([[np.sum((label == r) & (predicted == c)) for c in (0, 1)] for r in (0, 1)])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.25, aspect=0.62)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        colour = "white" if share > 0.7 else "black"
        weight = "bold" if row == column else "normal"
        axes.text(
            column,
            row - 0.1,
            str(count),
            ha="center",
            va="center",
            color=colour,
            weight=weight,
            fontsize=12,
        )
        axes.text(
            column, row + 0.25, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=8
        )
    axes.set(xticks=[0, 1], yticks=[0, 1], xticklabels=["no", "yes"], yticklabels=["no", "yes"])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def fusion_weights(fusion: pd.DataFrame, *, caption: str = "") -> StudyFigure:
    """What each plane weighs in the fusion: the logistic regressions' coefficients.

    Parameters
    ----------
    fusion : as in ``fusion.csv``: columns architecture, task, intercept, axial, coronal, sagittal,
        fitted_on, exams; in log odds per unit of probability.
    """
    architectures = _in_order(fusion["architecture"], ARCHITECTURES)
    with style():
        figure = new_figure(2.9, caption)
        panels = figure.subplots(1, len(architectures), squeeze=False, sharey=True)[0]
        for axes, architecture in zip(panels, architectures, strict=True):
            rows = fusion[fusion["architecture"] == architecture].set_index("task").reindex(TASKS)
            for index, plane in enumerate(PLANES):
                axes.bar(
                    np.arange(len(TASKS)) - 0.26 + 0.26 * index, rows[plane], 0.24,
                    color=PLANE_COLOURS[plane], hatch=PLANE_HATCHES[plane], edgecolor="white",
                    lw=0.5, label=PLANE_TITLES[plane].lower(),
                )  # fmt: skip
            axes.axhline(0, color="black", lw=0.9)
            names = [TASK_TITLES[task].replace(" tear", "\ntear") for task in TASKS]
            axes.set_xticks(range(len(TASKS)), names)
            axes.tick_params(axis="x", length=0)
            axes.set_title(architecture_title(architecture), loc="left")
        panels[0].set_ylabel("weight of the plane\n(log odds per unit of probability)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=3)
    return figure
