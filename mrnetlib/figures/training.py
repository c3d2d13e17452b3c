"""Figures of the training: losses and AUC by epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mrnetlib.figures.style import (
    PLANE_COLOURS,
    QUIET,
    StudyFigure,
    in_order,
    new_figure,
    style,
    width_of,
)
from mrnetlib.figures.views import VIEW_DASHES, VIEW_NAMES
from mrnetlib.names import PLANE_TITLES, PLANES, TASK_TITLES, TASKS

_LOSS_COLOURS = {"train_loss": QUIET, "tune_loss": "black"}
_LOSS_DASHES = {"train_loss": (0, (4, 2)), "tune_loss": "-"}
_GUESSING = {"color": QUIET, "lw": 0.9, "ls": ":"}
_KEPT = {"facecolor": "white", "s": 36, "linewidth": 1.2, "zorder": 3}
#: Where the tuning loss has risen since its lowest.
_RISEN = {"color": "#D55E00", "alpha": 0.25, "lw": 0}
#: A single seed's line, where there are several.
_THIN = {"lw": 0.6, "alpha": 0.45}


def training_curves(
    history: pd.DataFrame,
    *,
    title: str = "",
    positive: Mapping[str, float] | None = None,
    whole: bool = False,
    caption: str = "",
) -> StudyFigure:
    """Loss and AUC by epoch for one to nine networks of an architecture.

    Parameters
    ----------
    history : the networks' histories below one another: columns epoch, train_loss, tune_loss,
        tune_auc, best (1 in the epoch whose weights were kept), plane, task, and seed where there
        are several.
    positive : per task the share (0..1) of positive training exams; with it a dotted line shows
        the loss of a network that always says one half.
    whole : whether the losses' scale holds all epochs; else one far above the rest may leave it,
        and the panel says how high it goes.

    Notes
    -----
    A panel per plane and task shows the losses, all on one scale; one more per task shows the AUC
    on the tuning exams, all planes together. A circle marks the epoch whose weights were kept. Of
    several seeds each is a thin line; the thick one is their mean, up to the epoch that all of
    them reached. The field between a tuning loss and its lowest value, from the epoch of that on,
    shows where the network may begin to know its training exams by heart.
    """
    history = history if "seed" in history else history.assign(seed=0)
    planes, tasks = in_order(history["plane"], PLANES), in_order(history["task"], TASKS)
    single = len(tasks) == 1
    shape = (1, len(planes) + 1) if single else (len(planes) + 1, len(tasks))
    guess = {task: loss_of_guessing(share) for task, share in (positive or {}).items()}
    guesses = [guess[task] for task in tasks if task in guess]
    top = 1.08 * _highest(history, guesses, whole)
    with style():
        height, width = 0.75 + 1.95 * shape[0], width_of(shape[1])
        figure = new_figure(height, caption, title=title, width=width)
        grid = figure.subplots(*shape, squeeze=False, sharex=True)
        grid = grid.T if single else grid  # (planes + 1, tasks)
        for column, task in zip(grid.T, tasks, strict=True):
            of_task = history[history["task"] == task]
            for axes, plane in zip(column, planes, strict=False):
                _losses(axes, of_task[of_task["plane"] == plane], guess.get(task))
                axes.set_title(f"{PLANE_TITLES[plane]}, {TASK_TITLES[task]}", loc="left")
                _cut(axes, top)
            _aucs(column[-1], of_task, planes)
            column[-1].set_title(f"AUC, {TASK_TITLES[task]}", loc="left")
            column[-1].set_ylim(min(0.3, history["tune_auc"].min() - 0.05), 1.02)
        _label(grid, single)
        several = history["seed"].nunique() > 1
        figure.legend(handles=_handles(planes, several), loc="outside right upper")
    return figure


def loss_of_guessing(positive: float) -> float:
    """The weighted cross-entropy of one half: each class weighs the share of the other."""
    return 2 * positive * (1 - positive) * np.log(2)


def _highest(history: pd.DataFrame, guesses: list[float], whole: bool) -> float:
    """The highest loss that is shown; an epoch far above the rest may leave the scale."""
    losses = [*history[list(_LOSS_COLOURS)].to_numpy().ravel(), *guesses]
    if whole:
        return np.nanmax(losses)
    kept = history.loc[history["best"] == 1, "tune_loss"]
    return min(np.nanmax(losses), max(4 * np.nanmedian(losses), *kept, *guesses))


def _cut(axes: Axes, top: float) -> None:
    """End a panel of losses at `top`; where a line goes on above it, say how far."""
    axes.set_ylim(0, top)
    highest = max((np.nanmax(line.get_ydata()) for line in axes.lines), default=0.0)
    if highest > top:
        words = f"cut, up to {highest:.2f}"
        place = {"xy": (0.98, 0.97), "xycoords": "axes fraction", "ha": "right", "va": "top"}
        axes.annotate(words, **place, fontsize=7.5, color=QUIET)


def _seeds_and_mean(axes: Axes, rows: pd.DataFrame, column: str, **look: Any) -> pd.Series:
    """Draw a column by epoch: its mean over the seeds, and each seed thinly if there are several.

    Returns
    -------
    The mean by epoch, up to the epoch that all seeds reached.
    """
    wide = rows.pivot(index="epoch", columns="seed", values=column)  # (epochs, seeds)
    mean = wide.dropna().mean(axis=1)
    if wide.shape[1] > 1:
        axes.plot(wide.index, wide, **look | _THIN)
    axes.plot(mean.index, mean, **look)
    return mean


def _losses(axes: Axes, rows: pd.DataFrame, guess: float | None) -> None:
    if rows.empty:
        axes.set_axis_off()
        return
    for column, colour in _LOSS_COLOURS.items():
        mean = _seeds_and_mean(axes, rows, column, color=colour, ls=_LOSS_DASHES[column])
    since = mean[mean.index >= mean.idxmin()]  # of the last one, the tuning loss
    axes.fill_between(since.index, since.min(), since, **_RISEN)
    kept = rows[rows["best"] == 1]
    axes.scatter(kept["epoch"], kept["tune_loss"], edgecolor="black", **_KEPT | _size(rows))
    if guess is not None:
        axes.axhline(guess, **_GUESSING)


def _aucs(axes: Axes, rows: pd.DataFrame, planes: list[str]) -> None:
    for plane in planes:
        own = rows[rows["plane"] == plane]
        look = {"color": PLANE_COLOURS[plane], "dashes": VIEW_DASHES[plane]}
        _seeds_and_mean(axes, own, "tune_auc", **look)
    kept = rows[rows["best"] == 1]
    colours = kept["plane"].map(PLANE_COLOURS)
    axes.scatter(kept["epoch"], kept["tune_auc"], edgecolor=colours, **_KEPT | _size(rows))
    axes.axhline(0.5, **_GUESSING)


def _size(rows: pd.DataFrame) -> dict[str, float]:
    """Smaller circles where each seed has its own."""
    return {"s": 14, "linewidth": 0.9} if rows["seed"].nunique() > 1 else {}


def _label(grid: np.ndarray, single: bool) -> None:
    """Words at the outer panels only: the losses share a scale, and so do the AUCs."""
    for row, words in zip(grid, [*["loss"] * (len(grid) - 1), "tuning AUC"], strict=True):
        for axes in row:
            place = axes.get_subplotspec()
            outer = place.is_first_col() or (single and axes is grid[-1, 0])
            axes.set(xlabel="epoch" if place.is_last_row() else "", ylabel=words if outer else "")
            axes.tick_params(labelleft=outer)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=2))


def _handles(planes: list[str], several: bool) -> list[Artist]:
    """The legend of all panels; it stands beside them, where it hides no curve."""
    mean = ", mean of seeds" if several else ""
    losses = [
        Line2D([], [], color=colour, ls=_LOSS_DASHES[column], label=words + mean)
        for (column, colour), words in zip(
            _LOSS_COLOURS.items(), ("training", "tuning"), strict=True
        )
    ]
    single = Line2D([], [], color=_LOSS_COLOURS["tune_loss"], label="one seed", **_THIN)
    return [
        *losses,
        *([single] if several else []),
        Patch(**_RISEN, label="risen again"),
        Line2D([], [], ls="", marker="o", mfc="white", mec="black", label="kept"),
        Line2D([], [], label="guessing", **_GUESSING),
        *(
            Line2D([], [], color=PLANE_COLOURS[p], dashes=VIEW_DASHES[p], label=VIEW_NAMES[p])
            for p in planes
        ),
    ]
