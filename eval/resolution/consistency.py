"""How well a network at another time step still does what it did: spikes of every layer.

No label enters. The same recordings are given at the source's step to the source and at the new
one to the adapted network, and the spikes of every layer of neurons are counted over the whole
recording: an adaptation that keeps the dynamics keeps their number.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from eval.energy.operations import OperationCounter
from eval.folds import Indices
from eval.resolution.network import change_step, has_memory
from eval.resolution.state_space import Inputs
from eval.training import predict
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from eval.features import Dataset

# What `auto` chooses from: the references would be chosen by chance only.
CANDIDATES = ("integral", "euler", "decay")
# What a report compares; the expectation is the integral (see `state_space`).
COMPARED = (*CANDIDATES, "tau", "none")

CROWDED = 0.5  # mean spikes of a neuron in what becomes one step, where losing some is certain


@dataclass(frozen=True)
class Adapted:
    """A network at the new step by one method.

    Args:
        method: One of ``METHODS``.
        network: A changed copy of the source; None where the method refused.
        refusal: Why it did, or None.
        notes: Of :func:`~eval.resolution.network.change_step`, and of :func:`crowded`.
        ratios: Spikes of each layer over those of the source's.
    """

    method: str
    network: nn.Module | None
    refusal: str | None
    notes: tuple[str, ...]
    ratios: Mapping[str, float]

    @property
    def distance(self) -> float:
        """Mean of ``|ln ratio|`` over the layers; 0 without spikes, infinite if one died."""
        if self.network is None:
            return math.inf
        logs = [abs(math.log(r)) if 0 < r < math.inf else math.inf for r in self.ratios.values()]
        return math.fsum(logs) / len(logs) if logs else 0.0


def spikes_by_layer(network: nn.Module, dataset: Dataset, indices: Indices) -> dict[str, float]:
    """Return the spikes of each layer of clocked neurons, per utterance."""
    return {row["layer"]: float(row["spikes"]) for row in _layers(network, dataset, indices)}


def _layers(network: nn.Module, dataset: Dataset, indices: Indices) -> list[dict[str, Any]]:
    with OperationCounter(network).counting() as counter:
        predict(network, dataset, indices)
    return [row for row in counter.table() if row["neuron_steps"] > 0]


def crowded(layers: list[dict[str, Any]], ratio: float) -> list[str]:
    """Say which layers fire so often that a coarser step has no room for their spikes.

    A neuron fires once a step at most, by every method: what it fired in so many old steps is
    cut to one spike.

    Args:
        layers: Operation rows of the source.
        ratio: New step over old one.
    """
    return [
        f"{row['layer']} fires {row['rate'] * ratio:.2f} spikes in {ratio:g} steps, the mean of"
        " its neurons: a step of that length has room for one"
        for row in layers
        if ratio > 1 and row["rate"] * ratio > CROWDED
    ]


def compare(
    network: nn.Module,
    ratio: float,
    before: Dataset,
    after: Dataset,
    indices: Indices,
    *,
    inputs: Inputs = "held",
    methods: tuple[str, ...] = COMPARED,
) -> list[Adapted]:
    """Adapt copies of a network by every method and count their spikes.

    Args:
        network: The source; not changed.
        ratio: New step over old one.
        before: Recordings at the source's step.
        after: The same recordings, in the same order, at the new one.
        indices: Those to count on.
        inputs: See ``change_step``.
        methods: To compare.
    """
    layers = _layers(network, before, indices) if has_memory(network) else []
    counts = {row["layer"]: float(row["spikes"]) for row in layers}
    warnings = crowded(layers, ratio)
    found = []
    for method in methods:
        changed = copy.deepcopy(network)
        try:
            notes = change_step(changed, ratio, method, inputs)
        except NasError as error:
            found.append(Adapted(method, None, error.what, (), {}))
            continue
        ratios: dict[str, float] = {}
        if counts:
            new = spikes_by_layer(changed, after, indices)
            ratios = {name: spike_ratio(new[name], count) for name, count in counts.items()}
        found.append(Adapted(method, changed, None, (*notes, *warnings), ratios))
    return found


def spike_ratio(after: float, before: float) -> float:
    """Return ``after / before``; 1 of a layer that is silent before and after."""
    if before == 0:
        return 1.0 if after == 0 else math.inf
    return after / before


def choose(found: list[Adapted]) -> Adapted:
    """Return the candidate whose spike counts are nearest to the source's.

    Raises:
        NasError: Every candidate refused.
    """
    usable = [a for a in found if a.method in CANDIDATES and a.network is not None]
    if not usable:
        reasons = "; ".join(f"{a.method}: {a.refusal}" for a in found if a.refusal)
        raise NasError(f"no method can change this network's time step: {reasons}")
    return min(usable, key=lambda a: a.distance)  # the first of CANDIDATES where all are equal
