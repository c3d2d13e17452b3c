"""Figures of where networks look: scores beside controls, cases, and lesions that were removed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mrnetlib.figures.exams import outline_tear, show_slice
from mrnetlib.figures.style import (
    MULTI_COLOUR,
    QUIET,
    WIDTH,
    StudyFigure,
    grey_window,
    in_order,
    new_figure,
    quiet_rows,
    style,
)
from mrnetlib.names import ARCHITECTURES, PLANES, TASK_TITLES, TASKS, architecture_title

#: Marker and colour of each control; grey prints tell them by the marker.
CONTROL_LOOKS = {
    "chance": ("|", "#6B6B6B"),
    "untrained": ("x", "#0072B2"),
    "shuffled": ("^", "#C06C00"),
    "grad_cam": ("D", "#B23A8E"),
}
ARCHITECTURE_LOOKS = {"alexnet": ("o", "#0072B2"), "resnet18": ("s", "#D55E00")}
ARCHITECTURE_LOOKS |= {"googlenet": ("^", "#3C9D8F")}


class Case(NamedTuple):
    """One network's evidence of one exam, to be shown: its words and two slices.

    Each of `slices` (H, W) is uint8, with its `evidence` (H, W, 4) as colours over the same pixels
    and its `lesion` (H, W) bool: first the one that the network points at, then the one with most
    of the lesion. `numbers` are theirs in the stack.
    """

    words: str
    slices: tuple[np.ndarray, np.ndarray]
    evidence: tuple[np.ndarray, np.ndarray]
    lesion: tuple[np.ndarray, np.ndarray]
    numbers: tuple[int, int]


def controls(
    summary: pd.DataFrame,
    by: str,
    measures: dict[str, str],
    sources: dict[str, str],
    *,
    level: float = 0.95,
    caption: str = "",
) -> StudyFigure:
    """What evidence scores, with its interval, and every control beside it.

    Parameters
    ----------
    summary : columns task, plane, architecture, measure, source, estimate, low, high, as
        `mrnetlib.reading.scores.summary` gives it.
    by : ``architecture`` or ``plane``: what has a row of its own; the other is taken together.
    measures, sources : the panels, and the controls, with their words.
    """
    other = {"architecture": "plane", "plane": "architecture"}[by]
    summary = summary[summary[other] == "all"]
    order = in_order(summary[by], ("all", *ARCHITECTURES, *PLANES))
    rows = [(task, name) for task in in_order(summary["task"], TASKS) for name in order]
    places = {key: n + 0.7 * (n // len(order)) for n, key in enumerate(rows)}
    with style():
        figure = new_figure(1.6 + 0.27 * (max(places.values()) + 1), caption)
        grid = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        _name_rows(grid[0], places, by)
        for axes, (measure, words) in zip(grid, measures.items(), strict=True):
            own = summary[summary["measure"] == measure]
            for row in own.to_dict("records"):
                _mark(axes, row, places[row["task"], row[by]])
            axes.set_xlabel(words.replace(" the ", " the\n", 1))
            axes.set_xlim(-0.03, 1.08 * max(0.1, own["high"].max()))
            axes.grid(True, axis="x")
        handles = [_dot("o", MULTI_COLOUR, f"evidence, {level:.0%} interval")]
        handles += [_dot(*CONTROL_LOOKS[name], words) for name, words in sources.items()]
        figure.legend(handles=handles, loc="outside upper right", ncols=3)
    return figure


def _mark(axes: Axes, row: dict, place: float) -> None:
    if row["source"] in CONTROL_LOOKS:
        marker, colour = CONTROL_LOOKS[row["source"]]
        look = {"mfc": "none", "mew": 1.4, "ms": 9 if marker == "|" else 6}
        axes.plot(row["estimate"], place, marker, color=colour, **look)
        return
    axes.hlines(place, row["low"], row["high"], color=MULTI_COLOUR, lw=1.8)
    axes.plot(row["estimate"], place, "o", color=MULTI_COLOUR, ms=5.5, zorder=3)


def _name_rows(axes: Axes, places: dict[tuple[str, str], float], by: str) -> None:
    titles = {"all": f"all {by}s"} | {name: architecture_title(name) for name in ARCHITECTURES}
    quiet_rows(axes, [])
    names = [f"{TASK_TITLES[task]}: {titles.get(name, name)}" for task, name in places]
    axes.set_yticks(list(places.values()), names)
    for label, (_, name) in zip(axes.get_yticklabels(), places, strict=True):
        label.set_weight("bold" if name == "all" else "normal")
    axes.set_ylim(max(places.values()) + 0.7, -0.7)


def _dot(marker: str, colour: str, label: str) -> Line2D:
    filled = colour if marker == "o" else "none"
    return Line2D([], [], ls="", marker=marker, color=colour, mfc=filled, mew=1.4, label=label)


def cases(rows: dict[str, Sequence[Case]], *, caption: str = "") -> StudyFigure:
    """Exams side by side, a named row each way it went, all of one size.

    Each case is a pair: the slice the network points at, and the one with most of the lesion.
    Orange speaks for the finding, blue against it; the line is the lesion's border.
    """
    columns = max(len(row) for row in rows.values())
    side = WIDTH / (2 * columns)
    with style():
        figure = new_figure(len(rows) * (side + 1.0) + 0.3, caption)
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for part, (title, row) in zip(parts, rows.items(), strict=True):
            part.suptitle(title, x=0.01, ha="left", fontsize=10.5, weight="bold")
            panels = part.subplots(1, 2 * columns, squeeze=False)[0]
            for axes in panels[2 * len(row) :]:
                axes.set_axis_off()
            for index, case in enumerate(row):
                _show_case(panels[2 * index : 2 * index + 2], case)
        figure.get_layout_engine().set(w_pad=0.015, h_pad=0.02, wspace=0, hspace=0.02)
    return figure


def _show_case(panels: Sequence[Axes], case: Case) -> None:
    roles = ("points at", "lesion in")
    parts = zip(panels, case.slices, case.evidence, case.lesion, case.numbers, roles, strict=True)
    for axes, pixels, evidence, lesion, number, role in parts:
        show_slice(axes, pixels, grey_window(pixels), None)
        axes.imshow(evidence)
        outline_tear(axes, lesion)
        axes.set_xlabel(f"{role} slice {number}", fontsize=7)
    panels[0].set_title(case.words, fontsize=7.5, loc="left", weight="normal")


def removed(summary: pd.DataFrame, *, level: float = 0.95, caption: str = "") -> StudyFigure:
    """What each kind of lesion adds to each task's fused probability, a dot an architecture.

    Parameters
    ----------
    summary : columns kind, severity, task, view, architecture, change, low, high, as
        `mrnetlib.reading.removed.summary` gives it.
    """
    own = summary[(summary["severity"] == "all") & (summary["view"] == "multi")]
    own = own[own["architecture"] != "all"]
    kinds, names = list(dict.fromkeys(own["kind"])), in_order(own["architecture"], ARCHITECTURES)
    tasks = in_order(own["task"], TASKS)
    with style():
        figure = new_figure(1.3 + 0.42 * len(kinds), caption)
        grid = figure.subplots(1, len(tasks), sharey=True, sharex=True, squeeze=False)[0]
        for axes, task in zip(grid, tasks, strict=True):
            axes.axvline(0, color=QUIET, lw=1)
            for row in own[own["task"] == task].to_dict("records"):
                marker, colour = look_of(row["architecture"], names)
                place = kinds.index(row["kind"]) + 0.24 * (names.index(row["architecture"]) - 1)
                axes.hlines(place, row["low"], row["high"], color=colour, lw=1.5)
                axes.plot(row["change"], place, marker, color=colour, ms=5)
            axes.set_title(TASK_TITLES[task])
        for axes in grid:
            quiet_rows(axes, kinds)
        grid[len(grid) // 2].set_xlabel(
            f"what the lesion adds to the fused probability ({level:.0%} interval)"
        )
        handles = [_dot(*look_of(name, names), architecture_title(name)) for name in names]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(names))
    return figure


def look_of(architecture: str, names: Sequence[str]) -> tuple[str, str]:
    """Marker and colour of an architecture, also of one that the paper does not have."""
    spare = [("v", "#5B5B5B"), ("P", "#B23A8E"), ("X", "#8A6D00")]
    return ARCHITECTURE_LOOKS.get(architecture, spare[names.index(architecture) % len(spare)])


def severity(table: pd.DataFrame, panels: dict[str, str], *, caption: str = "") -> StudyFigure:
    """What single lesions add to a task's fused probability, over their severity.

    Parameters
    ----------
    table : columns exam, kind, severity, architecture, task, view, change, seeds already averaged.
    panels : kind of lesion -> the task whose probability is shown.
    """
    names = in_order(table["architecture"], ARCHITECTURES)
    with style():
        figure = new_figure(3.4, caption)
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (kind, task) in zip(grid, panels.items(), strict=True):
            axes.axhline(0, color=QUIET, lw=1)
            chosen = (table["kind"] == kind) & (table["task"] == task) & (table["view"] == "multi")
            for name in names:
                own = table[chosen & (table["architecture"] == name)].sort_values("severity")
                marker, colour = look_of(name, names)
                axes.plot(own["severity"], own["change"], marker, color=colour, ms=4, alpha=0.6)
                window = max(3, len(own) // 4)
                smooth = own["change"].rolling(window, center=True, min_periods=2).mean()
                axes.plot(own["severity"], smooth, color=colour, lw=1.8)
            axes.set_title(f"{kind} (n = {table[chosen]['exam'].nunique()})")
            axes.set_xlabel("severity")
            axes.grid(True, axis="y")
        grid[0].set_ylabel("what the lesion adds to\nits task's fused probability")
        handles = [_dot(*look_of(name, names), architecture_title(name)) for name in names]
        handles.append(Line2D([], [], color=QUIET, lw=1.8, label="running mean"))
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return figure
