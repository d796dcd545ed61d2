"""Energy of a candidate from its operation counts and from the firing rates of the run so far.

The ReLU twin of a candidate says, part by part, how many operations there are when everything
is computed. How much of that a spiking network needs is a matter of its firing rates, which
the evaluations have measured: joules per operation of the twin, by part and kind of neuron. What
the twin does not have (the updates of neurons) is added as the share it had so far.

The result is an input of the surrogate as a proxy's score is, and used only while it makes the
surrogate's prediction better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.evaluation import Evaluation
from nas.pareto import Matrix

OBJECTIVE = "energy"
OPERATIONS, ENERGIES = "operations", "energies"  # by part, kept with the proxy's scores
NEURON = "neuron.type"


@dataclass
class _Mean:
    """A mean that can leave one value out."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    def without(self, value: float | None = None) -> float | None:
        """Return the mean, of the others where a value is given; None of nothing."""
        count = self.count - (value is not None)
        return (self.total - (value or 0.0)) / count if count > 0 else None


class EnergyModel:
    """Learned joules per operation of the ReLU twin.

    Args:
        evaluations: Those that know the operations of their twin teach it.
    """

    def __init__(self, evaluations: Sequence[Evaluation]) -> None:
        self._rates: dict[tuple[str, str], _Mean] = {}
        self._more: dict[str, _Mean] = {}
        self._evaluations = list(evaluations)
        self._told = [_told(e) for e in evaluations]
        for told in self._told:
            if told is None:
                continue
            neuron, rates, more = told
            for part, rate in rates.items():
                for key in ((neuron, part), ("", part)):
                    self._rates.setdefault(key, _Mean()).add(rate)
            for key_of_more in (neuron, ""):
                self._more.setdefault(key_of_more, _Mean()).add(more)

    def left_out(self) -> Matrix:
        """Return ``[N]`` joules of the evaluations, each predicted from the others.

        NaN where the operations of the twin, or any rate of the others, are not known.
        """
        found = [
            None if told is None else self._predict(told[0], _operations(e) or {}, told)
            for e, told in zip(self._evaluations, self._told, strict=True)
        ]
        return np.array([np.nan if f is None else f for f in found], dtype=np.float64)

    def predict(
        self, architecture: Mapping[str, Any], operations: Mapping[str, float]
    ) -> float | None:
        """Return joules per sample.

        Args:
            architecture: The candidate.
            operations: Of its ReLU twin, by part.

        Returns:
            None while no evaluation has told the rates.
        """
        return self._predict(str(architecture.get(NEURON, "")), operations, None)

    def _predict(
        self,
        neuron: str,
        operations: Mapping[str, float],
        own: tuple[str, Mapping[str, float], float] | None,
    ) -> float | None:
        _, rates, more = own if own is not None else ("", {}, None)
        total = 0.0
        for part, count in operations.items():
            rate = self._mean(self._rates, ((neuron, part), ("", part)), rates.get(part))
            if rate is None:
                return None
            total += rate * count
        added = self._mean(self._more, (neuron, ""), more)
        return None if added is None else total * added

    @staticmethod
    def _mean(means: Mapping[Any, _Mean], keys: Sequence[Any], own: float | None) -> float | None:
        """Return the mean of the first key that others know."""
        for key in keys:
            value = means[key].without(own) if key in means else None
            if value is not None:
                return value
        return None


def _operations(e: Evaluation) -> Mapping[str, float] | None:
    return (e.metrics.get("proxy") or {}).get(OPERATIONS)


def _told(e: Evaluation) -> tuple[str, dict[str, float], float] | None:
    """Return kind of neuron, joules per operation by part, and total by sum of those parts."""
    operations = _operations(e)
    energies = (e.metrics.get("proxy") or {}).get(ENERGIES)
    if not e.ok or not operations or not energies:
        return None
    rates = {part: energies.get(part, 0.0) / count for part, count in operations.items()}
    matched = sum(energies.get(part, 0.0) for part in operations)
    if matched <= 0.0:
        return None
    more = sum(energies.values()) / matched
    return str(e.architecture.get(NEURON, "")), rates, more
