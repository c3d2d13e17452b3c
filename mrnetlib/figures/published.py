"""Figures about the paper's own table: intervals, granularity, coverage, exams needed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mrnetlib.figures.style import (
    MULTI_COLOUR,
    QUIET,
    TASK_COLOURS,
    StudyFigure,
    intervals,
    new_figure,
    style,
)
from mrnetlib.names import TASK_TITLES, architecture_title

_MARKERS = ("o", "s", "^", "D")
_DASHES = ("", (5, 1.5), (1.2, 1.2), (6, 1.5, 1, 1.5))
_COLOURS = (MULTI_COLOUR, "#0072B2", "#D55E00", "#4FB0A5")


def _lines(axes: Axes, table: pd.DataFrame, x: str, y: str, kind: str) -> None:
    """A line with markers for each of up to four values of the column `kind`, with a legend."""
    kinds = list(dict.fromkeys(table[kind]))
    look = {"palette": _COLOURS, "dashes": _DASHES, "markers": _MARKERS}
    seaborn.lineplot(
        table, x=x, y=y, hue=kind, hue_order=kinds, style=kind, style_order=kinds, errorbar=None,
        ax=axes, **{name: values[: len(kinds)] for name, values in look.items()},
    )  # fmt: skip
    axes.get_legend().set_title(None)


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
            rows = table[table["class"] == kind].rename(columns={"model": "row"})
            colour = TASK_COLOURS.get(kind, MULTI_COLOUR)
            names = list(rows["row"])
            intervals(axes, rows, names, "auc", filled=rows["own"].astype(bool), colour=colour)
            for row in rows.itertuples():
                axes.annotate(
                    f"{row.auc:.3f}", (row.auc, row.row), xytext=(0, 5),
                    textcoords="offset points", ha="center", fontsize=7.5,
                )  # fmt: skip
            axes.set(title=TASK_TITLES.get(kind, kind), xlabel="AUC")
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
    band = 1.96 * np.sqrt(level * (1 - level) / repeats)
    with style():
        figure = new_figure(3.3, caption)
        panels = figure.subplots(1, len(classes), sharex=True, sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, classes, strict=True):
            own = table[table["class"] == kind]
            axes.axhspan(level - band, level + band, color="#E6E6E6", lw=0)
            axes.axhline(level, color=QUIET, lw=0.8)
            _lines(axes, own, "area", "coverage", "method")
            if axes is not panels[-1]:
                axes.get_legend().remove()
            size = own.iloc[0]
            sizes = f"{size['positives']} positive, {size['negatives']} negative"
            axes.set_title(f"{TASK_TITLES.get(kind, kind)}\n{sizes}")
            axes.set(xlabel="true AUC", ylabel="intervals that hold it")
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
        _lines(axes, table, "correlation", "exams", "comparison")
        seaborn.move_legend(axes, "upper left", bbox_to_anchor=(1.01, 1))
        for name, exams in marks.items():
            axes.axhline(exams, color=QUIET, lw=0.8)
            label = f"{name}: {exams:,}"
            at = {"xycoords": axes.get_yaxis_transform(), "va": "center", "fontsize": 8}
            axes.annotate(label, (1.02, exams), color=QUIET, annotation_clip=False, **at)
        axes.set(yscale="log", xlabel="correlation of the two models' AUCs", ylabel="exams needed")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(True, axis="y")
    return figure
