"""The figure of calibration: are the probabilities to be believed?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mrnetlib.figures.style import MULTI_COLOUR, QUIET, StudyFigure, in_order, new_figure, style
from mrnetlib.names import ARCHITECTURES, TASK_TITLES, TASKS, architecture_title


def calibration_curves(curves: pd.DataFrame, *, caption: str = "") -> StudyFigure:
    """Share of positive exams by the probability that was said, per architecture (rows) and task.

    Parameters
    ----------
    curves : as `mrnetlib.evaluation.calibration.calibration_curves` gives it: columns architecture,
        task, predicted, observed, low, high (0..1) and n; a row per group of exams.
    """
    names = [in_order(curves["architecture"], ARCHITECTURES), in_order(curves["task"], TASKS)]
    with style():
        figure = new_figure(0.45 + 2.6 * len(names[0]), caption)
        grid = figure.subplots(*map(len, names), squeeze=False, sharex=True, sharey=True)
        for (row, column), axes in np.ndenumerate(grid):
            own = curves["architecture"] == names[0][row]
            _calibration_panel(axes, curves[own & (curves["task"] == names[1][column])])
            if row == 0:
                axes.set_title(TASK_TITLES[names[1][column]])
            if row == len(grid) - 1:
                axes.set_xlabel("mean probability of a group")
            if column == 0:
                title = architecture_title(names[0][row])
                axes.set_ylabel(f"{title}\nshare of positive exams", weight="bold")
    return figure


def _calibration_panel(axes: Axes, curve: pd.DataFrame) -> None:
    curve = curve.sort_values("predicted")
    axes.plot([0, 1], [0, 1], color="#BBBBBB", lw=0.8)
    axes.vlines(curve["predicted"], curve["low"], curve["high"], color=QUIET, lw=1.4)
    axes.plot(curve["predicted"], curve["observed"], "o-", color=MULTI_COLOUR, ms=4.5, lw=1.5)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    exams = sorted(set(curve["n"]))
    said = f"{exams[0]} to {exams[-1]}" if len(exams) > 1 else f"{exams[0]}"
    axes.text(0.98, 0.03, f"groups of {said}", ha="right", fontsize=7.5, color=QUIET)
