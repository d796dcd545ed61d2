"""SDSA: spike-driven self-attention."""

from __future__ import annotations

from torch import Tensor

from search_spaces.attention.base import AttentionOperations
from search_spaces.attention.common import in_float32
from search_spaces.attention.spiking import SpikingAttention
from search_spaces.frames import Frames


class SDSA(SpikingAttention):
    """Attention by masking and adding, channel by channel; heads play no part.

    ``y = BN(W_O (Q * SN(sum_t K_t * V_t)))`` with binary ``Q, K, V``. Not causal: one sum an
    utterance, on which the attention neurons take one step from rest. Causal: they follow the
    running sum, one step a frame. The sum is not divided by the number of frames, as
    published, so long utterances open more channels.

    Re-derived: Spike-driven Transformer (Yao et al., arXiv 2307.01694, SDSA), its image
    tokens turned into frames and its repeated time steps left out.

    Operations: projections of ``x``; an accumulate for every coincidence of a key and a value
    spike in a channel; masking is free; ``D`` for every query spike that passes. The ReLU twin
    multiplies where this one masks: ``2 D`` a frame.
    """

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, frames: Frames) -> tuple[Tensor, Tensor]:
        opened = self.fire_attention(_coincidences(k, v, self.settings.causal))
        if self.settings.causal:
            opened = frames.clear(opened)
        return opened, q * opened

    @property
    def accumulators(self) -> int:
        """A sum of coincidences for every channel."""
        return self.settings.width

    def _count_core(self, q: Tensor, k: Tensor, v: Tensor, frames: Frames) -> AttentionOperations:
        return AttentionOperations(acs=float((k * v).count_nonzero()))

    def _count_twin(self, frames: Frames) -> float:
        return 2.0 * frames.valid * self.settings.width


@in_float32
def _coincidences(k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """``[L, B, D]`` twice -> their running ``[L, B, D]`` or whole ``[1, B, D]`` sum."""
    both = k * v
    return both.cumsum(0) if causal else both.sum(0, keepdim=True)
