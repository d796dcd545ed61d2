"""Whether to measure something again rather than something new.

Of noisy measurements the best is partly the luckiest: it stands in front of others that are as
good. One more measurement of it is worth what the front is expected to be chosen better for it
(the knowledge gradient of Frazier et al. 2009, for the front's volume); a new architecture is
worth its expected improvement, as far as one noisy measurement can tell. Both are volumes in
one unit, so the larger one says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from nas import pareto
from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.guidance.improvement import boxes, expected_improvement
from nas.guidance.screening import reference_point, thinned
from nas.guidance.surrogate import Prediction, Surrogate
from nas.measurements import by_architecture
from nas.pareto import Matrix

CONTENDERS = 12
DRAWS = 32
FEWEST = 16  # architectures, before anything is measured twice
PRIOR = 1.0  # degrees of freedom that the surrogate's idea of the noise is worth


class Again:
    """The value of measuring what was measured before, and of what was not.

    Args:
        archive: The evaluations so far.
        surrogate: Learned from them.

    Attributes:
        noise: ``[M]`` standard deviation of a measurement, in the surrogate's unit.
    """

    def __init__(self, archive: Archive, surrogate: Surrogate) -> None:
        self.surrogate = surrogate
        groups = by_architecture(archive.evaluations)
        self.noise = measurement_noise(archive, surrogate, groups)
        busy = {a.hash for a in archive.pending}
        able = [g for g in groups if all(e.feasible for e in g)]
        self._first = [g[0] for g in able]
        self.worthwhile = len(able) >= FEWEST and bool((self.noise > 0.0).any())
        if self.worthwhile:
            self._believe(archive, able)
            idle = np.array([g[0].architecture.hash not in busy for g in able])
            self._shift[~idle] = 0.0

    def best(self) -> tuple[Evaluation, float]:
        """Return what is best measured again, and the volume it is expected to bring.

        Only where it is ``worthwhile``, as for :meth:`of_new`.
        """
        import moocore

        front = np.flatnonzero(
            moocore.is_nondominated(self._mean, keep_weakly=True)
            | moocore.is_nondominated(self._measured, keep_weakly=True)
        )
        front = front[np.argsort(-self._shift[front].max(1), kind="stable")][:CONTENDERS]
        # whatever a member's fall could bring to light is in the second rank at most
        near = np.flatnonzero(moocore.pareto_rank(self._mean) <= 1)
        now = pareto.hypervolume(self._mean[near], self._reference)
        draws = _normal(len(self.noise))
        values = []
        for i in front:
            others = self._mean[near[near != i]]
            after = [
                pareto.hypervolume(np.vstack([others, moved]), self._reference)
                for moved in self._mean[i] + self._shift[i] * draws
            ]
            values.append(float(np.mean(after)) - now)
        at = int(np.argmax(values))
        return self._first[front[at]], values[at]

    def of_new(self, new: Prediction) -> Matrix:
        """Return ``[N]``: the volume that measuring new architectures is expected to bring."""
        import moocore

        spread = np.hypot(new.deviation, self._own)
        told = spread**2 / np.maximum(np.hypot(spread, self.noise), 1e-300)
        front = self._mean[moocore.is_nondominated(self._mean)]
        low, high = boxes(thinned(front), self._reference)
        value: Matrix = expected_improvement(new.mean, told, low, high) * new.feasible
        return value

    def _believe(self, archive: Archive, groups: Sequence[Sequence[Evaluation]]) -> None:
        """What is believed of everything measured: mean, and how far one more could move it."""
        rows = {id(e): i for i, e in enumerate(self.surrogate.evaluations)}
        # of the model's rows: one of each architecture, -1 where the model has left it out
        first = np.array([next((rows[id(e)] for e in g if id(e) in rows), -1) for g in groups])
        counts = np.array([len(g) for g in groups])
        starts = np.r_[0, np.cumsum(counts)[:-1]]
        losses = archive.losses([e for g in groups for e in g])
        self._measured = np.add.reduceat(losses, starts) / counts[:, None]
        m = len(self.noise)
        self._mean, self._shift = np.empty((len(groups), m)), np.zeros((len(groups), m))
        self._own = np.empty(m)
        for j, (target, scale) in enumerate(
            zip(self.surrogate.targets.values(), self.surrogate.scales, strict=True)
        ):
            process, noise = target.plain, self.noise[j] ** 2
            # what the model takes for noise and repeated measurements do not show is of the
            # architecture itself: it is what a measurement can find out
            own = max(process.noise**2 - noise, 0.0)
            self._own[j] = np.sqrt(own)
            sums = np.add.reduceat(scale(losses[:, j]), starts)
            self._mean[:, j] = sums / counts
            if noise == 0.0:
                continue
            expected = process.left_out()[first]
            prior = process.left_out_deviation()[first] ** 2 + own
            left = 1.0 / (1.0 / prior + counts / noise)
            modelled = first >= 0
            believed = left * (expected / prior + sums / noise)
            self._mean[modelled, j] = believed[modelled]
            self._shift[modelled, j] = (left / np.sqrt(left + noise))[modelled]
        self._reference = reference_point(self._mean)


def measurement_noise(
    archive: Archive, surrogate: Surrogate, groups: Sequence[Sequence[Evaluation]]
) -> Matrix:
    """Return ``[M]``: the standard deviation of a measurement, in the surrogate's unit.

    What the surrogate cannot explain is noise until architectures have been measured again;
    then it is what those measurements show, and none where they agree to the last digit.
    """
    out = np.empty(len(surrogate.targets))
    again = [archive.losses(g) for g in groups if len(g) > 1]
    free = sum(len(losses) - 1 for losses in again)
    for j, (target, scale) in enumerate(
        zip(surrogate.targets.values(), surrogate.scales, strict=True)
    ):
        columns = [scale(losses[:, j]) for losses in again]
        squares = sum(float(((v - v.mean()) ** 2).sum()) for v in columns)
        known = free > 0 and squares == 0.0
        variance = (PRIOR * target.plain.noise**2 + squares) / (PRIOR + free)
        out[j] = 0.0 if known else np.sqrt(variance)
    return out


def _normal(m: int) -> Matrix:
    """Return ``[DRAWS, M]`` evenly spread standard normal draws, the same ones every time."""
    points = qmc.Sobol(m, scramble=True, rng=0).random(DRAWS // 2)
    half = ndtri(np.clip(points, 1e-6, 1 - 1e-6))
    return np.concatenate([half, -half])
