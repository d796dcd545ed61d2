"""The operation table: one row a layer. It is stored; everything else is derived from it.

What a row holds per sample (``AMOUNTS``) and once for the layer:

==============  ================================================================================
macs            multiply-accumulates, those of leaks included
acs             accumulates: synaptic, of spikes elsewhere, membrane updates, and fixed ones
compares        comparisons of a membrane with a threshold
spikes          spikes that the layer sent
neuron_steps    membrane updates of neurons that can fire
neurons         neurons times inferences, of a layer that fires at most once in each
synops          accumulates that a spike causes at a synapse with a stored weight
event_acs       accumulates that spikes cause elsewhere: products of two spike trains, counting
updates         membrane updates, of readouts too; an accumulate each
leaks           multiply-accumulates of those updates
dense           synaptic multiply-accumulates of the layer's ReLU twin
dense_acs       accumulates of the ReLU twin
inputs          spikes that came in (of a digital layer: values other than zero)
values          values that could have come in
outputs         values that the layer, computed digitally, hands on
parameters      trainable parameters, before normalisations fold
weights         values stored for inference, normalisations folded
states          membranes and accumulators that live from step to step
buffer          values of one step, in and out
convolution     whether the first output of a spike has to be computed
==============  ================================================================================

Rows of older records lack the columns from ``synops`` on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

AMOUNTS = (
    "macs",
    "acs",
    "compares",
    "spikes",
    "neuron_steps",
    "neurons",
    "synops",
    "event_acs",
    "updates",
    "leaks",
    "dense",
    "dense_acs",
    "inputs",
    "values",
    "outputs",
)

Row = dict[str, Any]


@dataclass
class LayerOperations:
    """Totals of one layer over all samples seen; see the module for the columns.

    Args:
        layer: Dotted module name.
        kind: Layer type.
        digital: Whether it is arithmetic on values rather than on spikes.
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
    synops: float = 0.0
    event_acs: float = 0.0
    updates: float = 0.0
    leaks: float = 0.0
    dense: float = 0.0
    dense_acs: float = 0.0
    inputs: float = 0.0
    values: float = 0.0
    outputs: float = 0.0
    parameters: int = 0
    weights: int = 0
    states: int = 0
    buffer: int = 0
    convolution: bool = False

    def per_sample(self, samples: int) -> Row:
        """Return plain data with the amounts divided by the number of samples."""
        row = dict(vars(self))
        for key in AMOUNTS:
            row[key] /= max(1, samples)
        return _rated(row)


def mean_table(tables: Sequence[list[Row]], weights: Sequence[int]) -> list[Row]:
    """Average per-sample tables of the same network over folds."""
    rows = []
    for same in zip(*tables, strict=True):
        row = dict(same[0])
        for key in AMOUNTS:
            row[key] = float(np.average([r[key] for r in same], weights=weights))
        rows.append(_rated(row))
    return rows


def sums(table: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return ``macs``, ``acs``, ``compares``, ``spikes``, ``synops`` and ``spike_rate``.

    The first ones are per sample; the last is spikes per membrane update.
    """
    names = ("macs", "acs", "compares", "spikes", "synops")
    found = {key: float(sum(r[key] for r in table)) for key in names}
    steps = sum(r["neuron_steps"] for r in table)
    return {**found, "spike_rate": found["spikes"] / steps if steps else 0.0}


def _rated(row: Row) -> Row:
    """Add the firing rate: per step, or per neuron where each fires at most once."""
    per = row["neurons"] or row["neuron_steps"]
    row["rate"] = row["spikes"] / per if per else None
    return row
