"""Softmax self-attention."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from search_spaces.attention.base import (
    Attention,
    AttentionOperations,
    AttentionSettings,
    count_projection,
)
from search_spaces.attention.common import projection, split_heads


class SoftmaxAttention(Attention):
    """Multi-head self-attention without position code.

    ``o_i = sum_j softmax_j(q_i . k_j / sqrt d) v_j`` over the real frames, or over those up
    to ``i``. Source: Vaswani et al. (arXiv 1706.03762), eq. 1. Parameters: ``4 D^2``.

    Operations: four projections, and ``2 D`` a pair of frames that meet (``q . k`` and the
    weighted sum): ``n^2`` pairs an utterance, causal ``n (n + 1) / 2``.
    """

    def __init__(self, settings: AttentionSettings) -> None:
        super().__init__(settings)
        width = settings.width
        self.query = projection(width, width)
        self.key = projection(width, width)
        self.value = projection(width, width)
        self.output = projection(width, width)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        parts = (self.query(x), self.key(x), self.value(x))
        q, k, v = (split_heads(part, self.settings.heads) for part in parts)
        mixed: Tensor = self.output(_attend(q, k, v, mask, self.settings.causal).flatten(2))
        return mixed

    def _count(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        width = self.settings.width
        n = mask.sum(1).double()
        pairs = float((n * (n + 1) / 2 if self.settings.causal else n * n).sum())
        own = AttentionOperations(macs=2 * width * pairs + float(n.sum()) * width**2)
        return count_projection(x, mask, 3 * width) + own


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, causal: bool) -> Tensor:
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    # causal: padding comes last, so no real frame sees it
    seen = None if causal or bool(mask.all()) else mask[:, None, None, :]
    mixed = scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=causal)
    return mixed.transpose(1, 2)
