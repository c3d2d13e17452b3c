"""Evidence that adds up: each slice's and pixel's share of a network's logit, without a gradient.

The network averages its last feature map over a slice, takes each feature's maximum over the
exam's slices, and adds the features up under the weights of one linear unit. So its logit is ::

    logit = bias + sum over features f of w_f * mean over pixels of a_f in f's strongest slice

and a pixel's share is the sum, over the features whose strongest slice it lies in, of
``w_f * a_f(pixel) / pixels``. Shares and bias add up to the logit; what is left is rounding. Where
slices tie, one of them, the first, has the whole share. AlexNet's last layer before the average is
another maximum, over a window of 3 x 3 places: its share goes, in the same way, to the place that
was the maximum, which gives a finer map.

The regression that fuses planes adds up their *probabilities*, so what adds up through it are the
planes' shares of the fused logit: ``intercept + sum of coefficient * probability``. Between a
plane's logit and its probability stands a sigmoid, through which no pixel's share follows from the
algebra alone; `through_fusion` says by which convention it takes them.
"""

from dataclasses import dataclass, replace
from math import exp

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mrnetlib.training.networks import ExamNetwork
from mrnetlib.training.predict import SLICES_AT_ONCE


@dataclass(frozen=True)
class Evidence:
    """The shares of a plane's slices and places in one network's logit.

    Attributes
    ----------
    logit : the network's.
    bias : of its linear unit. ``bias + shares.sum()`` is the logit but for rounding.
    shares : (S, h, w) float32, on the grid of the last feature map; positive speaks for the
        finding. Its lower resolution is the network's own: there is no finer exact one.
    start, step : place ``i`` of the grid is centred on pixel ``start + i * step`` of the slice, in
        rows and in columns; pixel 0 is the first one's centre.
    size : side of the slices in pixels.
    """

    logit: float
    bias: float
    shares: np.ndarray
    start: float
    step: float
    size: int

    def of_slices(self) -> np.ndarray:
        """Each slice's share (S,) float64; with the bias they add up to the logit."""
        return self.shares.sum(axis=(1, 2), dtype=np.float64)

    def cells(self) -> np.ndarray:
        """Which place each row, or column, of pixels is nearest to: (size,) whole numbers."""
        centres = self.start + self.step * np.arange(self.shares.shape[1])
        return np.abs(np.arange(self.size)[:, None] - centres).argmin(axis=1)

    def on_pixels(self) -> np.ndarray:
        """Shares on the slices' own pixels, (S, size, size) float32, with the same sums.

        Each place's share is spread evenly over the pixels that are nearer to it than to others.
        """
        cells = self.cells()
        counts = np.bincount(cells, minlength=self.shares.shape[1])  # pixels a side of each place
        dense = self.shares / (counts[:, None] * counts).clip(min=1)
        return dense[:, cells][:, :, cells].astype(np.float32)  # (S, h, w) -> (S, size, size)

    def shown(self, index: int) -> np.ndarray:
        """A slice's shares as they are coloured: each pixel has its place's, (size, size)."""
        cells = self.cells()
        return self.shares[index][np.ix_(cells, cells)]

    def summed(self, pixels: np.ndarray) -> np.ndarray:
        """What lies on pixels (S, size, size) added up over each place, (S, h, w) float64."""
        into = (self.cells()[:, None] == np.arange(self.shares.shape[1])).astype(np.float64)
        return np.einsum("sij,ia,jb->sab", pixels, into, into, optimize=True)


@dataclass(frozen=True)
class Maps:
    """What a backbone says of an exam's slices before it averages over them.

    Attributes
    ----------
    values : (S, F, h, w), the features at each place; of a backbone without an averaging module
        (S, F, 1, 1), its features themselves.
    places : (S, F, h, w), which place of the finer map `shape` each value comes from; None where
        `values` is that map.
    shape : rows and columns of the map that shares lie on.
    start, step, size : see `Evidence`.
    """

    values: Tensor
    places: Tensor | None
    shape: tuple[int, int]
    start: float
    step: float
    size: int


def watched_module(backbone: nn.Module) -> nn.Module | None:
    """The module whose input is the last map: what averages it, or a maximum right before that.

    None where a backbone averages without a module (DenseNet, ShuffleNet): its shares then say in
    which slice, and not where.
    """
    found = [part for part in backbone.modules() if isinstance(part, nn.AdaptiveAvgPool2d)]
    features = backbone[0] if isinstance(backbone, nn.Sequential) else None
    last = features[-1] if isinstance(features, nn.Sequential) and len(features) else None
    if isinstance(last, nn.MaxPool2d):  # AlexNet, VGG
        return last
    return found[-1] if found else None


def feature_maps(network: ExamNetwork, slices: Tensor) -> Maps:
    """The last feature maps of slices (S, 1, H, W), 0..255; float32, no gradient.

    Use `evidence` unless several heads share a backbone.
    """
    watched, size = watched_module(network.backbone), slices.shape[-1]
    seen: list[Tensor] = []
    handle = watched and watched.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.eval()
    try:
        with torch.inference_mode():
            features = [network.features(part) for part in slices.split(SLICES_AT_ONCE)]
    finally:
        if handle:
            handle.remove()
    values = torch.cat(seen or features).float()
    if values.ndim == 2:
        return Maps(values[:, :, None, None], None, (1, 1), (size - 1) / 2, float(size), size)
    start, step = grid_of(network, size, watched)
    places, shape = None, tuple(values.shape[-2:])
    if isinstance(watched, nn.MaxPool2d):
        how = (watched.kernel_size, watched.stride, watched.padding, watched.dilation)
        values, places = functional.max_pool2d(
            values, *how, ceil_mode=watched.ceil_mode, return_indices=True
        )
    return Maps(values, places, shape, start, step, size)


def grid_of(network: ExamNetwork, size: int, until: nn.Module) -> tuple[float, float]:
    """On which pixel the first place of the map that `until` is given is centred, and the step.

    Followed through the layers that make the map smaller; branches shrink alike.
    """
    found = {"size": size, "start": 0.0, "step": 1.0, "open": True}

    def follow(layer: nn.Module, given: tuple[Tensor], result: Tensor) -> None:
        if layer is until:
            found["open"] = False
        shrunk = given[0].shape[-1] == found["size"] != result.shape[-1]
        if found["open"] and shrunk and hasattr(layer, "kernel_size"):
            kernel, stride, padding = (
                value if isinstance(value, int) else value[-1]
                for value in (layer.kernel_size, layer.stride, layer.padding)
            )
            found["start"] += found["step"] * ((kernel - 1) / 2 - padding)
            found["step"] *= stride
            found["size"] = result.shape[-1]

    layers = [part for part in network.backbone.modules() if not list(part.children())]
    handles = [layer.register_forward_hook(follow) for layer in layers]
    try:
        with torch.inference_mode():
            network.features(torch.zeros(1, 1, size, size, device=network.mean.device))
    finally:
        for handle in handles:
            handle.remove()
    return found["start"], found["step"]


def evidence_of(maps: Maps, head: nn.Linear) -> Evidence:
    """The evidence of a linear unit over feature maps."""
    with torch.inference_mode():
        averaged = maps.values.mean(dim=(2, 3))  # (S, F, h, w) -> (S, F)
        pooled, strongest = averaged.max(dim=0)  # (F,) and the slice that it comes from
        logit = float(head(pooled[None])[0, 0])
        weight = head.weight[0].double()  # (F,)
        features = torch.arange(len(strongest), device=strongest.device)
        chosen = maps.values[strongest, features].double()  # (F, h, w)
        given = chosen * (weight / chosen[0].numel())[:, None, None]
        rows, columns = maps.shape
        places = (
            torch.arange(rows * columns, device=given.device).expand(len(given), -1)
            if maps.places is None
            else maps.places[strongest, features].flatten(1)
        )  # (F, h * w)
        shares = given.new_zeros(len(maps.values), rows * columns)
        shares.index_put_(
            (strongest[:, None].expand_as(places), places), given.flatten(1), accumulate=True
        )
    shares = shares.view(-1, rows, columns).float().cpu().numpy()
    return Evidence(logit, head.bias.item(), shares, maps.start, maps.step, maps.size)


def evidence(network: ExamNetwork, slices: np.ndarray) -> Evidence:
    """The shares of an exam's slices and places in a network's logit.

    Parameters
    ----------
    network : on any device; it is put into its evaluation mode and works in float32.
    slices : (S, H, W), 0..255, one exam's of one plane.
    """
    given = torch.from_numpy(np.ascontiguousarray(slices)).unsqueeze(1)  # (S, H, W) -> (S, 1, H, W)
    return evidence_of(feature_maps(network, given.to(network.mean.device)), network.head)


@dataclass(frozen=True)
class FusedEvidence:
    """Shares of a fused logit.

    Attributes
    ----------
    logit : ``intercept + sum(planes.values())``, exactly.
    intercept : of the regression.
    planes : plane -> coefficient times probability: its share.
    bases : plane -> the part of its share that is there without any evidence: coefficient times
        the probability of the plane's bias alone.
    shares : plane -> (S, h, w) float32; with its base they add up to the plane's share.
    """

    logit: float
    intercept: float
    planes: dict[str, float]
    bases: dict[str, float]
    shares: dict[str, np.ndarray]


def _sigmoid(value: float) -> float:
    return 1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value))


def through_fusion(planes: dict[str, Evidence], coefficients: dict[str, float]) -> FusedEvidence:
    """A plane's and a place's share of the fused logit.

    The planes' shares follow from the regression. Inside a plane the probability's rise from that
    of the bias alone to that of the logit is dealt out in proportion to the shares of the logit:
    what integrated gradients give on the straight line from no evidence to all of it. It adds up
    exactly, and it is a convention: another path to the same probability would deal otherwise.

    Parameters
    ----------
    planes : the planes' evidence.
    coefficients : ``intercept`` and a weight per plane, see `mrnetlib.fusion.coefficients`.
    """
    given, bases, shares = {}, {}, {}
    for plane, one in planes.items():
        weight, rest = coefficients[plane], one.logit - one.bias
        whole, base = _sigmoid(one.logit), _sigmoid(one.bias)
        slope = (whole - base) / rest if rest else whole * (1 - whole)
        given[plane], bases[plane] = weight * whole, weight * base
        shares[plane] = (weight * slope * one.shares).astype(np.float32)
    intercept = coefficients["intercept"]
    return FusedEvidence(intercept + sum(given.values()), intercept, given, bases, shares)


def mean(several: list[Evidence]) -> Evidence:
    """The mean of several networks' evidence of one exam, which adds up to their mean logit.

    Networks with other grids are brought to the finest one, see `Evidence.on_pixels`.
    """
    finest = min(several, key=lambda one: one.step)
    shares = np.mean([_regridded(one, finest) for one in several], axis=0, dtype=np.float64)
    return replace(
        finest,
        logit=float(np.mean([one.logit for one in several])),
        bias=float(np.mean([one.bias for one in several])),
        shares=shares.astype(np.float32),
    )


def _regridded(one: Evidence, like: Evidence) -> np.ndarray:
    if one.shares.shape == like.shares.shape and (one.start, one.step) == (like.start, like.step):
        return one.shares
    return like.summed(one.on_pixels())
