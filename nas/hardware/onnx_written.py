"""Operations of torch in simpler ones, for which ONNX has nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from search_spaces.errors import NasError


def _silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def _softplus(x: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    if beta != 1:
        raise NasError("a scaled softplus has no ONNX form here")
    # log(1 + e^x) without overflow
    return torch.relu(x) + torch.log(1.0 + torch.exp(-x.abs()))


def _log_sigmoid(x: Tensor) -> tuple[Tensor, Tensor]:
    return -_softplus(-x), x


def _expm1(x: Tensor) -> Tensor:
    # tanh keeps the digits that exp(x) - 1 loses near 0: (e^x - 1) = (e^x + 1) tanh(x / 2)
    return (torch.exp(x) + 1.0) * torch.tanh(0.5 * x)


def _safe_softmax(x: Tensor, axis: int, dtype: torch.dtype | None = None) -> Tensor:
    # a row of nothing but -inf gives zeros, and not what is no number
    blank = x.amax(axis, keepdim=True) == float("-inf")
    return torch.where(blank, 0.0, torch.softmax(x, axis, dtype))


def _logcumsumexp(x: Tensor, axis: int) -> Tensor:
    parts = list(x.unbind(axis))
    for i in range(1, len(parts)):
        a, b = parts[i - 1], parts[i]
        top = torch.maximum(a, b)
        parts[i] = top + torch.log(torch.exp(a - top) + torch.exp(b - top))
    return torch.stack(parts, axis)


def _solve_triangular(
    a: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """Forward substitution."""
    if upper or not left or not unitriangular:
        raise NasError("this triangular solve has no ONNX form here")
    rows: list[Tensor] = []
    for i in range(a.shape[-1]):
        row = b[..., i, :]
        for j, solved in enumerate(rows):
            row = row - a[..., i, j, None] * solved
        rows.append(row)
    return torch.stack(rows, -2)


WRITTEN: dict[str, Callable[..., Any]] = {
    "silu": _silu,
    "softplus": _softplus,
    "log_sigmoid_forward": _log_sigmoid,
    "expm1": _expm1,
    "_safe_softmax": _safe_softmax,
    "logcumsumexp": _logcumsumexp,
    "linalg_solve_triangular": _solve_triangular,
}
