"""How far an exam lies from those that the networks were trained on, and in which respect.

What the training exams are like is learned once, when models are written, and travels with them as
`Norm`: averages and limits, and no exam of them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import zoom

from mrnetlib.dicom.geometry import Volume, plane_of
from mrnetlib.dicom.geometry import frame_of as frame
from mrnetlib.exams import intensity
from mrnetlib.names import PLANE_TITLES
from mrnetlib.reading.reading import Distance

#: The share of the training exams between whose limits an exam counts as like them.
WITHIN = 0.99

#: Side in pixels of the picture that says how an exam is turned.
PICTURE = 16

#: Most directions in which the features' spread is described one by one; see `Spread`.
DIRECTIONS = 16

#: Parts in which the features' distances are taken by what the other parts say.
FOLDS = 5

#: Another turn has to correlate with the mean picture by so much more than an exam as it is.
CLEARLY = 0.3

#: What respects are counted in.
UNITS = {
    "intensity": "grey levels",
    "slices": "slices",
    "orientation": "correlation",
    "oblique": "degrees",
    "field of view": "mm",
    "features": "times the training exams' median",
}


class Measured(NamedTuple):
    """One exam's plane: what is compared, before anything is compared.

    ``stretched`` are its grey values' percentiles brought to 0..255, ``picture`` (PICTURE,
    PICTURE) its middle slices, of mean 0 and length 1; ``oblique`` in degrees and ``field`` in mm,
    NaN where nothing says them; ``features`` (F,) the first task's.
    """

    slices: int
    stretched: np.ndarray
    picture: np.ndarray
    oblique: float
    field: float
    features: np.ndarray


def stretched(raw: np.ndarray) -> np.ndarray:
    """The percentiles of a volume's raw values, brought to 0..255."""
    percentiles = intensity.measure(raw)
    span = percentiles[-1] - percentiles[0]
    return (percentiles - percentiles[0]) * (intensity.TOP / span if span > 0 else 0)


def measured(
    raw: np.ndarray, slices: np.ndarray, features: np.ndarray, volume: Volume | None = None
) -> Measured:
    """Measure an exam's plane.

    Parameters
    ----------
    raw : (S, H, W), its values before they were brought to the study's scale.
    slices : (S, H, W) uint8, as the networks see them.
    features : (F,), pooled over the slices.
    volume : as the DICOM door read it; None where it did not.
    """
    where = place_of(volume) if volume else (np.nan, np.nan)
    return Measured(len(raw), stretched(raw), picture(slices), *where, np.asarray(features, float))


def place_of(volume: Volume) -> tuple[float, float]:
    """How oblique a volume is, in degrees, and the longer side of its field of view, in mm."""
    height, width = volume.pixels.shape[1:]
    field = max(height * volume.spacing[1], width * volume.spacing[2])
    return plane_of(frame(volume.images[0].orientation))[1], float(field)


def picture(slices: np.ndarray) -> np.ndarray:
    """The mean of the middle half of slices (S, H, W), small, of mean 0 and length 1."""
    count = len(slices)
    middle = slices[count // 4 : count - count // 4].mean(axis=0)
    small = zoom(middle, [PICTURE / side for side in middle.shape], order=1, grid_mode=True,
                 mode="nearest")  # fmt: skip
    small = small - small.mean()
    length = np.linalg.norm(small)
    return small / length if length else small


@dataclass(frozen=True)
class Spread:
    """The features' spread over the training exams, as probabilistic principal components say it.

    Attributes
    ----------
    mean : (F,).
    directions : (k, F), orthonormal, in which the exams differ most.
    variances : (k,) along them.
    rest : the variance along each of the other directions.
    unit : the median distance of exams that were left out of the fit.
    """

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: float
    unit: float = 1.0

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Mahalanobis' distance of features (..., F) from the mean, in `unit`."""
        centred = features - self.mean
        along = centred @ self.directions.T  # (..., F)(F, k) -> (..., k)
        beside = (centred**2).sum(-1) - (along**2).sum(-1)
        squared = (along**2 / self.variances).sum(-1) + np.maximum(beside, 0) / self.rest
        return np.sqrt(squared) / self.unit


def spread(features: np.ndarray) -> Spread:
    """The spread of the features (E, F) of some exams."""
    mean = features.mean(axis=0)
    _, sizes, directions = np.linalg.svd(features - mean, full_matrices=False)
    variances = sizes**2 / max(1, len(features) - 1)
    count = max(1, min(DIRECTIONS, len(features) // 4))
    others = max(1, features.shape[1] - count)
    rest = max(variances[count:].sum() / others, 1e-12 + 1e-6 * variances.sum() / others)
    return Spread(mean, directions[:count], np.maximum(variances[:count], rest), float(rest))


def left_out(features: np.ndarray) -> np.ndarray:
    """Each exam's distance (E,) by the spread of the parts that it is not in."""
    if len(features) == 1:
        return np.ones(1)
    folds = min(FOLDS, len(features))
    distances = np.empty(len(features))
    for fold in range(folds):
        out = np.arange(len(features)) % folds == fold
        distances[out] = spread(features[~out]).distance(features[out])
    return distances


@dataclass(frozen=True)
class Norm:
    """What the training exams of one plane are like.

    Attributes
    ----------
    standard : (P,) the mean of their stretched percentiles.
    picture : (PICTURE, PICTURE), the mean of theirs.
    spread : of their features.
    limits : respect -> between which `WITHIN` of them lie; none for what nothing says of them.
    """

    standard: np.ndarray
    picture: np.ndarray
    spread: Spread
    limits: dict[str, tuple[float, float]]


def learn(exams: list[Measured]) -> Norm:
    """The norm of a plane's training exams."""
    standard = np.mean([exam.stretched for exam in exams], axis=0)
    typical = np.mean([exam.picture for exam in exams], axis=0)
    features = np.stack([exam.features for exam in exams])
    apart = left_out(features)
    whole = spread(features)
    unit = float(np.median(apart)) or 1.0
    norm = Norm(standard, typical, Spread(*list(vars(whole).values())[:4], unit), {})
    rows = [_values(exam, norm) for exam in exams]
    values = {name: np.array([row[name] for row in rows]) for name in UNITS}
    values["features"] = apart / unit
    return Norm(standard, typical, norm.spread, {
        name: _limits(name, found) for name, found in values.items() if np.isfinite(found).all()
    })  # fmt: skip


def _values(exam: Measured, norm: Norm) -> dict[str, float]:
    return {
        "intensity": float(np.sqrt(np.mean((exam.stretched - norm.standard) ** 2))),
        "slices": float(exam.slices),
        "orientation": float((exam.picture * norm.picture).sum() / _length(norm.picture)),
        "oblique": exam.oblique,
        "field of view": exam.field,
        "features": float(norm.spread.distance(exam.features)),
    }


def _length(array: np.ndarray) -> float:
    return float(np.linalg.norm(array)) or 1.0


def _limits(name: str, values: np.ndarray) -> tuple[float, float]:
    """Limits on both sides, or on the one on which an exam is strange."""
    if name == "orientation":
        return float(np.quantile(values, 1 - WITHIN)), 1.0
    if name in ("intensity", "oblique", "features"):
        return 0.0, float(np.quantile(values, WITHIN))
    low, high = np.quantile(values, [(1 - WITHIN) / 2, (1 + WITHIN) / 2])
    return float(low), float(high)


def distances(exam: Measured, plane: str, norm: Norm) -> list[Distance]:
    """How far an exam's plane lies from the training exams', in every respect that is known."""
    values = _values(exam, norm)
    return [
        Distance(name, plane, value, *norm.limits[name], UNITS[name])
        for name, value in values.items()
        if name in norm.limits and np.isfinite(value)
    ]


def sentence(distance: Distance) -> str:
    """A warning about an exam that lies outside."""
    share = f"{WITHIN:.0%} of the training exams"
    if distance.respect == "features":
        found = f"its features lie {distance.value:.1f} times as far from the training exams' mean"
        return (
            f"{PLANE_TITLES[distance.plane]}: {found} as the median training exam; {share} lie "
            f"within {distance.high:.1f}. The networks have seen nothing like it."
        )
    words = {
        "intensity": "its grey scale is bent unlike theirs, by",
        "slices": "it has",
        "orientation": "its picture correlates with the mean training exam's by",
        "oblique": "it is turned from the plane's axis by",
        "field of view": "its field of view is",
    }[distance.respect]
    digits = {"orientation": 2, "oblique": 1}.get(distance.respect, 0)
    unit = "" if distance.respect == "orientation" else f" {distance.unit}"
    if distance.respect == "slices" and distance.value == 1:
        unit = " slice"
    return (
        f"{PLANE_TITLES[distance.plane]}: {words} {distance.value:.{digits}f}{unit}; {share} lie "
        f"between {distance.low:.{digits}f} and {distance.high:.{digits}f}."
    )


def turned_otherwise(exam: Measured, norm: Norm) -> bool:
    """Whether an exam looks more like the training exams when it is turned or mirrored.

    Mirrored left to right is a knee of the other side, where the plane shows both.
    """
    low = norm.limits["orientation"][0]
    turns = [np.rot90(side, k) for side in (exam.picture, exam.picture[:, ::-1]) for k in range(4)]
    own, *others = [float((turn * norm.picture).sum()) / _length(norm.picture) for turn in turns]
    return own < low and max(others) >= max(low, own + CLEARLY)


def to_arrays(norms: dict[str, Norm]) -> dict[str, np.ndarray]:
    """Norms as named float32 arrays, and `from_arrays` back; limits go with `limits_of`."""
    found = {}
    for plane, norm in norms.items():
        found |= {f"{plane}.standard": norm.standard, f"{plane}.picture": norm.picture}
        found |= {f"{plane}.{name}": np.atleast_1d(v) for name, v in vars(norm.spread).items()}
    return {name: np.ascontiguousarray(value, np.float32) for name, value in found.items()}


def from_arrays(arrays: dict[str, np.ndarray], limits: dict[str, dict]) -> dict[str, Norm]:
    """Norms from what `to_arrays` gave, and their limits by plane and respect."""
    norms = {}
    for plane, own in limits.items():
        names = ("mean", "directions", "variances", "rest", "unit")
        parts = [np.asarray(arrays[f"{plane}.{name}"], np.float64) for name in names]
        whole = Spread(*parts[:3], float(parts[3][0]), float(parts[4][0]))
        pictures = [np.asarray(arrays[f"{plane}.{n}"], float) for n in ("standard", "picture")]
        norms[plane] = Norm(*pictures, whole, {name: tuple(v) for name, v in own.items()})
    return norms
