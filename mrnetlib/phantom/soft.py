"""Soft tissue around the joint: skin, fat, muscles, vessels, tendons, ligaments, fluid."""

import numpy as np

from mrnetlib.phantom.bones import PATELLA, tibial_top
from mrnetlib.phantom.shapes import Profile, around, bezier, column, ellipsoid, ribbon, tube

#: Skin: front y, back y, half width, against height.
BODY = {
    -110: (-12, 76, 54),
    -80: (-17, 78, 55),
    -45: (-27, 73, 54),
    -20: (-38, 65, 53),
    -3: (-46, 59, 53),
    15: (-54, 55, 54),
    34: (-59, 54, 55),
    52: (-59, 57, 57),
    80: (-55, 64, 61),
    125: (-52, 72, 66),
}

#: name: height -> centre x, y, radii x, y. A radius near 0 ends the muscle.
MUSCLES = {
    "vastus medialis": {
        22: (29, -30, 0.1, 0.1), 30: (30, -29, 7, 6), 45: (30, -25, 13, 14),
        65: (28, -20, 19, 20), 90: (26, -15, 23, 25), 125: (24, -12, 26, 28),
    },
    "vastus lateralis": {
        42: (-32, -25, 0.1, 0.1), 52: (-32, -23, 8, 9), 68: (-30, -19, 17, 18),
        90: (-27, -14, 22, 24), 125: (-25, -12, 25, 28),
    },
    "vastus intermedius": {
        58: (0, -36, 0.1, 0.1), 68: (0, -35.5, 13, 4.5), 90: (0, -35, 20, 10),
        125: (0, -34, 22, 16),
    },
    "semimembranosus": {
        -12: (31, 36, 0.1, 0.1), 0: (31, 37, 5, 4), 15: (28, 40, 11, 9), 40: (24, 39, 16, 13),
        90: (19, 38, 20, 18), 125: (17, 38, 22, 20),
    },
    "semitendinosus": {
        25: (23, 51, 0.1, 0.1), 40: (17, 52, 8, 5), 90: (9, 56, 14, 9), 125: (8, 56, 16, 11),
    },
    "sartorius": {
        -25: (41, 22, 0.1, 0.1), 0: (43, 27, 3.0, 8), 40: (43, 22, 5, 12), 90: (42, 20, 8, 16),
        125: (42, 18, 9, 16),
    },
    "biceps femoris": {
        -12: (-37, 26, 0.1, 0.1), -5: (-37, 27, 4.5, 6), 15: (-36, 33, 9, 11),
        40: (-30, 36, 14, 15), 90: (-22, 39, 18, 19), 125: (-20, 40, 20, 20),
    },
    "gastrocnemius medialis": {
        -110: (21, 48, 25, 24), -80: (21, 47, 25, 24), -30: (19, 46, 22, 18), 0: (17, 43, 17, 12),
        20: (17, 38.5, 12, 7.5), 36: (16, 34, 6, 4.5), 44: (15, 30, 0.1, 0.1),
    },
    "gastrocnemius lateralis": {
        -110: (-21, 46, 23, 22), -80: (-21, 46, 23, 22), -30: (-21, 45, 20, 16),
        0: (-19, 42, 15, 11), 20: (-18, 38, 11, 7), 36: (-17, 34, 5.5, 4.5),
        44: (-16, 30, 0.1, 0.1),
    },
    "soleus and popliteus": {
        -110: (-4, 26, 34, 17), -80: (-4, 24, 32, 15), -45: (-2, 24, 27, 10),
        -25: (0, 28, 23, 6), -14: (-4, 31.5, 16, 3), -7: (-12, 33, 0.1, 0.1),
    },
    "tibialis anterior": {
        -110: (-25, 0, 16, 18), -80: (-25, -1, 16, 17), -30: (-29, -1, 9, 11),
        -16: (-32, -2, 4, 5), -11: (-32, -2, 0.1, 0.1),
    },
    "peroneus": {
        -110: (-39, 16, 11, 16), -80: (-39, 15, 10, 14), -34: (-40, 14, 5, 9),
        -20: (-40, 13, 0.1, 0.1),
    },
}  # fmt: skip


def paint_body(canvas, knee) -> None:
    """Skin, subcutaneous fat with septa, deep fascia, muscles with fascicles and fat planes."""
    region = canvas.region((-75, -80, -125), (75, 95, 125))
    front, back, half = Profile(BODY)(region.z)
    centre, depth = (back + front) * 0.5, (back - front) * 0.5
    # Elliptic with fuller corners: u^2 + v^2 - u^2 v^2 / 4 = 1.
    u, v = ((region.x / half) ** 2, ((region.y - centre) / depth) ** 2)
    skin = np.sqrt(np.maximum(u + v - 0.25 * np.minimum(u * v, 1), 0)) - 1
    skin *= np.minimum(half, depth)
    septa = 1 - 0.22 * np.exp(-((canvas.texture("web", region.box) / 0.14) ** 2))
    septa += 0.05 * canvas.texture("cloud", region.box)
    canvas.paint(region, canvas.cover(skin), "fat", septa)
    fascia = np.abs(skin + knee.subcutaneous + 2.5 * np.clip(region.x / 40, -1, 1)) - 0.35
    canvas.paint(region, 0.7 * canvas.cover(fascia), "fascia")
    canvas.paint(region, canvas.cover(np.abs(skin + 0.6) - 0.6), "skin")
    knee.fields["skin"] = (region.box, skin)
    for table in MUSCLES.values():
        paint_muscle(canvas, knee, table)


def paint_muscle(canvas, knee, table) -> None:
    """One muscle: fascicles along the leg, thin dark fascia, kept inside the deep fascia."""
    rows = np.array([(z, *values) for z, values in table.items()])
    low = (rows[:, 1] - rows[:, 3]).min(), (rows[:, 2] - rows[:, 4]).min(), rows[:, 0].min()
    high = (rows[:, 1] + rows[:, 3]).max(), (rows[:, 2] + rows[:, 4]).max(), rows[:, 0].max()
    region = canvas.region(np.subtract(low, 2), np.add(high, 2))
    if 0 in region.x.shape:
        return
    fibre = canvas.texture("fibre", region.box)
    f = column(region, Profile(table), 2.4) / knee.muscle + 0.3 * fibre
    f = np.maximum(f, skin_at(canvas, knee, region) + knee.subcutaneous + 0.6)
    canvas.paint(region, canvas.cover(f), "muscle", 1 + 0.10 * fibre)
    fat = np.clip(fibre - 1.9, 0, 1) * canvas.cover(f)
    canvas.paint(region, 0.5 * fat, "fat")


def skin_at(canvas, knee, region) -> np.ndarray:
    """Distance to the skin (negative inside) over a region."""
    box, skin = knee.fields["skin"]
    pairs = zip(region.box, box, strict=True)
    return skin[tuple(slice(p.start - q.start, p.stop - q.start) for p, q in pairs)]


def paint_tube(canvas, points, radius, tissue, count=9) -> None:
    """A vessel, cord or band along a Bezier curve."""
    curve = bezier(points, count)
    region = canvas.region(*around(curve, float(np.max(radius)) + 2))
    canvas.paint(region, canvas.cover(tube(region, curve, radius)[0]), tissue)


def paint_band(canvas, points, half) -> None:
    """A flat ligament facing the side of the knee."""
    curve = bezier(points, 15)
    low, high = around(curve, half[0] + 2)
    region = canvas.region(low, high)
    canvas.paint(region, canvas.cover(ribbon(region, curve, half)), "ligament")


def paint_vessels(canvas, knee) -> None:
    """Popliteal artery and vein, tibial nerve, a few subcutaneous veins."""
    paint_tube(canvas, [(6, 22, 115), (0, 30, 50), (-1, 35, 0), (-3, 36, -110)], 3.2, "vessel")
    paint_tube(canvas, [(1, 28, 115), (-4, 37, 50), (-5, 40, 0), (-4, 38, -110)], 3.8, "vessel")
    paint_tube(canvas, [(-6, 40, 115), (-7, 45, 50), (-4, 46, 0), (-6, 42, -110)], 2.4, "nerve")
    paint_tube(canvas, [(47, 20, 115), (49, 32, 30), (48, 30, -20), (47, 22, -110)], 1.7, "vessel")
    paint_tube(canvas, [(9, 33, 14), (15, 30, 16), (22, 32, 14)], 0.9, "vessel")


def paint_sheet(canvas, table, thickness: float, tissue: str) -> None:
    """A flat band along the leg facing front: height -> centre x, centre y, half width."""
    heights = sorted(table)
    profile = Profile({z: (x, y, w, thickness / 2) for z, (x, y, w) in table.items()})
    values = np.array(list(table.values()), dtype=float)
    reach = values[:, 2].max() + 2
    low = values[:, 0].min() - reach, values[:, 1].min() - thickness - 3, heights[0]
    high = values[:, 0].max() + reach, values[:, 1].max() + thickness + 6, heights[-1]
    region = canvas.region(low, high)
    cx, cy, half, thick = profile(region.z)
    bend = 0.010 * (region.x - cx) ** 2  # wraps around the bone behind it
    f = np.maximum(np.abs(region.y - cy - bend) - thick, np.abs(region.x - cx) - half)
    f = np.maximum(f, np.maximum(heights[0] - region.z, region.z - heights[-1]))
    canvas.paint(region, canvas.cover(f), tissue)


def paint_tendons(canvas, knee) -> None:
    """Quadriceps and patellar tendon, collateral ligaments, iliotibial band, hamstring tendons."""
    top = PATELLA[2] + knee.patella_height
    front = PATELLA[1]
    paint_sheet(
        canvas,
        {
            top + 8: (-1, front - 10.5, 15), top + 17: (-1, front - 5, 15),
            top + 32: (-1, front + 1.5, 14), top + 50: (-1, front - 3, 14), 125: (-1, -52, 13),
        },
        5.5,
        "tendon",
    )  # fmt: skip
    paint_sheet(
        canvas,
        {
            -36: (-3, -23.5, 9), -27: (-3, -26.5, 11), 0: (-2, -35.5, 12.5),
            top - 18: (-1, front - 4.0, 14), top - 8: (-1, front - 10.5, 14),
        },
        5.0,
        "tendon",
    )  # fmt: skip
    paint_sheet(
        canvas,
        {top + h: (-1, front - 11.6 + 0.003 * h * h, 14) for h in (-12, 0, 12)},
        2.0,
        "tendon",
    )
    paint_band(canvas, [(38.5, 1, 32), (43.0, 1, 12), (38.5, 0, -15), (20, -1, -52)], (5.5, 1.3))
    paint_tube(canvas, [(-39, 5, 30), (-43, 11, 12), (-36, 21, -9)], 2.1, "ligament")
    paint_band(canvas, [(-46, -8, 110), (-47, -8, 40), (-44, -10, 10), (-31, -11, -13)], (7, 1.1))
    paint_tube(canvas, [(27, 49, 40), (30, 47, 10), (36, 36, -15), (30, 10, -50)], 2.3, "tendon")
    paint_tube(canvas, [(-38, 12, 24), (-34, 27, 8), (-24, 31, -4), (-10, 30, -14)], 2.6, "tendon")


JOINT_SPACE = Profile({-5: (0, 5, 28, 20), 15: (0, 5, 28, 20)})


def paint_fluid(canvas, knee) -> None:
    """The little fluid of a normal knee: behind the quadriceps and between the cartilages."""
    region = canvas.region((-30, -40, 42), (30, -18, 84))
    f = ellipsoid(region, (0, -29.0, 60), (17, 0.9 * knee.fluid, 15))
    canvas.paint(region, canvas.cover(f), "fluid")
    region = canvas.region((-34, -26, -3), (34, 32, 14))
    above = region.z - tibial_top(region.x, region.y) - 2.4
    f = np.maximum(np.abs(above) - 0.5 - 0.4 * knee.fluid, column(region, JOINT_SPACE))
    canvas.paint(region, 0.7 * canvas.cover(f), "fluid")
