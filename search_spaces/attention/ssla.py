"""SSLA: spiking sparse linear attention."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from search_spaces.attention.base import AttentionOperations
from search_spaces.attention.common import head_dim, in_float32, split_heads
from search_spaces.attention.linear import FINE, decay_by_head
from search_spaces.attention.spiking import SpikingAttention
from search_spaces.frames import Frames


class SSLA(SpikingAttention):
    """Linear attention of spikes through a context matrix, keys and values first.

    ``G = 1/n sum_t K_t V_t^T`` a head, ``y = BN(W_O SN(d^-1/2 Q G))`` with binary ``Q, K, V``.
    Causal: ``G_t`` is the mean over the frames so far. ``sparsity`` sets that share of the
    entries of every ``G`` (of every ``G_t``) to zero; the largest stay, of equal ones the
    first in row order, so that the choice does not depend on the device.

    Re-derived: PTS-SNN (arXiv 2602.08240) names the mechanism, its equations are not public
    to us. Binary attention without softmax as in Spikformer (Zhou et al., arXiv 2209.15425, SSA);
    self-attention of frames where PTS-SNN reads the context with prompts.

    Operations: projections of ``x``; an accumulate for every coincidence of a key and a value
    spike of a head; for every query spike one for each entry kept in its row of ``G``;
    ``D`` for every attention spike. Scaling by a constant moves into the threshold and is
    free, the running mean is not: ``D`` multiplications a frame when causal.
    """

    def context(self, x: Tensor, mask: Tensor) -> Tensor:
        """The context matrices of whole utterances, sparsified.

        Args:
            x: ``[B, L, D]``.
            mask: ``[B, L]`` bool.

        Returns:
            ``[B, H, d, d]``, keys by values; when causal, that after the last frame.

        Raises:
            NasError: As ``forward``.
        """
        clean = self._enter(x, mask)
        frames = Frames(mask.sum(1), mask.shape[1])
        _, k, v = (self._heads(part) for part in self._encode(clean, frames))
        return self._sparse(_mean_context(k, v, frames.lengths))

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, frames: Frames) -> tuple[Tensor, Tensor]:
        q, k, v = self._heads(q), self._heads(k), self._heads(v)
        if not self.settings.causal:
            current = _read(q, self._sparse(_mean_context(k, v, frames.lengths)))
        elif self.settings.sparsity == 0:
            level = torch.zeros(self.settings.heads, device=q.device)
            current = in_float32(decay_by_head)(q, k, v, level, self.settings.chunk)
            current = current / _frames_so_far(current)
        else:
            read = [_read_each(block, self._sparse(g)) for block, g in _running(q, k, v)]
            current = torch.cat(read, 1) / _frames_so_far(q)
        scaled = current * head_dim(self.settings) ** -0.5
        fired = frames.clear(self.fire_attention(scaled.flatten(2).transpose(0, 1)))
        return fired, fired

    def _count_core(self, q: Tensor, k: Tensor, v: Tensor, frames: Frames) -> AttentionOperations:
        q, k, v = self._heads(q), self._heads(k), self._heads(v)
        coincidences = float((k.double().sum(-1) * v.double().sum(-1)).sum())
        if self.settings.sparsity == 0:
            reads = float(q.count_nonzero()) * head_dim(self.settings)
        elif self.settings.causal:
            reads = sum(_count_reads(part, self._kept(g)) for part, g in _running(q, k, v))
        else:
            kept = self._kept(_mean_context(k, v, frames.lengths))
            reads = _count_reads(q, kept[:, None])
        macs = float(frames.valid * self.settings.width) if self.settings.causal else 0.0
        return AttentionOperations(macs=macs, acs=coincidences + reads)

    def _count_twin(self, frames: Frames) -> float:
        # every pair of a key and a value of a head, every entry kept, and the running mean
        width, dim = self.settings.width, head_dim(self.settings)
        reads = self.settings.heads * entries_kept(dim * dim, self.settings.sparsity)
        mean = width if self.settings.causal else 0
        return float(frames.valid * (width * dim + reads + mean))

    @property
    def accumulators(self) -> int:
        """The context matrix of every head."""
        return self.settings.width * head_dim(self.settings)

    def _heads(self, spikes: Tensor) -> Tensor:
        """``[L, B, D]`` -> ``[B, L, H, d]``."""
        return split_heads(spikes.transpose(0, 1), self.settings.heads)

    def _sparse(self, context: Tensor) -> Tensor:
        return context if self.settings.sparsity == 0 else context * self._kept(context)

    def _kept(self, context: Tensor) -> Tensor:
        return largest(context, self.settings.sparsity)


def entries_kept(total: int, sparsity: float) -> int:
    """How many of ``total`` entries stay when a share is dropped: whole ones, at least one."""
    return max(1, total - round(sparsity * total))


def largest(context: Tensor, sparsity: float) -> Tensor:
    """Which entries of matrices stay when a share of each is set to zero.

    Args:
        context: ``[..., d, e]``.
        sparsity: Share of the ``d e`` entries to drop; see ``entries_kept``.

    Returns:
        Bool ``[..., d, e]``; of equal magnitudes the first in row order stay.
    """
    flat = context.detach().abs().flatten(-2)
    total = flat.shape[-1]
    keep = entries_kept(total, sparsity)
    least = flat.kthvalue(total - keep + 1).values[..., None]
    above, equal = flat > least, flat == least
    room = keep - above.sum(-1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(-1, dtype=torch.int32) <= room))
    return chosen.view(context.shape)


@in_float32
def _mean_context(k: Tensor, v: Tensor, lengths: Tensor) -> Tensor:
    """``[B, L, H, d]`` twice, zero on padding -> ``[B, H, d, d]``."""
    # sums of 0 and 1 are exact, so equal entries stay equal whatever the order of summation
    summed = torch.einsum("blhd,blhe->bhde", k, v)
    return summed / lengths[:, None, None, None].to(summed.dtype)


@in_float32
def _read(q: Tensor, context: Tensor) -> Tensor:
    """``[B, L, H, d]`` and ``[B, H, d, d]`` -> ``[B, L, H, d]``."""
    return torch.einsum("blhd,bhde->blhe", q, context)


@in_float32
def _read_each(q: Tensor, contexts: Tensor) -> Tensor:
    """``[B, L, H, d]`` and ``[B, L, H, d, d]`` -> ``[B, L, H, d]``."""
    return (q[..., None, :] @ contexts).squeeze(-2)


def _frames_so_far(x: Tensor) -> Tensor:
    """``[L, 1, 1]``: 1, 2, ... for ``x`` of ``[B, L, H, d]``."""
    return torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)[:, None, None]


def _running(q: Tensor, k: Tensor, v: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Queries and summed contexts ``[B, C, H, d, d]`` frame by frame, a block at a time."""
    wide = torch.float32 if k.dtype in (torch.bfloat16, torch.float16) else k.dtype
    before: Tensor | float = 0.0
    parts = (torch.split(x, FINE, 1) for x in (q, k.to(wide), v.to(wide)))
    for q_n, k_n, v_n in zip(*parts, strict=True):
        sums = before + (k_n[..., :, None] * v_n[..., None, :]).cumsum(1)
        before = sums[:, -1:]
        yield q_n, sums


def _count_reads(q: Tensor, kept: Tensor) -> float:
    """Entries that query spikes read: ``[B, L, H, d]`` and ``[B, L or 1, H, d, d]``."""
    return float((q.double() * kept.sum(-1)).sum())
