"""Building blocks of the anatomy: columns along the leg, tubes along a curve, slabs."""

import numpy as np
from scipy.interpolate import PchipInterpolator

from mrnetlib.phantom.canvas import Region

STEP = 0.25  # mm between entries of a lookup table along z


class Profile:
    """Smooth functions of z given at a few heights, looked up fast for whole boxes.

    `table` maps a height z (mm) to as many values as there are functions; beyond the ends the
    outermost values hold.
    """

    def __init__(self, table: dict[float, tuple[float, ...]]):
        heights = np.array(sorted(table), dtype=np.float64)
        values = np.array([table[h] for h in sorted(table)], dtype=np.float64)
        self.low, self.high = float(heights[0]), float(heights[-1])
        z = np.arange(self.low, self.high + STEP, STEP)
        # Monotone cubic pieces do not overshoot: a radius that ends at 0 stays at 0.
        self.values = PchipInterpolator(heights, values)(np.minimum(z, self.high))
        self.values = self.values.astype(np.float32).T.copy()

    def __call__(self, z: np.ndarray) -> list[np.ndarray]:
        """The functions at heights `z`, each of z's shape, float32."""
        index = ((np.clip(z, self.low, self.high) - self.low) * (1 / STEP) + 0.5).astype(np.int32)
        return [row.take(index) for row in self.values]


def column(region, profile: Profile, power: float = 2.0) -> np.ndarray:
    """A body along z with elliptic sections: `profile` gives centre x, y and radii in x, y."""
    cx, cy, rx, ry = profile(region.z)
    rx, ry = np.maximum(rx, 0.05), np.maximum(ry, 0.05)
    u, v = np.abs((region.x - cx) / rx), np.abs((region.y - cy) / ry)
    q = np.sqrt(u * u + v * v) if power == 2 else (u**power + v**power) ** (1 / power)
    return (q - 1) * np.minimum(rx, ry)


def bezier(points, count: int = 15) -> np.ndarray:
    """Points along the Bezier curve of 2 to 4 control points, (count, 3)."""
    points = np.asarray(points, dtype=np.float64)
    t = np.linspace(0, 1, count)[:, None]
    while len(points) > 1:  # de Casteljau, for all t at once
        if points.ndim == 2:
            points = points[:, None, :]
        points = points[:-1] * (1 - t) + points[1:] * t
    return points[0]


def tube(region, curve: np.ndarray, radius) -> tuple[np.ndarray, np.ndarray]:
    """Distance to a tube around a curve, and the place along it (0 to 1).

    `radius` is a number or one value per point of the curve.
    """
    radius = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(curve))
    best = np.full(region.x.shape, np.inf, dtype=np.float32)
    place = np.zeros(region.x.shape, dtype=np.float32)
    for i in range(len(curve) - 1):
        ax, ay, az = (float(c) for c in curve[i])
        dx, dy, dz = (float(c) for c in curve[i + 1] - curve[i])
        length2 = dx * dx + dy * dy + dz * dz
        px, py, pz = region.x - ax, region.y - ay, region.z - az
        t = np.clip((px * dx + py * dy + pz * dz) / length2, 0.0, 1.0)
        px -= t * dx
        py -= t * dy
        pz -= t * dz
        f = np.sqrt(px * px + py * py + pz * pz)
        f -= float(radius[i]) + t * float(radius[i + 1] - radius[i])
        closer = f < best
        best[closer] = f[closer]
        place[closer] = (i + t[closer]) / (len(curve) - 1)
    return best, place


def ribbon(region, curve: np.ndarray, half: tuple[float, float]) -> np.ndarray:
    """Distance to a flat band along a curve, `half` its half extents along y and across."""
    squeeze = half[1] / half[0]
    flat = Region(region.box, region.x, region.y * squeeze, region.z)
    return tube(flat, curve * (1, squeeze, 1), half[1])[0]


def around(curve: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the box around a curve."""
    return curve.min(0) - margin, curve.max(0) + margin


def ellipsoid(region, centre, radii) -> np.ndarray:
    """Approximate distance to an ellipsoid, exact enough near its surface."""
    u = (region.x - float(centre[0])) / float(radii[0])
    v = (region.y - float(centre[1])) / float(radii[1])
    w = (region.z - float(centre[2])) / float(radii[2])
    return (np.sqrt(u * u + v * v + w * w) - 1) * float(min(radii))
