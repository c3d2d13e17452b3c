"""What networks say of exams: predictions and features, without gradients."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from mrnetlib.exams.banks import ExamBank
from mrnetlib.training.devices import autocast
from mrnetlib.training.networks import ExamNetwork

#: Slices that go through a network together where nothing is trained.
SLICES_AT_ONCE = 64


def packs(bank: ExamBank) -> list[list[int]]:
    """The exams of a bank in packs that go through a network together: some `SLICES_AT_ONCE`."""
    found, count = [[]], 0
    for index, length in enumerate(bank.lengths):
        if count >= SLICES_AT_ONCE:
            found.append([])
            count = 0
        found[-1].append(index)
        count += int(length)
    return found


def _through(
    network: ExamNetwork, step: Callable, bank: ExamBank, precision: str
) -> list[torch.Tensor]:
    """What `step` (the network or a part of it) gives for all exams of a bank, in their order.

    Several small exams go through together, which changes nothing but the speed.
    """
    device = network.mean.device
    network.eval()
    with torch.inference_mode(), autocast(precision, device):
        return [
            step(bank.read(pack).to(device), bank.lengths[pack].tolist()) for pack in packs(bank)
        ]


def predict(network: ExamNetwork, bank: ExamBank, precision: str = "fp32") -> np.ndarray:
    """The network's probability for every exam of a bank, (E,) float64 in 0..1."""
    logits = _through(network, network, bank, precision)
    return torch.cat(logits).cpu().double().sigmoid().numpy()


def predict_all(
    network: ExamNetwork, banks: dict[str, ExamBank], task: str, precision: str = "fp32"
) -> pd.DataFrame:
    """Predictions for the exams of several splits.

    Returns
    -------
    DataFrame with columns exam, split, label (0 or 1), probability (0..1).
    """
    tables = [
        pd.DataFrame(
            {
                "exam": bank.exams,
                "split": split,
                "label": bank.labels[task].to_numpy(),
                "probability": predict(network, bank, precision),
            }
        )
        for split, bank in banks.items()
    ]
    return pd.concat(tables, ignore_index=True)


def exam_features(network: ExamNetwork, bank: ExamBank, precision: str = "fp32") -> np.ndarray:
    """The pooled features of every exam of a bank, (E, F) float64."""
    return torch.cat(_through(network, network.pool, bank, precision)).cpu().double().numpy()
