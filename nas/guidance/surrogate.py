"""What a run's evaluations predict for every objective of architectures not yet tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.guidance.encoding import Encoder
from nas.guidance.energy import OBJECTIVE, OPERATIONS, EnergyModel
from nas.guidance.gp import GaussianProcess, Settings
from nas.guidance.inputs import Columns, Inputs
from nas.guidance.target import DECADES, Scale, Target
from nas.pareto import Matrix
from search_spaces.architecture import Architecture
from search_spaces.space import Constraint

Rows = npt.NDArray[np.bool_]

LIMIT = 192
TAIL = 3.0


@dataclass(frozen=True)
class Prediction:
    """Of ``N`` architectures at fidelity 1.

    Args:
        mean: ``[N, M]`` modelled losses.
        deviation: ``[N, M]`` standard deviations.
        feasible: ``[N]`` probability to succeed within every constraint.
    """

    mean: Matrix
    deviation: Matrix
    feasible: Matrix


class Surrogate:
    """Models of every objective, and of the constraints once one was broken.

    Args:
        archive: The evaluations so far, at any fidelity.
        encoder: Of the archive's space.
        settings: Hyper-parameters by name of the process; those missing are fitted.
    """

    def __init__(
        self,
        archive: Archive,
        encoder: Encoder,
        settings: Mapping[str, Settings] | None = None,
    ) -> None:
        space = archive.space
        settings = settings or {}
        self.space, self.encoder = space, encoder
        self.evaluations = chosen(archive)
        x = self._inputs(encoder([e.architecture for e in self.evaluations]), self.evaluations)
        self.partial = bool((x[:, -1] < 0).any())
        self.columns = Columns(encoder.groups, encoder.numeric).more(1)
        # of one architecture a first look is a part of the whole, and a repeat nearly the same
        inputs = Inputs(x, self.columns, _owners(self.evaluations))
        losses = archive.losses(self.evaluations)
        signs = [1.0 if d == "minimize" else -1.0 for d in space.objectives.values()]
        self.scales = [Scale.of(losses[:, j], s) for j, s in enumerate(signs)]
        self.energy = EnergyModel(self.evaluations)
        self.targets: dict[str, Target] = {}
        for j, name in enumerate(space.objectives):
            y = _tamed(self.scales[j](losses[:, j]))
            if name == OBJECTIVE:
                scores = self.scales[j](self.energy.left_out())
            else:
                scores = _proxy_scores(self.evaluations, name)
            self.targets[name] = Target(name, inputs, y, settings, scores)
        self._limits = _limits(self, archive, inputs, settings)
        self._success = _success(self, archive, settings)

    @property
    def heeded(self) -> frozenset[str]:
        """Objectives that a proxy's score explains better than the architecture alone."""
        return frozenset(n for n, t in self.targets.items() if t.with_proxy is not None)

    @property
    def level(self) -> Matrix:
        """``[M]``: mean of what was measured, as modelled."""
        return np.array([t.plain.mean for t in self.targets.values()])

    @property
    def spread(self) -> Matrix:
        """``[M]``: standard deviation of what was measured, as modelled."""
        return np.array([t.plain.spread for t in self.targets.values()])

    @property
    def settings(self) -> dict[str, Settings]:
        """Hyper-parameters by name of the process."""
        out = {role: s for t in self.targets.values() for role, s in t.settings.items()}
        out |= {f"constraint {c.quantity}": g.settings for c, g, _ in self._limits}
        if self._success is not None:
            out["success"] = self._success.settings
        return out

    def predict(
        self,
        architectures: Sequence[Architecture],
        scores: Sequence[Mapping[str, Any]] | None = None,
    ) -> Prediction:
        """Predict at fidelity 1, with proxy scores where they are given and of use."""
        x = np.column_stack([self.encoder(architectures), np.zeros(len(architectures))])
        means, deviations = [], []
        for name, target in self.targets.items():
            process, inputs = target.plain, x
            given = self._scores(name, architectures, scores)
            if target.with_proxy is not None and all(g is not None for g in given):
                process = target.with_proxy
                inputs = np.column_stack([x, np.array(given, dtype=np.float64)])
            mean, deviation = process.predict(inputs)
            means.append(mean)
            deviations.append(deviation)
        feasible = np.ones(len(x))
        for constraint, process, log in self._limits:
            feasible *= _within(constraint, process, log, x)
        if self._success is not None:
            feasible *= np.clip(self._success.predict(x)[0], 0.02, 1.0)
        return Prediction(np.column_stack(means), np.column_stack(deviations), feasible)

    def _scores(
        self,
        name: str,
        architectures: Sequence[Architecture],
        scores: Sequence[Mapping[str, Any]] | None,
    ) -> list[float | None]:
        """Return what is known of an objective before training, in the model's unit."""
        if scores is None:
            return [None]
        if name != OBJECTIVE:
            return [s.get(name) for s in scores]
        scale = self.scales[list(self.targets).index(name)]
        found = [
            self.energy.predict(a, s[OPERATIONS]) if OPERATIONS in s else None
            for a, s in zip(architectures, scores, strict=True)
        ]
        return [None if f is None else float(scale(np.array([f]))[0]) for f in found]

    def _inputs(self, x: Matrix, evaluations: Sequence[Evaluation]) -> Matrix:
        fidelity = np.log([e.fidelity for e in evaluations])
        return np.column_stack([x, fidelity])


def chosen(archive: Archive, limit: int = LIMIT) -> list[Evaluation]:
    """Return the evaluations to learn from, at most ``limit``, in the archive's order.

    When there are more: the best by non-dominated rank, the most recent, and of the rest
    every n-th.
    """
    import moocore

    able = [e for e in archive.evaluations if e.ok]
    if len(able) <= limit:
        return able
    ranks = moocore.pareto_rank(archive.losses(able))
    # a partial training is ranked behind a full one of the same rank
    fidelity = np.array([e.fidelity for e in able])
    order = np.lexsort((-np.arange(len(able)), -fidelity, ranks))
    keep = set(order[: limit // 2].tolist())
    keep.update(range(len(able) - limit // 5, len(able)))
    rest = [i for i in range(len(able)) if i not in keep]
    picks = np.linspace(0, len(rest) - 1, limit - len(keep)).round().astype(int)
    keep.update(rest[i] for i in picks)
    return [able[i] for i in sorted(keep)]


def _owners(evaluations: Sequence[Evaluation]) -> npt.NDArray[np.intp]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(e.architecture.hash, len(numbers)) for e in evaluations])


def _proxy_scores(evaluations: Sequence[Evaluation], name: str) -> Matrix:
    scores = [(e.metrics.get("proxy") or {}).get(name) for e in evaluations]
    return np.array([np.nan if s is None else float(s) for s in scores], dtype=np.float64)


def _tamed(y: Matrix) -> Matrix:
    """Pull in a long tail of bad values; what matters is told apart at the good end."""
    low, high = np.quantile(y, [0.25, 0.75])
    return np.minimum(y, high + TAIL * (high - low)) if high > low else y


def _limits(
    surrogate: Surrogate, archive: Archive, inputs: Inputs, settings: Mapping[str, Settings]
) -> list[tuple[Constraint, GaussianProcess, bool]]:
    out = []
    for constraint in archive.space.constraints:
        name = constraint.quantity
        if not any(name in e.violations for e in surrogate.evaluations):
            continue
        values = [e.metrics.get(name, e.objectives.get(name)) for e in surrogate.evaluations]
        known = np.array([isinstance(v, int | float) for v in values])
        if known.sum() < 3:
            continue
        y = np.array([v for v in values if isinstance(v, int | float)], dtype=np.float64)
        log = bool(y.min() > 0 and y.max() > DECADES * y.min())
        process = GaussianProcess(
            inputs.rows(known), np.log(y) if log else y, settings.get(f"constraint {name}")
        )
        out.append((constraint, process, log))
    return out


def _within(constraint: Constraint, process: GaussianProcess, log: bool, x: Matrix) -> Matrix:
    mean, deviation = process.predict(x)
    deviation = np.hypot(deviation, process.noise)
    share = np.ones(len(x))
    for bound, sign in ((constraint.max, 1.0), (constraint.min, -1.0)):
        if bound is None:
            continue
        edge = (np.log(bound) if bound > 0 else -np.inf) if log else bound
        share = share * norm.cdf(sign * (edge - mean) / deviation)
    return share


def _success(
    surrogate: Surrogate, archive: Archive, settings: Mapping[str, Settings]
) -> GaussianProcess | None:
    """Model which architectures fail, and which break a constraint nobody measured."""
    measured = {c.quantity for c in archive.space.constraints} & {
        name for e in archive.evaluations for name in (*e.metrics, *e.objectives)
    }
    recent = archive.evaluations[-LIMIT:]
    good = [e.ok and not (set(e.violations) - measured) for e in recent]
    if all(good) or not any(good):
        return None
    x = surrogate._inputs(surrogate.encoder([e.architecture for e in recent]), recent)
    y = np.array(good, dtype=np.float64)
    return GaussianProcess(Inputs(x, surrogate.columns), y, settings.get("success"))
