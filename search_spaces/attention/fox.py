"""FoX: softmax attention that forgets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, scaled_dot_product_attention

from search_spaces.attention import fla_backend
from search_spaces.attention.base import (
    Attention,
    AttentionOperations,
    AttentionSettings,
    count_projection,
)
from search_spaces.attention.common import both_directions, in_float32, projection, split_heads


class FoX(Attention):
    """Forgetting attention.

    With ``f_t = sigmoid(w_f . x_t + b_f)`` a head:
    ``o_i = sum_{j<=i} softmax_j(q_i . k_j / sqrt d + sum_{l=j+1}^i log f_l) v_j``.
    Source: Lin et al., Forgetting Transformer (arXiv 2503.02130), without the
    optional query-key norm and output gate; no position code. Bidirectional:
    ``both_directions``, that is one softmax over the past and one over the future, each with
    the frame itself. Quadratic in the number of frames.
    Parameters: ``4 D^2 + H D + H``.

    Operations: projections, and ``2 D`` a pair of frames that meet: ``n (n + 1) / 2`` pairs
    an utterance and direction.
    """

    def __init__(self, settings: AttentionSettings) -> None:
        super().__init__(settings)
        width = settings.width
        self.query = projection(width, width)
        self.key = projection(width, width)
        self.value = projection(width, width)
        self.forget = projection(width, settings.heads, bias=True)
        self.output = projection(width, width)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        parts = (self.query(x), self.key(x), self.value(x))
        q, k, v = (split_heads(part, self.settings.heads) for part in parts)
        inputs = (q, k, v, logsigmoid(self.forget(x)))
        mixed = both_directions(self._recur, inputs, mask, causal=self.settings.causal)
        y: Tensor = self.output(mixed.flatten(2))
        return y

    def _recur(self, q: Tensor, k: Tensor, v: Tensor, log_forget: Tensor) -> Tensor:
        if fla_backend.use_fla("fox", self.settings.backend, q):
            return fla_backend.fox(q, k, v, log_forget)
        return _forgetting(q, k, v, log_forget)

    def _count(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        width = self.settings.width
        n = mask.sum(1).double()
        directions = 1 if self.settings.causal else 2
        pairs = directions * float((n * (n + 1) / 2).sum())
        own = AttentionOperations(macs=2 * width * pairs + float(n.sum()) * width**2)
        return count_projection(x, mask, 3 * width + self.settings.heads) + own


@in_float32
def _forgetting(q: Tensor, k: Tensor, v: Tensor, log_forget: Tensor) -> Tensor:
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    c = log_forget.transpose(1, 2).cumsum(-1)
    longest = q.shape[2]
    ahead = torch.ones(longest, longest, dtype=torch.bool, device=q.device).triu(1)
    bias = (c[..., :, None] - c[..., None, :]).masked_fill(ahead, -torch.inf)
    return scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2)
