"""Pathology: which lesions are drawn for an exam's labels.

Lesions are drawn as plain descriptions and applied (`mrnetlib.phantom.surgery`) to the painted
knee, so that the same knee can be had with and without them.
"""

from dataclasses import dataclass, field

import numpy as np

#: Codes of the lesion masks. Where two overlap the higher code stands.
LESIONS = {
    "effusion": 1,
    "bone oedema": 2,
    "cyst": 3,
    "cartilage defect": 4,
    "meniscus tear": 5,
    "ACL tear": 6,
}


@dataclass(frozen=True)
class Lesion:
    """One lesion: its kind (a key of `LESIONS`), form, place, severity (0 to 1) and details."""

    kind: str
    form: str
    place: str
    severity: float
    details: dict = field(default_factory=dict)

    def __str__(self) -> str:
        kind = "tear" if self.kind == "meniscus tear" else self.kind
        return f"{self.place} {kind}, {self.form}, severity {self.severity:.2f}".strip()


#: What an injury shows, each sign for itself: chance that a torn ACL, or meniscus, has it. No plane
#: sees all of them. After a fresh tear fluid fills the gap and water the marrow; an old one is
#: filled by granulation tissue, or its place by fat.
ACL_SIGNS = {"fresh": 0.70, "effusion": 0.60, "bruise": 0.50, "empty notch": 0.85}
MENISCUS_SIGNS = {"fluid": 0.70, "extrusion": 0.80, "irritation": 0.60, "effusion": 0.35}


def _signs(rng, chances: dict[str, float]) -> dict[str, bool]:
    return {sign: bool(rng.random() < chance) for sign, chance in chances.items()}


def _severity(rng, knob: float) -> float:
    """A broad distribution, the middle likeliest; `knob` 1 leaves it as it is."""
    return float(np.clip(rng.beta(2.5, 2.0) * knob, 0.02, 1.6))


def draw_acl(rng, knob: float) -> list[Lesion]:
    """A torn ACL, with the effusion and bone bruise that usually come with it."""
    severity = _severity(rng, knob)
    forms = ["gap", "wavy", "absent", "partial"]
    chances = [0.36, 0.26, 0.20, 0.18]
    form = forms[rng.choice(4, p=chances)]
    signs = _signs(rng, ACL_SIGNS)
    details = {"at": float(rng.uniform(0.3, 0.65)), "sag": float(rng.uniform(5, 9)), **signs}
    lesions = [Lesion("ACL tear", form, "", severity, details)]
    if signs["effusion"]:
        lesions.append(Lesion("effusion", "diffuse", "", _severity(rng, knob) * 0.6))
    if signs["bruise"]:
        bruise = _severity(rng, knob)
        for place in ("lateral femoral condyle", "posterior lateral tibia"):
            lesions.append(_oedema(rng, place, bruise, fresh=1.0))
    return lesions


def draw_meniscus(rng, knob: float) -> list[Lesion]:
    """A meniscus tear, most often of the medial posterior horn."""
    severity = _severity(rng, knob)
    side = "medial" if rng.random() < 0.68 else "lateral"
    forms = ["horizontal", "vertical", "radial", "oblique", "truncated", "bucket-handle"]
    form = forms[rng.choice(6, p=[0.24, 0.16, 0.16, 0.14, 0.18, 0.12])]
    horn = rng.choice(3, p=[0.74, 0.16, 0.10])
    if form == "bucket-handle":
        horn = 1
    angle = float((rng.uniform(35, 95), rng.uniform(-15, 25), rng.uniform(-90, -45))[horn])
    details = {
        "angle": angle,
        "span": float(rng.uniform(50, 95)),
        "at": float(rng.uniform(0.3, 0.65)),
        **(signs := _signs(rng, MENISCUS_SIGNS)),
    }
    place = f"{side} meniscus {('posterior horn', 'body', 'anterior horn')[horn]}"
    lesions = [Lesion("meniscus tear", form, place, severity, details)]
    if rng.random() < 0.22:
        lesions.append(Lesion("cyst", "parameniscal", place, severity, {"angle": angle}))
    if rng.random() < 0.60:  # the bone under a torn meniscus is overloaded
        bone = "medial tibia" if side == "medial" else "lateral tibia"
        lesions.append(_oedema(rng, bone, 0.9 * severity, fresh=0.3))
    if signs["effusion"]:
        lesions.append(Lesion("effusion", "diffuse", "", _severity(rng, knob) * 0.5))
    return lesions


OEDEMA_PLACES = {  # centre (mm, knee frame), fixed to the femur or not
    "lateral femoral condyle": ((-22, -3, 11), True),
    "medial femoral condyle": ((22, 2, 11), True),
    "posterior lateral tibia": ((-20, 20, -9), False),
    "medial tibia": ((22, 5, -8), False),
    "lateral tibia": ((-21, 2, -8), False),
    "patella": ((-3, -43, 35), False),
}


def _oedema(rng, place: str, severity: float, fresh: float) -> Lesion:
    """Marrow that holds water, with the chance `fresh`, or has turned to dense bone."""
    details = {
        "shift": tuple(float(s) for s in rng.normal(0, 2.5, 3)),
        "radii": tuple(float(r) for r in rng.uniform(7, 12, 3)),
    }
    form = "oedema" if rng.random() < fresh else "sclerosis"
    return Lesion("bone oedema", form, place, severity, details)


def draw_other(rng, knob: float) -> list[Lesion]:
    """One to three findings other than a tear."""
    count = int(rng.choice([1, 2, 3], p=[0.20, 0.45, 0.35]))
    kinds = rng.choice(4, size=count, replace=False, p=[0.30, 0.42, 0.16, 0.12])
    lesions = []
    for kind in sorted(kinds):
        severity = _severity(rng, knob)
        if kind == 0:
            lesions.append(Lesion("effusion", "diffuse", "", 0.7 * severity))
        elif kind == 1:
            place = list(OEDEMA_PLACES)[rng.integers(len(OEDEMA_PLACES))]
            lesions.append(_oedema(rng, place, severity, fresh=0.4))
        elif kind == 2:
            place = ["patella", "medial femoral condyle", "lateral femoral condyle", "trochlea"]
            details = {"shift": tuple(float(s) for s in rng.normal(0, 2, 2))}
            lesions.append(
                Lesion("cartilage defect", "full", place[rng.integers(4)], severity, details)
            )
        else:
            form = "popliteal" if rng.random() < 0.7 else "ganglion"
            lesions.append(Lesion("cyst", form, "", severity))
    return lesions


def draw_lesions(rng, labels, protocol) -> list[Lesion]:
    """Lesions for an exam's labels: {"abnormal", "acl", "meniscus"} -> 0 or 1."""
    # One stream each, so that a label does not change the lesions of another.
    streams = rng.spawn(3)
    lesions = []
    if labels["acl"]:
        lesions += draw_acl(streams[0], protocol.severity * protocol.acl_severity)
    if labels["meniscus"]:
        lesions += draw_meniscus(streams[1], protocol.severity * protocol.meniscus_severity)
    if labels["abnormal"] and not lesions:
        lesions += draw_other(streams[2], protocol.severity * protocol.other_severity)
    effusions = [lesion for lesion in lesions if lesion.kind == "effusion"]
    if effusions:  # a joint has one
        most = max(effusions, key=lambda lesion: lesion.severity)
        lesions = [lesion for lesion in lesions if lesion.kind != "effusion"] + [most]
    return lesions
