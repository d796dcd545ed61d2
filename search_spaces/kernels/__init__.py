"""Multi-step integrate-and-fire neurons as two functions, forward and backward.

Both have two ways, equal to the last bit: C, compiled once a machine and shared by all layers
and networks, and torch operations where there is no compiler or the tensors are not float32 or
bfloat16 on a processor. What lies between input and output is at least float32 in either.
"""

from __future__ import annotations

import ctypes

from torch import Tensor

from search_spaces.kernels import compiled, plain
from search_spaces.kernels.native import library


def forward(x: Tensor, k: float | None, threshold: float) -> Tensor:
    """Fire.

    ``H[t] = V[t-1] + (X[t] - V[t-1]) k``, or ``V[t-1] + X[t]`` where ``k`` is None;
    ``S[t] = H[t] >= threshold``; ``V[t] = 0`` after a spike, else ``H[t]``.

    Args:
        x: ``[T, ...]`` input current.
        k: Share of the current that reaches the membrane in a step, ``1 / tau``.
        threshold: Firing threshold.

    Returns:
        Spikes in {0, 1}, of the shape and type of ``x``.
    """
    found = _library_for(x)
    if found is None:
        return plain.forward(x, k, threshold)
    return compiled.forward(found, x.contiguous(), k, threshold)


def backward(
    grad: Tensor, x: Tensor, k: float | None, threshold: float, alpha: float
) -> tuple[Tensor, float]:
    """Return the gradients of the input, ``[T, ...]``, and of ``k``.

    The step's gradient is that of ``atan(pi/2 alpha u) / pi``; the reset passes none.
    """
    found = _library_for(x)
    grad = grad.to(x.dtype)
    if found is None:
        of_x, of_k = plain.backward(grad, x, k, threshold, alpha)
    else:
        x, grad = x.contiguous(), grad.contiguous()
        of_x, of_k = compiled.backward(found, grad, x, k, threshold, alpha)
    return of_x, float(of_k.double().sum())


def _library_for(x: Tensor) -> ctypes.CDLL | None:
    if x.device.type != "cpu" or x.dtype not in compiled.TYPES or x.numel() == 0:
        return None
    return library()
