"""GSA: gated slot attention."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid, silu

from search_spaces.attention import fla_backend
from search_spaces.attention.base import (
    Attention,
    AttentionOperations,
    AttentionSettings,
    count_projection,
)
from search_spaces.attention.common import (
    RMSNorm,
    both_directions,
    head_dim,
    in_float32,
    projection,
    split_heads,
)
from search_spaces.attention.linear import (
    FINE,
    blocks,
    decayed_keys,
    decayed_pairs,
    decayed_values,
    frames,
)

GATE_TEMPERATURE = 8.0


class GSA(Attention):
    """A memory of ``M`` slots, written by gates and read by a softmax over the slots.

    With ``log alpha_t = logsigmoid(W_f x) / 8``, ``s_t = 1 - alpha_t``, ``q, k, v = silu(W x)``:
    ``K_t = diag(alpha_t) K_{t-1} + s_t k_t^T``, ``V_t = diag(alpha_t) V_{t-1} + s_t v_t^T``,
    ``o_t = V_t^T softmax(K_t q_t)``; ``y = W_o RMSNorm(silu(o))``.
    Source: Zhang et al. (arXiv 2409.07146), with ``M = d`` and the scale 1 of
    flash-linear-attention's layer. Bidirectional: ``both_directions``.
    Parameters: ``5 D^2 + D``.

    Operations: five projections, and a frame and direction ``6 D d``: decay of, write to and
    readout from each of the two memories.
    """

    def __init__(self, settings: AttentionSettings) -> None:
        super().__init__(settings)
        width = settings.width
        self.query = projection(width, width)
        self.key = projection(width, width)
        self.value = projection(width, width)
        self.forget = projection(width, width)
        self.norm = RMSNorm(width)
        self.output = projection(width, width)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        log_gate = logsigmoid(self.forget(x)) / GATE_TEMPERATURE
        parts = (silu(self.query(x)), silu(self.key(x)), silu(self.value(x)), log_gate)
        inputs = tuple(split_heads(part, self.settings.heads) for part in parts)
        mixed = both_directions(self._recur, inputs, mask, causal=self.settings.causal)
        y: Tensor = self.output(self.norm(silu(mixed).flatten(2)))
        return y

    def _recur(self, q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> Tensor:
        # 1 - alpha, without its cancellation near alpha = 1
        slots = -log_gate.expm1()
        if fla_backend.use_fla("gsa", self.settings.backend, q):
            return fla_backend.gsa(q, k, v, slots, log_gate)
        return _recall(q, k, v, slots, log_gate, self.settings.chunk)

    def _count(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        width, dim = self.settings.width, head_dim(self.settings)
        directions = 1 if self.settings.causal else 2
        a_frame = directions * 6 * width * dim + width**2
        own = AttentionOperations(macs=float(mask.sum()) * a_frame)
        return count_projection(x, mask, 4 * width) + own


@in_float32
def _recall(q: Tensor, k: Tensor, v: Tensor, slots: Tensor, log_gate: Tensor, size: int) -> Tensor:
    longest = q.shape[1]
    size = min(size, FINE, longest)
    q, k, v, s = (blocks(x, size) for x in (q, k, v, slots))
    c = blocks(log_gate, size).cumsum(-2)
    # the slots are the values of the first memory and the keys of the second
    pairs = decayed_pairs(s, c)
    attention = decayed_values(q, k, s, c, pairs).softmax(-1)
    return frames(decayed_keys(attention, s, v, c, pairs), longest)
