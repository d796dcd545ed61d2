"""The simple models every spiking head must be compared with: mean of the frames, then a map.

``hidden`` 0 is the linear probe; otherwise one hidden layer of ReLU units (the head of the
emotion2vec and SUPERB protocols has 256).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from search_spaces.frames import Frames


class MeanPool(nn.Module):
    """Mean over an utterance's own frames, standardised, then a linear map or a small MLP.

    Args:
        input_dim: Width of the input features.
        hidden: Units of the hidden layer; 0 for none.
        n_classes: Number of classes.
    """

    latency_frames = None

    def __init__(self, input_dim: int, hidden: int, n_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(input_dim, affine=False, momentum=None)
        self.hidden = nn.Linear(input_dim, hidden) if hidden else nn.Identity()
        self.act = nn.ReLU() if hidden else nn.Identity()
        self.out = nn.Linear(hidden or input_dim, n_classes)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """``[B, L, D]`` features and ``[B]`` lengths -> ``[B, C]`` logits."""
        frames = Frames.of(features, lengths)
        x = frames.unpack(frames.pack(features.transpose(0, 1)))
        pooled = x.sum(0) / frames.lengths[:, None].to(x.dtype)
        logits: Tensor = self.out(self.act(self.hidden(self.norm(pooled))))
        return logits


def build(values: Mapping[str, Any], input_dim: int, n_classes: int) -> nn.Module:
    """Build the model; the entry point of the family table."""
    return MeanPool(input_dim, int(values["hidden"]), n_classes)
