"""Femur, tibia, fibula and patella with their cartilage.

The condyles are a cam: in the frame that turns with the femur the joint surface lies at radius
R(angle, x) from an axis across the knee, with the trochlear groove in front; the intercondylar
notch is cut out below Blumensaat's line. Lengths are those of a standard knee in mm; the canvas
scales them.
"""

import numpy as np
from scipy import ndimage

from mrnetlib.phantom.canvas import smooth_max, smooth_min
from mrnetlib.phantom.shapes import Profile, column

AXIS_Y, AXIS_Z = 2.0, 30.9  # mm, the cam's axis in the knee frame
RADIUS_Y, RADIUS_Z = 31.5, 26.2  # mm, the cam's radii to front and back, and down

_ANGLE_STEP, _X_STEP, _X_END = np.deg2rad(2.0), 0.5, 46.0

SHAFT = Profile(
    {  # height above the axis: centre x, centre y, radius x, radius y
        -4: (0, -2.5, 31.0, 24.0),
        6: (0, -4.0, 32.0, 22.5),
        16: (0, -6.5, 28.0, 19.5),
        28: (0, -9.5, 22.0, 16.5),
        42: (0, -11.5, 17.5, 14.5),
        60: (0, -12.5, 15.0, 13.5),
        100: (0, -13.0, 14.0, 13.0),
    }
)
TIBIA = Profile(
    {
        -110: (-1, -4.0, 12.5, 14.5),
        -60: (-1, -3.5, 14.0, 16.0),
        -40: (-1, -2.0, 18.0, 18.5),
        -25: (0, 1.0, 25.5, 21.5),
        -14: (0, 3.6, 32.0, 24.0),
        -6: (0, 5.0, 35.3, 25.4),
        12: (0, 5.0, 35.5, 25.5),
    }
)
FIBULA = Profile(
    {
        -110: (-30, 15, 5.5, 6.0),
        -40: (-31, 18, 5.5, 6.0),
        -24: (-32, 20, 8.0, 9.0),
        -15: (-32, 21, 8.5, 9.5),
        -10: (-32, 22, 6.0, 6.5),
        -7: (-32, 23, 0.05, 0.05),
    }
)


def cam_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radius, slope and cartilage thickness over (angle, x): the femur's joint surface.

    Angle 0 points down, +90 degrees back; x is positive on the medial side.
    """
    angle = np.arange(-np.pi, np.pi + _ANGLE_STEP, _ANGLE_STEP)[:, None]
    x = np.arange(-_X_END, _X_END + _X_STEP, _X_STEP)[None, :]
    degrees = np.rad2deg(angle)
    base = 1 / np.sqrt((np.sin(angle) / RADIUS_Y) ** 2 + (np.cos(angle) / RADIUS_Z) ** 2)
    # Above the axis the condyles fade into the shaft.
    base *= 1 - 0.35 * np.clip((np.abs(degrees) - 115) / 60, 0, 1) ** 2
    outer = np.clip((np.abs(x) - 17.0) / 21.0, 0, 1.1)
    rounding = np.where(outer < 1, (1 - np.minimum(outer, 1) ** 2.6) ** (1 / 2.6), 0)
    front = np.clip((-degrees - 15) / 45, 0, 1) * np.clip((150 + degrees) / 30, 0, 1)
    groove = (2.0 + 4.5 * front) * np.exp(-((x / 11.5) ** 2))
    ridge = 2.5 * front * np.exp(-(((x + 16) / 9) ** 2)) - 1.0 * front * (x > 0) * (x / 30)
    narrowing = np.where(front > 0, 1 - 0.10 * front * (np.abs(x) / 30) ** 2, 1)
    radius = (base * rounding * narrowing) - groove * (rounding > 0) + ridge * rounding
    radius = np.where(np.abs(x) >= 38, -(np.abs(x) - 38), radius)
    radius = ndimage.gaussian_filter(radius, (1.0, 1.5), mode=("wrap", "nearest"))
    across = np.gradient(radius, _X_STEP, axis=1)
    slope = np.sqrt(1 + np.clip(across, -3, 3) ** 2)
    # Cartilage: over the trochlea and the weight-bearing and back parts of the condyles.
    along = np.clip((degrees + 122) / 18, 0, 1) * np.clip((122 - degrees) / 22, 0, 1)
    sides = np.clip((33.5 - np.abs(x)) / 5.5, 0, 1)
    thickness = 1.7 * np.sqrt(along * sides) * (1 + 0.12 * np.cos(3 * angle))
    return radius.astype(np.float32), slope.astype(np.float32), thickness.astype(np.float32)


_TABLES = cam_tables()


def femur_frame(region, flexion: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates y, z from the cam's axis, turned with the femur by `flexion` degrees."""
    c, s = float(np.cos(np.deg2rad(flexion))), float(np.sin(np.deg2rad(flexion)))
    y, z = region.y - AXIS_Y, region.z - AXIS_Z
    return c * y + s * z, c * z - s * y


def femur_point(point, flexion: float) -> np.ndarray:
    """Where a point fixed to the straight femur goes when it is flexed, knee frame, mm."""
    c, s = np.cos(np.deg2rad(flexion)), np.sin(np.deg2rad(flexion))
    x, y, z = point[0], point[1] - AXIS_Y, point[2] - AXIS_Z
    return np.array([x, c * y - s * z + AXIS_Y, s * y + c * z + AXIS_Z])


def femur_surface(region, knee) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance to the femur's bone, to the outside of its cartilage, and cartilage thickness."""
    y, z = femur_frame(region, knee.flexion)
    angle = np.arctan2(y, -z)
    index = [(angle + np.pi) / _ANGLE_STEP, (region.x + _X_END) / _X_STEP]
    radius, slope, thickness = (
        ndimage.map_coordinates(t, index, order=1, mode="nearest") for t in _TABLES
    )
    cam = (np.sqrt(y * y + z * z) - radius) / slope
    shaft = column(_Shifted(region.x, y, z), SHAFT)
    shaft = np.maximum(shaft, -4.0 - z)
    hull = smooth_min(cam, shaft, 6.0)
    # Below and behind Blumensaat's line, between the condyles.
    below = (y + 9.0) * 0.811 - (z + 24.9) * 0.584
    notch = smooth_max(np.abs(region.x + 0.5) - knee.notch, -below, 11.0)
    bone = smooth_max(hull, -notch, 5.0)
    thickness = thickness * knee.cartilage
    return bone, smooth_max(hull - thickness, -notch, 2.0), thickness


class _Shifted:
    """Coordinates in the guise of a region."""

    def __init__(self, x, y, z):
        self.x, self.y, self.z = x, y, z


def tibial_top(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height of the tibial plateau's bone, mm: back slope, dished inside, eminence."""
    medial = np.exp(-(((x - 21) / 10) ** 2) - ((y - 6) / 14) ** 2)
    spines = 8.0 * np.exp(-(((x - 5.5) / 3.8) ** 2) - ((y - 8) / 8) ** 2)
    spines += 7.0 * np.exp(-(((x + 5.0) / 3.8) ** 2) - ((y - 9) / 7) ** 2)
    lip = 3.5 * np.clip((y - 20) / 8, 0, 1) ** 2 * np.exp(-((x / 9) ** 2))
    return -0.10 * (y - 5) - 1.0 * medial + spines - lip


TIBIAL_CARTILAGE = {  # side: centre x, y, radii x, y, peak thickness (mm)
    "medial": (19.5, 6.0, 15.5, 21.5, 2.95),
    "lateral": (-19.0, 5.5, 15.5, 19.5, 3.55),
}


def tibial_cartilage(x: np.ndarray, y: np.ndarray, knee) -> np.ndarray:
    """Thickness of the cartilage on the tibial plateau, mm."""
    total = np.zeros_like(x + y)
    for cx, cy, rx, ry, peak in TIBIAL_CARTILAGE.values():
        q = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2
        total += peak * knee.cartilage * np.sqrt(np.clip(1 - q, 0, 1))
    return total


def paint_tibia(canvas, knee, marrow) -> None:
    """Tibia with plateau, eminence and tuberosity, its cartilage, and the fibula."""
    region = canvas.region((-40, -30, -110), (40, 36, 14))
    top = tibial_top(region.x, region.y)
    side = column(region, TIBIA, 2.5)
    tuberosity = np.exp(-(((region.x + 1) / 9) ** 2) - ((region.z + 33) / 10) ** 2)
    side = side - 3.5 * tuberosity * (region.y < 0)
    # The back edge is notched between the plateaus.
    side = side + 3.0 * np.exp(-((region.x / 7) ** 2)) * (region.y > 10) * (region.z > -25)
    bone = smooth_max(side, (region.z - top) * 0.93, 3.0)
    cartilage = tibial_cartilage(region.x, region.y, knee)
    surface = smooth_max(side, (region.z - top - cartilage) * 0.93, 1.5)
    share = canvas.cover(surface) * (cartilage > 0.25)
    canvas.paint(region, share, "tibial_cartilage")
    wall = 0.9 + 2.6 * np.clip((-40 - region.z) / 25, 0, 1)
    marrow(region, bone, wall, "tibia", scar=region.z + 13 + 0.004 * region.x**2)
    knee.fields["tibia"] = (region, bone)

    region = canvas.region((-44, 8, -110), (-20, 36, -4))
    bone = column(region, FIBULA)
    marrow(region, bone, 1.1 + 1.2 * np.clip((-24 - region.z) / 20, 0, 1), "fibula")


def paint_femur(canvas, knee, marrow) -> None:
    """Femur and its cartilage; painted after the menisci, which it trims."""
    region = canvas.region((-43, -36, -2), (43, 42, 125))
    bone, surface, thickness = femur_surface(region, knee)
    share = canvas.cover(surface) * (thickness > 0.25)
    canvas.paint(region, share, "femoral_cartilage")
    _, z = femur_frame(region, knee.flexion)
    wall = 0.9 + 2.8 * np.clip((z - 34) / 30, 0, 1)
    marrow(region, bone, wall, "femur", scar=z - 7 + 0.006 * region.x**2)
    knee.fields["femur"] = (region, bone)


PATELLA = (-1.0, -42.6, 35.5)  # centre, mm


def paint_patella(canvas, knee, marrow) -> None:
    """Patella: rounded shield, ridge behind, cartilage on the upper three quarters of it."""
    cx, cy, cz = PATELLA
    cz += knee.patella_height
    region = canvas.region((cx - 24, cy - 14, cz - 22), (cx + 24, cy + 17, cz + 22))
    x, y, z = region.x - cx, region.y - cy, region.z - cz
    width = 21.3 * (1 + 0.10 * np.clip(z / 19, -1, 1))
    outline = ((np.abs(x / width) ** 2.2 + np.abs(z / 19.8) ** 2.2) ** (1 / 2.2) - 1) * 20
    facet = 10.4 - 0.24 * np.sqrt((x + 2) ** 2 + 6) - 0.010 * z * z
    back = (y - facet) * 0.93
    front = (-10.4 + 0.010 * x * x + 0.008 * z * z - y) * 0.93
    bone = smooth_max(smooth_max(outline, back, 4.0), front, 5.0)
    inside = np.clip(1 - (x / 19.5) ** 2 - ((z - 2.5) / 14.5) ** 2, 0, 1)
    thickness = 1.9 * knee.cartilage * np.sqrt(inside)
    surface = smooth_max(smooth_max(outline, back - thickness, 3.0), front, 5.0)
    share = canvas.cover(surface) * (thickness > 0.25)
    canvas.paint(region, share, "patellar_cartilage")
    marrow(region, bone, 1.1, "patella")
    knee.fields["patella"] = (region, bone)
