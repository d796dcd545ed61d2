"""The points that Gaussian processes are fitted to, scaled, and what does not depend on values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky

from nas.pareto import Matrix

# what no additive effect can tell apart still counts this much of an average group
LEAST_RELEVANCE = 0.1


@dataclass(frozen=True)
class Columns:
    """What the columns of an input matrix are.

    Args:
        groups: ``[D]`` int; the columns of one group are scaled together, so that a choice
            among many counts no more than a number.
        numeric: ``[D]`` bool; the additive effect of these is quadratic, not only linear.
    """

    groups: npt.NDArray[np.intp]
    numeric: npt.NDArray[np.bool_]

    def more(self, count: int) -> Columns:
        """Return the same with ``count`` more numbers, each a group of its own."""
        first = int(self.groups.max(initial=-1)) + 1
        extra = np.arange(first, first + count, dtype=np.intp)
        return Columns(
            np.concatenate([self.groups, extra]),
            np.concatenate([self.numeric, np.ones(count, dtype=bool)]),
        )


class Inputs:
    """Points that processes are fitted to, and what does not depend on the values there.

    Args:
        x: ``[N, D]`` inputs.
        columns: What the inputs are.
        owners: ``[N]`` int; points with the same number are of one thing, and are left out
            together. None where each is of its own.
    """

    def __init__(
        self, x: Matrix, columns: Columns, owners: npt.NDArray[np.intp] | None = None
    ) -> None:
        self.x, self.columns = x, columns
        self.owners = np.arange(len(x)) if owners is None else owners
        self.features = _Features(x, columns)
        self.points = self.features.points(x)
        self.phi = self.features.phi(x)

    def more(self, column: Matrix) -> Inputs:
        """Return the same points with one more number ``[N]``, a group of its own."""
        return Inputs(np.column_stack([self.x, column]), self.columns.more(1), self.owners)

    def rows(self, which: npt.NDArray[np.bool_]) -> Inputs:
        """Return some of the points."""
        return self if which.all() else Inputs(self.x[which], self.columns, self.owners[which])

    @cached_property
    def together(self) -> list[npt.NDArray[np.intp]]:
        """Rows of every owner of several."""
        order = np.argsort(self.owners, kind="stable")
        starts = np.flatnonzero(np.diff(self.owners[order])) + 1
        return [rows for rows in np.split(order, starts) if len(rows) > 1]

    @cached_property
    def additive(self) -> Matrix:
        """``[N, N]``: the additive kernel."""
        kernel: Matrix = self.phi @ self.phi.T
        return kernel

    @cached_property
    def squared(self) -> Matrix:
        """``[N, N]``: squared distances of the points, every group alike."""
        return squared_distances(self.points, self.points)

    @cached_property
    def ridge(self) -> Matrix:
        """``[N, N]``: Cholesky root of the additive kernel with a little noise."""
        kernel = self.additive.copy()
        kernel[np.diag_indices_from(kernel)] += 0.1
        root: Matrix = cholesky(kernel, lower=True)
        return root


class _Features:
    """Scaled inputs: every group has the same total variance over the fitted points."""

    def __init__(self, x: Matrix, columns: Columns) -> None:
        self.groups = columns.groups
        self.count = int(self.groups.max(initial=-1)) + 1
        self.centre = x.mean(0)
        total = np.bincount(self.groups, weights=x.var(0), minlength=self.count)
        self.alive = total > 1e-12
        width = max(1, int(self.alive.sum()))
        kept = self.alive[self.groups]
        unit = np.where(kept, 1.0 / np.sqrt(np.where(kept, total[self.groups], 1.0)), 0.0)
        self.scale = unit / np.sqrt(width)
        self.bent = columns.numeric & kept
        squares = self.points(x)[:, self.bent] ** 2
        self.level, spread = squares.mean(0), squares.std(0)
        flat = spread <= 1e-9
        self.bend = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, spread)) / np.sqrt(2 * width)

    def points(self, x: Matrix) -> Matrix:
        """Return ``[N, D]`` in which the total variance of the fitted points is 1."""
        scaled: Matrix = (x - self.centre) * self.scale
        return scaled

    def phi(self, x: Matrix) -> Matrix:
        """Return ``[N, D + numeric]``: the points and the squares of their numbers."""
        points = self.points(x)
        return np.concatenate([points, (points[:, self.bent] ** 2 - self.level) * self.bend], 1)

    def effects(self, phi: Matrix, weights: Matrix) -> Matrix:
        """Return ``[D]``: how much each group explains by itself, 1 on average.

        Args:
            phi: ``[N, D + numeric]`` of the fitted points.
            weights: ``[N]`` dual weights of an additive fit.
        """
        slopes = phi.T @ weights
        owners = np.concatenate([self.groups, self.groups[self.bent]])
        members = (owners[:, None] == np.arange(self.count)) * slopes[:, None]
        variance = (phi @ members).var(0)
        level = variance[self.alive].mean() if self.alive.any() else 0.0
        if level <= 0.0:
            return np.ones(len(self.groups))
        share = variance / level + LEAST_RELEVANCE
        share = share / share[self.alive].mean()
        out: Matrix = share[self.groups]
        return out


def squared_distances(a: Matrix, b: Matrix) -> Matrix:
    """Return ``[N, M]`` of points ``[N, D]`` and ``[M, D]``."""
    out: Matrix = (a**2).sum(1)[:, None] + (b**2).sum(1)[None]
    out -= 2 * (a @ b.T)
    return np.maximum(out, 0.0, out=out)
