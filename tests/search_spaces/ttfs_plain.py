"""What plain torch makes of the maps and neurons of a time-to-first-spike network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.ttfs import Window

Cut = Callable[[Tensor, Window], Tensor]


def relu(z: Tensor, window: Window) -> Tensor:
    return F.relu(z)


class Clipped:
    """``clamp(z, 0, window)``; counts what was silent and what was cut off."""

    def __init__(self) -> None:
        self.silent = self.saturated = 0

    def __call__(self, z: Tensor, window: Window) -> Tensor:
        self.silent += int((z < 0).sum())
        self.saturated += int((z > float(window.length)).sum())
        return z.clamp(0.0, float(window.length))


class Rounded:
    """``floor(z / u + 1/2) u``; counts exact ties and measures the nearest miss of one."""

    def __init__(self, steps: int, rounding: str) -> None:
        self.steps = steps
        self.shift = 0.5 if rounding == "nearest" else 0.0
        self.ties: list[int] = []  # of each layer; the encoder comes first
        self.nearest_tie = float("inf")

    def __call__(self, z: Tensor, window: Window) -> Tensor:
        length = float(window.length)
        place = z.detach() * (self.steps / length) + self.shift
        counted = place[(z > 0) & (z < length)]
        miss = (counted - counted.round()).abs()
        self.ties.append(int((miss == 0).sum()))
        self.nearest_tie = min(self.nearest_tie, *miss.tolist(), 1.0)
        return Staircase.apply(z, length, self.steps, self.shift)


class Staircase(torch.autograd.Function):
    """Rounded forward; backward the derivative of the clamp at the same pre-activation."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, length: float, steps: int, shift: float) -> Tensor:
        ctx.save_for_backward((z >= 0) & (z <= length))
        unit = length / steps
        return torch.floor(z / unit + shift).clamp(0, steps) * unit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad * ctx.saved_tensors[0], None, None, None


def plain_map(m: nn.Module, x: Tensor) -> Tensor:
    if isinstance(m, nn.Linear):
        return F.linear(x, m.weight, m.bias)
    if isinstance(m, nn.Conv1d):
        return F.conv1d(x, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups)
    if isinstance(m, nn.Conv2d):
        return F.conv2d(x, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups)
    if isinstance(m, nn.AvgPool1d):
        return F.avg_pool1d(x, m.kernel_size, m.stride, m.padding)
    if isinstance(m, nn.AvgPool2d):
        return F.avg_pool2d(x, m.kernel_size, m.stride, m.padding)
    if isinstance(m, nn.MaxPool1d):
        return F.max_pool1d(x, m.kernel_size, m.stride, m.padding)
    if isinstance(m, nn.MaxPool2d):
        return F.max_pool2d(x, m.kernel_size, m.stride, m.padding)
    if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
        stats = (m.running_mean, m.running_var, m.weight, m.bias)
        return F.batch_norm(x, *stats, False, 0.0, m.eps)
    assert isinstance(m, nn.Identity)
    return x
