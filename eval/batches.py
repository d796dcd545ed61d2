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


def shuffled(
    indices: Indices,
    size: int,
    rng: np.random.Generator,
    lengths: Indices | None = None,
    bucket: int = 1,
) -> Iterator[Indices]:
    """Yield one epoch in random order; a last batch of one joins the one before it.

    A batch of one utterance would give batch normalisation almost nothing to average over.

    Args:
        indices: Utterances.
        size: Of a batch.
        rng: Draws the order.
        lengths: ``[len(indices)]`` frames of each.
        bucket: Of so many batches the utterances are drawn together, sorted by length and cut
            into batches, which then come in random order: what is padded is the difference
            within a batch. An eighth of an epoch at most, so that other utterances meet every
            time: of a small corpus none are drawn together.
    """
    order = rng.permutation(len(indices))
    count = -(-len(order) // size)
    together = min(bucket, count // 8)
    if lengths is None or together < 2:
        batches = list(ordered(order, size))
    else:
        drawn = ordered(order, together * size)
        sorted_by_length = [part[np.argsort(lengths[part], kind="stable")] for part in drawn]
        batches = [batch for part in sorted_by_length for batch in ordered(part, size)]
        batches = [batches[i] for i in rng.permutation(len(batches))]
    alone = next((i for i, batch in enumerate(batches) if len(batch) == 1), None)
    if alone is not None and len(batches) > 1:
        one = batches.pop(alone)
        batches[alone - 1] = np.concatenate((batches[alone - 1], one))
    for batch in batches:
        yield indices[batch]
