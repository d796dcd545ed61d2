"""Searchers: what to try next, as a function of the archive and a random generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from nas.archive import Archive
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError, nearest
from search_spaces.space import Space


class Searcher(Protocol):
    """Proposes architectures.

    Stateless: the archive and the generator are all it sees, so a resumed run is a replay.
    It may propose what is already there; the driver takes duplicates out and asks again.
    """

    def propose(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Return up to ``n`` architectures to evaluate next."""
        ...


def population_size(budget: int) -> int:
    """Return the size of a population: a tenth of the budget, 2 to 20.

    A larger one leaves a search of a few hundred evaluations no better than random.
    """
    return max(2, min(20, budget // 10))


def startup_size(budget: int) -> int:
    """Return how many random architectures a model or a local search starts from."""
    return max(10, population_size(budget))


def _random(space: Space, budget: int) -> Searcher:
    from nas.searchers.random import RandomSearcher

    return RandomSearcher(space)


def _nsga2(space: Space, budget: int) -> Searcher:
    from nas.searchers.nsga2 import NSGA2Searcher

    return NSGA2Searcher(space, population=population_size(budget))


def _tpe(space: Space, budget: int) -> Searcher:
    from nas.searchers.tpe import TPESearcher

    return TPESearcher(space, startup=startup_size(budget))


def _local(space: Space, budget: int) -> Searcher:
    from nas.searchers.local import LocalSearcher

    return LocalSearcher(space, startup=startup_size(budget))


SEARCHERS: dict[str, Callable[[Space, int], Searcher]] = {
    "random": _random,
    "nsga2": _nsga2,
    "tpe": _tpe,
    "local": _local,
}

DEFAULT_SEARCHER = "tpe"


def make_searcher(name: str, space: Space, budget: int) -> Searcher:
    """Make a searcher by name.

    Raises:
        NasError: No searcher of that name.
    """
    if name not in SEARCHERS:
        raise NasError(f"unknown searcher {name!r}", hint=nearest(name, SEARCHERS))
    return SEARCHERS[name](space, budget)
