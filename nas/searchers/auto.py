"""Children of the archive's front: local moves, crossover, and a few from further away."""

from __future__ import annotations

import numpy as np

from nas.archive import Archive
from nas.searchers.local import step
from search_spaces.architecture import Architecture
from search_spaces.space import Space

LOCAL, CROSSED, MUTATED = 0.6, 0.2, 0.1  # the rest is random
TRIES = 4


class FrontMoves:
    """What ``auto`` screens.

    Args:
        space: Where to search.
        startup: Random architectures before the first move.
    """

    def __init__(self, space: Space, startup: int) -> None:
        self.space = space
        self.startup = startup

    def propose(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Return ``n`` architectures."""
        started = len(archive.evaluations) + len(archive.pending)
        members = parents(archive) if started >= self.startup else []
        if not members:
            return [self.space.sample(rng) for _ in range(n)]
        taken = set(archive.seen)
        out = []
        for _ in range(n):
            child = self._child(members, rng)
            for _ in range(TRIES):
                if child.hash not in taken:
                    break
                child = self._child(members, rng)
            taken.add(child.hash)
            out.append(child)
        return out

    def _child(self, members: list[Architecture], rng: np.random.Generator) -> Architecture:
        kind = rng.random()
        one = members[int(rng.integers(len(members)))]
        if kind < LOCAL:
            return step(self.space, one, rng)
        if kind < LOCAL + CROSSED and len(members) > 1:
            child = self.space.cross(one, members[int(rng.integers(len(members)))], rng)
            return child if rng.random() < 0.5 else step(self.space, child, rng)
        if kind < LOCAL + CROSSED + MUTATED:
            return self.space.mutate(one, rng, rate=3.0)
        return self.space.sample(rng)


def parents(archive: Archive) -> list[Architecture]:
    """Return the front; before there is one, the evaluations that come nearest to it.

    Those outside the constraints are near by what they violate, partial trainings by their
    fidelity.
    """
    import moocore

    if archive.front:
        return [e.architecture for e in archive.front]
    able = [e for e in archive.evaluations if e.ok]
    if not able:
        return []
    outside = np.array([sum(e.violations.values()) for e in able])
    if outside.any() and not (outside == 0.0).any():
        order = np.argsort(outside, kind="stable")[: max(1, len(able) // 5)]
        return [able[int(i)].architecture for i in order]
    able = [e for e in able if e.feasible]
    top = max(e.fidelity for e in able)
    able = [e for e in able if e.fidelity == top]
    keep = moocore.is_nondominated(archive.losses(able), keep_weakly=True)
    return [e.architecture for e, kept in zip(able, keep, strict=True) if kept]
