"""Pareto local search: one move away from a member of the front, or between two of them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from nas.archive import Archive
from search_spaces.architecture import Architecture
from search_spaces.space import Space

CROSSED = 0.5  # single moves alone fill the gaps of a front slower than random draws do


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
        """Return ``n`` unseen neighbours and crossings of members; none left, mutations."""
        started = len(archive.evaluations) + len(archive.pending)
        if started < self.startup or not archive.front:
            return [self.space.sample(rng) for _ in range(n)]
        taken = set(archive.seen)
        near: dict[int, list[Architecture]] = {}
        out = []
        for _ in range(n):
            chosen = self._move(archive, taken, near, rng)
            taken.add(chosen.hash)
            out.append(chosen)
        return out

    def _move(
        self,
        archive: Archive,
        taken: set[str],
        near: dict[int, list[Architecture]],
        rng: np.random.Generator,
    ) -> Architecture:
        members = [e.architecture for e in archive.front]
        if len(members) > 1 and rng.random() < CROSSED:
            one, other = rng.choice(len(members), 2, replace=False).tolist()
            child = self.space.cross(members[one], members[other], rng)
            if child.hash not in taken:
                return child
        for index in rng.permutation(len(members)).tolist():
            if index not in near:
                near[index] = self.space.neighbours(members[index], rng)
            fresh = [a for a in near[index] if a.hash not in taken]
            if fresh:
                return fresh[int(rng.integers(len(fresh)))]
        return self.space.mutate(members[int(rng.integers(len(members)))], rng, rate=3.0)


def beside(
    space: Space, a: Architecture, taken: Collection[str], rng: np.random.Generator
) -> Architecture:
    """Return an unseen neighbour of ``a``; a mutation of it, seen or not, when none is left."""
    fresh = [n for n in space.neighbours(a, rng) if n.hash not in taken]
    return fresh[int(rng.integers(len(fresh)))] if fresh else space.mutate(a, rng, rate=3.0)


def step(space: Space, a: Architecture, rng: np.random.Generator) -> Architecture:
    """Return one architecture a single move away, without making all the others first."""
    moves = [
        (name, i, other)
        for name, value in a.items()
        for i, item in enumerate(value if isinstance(value, tuple) else (value,))
        for other in space.parameter(name).moves(item)
    ]
    if not moves:
        return a
    name, i, other = moves[int(rng.integers(len(moves)))]
    return space.moved(a, space.parameter(name), i, other, rng)
