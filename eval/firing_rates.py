"""A term of the loss that pulls the firing rate of every layer to a target."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.attention import Attention
from search_spaces.frames import FrameRepeat, Frames
from search_spaces.neurons import IntegrateAndFire, SpikingNeurons
from search_spaces.pts_snn import RateTarget

NEURONS = (SpikingNeurons, IntegrateAndFire)


class FiringRates:
    """Watches the neurons of a network while it trains.

    The rate of a layer is its spikes over its neurons and the real steps of the batch; of the
    neurons inside an attention the prompts are steps as well. It is differentiable through the
    surrogate gradient of the neurons.

    Args:
        network: A network with a ``regulariser``.
        target: The rate and the weight of the term.
    """

    def __init__(self, network: nn.Module, target: RateTarget) -> None:
        self.target = target
        self._frames: Frames | None = None
        self._inside: Frames | None = None
        self._rates: list[Tensor] = []
        modules = dict(network.named_modules())
        within = tuple(f"{name}." for name, m in modules.items() if isinstance(m, Attention))
        for name, module in modules.items():
            if isinstance(module, FrameRepeat):
                module.register_forward_hook(self._repeated)
            elif isinstance(module, Attention):
                module.register_forward_pre_hook(self._attended)
            elif isinstance(module, NEURONS):
                inside = name.startswith(within)
                module.register_forward_hook(self._fired_inside if inside else self._fired)

    @classmethod
    def of(cls, network: nn.Module) -> FiringRates | None:
        """Watch a network that asks for it; None for one that does not."""
        target = getattr(network, "regulariser", None)
        return cls(network, target) if isinstance(target, RateTarget) else None

    def penalty(self) -> Tensor:
        """Return ``weight * mean over layers of (rate - target)^2`` of the last forward pass."""
        rates = torch.stack(self._rates)
        self._rates.clear()
        return self.target.weight * (rates - self.target.rate).square().mean()

    def _repeated(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._frames = output[1]
        self._rates.clear()

    def _attended(self, module: nn.Module, inputs: Any) -> None:
        mask = inputs[1]
        self._inside = Frames(mask.sum(1), mask.shape[1])

    def _fired(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert self._frames is not None
        self._note(module, output, self._frames)

    def _fired_inside(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert self._inside is not None
        self._note(module, output, self._inside)

    def _note(self, module: nn.Module, spikes: Tensor, frames: Frames) -> None:
        if not module.training:
            return
        if spikes.shape[0] != frames.longest:  # neurons that step once an utterance
            self._rates.append(spikes.float().mean())
            return
        steps = frames.valid * spikes.shape[2]
        self._rates.append(frames.clear(spikes).sum(dtype=torch.float32) / steps)
