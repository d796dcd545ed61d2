"""Pareto local search: one move away from a member of the archive's front."""

from __future__ import annotations

import numpy as np

from nas.archive import Archive
from search_spaces.architecture import Architecture
from search_spaces.space import Space


class LocalSearcher:
    """Moves from the front; on small budgets and discrete spaces hard to beat.

    Args:
        space: Where to search.
        startup: Random architectures before the first move.
    """

    def __init__(self, space: Space, startup: int) -> None:
        self.space = space
        self.startup = startup

    def propose(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Return ``n`` unseen neighbours of front members; none left, mutations of them."""
        started = len(archive.evaluations) + len(archive.pending)
        if started < self.startup or not archive.front:
            return [self.space.sample(rng) for _ in range(n)]
        taken = set(archive.seen)
        out = []
        for _ in range(n):
            chosen = self._move(archive, taken, rng)
            taken.add(chosen.hash)
            out.append(chosen)
        return out

    def _move(self, archive: Archive, taken: set[str], rng: np.random.Generator) -> Architecture:
        members = [e.architecture for e in archive.front]
        for index in rng.permutation(len(members)):
            near = self.space.neighbours(members[int(index)], rng)
            fresh = [a for a in near if a.hash not in taken]
            if fresh:
                return fresh[int(rng.integers(len(fresh)))]
        return self.space.mutate(members[int(rng.integers(len(members)))], rng, rate=3.0)
