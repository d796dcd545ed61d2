"""NIR after its paper's equations, forward Euler, in numpy: knows nothing of torch or nas.

Pedersen et al., "Neuromorphic intermediate representation", Nature Communications 15:8122
(2024), tables 1 and 2: ``Linear``, ``Affine``, ``Delay``, ``LIF``; edges add up at a node.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import Any

import nir
import numpy as np


class Euler:
    """Runs an acyclic graph.

    Args:
        graph: A NIR graph.
        dt: Step [s].
        precision: Of every number.
    """

    def __init__(self, graph: Any, dt: float, precision: Any = np.float64) -> None:
        self.graph, self.dt, self.precision = graph, dt, precision
        before: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            before[target].append(source)
        self.before = before
        self.order = list(TopologicalSorter(before).static_order())

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """``[T, B, D]`` for each input node -> the same for every node."""
        steps, batch = next(iter(inputs.values())).shape[:2]
        values: dict[str, list[np.ndarray]] = {name: [] for name in self.order}
        membranes: dict[str, np.ndarray] = {}
        for t in range(steps):
            for name in self.order:
                node = self.graph.nodes[name]
                if isinstance(node, nir.Input):
                    values[name].append(inputs[name][t].astype(self.precision))
                    continue
                x = sum(values[source][t] for source in self.before[name])
                if isinstance(node, nir.Output):
                    out = x
                elif isinstance(node, nir.Linear | nir.Affine):
                    out = x @ node.weight.astype(self.precision).T
                    out = out + node.bias if isinstance(node, nir.Affine) else out
                elif isinstance(node, nir.Delay):
                    whole = np.rint(node.delay / self.dt).astype(int)
                    out = np.zeros((batch, len(whole)), self.precision)
                    for late in {int(n) for n in whole if n <= t}:
                        then = sum(values[source][t - late] for source in self.before[name])
                        out[:, whole == late] = then[:, whole == late]
                else:
                    assert isinstance(node, nir.LIF), node
                    v = membranes.get(name, np.zeros((batch, node.tau.size), self.precision))
                    v = v + self.dt / node.tau * (node.v_leak - v + node.r * x)
                    out = (v >= node.v_threshold).astype(self.precision)
                    membranes[name] = np.where(out > 0, node.v_reset, v)
                values[name].append(out)
        return {name: np.stack(each) for name, each in values.items()}
