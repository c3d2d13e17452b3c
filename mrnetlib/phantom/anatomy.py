"""A knee: its natural variation, and how it is painted."""

from dataclasses import dataclass, field

import numpy as np

from mrnetlib.phantom import bones, inner, soft
from mrnetlib.phantom.canvas import Canvas, rotation


@dataclass
class Knee:
    """What makes one knee differ from another; factors are relative to the standard knee."""

    side: str  # "R" or "L"
    scale: tuple[float, float, float]
    pose: tuple[float, float, float]  # degrees about x, y, z, in the scanner
    flexion: float  # degrees of the femur against the tibia
    cartilage: float
    meniscus: float
    acl: float
    acl_signal: float
    degeneration: float  # 0 to 0.6, signal inside the menisci
    notch: float  # mm, half width
    muscle: float
    subcutaneous: float  # mm
    fluid: float
    patella_height: float  # mm
    fields: dict = field(default_factory=dict, repr=False)


def draw_knee(rng: np.random.Generator) -> Knee:
    """Draw a knee; sizes vary by about 8 % (one standard deviation)."""
    common = rng.normal(0, 0.068)
    scale = np.clip(np.exp(common + rng.normal(0, 0.038, 3)), 0.82, 1.20)
    return Knee(
        side="RL"[int(rng.integers(2))],
        scale=tuple(float(s) for s in scale),
        pose=tuple(float(a) for a in np.clip(rng.normal(0, (3.0, 2.5, 3.5)), -8, 8)),
        flexion=float(np.clip(rng.normal(2, 3.5), -4, 10)),
        cartilage=float(np.exp(rng.normal(0, 0.09))),
        meniscus=float(np.exp(rng.normal(0, 0.06))),
        acl=float(np.exp(rng.normal(0, 0.09))),
        acl_signal=float(np.exp(rng.normal(0, 0.3)) + rng.uniform(0.5, 2.5) * (rng.random() < 0.3)),
        degeneration=float(rng.uniform(0.2, 0.9) if rng.random() < 0.45 else 0.0),
        notch=float(np.clip(rng.normal(9.6, 0.7), 8, 11.5)),
        muscle=float(np.clip(np.exp(rng.normal(0, 0.06)), 0.85, 1.15)),
        subcutaneous=float(np.clip(np.exp(rng.normal(np.log(7), 0.35)), 3.5, 14)),
        fluid=float(np.exp(rng.normal(0, 0.4))),
        patella_height=float(rng.normal(0, 2.0)),
    )


def paint_knee(knee: Knee, low, high, spacing: float, signals, rng) -> Canvas:
    """Paint the healthy knee on a canvas that reaches from `low` to `high` (mm, scanner frame)."""
    pose = rotation(*knee.pose)
    canvas = Canvas(spacing, low, high, pose, knee.scale, signals, rng)
    knee.fields.clear()

    def marrow(region, bone, wall, name, scar=None):
        """Cortex around fatty marrow with trabeculae, and the growth plate's scar."""
        canvas.paint(region, canvas.cover(bone), "cortex")
        grain = 1 + 0.045 * canvas.texture("grain", region.box)
        grain += 0.05 * canvas.texture("cloud", region.box)
        if scar is not None:
            wobble = 1.2 * canvas.texture("cloud", region.box)
            grain -= 0.30 * np.clip(1.2 - np.abs(scar + wobble), 0, 1)
        canvas.paint(region, canvas.cover(bone + wall), name, grain)

    soft.paint_body(canvas, knee)
    soft.paint_vessels(canvas, knee)
    soft.paint_fluid(canvas, knee)
    soft.paint_tendons(canvas, knee)
    bones.paint_tibia(canvas, knee, marrow)
    inner.paint_meniscus(canvas, knee, "medial")
    inner.paint_meniscus(canvas, knee, "lateral")
    inner.paint_cruciates(canvas, knee)
    bones.paint_femur(canvas, knee, marrow)
    bones.paint_patella(canvas, knee, marrow)
    return canvas
