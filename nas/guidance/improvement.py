"""How much a candidate is expected to add to a front.

The space that a front leaves undominated is cut into boxes once; in each the expected volume
that a candidate with independent objectives adds is a product of one-dimensional integrals
(Emmerich et al. 2006, in the box form of Yang et al. 2019). Exact for any number of objectives.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import ndtr

from nas.pareto import Matrix


def boxes(front: Matrix, reference: Matrix) -> tuple[Matrix, Matrix]:
    """Cut what ``[N, M]`` losses leave undominated below ``reference`` into disjoint boxes.

    Returns:
        Lower and upper corners, ``[K, M]`` each; lower corners can be ``-inf``.
    """
    inside = front[(front < reference).all(1)]
    m = len(reference)
    if len(inside) == 0:
        return np.full((1, m), -np.inf), reference[None].copy()
    if m == 1:
        return np.array([[-np.inf]]), inside.min(0)[None]
    if m == 2:
        return _stairs(inside, reference)
    # slices between neighbouring values of the last objective
    levels = np.unique(inside[:, -1])
    edges = np.concatenate([[-np.inf], levels, reference[-1:]])
    low, high = [], []
    for below, above in pairwise(edges):
        flat = inside[inside[:, -1] <= below][:, :-1]
        under, over = boxes(flat, reference[:-1])
        ends = np.ones((len(under), 1))
        low.append(np.column_stack([under, ends * below]))
        high.append(np.column_stack([over, ends * above]))
    return np.concatenate(low), np.concatenate(high)


def _stairs(front: Matrix, reference: Matrix) -> tuple[Matrix, Matrix]:
    """Do as ``boxes`` in the plane: one box below every step of the staircase."""
    order = np.lexsort((front[:, 0], front[:, 1]))
    best = np.minimum.accumulate(front[order, 0])
    step = np.r_[True, best[1:] < best[:-1]]  # the rest is dominated
    x, y = best[step], front[order, 1][step]
    high = np.column_stack([np.r_[reference[0], x], np.r_[y, reference[1]]])
    low = np.column_stack([np.full(len(x) + 1, -np.inf), np.r_[-np.inf, y]])
    return low, high


def expected_improvement(
    mean: Matrix, deviation: Matrix, low: Matrix, high: Matrix, logs: Matrix | None = None
) -> Matrix:
    """Return the expected hypervolume improvement ``[N]`` of candidates.

    Args:
        mean: ``[N, M]`` predicted losses.
        deviation: ``[N, M]`` their standard deviations.
        low: ``[K, M]`` lower corners of the boxes of :func:`boxes`.
        high: ``[K, M]`` upper corners.
        logs: ``[M]`` bool; where true ``mean`` and ``deviation`` are of the loss's logarithm,
            while the boxes are not.
    """
    product = np.ones((len(mean), len(low)))
    for j in range(mean.shape[1]):
        mu, s = mean[:, j, None], np.maximum(deviation[:, j, None], 1e-12)
        part = _below_log if logs is not None and logs[j] else _below
        # many boxes share few bounds
        bounds, index = np.unique(np.stack([low[:, j], high[:, j]]), return_inverse=True)
        values = part(bounds[None], mu, s)
        under, over = index.reshape(2, -1)
        product *= values[:, over] - values[:, under]
    out: Matrix = np.maximum(product, 0.0).sum(1)
    return out


def _below(bound: Matrix, mu: Matrix, s: Matrix) -> Matrix:
    """Return ``E[max(0, bound - Y)]`` of a normal ``Y``."""
    finite = np.isfinite(bound)
    z = np.where(finite, (np.where(finite, bound, 0.0) - mu) / s, 0.0)
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return np.where(finite, s * (density + z * ndtr(z)), 0.0)


def _below_log(bound: Matrix, mu: Matrix, s: Matrix) -> Matrix:
    """Return ``E[max(0, bound - Y)]`` of a log-normal ``Y``."""
    positive = bound > 0
    value = np.where(positive, bound, 1.0)
    d = (np.log(value) - mu) / s
    expected = value * ndtr(d) - np.exp(mu + 0.5 * s * s) * ndtr(d - s)
    return np.where(positive, expected, 0.0)
