"""Naming the tissues of a slice: a dense pretext task where the anatomy is known at every pixel.

A digital knee brings a tissue code for every pixel. A backbone whose last feature map says which
tissues lie in every part of the slice has learned what a meniscus and a cruciate ligament look
like, and where they are, before it sees a single label.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mrnetlib.exams.banks import ExamBank
from mrnetlib.exams.layout import read_volume
from mrnetlib.files import InputError
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


def read_shares(folder: Path, bank: ExamBank) -> Tensor:
    """The tissue shares of a bank's slices, from ``tissues/<plane>/<exam>.npy``, in its order."""
    parts = []
    for exam, length in zip(bank.exams, bank.lengths, strict=True):
        path = Path(folder) / bank.plane / f"{exam}.npy"
        codes = read_volume(path)
        if len(codes) != length:
            raise InputError(
                f"{path}: {len(codes)} slices, expected {length} as in the exam. Run notebook "
                "00_exams again."
            )
        parts.append(shares(codes))
    return torch.cat(parts)


def last_map(backbone: nn.Module) -> tuple[nn.Module, str]:
    """The module around a backbone's last feature map, and whether it is its input or output."""
    for module in backbone.modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return module, "input"
    return backbone.features, "output"


class TissueHead(nn.Module):
    """Names tissues from a backbone's last feature map, while the backbone runs.

    Every place of the map (C, h, w) says by one linear unit per cell and group what lies in the
    part of the slice that it stands for.
    """

    def __init__(self, backbone: nn.Module, image_size: int):
        super().__init__()
        self.seen: Tensor | None = None
        module, side = last_map(backbone)
        if side == "input":
            self.hook = module.register_forward_pre_hook(self._keep_input)
        else:
            self.hook = module.register_forward_hook(self._keep_output)
        device = next(backbone.parameters()).device
        with torch.no_grad():
            backbone.eval()(torch.zeros(1, 1, image_size, image_size, device=device))
        _, channels, height, _ = self.seen.shape
        self.fine = -(-GRID // height)
        self.linear = nn.Conv2d(channels, len(GROUPS) * self.fine**2, 1)

    def _keep_input(self, module: nn.Module, inputs: tuple) -> None:
        self.seen = inputs[0]

    def _keep_output(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        self.seen = output

    def forward(self) -> Tensor:
        """Scores of the slices that just went through the backbone, (B, G, GRID, GRID)."""
        scores = functional.pixel_shuffle(self.linear(self.seen), self.fine)
        return functional.adaptive_avg_pool2d(scores.float(), GRID)


def tissue_loss(scores: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy between scores (B, G, GRID, GRID) and shares, the groups weighted by (G,)."""
    log = functional.log_softmax(scores, 1)
    return -(truth * log * weights.view(1, -1, 1, 1)).sum(1).mean()


def group_weights(truth: Tensor) -> Tensor:
    """A weight per group, (G,): rare tissues count more, by the root of their rarity; mean 1."""
    share = truth.float().mean((0, 2, 3)).clamp_min(1e-4)
    weights = share.rsqrt()
    return weights / (weights * share).sum()
