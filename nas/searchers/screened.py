"""Any searcher, guided: of several of its proposals the most promising one is evaluated."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.guidance.again import Again
from nas.guidance.encoding import Encoder
from nas.guidance.energy import OBJECTIVE
from nas.guidance.screening import Merit, Verdicts, steers, trust
from nas.guidance.surrogate import Surrogate, chosen
from nas.guidance.target import PAIRS
from nas.guidance.threads import one_thread
from search_spaces.architecture import Architecture
from search_spaces.space import Space

if TYPE_CHECKING:
    from nas.searchers import Proxy, Searcher

T = TypeVar("T")

UNSCREENED = 0.2
ASKED = 2
DRAWS = 4
KEPT = 4
SMALL = 1000  # architectures of a space that the models look at as a whole
SHARE = 0.8
OTHERS = 128  # evaluations that the other searcher is shown
# Share of the screened proposals that add volume where quantities that span decades count by
# their logarithm. The rest add to the volume that a run reports. More of them would go to ever
# smaller shares of what is cheap already; none would leave the cheap end to chance.
BY_LOGARITHM = 0.1
# By how many evaluations models learn at once, and hyper-parameters are fitted at once, from so
# many on. Both change ever more slowly, and to do it for every one of a thousand would cost more
# than all the rest. By their number, so that what is proposed stays a function of the archive.
# Hyper-parameters are those of models that were learned of fewer, so the steps are multiples.
LEARNED = {512: 8, 256: 4, 0: 1}
FITTED = {512: 128, 128: 32, 24: 8, 0: 1}


class Screened:
    """Draws children from a base searcher and picks the one expected to add most to the front.

    The models are learned from the archive, of many evaluations a few at a time; what is kept
    between calls is a cache of functions of the archive.

    Args:
        space: Where to search.
        base: Proposes the children.
        startup: Evaluations before the first model; until then the base proposes.
        children: How many are compared.
        unscreened: Share of the proposals that nothing screens, whatever the models say.
        other: Makes every second of those, and none where what it likes best is known already;
            without one all are the base's.
        proxy: Scores candidates by objective; asked about the best few only, and only while
            it makes the models better.
    """

    def __init__(
        self,
        space: Space,
        base: Searcher,
        startup: int,
        children: int = 16,
        unscreened: float = UNSCREENED,
        proxy: Proxy | None = None,
        other: Searcher | None = None,
    ) -> None:
        self.space, self.base = space, base
        self.startup, self.children, self.unscreened = startup, children, unscreened
        self.proxy = proxy
        self.other = other
        self._encoder = Encoder(space)
        self._learned: _Cache[tuple[Surrogate, Verdicts]] = _Cache()

    def propose(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Return up to ``n`` architectures, unseen where the base finds any."""
        out: list[Architecture] = []
        ahead = archive
        for _ in range(n):
            with one_thread():
                out.append(self._one(ahead, rng))
            ahead = Archive(self.space, archive.evaluations, [*archive.pending, *out])
        return out

    def trust(self, archive: Archive) -> dict[str, dict[str, Any]]:
        """Return how well each objective is predicted, as plain data for the record."""
        if not self._ready(archive):
            nothing = {"correlation": None, "n": 0, "floor": None, "steers": False}
            return {name: dict(nothing) for name in self.space.objectives}
        with one_thread():
            return self._models(archive)[1]

    def _ready(self, archive: Archive) -> bool:
        return _at_least(max(3, self.startup), (e for e in archive.evaluations if e.ok))

    def again(self, archive: Archive, rng: np.random.Generator) -> Architecture | None:
        """Return an architecture to measure once more, None where a new one is worth more."""
        free = bool(rng.random() < self.unscreened)
        if free or not self._ready(archive):
            return None
        with one_thread():
            surrogate, verdicts = self._models(archive)
            value = Again(archive, surrogate)
            if not steers(verdicts).any() or not value.worthwhile:
                return None
            known, gain = value.best()
            children = self._candidates(archive, rng)
            if not children:
                return known.architecture
            rivals = value.of_new(surrogate.predict(children))
        return known.architecture if gain > rivals.max() else None

    def wants_score(self, archive: Archive) -> bool:
        """Whether what is evaluated next should be scored by the proxy, chosen by its help or not.

        Energy needs no score, only operations, which are counted in any case. Until there are
        enough to tell what a score is worth, while it is of use, and every third time after
        that, so that it can come back.
        """
        if self.proxy is None:
            return False
        if not _scored(archive, PAIRS) or len(archive.evaluations) % 3 == 0:
            return True
        with one_thread():
            return self._ready(archive) and bool(self._models(archive)[0].heeded - {OBJECTIVE})

    def _one(self, archive: Archive, rng: np.random.Generator) -> Architecture:
        # drawn first, so that the course of the generator does not hang on the models
        free = bool(rng.random() < self.unscreened)
        drawn = float(rng.random())
        if not self._ready(archive):
            return self._own(archive, rng)
        if free and drawn < 0.5 and self.other is not None:
            # a study of a thousand evaluations would take longer to build than all the rest
            few = Archive(self.space, chosen(archive, OTHERS), archive.pending)
            [favourite] = self.other.propose(few, 1, rng)
            if favourite.hash not in archive.seen:
                return favourite
        elif free:
            return self._own(archive, rng)
        surrogate, verdicts = self._models(archive)
        steering = steers(verdicts)
        if not steering.any():
            return self._own(archive, rng)
        children = self._candidates(archive, rng)
        if len(children) < 2:
            return children[0] if children else self._own(archive, rng)
        merit = Merit(archive, surrogate, drawn >= BY_LOGARITHM, steering)
        worth = merit(surrogate.predict(children))
        order = np.argsort(-worth, kind="stable")
        ask = self._source(surrogate)
        if ask is None:
            return children[int(order[0])]
        best, highest = children[int(order[0])], -np.inf
        for i in order[:ASKED]:
            if worth[i] <= highest:
                break
            child = children[int(i)]
            [asked] = merit(surrogate.predict([child], ask([child])))
            if asked > highest:
                best, highest = child, float(asked)
        return best

    def _source(self, surrogate: Surrogate) -> Proxy | None:
        """Return what to ask about candidates: counting operations is cheaper than a score."""
        if self.proxy is None or not surrogate.heeded:
            return None
        count: Proxy | None = getattr(self.proxy, "operations", None)
        return count if count is not None and surrogate.heeded == {OBJECTIVE} else self.proxy

    def _own(self, archive: Archive, rng: np.random.Generator) -> Architecture:
        for _ in range(DRAWS):
            fresh = [a for a in self.base.propose(archive, 1, rng) if a.hash not in archive.seen]
            if fresh:
                return fresh[0]
        return self.base.propose(archive, 1, rng)[0]

    def _candidates(self, archive: Archive, rng: np.random.Generator) -> list[Architecture]:
        """Return what the models compare: of a small space most of what is left of it.

        Not all: what cannot be built is asked for again and again if nothing else is drawn.
        """
        if self._everything is None:
            return self._fresh(archive, self.children, rng)
        left = [a for a in self._everything if a.hash not in archive.seen]
        drawn = rng.random(len(left)) < SHARE
        return [a for a, kept in zip(left, drawn, strict=True) if kept] or left

    @cached_property
    def _everything(self) -> list[Architecture] | None:
        size = self.space.size()
        small = size.finite and size.discrete <= SMALL
        return list(self.space.enumerate()) if small else None

    def _fresh(self, archive: Archive, n: int, rng: np.random.Generator) -> list[Architecture]:
        found: dict[str, Architecture] = {}
        for _ in range(DRAWS):
            for a in self.base.propose(archive, n - len(found), rng):
                if a.hash not in archive.seen:
                    found.setdefault(a.hash, a)
            if len(found) >= n:
                break
        return list(found.values())[:n]

    # -- models -------------------------------------------------------------------------------

    def _models(self, archive: Archive) -> tuple[Surrogate, Verdicts]:
        """Return the models, and what they are trusted with."""
        known = self._first(archive, LEARNED)

        def learn() -> tuple[Surrogate, Verdicts]:
            fitted = self._first(known, FITTED)
            given = None if fitted is known else self._models(fitted)[0].settings
            surrogate = Surrogate(known, self._encoder, given)
            return surrogate, trust(surrogate)

        return self._learned.get(known.evaluations, learn)

    def _first(self, archive: Archive, steps: Mapping[int, int]) -> Archive:
        """Return the evaluations but for the last few, whose number changes by steps."""
        n = len(archive.evaluations)
        left = n % next(step for fewest, step in steps.items() if n >= fewest)
        prefix = Archive(self.space, archive.evaluations[: n - left])
        return prefix if left and self._ready(prefix) else archive


def _scored(archive: Archive, count: int) -> bool:
    """Whether the proxy has scored so many evaluations, objectives and not operations alone."""
    names = set(archive.space.objectives)
    found = (e for e in archive.evaluations if not names.isdisjoint(e.metrics.get("proxy") or ()))
    return _at_least(count, found)


def _at_least(count: int, found: Iterable[Any]) -> bool:
    return sum(1 for _ in islice(found, count)) == count


class _Cache(Generic[T]):
    """The values of a function of a list of evaluations that were used last.

    The key is their identity, which is sound because the cache keeps them alive.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], tuple[list[Evaluation], T]] = OrderedDict()

    def get(self, evaluations: list[Evaluation], make: Callable[[], T]) -> T:
        key = tuple(map(id, evaluations))
        if key not in self._kept:
            self._kept[key] = (list(evaluations), make())
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key][1]
