"""Steady-state NSGA-II (Deb et al. 2002) on DEAP's selection operators.

The population is derived again from the archive at every proposal: nothing to save, and a
resumed run goes on as if it had never stopped. Each new evaluation competes at once, so no
worker ever waits for a generation to end.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from deap import base, tools
from deap.tools.emo import assignCrowdingDist

from nas.archive import Archive
from nas.evaluation import Evaluation
from search_spaces.architecture import Architecture
from search_spaces.space import Space

CROSSOVER = 0.9


@cache
def _losses_type(n: int) -> type[Any]:
    return type("Losses", (base.Fitness,), {"weights": (-1.0,) * n})


class _Individual:
    """What DEAP sorts. Not made by ``deap.creator``, which is global state."""

    def __init__(self, architecture: Architecture, losses: tuple[float, ...]) -> None:
        self.architecture = architecture
        self.fitness = _losses_type(len(losses))(losses)


class NSGA2Searcher:
    """Tournament, crossover and mutation within the best of the archive.

    Args:
        space: Where to search.
        population: Size of the population; as many random architectures come first.
    """

    def __init__(self, space: Space, population: int) -> None:
        self.space = space
        self.population = population

    def propose(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Return ``n`` children of the current population."""
        started = len(archive.evaluations) + len(archive.pending)
        if started < self.population or len(archive.full) < 2:
            return [self.space.sample(rng) for _ in range(n)]
        members = self._members(archive)
        return [self._child(members, rng) for _ in range(n)]

    def _members(self, archive: Archive) -> list[_Individual]:
        feasible = [e for e in archive.full if e.feasible]
        members = _individuals(archive, feasible)
        if len(members) > self.population:
            # DEAP's faster sort takes two objectives or more
            sort = "log" if len(self.space.objectives) > 1 else "standard"
            members = tools.selNSGA2(members, self.population, nd=sort)
        for rank in tools.sortNondominated(members, len(members)):
            assignCrowdingDist(rank)
        missing = self.population - len(members)
        if missing > 0:
            # too few inside the constraints: breed from the ones nearest to them as well
            outside = sorted(
                (e for e in archive.full if not e.feasible),
                key=lambda e: (sum(e.violations.values()), e.number),
            )
            extra = _individuals(archive, outside[:missing])
            for individual in extra:
                individual.fitness.values = (float("1e300"),) * len(self.space.objectives)
                individual.fitness.crowding_dist = 0.0
            members = members + extra
        return members

    def _child(self, members: list[_Individual], rng: np.random.Generator) -> Architecture:
        mother = _tournament(members, rng).architecture
        child = mother
        if rng.random() < CROSSOVER:
            child = self.space.cross(mother, _tournament(members, rng).architecture, rng)
        return self.space.mutate(child, rng)


def _individuals(archive: Archive, evaluations: list[Evaluation]) -> list[_Individual]:
    values = archive.losses(evaluations)
    return [
        _Individual(e.architecture, tuple(row.tolist()))
        for e, row in zip(evaluations, values, strict=True)
    ]


def _tournament(members: list[_Individual], rng: np.random.Generator) -> _Individual:
    """Binary tournament by dominance, then crowding distance.

    DEAP's own needs sizes that are multiples of four and the global random generator.
    """
    if len(members) == 1:
        return members[0]
    i, j = rng.choice(len(members), size=2, replace=False)
    a, b = members[int(i)], members[int(j)]
    if a.fitness.dominates(b.fitness):
        return a
    if b.fitness.dominates(a.fitness):
        return b
    return a if a.fitness.crowding_dist > b.fitness.crowding_dist else b
