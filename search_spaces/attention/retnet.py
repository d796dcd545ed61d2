"""RetNet: retention with a fixed decay a head."""

from __future__ import annotations

import torch
from torch import Tensor
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
    both_directions,
    head_dim,
    in_float32,
    projection,
    rotate,
    split_heads,
)
from search_spaces.attention.linear import decay_by_head
from search_spaces.errors import NasError


class RetNet(Attention):
    """Multi-scale retention.

    ``S_t = gamma_h S_{t-1} + k_t v_t^T``, ``o_t = d^-1/2 S_t^T q_t`` with rotary ``q``, ``k``
    and ``gamma_h = 1 - 2^(-5-h)``; ``y = W_o (RMSNorm_head(o) * swish(W_g x))``.
    Source: Sun et al. (arXiv 2307.08621), with the head norm and the lack of an
    ``xpos`` scale as in flash-linear-attention. Values are as wide as keys (``expand_v`` 1),
    not twice as in the paper, so that the mechanisms are comparable in parameters.
    Bidirectional: ``both_directions``; rotation restarts at the end of the utterance.
    Parameters: ``5 D^2 + d``.

    Operations: five projections, and a frame and direction ``3 D d``: decay of the state,
    ``k v^T`` and readout.

    Raises:
        NasError: The head dimension is odd: rotation turns channels in pairs.
    """

    def __init__(self, settings: AttentionSettings) -> None:
        super().__init__(settings)
        width, dim = settings.width, head_dim(settings)
        if dim % 2:
            raise NasError(
                f"attention 'retnet' needs an even head dimension, got {width} / "
                f"{settings.heads} = {dim}",
                hint="rotary position codes turn channels in pairs; change width or heads",
            )
        self.query = projection(width, width)
        self.key = projection(width, width)
        self.value = projection(width, width)
        self.gate = projection(width, width)
        self.norm = RMSNorm(dim)
        self.output = projection(width, width)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        parts = (self.query(x), self.key(x), self.value(x))
        inputs = tuple(split_heads(part, self.settings.heads) for part in parts)
        mixed = both_directions(self._recur, inputs, mask, causal=self.settings.causal)
        y: Tensor = self.output(self.norm(mixed).flatten(2) * silu(self.gate(x)))
        return y

    def _recur(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = rotate(q), rotate(k)
        if fla_backend.use_fla("retnet", self.settings.backend, q):
            return fla_backend.retnet(q, k, v)
        return _retain(q, k, v, self.settings.chunk)

    def _count(self, x: Tensor, mask: Tensor) -> AttentionOperations:
        width, dim = self.settings.width, head_dim(self.settings)
        directions = 1 if self.settings.causal else 2
        a_frame = directions * 3 * width * dim + width**2
        own = AttentionOperations(macs=float(mask.sum()) * a_frame)
        return count_projection(x, mask, 4 * width) + own


@in_float32
def _retain(q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
    heads = torch.arange(q.shape[2], device=q.device, dtype=torch.float64)
    log_decay = torch.log1p(-torch.exp2(-5.0 - heads))
    return decay_by_head(q * q.shape[-1] ** -0.5, k, v, log_decay, size)
