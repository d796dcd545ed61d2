"""The reference head with the neurons of several libraries in it, for ``throughput.py``."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from search_spaces.families import get_family
from search_spaces.kernels.native import VARIABLE
from search_spaces.named import NAMED
from search_spaces.neurons import SURROGATE_ALPHA, SpikingNeurons

INPUT, CLASSES, FRAMES, BATCH = 768, 4, 50, 32


class OverTime(nn.Module):
    """A cell of another library over ``[L, B, D]``, step by step as its users write it."""

    def __init__(self, cell: Callable[..., Any], begin: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.cell = cell
        self.begin = begin

    def forward(self, x: Tensor) -> Tensor:
        """``[L, B, D]`` -> spikes."""
        state, out = self.begin(x[0]), []
        for current in x:
            spikes, state = self.cell(current, state)
            out.append(spikes)
        return torch.stack(out)


class Sinabs(nn.Module):
    """Time second, and a state to be forgotten before every batch."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """``[L, B, D]`` -> spikes."""
        self.layer.reset_states()
        spikes: Tensor = self.layer(x.transpose(0, 1)).transpose(0, 1)
        return spikes


class SpikingJelly(nn.Module):
    """Its multi-step PLIF as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = neuron.ParametricLIFNode(
            init_tau=2.0,
            surrogate_function=surrogate.ATan(SURROGATE_ALPHA),
            detach_reset=True,
            step_mode="m",
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[L, B, D]`` -> spikes."""
        self.layer.reset()
        spikes: Tensor = self.layer(x)
        return spikes


def _snntorch() -> nn.Module:
    import snntorch
    from snntorch import surrogate as gradients

    leaky = snntorch.Leaky(
        beta=0.5, learn_beta=True, spike_grad=gradients.atan(), reset_mechanism="zero"
    )
    return OverTime(leaky, torch.zeros_like)


def _norse() -> nn.Module:
    from norse.torch import LIFBoxCell, LIFBoxParameters

    cell = LIFBoxCell(LIFBoxParameters(tau_mem_inv=torch.tensor(500.0)))
    return OverTime(cell, lambda current: None)


def _sinabs() -> nn.Module:
    from sinabs.activation import MembraneReset, SingleSpike
    from sinabs.layers import LIF

    return Sinabs(LIF(tau_mem=2.0, spike_fn=SingleSpike, reset_fn=MembraneReset()))


# by name: makes a layer that takes [L, B, D]; None leaves ours, in C or in torch operations
LAYERS: dict[str, Callable[[], nn.Module] | None] = {
    "nas": None,
    "nas, no compiler": None,
    "spikingjelly": SpikingJelly,
    "snnTorch": _snntorch,
    "norse": _norse,
    "sinabs": _sinabs,
}
_MODULES = {"snnTorch": "snntorch", "norse": "norse", "sinabs": "sinabs"}


def installed(name: str) -> bool:
    """Whether the library is there."""
    return name not in _MODULES or importlib.util.find_spec(_MODULES[name]) is not None


@contextmanager
def way(name: str) -> Iterator[None]:
    """Let our neurons go the way that the name says."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "plain" if name.endswith("no compiler") else "native"
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def layer(name: str) -> nn.Module:
    """Make a layer of neurons."""
    make = LAYERS[name]
    return SpikingNeurons("plif", 2.0, 1.0) if make is None else make()


def head(name: str) -> nn.Module:
    """Build the reference head with one library's neurons in the place of ours."""
    torch.manual_seed(0)
    named = NAMED["reference"]
    network = get_family(named.family).build(named.values, INPUT, CLASSES)
    if LAYERS[name] is not None:
        for module in list(network.modules()):
            for child, inside in list(module.named_children()):
                if isinstance(inside, SpikingNeurons):
                    setattr(module, child, layer(name))
    return network
