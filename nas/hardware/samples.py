"""Frames to compare two forms of a network on."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.hardware.loading import Shape

RANDOM = "random frames"


def random_frames(shape: Shape, batch: int, length: int, seed: int) -> Tensor:
    """Draw ``[B, L, D]``: standard normal features, or clips uniform in [0, 1].

    Args:
        shape: Of the input; a clip has its own length.
        batch: ``B``.
        length: ``L``, of features.
        seed: Of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    if isinstance(shape, tuple):
        return torch.rand(batch, *shape, generator=generator).flatten(2)
    return torch.randn(batch, length, shape, generator=generator)
