"""Figures of the choices that move a number: differences, seeds, learning curves."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
import seaborn
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from mrnetlib.figures.style import (
    MULTI_COLOUR,
    PLANE_COLOURS,
    QUIET,
    StudyFigure,
    in_order,
    intervals,
    new_figure,
    quiet_rows,
    style,
)
from mrnetlib.figures.views import VIEW_MARKERS, VIEW_NAMES
from mrnetlib.names import PLANES, TASK_TITLES, architecture_title

_BLUE, _PALE_BLUE, _RED = "#0072B2", "#BFD9EA", "#D55E00"
#: Which exams chose a plane: the column, its ring and the words for it.
_CHOSEN = (
    ("by_tune", {"marker": "o", "ms": 11}, "chosen on the tuning exams"),
    ("by_test", {"marker": "s", "ms": 15}, "chosen on the test exams"),
)


def row_name(architecture: str, task: str, view: str | None = None) -> str:
    """A row of a figure: ``AlexNet, ACL tear, axial``; ``multi`` is the planes' fusion."""
    words = [architecture_title(architecture), TASK_TITLES.get(task, f"{task} of the tasks")]
    if view is not None:
        words.append(VIEW_NAMES[view])
    return ", ".join(words)


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
        figure = new_figure(1.35 + 0.27 * len(names), caption, title=changes)
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=True):
            own = table[table["panel"] == panel]
            axes.axvline(0, color=QUIET, lw=1)
            intervals(axes, own, names, "difference", filled=own["p"] < 1 - level)
            if several:
                single = own[own["each"].map(len) > 1].explode("each")
                places = single["row"].map(names.index) - 0.3
                axes.plot(single["each"], places, "|", color=QUIET, ms=6, mew=1.1)
            alone = panel in own_scale
            words = f"{panel} (other scale)" if alone else panel
            axes.set_title(fill(words, 100 // len(panels), break_on_hyphens=False), fontsize=9)
            reach = 1.08 * max(ends[panel] if alone else common, 0.02)
            axes.set_xlim(-reach, reach)
        note = "; ticks: single seeds" if several else ""
        grid[len(panels) // 2].set_xlabel(f"difference in {number}{note}")
    return figure


def seed_strips(table: pd.DataFrame, *, level: float = 0.95, caption: str = "") -> StudyFigure:
    """The AUC of each seed beside the interval that the test exams give to one of them.

    Parameters
    ----------
    table : columns row, seeds (a tuple of AUCs, the study's first seed first), low, high: of the
        study's first seed, from the choice of the test exams.
    """
    seeds = table.explode("seeds", ignore_index=True).astype({"seeds": float})
    seeds["own"] = ~seeds["row"].duplicated()
    with style():
        figure = new_figure(1.2 + 0.42 * len(table), caption, width=7.6)
        axes = figure.subplots()
        seaborn.swarmplot(
            seeds, x="seeds", y="row", hue="own", palette={True: MULTI_COLOUR, False: "white"},
            edgecolor=MULTI_COLOUR, linewidth=1.1, size=6, legend=False, warn_thresh=1, ax=axes,
        )  # fmt: skip
        axes.hlines(table["row"], table["low"], table["high"], color=_PALE_BLUE, lw=13, zorder=0.6)
        quiet_rows(axes, list(table["row"]))
        axes.set_xlabel("AUC on the test exams")
        dot = {"ls": "", "marker": "o", "color": MULTI_COLOUR}
        handles = [
            Line2D([], [], label="the study's first seed", **dot),
            Patch(fc=_PALE_BLUE, label=f"its {level:.0%} interval, by exams"),
            Line2D([], [], mfc="white", label="another seed", **dot),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return figure


def learning_curves(table: pd.DataFrame, *, level: float = 0.95, caption: str = "") -> StudyFigure:
    """AUC by the number of training exams, a panel per model.

    Parameters
    ----------
    table : columns panel, exams, seeds (a tuple of AUCs), low, high: of the mean over the seeds.

    Notes
    -----
    The line is the mean of the seeds and the band holds them all; the bar is the interval of their
    mean, by exams and seeds.
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
        for place, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            own = table[table["panel"] == panel].sort_values("exams")
            seaborn.lineplot(
                own.explode("seeds").astype({"seeds": float}), x="exams", y="seeds", marker="o",
                errorbar=("pi", 100), err_kws={"lw": 0}, color=MULTI_COLOUR, ax=axes,
            )  # fmt: skip
            axes.vlines(own["exams"], own["low"], own["high"], color=MULTI_COLOUR, lw=1.3)
            axes.axhline(0.5, color=QUIET, lw=0.8, ls=":")
            lowest = place + columns >= len(panels)
            axes.set(xlabel="training exams", ylabel="AUC on the test exams")
            axes.xaxis.label.set_visible(lowest)
            axes.tick_params(labelbottom=lowest)
            axes.yaxis.label.set_visible(place % columns == 0)
            axes.set_title(fill(panel, 120 // columns, break_on_hyphens=False), fontsize=9)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_locator(FixedLocator(exams))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticklabels([f"{count}" for count in exams])
            axes.grid(True, axis="y")
        handles = [
            Patch(color=MULTI_COLOUR, alpha=0.2, lw=0, label="all seeds"),
            Line2D([], [], color=MULTI_COLOUR, marker="o", ms=5, label="their mean"),
            Line2D([], [], color=MULTI_COLOUR, lw=1.3, ls="", marker="|", ms=11,
                   label=f"its {level:.0%} interval, by exams and seeds"),
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside upper right", ncols=3)
    return figure


def chosen_planes(table: pd.DataFrame, *, level: float = 0.95, caption: str = "") -> StudyFigure:
    """The planes' AUC on the test exams, and which of them the tuning or the test exams choose.

    Parameters
    ----------
    table : columns row, plane, auc, low, high (on the test exams), by_tune and by_test (bool: of
        several seeds, whether one of them chooses so).
    """
    names, planes = list(dict.fromkeys(table["row"])), in_order(table["plane"], PLANES)
    apart = {plane: 0.24 * (n - (len(planes) - 1) / 2) for n, plane in enumerate(planes)}
    table = table.assign(place=table["row"].map(names.index) + table["plane"].map(apart))
    ring = {"ls": "", "mfc": "none", "mec": MULTI_COLOUR, "mew": 1.1}
    with style():
        figure = new_figure(1.2 + 0.5 * len(names), caption)
        axes = figure.subplots()
        colours = table["plane"].map(PLANE_COLOURS)
        axes.hlines(table["place"], table["low"], table["high"], color=colours, lw=1.4, alpha=0.7)
        seaborn.scatterplot(
            table, x="auc", y="place", hue="plane", hue_order=planes, palette=PLANE_COLOURS,
            style="plane", markers=VIEW_MARKERS, s=45, zorder=3, legend=False, ax=axes,
        )  # fmt: skip
        for by, look, _ in _CHOSEN:
            chosen = table[table[by]]
            axes.plot(chosen["auc"], chosen["place"], **ring | look)
        quiet_rows(axes, names)
        axes.set_xlabel(f"AUC on the test exams, {level:.0%} interval")
        handles = [
            Line2D([], [], ls="", marker=VIEW_MARKERS[p], color=PLANE_COLOURS[p], label=p)
            for p in planes
        ]
        handles += [
            Line2D([], [], label=words, **ring | look | {"ms": 10}) for _, look, words in _CHOSEN
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return figure


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
    summary = summary.assign(row=names)
    areas, rates = summary[is_area], summary[~is_area]
    pairs = architectures.rename(columns={"name": "row"})
    rows = [*areas["row"], "one seed, each a tick, against their mean", *pairs["row"]]
    with style():
        heights = [len(rows), len(rates)] if len(rates) else [len(rows)]
        figure = new_figure(2.0 + 0.3 * sum(heights), caption)
        panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        upper, lower = panels[0], panels[-1]
        parts = [(upper, areas, rows, MULTI_COLOUR), (upper, pairs, rows, _BLUE)]
        parts += [(lower, rates, list(rates["row"]), MULTI_COLOUR)] if len(rates) else []
        for axes, table, order, colour in parts:
            sure = table["p_holm"] < 1 - level
            intervals(axes, table, order, "difference", filled=sure, colour=colour)
            axes.axvline(0, color=QUIET, lw=1, zorder=0.9)
        upper.plot(seeds, [len(areas)] * len(seeds), "|", color=_RED, ms=11, mew=2)
        upper.axhspan(len(areas) + 0.5, len(rows) - 0.5, color="#EEF4F9", lw=0, zorder=0)
        lower.set_xlabel("difference in the rate (another scale)")
        upper.set_xlabel("difference in the multi-view AUC")
        dot = {"ls": "", "marker": "o", "ms": 5.5, "color": MULTI_COLOUR}
        handles = [
            Line2D([], [], label=f"p < {1 - level:.2g} after Holm", **dot),
            Line2D([], [], mfc="white", label="not so", **dot),
            Line2D([], [], color=MULTI_COLOUR, lw=1.6, label=f"{level:.0%} interval, uncorrected"),
            Line2D([], [], label="corrected within Table I", **dot | {"color": _BLUE}),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), fontsize=8)
    return figure
