"""Convolutions of small maps as matrix products, on a processor.

Deep in a network the maps are small: at 64 pixels ResNet-18 ends with 2 x 2, and of a 3 x 3 kernel
there more than half lies in the border. The library's convolutions are made for large maps. The
same sums as matrix products take a fraction of the time, where nothing is copied for them.

*Forward, and the input's gradient.* With the channels last in memory, the input pixels under one
row of the kernel lie side by side, and so do the row's weights. So, for one pixel of the output:

    input    (S, H, W, C)      as (S, H * W * C):    columns a .. a + n
    kernel   (O, kh, kw, C)    as (O, kh * kw * C):  columns b .. b + n
    output   (S, H', W', O)    as (S, H' * W' * O):  columns c .. c + O

    output[:, c : c + O]  +=  input[:, a : a + n] @ kernel[:, b : b + n].T

*The weights' gradient.* One product for each of the kernel's taps, over all pixels and slices where
the tap meets the input.

*A 1 x 1 kernel* is one product over all pixels of all slices.

What lies in the border is never multiplied. The results are those of `nn.Conv2d` but for the order
of the sums. How much faster: ``benchmarks.step``.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

#: Largest side, in pixels, of an output that is computed pixel by pixel.
BY_PIXELS = 3

#: Largest side of an output from which the weights' gradient is computed tap by tap, and the fewest
#: channels of the input for which that pays where the output itself is left to the library.
BY_TAPS, TAP_CHANNELS = 4, 64

#: Largest side of a map on which a 1 x 1 convolution is one product.
BY_ONE = 8

#: What is multiplied so; other numbers are left to the library.
DTYPES = (torch.float32, torch.bfloat16, torch.float64)


class Line(NamedTuple):
    """How a kernel lies along one side of a map: pixels of the input, taps, step, border."""

    size: int
    taps: int
    stride: int
    padding: int

    @property
    def places(self) -> int:
        """Pixels of the output."""
        return (self.size + 2 * self.padding - self.taps) // self.stride + 1

    @property
    def is_one(self) -> bool:
        """Whether each pixel of the output has one of the input, its own."""
        return (self.taps, self.stride, self.padding) == (1, 1, 0)

    def under(self) -> Iterator[tuple[int, int, int, int]]:
        """Per place where the kernel meets the input: place, first pixel, its tap, how many."""
        for place in range(self.places):
            start = place * self.stride - self.padding
            first, last = max(start, 0), min(start + self.taps, self.size)
            if first < last:
                yield place, first, first - start, last - first

    def met(self) -> Iterator[tuple[slice, slice]]:
        """Per tap: the places at which it meets the input, and the pixels that it meets there."""
        for tap in range(self.taps):
            shift = tap - self.padding  # pixel = place * stride + shift
            first = max(0, -(shift // self.stride))
            last = min(self.places, (self.size - 1 - shift) // self.stride + 1)
            last = max(first, last)  # a tap that meets nothing
            pixels = first * self.stride + shift, last * self.stride + shift, self.stride
            yield slice(first, last), slice(*pixels) if first < last else slice(0, 0)


@cache
def _products(rows: Line, columns: Line, taken: int, given: int) -> list[tuple[slice, ...]]:
    """Columns of input, kernel and output that are multiplied; C `taken`, O `given` channels."""
    found = []
    for top, row, tap_row, height in rows.under():
        for left, column, tap, width in columns.under():
            for below in range(height):
                a = ((row + below) * columns.size + column) * taken
                b = ((tap_row + below) * columns.taps + tap) * taken
                c = (top * columns.places + left) * given
                n = width * taken
                found.append((slice(a, a + n), slice(b, b + n), slice(c, c + given)))
    return found


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add ``left @ right`` in place; a total of bf16 products is fp32."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def _flat(maps: Tensor) -> Tensor:
    """(S, C, H, W) -> (S, H * W * C), a view where channels come last in memory."""
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1)


def _maps(flat: Tensor, channels: int, height: int, width: int) -> Tensor:
    """(S, H * W * C) -> (S, C, H, W), a view whose channels come last in memory."""
    return flat.view(-1, height, width, channels).permute(0, 3, 1, 2)


def _zeros(count: int, columns: int, like: Tensor) -> Tensor:
    dtype = torch.float32 if like.dtype == torch.bfloat16 else like.dtype
    return torch.zeros(count, columns, dtype=dtype)


def _forward(maps: Tensor, weight: Tensor, rows: Line, columns: Line) -> Tensor:
    """The output, pixel by pixel: (S, C, H, W), (O, C, kh, kw) -> (S, O, H', W')."""
    flat, kernel, given = _flat(maps), _flat(weight), len(weight)
    total = _zeros(len(maps), rows.places * columns.places * given, maps)
    for a, b, c in _products(rows, columns, weight.shape[1], given):
        _add_product(total[:, c], flat[:, a], kernel[:, b].t())
    return _maps(total.to(maps.dtype), given, rows.places, columns.places)


def _by_maps(gradient: Tensor, weight: Tensor, rows: Line, columns: Line) -> Tensor:
    """The input's gradient from the output's: (S, O, H', W') -> (S, C, H, W)."""
    flat, kernel, taken = _flat(gradient), _flat(weight), weight.shape[1]
    total = _zeros(len(gradient), rows.size * columns.size * taken, gradient)
    for a, b, c in _products(rows, columns, taken, len(weight)):
        _add_product(total[:, a], flat[:, c], kernel[:, b])
    return _maps(total.to(gradient.dtype), taken, rows.size, columns.size)


def _by_weight(gradient: Tensor, maps: Tensor, rows: Line, columns: Line) -> Tensor:
    """The weights' gradient, tap by tap: (S, O, H', W'), (S, C, H, W) -> (O, C, kh, kw)."""
    given, taken = gradient.permute(0, 2, 3, 1), maps.permute(0, 2, 3, 1)  # channels last
    shape = given.shape[-1], rows.taps, columns.taps, taken.shape[-1]
    found = gradient.new_empty(shape)
    for i, (tops, pixel_rows) in enumerate(rows.met()):
        for j, (lefts, pixels) in enumerate(columns.met()):
            theirs = given[:, tops, lefts].reshape(-1, shape[0])  # (pixels that meet, O)
            ours = taken[:, pixel_rows, pixels].reshape(-1, shape[-1])  # (pixels that meet, C)
            torch.mm(theirs.t(), ours, out=found[:, i, j])
    return found.permute(0, 3, 1, 2)


class _Convolution(Function):
    """`torch.conv2d` of maps (S, C, H, W) and a kernel of the same dtype; see the module."""

    @staticmethod
    def forward(ctx, maps, weight, stride, padding):
        ctx.how = stride, padding
        ctx.lines = _lines(maps, weight, stride, padding)
        ctx.save_for_backward(maps, weight)
        if _is_small(*ctx.lines):
            return _forward(maps, weight, *ctx.lines)
        return torch.conv2d(maps, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        maps, weight = ctx.saved_tensors
        by_maps = by_weight = None
        if ctx.needs_input_grad[0] and _is_small(*ctx.lines):
            by_maps = _by_maps(gradient, weight, *ctx.lines)
        elif ctx.needs_input_grad[0]:
            rest = None, *ctx.how, (1, 1), False, (0, 0), 1, (True, False, False)
            by_maps = torch.ops.aten.convolution_backward(gradient, maps, weight, *rest)[0]
        if ctx.needs_input_grad[1]:
            by_weight = _by_weight(gradient, maps, *ctx.lines)
        return by_maps, by_weight, None, None


def _lines(maps: Tensor, weight: Tensor, stride: tuple, padding: tuple) -> tuple[Line, Line]:
    sides = zip(maps.shape[2:], weight.shape[2:], stride, padding, strict=True)
    rows, columns = (Line(*side) for side in sides)
    return rows, columns


def _is_small(rows: Line, columns: Line) -> bool:
    return max(rows.places, columns.places) <= BY_PIXELS


def _pays(rows: Line, columns: Line, channels: int) -> bool:
    """Whether products of an input of so many `channels` are sooner done than the library."""
    places = rows.places, columns.places
    if min(places) < 1:  # a map smaller than the kernel, which the library refuses
        return False
    return _is_small(rows, columns) or (max(places) <= BY_TAPS and channels >= TAP_CHANNELS)


def _is_at_home(maps: Tensor, dtype: torch.dtype) -> bool:
    """Whether maps that are to be multiplied in `dtype` are a processor's, and no compiler's."""
    usual = maps.device.type == "cpu" and maps.ndim == 4 and dtype in DTYPES
    return usual and not torch.compiler.is_compiling()


class MapConv2d(nn.Conv2d):
    """`nn.Conv2d`, as matrix products where its maps are small and on a processor.

    Parameters, their names and the results are those of `nn.Conv2d`.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(S, C, H, W) -> (S, O, H', W')."""
        dtype = maps.dtype
        if torch.is_autocast_enabled("cpu") and dtype == torch.float32:
            dtype = torch.get_autocast_dtype("cpu")
        if not self._is_plain() or not _is_at_home(maps, dtype):
            return super().forward(maps)
        rows, columns = _lines(maps, self.weight, self.stride, self.padding)
        if rows.is_one and columns.is_one and max(rows.size, columns.size) <= BY_ONE:
            weight = self.weight.flatten(1)  # (O, C, 1, 1) -> (O, C)
            found = functional.linear(maps.permute(0, 2, 3, 1), weight, self.bias)
            return found.permute(0, 3, 1, 2)  # (S, H, W, O) -> (S, O, H, W)
        if not _pays(rows, columns, self.in_channels):
            return super().forward(maps)
        weight = self.weight.to(dtype)
        found = _Convolution.apply(maps.to(dtype), weight, self.stride, self.padding)
        return found if self.bias is None else found + self.bias.to(dtype).view(-1, 1, 1)

    def _is_plain(self) -> bool:
        whole = self.groups == 1 and self.dilation == (1, 1)
        return whole and self.padding_mode == "zeros" and not isinstance(self.padding, str)


def with_map_convolutions(backbone: nn.Module) -> nn.Module:
    """Have a backbone's ordinary convolutions be `MapConv2d`, in place."""
    for module in backbone.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = MapConv2d
    return backbone
