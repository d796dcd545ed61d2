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

Beside these, every rule notes what its ReLU twin would compute, what comes in and goes out, and
what is stored; ``table.py`` lists the columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from eval.energy import head, ttfs
from eval.energy.table import LayerOperations
from search_spaces.attention import Attention
from search_spaces.frames import (
    FramePooling,
    FrameRepeat,
    Frames,
    Projection,
    RateReadout,
    SoftSaturation,
)
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
            # prompts hold an attention, which has a row of its own
            held = not isinstance(module, PromptContext)
            own = sum(p.numel() for p in module.parameters(recurse=held) if p.requires_grad)
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
            if isinstance(module, FrameRepeat):
                self._frames = output[1]
                return
            row = self._row(name or "network", type(module).__name__, module)
            x: Tensor = inputs[0]
            if isinstance(module, Encoder):
                ttfs.count_encoder(row, output)
            elif isinstance(module, B1Layer):
                ttfs.count_layer(row, module, inputs, named.get("skip"), output)
            elif isinstance(module, Readout):
                ttfs.count_readout(row, module, inputs[0], output)
            elif isinstance(module, Projection):
                self._frames = inputs[1]
                head.count_projection(row, x, module, inputs[2] if len(inputs) > 2 else None)
            elif isinstance(module, SpikingNeurons | IntegrateAndFire):
                leaky = isinstance(module, SpikingNeurons)
                head.count_neurons(row, x, output, self._real(), leaky=leaky)
            elif isinstance(module, Attention):
                head.count_attention(row, module, x, inputs[1])
            elif isinstance(module, PromptContext):
                head.count_prompts(row, module, x, inputs[1], output)
            elif isinstance(module, BiasVoltage):
                head.count_bias(row, module, inputs[0], output, self._real())
            elif isinstance(module, RateReadout):
                head.count_rates(row, module, x, inputs[1])
            elif isinstance(module, SoftSaturation):
                head.count_saturation(row, module, x)
            elif isinstance(module, FramePooling):
                head.count_pooling(row, module, x, output[0])
            elif isinstance(module, MeanPool):
                head.count_mean(row, module, x, inputs[1] if len(inputs) > 1 else None)

        return count

    def _real(self) -> Frames:
        if self._frames is None:
            raise RuntimeError("a layer ran before any projection gave the real frames")
        return self._frames


def _is_digital(module: nn.Module) -> bool:
    if isinstance(module, Attention | Projection | PromptContext):
        return not getattr(module, "spiking", False)
    return isinstance(module, DIGITAL)
