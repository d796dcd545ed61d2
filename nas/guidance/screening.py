"""Which of several candidates to evaluate, and whether the models may say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.guidance.improvement import boxes, expected_improvement
from nas.guidance.surrogate import Prediction, Surrogate
from nas.pareto import Matrix

Verdicts = dict[str, dict[str, Any]]

FLOOR = 0.15
FEWEST = 6
FRONT = 80


def trust(surrogate: Surrogate) -> Verdicts:
    """Return how well each objective is predicted for evaluations that are left out.

    Returns:
        By objective: ``correlation`` (Spearman, None while it cannot be told), ``n``, ``floor``
        (its lower confidence bound, one standard error) and ``steers``. An objective that never
        changed has no say and steers.
    """
    fidelities = np.array([e.fidelity for e in surrogate.evaluations])
    top = next(
        (f for f in sorted(set(fidelities), reverse=True) if (fidelities == f).sum() >= FEWEST),
        None,
    )
    rows = fidelities == top
    out: Verdicts = {}
    for name, target in surrogate.targets.items():
        n = int(rows.sum()) if top is not None else 0
        verdict: dict[str, Any] = {"correlation": None, "n": n, "floor": None, "steers": False}
        if n >= FEWEST:
            process = target.with_proxy or target.plain
            y = target.y[rows]
            if np.ptp(y) == 0.0:
                verdict["steers"] = True
            else:
                rho = rank_correlation(process.left_out()[rows], y)
                bound = lower_bound(rho, n)
                verdict |= {"correlation": rho, "floor": bound, "steers": bound >= FLOOR}
        out[name] = verdict
    return out


def steers(verdicts: Verdicts) -> npt.NDArray[np.bool_]:
    """Return ``[M]``: which objectives are predicted well enough to steer by."""
    return np.array([v["steers"] for v in verdicts.values()])


def rank_correlation(a: Matrix, b: Matrix) -> float:
    """Spearman's; 0 where one of the two never changes."""
    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 0 else 0.0


def lower_bound(rho: float, n: int) -> float:
    """Return a rank correlation less one standard error (Fisher's transformation)."""
    rho = max(-0.999, min(0.999, rho))
    return float(np.tanh(np.arctanh(rho) - 1.0 / np.sqrt(max(1, n - 3))))


class Merit:
    """Expected gain of candidates over what the archive holds.

    Args:
        archive: The evaluations so far.
        surrogate: Learned from them.
        linear: Volume of the losses as they are; otherwise of what is modelled, where a
            quantity that spans decades counts by its logarithm.
        steering: ``[M]`` objectives whose predictions count; of the others any architecture
            is expected to have what those so far had.
    """

    def __init__(
        self,
        archive: Archive,
        surrogate: Surrogate,
        linear: bool,
        steering: npt.NDArray[np.bool_],
    ) -> None:
        self.surrogate = surrogate
        self._steering = steering
        scales = surrogate.scales
        self.logs = np.array([s.log and linear for s in scales])
        front = _values(archive, archive.front, surrogate, self.logs)
        if archive.pending:  # as if they had come out as predicted
            expected = surrogate.predict(archive.pending)
            front = np.concatenate(
                [front, np.where(self.logs, np.exp(expected.mean), expected.mean)]
            )
        able = [e for e in archive.full if e.feasible]
        seen = _values(archive, able or surrogate.evaluations, surrogate, self.logs)
        self.low, self.high = boxes(thinned(front), reference_point(seen))

    def __call__(self, predicted: Prediction) -> Matrix:
        """Return ``[N]``: expected improvement times the probability to be feasible."""
        mean = np.where(self._steering, predicted.mean, self.surrogate.level)
        deviation = np.where(self._steering, predicted.deviation, self.surrogate.spread)
        gain = expected_improvement(mean, deviation, self.low, self.high, self.logs)
        merit: Matrix = gain * predicted.feasible
        return merit


def _values(
    archive: Archive, evaluations: Sequence[Evaluation], surrogate: Surrogate, logs: Matrix
) -> Matrix:
    losses = archive.losses(evaluations)
    columns = [
        losses[:, j] if logs[j] else scale(losses[:, j])
        for j, scale in enumerate(surrogate.scales)
    ]
    return np.column_stack(columns)


def reference_point(seen: Matrix) -> Matrix:
    """Return ``[M]``: a point just beyond the worst of ``[N, M]`` losses."""
    low, high = seen.min(0), seen.max(0)
    reference: Matrix = high + 0.01 * np.where(high > low, high - low, 1.0)
    return reference


def thinned(front: Matrix) -> Matrix:
    """Return a front, one of three or more objectives cut to a size whose boxes are few."""
    if front.shape[1] < 3 or len(front) <= FRONT:
        return front
    picks = np.linspace(0, len(front) - 1, FRONT).round().astype(int)
    kept: Matrix = front[picks]
    return kept
