"""Labels with MRNet's counts, and one exam from labels, protocol and seed."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mrnetlib.exams import mrnet
from mrnetlib.files import InputError
from mrnetlib.names import MRNET_FOLDERS, PLANES, TASKS
from mrnetlib.phantom import scanner as imaging
from mrnetlib.phantom.anatomy import draw_knee, paint_knee
from mrnetlib.phantom.canvas import rotation
from mrnetlib.phantom.lesions import Lesion, draw_lesions
from mrnetlib.phantom.quality import draw_quality
from mrnetlib.phantom.surgery import Surgeon
from mrnetlib.phantom.tissues import draw_scanner
from mrnetlib.phantom.variants import draw_variants
from mrnetlib.settings import Settings

#: Slices per exam in MRNet-v1.0's train set: least, median, most.
SLICES = {plane: counts[:3] for plane, counts in mrnet.SLICES["train"].items()}

#: mm covered by the slices of a plane, and the middle of that, knee frame (x, y, z).
COVERAGE = {"axial": 112.0, "coronal": 104.0, "sagittal": 98.0}


@dataclass(frozen=True)
class Protocol:
    """How the exams are acquired and how hard they are.

    Attributes
    ----------
    image_size : rows and columns of a slice.
    field_of_view_mm : mean over the exams; they differ by a few percent.
    slices : plane -> (least, median, most) slices of an exam.
    coverage_mm : plane -> mm from the first slice to the last.
    thickness_mm : most that a slice may be thick; wider spacing leaves gaps.
    severity : scales size and contrast of all lesions; 1 is the study's default.
    acl_severity, meniscus_severity, other_severity : the same for one group of lesions.
    """

    image_size: int = 256
    field_of_view_mm: float = 150.0
    slices: dict[str, tuple[int, int, int]] = field(default_factory=lambda: dict(SLICES))
    coverage_mm: dict[str, float] = field(default_factory=lambda: dict(COVERAGE))
    thickness_mm: float = 4.5
    severity: float = 1.0
    acl_severity: float = 1.0
    meniscus_severity: float = 1.0
    other_severity: float = 1.0

    def __post_init__(self):
        """Check the ranges once, here.

        Raises
        ------
        InputError
            Names the setting, what was found and what was expected.
        """
        if self.image_size < 16:
            raise InputError(f"image_size is {self.image_size}; use at least 16 pixels.")
        if not 60 <= self.field_of_view_mm <= 300:
            raise InputError(f"field_of_view_mm is {self.field_of_view_mm}; use 60 to 300 mm.")
        for name in ("slices", "coverage_mm"):
            if set(getattr(self, name)) != set(PLANES):
                found = ", ".join(getattr(self, name))
                raise InputError(f"{name} has {found}; give one entry for {', '.join(PLANES)}.")
        for plane, counts in self.slices.items():
            if len(counts) != 3 or not 2 <= counts[0] <= counts[1] <= counts[2]:
                raise InputError(
                    f"slices of {plane} are {list(counts)}; give the least, median and most, "
                    "rising and at least 2."
                )
        for name in ("severity", "acl_severity", "meniscus_severity", "other_severity"):
            if not 0 < getattr(self, name) <= 3:
                raise InputError(f"{name} is {getattr(self, name)}; use more than 0, at most 3.")

    @property
    def grid_mm(self) -> float:
        """Spacing of the canvas: fine against the pixel, never finer than needed."""
        return float(np.clip(0.75 * self.field_of_view_mm / self.image_size, 0.75, 2.0))


def small_protocol(image_size: int = 64, field_of_view_mm: float = 96.0, **changes) -> Protocol:
    """A protocol for small studies: few thick slices close around the joint, large pixels.

    Menisci are only a few such pixels high; their tears are drawn more severe, so that they are
    to be seen at all. Sagittal slices lie closest, as in a protocol made for ligaments and menisci:
    cut that way both are thin, and a gap takes more of them than of an axial series. Coronal ones
    reach from the recesses beside the trochlea, where an effusion shows, to the menisci's posterior
    horns. `changes` are settings of `Protocol`.
    """
    settings = {
        "slices": {"axial": (4, 5, 7), "coronal": (6, 7, 9), "sagittal": (7, 8, 10)},
        "thickness_mm": 6.5,
        "coverage_mm": {"axial": 46.0, "coronal": 54.0, "sagittal": 52.0},
        "meniscus_severity": 1.5,
        "other_severity": 1.2,
    } | changes
    return Protocol(image_size, field_of_view_mm, **settings)


def protocol_of(settings: Settings) -> Protocol:
    """How a study's exams are acquired: `small_protocol` or, at 256 pixels, MRNet's."""
    names = ("severity", "acl_severity", "meniscus_severity", "other_severity")
    severities = {name: getattr(settings, f"phantom_{name}") for name in names}
    if settings.phantom_protocol == "small":
        return small_protocol(settings.image_size, **severities)
    return Protocol(settings.image_size, **severities)


@dataclass(frozen=True)
class PhantomExam:
    """One exam, by plane: volumes (S, H, W) uint16 and their geometry.

    ``lesions`` (S, H, W) uint8 holds codes of `LESIONS`, ``tissues`` (S, H, W) uint8 the codes of
    `mrnetlib.phantom.tissues.CODES`, the anatomy without its lesions.
    """

    exam: str
    labels: dict[str, int]
    volumes: dict[str, np.ndarray]
    lesions: dict[str, np.ndarray]
    tissues: dict[str, np.ndarray]
    geometry: dict[str, imaging.Geometry]
    side: str
    findings: list[str]
    scanner: object

    def __repr__(self) -> str:
        sizes = ", ".join(f"{p} {v.shape}" for p, v in self.volumes.items())
        return f"PhantomExam({self.exam!r}, side {self.side}, {sizes}, findings {self.findings})"


def apportion(counts: dict, total: int) -> dict:
    """Whole numbers in the proportions of `counts` that add up to `total` (largest remainder)."""
    shares = {key: total * count / sum(counts.values()) for key, count in counts.items()}
    whole = {key: int(share) for key, share in shares.items()}
    by_remainder = sorted(shares, key=lambda key: (whole[key] - shares[key], key))
    for key in by_remainder[: total - sum(whole.values())]:
        whole[key] += 1
    return whole


def draw_labels(train: int, test: int, seed: int) -> pd.DataFrame:
    """Labels in the proportions of MRNet-v1.0, exact by largest remainder, in random order.

    Returns
    -------
    DataFrame with columns exam ("0000"...), split ("train" or "test"), abnormal, acl, meniscus.
    """
    if train < 1 or test < 0:
        raise InputError(f"{train} train and {test} test exams asked for; use at least 1 and 0.")
    rng = np.random.default_rng([seed, 0])
    rows = []
    for split, total in (("train", train), ("test", test)):
        counts = apportion(mrnet.COMBINATIONS[MRNET_FOLDERS[split]], total)
        labels = [key for key, count in counts.items() for _ in range(count)]
        rows += [(split, *labels[i]) for i in rng.permutation(total)]
    table = pd.DataFrame(rows, columns=["split", "abnormal", "acl", "meniscus"])
    table.insert(0, "exam", [f"{i:04d}" for i in range(len(table))])
    return table


def _generators(seed: int, exam: str) -> dict[str, np.random.Generator]:
    """Independent streams of one exam: a change in one leaves the others as they are."""
    key = int.from_bytes(hashlib.sha256(exam.encode()).digest()[:8], "little")
    qualities = [f"quality of {plane}" for plane in PLANES]
    names = ("knee", "texture", "lesions", "scanner", "plan", *PLANES, "variants", *qualities)
    children = np.random.SeedSequence([seed, key]).spawn(len(names))
    return {
        n: np.random.Generator(np.random.PCG64(c)) for n, c in zip(names, children, strict=True)
    }


def draw_plans(protocol: Protocol, rng: np.random.Generator) -> dict[str, imaging.Plan]:
    """Field of view, slice count and position of each series."""
    plans = {}
    size = protocol.image_size
    for plane in PLANES:
        least, median, most = protocol.slices[plane]
        count = int(np.clip(np.rint(median * np.exp(rng.normal(0, 0.17))), least, most))
        view = protocol.field_of_view_mm * float(np.clip(rng.normal(1, 0.03), 0.92, 1.08))
        pixel = view / size
        centre = np.array([0.0, 4.0, 14.0]) + rng.normal(0, (2.0, 2.5, 3.0))
        step = protocol.coverage_mm[plane] / (count - 1)
        (a, _), (b, row), (c, _) = imaging.AXES[plane]
        grid = (np.arange(size) - (size - 1) / 2) * pixel
        plans[plane] = imaging.Plan(
            plane,
            centre[a] + (np.arange(count) - (count - 1) / 2) * step,
            centre[b] + row * grid,
            centre[c] + grid,
            min(0.9 * step, protocol.thickness_mm),
            pixel,
        )
    return plans


def _geometry(plan: imaging.Plan, tilt: np.ndarray, isocentre: np.ndarray) -> imaging.Geometry:
    """Patient coordinates of a plan: the scanner's frame turned by `tilt` and moved."""
    (a, _), (b, row), (c, _) = imaging.AXES[plan.plane]
    positions = np.zeros((len(plan.slices), 3))
    positions[:, a], positions[:, b], positions[:, c] = plan.slices, plan.rows[0], plan.columns[0]
    directions = np.zeros((2, 3))
    directions[0, c], directions[1, b] = 1, row
    return imaging.Geometry(
        positions @ tilt.T + isocentre,
        directions @ tilt.T,
        (plan.pixel, plan.pixel),
        plan.thickness,
        float(plan.slices[1] - plan.slices[0]),
    )


def describe_exam(exam: str, labels, protocol: Protocol, seed: int) -> tuple[str, list[Lesion]]:
    """Side ("L" or "R") and lesions of an exam as `make_exam` makes it, without making it."""
    rngs = _generators(seed, exam)
    return draw_knee(rngs["knee"]).side, draw_lesions(rngs["lesions"], labels, protocol)


def describe_difficulty(exam: str, seed: int) -> tuple[list[str], dict[str, str]]:
    """What makes an exam hard, whatever its labels, without making it.

    Returns
    -------
    The kinds of its normal variants, and plane -> how good that series is, a key of `LEVELS`.
    """
    rngs = _generators(seed, exam)
    kinds = [variant.kind for variant in draw_variants(rngs["variants"])]
    return kinds, {plane: draw_quality(rngs[f"quality of {plane}"]).level for plane in PLANES}


def make_exam(
    exam: str, labels, protocol: Protocol, seed: int, without: str | None = None
) -> PhantomExam:
    """One exam of three series.

    Parameters
    ----------
    exam : its number, "0000".
    labels : mapping with 0 or 1 for abnormal, acl and meniscus. Other labels with the same seed
        give the same knee, scanner and noise with other lesions.
    protocol : how it is acquired.
    seed : of the whole set; every exam number has its own random streams.
    without : a kind of lesion (a key of `LESIONS`) that is left out, whatever the labels: the same
        knee, scanner and noise with the other lesions alone.
    """
    labels = {task: int(labels[task]) for task in TASKS}
    rngs = _generators(seed, exam)
    knee = draw_knee(rngs["knee"])
    scanner = draw_scanner(rngs["scanner"])
    plans = draw_plans(protocol, rngs["plan"])
    low, high = _corners(plans, protocol.grid_mm)
    canvas = paint_knee(knee, low, high, protocol.grid_mm, scanner.signals(), rngs["texture"])
    surgeon = Surgeon(canvas, knee, protocol.field_of_view_mm / protocol.image_size)
    for variant in draw_variants(rngs["variants"]):
        surgeon.variant(variant)
    lesions = draw_lesions(rngs["lesions"], labels, protocol)
    lesions = [lesion for lesion in lesions if lesion.kind != without]
    for lesion in lesions:
        surgeon.apply(lesion)
    mirror = knee.side == "L"
    tilt = rotation(*np.clip(rngs["plan"].normal(0, 3, 3), -8, 8))
    isocentre = np.round(rngs["plan"].normal((90 if mirror else -90, 0, 0), 12), 2)
    volumes, masks, tissues, geometry = {}, {}, {}, {}
    for plane, plan in plans.items():
        quality = draw_quality(rngs[f"quality of {plane}"])
        volumes[plane] = imaging.acquire(canvas, plan, scanner, mirror, quality, rngs[plane])
        tissues[plane] = imaging.image_tissues(canvas, plan, mirror)
        masks[plane] = imaging.image_lesions(canvas, plan, surgeon.share_maps(), mirror)
        geometry[plane] = _geometry(plan, tilt, isocentre)
    findings = [str(lesion) for lesion in lesions]
    return PhantomExam(
        exam, labels, volumes, masks, tissues, geometry, knee.side, findings, scanner
    )


def _corners(plans, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """The smallest box that the slices of all planes, and the knee, need (mm)."""
    ends = np.array([[np.inf] * 3, [-np.inf] * 3])
    for plan in plans.values():
        centres = (plan.slices, plan.rows, plan.columns)
        for (axis, _), c in zip(imaging.AXES[plan.plane], centres, strict=True):
            ends[0, axis] = min(ends[0, axis], c.min())
            ends[1, axis] = max(ends[1, axis], c.max())
    margin = 3 + spacing
    knee = np.array([[-76.0, -76, -125], [76, 95, 125]])
    low, high = np.maximum(ends[0] - margin, knee[0]), np.minimum(ends[1] + margin, knee[1])
    # Left and right knees share the canvas, so it is symmetric across.
    low[0], high[0] = -max(-low[0], high[0]), max(-low[0], high[0])
    return low, high
