"""Causal recurrences with a matrix as state, computed block by block.

Inside a block of ``C`` frames all pairs are computed at once; a loop over the blocks carries
the state (chunkwise form: Yang et al., Gated Linear Attention, arXiv 2312.06635).
Time and memory are linear in the number of frames.

Only differences of cumulative log gates from a later to an earlier frame are exponentiated,
so every factor is at most 1 whatever the gates are. A gate by channel then needs a tensor
``[C, C, d]`` a block, hence blocks of at most ``FINE`` frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

FINE = 8


def blocks(x: Tensor, size: int) -> Tensor:
    """``[B, L, H, d]`` -> ``[B, H, N, C, d]``, the last block filled with zeros.

    Zero is neutral for keys, values and log gates alike.
    """
    missing = -x.shape[1] % size
    padded = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, missing))
    heads_first = padded.transpose(1, 2)
    return heads_first.reshape(*heads_first.shape[:2], -1, size, x.shape[3])


def frames(x: Tensor, longest: int) -> Tensor:
    """``[B, H, N, C, d]`` -> ``[B, L, H, d]``: undo ``blocks``."""
    return x.flatten(2, 3)[:, :, :longest].transpose(1, 2)


def pair_decay(cumulative: Tensor) -> Tensor:
    """``exp(c_i - c_j)`` for ``j <= i``, else 0.

    Args:
        cumulative: ``[..., C, d]`` cumulative log gates of a block, each frame's own included.

    Returns:
        ``[..., C, C, d]``.
    """
    size = cumulative.shape[-2]
    ahead = torch.ones(size, size, dtype=torch.bool, device=cumulative.device).triu(1)
    difference = cumulative[..., :, None, :] - cumulative[..., None, :, :]
    return difference.masked_fill(ahead[..., None], -torch.inf).exp()


def scan(decay: Tensor, added: Tensor) -> Tensor:
    """The state before each block: ``S_{n+1} = decay_n S_n + added_n``, ``S_0 = 0``.

    Args:
        decay: ``[B, H, N, d, 1]`` or ``[B, H, N, 1, e]``, at most 1.
        added: ``[B, H, N, d, e]``.

    Returns:
        ``[B, H, N, d, e]``.
    """
    state = torch.zeros_like(added[:, :, 0])
    before = []
    # unbind and not an index: the gradient of x[:, :, n] is a tensor as large as x, so that
    # the backward pass would be quadratic in the number of blocks
    for kept, new in zip(decay.unbind(2), added.unbind(2), strict=True):
        before.append(state)
        state = kept * state + new
    return torch.stack(before, 2)


def decay_by_head(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, size: int) -> Tensor:
    """``S_t = gamma_h S_{t-1} + k_t v_t^T``, ``o_t = S_t^T q_t`` with a constant gamma a head.

    Args:
        q: ``[B, L, H, d]``.
        k: ``[B, L, H, d]``.
        v: ``[B, L, H, e]``.
        log_decay: ``[H]``, log gamma, at most 0.
        size: Frames a block.

    Returns:
        ``[B, L, H, e]``.
    """
    longest = q.shape[1]
    size = min(size, longest)
    q, k, v = blocks(q, size), blocks(k, size), blocks(v, size)
    steps = torch.arange(1, size + 1, device=q.device, dtype=q.dtype)
    c = log_decay.to(q.dtype)[:, None, None] * steps[:, None]  # [H, C, 1]
    pairs = (q @ k.transpose(-1, -2)) * pair_decay(c).squeeze(-1)[:, None]
    total = c[:, -1:]
    added = (k * (total - c).exp()[:, None]).transpose(-1, -2) @ v
    decay = total.exp()[:, None].expand(*added.shape[:3], 1, 1)
    return frames(pairs @ v + (q * c.exp()[:, None]) @ scan(decay, added), longest)


def decay_by_channel(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, size: int) -> Tensor:
    """``S_t = diag(exp g_t) S_{t-1} + k_t v_t^T``, ``o_t = S_t^T q_t``.

    Source: Gated Linear Attention (arXiv 2312.06635).

    Args:
        q: ``[B, L, H, d]``.
        k: ``[B, L, H, d]``.
        v: ``[B, L, H, e]``.
        log_gate: ``[B, L, H, d]``, ``g``, at most 0.
        size: Frames a block.

    Returns:
        ``[B, L, H, e]``.
    """
    longest = q.shape[1]
    size = min(size, FINE, longest)
    q, k, v = blocks(q, size), blocks(k, size), blocks(v, size)
    c = blocks(log_gate, size).cumsum(-2)
    return frames(decayed_keys(q, k, v, c, decayed_pairs(k, c)), longest)


def decayed_pairs(x: Tensor, c: Tensor) -> Tensor:
    """``x_j`` as it is left at frame ``i``: ``[..., C, d]`` twice -> ``[..., C (i), C (j), d]``.

    The largest tensor of all, so it is made once and read by products of matrices only.
    """
    return pair_decay(c) * x[..., None, :, :]


def decayed_keys(q: Tensor, k: Tensor, v: Tensor, c: Tensor, pairs: Tensor) -> Tensor:
    """``decay_by_channel`` on blocks; ``pairs`` is ``decayed_pairs(k, c)``."""
    weights = (pairs @ q[..., None]).squeeze(-1)
    total = c[..., -1:, :]
    added = (k * (total - c).exp()).transpose(-1, -2) @ v
    states = scan(total.exp().transpose(-1, -2), added)
    return weights @ v + (q * c.exp()) @ states


def decayed_values(q: Tensor, k: Tensor, v: Tensor, c: Tensor, pairs: Tensor) -> Tensor:
    """``S_t = S_{t-1} diag(exp g_t) + k_t v_t^T``, ``o_t = S_t^T q_t`` on blocks.

    The gates belong to the channels of the values here; ``pairs`` is ``decayed_pairs(v, c)``.
    """
    weights = q @ k.transpose(-1, -2)
    within = (weights[..., None, :] @ pairs).squeeze(-2)
    total = c[..., -1:, :]
    added = k.transpose(-1, -2) @ (v * (total - c).exp())
    return within + (q @ scan(total.exp(), added)) * c.exp()
