"""A training loop as published code for MRNet has it, written anew, to measure against.

Exams are npy files; a DataLoader reads one at a time, turns, shifts and mirrors it on the CPU, and
repeats it for three equal channels; the network is torchvision's, in fp32, in torch's own
memory format; the optimizer is Adam.
"""

import os
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2

SHIFT = 25 / 256  # of the image's side


class Exams(Dataset):
    """Exams of a folder as (slices, 3, H, W) float32."""

    def __init__(self, paths: list[Path], augment: bool):
        self.paths = paths
        steps = [
            v2.RandomRotation(25, interpolation=InterpolationMode.BILINEAR),
            v2.RandomAffine(0, (SHIFT, SHIFT), interpolation=InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(),
        ]
        self.transform = v2.Compose(steps) if augment else v2.Identity()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        exam = torch.from_numpy(np.load(self.paths[index])).float()
        exam = self.transform(exam.unsqueeze(1))  # (S, H, W) -> (S, 1, H, W)
        exam = (exam - 50) / 50
        return exam.repeat(1, 3, 1, 1), torch.tensor([index % 2]).float()


class Network(nn.Module):
    """A torchvision backbone, the maximum over the slices, one linear unit."""

    def __init__(self, architecture: str):
        super().__init__()
        special = {"aux_logits": False, "init_weights": False}
        options = special if architecture == "googlenet" else {}
        model = torchvision.models.get_model(architecture, weights=None, **options)
        if architecture == "alexnet":
            pooled = nn.AdaptiveAvgPool2d(1)
            self.backbone = nn.Sequential(model.features, pooled, nn.Flatten())
            self.classifier = nn.Linear(256, 1)
        else:
            self.classifier = nn.Linear(model.fc.in_features, 1)
            model.fc = nn.Identity()
            self.backbone = model

    def forward(self, exam: Tensor) -> Tensor:
        """An exam (1, S, 3, H, W) -> its logit (1, 1)."""
        features = self.backbone(exam.squeeze(0))
        return self.classifier(features.amax(0, keepdim=True))


def loader(paths: list[Path], device: torch.device, augment: bool) -> DataLoader:
    """One exam at a time.

    On a CPU no further processes: where the cores do all the work, they do not make it less. For a
    GPU eight of them, and the exams over and over, so that few of the batches wait for the first.
    """
    if device.type != "cuda":
        return DataLoader(Exams(paths, augment), 1, augment)
    exams, workers = Exams(paths * 40, augment), min(8, os.cpu_count() or 1)
    return DataLoader(exams, 1, augment, num_workers=workers, persistent_workers=True)


def train_epoch(
    network: Network, optimizer: torch.optim.Optimizer, exams: DataLoader, device: torch.device
) -> int:
    """A pass over the exams; gives the number of slices."""
    network.train()
    count = 0
    for exam, label in exams:
        logit = network(exam.to(device))
        loss = nn.functional.binary_cross_entropy_with_logits(logit, label.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # published loops keep a running mean of it
        count += exam.shape[1]
    return count


@torch.no_grad()
def predict(network: Network, exams: DataLoader, device: torch.device) -> int:
    """A pass that only predicts; gives the number of slices."""
    network.eval()
    count = 0
    for exam, _ in exams:
        network(exam.to(device)).sigmoid().item()
        count += exam.shape[1]
    return count
