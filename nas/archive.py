"""Everything a searcher may know: the evaluations so far."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from nas import pareto
from nas.evaluation import Evaluation
from nas.measurements import merged
from search_spaces.architecture import Architecture
from search_spaces.space import Space


class Archive:
    """The evaluations of a run so far, and what is under way.

    Args:
        space: The space they come from.
        evaluations: In order of completion, failed ones included.
        pending: Architectures being evaluated.
    """

    def __init__(
        self,
        space: Space,
        evaluations: Sequence[Evaluation],
        pending: Sequence[Architecture] = (),
    ) -> None:
        self.space = space
        self.evaluations = list(evaluations)
        self.pending = list(pending)

    @cached_property
    def seen(self) -> frozenset[str]:
        """Hashes of every architecture evaluated or under way."""
        done = [e.architecture.hash for e in self.evaluations]
        return frozenset(done + [a.hash for a in self.pending])

    @cached_property
    def full(self) -> list[Evaluation]:
        """Every architecture measured at fidelity 1, feasible or not; the mean of several."""
        return merged(self.evaluations)

    @cached_property
    def front(self) -> list[Evaluation]:
        """The feasible non-dominated evaluations."""
        return pareto.front(self.full, self.space.objectives)

    def losses(self, evaluations: Sequence[Evaluation]) -> pareto.Matrix:
        """Return ``[N, M]`` with every objective to be minimised."""
        return pareto.losses(evaluations, self.space.objectives)
