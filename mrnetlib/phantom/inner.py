"""Inside the joint: menisci and cruciate ligaments."""

from dataclasses import dataclass

import numpy as np

from mrnetlib.phantom.bones import femur_point, tibial_cartilage, tibial_top
from mrnetlib.phantom.shapes import around, bezier, tube


@dataclass(frozen=True)
class MeniscusShape:
    """A C in the axial plane, open to the eminence; mm and degrees."""

    side: int  # +1 medial, -1 lateral
    centre: tuple[float, float]
    radii: tuple[float, float]
    horn: float  # half of the C's arc
    widths: tuple[float, float, float]  # anterior horn, body, posterior horn
    heights: tuple[float, float, float]
    taper: float  # exponent of the wedge; below 1 it is fuller


MENISCI = {
    "medial": MeniscusShape(
        side=1,
        centre=(13.7, 6.5),
        radii=(20.8, 20.8),
        horn=122,
        widths=(9.5, 10.0, 13.5),
        heights=(5.8, 6.0, 6.6),
        taper=0.85,
    ),
    "lateral": MeniscusShape(
        side=-1,
        centre=(-15.6, 5.2),
        radii=(18.4, 16.6),
        horn=137,
        widths=(12.5, 13.5, 13.5),
        heights=(9.0, 9.2, 9.8),
        taper=0.60,
    ),
}


def paint_meniscus(canvas, knee, name: str) -> None:
    """One meniscus; keeps its own coordinates for a tear to be placed in.

    Fields: depth from the outer rim (mm), local width (mm), angle (degrees, 0 at the outermost
    point, positive towards the posterior horn), height above its base and local height (mm).
    """
    shape = MENISCI[name]
    (cx, cy), (rx, ry) = shape.centre, shape.radii
    region = canvas.region((cx - rx - 3, cy - ry - 3, -5), (cx + rx + 3, cy + ry + 3, 17))
    u, v = shape.side * (region.x - cx) / rx, (region.y - cy) / ry
    rho = np.sqrt(u * u + v * v)
    angle = np.rad2deg(np.arctan2(v, u))
    turn = np.sin(np.deg2rad(angle))
    width, height = (
        np.where(turn < 0, b + (b - a) * turn, b + (c - b) * turn)
        for a, b, c in (shape.widths, shape.heights)
    )
    height = height * knee.meniscus
    depth = (1 - rho) * (0.5 * (rx + ry))
    base = tibial_top(region.x, region.y) + 0.8 * tibial_cartilage(region.x, region.y, knee)
    # Towards the horns' roots the base lies lower than the eminence it leans on.
    base = np.minimum(base, 3.2 - 0.10 * (region.y - 5))
    up = region.z - base
    wedge = up - height * np.clip(1 - depth / width, 0, 1) ** shape.taper
    f = np.maximum(np.maximum(-depth, depth - width), np.maximum(wedge * 0.86, -up))
    f = np.maximum(f, (np.abs(angle) - shape.horn) * 0.25)
    share = canvas.cover(f)
    inner = 1 + 0.15 * canvas.texture("fibre", region.box)
    canvas.paint(region, share, "meniscus", inner)
    # Signal inside that reaches no surface is common in healthy menisci.
    core = np.clip((-f - 1.0) / 1.2, 0, 1) * knee.degeneration
    keep = canvas.tissue[region.box].copy()
    canvas.paint(region, core, "torn_fibre")
    canvas.tissue[region.box] = keep
    knee.fields[f"{name} meniscus"] = {
        "region": region, "share": share, "depth": depth, "width": width,
        "angle": angle, "up": up, "height": height,
    }  # fmt: skip


def acl_curve(knee, sag: float = 0.0) -> np.ndarray:
    """The ACL's axis from the femur's lateral notch wall to the front of the eminence."""
    start = femur_point((-knee.notch + 1.0, 14.0, 27.5), knee.flexion)
    end = np.array([1.5, -5.0, 2.6])
    middle = 0.5 * (start + end) + np.array([0.5, -0.4, -0.8 - sag])
    return bezier([start, middle, end], 13)


def pcl_curve(knee) -> np.ndarray:
    """The PCL's axis from the medial notch wall over its bend to the back of the tibia."""
    start = femur_point((knee.notch - 3.0, 1.0, 17.0), knee.flexion)
    return bezier([start, (4.5, 21, 27), (1.5, 30, 10), (0, 31, -9)], 17)


def paint_cruciates(canvas, knee) -> None:
    """PCL (dark) and ACL (striated, a little brighter)."""
    curve = pcl_curve(knee)
    region = canvas.region(*around(curve, 9))
    f, _ = tube(region, curve, np.linspace(5.4, 4.6, len(curve)))
    canvas.paint(region, canvas.cover(f), "ligament")
    curve = acl_curve(knee)
    region = canvas.region(*around(curve, 14))
    radius = knee.acl * np.interp(np.linspace(0, 1, len(curve)), [0, 0.35, 1], [4.6, 4.0, 5.6])
    f, place = tube(region, curve, radius)
    share = canvas.cover(f)
    strands = knee.acl_signal + 0.35 * np.clip(canvas.texture("fibre", region.box), -1, 2)
    canvas.paint(region, share, "acl", strands)
    knee.fields["acl"] = {"region": region, "share": share, "distance": f, "place": place}
