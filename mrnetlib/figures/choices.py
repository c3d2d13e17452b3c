"""Figures of the choices that move a number: differences, seeds, learning curves."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from mrnetlib.figures.style import (
    MULTI_COLOUR,
    PLANE_COLOURS,
    QUIET,
    StudyFigure,
    new_figure,
    style,
)
from mrnetlib.names import PLANE_TITLES, PLANES, TASK_TITLES, architecture_title

_GRID = {"color": "#E6E6E6", "lw": 0.7}
_MARKERS = dict(zip(PLANES, "^so", strict=True))


def row_name(architecture: str, task: str, view: str | None = None) -> str:
    """A row of a figure: ``AlexNet, ACL tear, axial``; ``multi`` is the planes' fusion."""
    words = [architecture_title(architecture), TASK_TITLES.get(task, f"{task} of the tasks")]
    if view is not None:
        words.append("multi-view" if view == "multi" else PLANE_TITLES[view].lower())
    return ", ".join(words)


def _interval(axes: Axes, place: float, row, colour: str, hollow: bool) -> None:
    axes.hlines(place, row.low, row.high, color=colour, lw=1.6)
    point = getattr(row, "difference", None)
    point = row.estimate if point is None else point
    face = "white" if hollow else colour
    axes.plot(point, place, "o", mfc=face, mec=colour, ms=5.5, zorder=3)


def differences(
    table: pd.DataFrame,
    *,
    rows: Sequence[str] | None = None,
    number: str = "AUC",
    changes: str = "",
    own_scale: Sequence[str] = (),
    level: float = 0.95,
    caption: str = "",
) -> StudyFigure:
    """What choices move, with intervals: a panel per choice, the same rows in each.

    Parameters
    ----------
    table : columns panel, row, difference, low, high (-1..1), p and each: the differences of the
        single seeds, a tuple, drawn as ticks where there are several.
    rows : their order; by default that of the table.
    number : what moves, for the axis.
    changes : a title over all panels.
    own_scale : panels that are drawn on a scale of their own, and say so.

    Notes
    -----
    A dot is filled where p is below 1 - `level`, hollow elsewhere. Rows that a panel lacks are left
    empty.
    """
    panels = list(dict.fromkeys(table["panel"]))
    names = list(dict.fromkeys(rows or table["row"]))
    several = table["each"].map(len).max() > 1
    ends = table[["low", "high"]].abs().max(axis=1).groupby(table["panel"]).max()
    common = ends.drop(list(own_scale)).max() if len(own_scale) < len(panels) else 0
    with style():
        figure = new_figure(1.35 + 0.27 * len(names), caption)
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=True):
            axes.axvline(0, color=QUIET, lw=1)
            for row in table[table["panel"] == panel].itertuples():
                place = names.index(row.row)
                _interval(axes, place, row, MULTI_COLOUR, row.p >= 1 - level)
                if len(row.each) > 1:
                    axes.plot(
                        row.each, [place - 0.3] * len(row.each), "|", color=QUIET, ms=6, mew=1.1
                    )
            alone = panel in own_scale
            title = f"{panel} (other scale)" if alone else panel
            axes.set_title(fill(title, 100 // len(panels), break_on_hyphens=False), fontsize=9)
            axes.grid(axis="x", **_GRID)
            axes.set_axisbelow(True)
            reach = 1.08 * max(ends[panel] if alone else common, 0.02)
            axes.set_xlim(-reach, reach)
            axes.tick_params(axis="y", length=0)
        grid[0].set_yticks(range(len(names)), names)
        grid[0].set_ylim(len(names) - 0.4, -0.7)
        note = "; ticks: single seeds" if several else ""
        grid[len(panels) // 2].set_xlabel(f"difference in {number}{note}")
        figure.suptitle(changes, x=0.01, ha="left", fontsize=10.5, weight="bold")
    return figure


def seed_strips(table: pd.DataFrame, *, level: float = 0.95, caption: str = "") -> StudyFigure:
    """The AUC of each seed beside the interval that the test exams give to one of them.

    Parameters
    ----------
    table : columns row, seeds (a tuple of AUCs, the study's own seed first), low, high: of the
        study's own seed, from the choice of the test exams.
    """
    with style():
        figure = new_figure(1.2 + 0.42 * len(table), caption, width=7.6)
        axes = figure.subplots()
        for place, row in enumerate(table.itertuples()):
            axes.hlines(place + 0.2, row.low, row.high, color="#0072B2", lw=2.2)
            axes.plot(row.seeds[0], place + 0.2, "s", color="#0072B2", ms=5)
            places = [place - 0.15] * len(row.seeds)
            axes.plot(row.seeds, places, "o", mfc="white", mec=MULTI_COLOUR, ms=6, alpha=0.9)
        axes.set_yticks(range(len(table)), table["row"])
        axes.set(ylim=(len(table) - 0.4, -0.6), xlabel="AUC on the test exams")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", **_GRID)
        axes.set_axisbelow(True)
        look = {"ls": "", "color": MULTI_COLOUR}
        own = f"one seed, {level:.0%} by exams"
        handles = [
            Line2D([], [], marker="o", mfc="white", label="one seed each", **look),
            Line2D([], [], marker="s", color="#0072B2", lw=2.2, label=own),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure


def learning_curves(table: pd.DataFrame, *, level: float = 0.95, caption: str = "") -> StudyFigure:
    """AUC by the number of training exams, a panel per model.

    Parameters
    ----------
    table : columns panel, exams, auc, low, high (of the mean over seeds), seeds (a tuple of AUCs).

    Notes
    -----
    The band holds all seeds; the bar is the interval of their mean, by exams and seeds.
    """
    panels = list(dict.fromkeys(table["panel"]))
    columns = min(len(panels), 3 if len(panels) % 4 else 4)
    rows = int(np.ceil(len(panels) / columns))
    exams = sorted(table["exams"].unique())
    with style():
        figure = new_figure(0.95 + 2.2 * rows, caption)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            own = table[table["panel"] == panel].sort_values("exams")
            low, high = (own["seeds"].map(end) for end in (min, max))
            axes.axhline(0.5, color=QUIET, lw=0.8, ls=":")
            axes.fill_between(own["exams"], low, high, color="#F2B48A", alpha=0.55, lw=0)
            axes.vlines(own["exams"], own["low"], own["high"], color=MULTI_COLOUR, lw=1.3)
            axes.plot(own["exams"], own["auc"], "o-", color=MULTI_COLOUR, ms=4.5, lw=1.5)
            axes.set_title(fill(panel, 120 // columns, break_on_hyphens=False), fontsize=9)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_locator(FixedLocator(exams))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticklabels([f"{count}" for count in exams])
            axes.grid(axis="y", **_GRID)
            axes.set_axisbelow(True)
        for axes in grid[-1]:
            axes.set_xlabel("training exams")
        for axes in grid[:, 0]:
            axes.set_ylabel("AUC on the test exams")
        handles = [
            Patch(color="#F2B48A", alpha=0.55, lw=0, label="all seeds"),
            Line2D([], [], color=MULTI_COLOUR, marker="o", ms=4.5, label="their mean"),
            Line2D([], [], color=MULTI_COLOUR, lw=1.3, ls="", marker="|", ms=11,
                   label=f"its {level:.0%} interval, by exams and seeds"),
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside upper right", ncols=3)
    return figure


def chosen_planes(table: pd.DataFrame, *, level: float = 0.95, caption: str = "") -> StudyFigure:
    """The planes' AUC on the test exams, and which of them the tuning or the test exams choose.

    Parameters
    ----------
    table : columns row, plane, auc, low, high (on the test exams), by_tune and by_test (bool).
    """
    names = list(dict.fromkeys(table["row"]))
    with style():
        figure = new_figure(1.2 + 0.5 * len(names), caption)
        axes = figure.subplots()
        for row in table.itertuples():
            place = names.index(row.row) + 0.24 * (PLANES.index(row.plane) - 1)
            colour = PLANE_COLOURS[row.plane]
            axes.hlines(place, row.low, row.high, color=colour, lw=1.4, alpha=0.7)
            axes.plot(row.auc, place, _MARKERS[row.plane], color=colour, ms=5.5)
            for by, size in (("by_tune", 11), ("by_test", 15)):
                if getattr(row, by):
                    mark = "o" if by == "by_tune" else "s"
                    axes.plot(row.auc, place, mark, mfc="none", mec=MULTI_COLOUR, ms=size, mew=1.1)
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(len(names) - 0.4, -0.6))
        axes.set_xlabel(f"AUC on the test exams, {level:.0%} interval")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", **_GRID)
        axes.set_axisbelow(True)
        handles = [
            Line2D([], [], ls="", marker=_MARKERS[p], color=PLANE_COLOURS[p], label=p)
            for p in PLANES
            if p in set(table["plane"])
        ]
        ring = {"ls": "", "mfc": "none", "mec": MULTI_COLOUR}
        handles += [
            Line2D([], [], marker="o", ms=10, label="chosen on the tuning exams", **ring),
            Line2D([], [], marker="s", ms=11, label="chosen on the test exams", **ring),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return figure


def _named_rows(axes: Axes, names: Sequence[str]) -> None:
    """Axes whose rows, from top to bottom, are differences from the line at zero."""
    axes.axvline(0, color=QUIET, lw=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", **_GRID)
    axes.set_axisbelow(True)


def all_choices(
    summary: pd.DataFrame,
    architectures: pd.DataFrame,
    seeds: Sequence[float],
    *,
    level: float = 0.95,
    caption: str = "",
) -> StudyFigure:
    """Every choice at a glance; those that move an AUC next to the differences of architectures.

    Parameters
    ----------
    summary : columns choice, number, difference, low, high, p_holm; rows from top to bottom.
        Those whose `number` is no AUC get axes of their own, for rates move on another scale.
    architectures : columns name, difference, low, high, p_holm: the study's own Table I.
    seeds : what each seed is above or below the mean of all.

    Notes
    -----
    A dot is filled where p_holm is below 1 - `level`; the bars are not corrected.
    """
    is_area = summary["number"].str.contains("AUC")
    names = summary["choice"].where(
        summary["number"] == "multi-view AUC", summary["choice"] + " (" + summary["number"] + ")"
    )
    summary = summary.assign(name=names)
    areas, rates = summary[is_area], summary[~is_area]
    count, more = len(areas), len(architectures)
    heights = [count + more + 1, max(len(rates), 1)]
    with style():
        figure = new_figure(2.4 + 0.28 * sum(heights), caption)
        upper, lower = figure.subplots(2, 1, height_ratios=heights)
        for place, row in enumerate(areas.itertuples()):
            _interval(upper, place, row, MULTI_COLOUR, row.p_holm >= 1 - level)
        upper.plot(seeds, [count] * len(seeds), "|", color="#D55E00", ms=11, mew=2)
        for place, row in enumerate(architectures.itertuples(), count + 1):
            _interval(upper, place, row, "#0072B2", row.p_holm >= 1 - level)
        upper.axhspan(count + 0.5, count + more + 0.5, color="#EEF4F9", lw=0, zorder=0)
        for place, row in enumerate(rates.itertuples()):
            _interval(lower, place, row, MULTI_COLOUR, row.p_holm >= 1 - level)
        ticks = "one seed, each a tick, against their mean"
        _named_rows(upper, [*areas["name"], ticks, *architectures["name"]])
        upper.set_xlabel("difference in the multi-view AUC")
        _named_rows(lower, list(rates["name"]))
        lower.set_xlabel("difference in the rate (another scale)")
        dot = {"ls": "", "marker": "o", "ms": 5.5, "color": MULTI_COLOUR}
        handles = [
            Line2D([], [], label=f"p < {1 - level:.2g} after Holm", **dot),
            Line2D([], [], mfc="white", label="not so", **dot),
            Line2D([], [], color=MULTI_COLOUR, lw=1.6, label=f"{level:.0%} interval, uncorrected"),
            Line2D([], [], label="corrected within Table I", **dot | {"color": "#0072B2"}),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), fontsize=8)
    return figure
