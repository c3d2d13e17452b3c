"""The paper's Figure 1 redrawn: planes, networks, probabilities, logistic regressions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle

from mrnetlib.figures.style import (
    QUIET,
    TASK_COLOURS,
    StudyFigure,
    bare,
    grey_window,
    in_order,
    new_figure,
    style,
)
from mrnetlib.names import PLANE_TITLES, PLANES, TASK_TITLES, TASKS

#: Where the columns of the drawing begin, in its units (16 wide, with three rows 9 high).
_STACK, _NETWORK, _REGRESSION, _RESULT = 1.1, 4.3, 10.2, 13.6
_ROW = 2.7
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _places(names: Sequence[str], step: float, middle: float = 0.0) -> dict[str, float]:
    """Heights of names below one another, `step` apart, around `middle`."""
    top = middle + step * (len(names) - 1) / 2
    return {name: top - step * place for place, name in enumerate(names)}


def _stack(axes: Axes, y: float, thumbnail: np.ndarray | None) -> None:
    """Three sheets that overlap; the front one shows the thumbnail."""
    side = 1.75
    for step in (2, 1, 0):
        left, bottom = _STACK + 0.13 * step, y - side / 2 + 0.13 * step
        sheet = Rectangle(
            (left, bottom), side, side, fc="#D9D9D9", ec="white", lw=1, zorder=3 - step
        )
        axes.add_patch(sheet)
    if thumbnail is not None:
        low, high = grey_window(thumbnail)
        extent = (_STACK, _STACK + side, y - side / 2, y + side / 2)
        axes.imshow(thumbnail, cmap="gray", vmin=low, vmax=high, extent=extent, zorder=4)


def _network(axes: Axes, x: float, y: float, colour: str) -> None:
    """A row of shrinking slabs: the feature maps of a convolutional network."""
    for step, height in enumerate((0.56, 0.48, 0.38, 0.28, 0.20)):
        left, half = x + 0.24 * step, height / 2
        corners = [
            (left, y - half),
            (left + 0.16, y - half),
            (left + 0.16, y + half),
            (left, y + half),
        ]
        axes.add_patch(Polygon(corners, closed=True, fc=colour, ec="none", alpha=1 - 0.12 * step))


def _box(axes: Axes, x: float, y: float, width: float, text: str, colour: str) -> None:
    shape = FancyBboxPatch(
        (x, y - 0.5),
        width,
        1.0,
        boxstyle="round,pad=0.02,rounding_size=0.12",
        fc="white",
        ec=colour,
        lw=1.6,
    )
    axes.add_patch(shape)
    axes.text(x + width / 2, y, text, ha="center", va="center", fontsize=9, linespacing=1.25)


def _arrow(axes: Axes, start: tuple, end: tuple, colour: str) -> None:
    axes.annotate(
        "",
        end,
        start,
        arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.1, "shrinkA": 0, "shrinkB": 1},
    )


def pipeline(
    thumbnails: dict[str, np.ndarray] | None = None,
    caption: str = "",
    *,
    planes: Sequence[str] = PLANES,
    tasks: Sequence[str] = TASKS,
) -> StudyFigure:
    """The block diagram of the method, after Fig. 1 of Irmakci et al. 2020.

    Parameters
    ----------
    thumbnails : a slice (H, W) per plane, shown on its stack; grey sheets without.
    caption : the study's name where the thumbnails come from one.
    planes, tasks : those of the study; the paper's without.
    """
    thumbnails = thumbnails or {}
    planes, tasks = in_order(planes, PLANES), in_order(tasks, TASKS)
    entries = _places(planes, 0.28)
    rows = max(len(planes), len(tasks))
    middle, top = _ROW * rows / 2 + 0.15, _ROW * rows + 0.9
    with style():
        figure = new_figure(0.63 * top, caption)
        axes = figure.add_subplot()
        bare(axes)
        results = _places(tasks, _ROW, middle)
        for plane, y in _places(planes, _ROW, middle).items():
            axes.text(
                0.75, y, PLANE_TITLES[plane], rotation=90, ha="center", va="center", weight="bold"
            )
            _stack(axes, y, thumbnails.get(plane))
            for task, of_network in _places(tasks, 0.72, y).items():
                _draw_branch(axes, y, task, of_network, results[task] + entries[plane])
        for task, y in results.items():
            colour = TASK_COLOURS[task]
            _box(axes, _REGRESSION, y, 2.3, "logistic\nregression", colour)
            _arrow(axes, (_REGRESSION + 2.35, y), (_RESULT, y), colour)
            text = f"probability of\n{_in_words(task)}"
            axes.text(
                _RESULT + 0.12, y, text, va="center", color=colour, weight="bold", fontsize=9.5
            )
        _heads(axes, top - 0.15, len(planes), len(tasks))
        axes.set(xlim=(0.4, 16.4), ylim=(0.1, top), aspect="equal")
    return figure


def _in_words(task: str) -> str:
    """``abnormal`` -> ``an abnormality``, ``acl`` -> ``an ACL tear``."""
    if task == "abnormal":
        return "an abnormality"
    return "an ACL tear" if task == "acl" else f"a {TASK_TITLES[task].lower()}"


def _draw_branch(axes: Axes, source: float, task: str, y: float, entry: float) -> None:
    """From a plane's stack through one network and its probability to the task's regression."""
    colour = TASK_COLOURS[task]
    _arrow(axes, (_STACK + 2.1, source + 0.13), (_NETWORK - 0.08, y), QUIET)
    _network(axes, _NETWORK, y, colour)
    label = TASK_TITLES[task].split()[0].lower().replace("acl", "ACL")
    axes.text(_NETWORK + 1.28, y, f"CNN, {label}", va="center", fontsize=8.5)
    _arrow(axes, (_NETWORK + 3.15, y), (_NETWORK + 3.62, y), colour)
    axes.text(_NETWORK + 3.72, y, "$p$", va="center", fontsize=10.5, color=colour, style="italic")
    _arrow(axes, (_NETWORK + 3.98, y), (_REGRESSION - 0.03, entry), colour)


def _heads(axes: Axes, y: float, planes: int, tasks: int) -> None:
    for x, text in (
        (_STACK + 1.0, f"an exam:\n{_NUMBERS[planes]} series of slices"),
        (
            _NETWORK + 1.5,
            f"one fine-tuned network\nper plane and task ({_NUMBERS[planes * tasks]})",
        ),
        (_NETWORK + 3.8, "its probability\n$p$"),
        (_REGRESSION + 1.15, "one fusion\nper task"),
        (_RESULT + 1.2, "multi-view\nprediction"),
    ):
        axes.text(x, y, text, ha="center", va="top", fontsize=9, color=QUIET, linespacing=1.3)
