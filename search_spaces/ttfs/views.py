"""The views in closed form: values, and spike times."""

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
class ReLUView(View):
    """Values.

    Args:
        clip: Cut activations off at the window's length, as spike times must be.
        steps: Round to this many levels of the window; the gradient passes straight through.
        rounding: To the nearest level, or down.
        observe: Show every activation to its window.
    """

    clip: bool = False
    steps: int | None = None
    rounding: Rounding = "nearest"
    observe: bool = False

    def potential(self, signal: Signal, synapses: Linear) -> Tensor:
        """Apply the linear map."""
        return synapses(signal.data)

    def fire(
        self, potential: Tensor, bias: Tensor | float, window: Window, after: float
    ) -> Signal:
        """``clamp(potential + bias, 0, window)``, rounded to a level where there are steps."""
        drive = potential + bias
        length = window.value() if self.clip or self.steps else float("inf")
        x = torch.relu(drive) if length == float("inf") else drive.clamp(0.0, length)
        if self.observe:
            window.observe(x.detach())
        if self.steps is not None:
            unit = finite(length) / self.steps
            levels = torch.floor(drive.detach() / unit + SHIFT[self.rounding])
            x = levels.clamp(0.0, self.steps) * unit + (x - x.detach())
        return Signal(self, x, 0.0, 0.0, 1.0, window)

    def first(self, signal: Signal, pool: Linear, last: Tensor | None) -> Signal:
        """Maximum; minimum where the last spike wins."""
        return replace(signal, data=signed_pool(signal.data, pool, last))

    def _moved(self, signal: Signal, f: Linear) -> Tensor:
        return f(signal.data)

    def _values(self, signal: Signal) -> Tensor:
        return signal.data

    def _fired(self, signal: Signal) -> Tensor:
        return signal.data > 0

    def joined(self, signals: list[Signal], axis: int) -> Signal:
        """Concatenate values."""
        return replace(signals[0], data=torch.cat([s.data for s in signals], axis))


@dataclass(frozen=True)
class Disturbance:
    """What a device does to spikes.

    Args:
        jitter: Standard deviation of a spike's time, as a share of its window; of spikes only,
            a silent neuron stays silent. Clipped to the window, and to its steps.
        deletion: Probability that a spike is lost.
        generator: Source of both.
    """

    jitter: float = 0.0
    deletion: float = 0.0
    generator: torch.Generator | None = None


@dataclass(frozen=True)
class TTFSView(View):
    """Spike times in closed form; silence is the end of the window.

    Args:
        steps: Clock steps of every window, times then being whole steps; None for continuous
            time.
        rounding: ``nearest`` fires half a step early, so that the value is rounded to the
            nearest level; ``down`` fires at the first step at or above the threshold.
        disturbance: Jitter and deletion of spikes.
    """

    steps: int | None = None
    rounding: Rounding = "nearest"
    disturbance: Disturbance | None = None

    def potential(self, signal: Signal, synapses: Linear) -> Tensor:
        """``sum_j W_j (t_max - t_j)``: every spike drives until the window ends."""
        return synapses(self._values(signal))

    def fire(
        self, potential: Tensor, bias: Tensor | float, window: Window, after: float
    ) -> Signal:
        """Cross the threshold: ``t = t_min + theta - V``, at ``t_min`` the earliest."""
        length = finite(window.value())
        unit = 1.0 if self.steps is None else length / self.steps
        span = length if self.steps is None else float(self.steps)
        end = after + span
        crossed = (potential + bias) / unit  # how long before t_max: theta = length - bias
        exact = span - crossed
        if self.steps is None:
            time = exact.clamp(0.0, span)
        else:
            # the expression of ReLUView, so that a value on a step falls on the same side
            whole = span - torch.floor(crossed.detach() + SHIFT[self.rounding])
            time = whole.clamp(0.0, span) + _through(exact, span)
        noise = self.disturbance
        if noise is not None and noise.jitter > 0:
            drawn = torch.randn(time.shape, generator=noise.generator, dtype=time.dtype)
            moved = (time + noise.jitter * span * drawn.to(time.device)).clamp(0.0, span)
            moved = moved if self.steps is None else moved.round()
            time = torch.where(time < span, moved, time)
        if noise is not None and noise.deletion > 0:
            drawn = torch.rand(time.shape, generator=noise.generator, dtype=time.dtype)
            time = time.masked_fill(drawn.to(time.device) < noise.deletion, span)
        # counted back from the end, which silence must meet to the last bit
        return Signal(self, end - (span - time), end, span, unit, window)

    def first(self, signal: Signal, pool: Linear, last: Tensor | None) -> Signal:
        """Minimum of the times; maximum where the last spike wins."""
        return replace(signal, data=-signed_pool(-signal.data, pool, last))

    def _delayed(self, signal: Signal, end: float) -> Signal:
        return replace(signal, data=end - (signal.end - signal.data), end=end)

    def _moved(self, signal: Signal, f: Linear) -> Tensor:
        return signal.end - f(signal.end - signal.data)

    def _values(self, signal: Signal) -> Tensor:
        return (signal.end - signal.data) * signal.unit

    def _fired(self, signal: Signal) -> Tensor:
        return signal.data < signal.end

    def joined(self, signals: list[Signal], axis: int) -> Signal:
        """Concatenate times."""
        return replace(signals[0], data=torch.cat([s.data for s in signals], axis))


def _through(exact: Tensor, span: float) -> Tensor:
    """Zero with the gradient of a clamp to the window: the straight-through estimator."""
    clamped = exact.clamp(0.0, span)
    return clamped - clamped.detach()
