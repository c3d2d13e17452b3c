"""A 3D canvas: tissues painted over one another with soft edges, each inside its own box.

The canvas holds the signal of the three series and a map of tissue codes on one isotropic grid.
Structures are given by a function f in mm that is negative inside and grows at about 1 mm per mm
across the surface; a voxel on the surface then takes a share of both tissues, which is what makes
partial volume right at any grid spacing.

Knee frame (mm): x to the medial side, y to the back, z to the head, origin at the middle of the
tibial plateau. For a right knee these are the patient's LPS directions; a left knee is the
mirror image, made when the canvas is imaged.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from mrnetlib.phantom.tissues import CODES

TILE = 72  # voxels; side of the texture tile that is repeated over the canvas


def smooth_min(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """Minimum of two distance fields, its crease rounded over about `k` mm."""
    h = np.maximum(k - np.abs(a - b), 0.0)
    return np.minimum(a, b) - h * h * (0.25 / k)


def smooth_max(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """Maximum of two distance fields, its crease rounded over about `k` mm."""
    return -smooth_min(-a, -b, k)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Rotation matrix from angles in degrees about x, then y, then z."""
    ax, ay, az = np.deg2rad([x, y, z])
    cx, cy, cz, sx, sy, sz = *np.cos([ax, ay, az]), *np.sin([ax, ay, az])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def band_noise(rng: np.random.Generator, widths: tuple[float, float, float]) -> np.ndarray:
    """Periodic Gaussian noise with correlation lengths `widths` (voxels), (TILE,)*3, sd 1."""
    spectrum = fft.rfftn(rng.standard_normal((TILE,) * 3, dtype=np.float32))
    for axis, width in enumerate(widths):
        frequency = fft.rfftfreq(TILE) if axis == 2 else fft.fftfreq(TILE)
        window = np.exp(-2 * (np.pi * width * frequency / 2) ** 2).astype(np.float32)
        spectrum *= window.reshape([-1 if i == axis else 1 for i in range(3)])
    noise = fft.irfftn(spectrum, s=(TILE,) * 3)
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


@dataclass(frozen=True)
class Region:
    """A box of the canvas: its slices and the knee-frame coordinates of its voxels, float32."""

    box: tuple[slice, slice, slice]
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray


class Canvas:
    """Grid, signals and tissue map of one knee.

    Parameters
    ----------
    spacing : float, mm.
    low, high : the grid's corners in the scanner's frame, mm.
    pose : (3, 3) rotation of the knee in the scanner's frame.
    scale : three factors, size of this knee relative to the standard one along x, y, z.
    signals : (codes, 3) float32, see `Scanner.signals`.
    rng : for the textures.
    """

    def __init__(self, spacing, low, high, pose, scale, signals, rng):
        self.spacing = float(spacing)
        self.axes = [
            np.arange(a, b, spacing, dtype=np.float32) for a, b in zip(low, high, strict=True)
        ]
        self.shape = tuple(len(axis) for axis in self.axes)
        self.pose = np.asarray(pose, dtype=np.float64)
        self.scale = np.asarray(scale, dtype=np.float64)
        self.edge = self.spacing / float(self.scale.mean())  # voxel in the knee's own units
        self.table = signals
        self.signal = np.zeros((3, *self.shape), dtype=np.float32)
        self.tissue = np.zeros(self.shape, dtype=np.uint8)
        voxel = 1.0 / self.spacing
        self.textures = {
            "grain": band_noise(rng, (1.1 * voxel,) * 3),
            "fibre": band_noise(rng, (1.3 * voxel, 1.3 * voxel, 14 * voxel)),
            "cloud": band_noise(rng, (7 * voxel,) * 3),
            "web": band_noise(rng, (2.6 * voxel, 2.6 * voxel, 4.5 * voxel)),
        }
        self.origin = rng.integers(TILE, size=3)

    def region(self, low, high) -> Region:
        """The box around knee-frame corners `low` and `high`, with a voxel of margin."""
        corners = np.array([[(low, high)[k >> i & 1][i] for i in range(3)] for k in range(8)])
        corners = (corners * self.scale) @ self.pose.T
        margin = 1.5 * self.spacing
        box = tuple(
            slice(
                int(np.searchsorted(axis, corners[:, i].min() - margin)),
                int(np.searchsorted(axis, corners[:, i].max() + margin)),
            )
            for i, axis in enumerate(self.axes)
        )
        gx, gy, gz = np.ix_(*(axis[part] for axis, part in zip(self.axes, box, strict=True)))
        m = (self.pose / self.scale).astype(np.float32)  # columns: knee axes
        x, y, z = ((m[0, i] * gx + m[1, i] * gy) + m[2, i] * gz for i in range(3))
        return Region(box, x, y, z)

    def cover(self, f: np.ndarray, soft: float = 1.0) -> np.ndarray:
        """Share of each voxel inside f < 0, 0 to 1; `soft` blurs the edge over as many voxels."""
        return np.clip(0.5 - f / (self.edge * soft), 0.0, 1.0)

    def texture(self, kind: str, box) -> np.ndarray:
        """The texture `kind` over a box, sd 1."""
        index = (np.arange(p.start, p.stop) + o for p, o in zip(box, self.origin, strict=True))
        return self.textures[kind][np.ix_(*(i % TILE for i in index))]

    def paint(self, region: Region, share: np.ndarray, tissue: str, grain=None) -> None:
        """Lay `tissue` over the region: `share` of each voxel (0 to 1), times `grain` if given."""
        code = CODES[tissue]
        touched = share > 0
        few = np.count_nonzero(touched) < 0.3 * share.size
        part = share[touched] if few else share
        if grain is not None and few:
            grain = np.broadcast_to(grain, share.shape)[touched]
        for contrast in range(3):
            view = self.signal[contrast][region.box]
            value = self.table[code, contrast]
            value = value if grain is None else value * grain
            if few:
                view[touched] += part * (value - view[touched])
            else:
                view += part * (value - view)
        self.tissue[region.box][share > 0.5] = code
