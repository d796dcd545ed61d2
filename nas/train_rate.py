"""``--train-rate``: candidates are trained at fewer frames a second than they are measured at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.errors import NasError
from search_spaces.families import get_family
from search_spaces.space import Space

if TYPE_CHECKING:
    from eval.dataset import Dataset
    from eval.resolution.train_rate import TrainRate

TRIED = 32  # architectures drawn to find one whose neurons remember


def make_train_rate(dataset: Dataset, space: Space, rate: float | None) -> TrainRate | None:
    """Return what trains a space's networks at a rate; None where none is asked for.

    Args:
        dataset: At the frame rate that networks are measured at.
        space: Names the family.
        rate: As asked for [Hz].

    Raises:
        NasError: The rate is none of this dataset, or no network of the space has neurons that
            remember one frame in the next.
    """
    if rate is None:
        return None
    from eval.resolution.train_rate import TrainRate

    made = TrainRate(dataset, rate)
    if not _some_remember(dataset, space, made):
        raise NasError(
            f"no network of space {space.name!r} remembers one frame in the next: a training at"
            " another rate would need no adaptation",
            hint="leave --train-rate out; a lower --frame-rate, or input.pooling in the space,"
            " is cheaper as well",
        )
    return made


def trained_at(metrics: Mapping[str, Any]) -> str:
    """Say that weights were trained at another rate, for the end of a sentence; else nothing."""
    if "train_rate" not in metrics:
        return ""
    rate, method = metrics["train_rate"], metrics["adapted_by"]
    return f"; trained at {rate:g} steps a second, then adapted by {method} without training"


def _some_remember(dataset: Dataset, space: Space, made: TrainRate) -> bool:
    import numpy as np
    import torch

    from eval.resolution.network import ChangesStep, has_memory

    family, rng = get_family(space.family), np.random.default_rng(0)
    n_classes = len(dataset.classes)
    for _ in range(TRIED):
        try:
            with torch.device("meta"):  # shapes without memory
                network = family.build(space.sample(rng), dataset.shape, n_classes)
        except NasError:
            continue  # one of the space that cannot be built is refused when it is proposed
        made.check(network)
        if has_memory(network) or isinstance(network, ChangesStep):
            return True
    return False
