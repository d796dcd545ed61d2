"""Temporal shift: some channels look at the frame before, some at the frame after."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from search_spaces.buffers import LateBuffers
from search_spaces.errors import NasError

Direction = Literal["past", "both"]


class TemporalShift(LateBuffers, nn.Module):
    """Shift a share of the channels by one frame; no parameter, no arithmetic.

    With ``f = floor(ratio * D)``: ``y[t, :f] = x[t-1, :f]``, and in both directions also
    ``y[t, f:2f] = x[t+1, f:2f]``; the rest is copied, what comes from outside is zero. With
    several SNN steps a frame, a frame is that many steps. At another time step than that of the
    training, the buffer ``delay`` holds what a frame of the training is in steps of now; it need
    not be whole, and is rounded where it is used.

    Source: TSM (Lin et al., ICCV 2019); as a replacement of convolution in PTS-SNN.

    Args:
        ratio: Share of the channels per direction, 0 to 0.5 (0 to 1 for ``past`` alone).
        direction: ``past`` is causal, ``both`` needs one frame of look-ahead.
        steps: SNN steps of one frame.
    """

    late: ClassVar[Mapping[str, torch.dtype]] = {"delay": torch.float64}
    delay: Tensor | None

    def __init__(self, ratio: float, direction: Direction, steps: int = 1) -> None:
        super().__init__()
        if not 0.0 <= ratio <= (1.0 if direction == "past" else 0.5):
            raise NasError(
                f"a shift of {ratio:g} of the channels in direction {direction!r}",
                hint="0 to 0.5 of them per direction; to the past alone 0 to 1",
            )
        self.steps = steps
        self.ratio = ratio
        self.direction = direction
        self.register_buffer("delay", None)

    @property
    def by(self) -> int:
        """Steps that a channel moves, halves rounded up; 0 where a step outlasts the shift."""
        return self.steps if self.delay is None else math.floor(float(self.delay) + 0.5)

    def fold(self, width: int) -> int:
        """Return how many of ``width`` channels move in each direction."""
        return int(self.ratio * width)

    def lookahead(self, width: int, steps: int | None = None) -> int:
        """Return how many frames of the future ``width`` channels need.

        Args:
            width: Channels.
            steps: SNN steps of a frame of now; None for those of the training.
        """
        ahead = self.direction == "both" and self.fold(width) > 0
        return math.ceil(self.by / (steps or self.steps)) if ahead else 0

    def forward(self, x: Tensor) -> Tensor:
        """``[L, B, D]``, zero on padding -> ``[L, B, D]``.

        The first padded frame receives what the last real one sends on: drop the padding
        (``Frames.pack``) before it meets anything that would add it up.
        """
        fold = self.fold(x.shape[-1])
        length = x.shape[0]
        by = min(self.by, length)
        if fold == 0 or by == 0:
            return x
        blank = x.new_zeros(by, x.shape[1], fold)
        parts = [torch.cat((blank, x[: length - by, :, :fold]))]
        if self.direction == "both":
            parts.append(torch.cat((x[by:, :, fold : 2 * fold], blank)))
        parts.append(x[:, :, len(parts) * fold :])
        return torch.cat(parts, -1)
