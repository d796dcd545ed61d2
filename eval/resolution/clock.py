"""Time-to-first-spike networks at another time step: their windows, and their own clock."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor, nn

from eval.resolution.state_space import check_ratio
from search_spaces.errors import NasError
from search_spaces.ttfs import TTFSNetwork


def refit(network: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Fit the windows of a time-to-first-spike network to frames of another length.

    Args:
        network: Any; only such a network is changed.
        batches: Arguments of forward passes, at the new step. No label is needed.
    """
    if isinstance(network, TTFSNetwork) and network.discretisation is not None:
        network.fit_windows(batches, network.discretisation.margin)


def at_clock(
    network: TTFSNetwork, ratio: float, batches: Iterable[tuple[Tensor, ...]] | None = None
) -> None:
    """Change the clock of a time-to-first-spike network in place.

    Its neurons have no leak, so a spike keeps its time and is rounded to the nearest step of
    the new clock; no parameter changes.

    Args:
        network: Mapped, in its spiking view.
        ratio: New clock step over old one.
        batches: Arguments of forward passes, to fit the windows to; None keeps them. Worth it
            where they were fitted to other data, or to grow in training.

    Raises:
        NasError: A ratio that is none, or one that leaves fewer than two steps of a window.
    """
    check_ratio(ratio)
    if network.discretisation is None:
        raise NasError("a ReLU network has no clock")
    if ratio == 1:
        return
    steps = math.floor(network.discretisation.steps / ratio + 0.5)
    if steps < 2:
        raise NasError(
            f"{network.discretisation.steps} clock steps over {ratio:g} leave {steps} of a window",
            hint="a spike needs two of them to carry a value",
        )
    network.discretisation = replace(network.discretisation, steps=steps)
    if batches is not None:
        refit(network, batches)
    network.view = network.spiking_view()
