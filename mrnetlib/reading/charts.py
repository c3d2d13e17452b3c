"""Small charts of a reading's page, drawn as SVG: they follow its colours, in the dark too."""

from html import escape

import numpy as np

from mrnetlib.reading.reading import Estimate


def _svg(width: float, height: float, title: str, parts: list[str], kind: str) -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def probability(estimate: Estimate, title: str) -> str:
    """A line from 0 to 1 with the probability, its interval and the single networks."""

    def x(value: float) -> float:
        return 10 + 280 * min(1, max(0, value))

    parts = ['<line class="axis" x1="10" y1="22" x2="290" y2="22"/>']
    for tick in (0, 0.5, 1):
        parts.append(f'<line class="axis" x1="{x(tick):g}" y1="18" x2="{x(tick):g}" y2="26"/>')
        parts.append(f'<text x="{x(tick):g}" y="41" text-anchor="middle">{tick:g}</text>')
    low, high = x(estimate.low), x(estimate.high)
    parts.append(
        f'<rect class="interval" x="{low:.1f}" y="18" width="{high - low:.1f}" height="8"/>'
    )
    for value in estimate.members.values():
        parts.append(
            f'<line class="member" x1="{x(value):.1f}" y1="4" x2="{x(value):.1f}" y2="13"/>'
        )
    parts.append(f'<circle class="value" cx="{x(estimate.value):.1f}" cy="22" r="6"/>')
    said = (
        f"{title}: probability {estimate.value:.2f}; of the test exams that scored like this a "
        f"share of {estimate.low:.2f} to {estimate.high:.2f} had the finding"
    )
    return _svg(300, 46, said, parts, "probability")


def share_bar(value: float, most: float, title: str) -> str:
    """A bar from the middle: to the right for the finding, to the left against it."""
    length = 74 * min(1.0, abs(value) / most) if most else 0
    start, kind = (75, "for") if value > 0 else (75 - length, "against")
    parts = [
        f'<rect class="{kind}" x="{start:.1f}" y="2" width="{length:.1f}" height="10"/>',
        '<line class="axis" x1="75" y1="0" x2="75" y2="14"/>',
    ]
    return _svg(150, 14, f"{title}: {value:+.2f}", parts, "share")


def slice_bars(shares: np.ndarray, told: list[int], title: str) -> str:
    """A bar a slice, upwards for the finding; the slices shown have a dot."""
    count, step = len(shares), 300 / len(shares)
    up, down = max(0.0, float(shares.max())), max(0.0, -float(shares.min()))
    scale = 44 / ((up + down) or 1.0)
    zero = 8 + scale * up
    parts = []
    for index, value in enumerate(shares):
        height = scale * abs(float(value))
        top, kind = (zero - height, "for") if value > 0 else (zero, "against")
        left = index * step + step * 0.1
        parts.append(f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{step * 0.8:.1f}" '
                     f'height="{height:.1f}"/>')  # fmt: skip
        if index in told:
            parts.append(f'<circle class="value" cx="{(index + 0.5) * step:.1f}" cy="4" r="2.5"/>')
    parts.append(f'<line class="axis" x1="0" y1="{zero:.1f}" x2="300" y2="{zero:.1f}"/>')
    parts.append('<text x="0" y="64">1</text>')
    parts.append(f'<text x="300" y="64" text-anchor="end">{count}</text>')
    strong = int(np.abs(shares).argmax())
    said = (
        f"{title}: the share of each of {count} slices; the largest is {shares[strong]:+.2f}, of "
        f"slice {strong + 1}"
    )
    return _svg(300, 66, said, parts, "slices")
