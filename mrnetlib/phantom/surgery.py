"""How lesions change a healthy knee.

Every change of the signal is recorded with the lesion's code, which makes the lesion masks.
"""

import numpy as np

from mrnetlib.phantom import inner
from mrnetlib.phantom.bones import femur_point
from mrnetlib.phantom.canvas import Region
from mrnetlib.phantom.lesions import LESIONS, OEDEMA_PLACES, Lesion
from mrnetlib.phantom.shapes import around, bezier, ellipsoid, tube
from mrnetlib.phantom.tissues import CODES
from mrnetlib.phantom.variants import Variant, spots


class Surgeon:
    """Applies lesions to a painted knee and keeps the lesion map."""

    def __init__(self, canvas, knee, pixel: float):
        self.canvas, self.knee = canvas, knee
        # A cleft narrower than half a pixel would not be seen at all by anyone.
        self.least = 0.5 * pixel
        self.map = {code: [] for code in LESIONS.values()}

    def change(self, kind: str, region: Region, share, tissue: str, record: bool = True) -> None:
        """Paint `tissue` with `share` and record where that is."""
        tissue_map = self.canvas.tissue[region.box].copy()
        self.canvas.paint(region, share, tissue)
        self.canvas.tissue[region.box] = tissue_map
        if record:
            self.map[LESIONS[kind]].append((region.box, share.astype(np.float32)))

    def is_tissue(self, region: Region, *names: str) -> np.ndarray:
        """1 where the tissue map says one of `names`, else 0."""
        keep = np.zeros(len(CODES), dtype=np.float32)
        for name in names:
            keep[CODES[name]] = 1
        return keep[self.canvas.tissue[region.box]]

    def apply(self, lesion: Lesion) -> None:
        """Change the knee as the lesion says."""
        {
            "effusion": self.effusion,
            "bone oedema": self.oedema,
            "cyst": self.cyst,
            "cartilage defect": self.defect,
            "meniscus tear": self.meniscus,
            "ACL tear": self.acl,
        }[lesion.kind](lesion)

    def effusion(self, lesion: Lesion) -> None:
        """Fluid distends the suprapatellar pouch and the recesses beside the trochlea."""
        s = lesion.severity
        region = self.canvas.region((-42, -46, 8), (42, -8, 90))
        pouch = ellipsoid(region, (0, -29.5, 57), (16 + 8 * s, 1.5 + 7 * s, 15 + 8 * s))
        for side in (-1, 1):
            recess = ellipsoid(region, (side * 28, -25, 38), (4 + 6 * s, 3 + 6 * s, 9 + 9 * s))
            pouch = np.minimum(pouch, recess)
        free = self.is_tissue(region, "fat", "fluid", "fascia", "muscle")
        self.change("effusion", region, self.canvas.cover(pouch) * free, "fluid")

    def oedema(self, lesion: Lesion) -> None:
        """A cloud of water, or of dense bone, in the marrow under the joint surface."""
        centre, femoral = OEDEMA_PLACES[lesion.place]
        centre = femur_point(centre, self.knee.flexion) if femoral else np.array(centre)
        centre = centre + lesion.details["shift"]
        radii = np.array(lesion.details["radii"]) * (0.55 + 0.75 * lesion.severity)
        region = self.canvas.region(centre - 1.6 * radii, centre + 1.6 * radii)
        cloud = 0.25 * self.canvas.texture("cloud", region.box)
        q = ellipsoid(region, centre, radii) / float(radii.min()) + 1 + cloud
        share = np.clip(1.5 - q, 0, 1) * min(1.0, 0.35 + 0.65 * lesion.severity)
        share *= self.is_tissue(region, "femur", "tibia", "patella")
        self.change("bone oedema", region, share, lesion.form)

    def cyst(self, lesion: Lesion) -> None:
        """A popliteal (Baker's), parameniscal or ganglion cyst."""
        s = lesion.severity
        if lesion.form == "popliteal":
            centre, radii = np.array([24.0, 37.5, 13]), np.array([7, 6.5, 13]) * (0.5 + 0.6 * s)
        elif lesion.form == "ganglion":
            centre, radii = np.array([6.0, -17, 2]), np.array([7, 5, 6]) * (0.5 + 0.6 * s)
        else:
            shape = inner.MENISCI[lesion.place.split()[0]]
            a = np.deg2rad(lesion.details["angle"])
            out = np.array([shape.side * np.cos(a), np.sin(a)])
            rim = np.array(shape.centre) + (np.array(shape.radii) + 3) * out
            centre, radii = np.array([*rim, 4.0]), np.full(3, 3 + 3.5 * s)
        region = self.canvas.region(centre - radii - 1, centre + radii + 1)
        free = self.is_tissue(region, "fat", "muscle", "fluid", "fascia", "ligament")
        share = self.canvas.cover(ellipsoid(region, centre, radii)) * free
        self.change("cyst", region, share, "fluid")

    def defect(self, lesion: Lesion) -> None:
        """Cartilage lost down to the bone and filled with fluid."""
        a, b = lesion.details["shift"]
        place = {
            "patella": (-3 + a, -31, 37 + b),
            "trochlea": (-4 + a, -25, 27 + b),
            "medial femoral condyle": (22 + a, 2 + b, 4),
            "lateral femoral condyle": (-21 + a, 2 + b, 4),
        }[lesion.place]
        radius = 3.5 + 5.5 * lesion.severity
        centre = np.array(place)
        region = self.canvas.region(centre - radius - 2, centre + radius + 2)
        share = self.canvas.cover(ellipsoid(region, centre, (radius,) * 3))
        share *= self.is_tissue(region, "femoral_cartilage", "patellar_cartilage")
        self.change("cartilage defect", region, share, "fluid")
        bone = np.clip(1.3 - ellipsoid(region, centre, (radius,) * 3) / radius - 1, 0, 1)
        bone *= self.is_tissue(region, "femur", "patella") * 0.6
        self.change("cartilage defect", region, bone, "oedema")

    def meniscus(self, lesion: Lesion) -> None:
        """A cleft of joint fluid that reaches the meniscus' surface, or a piece that is gone."""
        s, d = lesion.severity, lesion.details
        side = lesion.place.split()[0]
        m = self.knee.fields[f"{side} meniscus"]
        region = m["region"]
        width = 1.3 + 2.4 * s + self.least
        along = np.abs(m["angle"] - d["angle"])
        span = d["span"] * (0.7 + 0.5 * s)
        within = np.clip((0.5 * span - along) / 6, 0, 1)
        depth, height = m["depth"] / m["width"], np.maximum(m["height"], 1)
        if lesion.form == "horizontal":
            f = np.abs(m["up"] - 0.38 * height - 0.8) - width / 2
        elif lesion.form == "oblique":
            f = np.abs(m["up"] - 0.8 * (m["depth"] - 0.2 * m["width"])) - width * 0.6
        elif lesion.form == "vertical":
            f = np.abs(m["depth"] - d["at"] * m["width"]) - width / 2
        elif lesion.form == "radial":
            f = along * 0.33 - 0.7 * width - 0.4
            within = np.clip((depth - 0.08) / 0.1, 0, 1)
        elif lesion.form == "truncated":
            f = (0.62 - 0.35 * min(s, 1) - depth) * 10
        else:  # bucket-handle: the inner part has gone into the notch
            f = (0.55 - 0.2 * min(s, 1) - depth) * 10
            within = np.clip((75 - np.abs(m["angle"] - 20)) / 6, 0, 1)
            self.handle(side)
        share = self.canvas.cover(f) * within * m["share"]
        share *= self.is_tissue(region, "meniscus", "acl", "ligament") * min(1.0, 0.65 + 0.5 * s)
        self.change("meniscus tear", region, share, "cleft" if d["fluid"] else "granulation")
        near = np.clip((0.5 * span + 8 - along) / 12, 0, 1)
        if d["irritation"]:
            self.irritation(m, near, s)
        if d["extrusion"]:
            self.extrusion(m, s)

    def irritation(self, m, along, s: float) -> None:
        """Oedema of the fat and capsule around the torn part, a secondary sign of a tear."""
        region = m["region"]
        reach = 1.8 + 2 * s + self.least
        rim = np.clip(1.4 - np.abs(m["depth"] + 1.5 + s) / reach, 0, 1)
        rim *= np.clip(1.3 - np.abs(m["up"] - 2.5) / 5, 0, 1) * along
        share = rim * self.is_tissue(region, "fat", "fluid", "ligament", "fascia")
        self.change("meniscus tear", region, share * min(1.0, 0.3 + 0.7 * s), "oedema")

    def extrusion(self, m, s: float) -> None:
        """The body pushed out over the tibia's edge: dark where fat was, its place left open."""
        region, height = m["region"], np.maximum(m["height"], 1)
        body = np.clip((55 - np.abs(m["angle"])) / 20, 0, 1)
        reach = 3.0 + 3.0 * s
        bulge = self.canvas.cover(np.abs(m["depth"] + reach / 2) - reach / 2)
        bulge *= np.clip((height - np.abs(m["up"] - height / 2) * 2) / 2, 0, 1) * body
        bulge *= self.is_tissue(region, "fat", "fluid", "ligament", "fascia", "muscle")
        self.change("meniscus tear", region, bulge, "meniscus")
        tip = np.clip((m["depth"] - m["width"] + reach + 1) / 1.5, 0, 1) * body * m["share"]
        self.change("meniscus tear", region, tip, "femoral_cartilage")

    def handle(self, side: str) -> None:
        """The displaced fragment of a bucket-handle tear, a dark band in the notch."""
        x = 5.0 if side == "medial" else -4.0
        curve = bezier([(x, -12, 4.5), (x * 0.7, 4, 8.5), (x, 18, 6.0)], 9)
        region = self.canvas.region(*around(curve, 4))
        share = self.canvas.cover(tube(region, curve, 2.3)[0])
        share *= self.is_tissue(region, "fat", "fluid", "tibial_cartilage", "femoral_cartilage")
        self.change("meniscus tear", region, share, "meniscus")

    def acl(self, lesion: Lesion) -> None:
        """Discontinuity, a wavy or absent ligament, or a partial tear; oedema of its bed."""
        s, d = lesion.severity, lesion.details
        m = self.knee.fields["acl"]
        region = m["region"]
        open_space = self.is_tissue(region, "acl", "fat", "fluid", "meniscus")
        bed = np.clip(1 - m["distance"] / (2.0 + 3.0 * s), 0, 1)
        cloud = 0.8 + 0.25 * self.canvas.texture("cloud", region.box)
        swelling = np.clip(bed * cloud, 0, 1) * open_space * min(1.0, 0.15 + 0.5 * s)
        place, share = m["place"], m["share"] * open_space
        if lesion.form == "partial":
            self.change("ACL tear", region, swelling, "torn_fibre")
            return
        self.change("ACL tear", region, swelling, "oedema" if d["fresh"] else "granulation")
        if d["empty notch"]:
            self.empty_notch(m, s)
        if lesion.form == "gap":
            half = 0.09 + 0.14 * min(s, 1)
            gap = np.clip((half - np.abs(place - d["at"])) / 0.05, 0, 1)
            self.change("ACL tear", region, share * (1 - gap) * min(1, 0.1 + 0.6 * s), "torn_fibre")
            filled = "cleft" if d["fresh"] else "granulation"
            self.change("ACL tear", region, share * gap * min(1, 0.3 + 0.8 * s), filled)
            return
        gone = "oedema" if d["fresh"] else "fat"
        self.change("ACL tear", region, share * min(1, 0.2 + 0.9 * s), gone)
        curve = inner.acl_curve(self.knee)
        if lesion.form == "wavy":
            t = np.linspace(0, 1, len(curve))
            curve = curve + np.outer(np.sin(np.pi * t), (0, 0, -1)) * d["sag"] * (0.5 + 0.5 * s)
            curve[:, 1] += 2.0 * np.sin(4 * np.pi * t)
            f, _ = tube(region, curve, 3.0)
        else:
            f, _ = tube(region, curve[-4:], 3.2)  # the tibial stump is left
        self.change(
            "ACL tear", region, self.canvas.cover(f) * open_space * min(1, 0.3 + s), "torn_fibre"
        )

    def empty_notch(self, m, s: float) -> None:
        """The femoral end has come off the notch's wall; fat lies where it was."""
        end = np.clip((0.42 - m["place"]) / 0.08, 0, 1) * np.clip(1.6 - m["distance"] / 2.5, 0, 1)
        end *= self.is_tissue(m["region"], "acl", "fat", "fluid")
        self.change("ACL tear", m["region"], np.clip(end, 0, 1) * min(1, 0.4 + 0.6 * s), "fat")

    def variant(self, variant: Variant) -> None:
        """Change the knee as a normal variant says; nothing is recorded."""
        for spot in spots(variant):
            centre, radii = np.array(spot.centre), np.array(spot.radii)
            region = self.canvas.region(centre - 1.4 * radii, centre + 1.4 * radii)
            cloud = 0.2 * self.canvas.texture("cloud", region.box)
            f = ellipsoid(region, centre, radii) / float(radii.min()) + cloud
            share = np.clip(0.5 - 2.5 * f, 0, 1) * spot.strength * self.is_tissue(region, *spot.on)
            self.change("", region, share, spot.tissue, record=False)

    def share_maps(self):
        """Lesion code -> list of (box, share of each voxel), in rising order of the codes."""
        return {code: parts for code, parts in self.map.items() if parts}
