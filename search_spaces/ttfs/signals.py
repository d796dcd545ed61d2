"""What a layer of a time-to-first-spike network sends, and the views it can be looked at in.

The neuron is the B1 neuron (Stanojevic et al., Nature Communications 15:6793, 2024): while the
window of its input lasts, the membrane climbs by ``dV/dt = sum_j W_j H(t - t_j)``; then, in its
own window ``[t_min, t_max]``, by 1; it fires once, where it meets its threshold
``theta = (t_max - t_min) - b``, and not at all where that would be after ``t_max``. With
``x = t_max - t`` that is ``x = relu(W x_in + b)`` with the same ``W`` and ``b``, cut off at the
length of the window because nothing can fire before ``t_min``.

One network, three views of the same tensors:

* `ReLUView`: values. Without windows an ordinary ReLU network; with them the clipped
  one; with ``steps`` the rounded one, differentiable straight through.
* `TTFSView`: spike times, in closed form; in continuous time, or in clock steps.
* :class:`~search_spaces.ttfs.clocked.ClockedView`: spikes step by step, membranes integrated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.errors import NasError

Rounding = Literal["nearest", "down"]
Linear = Callable[[Tensor], Tensor]

# In steps: how much earlier than at its threshold a neuron fires.
SHIFT: dict[Rounding, float] = {"nearest": 0.5, "down": 0.0}


class Window(nn.Module):
    """The length of a spike window in units of the value it carries; infinite until fitted.

    Branches that meet in one neuron share one window.

    Args:
        length: Keep to this one, for values whose range is known; None to fit it.
    """

    length: Tensor

    def __init__(self, length: float | None = None) -> None:
        super().__init__()
        self.fixed = length is not None
        self.register_buffer("length", torch.tensor(float("inf") if length is None else length))
        self._seen: float | None = None

    def observe(self, values: Tensor) -> None:
        """Take in the activations of a batch."""
        self._seen = max(self._seen or 0.0, float(values.max()) if values.numel() else 0.0)

    def start(self) -> None:
        """Forget what was observed."""
        self._seen = None

    def fit(self, margin: float) -> None:
        """Set the length to ``(1 + margin)`` times the largest activation since ``start``."""
        if self.fixed or self._seen is None:
            return
        # a layer that never fires gets a window all the same: it divides nothing by zero
        self.length.fill_((1.0 + margin) * self._seen if self._seen > 0 else 1.0)

    def value(self) -> float:
        """Return the length as a number."""
        return float(self.length)


@dataclass(frozen=True)
class Signal:
    """One layer's output in one view.

    Args:
        view: What ``data`` means.
        data: Values, spike times, or spikes by step; ``[..., channels]`` or an image.
        end: When the window ends, in time units of the view; it begins ``span`` earlier.
        span: Length of the window in time units.
        unit: Value of one time unit, so that a spike at ``t`` carries ``(end - t) * unit``.
        window: The window, for those who must share it.
    """

    view: View
    data: Tensor
    end: float
    span: float
    unit: float
    window: Window

    def move(self, f: Linear) -> Signal:
        """Rearrange: ``f`` moves, drops and repeats entries and fills gaps with 0 (silence)."""
        return replace(self, data=self.view._moved(self, f))

    def values(self) -> Tensor:
        """Return the values the spikes stand for, shaped as in the ReLU view."""
        return self.view._values(self)

    def fired(self) -> Tensor:
        """Return a bool tensor shaped as the values: who sent a spike."""
        return self.view._fired(self)

    def delayed(self, end: float) -> Signal:
        """Send the same later: every spike by the same constant, so that the window ends then."""
        return self.view._delayed(self, end)


class View(ABC):
    """A way to run a network: how layers integrate and what they send."""

    @abstractmethod
    def potential(self, signal: Signal, synapses: Linear) -> Tensor:
        """Return the membrane at the end of the input's window.

        Args:
            signal: The input.
            synapses: A linear map without bias.
        """

    @abstractmethod
    def fire(
        self, potential: Tensor, bias: Tensor | float, window: Window, after: float
    ) -> Signal:
        """Let neurons fire.

        Args:
            potential: The membrane at the end of the input's window.
            bias: Added by way of the threshold; broadcasts to the potential.
            window: The window of these neurons.
            after: When it begins, in time units of the view.
        """

    @abstractmethod
    def first(self, signal: Signal, pool: Linear, last: Tensor | None) -> Signal:
        """Let the first spike of each pooling region through.

        Args:
            signal: The input.
            pool: Maximum pooling.
            last: ``[C, 1, 1]`` bool, channels whose last spike wins instead; or None.
        """

    def _delayed(self, signal: Signal, end: float) -> Signal:
        return replace(signal, end=end)

    @abstractmethod
    def _moved(self, signal: Signal, f: Linear) -> Tensor: ...

    @abstractmethod
    def _values(self, signal: Signal) -> Tensor: ...

    @abstractmethod
    def _fired(self, signal: Signal) -> Tensor: ...

    @abstractmethod
    def joined(self, signals: list[Signal], axis: int) -> Signal:
        """Concatenate along an axis counted from the end; the windows must be one."""


def aligned(signals: list[Signal]) -> list[Signal]:
    """Delay signals that meet so that their windows end together.

    Raises:
        NasError: They have windows of their own.
    """
    if any(s.window is not signals[0].window for s in signals):
        raise NasError(
            "branches of a time-to-first-spike network meet with windows of their own",
            hint="build the layers that send them with one Window",
        )
    latest = max(s.end for s in signals)
    return [s if s.end == latest else s.delayed(latest) for s in signals]


def signed_pool(x: Tensor, pool: Linear, last: Tensor | None) -> Tensor:
    """Maximum pooling, minimum for the channels of ``last``."""
    if last is None:
        return pool(x)
    sign = 1.0 - 2.0 * last.to(x.dtype)
    return sign * pool(sign * x)


def finite(length: float) -> float:
    """Return a window's length.

    Raises:
        NasError: It was never fitted.
    """
    if length == float("inf"):
        raise NasError(
            "a window has no length yet, so no spike time can be told",
            hint="call fit_windows with training data first",
        )
    return length
