"""The checks that people know, beside evidence that adds up: Grad-CAM and occlusion.

Where a network's last map goes straight into the average, as ResNet-18's and GoogLeNet's do,
Grad-CAM before its rectifier *is* the evidence: the gradient of a mean, of a maximum and of a
linear unit is what `mrnetlib.reading.evidence` writes down. They part where the negative places
are cut off, and in AlexNet, whose last layer before the average is a maximum over windows.
"""

import numpy as np
import torch
from torch import Tensor

from mrnetlib.reading.evidence import watched_module
from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.predict import SLICES_AT_ONCE


def grad_cam(network: ExamNetwork, slices: np.ndarray, rectified: bool = True) -> np.ndarray:
    """Selvaraju et al. 2017 on the last feature map, as captum's LayerGradCam computes it.

    Parameters
    ----------
    slices : (S, H, W), 0..255, one exam's of one plane.
    rectified : whether places that speak against the finding are cut off at 0, as published.

    Returns
    -------
    (S, h, w) float32, on the same grid as the evidence's shares.
    """
    given = _tensor(network, slices)
    seen: list[Tensor] = []
    handle = watched_module(network.backbone).register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    network.eval()
    try:
        with torch.enable_grad():
            logit = network(given, [len(given)])[0]
            (gradient,) = torch.autograd.grad(logit, seen[0])  # (S, F, h, w)
    finally:
        handle.remove()
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (S, F, 1, 1)
    found = (weights * seen[0]).sum(dim=1)  # (S, h, w)
    return (found.relu() if rectified else found).detach().float().cpu().numpy()


def occlusion(
    network: ExamNetwork, slices: np.ndarray, patch: int = 16, step: int = 8, grey: int = 0
) -> np.ndarray:
    """How much the logit falls when a square of one slice is painted over.

    Parameters
    ----------
    slices : (S, H, W) uint8, one exam's of one plane.
    patch, step : the square's side and how far apart squares begin, in pixels.
    grey : what they are painted with; 0 is air.

    Returns
    -------
    (S, n, n) float32 with ``n = (H - patch) // step + 1``: positive where what was hidden speaks
    for the finding. It needs S n n slices to go through the network, and, other than evidence,
    says nothing of what two slices show alike.
    """
    given = _tensor(network, slices)
    places = [(i, j) for i in range(0, given.shape[-2] - patch + 1, step)
              for j in range(0, given.shape[-1] - patch + 1, step)]  # fmt: skip
    network.eval()
    falls = []
    with torch.inference_mode():
        features = torch.cat([network.features(one) for one in given.split(SLICES_AT_ONCE)])
        whole = network.head(features.amax(0))
        for index, slice_ in enumerate(given):
            others = torch.cat([features[:index], features[index + 1 :]])  # (S - 1, F)
            hidden = slice_.repeat(len(places), 1, 1, 1)  # (n * n, 1, H, W)
            for copy, (i, j) in zip(hidden, places, strict=True):
                copy[:, i : i + patch, j : j + patch] = grey
            changed = torch.cat([network.features(one) for one in hidden.split(SLICES_AT_ONCE)])
            if len(others):
                changed = torch.maximum(changed, others.amax(0))
            falls.append(whole - network.head(changed)[:, 0])  # (n * n,)
    rows = len(range(0, given.shape[-2] - patch + 1, step))
    return torch.stack(falls).view(len(given), rows, -1).float().cpu().numpy()


def _tensor(network: ExamNetwork, slices: np.ndarray) -> Tensor:
    """Slices (S, H, W) -> (S, 1, H, W) where the network is."""
    return torch.from_numpy(np.array(slices)).unsqueeze(1).to(network.mean.device)
