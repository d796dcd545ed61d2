"""Successive halving for several objectives, asynchronous.

Every new architecture gets a first look: of several validation folds of a corpus it is trained on
the first; where there is one fold, or the evaluator is a person's own, for an eighth of the
training. Of those, the best by non-dominated rank go on from where they stopped, a quarter of them
or, of the latter, a third; the rest are never finished. A decision needs no generation to end, and
nothing but the archive, so that a resumed run decides as the unbroken one would have.

After ASHA (Li et al., MLSys 2020) with the rank of Deb et al. (2002) in the place of a loss.
That a short training tells anything about a long one is measured and not assumed: a few
promotions are drawn at random, and where the two do not agree, new architectures are trained
in full at once. A fold is no guess at the result but a part of it, and is believed: among the
few that are trained in full, which are all good and alike, no correlation could be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nas import pareto
from nas.archive import Archive
from nas.evaluation import Evaluation

if TYPE_CHECKING:
    from nas.run_config import RunConfig

LOW = 0.125  # share of the epochs of a first look, where there are no folds to choose from
KEEP = 4  # one of so many first looks goes on
KEEP_DOUBTED = 3  # of those that are a guess, which is wrong more often
AT_RANDOM = 0.15  # share of the promotions that are drawn, to measure what a first look is worth
LEAST_PAIRS = 10  # before it is judged
FLOOR = 0.1  # of the lower confidence bound of the rank correlation


@dataclass(frozen=True)
class Step:
    """What to do next.

    Args:
        fidelity: Train up to this share of the whole.
        promote: The evaluation to go on from; None for a new architecture.
    """

    fidelity: float
    promote: Evaluation | None = None


class FullOnly:
    """Every architecture is trained in full."""

    def waiting(self, archive: Archive) -> list[Evaluation]:
        """Return nothing: nobody waits."""
        return []

    def next(self, archive: Archive, left: float, rng: np.random.Generator) -> Step | None:
        """Return the next step within what is left of the budget; None at its end."""
        return Step(1.0) if left + 1e-9 >= 1.0 else None


class Halving:
    """First looks, and the promotion of the best of them.

    Args:
        warmup: First looks before the first promotion.
        low: Share of the full training that a first look is.
        doubted: Whether first looks decide only while they agree with full trainings.
    """

    def __init__(self, warmup: int, low: float = LOW, doubted: bool = True) -> None:
        self.warmup, self.low, self.doubted = warmup, low, doubted
        self.keep = KEEP_DOUBTED if doubted else KEEP

    def next(self, archive: Archive, left: float, rng: np.random.Generator) -> Step | None:
        """As of ``FullOnly``; the end of the budget is met to the last first look."""
        looks = first_looks(archive)
        waiting = self.waiting(archive)
        rest = 1.0 - self.low
        if left + 1e-9 < self.low:
            return None
        if left + 1e-9 >= rest and waiting and self._due(looks, waiting, left):
            if self.doubted and rng.random() < AT_RANDOM:
                return Step(1.0, waiting[int(rng.integers(len(waiting)))])
            best = ranked(waiting, archive, self.keep)
            if best or left < 1.0:
                return Step(1.0, (best or in_order(waiting, archive))[0])
        if self.doubted and left + 1e-9 >= 1.0 and not trusted(archive):
            return Step(1.0)
        return Step(self.low)

    def waiting(self, archive: Archive) -> list[Evaluation]:
        """Return the first looks that may still be promoted."""
        taken = promoted(archive)
        return [e for e in first_looks(archive) if e.architecture.hash not in taken]

    def _due(
        self, looks: Sequence[Evaluation], waiting: Sequence[Evaluation], left: float
    ) -> bool:
        """Whether a promotion is open: one of ``keep`` first looks, and at the end any."""
        if left < 1.0:
            return True
        return len(looks) >= self.warmup and (len(looks) - len(waiting)) < len(looks) // self.keep


def make_schedule(config: RunConfig) -> FullOnly | Halving:
    """Return the schedule of a run."""
    if not config.halving:
        return FullOnly()
    # so many that those of them that go on cost about as much again
    warmup = max(8, min(60, round(0.3 * config.planned)))
    evaluator = config.evaluator
    if evaluator.get("looks") == "folds":
        return Halving(warmup, 1.0 / len(evaluator["validation"]), doubted=False)
    return Halving(warmup)


def first_looks(archive: Archive) -> list[Evaluation]:
    """Return the evaluations below fidelity 1 that could be promoted.

    Those outside the constraints too: on a part of the data a network can be outside by little
    that is inside on all of it.
    """
    return [e for e in archive.evaluations if e.ok and e.fidelity < 1.0]


def promoted(archive: Archive) -> frozenset[str]:
    """Return the hashes of architectures that were trained further, or are being trained."""
    done = [e.architecture.hash for e in archive.evaluations if e.fidelity >= 1.0]
    return frozenset(done + [a.hash for a in archive.pending])


def ranks_of(looks: Sequence[Evaluation], archive: Archive) -> npt.NDArray[np.intp]:
    """Return ``[N]``: non-dominated ranks from 0; behind them what is outside the constraints.

    By the constrained domination of Deb et al. (2002): the less it violates, the better.
    """
    import moocore

    inside = np.array([e.feasible for e in looks])
    ranks = np.zeros(len(looks), dtype=np.intp)
    if inside.any():
        able = [e for e in looks if e.feasible]
        ranks[inside] = moocore.pareto_rank(archive.losses(able))
    amounts = np.array([sum(e.violations.values()) for e in looks if not e.feasible])
    if len(amounts):
        behind = ranks[inside].max(initial=-1) + 1
        ranks[~inside] = behind + np.unique(amounts, return_inverse=True)[1]
    return ranks


def ranked(waiting: Sequence[Evaluation], archive: Archive, keep: int = KEEP) -> list[Evaluation]:
    """Return those of ``waiting`` in the best of all first looks, one of ``keep``, best first."""
    looks = first_looks(archive)
    ranks = ranks_of(looks, archive)
    limit = np.sort(ranks)[max(0, -(-len(looks) // keep) - 1)]
    near = {e.number for e, rank in zip(looks, ranks, strict=True) if rank <= limit}
    return _sorted([e for e in waiting if e.number in near], looks, ranks, archive)


def in_order(waiting: Sequence[Evaluation], archive: Archive) -> list[Evaluation]:
    """Sort first looks by rank among all; within a rank by how much volume each adds to it."""
    looks = first_looks(archive)
    return _sorted(waiting, looks, ranks_of(looks, archive), archive)


def _sorted(
    waiting: Sequence[Evaluation],
    looks: Sequence[Evaluation],
    ranks: npt.NDArray[np.intp],
    archive: Archive,
) -> list[Evaluation]:
    places = {e.number: i for i, e in enumerate(looks)}
    values = archive.losses(looks)
    low, high = values.min(0), values.max(0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)

    def place(e: Evaluation) -> tuple[float, float, int]:
        rank = ranks[places[e.number]]
        mine = scaled[places[e.number]]
        return float(rank), -_added(mine, scaled[ranks == rank]), e.number

    return sorted(waiting, key=place)


def agreement(archive: Archive, of_folds: bool = False) -> dict[str, dict[str, Any]]:
    """Return how first looks and full trainings agree, by objective.

    Args:
        archive: The evaluations so far.
        of_folds: Whether looks are at folds. As those are a part of the whole, they are then
            compared with the rest of it.

    Returns:
        Objective to ``tau`` (Kendall's, None without variation), ``pairs`` and ``low``, the
        lower end of its 90 % interval.
    """
    looks = {e.architecture.hash: e for e in first_looks(archive)}
    pairs = [(looks[e.architecture.hash], e) for e in archive.full if e.architecture.hash in looks]

    def found(look: Evaluation, full: Evaluation, name: str) -> float:
        whole = full.objectives[name]
        if not of_folds:
            return whole
        return (whole - look.fidelity * look.objectives[name]) / (1.0 - look.fidelity)

    return {
        name: kendall(
            [look.objectives[name] for look, _ in pairs],
            [found(look, full, name) for look, full in pairs],
        )
        for name in archive.space.objectives
    }


def kendall(said: Sequence[float], found: Sequence[float]) -> dict[str, Any]:
    """Return Kendall's ``tau`` of pairs (None without variation), its ``low`` end, ``pairs``."""
    from scipy import stats

    n = len(said)
    tau, low = None, None
    if n >= 3:
        value = float(stats.kendalltau(said, found).statistic)
        if np.isfinite(value):
            # normal approximation of tau's standard error without association
            error = np.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))
            tau, low = value, float(value - 1.64 * error)
    return {"tau": tau, "low": low, "pairs": n}


def trusted(archive: Archive) -> bool:
    """Whether first looks may decide: not yet judged, or no objective contradicts them."""
    found = agreement(archive).values()
    judged = [a for a in found if a["pairs"] >= LEAST_PAIRS and a["tau"] is not None]
    return all(a["tau"] >= FLOOR for a in judged)


def _added(point: np.ndarray[Any, np.dtype[np.float64]], others: Any) -> float:
    """Volume that only ``point`` dominates, up to a corner just beyond the worst."""
    corner = np.full(len(point), 1.1)
    without = others[~(others == point).all(1)]
    whole = pareto.hypervolume(np.vstack((without, point[None])), corner)
    return whole - pareto.hypervolume(without, corner)
