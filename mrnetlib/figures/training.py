"""Figures of the training: losses and AUC by epoch."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mrnetlib.figures.style import (
    PLANE_COLOURS,
    PLANE_LINES,
    QUIET,
    WIDTH,
    StudyFigure,
    new_figure,
    style,
)
from mrnetlib.names import PLANE_TITLES, PLANES, TASK_TITLES, TASKS


def training_curves(history: pd.DataFrame, *, title: str = "", caption: str = "") -> StudyFigure:
    """Loss and AUC by epoch for one to nine networks of an architecture.

    Parameters
    ----------
    history : the networks' histories below one another: columns epoch, train_loss, tune_loss,
        tune_auc, best (1 in the epoch whose weights were kept), and plane and task.

    Notes
    -----
    A panel per plane and task shows the losses; one more per task shows the AUC on the tuning
    exams, all planes together. The circle marks the epoch whose weights were kept.
    """
    planes = [plane for plane in PLANES if (history["plane"] == plane).any()]
    tasks = [task for task in TASKS if (history["task"] == task).any()]
    single = len(tasks) == 1
    shape = (1, len(planes) + 1) if single else (len(planes) + 1, len(tasks))
    width = min(WIDTH, 4.4 * shape[1])
    with style():
        figure = new_figure(0.75 + 1.95 * shape[0], caption, width)
        grid = figure.subplots(*shape, squeeze=False, sharex=not single)
        grid = grid.T if single else grid  # (planes + 1, tasks)
        for column, task in enumerate(tasks):
            of_task = history[history["task"] == task]
            for row, plane in enumerate(planes):
                rows = of_task[of_task["plane"] == plane].sort_values("epoch")
                _losses(grid[row, column], rows)
                grid[row, column].set_title(
                    f"{PLANE_TITLES[plane]}, {TASK_TITLES[task]}", loc="left"
                )
            _aucs(grid[-1, column], of_task, planes)
            grid[-1, column].set_title(f"AUC, {TASK_TITLES[task]}", loc="left")
        _label(grid, single)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, weight="bold")
    return figure


def _losses(axes: Axes, rows: pd.DataFrame) -> None:
    if rows.empty:
        axes.set_axis_off()
        return
    axes.plot(rows["epoch"], rows["train_loss"], color=QUIET, ls="--", lw=1.3, label="training")
    axes.plot(rows["epoch"], rows["tune_loss"], color="black", lw=1.6, label="tuning")
    kept = rows[rows["best"] == 1]
    axes.plot(kept["epoch"], kept["tune_loss"], "o", mfc="white", mec="black", ms=6, label="kept")
    # A first epoch far above the rest would press the curves flat.
    values = rows[["train_loss", "tune_loss"]].to_numpy()
    axes.set_ylim(0, min(1.08 * values.max(), 3 * values[0].max()))


def _aucs(axes: Axes, rows: pd.DataFrame, planes: list[str]) -> None:
    for plane in planes:
        of_plane = rows[rows["plane"] == plane].sort_values("epoch")
        colour = PLANE_COLOURS[plane]
        axes.plot(
            of_plane["epoch"], of_plane["tune_auc"], color=colour, ls=PLANE_LINES[plane], lw=1.6,
            label=PLANE_TITLES[plane],
        )  # fmt: skip
        kept = of_plane[of_plane["best"] == 1]
        axes.plot(kept["epoch"], kept["tune_auc"], "o", mfc="white", mec=colour, ms=6)
    axes.axhline(0.5, color=QUIET, lw=0.8, ls=":")
    lowest = rows["tune_auc"].min()
    axes.set_ylim(min(0.3, lowest - 0.18), 1.02)


def _label(grid, single: bool) -> None:
    for axes in grid[:-1].flat:
        axes.set_ylabel("loss")
    for axes in grid[-1]:
        axes.set_ylabel("tuning AUC")
        axes.legend(loc="lower right", ncols=3, handlelength=2.2, columnspacing=0.8)
    for axes in grid.flat if single else grid[-1]:
        axes.set_xlabel("epoch")
    for axes in grid.flat:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=2))
    grid[0, 0].legend(loc="best")
