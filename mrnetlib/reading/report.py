"""A reading as one page of HTML that needs nothing else and names nobody.

It holds what `Reading` holds but for its sources, so no name, number or date of a patient; every
text is escaped. Without a script; what a plane's section shows is in `planes_page`.
"""

from collections.abc import Iterator
from html import escape
from math import isfinite
from pathlib import Path

from mrnetlib.files import write_text
from mrnetlib.names import PLANE_TITLES, TASK_TITLES
from mrnetlib.reading import charts
from mrnetlib.reading.planes_page import plane_section
from mrnetlib.reading.reading import DISCLAIMER, Distance, Estimate, Reading
from mrnetlib.reading.style import CSS

NAME = "report.html"


def _head(reading: Reading) -> Iterator[str]:
    title = f"Reading of {reading.exam}"
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body><header>"
        f'<h1>{escape(title)}</h1><p class="banner">{escape(DISCLAIMER)}</p>'
    )
    if reading.about.get("data"):
        yield f'<p class="banner">Trained on: {escape(reading.about["data"])}.</p>'
    yield "</header><main>"


def _warnings(reading: Reading) -> Iterator[str]:
    if not reading.warnings:
        yield (
            "<p>No warning: in all that was measured the exam lies among the training exams. That "
            "does not say that the numbers are right.</p>"
        )
        return
    count = len(reading.warnings)
    title = "A warning" if count == 1 else f"{count} warnings"
    items = "".join(f"<li>{escape(warning)}</li>" for warning in reading.warnings)
    yield f'<section class="warnings" role="alert"><h2>{title}</h2><ul>{items}</ul></section>'


def _card(reading: Reading, task: str) -> str:
    said = reading.probabilities[task]
    fused, title = said["fused"], TASK_TITLES.get(task, task)
    shares = reading.fused[task]
    most = max(map(abs, shares.values()), default=0.0)
    rows = []
    for name in ["intercept", *reading.planes]:
        if name in said or name in shares:
            rows.append(_plane_row(name, said.get(name), shares.get(name), most))
    if shares:
        total = f'<td class="number">{sum(shares.values()):+.2f}</td>'
        rows.append(f"<tr><td>Sum</td><td></td>{total}<td></td></tr>")
    share = (
        '<th class="number" title="share of the fused logit">share</th>' if shares else "<th></th>"
    )
    return (
        f'<section class="card"><h3>{escape(title)}</h3><p class="big">{fused.value:.2f}</p>'
        f"{charts.probability(fused, title)}<p>{escape(said['wording'])}</p>"
        '<table><thead><tr><th>Plane</th><th class="number" title="probability">prob.</th>'
        f"{share}<th></th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{_spread(fused.members)}</section>"
    )


def _plane_row(name: str, own: Estimate | None, share: float | None, most: float) -> str:
    """A plane's probability and share; one of the two may be missing."""
    label = PLANE_TITLES.get(name, name.capitalize())
    value = f"{own.value:.2f}" if own else ""
    bar = "" if share is None else charts.share_bar(share, most, f"{label}, share of the logit")
    number = "" if share is None else f"{share:+.2f}"
    return (
        f'<tr><td>{escape(label)}</td><td class="number">{value}</td>'
        f'<td class="number">{number}</td><td>{bar}</td></tr>'
    )


def _spread(members: dict[str, float]) -> str:
    if len(members) < 2:
        return ""
    said = ", ".join(f"{name} {value:.2f}" for name, value in members.items())
    return f'<p class="quiet">Single networks: {escape(said)}.</p>'


def _probabilities(reading: Reading) -> Iterator[str]:
    yield '<h2>What the networks say</h2><div class="cards">'
    yield from (_card(reading, task) for task in reading.probabilities)
    yield (
        '</div><p class="note">Dot: the probability. Grey bar: the 95 % interval of the share with '
        "the finding among the study's test exams that scored like this; where the dot lies beside "
        "it, the number says more, or less, than these exams bear out. Short lines: single "
        "networks. A plane's share is what it adds to the logit of all planes together; right of "
        "the middle it speaks for the finding. Shares are means over the networks.</p>"
    )


def _distances(reading: Reading) -> Iterator[str]:
    yield "<h2>How far the exam lies from the training exams</h2>"
    if not reading.distances:
        yield "<p>Nothing was measured.</p>"
        return
    outside = sum(one.outside for one in reading.distances)
    said = "none" if not outside else f"{outside}"
    yield (
        f"<p>Of {len(reading.distances)} measures {said} "
        f"{'lies' if outside in (0, 1) else 'lie'} outside what 99 of 100 training exams have.</p>"
        "<table><thead><tr><th>Plane</th><th>Respect</th><th>Exam</th>"
        "<th>99 of 100 training exams</th></tr></thead><tbody>"
    )
    yield from map(_distance, reading.distances)
    yield "</tbody></table>"


def _distance(one: Distance) -> str:
    value = f"{one.value:.3g}" if isfinite(one.value) else "unknown"
    mark, verdict = (' class="outside"', ", outside") if one.outside else ("", "")
    return (
        f"<tr{mark}><td>{escape(PLANE_TITLES.get(one.plane, one.plane))}</td>"
        f"<td>{escape(one.respect)}</td><td>{value} {escape(one.unit)}{verdict}</td>"
        f"<td>{one.low:.3g} to {one.high:.3g}</td></tr>"
    )


def _models(reading: Reading) -> Iterator[str]:
    yield "<h2>Which networks read it</h2><table><tbody>"
    for label, text in reading.about.items():
        yield f"<tr><th>{escape(label.capitalize())}</th><td>{escape(text)}</td></tr>"
    yield (
        f"<tr><th>Time</th><td>{reading.seconds:.1f} s</td></tr></tbody></table>"
        '<h3>Their files and SHA-256</h3><table class="files"><tbody>'
    )
    for name, checksum in reading.models.items():
        yield f"<tr><td>{escape(name)}</td><td><code>{escape(checksum)}</code></td></tr>"
    yield "</tbody></table>"


def _limits() -> Iterator[str]:
    yield (
        "<h2>What this does not say</h2><ul>"
        "<li>A probability is what these networks say, trained on these exams. It is not the "
        "probability that this knee has the finding.</li>"
        "<li>Evidence says what moved the networks' numbers, not what is there: a bright joint "
        "effusion may carry the evidence for a tear beside it.</li>"
        "<li>The colours' squares are as fine as the networks see; nothing finer is exact.</li>"
        f"<li>{escape(DISCLAIMER)}</li></ul>"
    )


def page(reading: Reading) -> str:
    """The whole page as text."""
    parts = [*_head(reading), *_warnings(reading), *_probabilities(reading)]
    parts.append(
        '<h2>Where they see it</h2><p class="switch"><label><input type="checkbox" id="hide"> '
        "show the slices without the evidence</label></p>"
    )
    parts += [plane_section(one, reading) for one in reading.planes.values()]
    parts += [*_distances(reading), *_limits(), *_models(reading), "</main></body></html>\n"]
    return "".join(parts)


def write_report(reading: Reading, folder: Path) -> Path:
    """Write ``folder/report.html``, whole or not at all; returns its path."""
    path = Path(folder) / NAME
    write_text(path, page(reading))
    return path
