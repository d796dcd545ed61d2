"""Parts that several mechanisms share: heads, norms, rotation, short convolution, directions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor, nn

from search_spaces.attention.base import AttentionSettings

NORM_EPS = 1e-5


def projection(n_in: int, n_out: int, *, bias: bool = False) -> nn.Linear:
    """A linear map of channels; without bias unless the published layer has one."""
    return nn.Linear(n_in, n_out, bias=bias)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """``[B, L, D]`` -> ``[B, L, H, D / H]``."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)


class RMSNorm(nn.RMSNorm):
    """Root-mean-square normalisation with ``eps`` 1e-5, in the format of its weight."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        assert self.weight is not None
        return super().forward(x.to(self.weight.dtype))


def head_dim(settings: AttentionSettings) -> int:
    """``d``: channels of one head."""
    return settings.width // settings.heads


def in_float32(core: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make a core of ``[B, L, H, ...]`` tensors compute in float32 at least.

    Cumulative gates and triangular solves lose everything in 8 bits of mantissa, and some
    have no kernel for them. The result has the type of the first argument.
    """

    @wraps(core)
    def wrapped(first: Tensor, *rest: object, **options: object) -> Tensor:
        def widen(value: object) -> object:
            half = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
            return value.float() if half else value  # type: ignore[attr-defined]

        with torch.autocast(first.device.type, enabled=False):
            return core(widen(first), *map(widen, rest), **options).to(first.dtype)

    return wrapped


def both_directions(
    recur: Callable[..., Tensor], inputs: tuple[Tensor, ...], mask: Tensor, *, causal: bool
) -> Tensor:
    """Run a causal recurrence forwards, or forwards and backwards in time.

    The backward pass reads the real frames of each utterance last to first, with the same
    weights, so that a causal and a bidirectional mechanism have as many parameters. The two
    results are added; a frame's own term is in both. Norm, gate and output projection come
    after the sum, once, and are the caller's.

    Args:
        recur: ``[B, L, ...]`` tensors -> ``[B, L, ...]``; a frame depends on no later one.
        inputs: What ``recur`` takes, each computed frame by frame.
        mask: ``[B, L]``.
        causal: Whether to leave the backward pass out.
    """
    if causal:
        return recur(*inputs)
    order = _last_to_first(mask)
    # one call on a batch of twice the size: the loops over time run once
    both = recur(*(torch.cat((x, _reorder(x, order))) for x in inputs))
    ahead, back = both.chunk(2)
    return ahead + _reorder(back, order)


def _last_to_first(mask: Tensor) -> Tensor:
    """``[B L]`` flat frame numbers that turn real frames around and leave padding in place."""
    batch, longest = mask.shape
    steps = torch.arange(longest, device=mask.device).expand(batch, longest)
    turned = torch.where(mask, mask.sum(1, keepdim=True) - 1 - steps, steps)
    offset = torch.arange(batch, device=mask.device)[:, None] * longest
    return (turned + offset).flatten()


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    return x.flatten(0, 1).index_select(0, order).view(x.shape)


def rotate(x: Tensor, base: float = 10000.0) -> Tensor:
    """Rotary position code: ``q_i . k_j`` then depends on ``i - j`` alone.

    Channel pairs ``(n, n + d/2)`` turn by ``t base^(-2n/d)`` at frame ``t``, from 0.
    Source: RoFormer (Su et al., arXiv 2104.09864); pairs as in flash-linear-attention.

    Args:
        x: ``[B, L, H, d]``, d even.
        base: Longest wavelength over 2 pi.
    """
    half = x.shape[-1] // 2
    exponent = torch.arange(half, device=x.device, dtype=torch.float64) / half
    steps = torch.arange(x.shape[1], device=x.device, dtype=torch.float64)
    angle = steps[:, None, None] * base**-exponent
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class ShortConvolution(nn.Module):
    """Causal depthwise convolution over time, then SiLU; zeros before the first frame.

    Args:
        width: Channels.
        size: Frames a frame sees, itself included.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.size = size
        # the range of torch's own Conv1d for one input channel a group
        bound = size**-0.5
        self.weight = nn.Parameter(torch.empty(size, width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, L, D]`` -> ``[B, L, D]``; ``weight[-1]`` meets the present frame."""
        longest = x.shape[1]
        padded = nn.functional.pad(x, (0, 0, self.size - 1, 0))
        # a sum of shifted products: torch's grouped convolution is slower on a CPU
        y = padded[:, :longest] * self.weight[0]
        for n in range(1, self.size):
            y = y + padded[:, n : n + longest] * self.weight[n]
        return nn.functional.silu(y)
