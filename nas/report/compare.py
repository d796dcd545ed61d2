"""Runs against one yardstick: hypervolume as it grew, and the surfaces that runs attained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas import pareto
from nas.evaluation import Evaluation
from nas.pareto import Matrix
from nas.report.data import RunData


@dataclass(frozen=True)
class Box:
    """The box between the best and the worst value of every objective, as losses.

    Args:
        ideal: ``[M]`` best values among all feasible full measurements of all runs.
        nadir: ``[M]`` worst values: the reference point of every hypervolume.
    """

    ideal: Matrix
    nadir: Matrix

    def scaled(self, losses: Matrix) -> Matrix:
        """Map ``[N, M]`` losses so that ideal is 0 and nadir 1."""
        return (losses - self.ideal) / (self.nadir - self.ideal)

    def hypervolume(self, losses: Matrix) -> float:
        """Return the share of the box that ``[N, M]`` losses dominate."""
        return pareto.hypervolume(self.scaled(losses), np.ones(len(self.nadir)))


def box_of(runs: Sequence[RunData]) -> Box | None:
    """Return the box of all runs; None where an objective does not vary."""
    found = [pareto.losses(r.measured, r.objectives) for r in runs if r.measured]
    if not found:
        return None
    values = np.concatenate(found)
    box = Box(values.min(0), pareto.nadir(values))
    return box if (box.nadir > box.ideal).all() else None


@dataclass(frozen=True)
class Growth:
    """The hypervolume of a run after each of its evaluations.

    Args:
        units: ``[K]`` budget charged so far, failed and partial evaluations included.
        seconds: ``[K]`` on the run's clock.
        measured: ``[K]`` share of the box that all measurements dominate; never falls.
        front: ``[K]`` share that the front dominates, where of several measurements of one
            architecture the mean counts; it falls when a lucky one is taken back.
    """

    units: list[float]
    seconds: list[float]
    measured: list[float]
    front: list[float]

    @property
    def repeated(self) -> bool:
        """Whether the two hypervolumes differ anywhere."""
        return not np.allclose(self.measured, self.front)


def growth(run: RunData, box: Box) -> Growth:
    """Return how the hypervolume of a run grew."""
    out = Growth([], [], [], [])
    units, every = 0.0, np.empty((0, len(box.nadir)))
    groups: dict[str, list[Evaluation]] = {}
    means: dict[str, Matrix] = {}
    measured = front = 0.0
    for e in run.archive.evaluations:
        units += e.cost
        if e.ok and e.fidelity >= 1.0:
            group = groups.setdefault(e.architecture.hash, [])
            group.append(e)
            mean = pareto.losses(group, run.objectives).mean(0)
            means.pop(e.architecture.hash, None)
            if all(g.feasible for g in group):
                means[e.architecture.hash] = mean
            front = box.hypervolume(np.array(list(means.values()))) if means else 0.0
        if e.feasible and e.fidelity >= 1.0:
            every = np.vstack((every, pareto.losses([e], run.objectives)))
            measured = box.hypervolume(every)
        out.units.append(units)
        out.seconds.append(run.clock.get(e.number, float("nan")))
        out.measured.append(measured)
        out.front.append(front)
    return out


def seeds_of_one(runs: Sequence[RunData]) -> list[list[RunData]]:
    """Group runs that differ in nothing but the seed and how far they went."""
    groups: list[list[RunData]] = []
    for run in runs:
        same = next((g for g in groups if not _differences(g[0], run)), None)
        if same is None:
            groups.append([run])
        else:
            same.append(run)
    return groups


def differences(runs: Sequence[RunData]) -> list[str]:
    """List in what the runs differ from the first one, the seed apart, one line each."""
    found = [line for run in runs[1:] for line in _differences(runs[0], run)]
    return list(dict.fromkeys(line.partition(":")[0] for line in found))


def _differences(a: RunData, b: RunData) -> list[str]:
    seed = a.study.config.seed
    return a.study.config.differences(replace(b.study.config, seed=seed))


def what_cannot_be_compared(runs: Sequence[RunData]) -> list[str]:
    """Say what makes figures of these runs incomparable: other data, folds or cost models."""
    about = {
        "data": ("digest", "reference", "sha256"),
        "validation speakers": ("validation",),
        "training recipe": ("recipe",),
        "cost model of the energy": ("profile",),
    }
    out = []
    for what, keys in about.items():
        kept = [{k: r.study.config.evaluator.get(k) for k in keys} for r in runs]
        if len({json.dumps(k, sort_keys=True) for k in kept}) > 1:
            out.append(what)
    return out


def attainment(runs: Sequence[RunData], pair: tuple[str, str]) -> dict[str, Matrix]:
    """Return what the best, half and all of several runs attained in two objectives.

    The empirical attainment function (Fonseca & Fleming 1996), computed by moocore: a point is
    attained by a run that found something at least as good in both.

    Args:
        runs: Two or more; those without a measurement attained nothing.
        pair: Two objectives.

    Returns:
        ``best`` (attained by any run), ``median`` and ``worst`` (by all): ``[K, 2]`` losses
        each, sorted by the first; empty where too few runs measured anything.
    """
    import moocore

    points, sets = [], []
    for i, run in enumerate(runs):
        chosen = {name: run.objectives[name] for name in pair}
        members = [e for e in run.archive.full if e.feasible]
        if members:
            points.append(pareto.losses(members, chosen))
            sets += [i] * len(members)
    found = {name: np.empty((0, 2)) for name in ("best", "median", "worst")}
    n = len(runs)
    able = len(points)
    if not able:
        return found
    # a run without any point counts as one that attained nothing
    need = {"best": 1, "median": (n + 1) // 2, "worst": n}
    able_levels = {name: k for name, k in need.items() if k <= able}
    shares = {name: 100.0 * k / able for name, k in able_levels.items()}
    table: Any = moocore.eaf(
        np.concatenate(points), sets, percentiles=sorted(set(shares.values()))
    )
    for name, share in shares.items():
        rows = table[np.isclose(table[:, 2], share)][:, :2]
        found[name] = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    return found
