"""Uniform random search: the baseline every other searcher must beat."""

from __future__ import annotations

import numpy as np

from nas.archive import Archive
from search_spaces.architecture import Architecture
from search_spaces.space import Space


class RandomSearcher:
    """Draws every architecture independently."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def propose(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Return ``n`` random architectures."""
        return [self.space.sample(rng) for _ in range(n)]
