"""What all figures share: colours, type sizes, the caption that names the study, and saving.

Figures are made without pyplot, so that drawing one leaves no state behind; seaborn draws on their
axes. Every
distinction is carried by a colour that the colour-blind can tell and, a second time, by a line
style or a hatch, so that a grey print can be read.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mrnetlib.figures.words import described
from mrnetlib.files import written_whole

#: Inches; a notebook's page at 96 pixels to the inch.
WIDTH = 9.6

#: Dark blue, vermilion, teal: of different lightness, and told apart with any colour vision.
PLANE_COLOURS = {"axial": "#0B4F8A", "coronal": "#D55E00", "sagittal": "#4FB0A5"}
MULTI_COLOUR = "#1A1A1A"
TASK_COLOURS = {"abnormal": "#5B5B5B", "acl": "#8A2BA8", "meniscus": "#8C7A00"}
#: One for each code of a lesion, from 1; the tears (5 and 6 in the phantom) stand out most.
LESION_COLOURS = ("#B89CFF", "#8CFF66", "#FF7BC4", "#FFFFFF", "#40E0FF", "#FFC20A")
LESION_LINES = (
    (0, (1, 1.6)),
    (0, (5, 1.5)),
    (0, (1, 0.8)),
    (0, (5, 1, 1, 1)),
    (0, (2.5, 1)),
    "solid",
)
QUIET = "#6B6B6B"

SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are alike everywhere
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "figure.dpi": 144,
    "savefig.dpi": 144,
    "image.interpolation": "nearest",
}


class StudyFigure(Figure):
    """A matplotlib Figure that a notebook shows by itself, sharp and at its size in inches, with a
    text for those who do not see it."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int | str]]:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=self.dpi, facecolor="white")
        width, height = self.get_size_inches() * 96  # CSS pixels in an inch
        return file.getvalue(), {"width": int(width), "height": int(height), "alt": described(self)}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The context in which every figure is drawn; matplotlib's settings are restored after it."""
    with matplotlib.rc_context(SETTINGS):
        yield


def new_figure(
    height: float, caption: str = "", *, title: str = "", width: float = WIDTH
) -> StudyFigure:
    """An empty figure of `width` x `height` inches; `caption` stands at its foot."""
    figure = StudyFigure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, weight="bold")
    if caption:
        # The constrained layout keeps room for this label, unlike for free text.
        look = {"fontsize": 7.5, "color": QUIET, "style": "italic"}
        foot = figure.supxlabel(caption, x=0.995, ha="right", **look)
        foot.set_parse_math(False)  # a user's words, in which a $ is a dollar
    return figure


def width_of(columns: int) -> float:
    """Inches for so many panels side by side: a figure of one need not fill the page."""
    return min(WIDTH, 4.4 * columns)


def in_order(values: Iterable[str], order: Sequence[str]) -> list[str]:
    """The values that occur, once each: known ones first, in their order."""
    found = list(dict.fromkeys(values))
    return [v for v in order if v in found] + [v for v in found if v not in order]


def intervals(
    axes: Axes,
    rows: pd.DataFrame,
    names: Sequence[str],
    estimate: str,
    *,
    filled: pd.Series,
    colour: str = MULTI_COLOUR,
) -> None:
    """Estimates with the intervals they were given, on an axis of named rows.

    Parameters
    ----------
    rows : columns row, `estimate`, low, high.
    names : all rows of the axes, from top to bottom; those without an estimate stay empty.
    filled : bool; the other dots are hollow.
    """
    seaborn.stripplot(
        rows.assign(filled=filled), x=estimate, y="row", order=names, hue="filled",
        palette={True: colour, False: "white"}, edgecolor=colour, linewidth=1.2, size=6,
        jitter=False, legend=False, zorder=3, ax=axes,
    )  # fmt: skip
    axes.hlines(rows["row"], rows["low"], rows["high"], color=colour, lw=1.6)
    quiet_rows(axes, names)


def quiet_rows(axes: Axes, names: Sequence[str]) -> None:
    """Axes of named rows: these need neither ticks nor a label, the values a faint grid."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
    axes.set(xlabel="", ylabel="")


def bare(axes: Axes) -> None:
    """Take ticks and frame off axes that hold a picture."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def grey_window(pixels: np.ndarray) -> tuple[float, float]:
    """Darkest and brightest value to show: 0..255 for uint8, else up to the 99.5th percentile."""
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    return float(min(pixels.min(), 0)), float(max(np.percentile(pixels, 99.5), 1e-9))


def save(figure: Figure, path: Path) -> Path:
    """Write a figure whole or not at all, in the format of the suffix; returns the path."""
    with written_whole(Path(path)) as temporary:
        figure.savefig(temporary, dpi=figure.dpi, facecolor="white")
    return Path(path)
