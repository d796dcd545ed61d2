"""Batches of utterances of unequal length, time first, and layers that never see padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from search_spaces.buffers import LateBuffers
from search_spaces.errors import NasError
from search_spaces.inhibition import LateralInhibition


class Frames:
    """Which of the ``[L, B]`` frames of a padded batch are real.

    Args:
        lengths: ``[B]`` number of real frames of each utterance, each at least 1.
        longest: ``L``.
    """

    def __init__(self, lengths: Tensor, longest: int) -> None:
        self.lengths = lengths
        self.longest = longest
        steps = torch.arange(longest, device=lengths.device)
        self.mask = steps[:, None] < lengths[None, :]
        self.valid = int(lengths.sum())
        self._full = self.valid == longest * lengths.numel()
        self._index = None if self._full else self.mask.flatten().nonzero().squeeze(1)

    @classmethod
    def of(cls, features: Tensor, lengths: Tensor | None) -> Frames:
        """Return the frames of a batch ``[B, L, D]``; without lengths all are real.

        Raises:
            NasError: The batch holds no frame.
        """
        if features.shape[0] == 0 or features.shape[1] == 0:
            raise NasError(f"features of shape {list(features.shape)} hold no frame")
        if lengths is None:
            lengths = torch.full((features.shape[0],), features.shape[1], device=features.device)
        return cls(lengths, features.shape[1])

    def pack(self, x: Tensor) -> Tensor:
        """``[L, B, D]`` -> ``[valid, D]``: the real frames alone."""
        flat = x.flatten(0, 1)
        return flat if self._index is None else flat.index_select(0, self._index)

    def unpack(self, x: Tensor) -> Tensor:
        """``[valid, D]`` -> ``[L, B, D]``, zero on padding."""
        shape = (self.longest, self.lengths.numel(), x.shape[-1])
        if self._index is None:
            return x.view(shape)
        flat = x.new_zeros(shape[0] * shape[1], shape[2])
        return flat.index_copy_(0, self._index, x).view(shape)

    def clear(self, x: Tensor) -> Tensor:
        """``[L, B, D]`` -> the same, zero on padding, and no gradient from there.

        Spikes on padding are 0 by themselves, but their surrogate gradient is not: whatever
        reads frames together must clear them first, or padding moves the weights.
        """
        return x if self._index is None else x * self.mask[..., None].to(x.dtype)


class Projection(nn.Module):
    """Linear map and normalisation over the real frames of a batch.

    Padding enters neither the product nor the statistics. At inference batch normalisation
    folds into the weights, so it costs no operation of its own.

    Args:
        n_in: Input channels.
        n_out: Output channels.
        spiking: Whether the input is spikes; then a product is an accumulate per spike.
        normalization: ``batch`` or ``lateral_inhibition``.
    """

    def __init__(
        self, n_in: int, n_out: int, *, spiking: bool, normalization: str = "batch"
    ) -> None:
        super().__init__()
        self.spiking = spiking
        self.linear = nn.Linear(n_in, n_out, bias=False)
        batch = normalization == "batch"
        self.norm = nn.BatchNorm1d(n_out) if batch else LateralInhibition(n_in, n_out)

    def forward(
        self, packed: Tensor, frames: Frames, trains: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """Project the real frames.

        Args:
            packed: ``[valid, n_in]``.
            frames: Where they belong.
            trains: The spike trains that ``packed`` is a weighted sum of, where it is one:
                each of their spikes is an event for the operation counter.

        Returns:
            ``[L, B, n_out]``, zero on padding.
        """
        y = self.linear(packed)
        if isinstance(self.norm, LateralInhibition):
            return frames.unpack(self.norm(y, packed))
        return frames.unpack(batch_normalised(self.norm, y))


def batch_normalised(norm: nn.Module, y: Tensor) -> Tensor:
    """Normalise ``[N, C, ...]``; a single value a channel as at inference: it has no variance."""
    if norm.training and isinstance(norm, nn.BatchNorm1d) and y.numel() == y.shape[1]:
        return nn.functional.batch_norm(
            y, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
        )
    normalised: Tensor = norm(y)
    return normalised


class FramePooling(nn.Module):
    """Average ``size`` successive frames into one; the last window averages what is there."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, packed: Tensor, frames: Frames) -> tuple[Tensor, Frames]:
        """``[valid, D]`` -> ``[valid pooled, D]`` and the frames they belong to."""
        if self.size == 1:
            return packed, frames
        x = frames.unpack(packed)
        n = -(-frames.longest // self.size)
        missing = n * self.size - frames.longest
        padded = nn.functional.pad(x, (0, 0, 0, 0, 0, missing))
        summed = padded.view(n, self.size, *x.shape[1:]).sum(1)
        starts = torch.arange(n, device=x.device)[:, None] * self.size
        count = (frames.lengths[None, :] - starts).clamp(1, self.size)
        lengths = -torch.div(-frames.lengths, self.size, rounding_mode="floor")
        pooled = Frames(lengths, n)
        return pooled.pack(summed / count[..., None].to(x.dtype)), pooled


class FrameRepeat(LateBuffers, nn.Module):
    """Give every frame ``steps`` SNN steps: its current is held.

    A network that reads coarser frames than it was trained on may take several of its steps in
    each: the buffer ``held``, None until then, is how many times as many.
    """

    late: ClassVar[Mapping[str, torch.dtype]] = {"held": torch.int64}
    held: Tensor | None

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.built = steps
        self.register_buffer("held", None)

    @property
    def steps(self) -> int:
        """SNN steps a frame."""
        return self.built if self.held is None else self.built * int(self.held)

    def forward(self, x: Tensor, frames: Frames) -> tuple[Tensor, Frames]:
        """``[L, B, D]`` -> ``[L * steps, B, D]`` and its frames."""
        if self.steps == 1:
            return x, frames
        repeated = Frames(frames.lengths * self.steps, frames.longest * self.steps)
        return x.repeat_interleave(self.steps, 0), repeated


class SoftSaturation(nn.Module):
    """``tanh(xi * LayerNorm(x))``: bound the input of the first membrane.

    Source: PTS-SNN (arXiv 2602.08240), stage 1a, as public reviews give it; the value of xi
    is not published.
    """

    def __init__(self, width: int, gain: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gain = gain

    def forward(self, packed: Tensor) -> Tensor:
        """``[valid, D]`` -> ``[valid, D]`` in (-1, 1)."""
        return torch.tanh(self.gain * self.norm(packed))


class RateReadout(nn.Module):
    """Logits from the firing rate of each channel over an utterance's own frames."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)

    def forward(self, spikes: Tensor, frames: Frames) -> Tensor:
        """``[L, B, n_in]`` spikes -> ``[B, n_out]``."""
        # counted in float32: among 256 spikes bfloat16 no longer sees one more
        total = frames.clear(spikes).sum(0, dtype=torch.promote_types(spikes.dtype, torch.float32))
        rates = total / frames.lengths[:, None].to(total.dtype)
        logits: Tensor = self.linear(rates)
        return logits
