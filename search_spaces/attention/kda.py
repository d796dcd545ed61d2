"""KDA: Kimi delta attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from search_spaces.attention import fla_backend
from search_spaces.attention.base import (
    Attention,
    AttentionOperations,
    AttentionSettings,
    count_projection,
)
from search_spaces.attention.common import (
    RMSNorm,
    ShortConvolution,
    both_directions,
    head_dim,
    in_float32,
    projection,
    split_heads,
)
from search_spaces.attention.linear import FINE, blocks, decayed_pairs, frames

CONVOLUTION = 4
UNIT_EPS = 1e-6


class KDA(Attention):
    """A delta rule with a decay for every key channel.

    ``S' = diag(e^(g_t)) S_{t-1}``, ``S_t = S' + beta_t k_t (v_t - S'^T k_t)^T``,
    ``o_t = d^-1/2 S_t^T q_t`` with ``q, k, v = silu(ShortConvolution_4(W x))``, ``q`` and ``k``
    of length 1, ``beta = sigmoid(W_b x)``, ``g = -e^A softplus(W_f2 W_f1 x + b)``;
    ``y = W_o (RMSNorm_head(o) * sigmoid(W_g2 W_g1 x + b_g))``. The ranks of ``f`` and ``g``
    are ``d``. Source: Kimi Linear (arXiv 2510.26692), initialised as in
    flash-linear-attention: ``e^A`` uniform in [1, 16], ``softplus(b)`` log-uniform in
    [0.001, 0.1]. Bidirectional: ``both_directions``, the convolution within.
    Parameters: ``4 D^2 + 4 D d + 14 D + D H + H + d``.

    Operations: projections; a frame and direction ``4 D d`` (decay of the state, ``S'^T k``,
    write, readout) and ``12 D`` for the convolutions.
    """

    def __init__(self, settings: AttentionSettings) -> None:
        super().__init__(settings)
        width, heads, dim = settings.width, settings.heads, head_dim(settings)
        self.query = projection(width, width)
        self.key = projection(width, width)
        self.value = projection(width, width)
        self.mix_query = ShortConvolution(width, CONVOLUTION)
        self.mix_key = ShortConvolution(width, CONVOLUTION)
        self.mix_value = ShortConvolution(width, CONVOLUTION)
        self.decay = nn.Sequential(projection(width, dim), projection(dim, width))
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1.0, 16.0).log_())
        step = torch.empty(width).uniform_(math.log(1e-3), math.log(1e-1)).exp_()
        # the inverse of softplus
        self.decay_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        self.write = projection(width, heads)
        self.gate = nn.Sequential(projection(width, dim), projection(dim, width, bias=True))
        self.norm = RMSNorm(dim)
        self.output = projection(width, width)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        beta = self.write(x).sigmoid()
        inputs = (self.query(x), self.key(x), self.value(x), self._log_gate(x), beta)
        mixed = both_directions(self._recur, inputs, mask, causal=self.settings.causal)
        y: Tensor = self.output(self.norm(mixed).flatten(2) * self.gate(x).sigmoid())
        return y

    def _log_gate(self, x: Tensor) -> Tensor:
        """``g``, ``[B, L, H, d]``, at most 0."""
        step = softplus(self.decay(x) + self.decay_bias)
        return -self.log_rate.exp()[:, None] * split_heads(step, self.settings.heads)

    def _recur(self, q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, beta: Tensor) -> Tensor:
        heads = self.settings.heads
        q = _unit(split_heads(self.mix_query(q), heads))
        k = _unit(split_heads(self.mix_key(k), heads))
        v = split_heads(self.mix_value(v), heads)
        if fla_backend.use_fla("kda", self.settings.backend, q):
            return fla_backend.kda(q, k, v, log_gate, beta)
        return _delta_rule(q, k, v, log_gate, beta, self.settings.chunk)

    def _count(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        width, dim = self.settings.width, head_dim(self.settings)
        directions = 1 if self.settings.causal else 2
        core = 4 * width * dim + 3 * CONVOLUTION * width
        a_frame = directions * core + 2 * dim * width + width**2
        own = AttentionOperations(macs=float(mask.sum()) * a_frame)
        return count_projection(x, mask, 3 * width + 2 * dim + self.settings.heads) + own


def _unit(x: Tensor) -> Tensor:
    """``x / |x|`` over the last axis, without a pole at 0."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + UNIT_EPS)


@in_float32
def _delta_rule(
    q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, beta: Tensor, size: int
) -> Tensor:
    """The recurrence in blocks.

    Within a block that starts from ``S`` write ``S_i = diag(e^(c_i)) S + sum_{j<=i}
    diag(e^(c_i - c_j)) k_j u_j^T``. The rule then says ``(I + A) u = beta (v - (k e^c) S)``
    with ``A_ij = beta_i (k_i e^(c_i - c_j)) . k_j`` below the diagonal: one triangular solve
    gives ``u`` as ``fixed - carried S``, and only that product waits for the block before
    (the WY form of Kimi Linear and of Yang et al., arXiv 2406.06484).
    """
    longest = q.shape[1]
    size = min(size, FINE, longest)
    q, k, v = blocks(q * q.shape[-1] ** -0.5, size), blocks(k, size), blocks(v, size)
    beta = blocks(beta[..., None], size)
    c = blocks(log_gate, size).cumsum(-2)
    readers = torch.stack((q, k), -1)
    reads, overlaps = (decayed_pairs(k, c) @ readers).unbind(-1)
    from_start, total = c.exp(), c[..., -1:, :]
    right = torch.cat((v, k * from_start), -1) * beta
    # unitriangular: the solver takes the diagonal as 1 and reads nothing above it
    solved = torch.linalg.solve_triangular(overlaps * beta, right, upper=False, unitriangular=True)
    fixed, carried = solved.split([v.shape[-1], k.shape[-1]], -1)
    keys = (k * (total - c).exp()).transpose(-1, -2)
    kept = total.exp().transpose(-1, -2)

    state = q.new_zeros(*q.shape[:2], q.shape[-1], v.shape[-1])
    before, updates = [], []
    # unbind and not an index, for the sake of the backward pass: see linear.scan
    parts = (part.unbind(2) for part in (fixed, carried, kept, keys))
    for fixed_n, carried_n, kept_n, keys_n in zip(*parts, strict=True):
        update = fixed_n - carried_n @ state
        before.append(state)
        updates.append(update)
        state = kept_n * state + keys_n @ update
    mixed = (q * from_start) @ torch.stack(before, 2) + reads @ torch.stack(updates, 2)
    return frames(mixed, longest)
