"""The operation table: one row a layer, sums, and their price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval.energy.profile import Profile

AMOUNTS = ("macs", "acs", "compares", "spikes", "neuron_steps", "neurons")


@dataclass
class LayerOperations:
    """Totals of one layer over all samples seen.

    Args:
        layer: Dotted module name.
        kind: Layer type.
        digital: Whether it is arithmetic on values rather than on spikes.
        macs: Multiply-accumulates.
        acs: Accumulates: the synaptic ones of spikes, and the membrane updates.
        compares: Comparisons of a membrane with a threshold.
        spikes: Spikes that the layer sent.
        neuron_steps: Membrane updates, of a spiking layer.
        neurons: Neurons times inferences, of a layer that fires at most once in each.
        parameters: Trainable parameters of the layer itself.
    """

    layer: str
    kind: str
    digital: bool = False
    macs: float = 0.0
    acs: float = 0.0
    compares: float = 0.0
    spikes: float = 0.0
    neuron_steps: float = 0.0
    neurons: float = 0.0
    parameters: int = 0

    def per_sample(self, samples: int) -> dict[str, Any]:
        """Return plain data with the amounts divided by the number of samples."""
        row = asdict(self)
        for key in AMOUNTS:
            row[key] /= max(1, samples)
        return _rated(row)


def mean_table(
    tables: Sequence[list[dict[str, Any]]], weights: Sequence[int]
) -> list[dict[str, Any]]:
    """Average per-sample tables of the same network over folds."""
    rows = []
    for same in zip(*tables, strict=True):
        row = dict(same[0])
        for key in AMOUNTS:
            row[key] = float(np.average([r[key] for r in same], weights=weights))
        rows.append(_rated(row))
    return rows


def totals(table: list[dict[str, Any]], profile: Profile) -> dict[str, float]:
    """Sum a table and price it.

    Returns:
        ``macs``, ``acs``, ``compares``, ``spikes`` and ``energy`` [J] per sample, and
        ``spike_rate`` per membrane update.
    """
    sums = {key: sum(r[key] for r in table) for key in ("macs", "acs", "compares", "spikes")}
    steps = sum(r["neuron_steps"] for r in table)
    return {
        **sums,
        "spike_rate": sums["spikes"] / steps if steps else 0.0,
        "energy": profile.energy(sums["macs"], sums["acs"], sums["compares"]),
    }


def _rated(row: dict[str, Any]) -> dict[str, Any]:
    """Add the firing rate: per step, or per neuron where each fires at most once."""
    per = row["neurons"] or row["neuron_steps"]
    row["rate"] = row["spikes"] / per if per else None
    return row
