"""What each tissue looks like in the three series, and how one scanner differs from another.

Signals are relative to the brightest normal tissue of the series, roughly 0 to 1. They follow the
textbook order of the weightings: fat-suppressed T2 (fluid bright, the rest dark), T1 (fat and
marrow bright, muscle intermediate, fluid dark) and fat-suppressed proton density (fluid bright,
cartilage intermediate, fat and marrow dark).
"""

from dataclasses import dataclass

import numpy as np

#: Order of the contrasts in every signal table: that of the planes they belong to.
CONTRASTS = {"sagittal": 0, "coronal": 1, "axial": 2}

#: name -> (sagittal T2 fat-suppressed, coronal T1, axial PD fat-suppressed)
SIGNALS = {
    "air": (0.0, 0.0, 0.0),
    "fat": (0.22, 0.96, 0.15),
    "skin": (0.32, 0.38, 0.36),
    "fascia": (0.16, 0.35, 0.16),
    "muscle": (0.24, 0.36, 0.33),
    "vessel": (0.16, 0.20, 0.62),
    "nerve": (0.34, 0.46, 0.42),
    "tendon": (0.06, 0.08, 0.08),
    "ligament": (0.07, 0.10, 0.10),
    "acl": (0.13, 0.20, 0.18),
    "meniscus": (0.06, 0.10, 0.09),
    "femoral_cartilage": (0.44, 0.46, 0.60),
    "tibial_cartilage": (0.44, 0.46, 0.60),
    "patellar_cartilage": (0.46, 0.46, 0.62),
    "fluid": (1.05, 0.26, 1.08),
    "cortex": (0.04, 0.06, 0.05),
    "femur": (0.20, 0.84, 0.17),
    "tibia": (0.20, 0.84, 0.17),
    "fibula": (0.20, 0.84, 0.17),
    "patella": (0.20, 0.84, 0.17),
    "oedema": (0.70, 0.36, 0.72),
    "torn_fibre": (0.42, 0.40, 0.52),
    "cleft": (0.95, 0.45, 1.0),
    # What fills an old tear, and the marrow that still makes blood: short echoes show the one, T1
    # and fat suppression the other.
    "granulation": (0.38, 0.70, 0.42),
    "red_marrow": (0.34, 0.58, 0.30),
    "sclerosis": (0.11, 0.20, 0.12),
    "scar": (0.12, 0.20, 0.20),
    "metal": (0.0, 0.0, 0.0),
}

#: name -> code in the tissue map (uint8)
CODES = {name: code for code, name in enumerate(SIGNALS)}

#: Grey values of a typical image (the brightest tissue) and how the makers differ:
#: gain, constant offset, exponents of the signals of (fat and marrow, fluid, the rest), noise.
SCANNERS = {
    "Phantom Works 1.5T": (620.0, 8.0, (1.0, 1.0, 1.0), 0.030),
    "Phantom Works 3T": (1500.0, 0.0, (1.12, 0.95, 0.95), 0.017),
    "Acme MR 1.5T": (260.0, 4.0, (0.88, 1.08, 1.08), 0.034),
    "Acme MR 3T": (3100.0, 30.0, (1.0, 1.1, 0.9), 0.020),
    "Example Imaging 3T": (950.0, 12.0, (0.94, 0.9, 1.15), 0.023),
}


@dataclass(frozen=True)
class Scanner:
    """One scanner on one day: what turns signals into grey values."""

    name: str
    gain: float
    offset: float
    noise: float
    contrast: tuple[float, float, float]

    @property
    def tesla(self) -> float:
        """Field strength in tesla."""
        return float(self.name.split()[-1].removesuffix("T"))

    def signals(self) -> np.ndarray:
        """Signal of every tissue code in every contrast, (codes, 3) float32."""
        table = np.array(list(SIGNALS.values()), dtype=np.float32)
        fat, fluid, rest = self.contrast
        for name, code in CODES.items():
            if name in ("fat", "femur", "tibia", "fibula", "patella"):
                table[code] *= fat
            elif name in ("fluid", "cleft", "oedema"):
                table[code] *= fluid
            else:
                table[code] *= rest
        return table


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Choose a scanner and its state of the day (gain within +-15 %, contrast within +-5 %)."""
    name = list(SCANNERS)[rng.integers(len(SCANNERS))]
    gain, offset, contrast, noise = SCANNERS[name]
    return Scanner(
        name=name,
        gain=gain * float(np.exp(rng.normal(0, 0.15))),
        offset=offset,
        noise=noise * float(np.exp(rng.normal(0, 0.2))),
        contrast=tuple(float(c * np.exp(rng.normal(0, 0.04))) for c in contrast),
    )
