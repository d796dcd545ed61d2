"""Energy of a candidate from its operation counts and from the firing rates of the run so far.

The ReLU twin of a candidate says, part by part, how many operations there are when everything
is computed. How much of that a spiking network needs is a matter of its firing rates, which
the evaluations have measured: joules per operation of the twin, by part and kind of neuron. What
the twin does not have (the updates of neurons) is added as the share it had so far.

The result is an input of the surrogate as a proxy's score is, and used only while it makes the
surrogate's prediction better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.evaluation import Evaluation
from nas.pareto import Matrix

Places = npt.NDArray[np.intp]

OBJECTIVE = "energy"
OPERATIONS, ENERGIES = "operations", "energies"  # by part, kept with the proxy's scores
NEURON = "neuron.type"


class EnergyModel:
    """Learned joules per operation of the ReLU twin.

    Args:
        evaluations: Those that know the operations of their twin teach it.
    """

    def __init__(self, evaluations: Sequence[Evaluation]) -> None:
        self._size = len(evaluations)
        told = [(i, t) for i, e in enumerate(evaluations) if (t := _told(e)) is not None]
        self._rows = np.array([i for i, _ in told], dtype=np.intp)
        neurons = _numbered(t.neuron for _, t in told)
        parts = _numbered(part for _, t in told for part in t.operations)
        kinds = np.array([neurons[t.neuron] for _, t in told], dtype=np.intp)
        # an entry for every part of every evaluation
        sizes = np.array([len(t.operations) for _, t in told], dtype=np.intp)
        self._owners = np.repeat(np.arange(len(told)), sizes)
        flat = [(parts[part], n) for _, t in told for part, n in t.operations.items()]
        at = np.array([part for part, _ in flat], dtype=np.intp)
        self._counts = np.array([n for _, n in flat], dtype=np.float64)
        rates = np.array([r for _, t in told for r in t.rates], dtype=np.float64)
        self._rates = _Means(kinds[self._owners], at, rates)
        more = np.array([t.more for _, t in told], dtype=np.float64)
        self._more = _Means(kinds, np.zeros(len(told), np.intp), more)
        self._neurons, self._parts = neurons, parts

    def left_out(self) -> Matrix:
        """Return ``[N]`` joules of the evaluations, each predicted from the others.

        NaN where the operations of the twin, or any rate of the others, are not known.
        """
        out = np.full(self._size, np.nan)
        if len(self._rows):
            used = np.bincount(self._owners, self._rates.of_others() * self._counts)
            out[self._rows] = used * self._more.of_others()
        return out

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
        kind = self._neurons.get(str(architecture.get(NEURON, "")))
        total = 0.0
        for part, count in operations.items():
            rate = self._rates.of(kind, self._parts.get(part))
            if rate is None:
                return None
            total += rate * count
        added = self._more.of(kind, 0)
        return None if added is None else total * added


class _Means:
    """Means of values by kind of neuron and part, and over all kinds where one has none.

    Args:
        kinds: ``[K]`` int.
        parts: ``[K]`` int.
        values: ``[K]``.
    """

    def __init__(self, kinds: Places, parts: Places, values: Matrix) -> None:
        self._values, self._parts = values, parts
        self._width = int(parts.max(initial=-1)) + 1
        self._keys = kinds * self._width + parts
        # sums are taken one value after the other, in the order of the evaluations
        self._own = np.bincount(self._keys, values), np.bincount(self._keys)
        self._all = np.bincount(parts, values), np.bincount(parts)

    def of(self, kind: int | None, part: int | None) -> float | None:
        """Return a mean, None where nothing is known."""
        if part is None or part >= self._width:
            return None
        total, count = self._own
        key = -1 if kind is None else kind * self._width + part
        if not 0 <= key < len(count) or count[key] == 0:
            (total, count), key = self._all, part
        return float(total[key] / count[key]) if count[key] else None

    def of_others(self) -> Matrix:
        """Return ``[K]``: the means of the others, NaN where there is none."""
        out = np.full(len(self._values), np.nan)
        for (total, count), keys in ((self._all, self._parts), (self._own, self._keys)):
            others = count[keys] - 1
            known = others > 0
            out[known] = ((total[keys] - self._values)[known]) / others[known]
        return out


@dataclass(frozen=True)
class _Told:
    """What one evaluation tells.

    Args:
        neuron: Kind of neuron.
        operations: Of the twin, by part.
        rates: Joules per operation of these parts.
        more: All joules by those of these parts.
    """

    neuron: str
    operations: Mapping[str, float]
    rates: Sequence[float]
    more: float


def _told(e: Evaluation) -> _Told | None:
    proxy = e.metrics.get("proxy") or {}
    operations, energies = proxy.get(OPERATIONS), proxy.get(ENERGIES)
    if not e.ok or not operations or not energies:
        return None
    mine = [energies.get(part, 0.0) for part in operations]
    matched = sum(mine)
    if matched <= 0.0:
        return None
    rates = [joules / count for joules, count in zip(mine, operations.values(), strict=True)]
    more = sum(energies.values()) / matched
    return _Told(str(e.architecture.get(NEURON, "")), operations, rates, more)


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(dict.fromkeys(names))}
