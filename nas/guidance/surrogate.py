"""What a run's evaluations predict for every objective of architectures not yet tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.guidance.encoding import Encoder
from nas.guidance.gp import Columns, GaussianProcess, Settings
from nas.pareto import Matrix
from search_spaces.architecture import Architecture
from search_spaces.space import Constraint

Rows = npt.NDArray[np.bool_]

LIMIT = 192
DECADES = 10.0  # a positive quantity that spans this factor is modelled by its logarithm
GAIN = 0.95  # an extra input must lower the leave-one-out error to this share
PAIRS = 15
TAIL = 3.0


@dataclass(frozen=True)
class Scale:
    """How a measured quantity is turned into what is modelled: a loss, in log if it spans decades.

    Args:
        sign: 1 to minimise the quantity, -1 to maximise it.
        log: Whether the logarithm is modelled.
    """

    sign: float
    log: bool

    @classmethod
    def of(cls, losses: Matrix, sign: float) -> Scale:
        """Choose by the values seen, given as losses."""
        log = sign > 0 and losses.min() > 0 and losses.max() > DECADES * losses.min()
        return cls(sign, bool(log))

    def __call__(self, losses: Matrix) -> Matrix:
        """Map losses to what is modelled."""
        return np.log(np.maximum(losses, 1e-300)) if self.log else losses


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


class Target:
    """One modelled quantity: a Gaussian process over architecture, fidelity and proxy score.

    Args:
        name: Of the quantity.
        x: ``[N, D]`` architectures and log fidelity.
        y: ``[N]`` values.
        columns: What the inputs are.
        given: Hyper-parameters by name of the process; those missing are fitted. Where those
            of the plain process are there, whether the scores are of use was decided with them.
        proxy: ``[N]`` scores, NaN where there is none.

    Attributes:
        plain: The process without scores.
        with_proxy: The one with them, None unless they lower the leave-one-out error enough.
        gain: By which share they lower it, NaN while too few are known.
        settings: Hyper-parameters of every process that was fitted.
    """

    def __init__(
        self,
        name: str,
        x: Matrix,
        y: Matrix,
        columns: Columns,
        given: Mapping[str, Settings],
        proxy: Matrix,
    ) -> None:
        self.name, self.x, self.y, self.columns = name, x, y, columns
        self._given = given
        self.settings: dict[str, Settings] = {}
        self.plain = self._fit(name, x, y, columns)
        self.with_proxy: GaussianProcess | None = None
        self.gain = float("nan")
        known = np.isfinite(proxy)
        if known.sum() < PAIRS or np.ptp(proxy[known]) == 0.0:
            return
        decided = f"{name} with score" in given if name in given else None
        if self._helps(proxy, known) if decided is None else decided:
            self._use(proxy, known)

    def _fit(self, role: str, x: Matrix, y: Matrix, columns: Columns) -> GaussianProcess:
        process = GaussianProcess(x, y, columns, self._given.get(role))
        self.settings[role] = process.settings
        return process

    def _helps(self, proxy: Matrix, known: Rows) -> bool:
        """Whether the scores explain what the architecture does not."""
        x, y, score = self.x[known], self.y[known], proxy[known]
        without = self.plain if known.all() else GaussianProcess(x, y, self.columns)
        scored = GaussianProcess(np.column_stack([x, score]), y, self.columns.more(1))
        errors = [float(np.sqrt(np.mean((g.left_out() - y) ** 2))) for g in (without, scored)]
        self.gain = 1.0 - errors[1] / errors[0] if errors[0] > 0 else 0.0
        return errors[1] <= GAIN * errors[0]

    def _use(self, proxy: Matrix, known: Rows) -> None:
        filled = proxy.copy()
        if not known.all():  # what was never scored gets the score its architecture suggests
            scores = self._fit(f"{self.name} score", self.x[known], proxy[known], self.columns)
            filled[~known] = scores.predict(self.x[~known])[0]
        everything = np.column_stack([self.x, filled])
        more = self.columns.more(1)
        self.with_proxy = self._fit(f"{self.name} with score", everything, self.y, more)


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
        losses = archive.losses(self.evaluations)
        signs = [1.0 if d == "minimize" else -1.0 for d in space.objectives.values()]
        self.scales = [Scale.of(losses[:, j], s) for j, s in enumerate(signs)]
        self.targets: dict[str, Target] = {}
        for j, name in enumerate(space.objectives):
            y = _tamed(self.scales[j](losses[:, j]))
            scores = _proxy_scores(self.evaluations, name)
            self.targets[name] = Target(name, x, y, self.columns, settings, scores)
        self._limits = _limits(self, archive, x, settings)
        self._success = _success(self, archive, settings)

    @property
    def uses_proxy(self) -> bool:
        """Whether a proxy score explains any objective better than the architecture alone."""
        return any(t.with_proxy is not None for t in self.targets.values())

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
        scores: Sequence[Mapping[str, float]] | None = None,
    ) -> Prediction:
        """Predict at fidelity 1, with proxy scores where they are given and of use."""
        x = np.column_stack([self.encoder(architectures), np.zeros(len(architectures))])
        means, deviations = [], []
        for name, target in self.targets.items():
            process, inputs = target.plain, x
            given = [s.get(name) for s in scores] if scores is not None else [None]
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
    order = sorted(range(len(able)), key=lambda i: (ranks[i], -able[i].fidelity, -i))
    keep = set(order[: limit // 2])
    keep.update(range(len(able) - limit // 5, len(able)))
    rest = [i for i in range(len(able)) if i not in keep]
    picks = np.linspace(0, len(rest) - 1, limit - len(keep)).round().astype(int)
    keep.update(rest[i] for i in picks)
    return [able[i] for i in sorted(keep)]


def _proxy_scores(evaluations: Sequence[Evaluation], name: str) -> Matrix:
    scores = [(e.metrics.get("proxy") or {}).get(name) for e in evaluations]
    return np.array([np.nan if s is None else float(s) for s in scores], dtype=np.float64)


def _tamed(y: Matrix) -> Matrix:
    """Pull in a long tail of bad values; what matters is told apart at the good end."""
    low, high = np.quantile(y, [0.25, 0.75])
    return np.minimum(y, high + TAIL * (high - low)) if high > low else y


def _limits(
    surrogate: Surrogate, archive: Archive, x: Matrix, settings: Mapping[str, Settings]
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
            x[known],
            np.log(y) if log else y,
            surrogate.columns,
            settings.get(f"constraint {name}"),
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
    return GaussianProcess(x, y, surrogate.columns, settings.get("success"))
