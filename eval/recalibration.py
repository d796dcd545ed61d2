"""Statistics of normalisations, taken again for weights that come from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]  # [B, L, D] features, [B] lengths


def recalibrate(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Take the statistics of every batch normalisation again, as a mean over batches.

    Args:
        network: Left in training mode.
        batches: ``[B, L, D]`` features and ``[B]`` lengths. Passed without any batch
            normalisation as well: other layers set themselves from a first training pass.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    before = [n.momentum for n in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.train()
    with torch.no_grad():
        for features, lengths in batches:
            network(features, lengths)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
