"""A corpus that a small head learns in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.features import Dataset

DIM = 8


def synthetic(
    counts: Sequence[int] = (20, 20, 20), speakers: int = 4, seed: int = 0, **changes: Any
) -> Dataset:
    """Make utterances of 4 to 9 frames, noise around a mean that only the class decides.

    Args:
        counts: Utterances of each class; each class goes round the speakers.
        speakers: How many.
        seed: Of the frames.
        changes: Other fields than the default ones.
    """
    rng = np.random.default_rng(seed)
    means = 1.5 * rng.standard_normal((len(counts), DIM))
    labels = np.repeat(np.arange(len(counts)), counts)
    lengths = rng.integers(4, 10, len(labels))
    frames = np.concatenate(
        [means[c] + rng.standard_normal((n, DIM)) for c, n in zip(labels, lengths, strict=True)]
    )
    n = len(labels)
    fields: dict[str, Any] = {
        "name": "synthetic",
        "frames": frames.astype(np.float32),
        "offsets": np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        "labels": labels.astype(np.int64),
        "classes": ("anger", "joy", "sadness")[: len(counts)],
        "speakers": tuple(f"s{i % speakers}" for i in range(n)),
        "sessions": (None,) * n,
        "splits": (None,) * n,
        "paths": tuple(f"{i}.npy" for i in range(n)),
        "frame_rate": 12.5,
        "source": {"corpus": "synthetic"},
        "encoder_macs": None,
        "digest": f"synthetic-{seed}",
    }
    return Dataset(**{**fields, **changes})
