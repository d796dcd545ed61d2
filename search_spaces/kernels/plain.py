"""The same in torch operations; shapes and meaning as in :mod:`search_spaces.kernels`.

Membranes are kept negated: torch's ``threshold`` then is the whole hard reset, one pass over
memory where a comparison and a choice would be three. Negation changes no rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def forward(x: Tensor, k: float | None, threshold: float) -> Tensor:
    """Return the spikes of ``x``."""
    return (_negated(x, k, threshold) <= -threshold).to(x.dtype)


def backward(
    grad: Tensor, x: Tensor, k: float | None, threshold: float, alpha: float
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``x``, and of ``k`` by lane."""
    n = _negated(x, k, threshold)
    half = alpha / 2
    u = (n + threshold).mul_(math.pi * half)
    down = half / u.square_().add_(1.0)
    down.mul_(grad.to(n.dtype))
    kept = (n > -threshold).to(n.dtype)
    into = down if k is None else torch.empty_like(down)
    carried = torch.zeros_like(n[0])
    for t in range(len(x) - 1, -1, -1):
        step = down[t].addcmul_(carried, kept[t])
        if k is None:
            carried = step
            continue
        torch.mul(step, k, out=into[t])
        carried = step - into[t]
    of_k = torch.zeros(n[0].numel(), dtype=n.dtype)
    if k is not None:
        current = x.to(n.dtype, copy=True)
        current[1:] += torch.threshold(n[:-1], -threshold, 0.0)
        for part in (down * current).flatten(1).flip(0):
            of_k += part
    return into.to(x.dtype), of_k


def _negated(x: Tensor, k: float | None, threshold: float) -> Tensor:
    """Return ``-H``, at least in float32."""
    n = -x.to(torch.promote_types(x.dtype, torch.float32))
    v = torch.zeros_like(n[0])
    for step in n:
        if k is None:
            step.add_(v)
        else:  # not add's own factor: it may be rounded once where this is rounded twice
            step.sub_(v).mul_(k).add_(v)
        v = torch.threshold(step, -threshold, 0.0)
    return n
