"""Naming the tissues of a slice: a dense pretext task where the anatomy is known at every pixel.

A digital knee brings a tissue code for every pixel. A backbone whose last feature map says which
tissues lie in every part of the slice has learned what a meniscus and a cruciate ligament look
like, and where they are, before it sees a single label. Naming alone would also teach it to look
past all that is odd; so spots are put into the slices that do not belong there, brighter or darker
than what they cover, and are to be named as foreign (after CutPaste, Li et al. 2021).
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mrnetlib.exams.banks import ExamBank
from mrnetlib.exams.layout import read_volume
from mrnetlib.files import InputError, sha256
from mrnetlib.phantom.tissues import CODES

#: What is told apart: names of tissues that count as one.
GROUPS = (
    ("air", "skin", "metal"),
    ("fat",),
    ("fascia",),
    ("muscle",),
    ("vessel", "nerve"),
    ("tendon", "ligament"),
    ("acl",),
    ("meniscus",),
    ("femoral_cartilage", "tibial_cartilage", "patellar_cartilage"),
    ("fluid",),
    ("cortex",),
    ("femur",),
    ("tibia", "fibula"),
    ("patella",),
)

#: Shares of slices that get a foreign spot, and its radii as shares of the slice's side.
FOREIGN, RADII = 0.7, (0.04, 0.16)

#: Side of the grid on which tissues are named: cells of 4 pixels in slices of 64.
GRID = 16


def group_of_code() -> Tensor:
    """Tissue code -> place in `GROUPS`, (codes,) int64; what is in none counts as the first."""
    table = torch.zeros(max(CODES.values()) + 1, dtype=torch.int64)
    for place, names in enumerate(GROUPS):
        for name in names:
            table[CODES[name]] = place
    return table


def shares(codes: np.ndarray) -> Tensor:
    """Tissue codes (S, H, W) -> share of each group in each cell, (S, G, GRID, GRID) float16."""
    table, parts = group_of_code(), []
    for block in torch.from_numpy(np.array(codes)).long().split(64):
        one_hot = functional.one_hot(table[block], len(GROUPS)).movedim(3, 1).float()
        parts.append(functional.adaptive_avg_pool2d(one_hot, GRID).half())
    return torch.cat(parts)


def tissue_paths(folder: Path, bank: ExamBank) -> list[Path]:
    """The files ``<plane>/<exam>.npy`` with the tissues of a bank's exams, in its order.

    Raises
    ------
    InputError
        For one that is missing.
    """
    paths = [Path(folder) / bank.plane / f"{exam}.npy" for exam in bank.exams]
    for path in paths:
        if not path.is_file():
            raise InputError(
                f"{path}: not found, expected an exam's tissues. Run notebook 00_exams again."
            )
    return paths


def digest(folder: Path, bank: ExamBank) -> str:
    """SHA-256 over the tissues of a bank's exams."""
    parts = "".join(map(sha256, tissue_paths(folder, bank)))
    return hashlib.sha256(parts.encode()).hexdigest()


def read_shares(folder: Path, bank: ExamBank) -> Tensor:
    """The tissue shares of a bank's slices, (S, G, GRID, GRID) float16; see `tissue_paths`.

    Raises
    ------
    InputError
        For a file that is missing or no exam's, that has another number of slices than the bank
        has of the exam, or codes of no tissue.
    """
    parts = []
    for path, length in zip(tissue_paths(folder, bank), bank.lengths, strict=True):
        codes = read_volume(path)
        if len(codes) != length:
            raise InputError(
                f"{path}: {len(codes)} slices, expected {length} as in the exam. Remove it and "
                "run notebook 00_exams again."
            )
        if codes.max() > max(CODES.values()):
            raise InputError(
                f"{path}: tissue code {codes.max()}, expected at most {max(CODES.values())}. "
                "Remove it and run notebook 00_exams again."
            )
        parts.append(shares(codes))
    return torch.cat(parts)


def put_foreign(slices: Tensor, truth: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Put a spot into most slices (B, 1, H, W), 0..255, and its share into truth (B, G, h, w).

    The spot is a soft ellipse with pixels from elsewhere in the slice, or of one grey value. The
    truth gets a last group, foreign: (B, G + 1, h, w).
    """
    count, size = len(slices), slices.shape[-1]
    drawn = torch.rand(7, count, 1, 1, generator=generator)
    axis = (torch.arange(size) + 0.5) / size
    low, high = RADII
    y = (axis.view(1, -1, 1) - 0.15 - 0.7 * drawn[0]) / (low + (high - low) * drawn[1])
    x = (axis.view(1, 1, -1) - 0.15 - 0.7 * drawn[2]) / (low + (high - low) * drawn[3])
    inside = (1.5 - (y * y + x * x).sqrt()).clamp(0, 1)  # (B, H, W)
    inside = (inside * (0.5 + 0.5 * drawn[4]) * (drawn[5] < FOREIGN)).unsqueeze(1)
    elsewhere = slices.roll((size // 3, size // 4), (2, 3))
    grey = (255 * drawn[6]).unsqueeze(1).expand_as(slices)
    one_grey = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    spot = torch.where(one_grey, grey, elsewhere)
    share = functional.adaptive_avg_pool2d(inside, truth.shape[-1])
    mixed = slices * (1 - inside) + spot * inside
    return mixed, torch.cat([truth * (1 - share), share], 1)


def last_map(backbone: nn.Module, image_size: int) -> tuple[nn.Module, torch.Size]:
    """The module that gives a backbone's last feature map, and the shape (1, C, h, w) of it."""
    found = []

    def look(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if output.ndim == 4 and not isinstance(module, nn.AdaptiveAvgPool2d):
            found.append((module, output.shape))

    hooks = [module.register_forward_hook(look) for module in backbone.modules()]
    device = next(backbone.parameters()).device
    with torch.no_grad():
        backbone.eval()(torch.zeros(1, 1, image_size, image_size, device=device))
    for hook in hooks:
        hook.remove()
    return found[-1]


class TissueHead(nn.Module):
    """Names tissues from a backbone's last feature map, while the backbone runs.

    Every place of the map (C, h, w) says by one linear unit per cell and group what lies in the
    part of the slice that it stands for.
    """

    def __init__(self, backbone: nn.Module, image_size: int):
        super().__init__()
        self.seen: Tensor | None = None
        module, (_, channels, height, _) = last_map(backbone, image_size)
        self.hook = module.register_forward_hook(self._keep)
        self.fine = -(-GRID // height)
        self.linear = nn.Conv2d(channels, (len(GROUPS) + 1) * self.fine**2, 1)

    def _keep(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        self.seen = output

    def forward(self) -> Tensor:
        """Scores of the slices that just went through the backbone, (B, G + 1, GRID, GRID)."""
        scores = functional.pixel_shuffle(self.linear(self.seen), self.fine)
        return functional.adaptive_avg_pool2d(scores.float(), GRID)


def tissue_loss(scores: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy between scores (B, G, GRID, GRID) and shares, the groups weighted by (G,)."""
    log = functional.log_softmax(scores, 1)
    return -(truth * log * weights.view(1, -1, 1, 1)).sum(1).mean()


def group_weights(truth: Tensor) -> Tensor:
    """A weight per group of `shares` (S, G, ...) and for foreign spots, (G + 1,).

    Rare tissues count more, by the root of their rarity; the mean over all cells is 1.
    """
    share = truth.float().mean((0, 2, 3)).clamp_min(1e-4)
    share = torch.cat([share, share.new_tensor([0.02])])  # about what `put_foreign` covers
    weights = share.rsqrt()
    return weights / (weights * share).sum()
