"""Front, knee and hypervolume against brute force and moocore."""

from __future__ import annotations

from itertools import pairwise

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nas import pareto
from nas.evaluation import Evaluation
from search_spaces.architecture import Architecture
from search_spaces.space import Direction

OBJECTIVES: dict[str, Direction] = {"wa": "maximize", "ua": "maximize", "energy": "minimize"}

points = arrays(np.float64, st.tuples(st.integers(1, 25), st.just(3)), elements=st.integers(0, 5))


def evaluations(values: np.ndarray) -> list[Evaluation]:
    """Rows of (wa, ua, energy)."""
    return [
        Evaluation(
            number=i,
            architecture=Architecture({"i": i}),
            fidelity=1.0,
            cost=1.0,
            seed=0,
            objectives=dict(zip(OBJECTIVES, map(float, row), strict=True)),
        )
        for i, row in enumerate(values)
    ]


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    """By the definition: nowhere worse, somewhere better; two up, one down."""
    better = np.array([a[0] - b[0], a[1] - b[1], b[2] - a[2]])
    return bool((better >= 0).all() and (better > 0).any())


@given(points)
@settings(deadline=None, max_examples=60)
def test_the_front_is_what_nothing_dominates(values: np.ndarray) -> None:
    expected = {i for i, a in enumerate(values) if not any(dominates(b, a) for b in values)}
    assert {e.number for e in pareto.front(evaluations(values), OBJECTIVES)} == expected


@given(points)
@settings(deadline=None, max_examples=40)
def test_hypervolume_agrees_with_moocore_and_never_falls(values: np.ndarray) -> None:
    losses = pareto.losses(evaluations(values), OBJECTIVES)
    np.testing.assert_array_equal(losses, values * [-1, -1, 1])
    reference = [1.0, 1.0, 6.0]
    volumes = [pareto.hypervolume(losses[: n + 1], reference) for n in range(len(losses))]
    assert volumes[-1] == pytest.approx(moocore.Hypervolume(ref=reference)(losses))
    assert all(b >= a - 1e-12 for a, b in pairwise(volumes))


def test_hypervolume_of_two_boxes_by_hand() -> None:
    """(1, 3) and (2, 1) up to (4, 4): 3*1 + 2*3 - 2*1 = 7."""
    assert pareto.hypervolume(np.array([[1.0, 3.0], [2.0, 1.0]]), [4.0, 4.0]) == pytest.approx(7)


def test_the_knee_is_nearest_to_the_ideal_point() -> None:
    """Scaled to [0, 1], the middle one lies at (0.2, 0.2), the ends at distance 1."""
    done = evaluations(np.array([[1.0, 1.0, 10.0], [0.8, 0.8, 2.0], [0.0, 0.0, 0.0]]))
    knee = pareto.knee(done, OBJECTIVES)
    assert knee is not None
    assert knee.objectives["energy"] == 2.0
    assert pareto.knee([], OBJECTIVES) is None


def test_a_narrow_front_does_not_make_small_differences_large() -> None:
    """0.9 at 1.01 J, 0.5 at 1.00 J on the front; what was tried went up to 5 J.

    Scaled by the front alone both are at distance 1 and more; by everything tried, energy
    differs by 0.0025 and recall by 1.
    """
    values = np.array([[0.9, 0.9, 1.01], [0.5, 0.5, 1.0], [0.5, 0.5, 5.0]])
    knee = pareto.knee(evaluations(values), OBJECTIVES)
    assert knee is not None
    assert knee.objectives["ua"] == 0.9


def test_failed_infeasible_and_partial_evaluations_are_never_on_the_front() -> None:
    import dataclasses

    good, failed, outside, partial = evaluations(np.array([[0.5, 0.5, 5.0]] + [[1, 1, 0]] * 3))
    failed = dataclasses.replace(failed, error="no", objectives={})
    outside = dataclasses.replace(outside, violations={"parameters": 1.0})
    partial = dataclasses.replace(partial, fidelity=0.5)
    assert pareto.front([good, failed, outside, partial], OBJECTIVES) == [good]
