"""Augmentation of exams: draw one flip, rotation and shift per exam, then apply them.

`draw` takes an explicit generator and `apply` is a pure function of what was drawn, so that an
augmentation can be replayed, tested and shown. All slices of an exam share one draw: the knee
stays one knee. The paper flips all planes alike. That makes a left knee of a right one in axial and
coronal slices; in sagittal ones it swaps front and back, and the patella ends up behind the joint
(`benchmarks.flip` measures what that does), so these have a setting of their own.
"""

import torch
from torch import Tensor
from torch.nn import functional

from mrnetlib.settings import Settings

#: Shifts are given in pixels of MRNet's 256 x 256 slices and scale with the image size.
REFERENCE_SIZE = 256


def draw(exams: int, plane: str, settings: Settings, generator: torch.Generator) -> Tensor:
    """Draw one transform per exam of a plane.

    Parameters
    ----------
    settings : ``flip`` is the probability of a horizontal flip, ``flip_sagittal`` that of sagittal
        exams; angles are uniform in -``rotation``..``rotation`` degrees, shifts along each axis in
        -``shift``..``shift`` pixels at 256 x 256.

    Returns
    -------
    Tensor (exams, 4) float32 on the CPU: mirrored (0 or 1), angle in degrees
    (clockwise), and shift to the right and downwards in pixels at 256 x 256.
    """
    uniform = torch.rand(exams, 4, generator=generator)
    drawn = uniform * 2 - 1  # 0..1 -> -1..1
    flip = settings.flip_sagittal if plane == "sagittal" else settings.flip
    drawn[:, 0] = (uniform[:, 0] < flip).float()
    drawn[:, 1] *= settings.rotation
    drawn[:, 2:] *= settings.shift
    return drawn


def matrices(drawn: Tensor) -> Tensor:
    """Turn draws (E, 4) into the matrices (E, 2, 3) that `affine_grid` wants.

    These map output to input coordinates in -1..1: the image is mirrored, then turned about its
    centre, then shifted.
    """
    mirrored, angle = drawn[:, 0], torch.deg2rad(drawn[:, 1])
    shift = drawn[:, 2:] * 2 / REFERENCE_SIZE  # pixels at 256 -> -1..1
    cos, sin, side = angle.cos(), angle.sin(), 1 - 2 * mirrored
    rows = torch.stack([side * cos, side * sin, -sin, cos], 1).view(-1, 2, 2)  # (E, 4) -> (E, 2, 2)
    return torch.cat([rows, -rows @ shift.unsqueeze(2)], 2)  # (E, 2, 2), (E, 2, 1) -> (E, 2, 3)


def apply(slices: Tensor, lengths: list[int], drawn: Tensor) -> Tensor:
    """Apply one draw to all slices of each exam, bilinear, with black (0) beyond the image.

    Parameters
    ----------
    slices : (S, 1, H, W) uint8, the exams end to end, on any device.
    lengths : slices of each of the E exams, adding up to S.
    drawn : (E, 4) from `draw`.

    Returns
    -------
    Tensor (S, 1, H, W) float32, 0..255, on the device of `slices`.
    """
    size = slices.shape[-2:]
    theta = matrices(drawn).to(slices.device)
    moved = []
    for exam, matrix in zip(slices.split(lengths), theta.split(1), strict=True):
        # The slices of an exam travel as the channels of one image, so they share one grid.
        grid = functional.affine_grid(matrix, [1, 1, *size], align_corners=False)
        channels = exam.float().transpose(0, 1)  # (s, 1, H, W) -> (1, s, H, W)
        turned = functional.grid_sample(channels, grid, padding_mode="zeros", align_corners=False)
        moved.append(turned.transpose(0, 1))  # (1, s, H, W) -> (s, 1, H, W)
    return torch.cat(moved) if len(moved) > 1 else moved[0]
