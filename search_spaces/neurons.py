"""Neurons behind one switch. The models are spikingjelly's; the CPU kernel is ours.

On a CPU spikingjelly runs a multi-step neuron as a Python loop of small autograd operations.
The same equations as one function (``search_spaces.kernels``), equal to the last bit, cost a
fraction of it (``benchmarks/throughput.py``); elsewhere spikingjelly's own kernels run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from search_spaces import kernels
from search_spaces.buffers import LateBuffers

NEURONS = ("if", "lif", "plif", "relu")
SURROGATE_ALPHA = 2.0


class _SpikeFunction(torch.autograd.Function):
    """Multi-step IF or (P)LIF with hard reset to 0 and detached reset.

    ``H[t] = V[t-1] + k (X[t] - V[t-1])`` with ``k = 1 / tau = sigmoid(w)`` (Fang et al., ICCV
    2021, arXiv 2007.05785), or ``H[t] = V[t-1] + X[t]`` without a leak (``w`` is None);
    ``S[t] = H[t] >= v_th``, ``V[t] = H[t] (1 - S[t])``. The gradient of the step is that of
    ``atan(pi/2 alpha u) / pi``, as there.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor | None, threshold: float) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.k, ctx.threshold = None if w is None else float(torch.sigmoid(w)), threshold
        return kernels.forward(x, ctx.k, threshold)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, w = ctx.saved_tensors
        k = ctx.k
        of_x, of_k = kernels.backward(grads[0], x, k, ctx.threshold, SURROGATE_ALPHA)
        of_w = None
        if w is not None and ctx.needs_input_grad[1]:
            of_w = torch.full_like(w, of_k * k * (1.0 - k))
        return (of_x if ctx.needs_input_grad[0] else None), of_w, None


def _spikes(x: Tensor, w: Tensor | None, threshold: float) -> Tensor:
    out: Tensor = _SpikeFunction.apply(x, w, threshold)  # type: ignore[no-untyped-call]
    return out


class SpikingNeurons(LateBuffers, neuron.ParametricLIFNode):  # type: ignore[misc]
    """A layer of leaky spiking neurons; every call starts from a resting membrane.

    A membrane at rest without input stays below the threshold, so zero current on padding
    gives no spike there.

    At another time step than that of its training the current may need a ``gain`` of its own,
    a scalar buffer that is None until then. It costs no operation: a hard reset to 0 lets a
    device divide the threshold by it instead.

    Args:
        kind: ``plif`` (the time constant is trained) or ``lif`` (it stays).
        tau: Membrane time constant in steps, above 1.
        threshold: Firing threshold, above 0.
    """

    late: ClassVar[Mapping[str, torch.dtype]] = {"gain": torch.float32}

    def __init__(self, kind: str, tau: float, threshold: float) -> None:
        super().__init__(
            init_tau=float(tau),
            v_threshold=float(threshold),
            surrogate_function=surrogate.ATan(SURROGATE_ALPHA),
            detach_reset=True,
            step_mode="m",
        )
        self.w.requires_grad_(kind == "plif")
        self.register_buffer("gain", None)

    def multi_step_forward(self, x_seq: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """``[L, B, D]`` input current -> ``[L, B, D]`` spikes in {0, 1}."""
        x_seq = x_seq if self.gain is None else x_seq * self.gain
        if x_seq.device.type == "cpu":
            return _spikes(x_seq, self.w, self.v_threshold)
        self.reset()
        spikes: Tensor = super().multi_step_forward(x_seq)
        self.reset()
        return spikes


class IntegrateAndFire(LateBuffers, neuron.IFNode):  # type: ignore[misc]
    """A layer of spiking neurons without a leak; see :class:`SpikingNeurons`, also for ``gain``.

    Args:
        threshold: Firing threshold, above 0.
    """

    late: ClassVar[Mapping[str, torch.dtype]] = {"gain": torch.float32}

    def __init__(self, threshold: float) -> None:
        super().__init__(
            v_threshold=float(threshold),
            surrogate_function=surrogate.ATan(SURROGATE_ALPHA),
            detach_reset=True,
            step_mode="m",
        )
        self.register_buffer("gain", None)

    def multi_step_forward(self, x_seq: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """``[L, B, D]`` input current -> ``[L, B, D]`` spikes in {0, 1}."""
        x_seq = x_seq if self.gain is None else x_seq * self.gain
        if x_seq.device.type == "cpu":
            return _spikes(x_seq, None, self.v_threshold)
        self.reset()
        spikes: Tensor = super().multi_step_forward(x_seq)
        self.reset()
        return spikes


def threshold_of(neurons: SpikingNeurons | IntegrateAndFire) -> float:
    """Return the threshold that makes the same spikes without the layer's ``gain``."""
    gain = 1.0 if neurons.gain is None else float(neurons.gain)
    return float(neurons.v_threshold) / gain


def make_neurons(kind: str, tau: float, threshold: float) -> nn.Module:
    """Make a layer of neurons: ``[L, B, D]`` current -> ``[L, B, D]``.

    Args:
        kind: ``if``, ``lif``, ``plif``, or ``relu`` for the twin without spikes and memory.
        tau: Membrane time constant in steps; of lif and plif.
        threshold: Firing threshold; of the spiking ones.
    """
    if kind == "relu":
        return nn.ReLU()
    return IntegrateAndFire(threshold) if kind == "if" else SpikingNeurons(kind, tau, threshold)
