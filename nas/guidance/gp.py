"""A small Gaussian process: additive effects plus smooth interactions.

Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006): posterior eqs. 2.25
and 2.26, marginal likelihood eq. 2.30, leave-one-out eqs. 5.10 to 5.12.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dtrtri

from nas.guidance.inputs import Inputs, squared_distances
from nas.pareto import Matrix

GRID: dict[str, tuple[float, ...]] = {
    "noise": (1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0),
    "relevance": (0.0, 0.5, 1.0),
    "smooth": (0.2, 0.5, 0.8, 0.97),
    "length": (0.3, 0.6, 1.0, 1.7),
}
PASSES = 2
JITTER = 1e-8


@dataclass(frozen=True)
class Settings:
    """What is chosen by marginal likelihood.

    Args:
        smooth: Share of the Matern kernel; the rest is the additive one.
        length: Length scale of the Matern kernel; two random architectures are 1.4 apart.
        noise: Variance of the noise as a share of the signal's.
        relevance: 0 treats every group alike; 1 scales each by its additive effect.
    """

    smooth: float = 0.5
    length: float = 0.6
    noise: float = 0.03
    relevance: float = 0.0


class GaussianProcess:
    """Posterior of a function given noisy values of it.

    The kernel is ``s * Matern52(|x - x'| / l) + (1 - s) * <phi(x), phi(x')>``; ``phi`` holds the
    columns and the squares of the numeric ones. Its overall scale is the most likely one.

    Args:
        inputs: ``N`` points.
        y: ``[N]`` values.
        settings: Hyper-parameters; None chooses them by marginal likelihood.
    """

    def __init__(self, inputs: Inputs, y: Matrix, settings: Settings | None = None) -> None:
        self._inputs = inputs
        self._features, self._phi = inputs.features, inputs.phi
        self.mean = float(y.mean())
        self.spread = float(y.std())
        if self.spread <= 1e-12 * max(1.0, abs(self.mean)):
            self.spread = 1.0
        self._z = (y - self.mean) / self.spread
        self.settings = settings or self._most_likely()
        self._points = inputs.points * self._scales(self.settings)
        kernel = self._covariance(self.settings, self._distances(self.settings))
        self._root = cholesky(kernel, lower=True, check_finite=False)
        self._weights = cho_solve((self._root, True), self._z, check_finite=False)
        self.variance = max(float(self._z @ self._weights) / len(y), 1e-12)

    def predict(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """Return mean and standard deviation ``[N]`` of the function, noise left out."""
        phi = self._features.phi(x)
        points = self._features.points(x) * self._scales(self.settings)
        cross = self._kernel(points, self._points, phi, self._phi)
        share = self.settings.smooth
        own = share + (1 - share) * (phi**2).sum(1)
        solved = solve_triangular(self._root, cross.T, lower=True, check_finite=False)
        left = np.maximum(own - (solved**2).sum(0), 1e-12)
        mean = self.mean + self.spread * (cross @ self._weights)
        return mean, self.spread * np.sqrt(self.variance * left)

    @property
    def noise(self) -> float:
        """Standard deviation of the noise, in the unit of the values."""
        return self.spread * float(np.sqrt(self.variance * self.settings.noise))

    def left_out(self) -> Matrix:
        """Return ``[N]``: what each value is predicted to be from those of all other owners."""
        z: Matrix = self._z - self._weights / (self._inverse_root**2).sum(0)
        for rows, covariance in self._apart:
            z[rows] = self._z[rows] - covariance @ self._weights[rows]
        return self.mean + self.spread * z

    def left_out_deviation(self) -> Matrix:
        """Return ``[N]``: standard deviation of the function at each value, given the others."""
        variance = 1.0 / (self._inverse_root**2).sum(0)
        for rows, covariance in self._apart:
            variance[rows] = np.diag(covariance)
        left = variance - self.settings.noise - JITTER
        deviation: Matrix = np.sqrt(self.variance * np.maximum(left, 1e-12))
        return self.spread * deviation

    def _kernel(self, a: Matrix, b: Matrix, phi_a: Matrix, phi_b: Matrix) -> Matrix:
        share = self.settings.smooth
        near = _matern(squared_distances(a, b), self.settings.length)
        kernel: Matrix = share * near + (1 - share) * (phi_a @ phi_b.T)
        return kernel

    @cached_property
    def _inverse_root(self) -> Matrix:
        # the kernel's inverse is its square: a sixth of the work of inverting the kernel
        inverse: Matrix = dtrtri(self._root, lower=True)[0]
        return inverse

    @cached_property
    def _apart(self) -> list[tuple[npt.NDArray[np.intp], Matrix]]:
        """Rows of every owner of several, and their covariance given all the others."""
        out = []
        for rows in self._inputs.together:
            part = self._inverse_root[:, rows]
            out.append((rows, cast("Matrix", np.linalg.inv(part.T @ part))))
        return out

    @cached_property
    def _effects(self) -> Matrix:
        inputs = self._inputs
        return inputs.features.effects(inputs.phi, cho_solve((inputs.ridge, True), self._z))

    def _scales(self, settings: Settings) -> Matrix:
        if settings.relevance == 0.0:
            return np.ones(len(self._features.scale))
        scales: Matrix = self._effects ** (settings.relevance / 2)
        return scales

    def _distances(self, settings: Settings) -> Matrix:
        if settings.relevance == 0.0:
            return self._inputs.squared
        points = self._inputs.points * self._scales(settings)
        return squared_distances(points, points)

    def _covariance(
        self, settings: Settings, squared: Matrix, near: Matrix | None = None
    ) -> Matrix:
        """Return ``[N, N]``: the kernel of the inputs, noise included."""
        if near is None:
            near = _matern(squared, settings.length)
        kernel: Matrix = settings.smooth * near
        kernel += (1 - settings.smooth) * self._inputs.additive
        kernel[np.diag_indices_from(kernel)] += settings.noise + JITTER
        return kernel

    def _most_likely(self) -> Settings:
        """Maximise the marginal likelihood over the grid, one setting at a time."""
        distances: dict[float, Matrix] = {}
        near: dict[tuple[float, float], Matrix] = {}
        tried: dict[Settings, float] = {}

        def likelihood(s: Settings) -> float:
            if s not in tried:
                if s.relevance not in distances:
                    distances[s.relevance] = self._distances(s)
                key = s.relevance, s.length
                if key not in near:
                    near[key] = _matern(distances[s.relevance], s.length)
                kernel = self._covariance(s, distances[s.relevance], near[key])
                tried[s] = _log_likelihood(kernel, self._z)
            return tried[s]

        best = Settings()
        for _ in range(PASSES):
            for name, values in GRID.items():
                best = max((replace(best, **{name: v}) for v in values), key=likelihood)
        return best


def _matern(squared: Matrix, length: float) -> Matrix:
    """Matern 5/2 (Rasmussen and Williams, eq. 4.17)."""
    # in place: new pages for every step would take as long as the arithmetic
    d: Matrix = 5.0 * squared
    np.sqrt(d, out=d)
    d /= length
    out: Matrix = d * d
    out /= 3.0
    out += 1.0 + d
    np.negative(d, out=d)
    out *= np.exp(d, out=d)
    return out


def _log_likelihood(kernel: Matrix, z: Matrix) -> float:
    """Log marginal likelihood, up to a constant, at the most likely scale of the kernel."""
    try:
        root = cholesky(kernel, lower=True, check_finite=False)
    except LinAlgError:
        return -np.inf
    half = solve_triangular(root, z, lower=True, check_finite=False)
    scale = max(float(half @ half) / len(z), 1e-12)
    return float(-0.5 * len(z) * np.log(scale) - np.log(np.diag(root)).sum())
