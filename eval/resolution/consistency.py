"""How well a network at another time step still does what it did: its outputs and its spikes.

No label enters. The same recordings are given at the source's step to the source and at the new
one to the adapted network. What both say, class probabilities and decisions, is compared, and the
spikes of every layer of neurons are counted over the whole recording. Counts tell where a method
loses what; outputs choose, because layers that fire as often need not say the same.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from eval.energy.operations import OperationCounter
from eval.folds import Indices
from eval.resolution.compensation import compensate
from eval.resolution.network import NETWORK_METHODS, change_step, has_memory
from eval.resolution.state_space import Inputs
from eval.training import predict
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from eval.features import Dataset

ALL_METHODS = (*NETWORK_METHODS, "compensated")
# What `auto` chooses from; `tau` would be chosen by chance only.
CANDIDATES = ("integral", "compensated", "euler", "decay", "none", "substeps")
MEMORYLESS = ("integral", "euler", "decay")  # where they are one, and `none` leaves shifts wrong
# What a report compares; the expectation is the integral (see `state_space`).
COMPARED = ("integral", "compensated", "euler", "decay", "substeps", "tau", "none")

FAITHFUL = 0.95  # share of equal decisions above which `auto` asks for no more steps
CROWDED = 0.5  # mean spikes of a neuron in what becomes one step, where losing some is certain


@dataclass(frozen=True)
class Adapted:
    """A network at the new step by one method.

    Args:
        method: One of ``ALL_METHODS``.
        network: A changed copy of the source; None where the method refused.
        refusal: Why it did, or None.
        notes: Of :func:`~eval.resolution.network.change_step`, and of :func:`crowded`.
        ratios: Spikes of each layer over those of the source's.
        divergence: Mean Kullback-Leibler divergence of its class probabilities from the
            source's [nats]; infinite where the method refused.
        agreement: Share of the recordings on which both decide alike.
    """

    method: str
    network: nn.Module | None
    refusal: str | None
    notes: tuple[str, ...]
    ratios: Mapping[str, float]
    divergence: float = 0.0
    agreement: float = 1.0

    @property
    def distance(self) -> float:
        """Mean of ``|ln ratio|`` over the layers; 0 without spikes, infinite if one died."""
        if self.network is None:
            return math.inf
        logs = [abs(math.log(r)) if 0 < r < math.inf else math.inf for r in self.ratios.values()]
        return math.fsum(logs) / len(logs) if logs else 0.0


def spikes_by_layer(network: nn.Module, dataset: Dataset, indices: Indices) -> dict[str, float]:
    """Return the spikes of each layer of clocked neurons, per utterance."""
    return {row["layer"]: float(row["spikes"]) for row in _heard(network, dataset, indices)[1]}


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
    """Adapt copies of a network by every method, count their spikes and hear what they say.

    Args:
        network: The source; not changed.
        ratio: New step over old one.
        before: Recordings at the source's step.
        after: The same recordings, in the same order, at the new one.
        indices: Those to compare on; no label is read.
        inputs: See ``change_step``.
        methods: Of ``ALL_METHODS``.
    """
    said, rows = _heard(network, before, indices)
    layers = rows if has_memory(network) else []
    counts = {row["layer"]: float(row["spikes"]) for row in layers}
    warnings = crowded(layers, ratio)
    found = []
    for method in methods:
        changed = copy.deepcopy(network)
        try:
            notes = at_rate(changed, network, ratio, method, before, after, indices, inputs)
        except NasError as error:
            found.append(Adapted(method, None, error.what, (), {}, math.inf, 0.0))
            continue
        says, rows = _heard(changed, after, indices)
        new = {row["layer"]: float(row["spikes"]) for row in rows}
        ratios = {name: spike_ratio(new[name], count) for name, count in counts.items()}
        told = () if method == "substeps" else warnings
        found.append(
            Adapted(method, changed, None, (*notes, *told), ratios, *difference(said, says))
        )
    return found


def at_rate(
    network: nn.Module,
    source: nn.Module,
    ratio: float,
    method: str,
    before: Dataset,
    after: Dataset,
    indices: Indices,
    inputs: Inputs = "held",
) -> list[str]:
    """Change the time step of a network in place, by any method.

    Args:
        network: A copy of the source.
        source: As it was trained.
        ratio: New step over old one.
        method: One of ``ALL_METHODS``.
        before: Recordings at the source's step, which ``compensated`` reads.
        after: The same recordings, in the same order, at the new one.
        indices: Those to count on.
        inputs: See ``change_step``.

    Returns:
        What a person should know, a line each.

    Raises:
        NasError: As of ``change_step``, or nothing is known to compensate.
    """
    if method != "compensated":
        return change_step(network, ratio, method, inputs)
    notes = change_step(network, ratio, "integral", inputs)
    if ratio == 1 or not has_memory(network):
        return notes
    gains = compensate(network, source, before, after, indices)
    told = ", ".join(f"{name} {gain:.2f}" for name, gain in gains.items())
    return [*notes, f"weight of a spike over that of the integral: {told or 'no layer fires'}"]


def _heard(
    network: nn.Module, dataset: Dataset, indices: Indices
) -> tuple[Tensor, list[dict[str, Any]]]:
    """Return logits ``[N, C]`` and the operation rows of the layers of clocked neurons."""
    with OperationCounter(network).counting() as counter:
        logits = predict(network, dataset, indices)
    return logits, [row for row in counter.table() if row["neuron_steps"] > 0]


def difference(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Return the mean divergence [nats] and the share of equal decisions of ``[N, C]`` logits."""
    p, q = before.double().log_softmax(1), after.double().log_softmax(1)
    divergence = float((p.exp() * (p - q)).sum(1).mean())
    return max(0.0, divergence), float((before.argmax(1) == after.argmax(1)).double().mean())


def spike_ratio(after: float, before: float) -> float:
    """Return ``after / before``; 1 of a layer that is silent before and after."""
    if before == 0:
        return 1.0 if after == 0 else math.inf
    return after / before


def choose(found: list[Adapted]) -> Adapted:
    """Return the method by which the network says most nearly what it said.

    That is the least divergence of its outputs. Several steps a frame cost as many times the
    updates: they are taken only where by the best of the others more than one decision in
    twenty is another than the source's, and where they diverge less.

    Raises:
        NasError: Every candidate refused.
    """
    names = CANDIDATES if any(a.ratios for a in found) else MEMORYLESS
    usable = [a for a in found if a.method in names and a.network is not None]
    if not usable:
        reasons = "; ".join(f"{a.method}: {a.refusal}" for a in found if a.refusal)
        raise NasError(f"no method can change this network's time step: {reasons}")
    # the first of CANDIDATES where all are equal
    usable.sort(key=lambda a: names.index(a.method))
    once = [a for a in usable if a.method != "substeps"]
    best = min(once or usable, key=lambda a: a.divergence)
    return best if best.agreement >= FAITHFUL else min(usable, key=lambda a: a.divergence)
