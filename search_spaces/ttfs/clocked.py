"""The clocked simulator: membranes integrated step by step, spikes as 0 and 1.

It shares no formula with the closed form. Layer after layer, it adds the weights of every
spike of a step to a current, the current to the membrane, lets the membrane climb by one step
a step in the layer's own window, and compares it with the threshold. It is the reference of
the tests and the source of rasters; training and search never need it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from search_spaces.ttfs.signals import (
    SHIFT,
    Linear,
    Rounding,
    Signal,
    View,
    Window,
    finite,
    signed_pool,
)


@dataclass(frozen=True)
class ClockedView(View):
    """Spikes by step: ``[S, ...]`` of 0 and 1 in front of the shape the values would have.

    Args:
        steps: Clock steps of every window.
        rounding: ``nearest`` compares half a step ahead; ``down`` does not.
    """

    steps: int
    rounding: Rounding = "nearest"

    def potential(self, signal: Signal, synapses: Linear) -> Tensor:
        """Integrate the input's window: ``I += W s[k]``, ``V += I dt``."""
        current = synapses(signal.data[0])
        membrane = current * signal.unit
        for spikes in signal.data[1:]:
            current = current + synapses(spikes)
            membrane = membrane + current * signal.unit
        return membrane

    def fire(
        self, potential: Tensor, bias: Tensor | float, window: Window, after: float
    ) -> Signal:
        """Climb by one step a step and fire once, at the first step at or above threshold."""
        length = finite(window.value())
        unit = length / self.steps
        # in steps, with the bias in the membrane: the threshold is the length of the window
        membrane = (potential + bias) / unit + SHIFT[self.rounding]
        silent = torch.ones_like(potential)
        raster = []
        for step in range(self.steps):
            spikes = silent * (membrane + step >= self.steps).to(potential.dtype)
            silent = silent - spikes
            raster.append(spikes)
        span = float(self.steps)
        return Signal(self, torch.stack(raster), after + span, span, unit, window)

    def first(self, signal: Signal, pool: Linear, last: Tensor | None) -> Signal:
        """Latch whether any (or, where the last wins, all) of a region have fired so far."""
        so_far = torch.stack([signed_pool(s, pool, last) for s in signal.data.cumsum(0)])
        return replace(signal, data=so_far.diff(dim=0, prepend=torch.zeros_like(so_far[:1])))

    def joined(self, signals: list[Signal], axis: int) -> Signal:
        """Concatenate rasters."""
        return replace(signals[0], data=torch.cat([s.data for s in signals], axis))

    def _moved(self, signal: Signal, f: Linear) -> Tensor:
        return torch.stack([f(spikes) for spikes in signal.data])

    def _values(self, signal: Signal) -> Tensor:
        left = torch.arange(self.steps, 0, -1, dtype=signal.data.dtype) * signal.unit
        return torch.einsum("s,s...->...", left.to(signal.data.device), signal.data)

    def _fired(self, signal: Signal) -> Tensor:
        return signal.data.sum(0) > 0
