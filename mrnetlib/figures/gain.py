"""The study's question at a glance: what several views bring over one plane."""

import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mrnetlib.evaluation.rows import ALL
from mrnetlib.figures.counts import SPLIT_TITLES
from mrnetlib.figures.style import MULTI_COLOUR, StudyFigure, in_order, new_figure, style
from mrnetlib.names import ARCHITECTURES, TASK_TITLES, TASKS, architecture_title

#: Inches: half a page, so that the type stays legible where the picture is shown small.
WIDTH = 4.8

#: Colour, filling, place off the row's middle and size, of what multi-view is held against.
LOOKS = {
    "single-best": (MULTI_COLOUR, MULTI_COLOUR, -0.14, 5.5),
    "single-mean": ("#9A9A9A", "white", 0.2, 4.5),
}


def gain(gains: pd.DataFrame, *, select_on: str = "tune", caption: str = "") -> StudyFigure:
    """Multi-view's gain over the chosen and over the mean plane, per task and architecture.

    Parameters
    ----------
    gains : as `mrnetlib.evaluation.gains.gains` gives it, as in ``gain.csv``: columns architecture,
        class, over, gain, low, high (-1..1) and covers.
    select_on : the split on whose exams the plane was chosen.
    """
    kinds = ["average", *in_order(gains.loc[gains["class"] != "average", "class"], TASKS)]
    names = in_order(gains["architecture"], (ALL, *ARCHITECTURES))
    rows = [(kind, name) for kind in kinds for name in names]
    with style():
        figure = new_figure(
            1.7 + 0.24 * len(rows) + 0.3 * len(kinds), "\n".join(textwrap.wrap(caption, 72)),
            width=WIDTH,
        )  # fmt: skip
        axes = figure.subplots()
        places = {key: place + 1.3 * (place // len(names)) for place, key in enumerate(rows)}
        for row in gains.to_dict("records"):
            _mark(axes, row, places[row["class"], row["architecture"]])
        for kind in kinds:
            title = TASK_TITLES.get(kind, "Mean of the tasks")
            words = axes.text(0.0, places[kind, names[0]] - 0.95, title, weight="bold", fontsize=11,
                              transform=axes.get_yaxis_transform(), va="center")  # fmt: skip
            words.set_bbox({"fc": "white", "ec": "none", "pad": 1.5})
        _frame(axes, places)
        words = {
            "single-best": f"over the plane chosen on the {SPLIT_TITLES[select_on].lower()} exams",
            "single-mean": "over the mean plane",
        }
        shown = [over for over in LOOKS if (gains["over"] == over).any()]
        handles = [_handle(over, words[over]) for over in shown]
        figure.legend(handles=handles, loc="outside upper center", fontsize=10)
        axes.set_xlabel(f"gain in AUC\n{_about(gains)}", fontsize=10)
    return figure


def _about(gains: pd.DataFrame) -> str:
    """What the intervals cover, in the words that say most."""
    covered = max(gains["covers"], key=len)
    return "\n".join(textwrap.wrap(f"95 % intervals: {covered}", 52))


def _mark(axes: Axes, row: dict, place: float) -> None:
    """One dot with its interval; the mean over the architectures is larger and thicker."""
    colour, filling, off, size = LOOKS[row["over"]]
    more = 1.35 if row["architecture"] == ALL else 1.0
    axes.hlines(place + off, row["low"], row["high"], color=colour, lw=1.6 * more, zorder=2)
    axes.plot(row["gain"], place + off, "o", ms=size * more, mfc=filling, mec=colour, mew=1.3)


def _frame(axes: Axes, places: dict[tuple[str, str], float]) -> None:
    names = [architecture_title(name) if name != ALL else "all" for _, name in places]
    axes.set_yticks(list(places.values()), names, fontsize=10.5)
    for label, (_, name) in zip(axes.get_yticklabels(), places, strict=True):
        label.set_weight("bold" if name == ALL else "normal")
    axes.set_ylim(max(places.values()) + 0.7, -1.5)
    axes.axvline(0, color="#C0392B", lw=1.4, zorder=1)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=10.5)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)


def _handle(over: str, words: str) -> Line2D:
    colour, filling, _, size = LOOKS[over]
    look = {"color": colour, "marker": "o", "ms": size, "mfc": filling, "mec": colour, "mew": 1.3}
    return Line2D([], [], label=words, **look)
