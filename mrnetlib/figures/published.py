"""Figures about the paper's own table: intervals, granularity, coverage, exams needed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mrnetlib.figures.style import MULTI_COLOUR, QUIET, TASK_COLOURS, StudyFigure, new_figure, style
from mrnetlib.names import TASK_TITLES, architecture_title

_MARKERS = ("o", "s", "^", "D", "v", "P")
_LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1, 1.5)))
_COLOURS = ("#1A1A1A", "#0072B2", "#D55E00", "#4FB0A5")


def published_areas(table: pd.DataFrame, *, caption: str = "") -> StudyFigure:
    """Published areas under the curve with intervals, one panel per class.

    Parameters
    ----------
    table : columns class, model, auc, low, high (0..1) and own (bool: the paper's own rows are
        drawn filled, others hollow); models from top to bottom in the order of the rows.
    """
    classes = list(dict.fromkeys(table["class"]))
    with style():
        figure = new_figure(2.9, caption)
        panels = figure.subplots(1, len(classes), sharex=True, sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, classes, strict=True):
            rows = table[table["class"] == kind].reset_index(drop=True)
            colour = TASK_COLOURS.get(kind, MULTI_COLOUR)
            axes.hlines(rows.index, rows["low"], rows["high"], color=colour, lw=1.6)
            fill = [colour if own else "white" for own in rows["own"]]
            axes.scatter(rows["auc"], rows.index, c=fill, edgecolors=colour, s=34, zorder=3)
            for place, row in rows.iterrows():
                axes.annotate(
                    f"{row['auc']:.3f}",
                    (row["auc"], place),
                    xytext=(0, 5),
                    textcoords="offset points",
                    ha="center",
                    fontsize=7.5,
                )
            axes.set(title=TASK_TITLES.get(kind, kind), xlabel="AUC", ylim=(len(rows) - 0.5, -0.7))
            axes.set_yticks(range(len(rows)), rows["model"])
            axes.grid(axis="x", color="#E3E3E3", lw=0.7)
            axes.set_axisbelow(True)
    return figure


def granularity(
    table: pd.DataFrame, exams: int, networks: Sequence[int], *, caption: str = ""
) -> StudyFigure:
    """Printed accuracies on rulers whose marks are the accuracies that are possible.

    Parameters
    ----------
    table : columns architecture and accuracy (0..1, four decimals).
    exams : test exams of one network.
    networks : one ruler for each number of networks averaged over.
    """
    with style():
        figure = new_figure(0.7 + 0.62 * len(networks), caption)
        panels = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
        for axes, row in zip(panels, table.to_dict("records"), strict=True):
            middle, reach = row["accuracy"], 0.0042
            axes.axvspan(middle - 5e-5, middle + 5e-5, color="#F2B48A", lw=0)
            for place, count in enumerate(networks):
                _ruler(axes, place, exams * count, middle, reach)
            names = [
                f"{count} network{'s' * (count > 1)}\n(1/{exams * count})" for count in networks
            ]
            axes.set_yticks(range(len(networks)), names)
            axes.set(xlim=(middle - reach, middle + reach), ylim=(len(networks) - 0.4, -0.6))
            axes.set_title(f"{architecture_title(row['architecture'])}: {middle:.4f}")
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4f}"))
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
    return figure


def _ruler(axes: Axes, place: int, count: int, value: float, reach: float) -> None:
    """Marks at all multiples of 1 / count; a dot where `value` meets one, else a cross."""
    low, high = value - reach, value + reach
    marks = np.arange(np.ceil(low * count), np.floor(high * count) + 1) / count
    axes.hlines(place, low, high, color="#BBBBBB", lw=0.8)
    axes.vlines(marks, place - 0.32, place + 0.32, color=MULTI_COLOUR, lw=1.3)
    meets = np.abs(marks - value).min(initial=1) <= 5e-5 + 1e-9
    look = {"marker": "o", "s": 42} if meets else {"marker": "x", "s": 36, "linewidths": 1.8}
    axes.scatter([value], [place], color="#D55E00", zorder=4, **look)


def coverage(table: pd.DataFrame, level: float, repeats: int, *, caption: str = "") -> StudyFigure:
    """Share of simulated intervals that hold the true area, by method; one panel per class.

    Parameters
    ----------
    table : columns class, positives, negatives, area, method, coverage (0..1).
    level : coverage aimed at.
    repeats : simulated studies behind each point, for the band of chance around `level`.
    """
    classes = list(dict.fromkeys(table["class"]))
    methods = list(dict.fromkeys(table["method"]))
    band = 1.96 * np.sqrt(level * (1 - level) / repeats)
    with style():
        figure = new_figure(3.3, caption)
        panels = figure.subplots(1, len(classes), sharex=True, sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, classes, strict=True):
            own = table[table["class"] == kind]
            axes.axhspan(level - band, level + band, color="#E6E6E6", lw=0)
            axes.axhline(level, color=QUIET, lw=0.8)
            for number, method in enumerate(methods):
                rows = own[own["method"] == method]
                look = {"color": _COLOURS[number], "ls": _LINES[number], "marker": _MARKERS[number]}
                axes.plot(rows["area"], rows["coverage"], label=method, ms=4.5, **look)
            size = own.iloc[0]
            sizes = f"{size['positives']} positive, {size['negatives']} negative"
            axes.set_title(f"{TASK_TITLES.get(kind, kind)}\n{sizes}")
            axes.set_xlabel("true AUC")
        panels[0].set_ylabel("intervals that hold it")
        panels[-1].legend(loc="lower left")
    return figure


def exams_needed(
    table: pd.DataFrame, marks: Mapping[str, int], *, caption: str = ""
) -> StudyFigure:
    """Exams needed to tell two areas apart, against how alike the two models err.

    Parameters
    ----------
    table : columns comparison, correlation (0..1), exams; one line per comparison.
    marks : horizontal lines by name, for example the exams there are.
    """
    with style():
        figure = new_figure(3.5, caption, width=7.2)
        axes = figure.subplots()
        for number, (name, rows) in enumerate(table.groupby("comparison", sort=False)):
            look = {"color": _COLOURS[number], "ls": _LINES[number], "marker": _MARKERS[number]}
            axes.plot(rows["correlation"], rows["exams"], label=name, ms=4.5, **look)
        for name, exams in marks.items():
            axes.axhline(exams, color=QUIET, lw=0.8)
            label = f"{name}: {exams:,}"
            at = {"xycoords": axes.get_yaxis_transform(), "va": "center", "fontsize": 8}
            axes.annotate(label, (1.02, exams), color=QUIET, annotation_clip=False, **at)
        axes.set(yscale="log", xlabel="correlation of the two models' AUCs", ylabel="exams needed")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(axis="y", color="#E3E3E3", lw=0.7)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure
