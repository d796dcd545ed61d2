"""Padded batches of frame features out of a memory-mapped corpus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from eval.folds import Indices

if TYPE_CHECKING:
    from eval.features import Dataset

# Utterances read before their pages are handed back: a system may map 2 MB around each.
MAPPED = 8


def collate(dataset: Dataset, indices: Indices) -> tuple[Tensor, Tensor, Tensor]:
    """Gather utterances.

    Returns:
        ``[B, L, D]`` features, zero beyond each one's length; ``[B]`` lengths; ``[B]`` labels.
    """
    lengths = dataset.offsets[indices + 1] - dataset.offsets[indices]
    features = np.zeros((len(indices), int(lengths.max()), dataset.dim), np.float32)
    for row, index in enumerate(indices):
        if row % MAPPED == 0:
            dataset.hand_back()
        features[row, : lengths[row]] = dataset.utterance(int(index))
    dataset.hand_back()
    labels = torch.from_numpy(dataset.labels[indices])
    return torch.from_numpy(features), torch.from_numpy(lengths), labels


def ordered(indices: Indices, size: int) -> Iterator[Indices]:
    """Yield slices of ``indices`` in order."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def shuffled(indices: Indices, size: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Yield one epoch in random order; a last batch of one joins the one before it.

    A batch of one utterance would give batch normalisation almost nothing to average over.
    """
    order = rng.permutation(indices)
    batches = list(ordered(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = np.concatenate((batches[-1], last))
    yield from batches
