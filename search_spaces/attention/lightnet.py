"""LightNet: linear attention with keys normalised over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from search_spaces.attention import fla_backend
from search_spaces.attention.base import (
    Attention,
    AttentionOperations,
    AttentionSettings,
    count_projection,
)
from search_spaces.attention.common import (
    RMSNorm,
    head_dim,
    in_float32,
    projection,
    split_heads,
)
from search_spaces.attention.linear import decay_by_channel

GATE_RANK = 128


class LightNet(Attention):
    """A softmax over time for every key channel.

    With ``q = silu(W_q x)``, key logits ``kappa = W_k x`` and ``z_t = logcumsumexp(kappa)_t``:
    ``S_t = diag(e^(z_{t-1} - z_t)) S_{t-1} + e^(kappa_t - z_t) v_t^T``,
    ``o_t = d^-1/2 S_t^T q_t``; ``y = W_o (RMSNorm(o) * swish(W_g2 W_g1 x))``.
    Source: Qin et al. (arXiv 2405.21022), additive decay, as flash-linear-attention's layer
    has it. Not causal: ``z`` and ``S`` are those of the whole utterance, ``S = softmax over
    time(kappa)^T v``; no second pass is needed.
    Parameters: ``4 D^2 + 2 D r + D``; the rank ``r`` of the gate is 128 as published, but at
    most ``D / 2``.

    Operations: projections; a frame ``2 D d`` for ``k v^T`` and readout, causal ``D d`` more
    for the decay of the state.
    """

    def __init__(self, settings: AttentionSettings) -> None:
        super().__init__(settings)
        width = settings.width
        self.rank = min(GATE_RANK, max(1, width // 2))
        self.query = projection(width, width)
        self.key = projection(width, width)
        self.value = projection(width, width)
        self.gate = nn.Sequential(projection(width, self.rank), projection(self.rank, width))
        self.norm = RMSNorm(width)
        self.output = projection(width, width)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        parts = (silu(self.query(x)), self.key(x), self.value(x))
        q, logits, v = (split_heads(part, self.settings.heads) for part in parts)
        if not self.settings.causal:
            mixed = _attend_to_all(q, logits, v, mask)
        elif fla_backend.use_fla("lightnet", self.settings.backend, q):
            mixed = fla_backend.lightnet(q, logits, v)
        else:
            mixed = _attend_so_far(q, logits, v, self.settings.chunk)
        y: Tensor = self.output(self.norm(mixed.flatten(2)) * silu(self.gate(x)))
        return y

    def _count(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        width, dim = self.settings.width, head_dim(self.settings)
        a_frame = (3 if self.settings.causal else 2) * width * dim + self.rank * width + width**2
        own = AttentionOperations(macs=float(mask.sum()) * a_frame)
        return count_projection(x, mask, 3 * width + self.rank) + own


@in_float32
def _attend_to_all(q: Tensor, logits: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    weights = logits.masked_fill(~mask[..., None, None], -torch.inf).softmax(1)
    state = torch.einsum("blhd,blhe->bhde", weights, v)
    return torch.einsum("blhd,bhde->blhe", q * q.shape[-1] ** -0.5, state)


@in_float32
def _attend_so_far(q: Tensor, logits: Tensor, v: Tensor, size: int) -> Tensor:
    z = logits.logcumsumexp(1)
    # the first gate meets an empty state: any value will do, and 0 is safe
    log_gate = torch.cat((torch.zeros_like(z[:, :1]), z[:, :-1] - z[:, 1:]), 1)
    k = (logits - z).exp()
    return decay_by_channel(q * q.shape[-1] ** -0.5, k, v, log_gate, size)
