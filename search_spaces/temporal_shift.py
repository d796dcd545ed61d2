"""Temporal shift: some channels look at the frame before, some at the frame after."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Direction = Literal["past", "both"]


class TemporalShift(nn.Module):
    """Shift a share of the channels by one frame; no parameter, no arithmetic.

    With ``f = floor(ratio * D)``: ``y[t, :f] = x[t-1, :f]``, and in both directions also
    ``y[t, f:2f] = x[t+1, f:2f]``; the rest is copied, what comes from outside is zero.

    Source: TSM (Lin et al., ICCV 2019); as a replacement of convolution in PTS-SNN.

    Args:
        ratio: Share of the channels per direction, 0 to 0.5 (0 to 1 for ``past`` alone).
        direction: ``past`` is causal, ``both`` needs one frame of look-ahead.
    """

    def __init__(self, ratio: float, direction: Direction) -> None:
        super().__init__()
        self.ratio = ratio
        self.direction = direction

    def fold(self, width: int) -> int:
        """Return how many of ``width`` channels move in each direction."""
        return int(self.ratio * width)

    def lookahead(self, width: int) -> int:
        """Return how many frames of the future ``width`` channels need."""
        return int(self.direction == "both" and self.fold(width) > 0)

    def forward(self, x: Tensor) -> Tensor:
        """``[L, B, D]``, zero on padding -> ``[L, B, D]``.

        The first padded frame receives what the last real one sends on: drop the padding
        (``Frames.pack``) before it meets anything that would add it up.
        """
        fold = self.fold(x.shape[-1])
        if fold == 0:
            return x
        blank = torch.zeros_like(x[:1, :, :fold])
        parts = [torch.cat((blank, x[:-1, :, :fold]))]
        if self.direction == "both":
            parts.append(torch.cat((x[1:, :, fold : 2 * fold], blank)))
        parts.append(x[:, :, len(parts) * fold :])
        return torch.cat(parts, -1)
