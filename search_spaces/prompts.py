"""Soft prompts: learned tokens that gather an utterance's context and set the bias voltage.

Re-derived. Documented of PTS-SNN (arXiv 2602.08240) are that attention aggregates global
context into learnable soft prompts, and that these regulate the bias voltage of PLIF neurons.
How the prompts enter the attention and how they become a voltage is ours.
"""

from __future__ import annotations

import torch
from spikingjelly.activation_based import surrogate
from torch import Tensor, nn

from search_spaces.frames import Frames
from search_spaces.neurons import SURROGATE_ALPHA


class PromptContext(nn.Module):
    """Let prompts attend to an utterance: ``P' = P + Attention([S; step(P)])`` at the prompts.

    The prompts stand after the last real frame, so that a causal attention lets them see all
    of it. They enter as spikes, ``step(P)`` with the surrogate gradient of the neurons: every
    token is binary, and what an event-driven attention costs stays an accumulate. Without an
    attention (None) each prompt receives the mean of the frames.

    Args:
        length: Number of prompts, at least 1.
        width: ``D``.
        attention: Maps ``[B, L, D]`` and a mask ``[B, L]`` to ``[B, L, D]``; or None.
        spiking: Whether the frames are spikes; for the ReLU twin prompts enter as they are.
    """

    def __init__(
        self, length: int, width: int, attention: nn.Module | None, spiking: bool
    ) -> None:
        super().__init__()
        self.prompts = nn.Parameter(0.02 * torch.randn(length, width))
        self.attention = attention
        self.spiking = spiking
        self.step = surrogate.ATan(SURROGATE_ALPHA) if spiking else nn.Identity()

    def forward(self, spikes: Tensor, frames: Frames) -> Tensor:
        """``[L, B, D]`` -> ``[B, P, D]``: the prompts with the context they gathered."""
        batch = spikes.shape[1]
        prompts = self.prompts.expand(batch, -1, -1)
        clean = frames.clear(spikes)
        if self.attention is None:
            context = clean.sum(0) / frames.lengths[:, None].to(clean.dtype)
            return prompts + context[:, None]
        tokens, mask, rows, places = self._tokens(clean.transpose(0, 1), frames)
        attended: Tensor = self.attention(tokens, mask)
        return prompts + attended[rows, places]

    def _tokens(self, x: Tensor, frames: Frames) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Append the prompts to each utterance, right behind its own last frame."""
        n = self.prompts.shape[0]
        places = frames.lengths[:, None] + torch.arange(n, device=x.device)
        rows = torch.arange(x.shape[0], device=x.device)[:, None].expand_as(places)
        room = torch.cat((x, x.new_zeros(x.shape[0], n, x.shape[2])), 1)
        entering = self.step(self.prompts).to(x.dtype).expand(x.shape[0], -1, -1)
        tokens = room.index_put((rows, places), entering)
        steps = torch.arange(tokens.shape[1], device=x.device)
        return tokens, steps < frames.lengths[:, None] + n, rows, places


class BiasVoltage(nn.Module):
    """Bias voltage of each channel: learned (static), or of each utterance from its prompts.

    Dynamic: ``b = W2 tanh(W1 mean_p P')``, the second map starting small, so that training
    begins near the uncalibrated neuron.

    Args:
        width: ``D``.
        dynamic: Whether the prompts set it.
    """

    def __init__(self, width: int, dynamic: bool) -> None:
        super().__init__()
        self.static = None if dynamic else nn.Parameter(torch.zeros(width))
        self.maps = nn.Sequential()
        if dynamic:
            self.maps = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
            last = self.maps[2]
            assert isinstance(last, nn.Linear)
            with torch.no_grad():
                last.weight.mul_(0.1)
                last.bias.zero_()

    def forward(self, prompts: Tensor | None) -> Tensor:
        """``[B, P, D]`` prompts, or None for a static bias -> ``[B, D]`` or ``[1, D]``."""
        if self.static is not None:
            return self.static[None]
        assert prompts is not None
        voltage: Tensor = self.maps(prompts.mean(1))
        return voltage
