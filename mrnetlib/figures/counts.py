"""Figures of a whole set of exams: labels, slices, grey values."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mrnetlib.figures.style import PLANE_COLOURS, QUIET, StudyFigure, new_figure, style, width_of
from mrnetlib.figures.views import VIEW_HATCHES
from mrnetlib.names import PLANE_TITLES, PLANES, SPLITS

#: Label combinations in the order they are shown; MRNet's ACL and meniscus tears are all abnormal.
COMBINATIONS = {
    (0, 0, 0): "no abnormality",
    (1, 0, 0): "abnormal, neither tear",
    (1, 0, 1): "meniscus tear",
    (1, 1, 0): "ACL tear",
    (1, 1, 1): "both tears",
}
SPLIT_TITLES = {"train": "Training", "tune": "Tuning", "test": "Test"}


def label_counts(exams: pd.DataFrame, caption: str = "") -> StudyFigure:
    """How many exams of each split have which combination of labels; bars are shares of a split.

    Parameters
    ----------
    exams : columns split and the three tasks (0 or 1), as in ``exams.csv``.
    """
    kinds = pd.Series(list(zip(exams["abnormal"], exams["acl"], exams["meniscus"], strict=True)))
    names = kinds.map(lambda kind: COMBINATIONS.get(kind, "other"))
    order = [*COMBINATIONS.values(), *(["other"] if (names == "other").any() else [])]
    splits = [split for split in SPLITS if (exams["split"] == split).any()]
    with style():
        figure, widest = new_figure(2.5, caption), 0.0
        for axes, split in zip(
            figure.subplots(1, len(splits), sharex=True, sharey=True, squeeze=False)[0],
            splits,
            strict=True,
        ):
            of_split = names[(exams["split"] == split).to_numpy()]
            counts = of_split.value_counts().reindex(order, fill_value=0)
            shares = 100 * counts / len(of_split)
            bars = axes.barh(order, shares, color="#8FA9C4", edgecolor="#2F4B66", height=0.72)
            texts = [
                f"{count}  ({share:.0f}%)" for count, share in zip(counts, shares, strict=True)
            ]
            axes.bar_label(bars, texts, padding=3, fontsize=8.5)
            widest = max(widest, float(shares.max()))
            axes.set_title(f"{SPLIT_TITLES[split]}: {len(of_split)} exams", loc="left")
            axes.set_xlabel("% of the split's exams")
            axes.tick_params(axis="y", length=0)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_xlim(0, 1.55 * widest)
        axes.invert_yaxis()
    return figure


def slices_per_exam(exams: pd.DataFrame, caption: str = "") -> StudyFigure:
    """How many slices the exams have, per plane; columns ``slices_<plane>`` of ``exams.csv``."""
    planes = [plane for plane in PLANES if f"slices_{plane}" in exams]
    counts = {plane: exams[f"slices_{plane}"].to_numpy() for plane in planes}
    low, high = min(map(np.min, counts.values())), max(map(np.max, counts.values()))
    step = max(1, (high - low) // 24)
    bins = np.arange(low - 0.5, high + 0.5 + step, step)
    with style():
        figure = new_figure(2.5, caption, width=width_of(len(planes)))
        panels = figure.subplots(1, len(planes), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (plane, values) in zip(panels, counts.items(), strict=True):
            axes.hist(
                values, bins, color=PLANE_COLOURS[plane], edgecolor="white", lw=0.5,
                hatch=VIEW_HATCHES.get(plane),
            )  # fmt: skip
            axes.axvline(np.median(values), color="black", lw=1.2, ls="--")
            axes.set_title(PLANE_TITLES[plane], loc="left")
            text = f"min {values.min()}, median {np.median(values):g}, max {values.max()}"
            axes.text(
                1, 1.01, text, transform=axes.transAxes, ha="right", fontsize=7.5, color=QUIET
            )
            axes.set_xlabel("slices in an exam")
        figure.axes[0].set_ylabel("exams")
    return figure


def histograms(
    before: Mapping[str, Sequence[np.ndarray]],
    after: Mapping[str, Sequence[np.ndarray]],
    *,
    landmarks: Mapping[str, Sequence[float]] | None = None,
    caption: str = "",
) -> StudyFigure:
    """Grey values of several exams before and after standardization, a row per plane.

    Parameters
    ----------
    before, after : per plane one array of pixels per exam, of any shape; give the pixels inside
        the knee, or the black background hides everything else.
    landmarks : per plane the standard scale's grey values, ticked below the right panels.
    """
    planes = [plane for plane in PLANES if plane in before]
    with style():
        figure = new_figure(0.6 + 1.75 * len(planes), caption)
        grid = figure.subplots(len(planes), 2, squeeze=False)
        for row, plane in zip(grid, planes, strict=True):
            top = max(np.percentile(pixels, 99.5) for pixels in before[plane])
            _lines(row[0], before[plane], float(top), plane)
            _lines(row[1], after[plane], 255.0, plane)
            row[0].set_ylabel(f"{PLANE_TITLES[plane]}\nshare of pixels")
            for value in (landmarks or {}).get(plane, ()):
                row[1].axvline(value, ymax=0.06, color="black", lw=1.2)
        grid[0, 0].set_title("before: grey values as the scanner wrote them")
        grid[0, 1].set_title("after: grey values on the standard scale")
        grid[-1, 0].set_xlabel("grey value")
        grid[-1, 1].set_xlabel("grey value" + (" (ticks: landmarks)" if landmarks else ""))
    return figure


def _lines(axes: Axes, exams: Sequence[np.ndarray], top: float, plane: str) -> None:
    # Bins of a whole number of grey values, or counting integers would make a comb.
    width = max(1, round(top / 50)) if np.asarray(exams[0]).dtype.kind in "ui" else top / 50
    # One bin beyond `top`: on the standard scale that is where clipped values, 255, pile up.
    edges = np.arange(0, top + 2 * width, width) - (0.5 if width >= 1 else 0)
    shares = []
    for pixels in exams:
        counts = np.histogram(np.asarray(pixels).ravel(), edges)[0]
        shares.append(counts / max(counts.sum(), 1))
        middles = (edges[:-1] + edges[1:]) / 2
        axes.plot(middles, shares[-1], color=PLANE_COLOURS[plane], lw=0.9, alpha=0.7)
    # The first bin (black) and the last (clipped) may tower over the rest; the shape of the tissue
    # is the point here.
    highest = max(share[2:-1].max() for share in shares)
    axes.set(xlim=(0, edges[-1]), yticks=[], ylim=(0, 1.15 * highest))
