"""Convolutions as matrix products give what torch's own give, and their gradients."""

import copy

import pytest
import torch
from torch import nn

from mrnetlib.training.convolutions import BY_ONE, MapConv2d, with_map_convolutions
from mrnetlib.training.networks import build_backbone

#: Channels in and out, kernel, stride, padding, side of the map.
SHAPES = {
    "resnet18, its last": (8, 6, 3, 1, 1, 2),
    "resnet18, with a step": (8, 6, 3, 2, 1, 4),
    "resnet18, beside it": (8, 6, 1, 2, 0, 4),
    "one pixel": (5, 6, 3, 1, 1, 1),
    "alexnet, three pixels": (8, 6, 3, 1, 1, 3),
    "alexnet, a wide kernel": (4, 6, 5, 1, 2, 7),
    "googlenet, no neighbours": (8, 6, 1, 1, 0, 2),
    "googlenet, no neighbours, larger": (8, 6, 1, 1, 0, 8),
    "taps that meet nothing": (3, 2, 7, 1, 3, 2),
    "a step over pixels": (3, 2, 2, 3, 0, 6),
    "a step and a border": (3, 2, 5, 3, 4, 4),
    "not square": (3, 2, (3, 1), (1, 2), (2, 0), 5),
    "eight pixels": (4, 6, 3, 1, 1, 8),
    "sixteen pixels": (4, 6, 3, 1, 1, 16),
}


def pair(case, dtype=torch.float32, **rest):
    """The ordinary convolution and ours, of the same weights, and maps for them."""
    torch.manual_seed(0)
    taken, given, kernel, stride, padding, side = case
    plain = nn.Conv2d(taken, given, kernel, stride, padding, **rest).to(dtype)
    maps = torch.randn(5, taken, side, side, dtype=dtype)
    return plain, with_map_convolutions(nn.Sequential(copy.deepcopy(plain)))[0], maps


def results(module, maps):
    """Output and all gradients, of a loss that has no zero gradient."""
    maps = maps.detach().requires_grad_()
    out = module(maps)
    out.float().sin().sum().backward()
    return [out.detach(), maps.grad, *(parameter.grad for parameter in module.parameters())]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", SHAPES.values(), ids=SHAPES)
def test_output_and_gradients_are_those_of_the_ordinary_one(case, bias, layout):
    plain, ours, maps = pair(case, bias=bias)
    ours.to(memory_format=layout)
    found = results(ours, maps.contiguous(memory_format=layout))
    for wanted, value in zip(results(plain, maps), found, strict=True):
        assert value.shape == wanted.shape
        torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", SHAPES.values(), ids=SHAPES)
def test_gradients_are_those_of_the_output(case):
    _, ours, maps = pair((2, 2, *case[2:]), torch.float64)
    assert torch.autograd.gradcheck(ours, maps[:2].requires_grad_())

    def by_weight(weight):
        return torch.func.functional_call(ours, {"weight": weight}, maps[:2])

    assert torch.autograd.gradcheck(by_weight, ours.weight.detach().requires_grad_())


@pytest.mark.parametrize("case", SHAPES.values(), ids=SHAPES)
def test_in_bf16_it_rounds_no_more_than_the_ordinary_one(case):
    plain, ours, maps = pair(case)
    exact = results(plain, maps)
    plain.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rounded, found = results(plain, maps), results(ours, maps)
    for wanted, theirs, value in zip(exact, rounded, found, strict=True):
        assert value.dtype == theirs.dtype
        allowed = 2 * (theirs - wanted).abs().max() + 1e-3 * wanted.abs().max()
        assert (value - wanted).abs().max() <= allowed


@pytest.mark.parametrize(
    "rest", [{"groups": 2}, {"dilation": 2}, {"padding_mode": "reflect"}, {"padding": "same"}]
)
def test_other_convolutions_are_left_to_torch(rest, monkeypatch):
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 4, 3, **({"padding": 1} | rest))
    ours = with_map_convolutions(nn.Sequential(copy.deepcopy(plain)))[0]
    maps = torch.randn(3, 4, 6, 6)
    monkeypatch.setattr("mrnetlib.training.convolutions._Convolution.apply", None)
    assert torch.equal(ours(maps), plain(maps))


def test_large_maps_and_maps_elsewhere_are_left_to_torch(monkeypatch):
    _, ours, _ = pair(SHAPES["eight pixels"])
    monkeypatch.setattr("mrnetlib.training.convolutions._Convolution.apply", None)
    side = BY_ONE + 1
    assert ours(torch.zeros(1, 4, side, side)).shape == (1, 6, side, side)
    with torch.device("meta"):
        assert copy.deepcopy(ours).to("meta")(torch.zeros(1, 4, 2, 2)).shape == (1, 6, 2, 2)
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        MapConv2d(4, 6, 3)(torch.zeros(1, 4, 2, 2))


def test_what_is_frozen_gets_no_gradient():
    _, ours, maps = pair(SHAPES["resnet18, its last"])
    ours.weight.requires_grad_(False)
    maps.requires_grad_()
    ours(maps).sum().backward()
    assert ours.weight.grad is None
    assert maps.grad.abs().max() > 0


@pytest.mark.parametrize("architecture", ["alexnet", "resnet18", "googlenet"])
def test_backbones_have_them_behind_the_first(architecture):
    backbone = build_backbone(architecture)
    first, *others = (part for part in backbone.modules() if isinstance(part, nn.Conv2d))
    assert not isinstance(first, MapConv2d)
    assert all(type(part) is MapConv2d for part in others)
