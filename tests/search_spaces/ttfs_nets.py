"""Time-to-first-spike networks of every layer, and what plain torch makes of their tensors.

Each block has a ``forward``, through the package, and a ``plain``, through
``torch.nn.functional`` alone: ``cut`` stands there for the neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from ttfs_plain import Cut, plain_map

from search_spaces.temporal_shift import TemporalShift
from search_spaces.ttfs import (
    B1Layer,
    Discretisation,
    Encoder,
    FirstSpike,
    Readout,
    Signal,
    TTFSNetwork,
    View,
    Window,
    concatenated,
)

CLASSES = 3
SEQUENCE_KINDS = ("linear", "residual", "projected", "concat", "shift")  # [L, B, D]
IMAGE_KINDS = (  # [N, C, H, W], and with one dimension less [N, C, L]
    "conv",
    "strided",
    "dilated",
    "depthwise",
    "grouped",
    "unpadded",
    "max",
    "overlapping",
    "average",
    "residual",
    "projected",
    "concat",
)
KINDS = {0: SEQUENCE_KINDS, 1: IMAGE_KINDS, 2: IMAGE_KINDS}
EVERY_LAYER = [(dims, kind) for dims, kinds in KINDS.items() for kind in kinds]


class Neurons(nn.Module):
    """One B1 layer."""

    def __init__(self, synapses: nn.Module, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.layer = B1Layer(synapses, norm)

    def forward(self, signal: Signal) -> Signal:
        return self.layer(signal)

    def plain(self, x: Tensor, cut: Cut) -> Tensor:
        z = plain_map(self.layer.norm, plain_map(self.layer.synapses, x))
        return cut(z, self.layer.window)


class First(nn.Module):
    """Maximum pooling."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.layer = FirstSpike(pool)

    def forward(self, signal: Signal) -> Signal:
        return self.layer(signal)

    def plain(self, x: Tensor, cut: Cut) -> Tensor:
        return plain_map(self.layer.pool, x)


class Shift(nn.Module):
    """The first third of the channels comes from the frame before, the second from after."""

    def forward(self, signal: Signal) -> Signal:
        return signal.move(TemporalShift(1 / 3, "both"))

    def plain(self, x: Tensor, cut: Cut) -> Tensor:
        n = x.shape[-1] // 3
        before = F.pad(x[:-1, :, :n], (0, 0, 0, 0, 1, 0))
        after = F.pad(x[1:, :, n : 2 * n], (0, 0, 0, 0, 0, 1))
        return torch.cat((before, after, x[:, :, 2 * n :]), -1)


class Residual(nn.Module):
    """``a = n1(x)``, then ``relu(W n2(a) + skip(a) + b)``: ``a`` is two windows old by then."""

    def __init__(
        self, maps: Sequence[nn.Module], skip: nn.Module, norms: Sequence[nn.Module | None]
    ) -> None:
        super().__init__()
        shared = Window()
        self.a = B1Layer(maps[0], norms[0], window=shared)
        self.b = B1Layer(maps[1], norms[1], window=shared)
        self.c = B1Layer(maps[2], norms[2], skip=skip)

    def forward(self, signal: Signal) -> Signal:
        early = self.a(signal)
        return self.c(self.b(early), skip=early)

    def plain(self, x: Tensor, cut: Cut) -> Tensor:
        assert self.c.skip is not None
        early = self.normed(self.a, x, cut)
        late = self.normed(self.b, early, cut)
        z = plain_map(self.c.norm, plain_map(self.c.synapses, late))
        return cut(z + plain_map(self.c.skip, early), self.c.window)

    @staticmethod
    def normed(layer: B1Layer, x: Tensor, cut: Cut) -> Tensor:
        return cut(plain_map(layer.norm, plain_map(layer.synapses, x)), layer.window)


class Concat(nn.Module):
    """A branch of one layer beside a branch of two."""

    def __init__(self, maps: Sequence[nn.Module], axis: int) -> None:
        super().__init__()
        shared = Window()
        self.a = B1Layer(maps[0], window=shared)
        self.b = B1Layer(maps[1], window=shared)
        self.axis = axis

    def forward(self, signal: Signal) -> Signal:
        early = self.a(signal)
        return concatenated([early, self.b(early)], self.axis)

    def plain(self, x: Tensor, cut: Cut) -> Tensor:
        early = cut(plain_map(self.a.synapses, x), self.a.window)
        late = cut(plain_map(self.b.synapses, early), self.b.window)
        return torch.cat((early, late), self.axis)


def block(kind: str, dims: int, shape: Sequence[int], wide: int) -> nn.Module:
    """Build one block that reads ``shape`` and sends ``wide`` channels where it may choose."""
    channels = shape[-1] if dims == 0 else shape[1]
    conv: Any = {1: nn.Conv1d, 2: nn.Conv2d}.get(dims)
    size = min(2, *shape[2:], 2)

    def same(inputs: int, outputs: int, **options: Any) -> nn.Module:
        if dims == 0:
            return nn.Linear(inputs, outputs)
        return conv(inputs, outputs, 3, padding=1, **options)

    def skip(inputs: int, outputs: int) -> nn.Module:
        unbiased = {"bias": False}
        return (
            nn.Linear(inputs, outputs, **unbiased)
            if dims == 0
            else conv(inputs, outputs, 1, **unbiased)
        )

    if kind in ("linear", "conv"):
        return Neurons(same(channels, wide))
    if kind == "strided":
        return Neurons(same(channels, wide, stride=2))
    if kind == "dilated":
        return Neurons(conv(channels, wide, 3, padding=2, dilation=2))
    if kind == "unpadded":
        return Neurons(conv(channels, wide, size))
    if kind == "depthwise":
        return Neurons(same(channels, channels * 2, groups=channels))
    if kind == "grouped":
        return Neurons(same(channels, wide * 2, groups=2 if channels % 2 == 0 else 1, bias=False))
    if kind == "max":
        return First((nn.MaxPool1d if dims == 1 else nn.MaxPool2d)(size))
    if kind == "overlapping":
        return First((nn.MaxPool1d if dims == 1 else nn.MaxPool2d)(3, 2, 1))
    if kind == "average":
        return Neurons((nn.AvgPool1d if dims == 1 else nn.AvgPool2d)(size))
    if kind == "shift":
        return Shift()
    if kind == "concat":
        return Concat([same(channels, wide), same(wide, wide + 1)], -1 if dims == 0 else -1 - dims)
    maps = [same(channels, wide), same(wide, wide), same(wide, wide)]
    none = [None] * 3
    if kind == "residual":
        return Residual(maps, nn.Identity(), none)
    assert kind == "projected"
    maps[2] = same(wide, wide + 1)
    return Residual(maps, skip(wide, wide + 1), none)


class Chain(TTFSNetwork):
    """Encoder, blocks, readout; keeps the signals of its last pass in ``trace``."""

    def __init__(self, blocks: Sequence[nn.Module], features: int, dims: int, mean: bool) -> None:
        super().__init__(Discretisation(8))
        self.encoder = Encoder()
        self.blocks = nn.ModuleList(blocks)
        self.dims, self.mean = dims, mean
        pool: nn.Module | None = nn.Flatten() if dims else None
        if mean and dims == 2:
            pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.readout = Readout(nn.Linear(features, CLASSES), pool)
        self.trace: list[Signal] = []

    def forward(self, x: Tensor) -> Tensor:
        signal = self.encoder(x, self.view)
        self.trace = [signal]
        for each in self.blocks:
            signal = each(signal)
            self.trace.append(signal)
        return self.readout(signal)

    def plain(self, x: Tensor, cut: Cut) -> tuple[Tensor, list[Tensor]]:
        """Logits, and what ``trace`` should be worth."""
        trace = [cut(x, self.encoder.window)]
        for each in self.blocks:
            trace.append(each.plain(trace[-1], cut))
        h = trace[-1]
        if self.dims:
            h = h.mean((-2, -1)) if self.mean and self.dims == 2 else h.flatten(1)
        return F.linear(h, self.readout.linear.weight, self.readout.linear.bias), trace

    def windows(self) -> list[Window]:
        return [m for m in self.modules() if isinstance(m, Window)]


def chain(
    kinds: Sequence[str], dims: int, shape: Sequence[int], seed: int, mean: bool = False
) -> Chain:
    """Build a network with random float64 weights that leave part of the neurons silent."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.zeros(*shape)
    blocks = []
    for kind in kinds:
        wide = int(torch.randint(2, 6, (), generator=generator))
        blocks.append(block(kind, dims, h.shape, wide))
        h = blocks[-1].plain(h, lambda z, window: z)
    features = h.shape[-1] if dims == 0 else h.shape[1] if mean and dims == 2 else h[0].numel()
    net = Chain(blocks, features, dims, mean).double()
    for p in net.parameters():
        drawn = torch.randn(p.shape, generator=generator, dtype=p.dtype)
        p.data = 0.3 * drawn if p.dim() == 1 else 1.7 * drawn / p[0].numel() ** 0.5
    return net.eval()


def make_dyadic(net: Chain, seed: int) -> None:
    """Give it weights and windows with which every operation in float64 is exact."""
    generator = torch.Generator().manual_seed(seed)
    for p in net.parameters():
        p.data = torch.randint(-4, 5, p.shape, generator=generator).double() / 4
    for window in net.windows():
        window.length.fill_(2.0 ** int(torch.randint(0, 3, (), generator=generator)))


def inputs(shape: Sequence[int], seed: int) -> Tensor:
    """Uniform on [0, 1), a third of them exactly 0."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(*shape, generator=generator, dtype=torch.float64)
    return x * (torch.rand(*shape, generator=generator) > 1 / 3)


def shape_of(dims: int, batch: int = 3, channels: int = 2, size: int = 6) -> tuple[int, ...]:
    return (size, batch, 3 * channels) if dims == 0 else (batch, channels, *(size,) * dims)


def fitted(
    kinds: Sequence[str], dims: int, seed: int, margin: float = 0.1, **size: int
) -> tuple[Chain, Tensor]:
    """Build a random network and data on which its windows are fitted."""
    shape = shape_of(dims, **size)
    net = chain(kinds, dims, shape, seed, mean=bool(seed % 2))
    x = inputs(shape, seed + 1)
    net.fit_windows([(x,)], margin)
    return net, x


def seen(net: Chain, x: Tensor, view: View) -> tuple[Tensor, list[Signal]]:
    """Return the logits and signals in a view."""
    with net.viewed(view):
        return net(x), net.trace


def gradients(net: Chain, x: Tensor, run: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Of a generic function of the logits, with respect to the input and every parameter."""
    leaf = x.clone().requires_grad_()
    logits = run(leaf)
    weights = torch.linspace(-1.0, 2.0, logits.numel(), dtype=logits.dtype).view_as(logits)
    loss = (weights * logits).sum() + (logits**2).sum()
    every = [leaf, *net.parameters()]
    found = torch.autograd.grad(loss, every, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(every, found, strict=True)]
