"""A network as plain tensor operations of one clip: no kernels, no normalisations, no batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.hardware.folding import folded
from search_spaces.neurons import IntegrateAndFire, SpikingNeurons, threshold_of


class Unrolled(nn.Module):
    """A layer of spiking neurons, step after step; see ``search_spaces.neurons``.

    ``H[t] = (1 - k) V[t-1] + k X[t]``, or ``H[t] = V[t-1] + X[t]`` without a leak;
    ``S[t] = H[t] >= v_th``, ``V[t] = H[t] (1 - S[t])``.

    Args:
        neurons: The layer.
    """

    def __init__(self, neurons: SpikingNeurons | IntegrateAndFire) -> None:
        super().__init__()
        leaky = isinstance(neurons, SpikingNeurons)
        self.share = float(torch.sigmoid(neurons.w.detach())) if leaky else None
        self.threshold = threshold_of(neurons)

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, D]`` current -> ``[T, B, D]`` spikes."""
        drive = x if self.share is None else x * self.share
        kept = 1.0 if self.share is None else 1.0 - self.share
        fired: list[Tensor] = []
        membrane: Tensor | None = None
        for current in drive.unbind(0):
            charged = current if membrane is None else current + kept * membrane
            fired.append((charged >= self.threshold).to(x.dtype))
            membrane = charged * (1.0 - fired[-1])
        return torch.stack(fired)


def unrolled(network: nn.Module) -> nn.Module:
    """Return a copy with normalisations folded and every neuron as plain operations."""
    plain = folded(network)
    for parent in list(plain.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, SpikingNeurons | IntegrateAndFire):
                parent.add_module(name, Unrolled(child))
    return plain
