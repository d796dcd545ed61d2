"""The evaluations of a run, one after the other: what was left open, promotions, new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nas.archive import Archive
from nas.evaluation import Job
from nas.halving import in_order, make_schedule
from nas.searchers import Searcher
from nas.study import Study
from search_spaces.architecture import Architecture

PROPOSALS = 20
SAMPLES = 2000
ENUMERATE_UP_TO = 1_000_000


def jobs_of(
    study: Study, searcher: Searcher, refuse: Callable[[Architecture], str | None] | None
) -> Iterator[Job | None]:
    """Yield evaluations to make: first those a kill left open, then new ones.

    Any number of them may be under way; together with what is spent they never exceed the
    budget. None says that nothing can begin before one of those has ended.
    """
    from eval.seeds import derived_seed

    schedule = make_schedule(study.config)
    yield from study.pending
    while True:
        # the generator depends on nothing but the seed and the place in the record, so that
        # a resumed run proposes what the unbroken one would have
        rng = np.random.default_rng([study.config.seed, study.started])
        archive = study.archive()
        left = study.config.budget - study.committed
        step = schedule.next(archive, left, rng)
        if step is None:
            return
        first = step.promote
        architecture = None
        # beside a full training, be it of something new or the rest of one that was begun
        if study.config.remeasure and step.fidelity == 1.0 and left + 1e-9 >= 1.0:
            known = _again(searcher, archive, rng)
            if known is not None:
                times = sum(e.architecture == known for e in archive.evaluations)
                seed = derived_seed(study.config.seed, known.hash, times)
                yield study.start(known, 1.0, seed, again=True)
                continue
        if first is None:
            architecture = next_architecture(study, searcher, refuse, rng)
        if first is None and architecture is None:
            waiting = [e for e in schedule.waiting(archive) if 1.0 - e.fidelity <= left + 1e-9]
            if not waiting and study.pending:
                yield None  # what is under way may be promoted
                continue
            if not waiting:
                study.log("exhausted", spent=study.spent)
                return
            first = in_order(waiting, archive)[0]  # nothing new is left: finish what was begun
        if first is not None:
            yield study.start(first.architecture, 1.0, first.seed, paid=first.fidelity)
            continue
        assert architecture is not None
        seed = derived_seed(study.config.seed, architecture.hash)
        yield study.start(architecture, step.fidelity, seed)


def _again(searcher: Searcher, archive: Archive, rng: np.random.Generator) -> Architecture | None:
    """Return what the searcher would rather measure again than try something new."""
    ask = getattr(searcher, "again", None)
    known: Architecture | None = ask(archive, rng) if ask is not None else None
    return known


def next_architecture(
    study: Study,
    searcher: Searcher,
    refuse: Callable[[Architecture], str | None] | None,
    rng: np.random.Generator,
) -> Architecture | None:
    """Return a new architecture: neither in the record nor known to break a constraint.

    A searcher that only repeats itself is helped out by random draws and, in a small space,
    by enumeration.

    Returns:
        None when every architecture of the space has been tried.
    """
    archive, space = study.archive(), study.space
    turned_down: set[str] = set()

    def usable(a: Architecture) -> bool:
        if a.hash in archive.seen or a.hash in turned_down:
            return False
        if refuse is not None and refuse(a) is not None:
            turned_down.add(a.hash)
            return False
        return True

    for _ in range(PROPOSALS):
        for proposed in searcher.propose(archive, 1, rng):
            if usable(proposed):
                return proposed
    for _ in range(SAMPLES):
        drawn = space.sample(rng)
        if usable(drawn):
            return drawn
    size = space.size()
    if size.finite and size.discrete <= ENUMERATE_UP_TO:
        return next((a for a in space.enumerate() if usable(a)), None)
    return None
