"""Figures of exams: mosaics with lesion outlines, and what augmentation makes of a slice."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mrnetlib.figures.style import (
    LESION_COLOURS,
    LESION_LINES,
    WIDTH,
    StudyFigure,
    bare,
    grey_window,
    new_figure,
    style,
)
from mrnetlib.names import PLANE_TITLES, PLANES

#: The code whose look a task's own lesion has, where it stands alone.
TEAR = 6


def choose_slices(count: int, lesion: np.ndarray | None, shown: int) -> np.ndarray:
    """Indices of the slices to show: evenly spaced, moved so that the largest lesion is seen.

    The first and last tenth of a knee's slices show skin and fat; they are left out.
    """
    margin = count // 10 if count >= shown * 1.5 else 0
    chosen = np.unique(
        np.linspace(margin, count - 1 - margin, min(shown, count)).round().astype(int)
    )
    if lesion is not None and lesion.any():
        peak = int((lesion > 0).sum((1, 2)).argmax())
        chosen[np.abs(chosen - peak).argmin()] = peak
    return chosen


def show_slice(
    axes: Axes, pixels: np.ndarray, window: tuple[float, float], number: int | None
) -> None:
    axes.imshow(pixels, cmap="gray", vmin=window[0], vmax=window[1])
    bare(axes)
    if number is not None:
        dark = [patheffects.withStroke(linewidth=1.5, foreground="black")]
        axes.text(
            0.03, 0.96, str(number), transform=axes.transAxes, va="top", color="white",
            fontsize=7.5, path_effects=dark,
        )  # fmt: skip


def _lesion_look(code: int) -> tuple[str, object]:
    """Colour and line style of a lesion's code, the same in every figure."""
    place = (code - 1) % len(LESION_COLOURS)
    return LESION_COLOURS[place], LESION_LINES[place]


def outline(axes: Axes, mask: np.ndarray, codes: Sequence[int]) -> None:
    """Draw the border of every lesion of a slice (H, W), light on dark so that any ground does.

    The mask may have other pixels than the picture that it lies on.
    """
    height, width = axes.images[0].get_array().shape[:2]
    place = {"extent": (-0.5, width - 0.5, -0.5, height - 0.5), "origin": "lower"}
    dark = [patheffects.withStroke(linewidth=2.2, foreground="black")]
    for code in codes:
        if (mask == code).any():
            colour, line = _lesion_look(code)
            drawn = axes.contour(
                mask == code, levels=[0.5], colors=[colour], linewidths=1.2, linestyles=[line],
                **place,
            )  # fmt: skip
            drawn.set_path_effects(dark)


def outline_tear(axes: Axes, mask: np.ndarray) -> None:
    """Draw the border of a task's own lesion, bool (H, W), in the colour of tears."""
    outline(axes, mask.astype(np.uint8) * TEAR, [TEAR])


def _show_slices(
    panels: Sequence[Axes], volume: np.ndarray, lesion: np.ndarray | None, chosen: np.ndarray
) -> None:
    """The chosen slices of one volume in one grey window; panels that are left over stay empty."""
    window, codes = grey_window(np.asarray(volume)), _codes([lesion])
    for axes in panels[len(chosen) :]:
        axes.set_axis_off()
    for axes, number in zip(panels, chosen, strict=False):
        show_slice(axes, volume[number], window, int(number))
        if lesion is not None:
            outline(axes, lesion[number], codes)


def _lesion_legend(figure: StudyFigure, codes: Sequence[int], names: Mapping[int, str]) -> None:
    """Name the lesions above slices that stand close together."""
    dark = [patheffects.withStroke(linewidth=3, foreground="black")]
    handles = [
        Line2D(
            [],
            [],
            color=_lesion_look(code)[0],
            ls=_lesion_look(code)[1],
            lw=1.6,
            path_effects=dark,
            label=names.get(code, f"lesion {code}"),
        )
        for code in codes
    ]
    if handles:
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    figure.get_layout_engine().set(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)


def _codes(lesions: Sequence[np.ndarray | None]) -> list[int]:
    found = [np.unique(lesion) for lesion in lesions if lesion is not None]
    return [int(code) for code in np.unique(np.concatenate([*found, [0]])) if code]


def mosaic(
    volume: np.ndarray,
    lesion: np.ndarray | None = None,
    *,
    title: str = "",
    lesion_names: Mapping[int, str] | None = None,
    slices: int = 12,
    columns: int = 6,
    caption: str = "",
) -> StudyFigure:
    """Slices of one plane of an exam side by side, with the outline of its lesions.

    Parameters
    ----------
    volume : (S, H, W) of any dtype.
    lesion : uint8 (S, H, W), 0 without lesion, else its code; outlined where given.
    lesion_names : name of each code for the legend.
    slices, columns : how many slices are shown, and how many in a row. A number in the corner is
        the slice's place in the volume, from 0.
    """
    chosen = choose_slices(len(volume), lesion, slices)
    codes = _codes([lesion])
    rows = -(-len(chosen) // columns)
    with style():
        figure = new_figure(0.55 + rows * WIDTH / columns * 1.01, caption, title=title)
        grid = figure.subplots(rows, columns, squeeze=False)
        _show_slices(grid.ravel(), volume, lesion, chosen)
        _lesion_legend(figure, codes, lesion_names or {})
    return figure


def exam(
    volumes: Mapping[str, np.ndarray],
    lesions: Mapping[str, np.ndarray] | None = None,
    *,
    title: str = "",
    lesion_names: Mapping[int, str] | None = None,
    slices: int = 6,
    caption: str = "",
) -> StudyFigure:
    """All planes of an exam, one row each; parameters as for `mosaic`, by plane.

    Where a row leaves slices out, it says how many of how many it shows.
    """
    lesions = lesions or {}
    planes = [plane for plane in PLANES if plane in volumes]
    codes = _codes(list(lesions.values()))
    with style():
        figure = new_figure(0.55 + len(planes) * WIDTH / slices * 1.01, caption, title=title)
        grid = figure.subplots(len(planes), slices, squeeze=False)
        for row, plane in zip(grid, planes, strict=True):
            volume, lesion = volumes[plane], lesions.get(plane)
            chosen = choose_slices(len(volume), lesion, slices)
            _show_slices(row, volume, lesion, chosen)
            few = f"\n{len(chosen)} of {len(volume)} slices" * (len(chosen) < len(volume))
            row[0].set_ylabel(
                PLANE_TITLES[plane] + few, weight="bold", fontsize=8.5 if few else None
            )
        _lesion_legend(figure, codes, lesion_names or {})
    return figure


def side_by_side(
    slices: Sequence[np.ndarray],
    titles: Sequence[str],
    lesions: Sequence[np.ndarray | None] | None = None,
    *,
    lesion_names: Mapping[int, str] | None = None,
    caption: str = "",
) -> StudyFigure:
    """Single slices (H, W) of several exams in a row, each with its own title and lesions."""
    lesions = lesions or [None] * len(slices)
    codes = _codes(lesions)
    with style():
        figure = new_figure(WIDTH / len(slices) + 0.85, caption)
        panels = figure.subplots(1, len(slices), squeeze=False)[0]
        for axes, pixels, lesion, title in zip(panels, slices, lesions, titles, strict=True):
            show_slice(axes, pixels, grey_window(pixels), None)
            axes.set_title(title, fontsize=8.5)
            if lesion is not None:
                outline(axes, lesion, codes)
        _lesion_legend(figure, codes, lesion_names or {})
    return figure


def augmentation_gallery(
    original: np.ndarray,
    augmented: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 5,
    caption: str = "",
) -> StudyFigure:
    """A slice (H, W) and what augmentation makes of it, each under the draw that made it."""
    pictures = [np.asarray(original), *map(np.asarray, augmented)]
    titles = ["original", *(titles or [f"draw {n + 1}" for n in range(len(augmented))])]
    rows = -(-len(pictures) // columns)
    with style():
        figure = new_figure(0.2 + rows * (WIDTH / columns + 0.27), caption)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(pictures) :]:
            axes.set_axis_off()
        window = grey_window(pictures[0])
        for axes, picture, title in zip(grid.flat, pictures, titles, strict=False):
            show_slice(axes, picture, window, None)
            axes.set_title(title, fontsize=8.5, weight="bold" if title == "original" else "normal")
    return figure
