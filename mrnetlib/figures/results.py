"""Figures of results: ROC curves, single- against multi-view, confusion matrices, fusion."""

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from sklearn.metrics import roc_curve

from mrnetlib.evaluation.metrics import seeded
from mrnetlib.evaluation.roc import auc
from mrnetlib.figures.style import StudyFigure, in_order, new_figure, style, width_of
from mrnetlib.figures.views import VIEW_COLOURS, VIEW_DASHES, VIEW_HATCHES, VIEW_NAMES
from mrnetlib.names import ARCHITECTURES, PLANES, TASK_TITLES, TASKS, architecture_title


def roc_curves(
    fused: pd.DataFrame, predictions: pd.DataFrame, *, split: str = "test", caption: str = ""
) -> StudyFigure:
    """ROC curves per architecture (rows) and task (columns), multi-view against the planes.

    Parameters
    ----------
    fused : columns architecture, task, split, exam, label, probability, and seed where there are
        several: the multi-view predictions.
    predictions : the same and plane: those of the single networks.
    split : whose exams are shown.

    Notes
    -----
    Of several seeds the mean sensitivity at every specificity is drawn, behind it in pale lines
    every seed's multi-view curve; the AUC is the mean of the seeds'.
    """
    fused, predictions = (seeded(table[table["split"] == split]) for table in (fused, predictions))
    architectures = in_order(fused["architecture"], ARCHITECTURES)
    tasks = in_order(fused["task"], TASKS)
    with style():
        height = 0.45 + 3.1 * len(architectures)
        figure = new_figure(height, caption, width=width_of(len(tasks)))
        grid = figure.subplots(
            len(architectures), len(tasks), squeeze=False, sharex=True, sharey=True
        )
        for row, architecture in zip(grid, architectures, strict=True):
            for axes, task in zip(row, tasks, strict=True):
                chosen = f"architecture == {architecture!r} and task == {task!r}"
                _roc_panel(axes, fused.query(chosen), predictions.query(chosen))
            row[0].set_ylabel(f"{architecture_title(architecture)}\nsensitivity", weight="bold")
        first = fused[fused["architecture"] == architectures[0]]
        for axes, task in zip(grid[0], tasks, strict=True):
            labels = first[first["task"] == task].drop_duplicates("exam")["label"]
            counted = f"{int(labels.sum())} of {len(labels)} {split} exams positive"
            axes.set_title(f"{TASK_TITLES[task]}\n{counted}", fontsize=9.5)
        for axes in grid[-1]:
            axes.set_xlabel("1 − specificity")
    return figure


def _roc_panel(axes: Axes, fused: pd.DataFrame, predictions: pd.DataFrame) -> None:
    axes.plot([0, 1], [0, 1], color="#BBBBBB", lw=0.8)
    for plane in in_order(predictions["plane"], PLANES):
        _roc(axes, predictions[predictions["plane"] == plane], plane, 1.4)
    _roc(axes, fused, "multi", 2.2)
    seeds = fused["seed"].nunique()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes.legend(
        loc="lower right", fontsize=7.5, handlelength=2.4, borderaxespad=0.2, labelspacing=0.3,
        title=f"AUC, {seeds} seeds" if seeds > 1 else "AUC", title_fontsize=7.5, alignment="right",
    )  # fmt: skip


def _roc(axes: Axes, rows: pd.DataFrame, view: str, width: float) -> None:
    look = {"color": VIEW_COLOURS[view], "dashes": VIEW_DASHES[view] or (None, None), "lw": width}
    seeds = [(own["label"], own["probability"]) for _, own in rows.groupby("seed")]
    curves = [roc_curve(*seed)[:2] for seed in seeds]
    if len(seeds) > 1:
        if view == "multi":
            for curve in curves:
                axes.plot(*curve, color=VIEW_COLOURS[view], lw=0.7, alpha=0.35)
        curves = [_mean_curve(curves)]
    label = f"{VIEW_NAMES[view]} {np.mean([auc(*seed) for seed in seeds]):.2f}"
    axes.plot(*curves[0], label=label, **look)


def _mean_curve(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The mean sensitivity of curves at every share of false alarms, from (0, 0)."""
    grid = np.linspace(0, 1, 201)
    mean = np.mean([np.interp(grid, *curve) for curve in curves], axis=0)
    return np.r_[0, grid], np.r_[0, mean]


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
    architectures = in_order(table_1["architecture"], ARCHITECTURES)
    bars = pd.concat(
        [table_1.rename(columns={"views": "view"}), single_view.rename(columns={"plane": "view"})]
    )
    tasks = in_order(single_view["class"], TASKS)
    views = [*in_order(single_view["plane"], PLANES), "multi"]
    averages = in_order(bars.loc[bars["class"] == "average", "view"], list(VIEW_COLOURS))
    with style():
        figure = new_figure(0.6 + 1.85 * len(architectures), caption)
        grid = figure.subplots(
            len(architectures), 2, squeeze=False, sharex="col", sharey=True,
            width_ratios=[len(tasks) * len(views), len(averages)],
        )  # fmt: skip
        for (left, right), architecture in zip(grid, architectures, strict=True):
            own = bars[bars["architecture"] == architecture]
            _bars(left, own, "auc", tasks, views, bottom=0.5)
            _bars(right, own, "auc", ["average"], averages, bottom=0.5)
            left.set_title(architecture_title(architecture), loc="left")
            left.set(ylabel="AUC", yticks=[0.5, 0.75, 1.0])
            right.spines["left"].set_visible(False)
            right.tick_params(axis="y", length=0)
            for axes in (left, right):
                for container in axes.containers:
                    axes.bar_label(
                        container, fmt=lambda value: f"{0.5 + value:.2f}", padding=1.5, fontsize=7.5
                    )
        grid[0, 0].set_ylim(min(0.5, bars["auc"].min() - 0.06), 1.06)
        _view_legend(figure, in_order([*views, *averages], list(VIEW_COLOURS)))
    return figure


def _bars(
    axes: Axes, table: pd.DataFrame, value: str, classes: list[str], views: list[str], bottom=0.0
) -> None:
    """A bar per view in each class, from the line at `bottom`; columns class, view and `value`."""
    shown = table[table["class"].isin(classes) & table["view"].isin(views)]
    seaborn.barplot(
        shown.assign(length=shown[value] - bottom), x="class", y="length", order=classes,
        hue="view", hue_order=views, palette=VIEW_COLOURS, saturation=1, gap=0.1, edgecolor="white",
        linewidth=0.5, bottom=bottom, errorbar=None, legend=False, ax=axes,
    )  # fmt: skip
    for container, view in zip(axes.containers, views, strict=True):
        for bar in container:
            bar.set_hatch(VIEW_HATCHES.get(view))
    names = [TASK_TITLES.get(kind, "Average of the tasks") for kind in classes]
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.axhline(bottom, color="black", lw=0.9)
    axes.spines["bottom"].set_visible(False)
    axes.set(xlabel="", ylabel="")


def _view_legend(figure: StudyFigure, views: list[str]) -> None:
    handles = [
        Patch(
            fc=VIEW_COLOURS[view], hatch=VIEW_HATCHES.get(view), ec="white", label=VIEW_NAMES[view]
        )
        for view in views
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))


def confusion_matrices(
    fused: pd.DataFrame, *, threshold: float = 0.5, split: str = "test", caption: str = ""
) -> StudyFigure:
    """Confusion matrices of the multi-view predictions per architecture (rows) and task.

    Parameters
    ----------
    fused : columns architecture, task, split, label, probability, and seed where there are several,
        whose counts are then means.
    threshold : an exam counts as positive where its probability reaches it.
    """
    fused = seeded(fused[fused["split"] == split])
    architectures = in_order(fused["architecture"], ARCHITECTURES)
    tasks = in_order(fused["task"], TASKS)
    with style():
        height = 0.7 + 1.9 * len(architectures)
        figure = new_figure(height, caption, width=width_of(len(tasks)))
        grid = figure.subplots(len(architectures), len(tasks), squeeze=False)
        for row, architecture in zip(grid, architectures, strict=True):
            for axes, task in zip(row, tasks, strict=True):
                rows = fused[(fused["architecture"] == architecture) & (fused["task"] == task)]
                called = rows["probability"].to_numpy() >= threshold
                _matrix(axes, rows["label"].to_numpy(), called, rows["seed"].nunique())
            row[0].set_ylabel(f"{architecture_title(architecture)}\ntrue label", weight="bold")
        for axes, task in zip(grid[0], tasks, strict=True):
            axes.set_title(TASK_TITLES[task])
        means = "\nmeans over the seeds" if fused["seed"].nunique() > 1 else ""
        for axes in grid[-1]:
            axes.set_xlabel(f"predicted (probability ≥ {threshold:g}){means}")
    return figure


def _matrix(axes: Axes, label: np.ndarray, predicted: np.ndarray, seeds: int) -> None:
    """Counts, means over the seeds, and the share of the label's exams; the diagonal is right."""
    counts = np.array([[np.sum((label == r) & (predicted == c)) for c in (0, 1)] for r in (0, 1)])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    counts = (counts / seeds).round(1)
    words = [
        [f"{n:g}\n{share:.0%}" for n, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]
    seaborn.heatmap(
        shares, annot=np.array(words), fmt="", annot_kws={"fontsize": 10.5}, cmap="Blues", vmin=0,
        vmax=1.25, cbar=False, linewidths=1.5, xticklabels=["no", "yes"], yticklabels=["no", "yes"],
        ax=axes,
    )  # fmt: skip
    for place, (text, share) in enumerate(zip(axes.texts, shares.flat, strict=True)):
        weight = "bold" if place in (0, 3) else "normal"
        text.set(color="white" if share > 0.7 else "black", weight=weight)
    axes.tick_params(length=0, labelrotation=0)


def fusion_weights(fusion: pd.DataFrame, *, caption: str = "") -> StudyFigure:
    """What each plane weighs in the fusion: the logistic regressions' coefficients.

    Parameters
    ----------
    fusion : as in ``fusion.csv``: columns architecture, task and one per plane of the study, in log
        odds per unit of probability.
    """
    architectures = in_order(fusion["architecture"], ARCHITECTURES)
    tasks = in_order(fusion["task"], TASKS)
    planes = [plane for plane in PLANES if plane in fusion]
    weights = fusion.melt(["architecture", "task"], planes, "view", "weight")
    weights = weights.rename(columns={"task": "class"})
    with style():
        figure = new_figure(2.9, caption, width=width_of(len(architectures)))
        panels = figure.subplots(1, len(architectures), squeeze=False, sharey=True)[0]
        for axes, architecture in zip(panels, architectures, strict=True):
            own = weights[weights["architecture"] == architecture]
            _bars(axes, own, "weight", tasks, planes)
            axes.set_title(architecture_title(architecture), loc="left")
        panels[0].set_ylabel("weight of the plane\n(log odds per unit of probability)")
        _view_legend(figure, planes)
    return figure
