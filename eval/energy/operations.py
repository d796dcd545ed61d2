"""Operations per layer, counted during a real forward pass over the real frames.

Rules, per layer type (``n`` rows of real frames in, ``out`` units out):

=================  =======================================================================
Projection         of spikes: one accumulate per spike and output unit; of real values:
                   ``n * in * out`` multiply-accumulates (its normalisation folds into it)
  with inhibition  in addition its inhibitory units, their two products with the drive and
                   one gain: ``n * (in * I + 2 * I * out + out)``, the first as above
SpikingNeurons     per neuron and step one multiply-accumulate (leak), one accumulate (input)
                   and one comparison; spikes are its output
IntegrateAndFire   per neuron and step one accumulate and one comparison
ReLU               none
Encoder, B1Layer,  time to first spike: see ``ttfs.py``
Readout
SoftSaturation     per element 3 multiply-accumulates (square, scale, gain) and 1 accumulate
FramePooling       one accumulate per real input element, none for size 1
Attention          what its ``operations`` says (see its file), and its neurons as above
PromptContext      without attention: one accumulate per spike (per value of a ReLU twin);
                   always one per prompt element
BiasVoltage        dynamic: its two products per utterance; one accumulate per neuron and step
RateReadout        one accumulate per spike (per value of a ReLU twin), and
                   ``samples * in * out`` multiply-accumulates
MeanPool           one accumulate per real input element, its products per utterance
=================  =======================================================================

Not counted: resets, tanh, the additive bias a folded normalisation leaves, and
the residual additions of membranes (the neuron's own accumulate takes them in).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from eval.energy.table import LayerOperations
from eval.energy.ttfs import count_encoder, count_layer, count_readout
from search_spaces.attention import Attention
from search_spaces.frames import (
    FramePooling,
    FrameRepeat,
    Frames,
    Projection,
    RateReadout,
    SoftSaturation,
)
from search_spaces.inhibition import LateralInhibition
from search_spaces.mean_pool import MeanPool
from search_spaces.neurons import IntegrateAndFire, SpikingNeurons
from search_spaces.prompts import BiasVoltage, PromptContext
from search_spaces.ttfs import B1Layer, Encoder, Readout

COUNTED = (
    FramePooling,
    FrameRepeat,
    SoftSaturation,
    Projection,
    SpikingNeurons,
    IntegrateAndFire,
    Attention,
    PromptContext,
    BiasVoltage,
    RateReadout,
    MeanPool,
    Encoder,
    B1Layer,
    Readout,
)
# arithmetic on values, even in a spiking network
DIGITAL = (FramePooling, SoftSaturation, BiasVoltage, RateReadout, MeanPool)


class OperationCounter:
    """Counts the operations of a network while it runs; see the rules above."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.samples = 0
        self._rows: dict[str, LayerOperations] = {}
        self._frames: Frames | None = None

    @contextmanager
    def counting(self) -> Iterator[OperationCounter]:
        """Count every forward pass made inside."""
        modules = dict(self.network.named_modules())
        # an attention counts what is inside it
        closed = tuple(f"{name}." for name, m in modules.items() if isinstance(m, Attention))
        handles = [
            module.register_forward_hook(self._hook(name), with_kwargs=True)
            for name, module in modules.items()
            if isinstance(module, COUNTED) and not name.startswith(closed)
        ]
        handles.append(self.network.register_forward_hook(self._count_samples))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def table(self) -> list[dict[str, Any]]:
        """Return one row per layer, per sample; a spiking layer also gives its rate."""
        return [row.per_sample(self.samples) for row in self._rows.values()]

    def _row(self, name: str, kind: str, module: nn.Module) -> LayerOperations:
        if name not in self._rows:
            own = sum(p.numel() for p in module.parameters() if p.requires_grad)
            self._rows[name] = LayerOperations(
                name, kind, digital=_is_digital(module), parameters=own
            )
        return self._rows[name]

    def _count_samples(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        self.samples += output.shape[0]

    def _hook(self, name: str) -> Any:
        def count(
            module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
        ) -> None:
            x: Tensor = inputs[0]
            if isinstance(module, FrameRepeat):
                self._frames = output[1]
                return
            row = self._row(name or "network", type(module).__name__, module)
            if isinstance(module, Encoder):
                count_encoder(row, module, output)
            elif isinstance(module, B1Layer):
                count_layer(row, module, inputs, named.get("skip"), output)
            elif isinstance(module, Readout):
                count_readout(row, module, inputs[0], output)
            elif isinstance(module, Projection):
                self._frames = inputs[1]
                self._projection(row, x, module, inputs[2] if len(inputs) > 2 else None)
            elif isinstance(module, SpikingNeurons | IntegrateAndFire):
                self._neurons(row, x, output, leaky=isinstance(module, SpikingNeurons))
            elif isinstance(module, Attention):
                counted = module.operations(x, inputs[1])
                leaky = module.settings.neuron != "if"
                row.macs += counted.macs + (counted.neuron_steps if leaky else 0.0)
                row.acs += counted.acs + counted.neuron_steps
                row.compares += counted.neuron_steps
                row.spikes += counted.spikes
                row.neuron_steps += counted.neuron_steps
            elif isinstance(module, PromptContext):
                row.acs += float(output.numel())
                if module.attention is None:
                    row.acs += _added(x, inputs[1])
            elif isinstance(module, BiasVoltage):
                self._bias(row, output, module)
            elif isinstance(module, RateReadout):
                row.acs += _added(x, inputs[1])
                row.macs += float(x.shape[1] * module.linear.weight.numel())
            elif isinstance(module, SoftSaturation):
                row.macs += 3.0 * x.numel()
                row.acs += float(x.numel())
            elif isinstance(module, FramePooling) and module.size > 1:
                row.acs += float(x.numel())
            elif isinstance(module, MeanPool):
                weights = [m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear)]
                row.macs += float(sum(weights) * x.shape[0])
                row.acs += float(int(inputs[1].sum()) * x.shape[2])

        return count

    @staticmethod
    def _projection(
        row: LayerOperations, x: Tensor, module: Projection, trains: tuple[Tensor, ...] | None
    ) -> None:
        units = module.linear.out_features
        if isinstance(module.norm, LateralInhibition):
            inner = module.norm.inhibitory
            row.macs += float(x.shape[0] * (2 * inner + 1) * units)
            units += inner
        if not module.spiking:
            row.macs += float(x.numel() * units)
            return
        for train in trains or (x,):
            if not bool(((train == 0) | (train == 1)).all()):
                # an accumulate for a product that is none would make the energy a lie
                raise RuntimeError(f"layer {row.layer} is declared spiking but got other values")
            row.acs += _total(train) * units

    def _neurons(self, row: LayerOperations, x: Tensor, spikes: Tensor, *, leaky: bool) -> None:
        frames = self._real()
        steps = float(frames.valid * x.shape[-1])
        row.neuron_steps += steps
        row.macs += steps if leaky else 0.0
        row.acs += steps
        row.compares += steps
        row.spikes += _total(frames.clear(spikes))

    def _bias(self, row: LayerOperations, voltage: Tensor, module: BiasVoltage) -> None:
        maps = [m for m in module.maps if isinstance(m, nn.Linear)]
        row.macs += float(sum(m.weight.numel() for m in maps) * voltage.shape[0])
        row.acs += float(self._real().valid * voltage.shape[-1])

    def _real(self) -> Frames:
        if self._frames is None:
            raise RuntimeError("a layer ran before any projection gave the real frames")
        return self._frames


def _is_digital(module: nn.Module) -> bool:
    if isinstance(module, Attention | Projection | PromptContext):
        return not getattr(module, "spiking", False)
    return isinstance(module, DIGITAL)


def _added(x: Tensor, frames: Frames) -> float:
    """Accumulates of a sum over time: one a spike, or one a real value of the ReLU twin."""
    clean = frames.clear(x)
    if bool(((clean == 0) | (clean == 1)).all()):
        return _total(clean)
    return float(frames.valid * x.shape[-1])


def _total(x: Tensor) -> float:
    return float(x.sum(dtype=torch.float64))
