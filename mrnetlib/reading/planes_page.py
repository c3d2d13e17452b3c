"""A plane's section of the page: the most telling slices with evidence over them, all slices."""

from html import escape

from mrnetlib.names import PLANE_TITLES, TASK_TITLES
from mrnetlib.reading import charts, pictures
from mrnetlib.reading.reading import PlaneReading, Reading
from mrnetlib.reading.structured import TOLD

#: Length of the bar in the corner of a slice, in mm.
RULER = 20.0


def plane_section(one: PlaneReading, reading: Reading) -> str:
    """The section of one plane."""
    title, count = PLANE_TITLES[one.plane], len(one.slices)
    tasks = "".join(_task(one, task, reading) for task in one.evidence)
    series = f" {escape(one.source.volume.series)}." if one.source else ""
    return (
        f'<section class="plane"><h3>{title} plane</h3><p class="quiet">{count} slices.{series}</p>'
        f"{tasks}{_mosaic(one)}</section>"
    )


def _task(one: PlaneReading, task: str, reading: Reading) -> str:
    evidence, title = one.evidence[task], TASK_TITLES.get(task, task)
    shares, told = evidence.of_slices(), one.telling[task][:TOLD]
    most = pictures.strongest(evidence)
    figures = "".join(_slice(one, task, index, float(shares[index])) for index in told)
    value = reading.probabilities[task][one.plane].value
    whose = f"{title}, {PLANE_TITLES[one.plane].lower()}"
    return (
        f'<section class="task"><h4>{escape(title)}: {value:.2f} from this plane alone</h4>'
        f'<div class="told">{figures}</div>'
        f'<div class="scale"><span>{-most:+.2g}, against</span><img src="{pictures.scale()}" '
        f'alt="Scale of the colours from blue, against, over no colour to orange, for"><span>for, '
        f"{most:+.2g}</span></div>"
        f"{charts.slice_bars(shares, told, whose)}"
        f'<p class="note">Colour: share of a square in the plane\'s logit. Bars: share of each '
        f"slice; dots: the slices shown. Logit {evidence.logit:+.2f} = bias {evidence.bias:+.2f} + "
        f"shares {shares.sum():+.2f}.</p></section>"
    )


def _slice(one: PlaneReading, task: str, index: int, share: float) -> str:
    plane, count = PLANE_TITLES[one.plane], len(one.slices)
    where = f"{plane} slice {index + 1} of {count}"
    return (
        f'<figure><div class="slice"><img src="{pictures.grey(one.slices[index])}" '
        f'alt="{escape(where)}">'
        f'<img class="over" src="{pictures.over(one.evidence[task], index)}" '
        f'alt="Evidence for {escape(TASK_TITLES.get(task, task))} over it; the slice adds '
        f'{share:+.2f}">{_ruler(one)}</div>'
        f"<figcaption>Slice {index + 1} of {count}: {share:+.2f}</figcaption></figure>"
    )


def _ruler(one: PlaneReading) -> str:
    """A bar of two centimetres, where the size of pixels is known and the slice is not tiny."""
    grid = one.source.grids()[0] if one.source else None
    part = 100 * RULER / (one.source.size * grid.pixel) if grid else 100
    if part > 50:
        return ""
    return f'<span class="ruler" style="width:{part:.1f}%" title="2 cm"></span>'


def _mosaic(one: PlaneReading) -> str:
    side = pictures.thumbnail_side(len(one.slices))
    shown = {index for slices in one.telling.values() for index in slices[:TOLD]}
    plane = PLANE_TITLES[one.plane]
    figures = []
    for index, pixels in enumerate(one.slices):
        mark = ' class="marked"' if index in shown else ""
        figures.append(
            f'<figure{mark}><img src="{pictures.grey(pixels, side)}" loading="lazy" '
            f'alt="{plane} slice {index + 1} of {len(one.slices)}">'
            f"<figcaption>{index + 1}</figcaption></figure>"
        )
    bar = " White bar: 2 cm." if _ruler(one) else ""
    return (
        f'<h4>All {plane.lower()} slices</h4><div class="mosaic">{"".join(figures)}</div>'
        f'<p class="note">Framed: slices shown above.{bar}</p>'
    )
