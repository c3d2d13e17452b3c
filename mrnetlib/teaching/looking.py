"""Looks inside a network: filters, maps, which slice wins the maximum, what the gradient does."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mrnetlib.training.networks import ExamNetwork


def first_filters(backbone: nn.Module) -> np.ndarray:
    """The weights of the first convolution, (O, k, k, 3), each filter brought to 0..1."""
    first = next(part for part in backbone.modules() if isinstance(part, nn.Conv2d))
    filters = first.weight.detach().float().cpu().permute(0, 2, 3, 1).numpy()  # (O, 3, k, k)
    low = filters.min(axis=(1, 2, 3), keepdims=True)
    return (filters - low) / np.maximum(filters.max(axis=(1, 2, 3), keepdims=True) - low, 1e-12)


def feature_maps(network: ExamNetwork, slices: Tensor, shown: int = 8) -> dict[str, np.ndarray]:
    """What the convolutions make of the first slice: per convolution its strongest maps.

    Parameters
    ----------
    slices : (S, 1, H, W), 0..255.

    Returns
    -------
    By the convolution's place (``1``, ``2``, ...) an array (`shown`, h, w), at least 0.
    """
    found: dict[str, np.ndarray] = {}

    def note(_module: nn.Module, _given: tuple, output: Tensor) -> None:
        maps = functional.relu(output[0].detach().float()).cpu().numpy()  # (C, h, w)
        strongest = np.argsort(-maps.mean(axis=(1, 2)), kind="stable")[:shown]
        found[str(len(found) + 1)] = maps[strongest]

    parts = [part for part in network.backbone.modules() if isinstance(part, nn.Conv2d)]
    hooks = [part.register_forward_hook(note) for part in parts]
    try:
        network.eval()
        with torch.inference_mode():
            network.features(slices)
    finally:
        for hook in hooks:
            hook.remove()
    return found


class Winners(NamedTuple):
    """Of one exam, (S,) each: features that a slice wins, and its share of the gradient's length
    with a maximum and, for comparison, with a mean over the slices."""

    won: np.ndarray
    maximum: np.ndarray
    mean: np.ndarray


def winners(network: ExamNetwork, slices: Tensor) -> Winners:
    """Which slices win the maximum, and which the gradient of the logit reaches.

    A maximum hands its whole gradient to the winner: a slice that wins no feature teaches nothing
    in this step. A mean would hand every slice the same.

    Parameters
    ----------
    slices : (S, 1, H, W), 0..255, of one exam.
    """
    network.eval()
    with torch.inference_mode():
        features = network.features(slices).float()  # (S, F)
    shares = []
    for pool in (lambda f: f.amax(0), lambda f: f.mean(0)):
        given = features.clone().requires_grad_(True)
        network.head(pool(given)).sum().backward()
        shares.append(given.grad.abs().sum(1).cpu().numpy())
    won = np.bincount(features.argmax(0).cpu().numpy(), minlength=len(slices))
    return Winners(won, *(share / max(share.sum(), 1e-12) for share in shares))


def batch_norm_answers(network: ExamNetwork, exams: list[Tensor], index: int) -> dict[str, float]:
    """What a network with batch norm says of one exam: alone, in company, and in a test.

    The network is put back as it was; its running statistics are not changed.

    Parameters
    ----------
    exams : tensors (s, H, W) of several exams.
    index : of the exam that is asked about.

    Returns
    -------
    Logits by circumstance.
    """
    state = {name: value.clone() for name, value in network.state_dict().items()}
    lengths = [len(exam) for exam in exams]
    together = torch.cat(exams).unsqueeze(1)
    one = exams[index].unsqueeze(1)
    with torch.no_grad():
        network.train()
        alone = network(one, [len(one)])[0].item()
        company = network(together, lengths)[index].item()
        network.load_state_dict(state)
        network.eval()
        test = network(one, [len(one)])[0].item()
    return {"training, alone in its step": alone, "training, in company": company, "test": test}
