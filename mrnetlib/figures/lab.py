"""Figures of notebook 09: what transfer is, looks inside, and how many exams each way needs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from mrnetlib.figures.exams import outline_tear
from mrnetlib.figures.style import (
    MULTI_COLOUR,
    QUIET,
    StudyFigure,
    bare,
    grey_window,
    intervals,
    new_figure,
    style,
    width_of,
)
from mrnetlib.figures.training import loss_of_guessing

#: Per place in a list of ways: colour, dashes, marker; black stands for what starts from nothing.
_LOOKS = (
    ("#1A1A1A", "-", "o"),
    ("#0072B2", (0, (1, 1)), "s"),
    ("#56B4E9", (0, (4, 1)), "D"),
    ("#009E73", (0, (5, 1, 1, 1)), "^"),
    ("#D55E00", "-", "v"),
    ("#CC79A7", (0, (2, 1)), "P"),
)

#: What a block of a network can be in the picture of the steps: face for where its weights come
#: from, hatch where they learn now.
_STATES = {
    "learned from the source, kept as it is": ("#56B4E9", ""),
    "learned from the source, learns on": ("#56B4E9", "//"),
    "new, learns": ("#E69F00", "//"),
}
_KEPT, _ON, _NEW = _STATES
_STEPS = (
    ("1  Train on much", "many pictures,\nanother question", [_KEPT] * 5, _KEPT),
    ("2  Cut off the head", "keep what sees,\ndrop what answers", [_KEPT] * 5, None),
    ("3  A new head", "it alone learns,\nthe rest is frozen", [_KEPT] * 5, _NEW),
    (
        "4  Thaw from the back",
        "the last block, then\nall, early ones slowly",
        [_KEPT] * 4 + [_ON],
        _NEW,
    ),
)


def look_of(ways: Sequence[str], way: str) -> dict:
    """The colour, line and marker of a way, the same in every figure of these ways."""
    colour, dashes, marker = _LOOKS[list(ways).index(way) % len(_LOOKS)]
    return {"color": colour, "ls": dashes, "marker": marker}


def steps(caption: str = "") -> StudyFigure:
    """Transfer in four steps: five blocks and a head, and what becomes of each."""
    with style():
        figure = new_figure(2.6, caption)
        for axes, step in zip(figure.subplots(1, 4), _STEPS, strict=True):
            title, below, blocks, head = step
            for place, state in enumerate(blocks):
                _block(axes, place, 2.2 - 0.3 * place, *_STATES[state])
            if head is not None:
                _block(axes, len(blocks) + 0.4, 0.5, *_STATES[head])
            axes.set_title(title, loc="left")
            axes.text(2.9, -1.45, below, ha="center", va="top", fontsize=9)
            axes.set(xlim=(-0.6, 6.4), ylim=(-2.7, 1.4))
            bare(axes)
        handles = [
            Patch(fc=colour, hatch=hatch, ec="#444444", label=name)
            for name, (colour, hatch) in _STATES.items()
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return figure


def _block(axes: Axes, x: float, height: float, colour: str, hatch: str) -> None:
    shape = FancyBboxPatch(
        (x - 0.28, -height / 2), 0.56, height, boxstyle="round,pad=0.02,rounding_size=0.1",
        fc=colour, ec="#444444", hatch=hatch, lw=1,
    )  # fmt: skip
    axes.add_patch(shape)


def filters(sets: Mapping[str, np.ndarray], *, shown: int = 24, caption: str = "") -> StudyFigure:
    """First filters of several networks side by side.

    Parameters
    ----------
    sets : title -> (O, k, k, 3) in 0..1; the first `shown` of each are drawn.
    """
    columns = 6
    with style():
        rows = -(-shown // columns)
        width = width_of(len(sets))
        figure = new_figure(0.7 + width / len(sets) * rows / columns, caption, width=width)
        for axes, (title, own) in zip(
            figure.subplots(1, len(sets), squeeze=False)[0], sets.items(), strict=True
        ):
            axes.imshow(_tiles(own[:shown], columns))
            axes.set_title(title, loc="left", fontsize=9)
            bare(axes)
    return figure


def _tiles(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures (N, h, w, ...) in rows of `columns`, a white pixel apart."""
    rows = -(-len(pictures) // columns)
    height, width, *rest = pictures.shape[1:]
    sheet = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, *rest))
    for place, picture in enumerate(pictures):
        top, left = place // columns * (height + 1), place % columns * (width + 1)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def maps(
    pixels: np.ndarray, found: Mapping[str, np.ndarray], *, title: str = "", caption: str = ""
) -> StudyFigure:
    """A slice, and below it the strongest maps of every convolution, a row each.

    Parameters
    ----------
    pixels : the slice (H, W).
    found : from `mrnetlib.teaching.looking.feature_maps`.
    """
    columns = max(len(own) for own in found.values())
    with style():
        figure = new_figure(0.6 + 1.12 * len(found), caption, title=title)
        grid = figure.subplots(len(found), columns + 1, squeeze=False)
        for row, (name, own) in zip(grid, found.items(), strict=True):
            low, high = grey_window(pixels)
            row[0].imshow(pixels, cmap="gray", vmin=low, vmax=high)
            row[0].set_ylabel(f"convolution {name}\n{own.shape[1]} x {own.shape[2]}", fontsize=8)
            for axes, picture in zip(row[1:], own, strict=False):
                axes.imshow(picture, cmap="magma", vmin=0)
            for axes in row:
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
    return figure


def winners(
    volume: np.ndarray,
    shares: Mapping[str, np.ndarray],
    *,
    lesion: np.ndarray | None = None,
    title: str = "",
    caption: str = "",
) -> StudyFigure:
    """The slices of an exam, and below each one's shares as bars.

    Parameters
    ----------
    volume : (S, H, W).
    shares : words -> (S,), each adding up to 1: features won, or shares of a gradient.
    lesion : bool (S, h, w) where it is known: its slices are named, and it is outlined.
    """
    count = len(volume)
    with style():
        figure = new_figure(3.9, caption, title=title)
        grid = figure.add_gridspec(2, count, height_ratios=(1, 1.5))
        window = grey_window(volume)
        for place in range(count):
            axes = figure.add_subplot(grid[0, place])
            axes.imshow(volume[place], cmap="gray", vmin=window[0], vmax=window[1])
            bare(axes)
            marked = lesion is not None and bool(lesion[place].any())
            axes.set_title(f"{place}{', lesion outlined' * marked}", fontsize=8.5)
            if marked:
                outline_tear(axes, lesion[place])
        axes = figure.add_subplot(grid[1, :])
        width = 0.8 / len(shares)
        looks = (("#0072B2", ""), ("#E69F00", "//"), ("white", "...."))
        for step, (words, share) in enumerate(shares.items()):
            places = np.arange(count) + (step - (len(shares) - 1) / 2) * width
            colour, hatch = looks[step % len(looks)]
            axes.bar(places, share, width, fc=colour, hatch=hatch, ec="#444444", label=words)
        axes.set(xlim=(-0.5, count - 0.5), xlabel="slice", ylabel="share")
        axes.set_xticks(range(count))
        axes.grid(True, axis="y")
        figure.legend(loc="outside upper right", ncols=len(shares))
    return figure


def curves(
    history: pd.DataFrame,
    titles: Mapping[str, str],
    *,
    positive: float | None = None,
    title: str = "",
    caption: str = "",
) -> StudyFigure:
    """Losses and AUC by epoch of several ways: means over the seeds, and each seed thinly.

    The panels are as high as the means need; the losses' titles say where a seed leaves them.

    Parameters
    ----------
    history : columns way, seed, epoch, train_loss, tune_loss, tune_auc.
    titles : what each way is called, in their order.
    positive : share (0..1) of positive training exams; with it a dotted line shows the loss of a
        network that always says one half.
    """
    guess = None if positive is None else loss_of_guessing(positive)
    words = {"train_loss": "training loss", "tune_loss": "tuning loss", "tune_auc": "tuning AUC"}
    with style():
        figure = new_figure(3.6, caption, title=title)
        for axes, (column, label) in zip(figure.subplots(1, 3), words.items(), strict=True):
            means = []
            for way, name in titles.items():
                look = look_of(titles, way) | {"marker": ""}
                own = history[history["way"] == way]
                wide = own.pivot(index="epoch", columns="seed", values=column)
                axes.plot(wide.index, wide, **look | {"lw": 0.6, "alpha": 0.35})
                means.append(wide.mean(axis=1))
                # Broken lines above whole ones, which would hide them where two are the same.
                above = 2.5 if look["ls"] == "-" else 3
                axes.plot(wide.index, means[-1], label=name, **look | {"lw": 2, "zorder": above})
            guessed = 0.5 if column == "tune_auc" else guess
            if guessed is not None:
                axes.axhline(guessed, color=QUIET, lw=0.9, ls=":", label="guessing")
            axes.set(xlabel="epoch", title=label)
            if column != "tune_auc":
                _up_to_means(axes, pd.concat(means), history.loc[:, column], guessed)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.grid(True, axis="y")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=3)
    return figure


def _up_to_means(axes: Axes, means: pd.Series, values: pd.Series, guessed: float | None) -> None:
    """Make a panel as high as its means and the line of guessing; say so where a seed leaves it."""
    held = [*means.dropna(), *([] if guessed is None else [guessed])]
    edge = 0.06 * (max(held) - min(held) or 1)
    axes.set_ylim(min(held) - edge, max(held) + edge)
    if values.max() > max(held) + edge:
        axes.set_title(f"{axes.get_title()}\nsingle seeds reach {values.max():.2f}, cut off")


def exams_needed(
    table: pd.DataFrame,
    titles: Mapping[str, str],
    *,
    level: float = 0.95,
    title: str = "",
    caption: str = "",
) -> StudyFigure:
    """AUC on the test exams over the number of training exams, with intervals.

    Parameters
    ----------
    table : columns way, train_exams, auc, auc_low, auc_high.
    titles : what each way is called, in their order.
    """
    with style():
        figure = new_figure(4.2, caption, title=title, width=7.6)
        axes = figure.subplots()
        sizes = sorted(table["train_exams"].unique())
        for place, (way, name) in enumerate(titles.items()):
            own = table[table["way"] == way].sort_values("train_exams")
            # side by side, so that intervals do not hide one another
            x = own["train_exams"] * 1.035 ** (place - (len(titles) - 1) / 2)
            error = [own["auc"] - own["auc_low"], own["auc_high"] - own["auc"]]
            axes.errorbar(x, own["auc"], error, label=name, capsize=3, **look_of(titles, way))
        axes.axhline(0.5, color=QUIET, lw=0.9, ls=":")
        axes.set(xscale="log", xlabel="training exams", ylabel=f"test AUC, {level:.0%} intervals")
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.grid(True, axis="y")
        figure.legend(loc="outside right upper")
    return figure


def claims(
    table: pd.DataFrame, *, level: float = 0.95, title: str = "", caption: str = ""
) -> StudyFigure:
    """Differences in AUC with their intervals, below the question that each belongs to.

    Parameters
    ----------
    table : from `mrnetlib.teaching.questions.judged`.
    """
    groups = table.groupby("question", sort=False)["row"]
    names = [name for question, rows in groups for name in (question, *rows)]
    with style():
        figure = new_figure(1.5 + 0.3 * len(names), caption, title=title)
        axes = figure.subplots()
        axes.axvline(0, color=QUIET, lw=1)
        clear = table["p_holm"] < 1 - level
        intervals(axes, table, names, "difference", filled=clear)
        for label in axes.get_yticklabels():
            if label.get_text() in set(table["question"]):
                label.set_weight("bold")
        axes.set_xlabel(
            f"difference in test AUC (above 0: yes), {level:.0%} intervals over exams and seeds"
        )
        dot = {"ls": "", "marker": "o", "mec": MULTI_COLOUR, "ms": 6}
        handles = [
            Line2D([], [], mfc=colour, label=f"p {sign} {1 - level:.2g} after Holm", **dot)
            for colour, sign in ((MULTI_COLOUR, "<"), ("white", "≥"))
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=2)
    return figure
