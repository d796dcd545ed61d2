"""No attention: frames pass as they are."""

from __future__ import annotations

from torch import Tensor

from search_spaces.attention.base import Attention, AttentionOperations


class NoAttention(Attention):
    """Identity on real frames, zero on padding; no parameter, no operation."""

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        return x

    def _count(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        return AttentionOperations()
