"""From the painted knee to images: slices, pixels, resolution, coil, noise, grey values."""

from dataclasses import dataclass

import numpy as np
from scipy import fft, sparse

from mrnetlib.phantom.quality import Quality, moved, unsuppressed_field
from mrnetlib.phantom.tissues import CODES, CONTRASTS

#: Planes whose series are fat-suppressed.
SUPPRESSED = ("axial", "sagittal")

#: Noise of a plane's series against the scanner's: a short echo (T1) leaves more signal than T2.
NOISE = {"axial": 0.9, "coronal": 0.6, "sagittal": 1.0}

#: Tissues whose signal fat suppression takes away, where it works.
FATTY = ("fat", "femur", "tibia", "fibula", "patella")

#: axis of the canvas along which (slices, rows, columns) run, and the direction of each
AXES = {
    "sagittal": ((0, 1), (2, -1), (1, 1)),
    "coronal": ((1, 1), (2, -1), (0, 1)),
    "axial": ((2, 1), (1, 1), (0, 1)),
}


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of one series are.

    Attributes
    ----------
    positions : (S, 3) mm, centre of the first pixel of each slice, patient LPS.
    orientation : (2, 3), directions in which the column index and the row index grow
        (DICOM's ImageOrientationPatient).
    spacing : mm between rows and between columns.
    thickness : slice thickness, mm.
    slice_spacing : mm between slice centres.
    """

    positions: np.ndarray
    orientation: np.ndarray
    spacing: tuple[float, float]
    thickness: float
    slice_spacing: float


@dataclass(frozen=True)
class Plan:
    """Sampling of one series in the scanner's frame: centres along the canvas' axes, mm."""

    plane: str
    slices: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    thickness: float
    pixel: float


def sampling(axis: np.ndarray, centres: np.ndarray, width: float, smooth: bool) -> sparse.csr_array:
    """Matrix that averages a line of the canvas over boxes of `width` at `centres`.

    `smooth` rounds the box as a slice profile is rounded. Outside the canvas there is air.
    """
    step = float(axis[1] - axis[0])
    count = max(3, int(np.ceil(3 * width / step)))
    offset = (np.arange(count) + 0.5) / count - 0.5
    weight = np.where(np.abs(offset) > 0.4, 0.5, 1.0) if smooth else np.ones(count)
    place = ((centres[:, None] + offset * width) - float(axis[0])) / step
    left = np.floor(place).astype(int)
    right_share = place - left
    rows = np.broadcast_to(np.arange(len(centres))[:, None], place.shape)
    weight = np.broadcast_to(weight / weight.sum(), place.shape)
    entries = [], [], []
    for index, share in ((left, 1 - right_share), (left + 1, right_share)):
        inside = (index >= 0) & (index < len(axis))
        parts = (weight * share)[inside], rows[inside], index[inside]
        for kept, values in zip(entries, parts, strict=True):
            kept.append(values)
    data, row, column = (np.concatenate(kept) for kept in entries)
    shape = (len(centres), len(axis))
    return sparse.csr_array((data.astype(np.float32), (row, column)), shape=shape)


def project(volume: np.ndarray, axes, plan: Plan, mirror: bool) -> np.ndarray:
    """Average a canvas volume over the voxels of a series, (S, H, W) float32.

    `mirror` makes the left knee of the canvas' right one.
    """
    order = [axis for axis, _ in AXES[plan.plane]]
    result = volume.transpose(order)
    centres = (plan.slices, plan.rows, plan.columns)
    widths = (plan.thickness, plan.pixel, plan.pixel)
    for axis, centre, width in zip(order, centres, widths, strict=True):
        if axis == 0 and mirror:
            centre = -centre
        matrix = sampling(axes[axis], centre, width, smooth=axis == order[0])
        flat = np.ascontiguousarray(result).reshape(result.shape[0], -1)
        result = (matrix @ flat).reshape(len(centre), *result.shape[1:])
        result = result.transpose(1, 2, 0)  # after three turns the order is as at the start
    return np.ascontiguousarray(result)


def lose_resolution(images: np.ndarray, kept: tuple[float, float]) -> np.ndarray:
    """Keep the given shares of k-space along rows and columns, its border apodized."""
    height, width = images.shape[1:]
    spectrum = fft.rfft2(images)
    for axis, size, share in ((0, height, kept[0]), (1, width, kept[1])):
        k = np.abs(fft.fftfreq(size) if axis == 0 else fft.rfftfreq(size)) / (0.5 * share)
        window = np.where(k < 0.75, 1.0, np.cos(np.clip((k - 0.75) / 0.25, 0, 1) * np.pi / 2) ** 2)
        window = window.astype(np.float32)
        spectrum *= window[:, None] if axis == 0 else window[None, :]
    return fft.irfft2(spectrum, s=(height, width))


def coil(plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """Sensitivity of a knee coil, smooth, about 1 in the middle, (S, H, W) float32."""
    log = np.zeros((len(plan.slices), len(plan.rows), len(plan.columns)), dtype=np.float32)
    parts = []
    for centres in (plan.slices, plan.rows, plan.columns):
        u = ((centres - centres.mean()) / 70.0).astype(np.float32)
        parts.append(u)
        shape = [1, 1, 1]
        shape[len(parts) - 1] = -1
        tilt, bow = float(rng.normal(0, 0.16)), float(rng.normal(-0.02, 0.12))
        log += (tilt * u + bow * u * u).reshape(shape)
    twist = float(rng.normal(0, 0.10))
    log += twist * parts[1][None, :, None] * parts[2][None, None, :]
    return np.exp(log)


def acquire(
    canvas, plan: Plan, scanner, mirror: bool, quality: Quality, rng: np.random.Generator
) -> np.ndarray:
    """Image one series: (S, H, W) uint16 magnitudes with Rician noise."""
    bias = coil(plan, rng)
    kept = float(rng.uniform(0.78, 0.98)), float(rng.uniform(0.9, 1.0))
    images = project(canvas.signal[CONTRASTS[plan.plane]], canvas.axes, plan, mirror)
    if plan.plane in SUPPRESSED and quality.unsuppressed:
        images += 0.75 * fat_share(canvas, plan, mirror) * unsuppressed_field(quality, images.shape)
    images = moved(lose_resolution(images, kept), quality)
    images *= bias
    noise = rng.standard_normal((2, *images.shape), dtype=np.float32)
    noise *= scanner.noise * quality.noise * NOISE[plan.plane]
    images += noise[0]
    images = np.hypot(images, noise[1])
    grey = images * float(scanner.gain * np.exp(rng.normal(0, 0.08))) + float(scanner.offset)
    return np.clip(np.rint(grey), 0, 65535).astype(np.uint16)


def fat_share(canvas, plan: Plan, mirror: bool) -> np.ndarray:
    """Share of each voxel that is fat or fatty marrow, (S, H, W) float32."""
    fatty = np.zeros(len(CODES), dtype=np.float32)
    fatty[[CODES[name] for name in FATTY]] = 1
    return project(fatty[canvas.tissue], canvas.axes, plan, mirror)


def image_tissues(canvas, plan: Plan, mirror: bool) -> np.ndarray:
    """Tissue code at the middle of each voxel, (S, H, W) uint8; 0 (air) beyond the canvas.

    Lesions do not change it: it is the anatomy of the knee.
    """
    order = [axis for axis, _ in AXES[plan.plane]]
    places, inside = [], []
    for axis, centre in zip(order, (plan.slices, plan.rows, plan.columns), strict=True):
        line = canvas.axes[axis]
        centre = -centre if axis == 0 and mirror else centre
        index = np.rint((centre - float(line[0])) / float(line[1] - line[0])).astype(int)
        inside.append((index >= 0) & (index < len(line)))
        places.append(np.clip(index, 0, len(line) - 1))
    codes = canvas.tissue.transpose(order)[np.ix_(*places)]
    slices, rows, columns = inside
    return codes * (slices[:, None, None] & rows[:, None] & columns)


def image_lesions(canvas, plan: Plan, share_maps, mirror: bool) -> np.ndarray:
    """Lesion codes of one series, (S, H, W) uint8.

    A voxel belongs to a lesion when at least a quarter of it (or half of the most that any
    voxel has, for a small lesion) is changed.
    """
    codes = np.zeros((len(plan.slices), len(plan.rows), len(plan.columns)), dtype=np.uint8)
    for code in sorted(share_maps):
        boxes = [box for box, _ in share_maps[code]]
        low = [min(b[i].start for b in boxes) for i in range(3)]
        high = [max(b[i].stop for b in boxes) for i in range(3)]
        volume = np.zeros([b - a for a, b in zip(low, high, strict=True)], dtype=np.float32)
        for box, share in share_maps[code]:
            part = tuple(slice(b.start - a, b.stop - a) for a, b in zip(low, box, strict=True))
            np.maximum(volume[part], share, out=volume[part])
        axes = [axis[a:b] for axis, a, b in zip(canvas.axes, low, high, strict=True)]
        seen = project(volume, axes, plan, mirror)
        codes[seen > max(min(0.25, 0.5 * float(seen.max())), 1e-3)] = code
    return codes
