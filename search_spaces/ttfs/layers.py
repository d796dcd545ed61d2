"""Layers of a time-to-first-spike network: the same tensors in every view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.errors import NasError
from search_spaces.frames import batch_normalised
from search_spaces.ttfs.signals import Linear, Signal, View, Window, aligned
from search_spaces.ttfs.views import ReLUView


def without_bias(module: nn.Module) -> Linear:
    """Return the linear part of a map: what its spikes do to a membrane.

    Args:
        module: Linear, convolution, average pooling, or identity.
    """
    if isinstance(module, nn.Linear):
        return lambda x: nn.functional.linear(x, module.weight)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        if module.padding_mode != "zeros":
            raise NasError(f"no spike stands for padding mode {module.padding_mode!r}")
        return lambda x: module._conv_forward(x, module.weight, None)
    if isinstance(module, nn.AvgPool1d | nn.AvgPool2d | nn.AdaptiveAvgPool2d | nn.Identity):
        return module
    raise NasError(f"{type(module).__name__} is no linear map that B1 neurons can have")


class Encoder(nn.Module):
    """Neurons driven by a current from outside: values in, spikes out.

    A value ``x`` fires at ``t_max - x``; 0 is silence, never a spike. What lies above the
    window fires at its start. A current that is itself a sum of weighted inputs makes these
    the first hidden neurons of a network whose input is not spikes.
    """

    def __init__(self, window: Window | None = None) -> None:
        super().__init__()
        self.window = window or Window()

    def forward(self, values: Tensor, view: View) -> Signal:
        """Any shape, values and not spikes -> the signal in the given view."""
        return view.fire(values, 0.0, self.window, 0.0)


class B1Layer(nn.Module):
    """B1 neurons behind a linear map: ``relu(norm(W x) + skip + b)`` and its spike times.

    Args:
        synapses: Linear, 1-D or 2-D convolution, or average pooling (fixed weights).
        norm: Batch normalisation of ``W x``; ``fold`` moves it into the weights, and only then
            can the layer spike.
        skip: What the signal of a skip connection goes through: identity or a convolution
            without bias. The spikes come late by a constant and drive the same membrane.
        window: The window of these neurons; one of their own when not given.
    """

    border: Tensor | None

    def __init__(
        self,
        synapses: nn.Module,
        norm: nn.Module | None = None,
        skip: nn.Module | None = None,
        window: Window | None = None,
    ) -> None:
        super().__init__()
        self.synapses = synapses
        self.norm = norm if norm is not None else nn.Identity()
        self.skip = skip
        self.window = window or Window()
        self.register_buffer("border", None)  # [C, H, W], the bias that depends on the place

    def forward(
        self,
        *inputs: Signal,
        gains: Sequence[Tensor | float] = (),
        skip: Signal | None = None,
        voltage: Tensor | float = 0.0,
    ) -> Signal:
        """Integrate and fire.

        Args:
            inputs: Signals that all go through the synapses.
            gains: A factor of the weights for each input; 1 for those without.
            skip: The signal of the skip connection.
            voltage: Bias of this call, for example calibrated from an utterance.
        """
        view = inputs[0].view
        every = aligned([*inputs, skip] if skip is not None else list(inputs))
        linear = without_bias(self.synapses)
        drive: Tensor | float = 0.0
        for i, signal in enumerate(every[: len(inputs)]):
            part = view.potential(signal, linear)
            drive = drive + (gains[i] * part if i < len(gains) else part)
        assert isinstance(drive, Tensor)
        if isinstance(self.norm, nn.Identity):
            bias = self.bias() + voltage
        else:
            drive = self.normalised(drive, view)
            bias = voltage
        if skip is not None:
            if self.skip is None:
                raise NasError("a skip signal reached a layer without synapses for it")
            drive = drive + view.potential(every[-1], without_bias(self.skip))
        return view.fire(drive, bias, self.window, every[0].end)

    def bias(self) -> Tensor | float:
        """Return the bias, shaped to broadcast over what the synapses give."""
        own = getattr(self.synapses, "bias", None)
        if own is None:
            return 0.0
        weight = self.synapses.weight
        assert isinstance(weight, Tensor)
        shaped: Tensor = own.view(-1, *(1,) * (weight.dim() - 2))
        return shaped if self.border is None else shaped + self.border

    def normalised(self, drive: Tensor, view: View) -> Tensor:
        """Normalise a drive; values only."""
        if not isinstance(view, ReLUView):
            raise NasError(
                "batch normalisation is still apart from the weights, so no neuron can spike",
                hint="call fold() on the network first",
            )
        own = getattr(self.synapses, "bias", None)
        if own is not None:
            drive = drive + self.bias()
        return batch_normalised(self.norm, drive)


class FirstSpike(nn.Module):
    """Maximum pooling: the first spike of a region passes, nothing else fires.

    Args:
        pool: ``nn.MaxPool1d`` or ``nn.MaxPool2d``.
    """

    last: Tensor | None

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        if not isinstance(pool, nn.MaxPool1d | nn.MaxPool2d):
            raise NasError(f"the first spike wins in maximum pooling, not in {pool}")
        self.pool = pool
        # channels whose order a folded normalisation has turned round
        self.register_buffer("last", None)

    def forward(self, signal: Signal) -> Signal:
        """``[N, C, H, W]`` -> the pooled signal, in the same window."""
        return signal.view.first(signal, self.pool, self.last)


class Readout(nn.Module):
    """Membranes that never fire: ``W x + b`` at the end of the input's window.

    Args:
        linear: The map; average pooling in front of it composes with it.
        pool: Linear map in front, for example global average pooling with ``Flatten``.
    """

    def __init__(self, linear: nn.Linear, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.linear = linear
        self.pool = pool if pool is not None else nn.Identity()

    def forward(self, signal: Signal) -> Tensor:
        """``[N, ...]`` signal -> ``[N, C]`` membranes."""

        def synapses(x: Tensor) -> Tensor:
            return nn.functional.linear(self.pool(x), self.linear.weight)

        membrane = signal.view.potential(signal, synapses)
        return membrane if self.linear.bias is None else membrane + self.linear.bias


def concatenated(signals: Sequence[Signal], axis: int) -> Signal:
    """Concatenate branches; the earlier ones are delayed to the last.

    Args:
        signals: With one window.
        axis: Of the values, counted from the end (negative).

    Raises:
        NasError: The branches have windows of their own.
    """
    together = aligned(list(signals))
    return together[0].view.joined(together, axis)


@torch.no_grad()
def integer_weights(
    weight: Tensor, bits: int, per: Literal["channel", "tensor"] = "channel"
) -> tuple[Tensor, Tensor]:
    """Round a weight to signed integers of so many bits, symmetric about zero.

    Args:
        weight: ``[out, ...]``.
        bits: 2 or more; the integers lie within ``2^(bits - 1) - 1`` of 0.
        per: One scale for each output channel, or for the whole tensor.

    Returns:
        The integers, in the type and shape of ``weight``, and the scales that give the weight
        back: ``[out, 1, ...]``, or ``[1, 1, ...]`` per tensor.

    Raises:
        NasError: Fewer than 2 bits.
    """
    if bits < 2:
        raise NasError(f"weights of {bits} bit(s)", hint="a signed weight needs at least 2")
    top = 2 ** (bits - 1) - 1
    largest = weight.flatten(1).abs().amax(1)
    if per == "tensor":
        largest = largest.amax(0, keepdim=True)
    scale = largest.clamp_min(torch.finfo(weight.dtype).tiny) / top
    scale = scale.view(-1, *(1,) * (weight.dim() - 1))
    return (weight / scale).round(), scale


@torch.no_grad()
def quantise_weights(network: nn.Module, bits: int) -> None:
    """Round the weights of every linear map to signed integers of so many bits, in place.

    One scale for each output channel; biases, which live in thresholds, keep their precision.

    Args:
        network: Any network.
        bits: See :func:`integer_weights`.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            whole, scale = integer_weights(module.weight, bits)
            module.weight.copy_(whole * scale)
