"""Calls of the compiled functions; shapes and meaning as in :mod:`search_spaces.kernels`."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from search_spaces.kernels.native import LANES

TYPES = {torch.float32: "f32", torch.bfloat16: "bf16"}


def forward(found: ctypes.CDLL, x: Tensor, k: float | None, threshold: float) -> Tensor:
    """Return the spikes of contiguous ``x``."""
    out = torch.empty_like(x)
    call = getattr(found, f"forward_{TYPES[x.dtype]}")
    lanes = x[0].numel()
    call(x.data_ptr(), out.data_ptr(), len(x), lanes, k is not None, k or 0.0, threshold)
    return out


def backward(
    found: ctypes.CDLL, grad: Tensor, x: Tensor, k: float | None, threshold: float, alpha: float
) -> tuple[Tensor, Tensor]:
    """Return the gradients of contiguous ``x``, and of ``k`` by lane."""
    out, of_k = torch.empty_like(x), torch.empty(x[0].numel(), dtype=torch.float32)
    membranes = torch.empty(len(x), LANES, dtype=torch.float32)
    getattr(found, f"backward_{TYPES[x.dtype]}")(
        grad.data_ptr(),
        x.data_ptr(),
        out.data_ptr(),
        membranes.data_ptr(),
        of_k.data_ptr(),
        len(x),
        of_k.numel(),
        k is not None,
        k or 0.0,
        threshold,
        alpha,
    )
    return out, of_k
