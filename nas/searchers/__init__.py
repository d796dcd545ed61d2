"""Searchers: what to try next, as a function of the archive and a random generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from nas.archive import Archive
from search_spaces.architecture import Architecture
from search_spaces.errors import NasError, nearest
from search_spaces.space import Space

# may also have a method `operations`, with the same arguments and nothing else in what it says
Proxy = Callable[[Sequence[Architecture]], Sequence[Mapping[str, Any]]]


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


def _favourite(space: Space, budget: int) -> Searcher:
    from nas.searchers.tpe import CANDIDATES, TPESearcher

    return TPESearcher(space, startup_size(budget), CANDIDATES[:1])


def _gp(space: Space, budget: int) -> Searcher:
    from nas.searchers.gp import GPSearcher

    return GPSearcher(space, startup=startup_size(budget))


def _local(space: Space, budget: int) -> Searcher:
    from nas.searchers.local import LocalSearcher

    return LocalSearcher(space, startup=startup_size(budget))


SEARCHERS: dict[str, Callable[[Space, int], Searcher]] = {
    "auto": _local,  # without guidance; what it is with guidance: make_searcher
    "random": _random,
    "nsga2": _nsga2,
    "tpe": _tpe,
    "gp": _gp,
    "local": _local,
}

DEFAULT_SEARCHER = "auto"
GUIDED = "+"

STARTUP = 10  # evaluations before the first model
CHILDREN = 64  # compared by the models for every one that is evaluated
FEW_CHILDREN = 4  # of searchers that take long to propose
QUICK = ("local", "nsga2", "random")


def guides(name: str) -> bool:
    """Whether a searcher of this name is guided unless told otherwise."""
    return name == "auto" or name.endswith(GUIDED)


def make_searcher(
    name: str,
    space: Space,
    budget: int,
    guided: bool | None = None,
    proxy: Proxy | None = None,
) -> Searcher:
    """Make a searcher by name.

    Args:
        name: One of :data:`SEARCHERS`; a ``+`` behind it asks for guidance.
        space: Where to search.
        budget: Full-training equivalents the search will have.
        guided: Whether a surrogate screens the proposals; None is on for ``auto``, off for
            the others.
        proxy: Cheap scores of candidates by objective, for a guided searcher.

    Raises:
        NasError: No searcher of that name.
    """
    base = name.removesuffix(GUIDED)
    if base not in SEARCHERS:
        raise NasError(f"unknown searcher {name!r}", hint=nearest(name, SEARCHERS))
    if guided is None:
        guided = guides(name)
    if not guided:
        return SEARCHERS[base](space, budget)
    from nas.searchers.screened import Screened

    if base == "auto":
        from nas.searchers.auto import FrontMoves

        # the one that has more than one way to try what no model asks for
        moves, other = FrontMoves(space, startup=STARTUP), _favourite(space, budget)
        return Screened(space, moves, STARTUP, CHILDREN, proxy=proxy, other=other)
    children = CHILDREN if base in QUICK else FEW_CHILDREN
    return Screened(space, SEARCHERS[base](space, budget), STARTUP, children, proxy=proxy)
