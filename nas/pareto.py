"""Front, knee and hypervolume; the geometry is moocore's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nas.evaluation import Evaluation
from search_spaces.space import Direction

Matrix = npt.NDArray[np.float64]


def losses(evaluations: Sequence[Evaluation], objectives: Mapping[str, Direction]) -> Matrix:
    """Return ``[N, M]`` with every objective to be minimised."""
    out = np.empty((len(evaluations), len(objectives)))
    for j, (name, direction) in enumerate(objectives.items()):
        column = np.array([e.objectives[name] for e in evaluations], dtype=np.float64)
        out[:, j] = column if direction == "minimize" else -column
    return out


def front(
    evaluations: Sequence[Evaluation], objectives: Mapping[str, Direction]
) -> list[Evaluation]:
    """Return the feasible evaluations that no other one dominates.

    Only full evaluations (fidelity 1) count. Of several with equal objectives all stay.
    Sorted by the first objective, best first.
    """
    import moocore

    able = [e for e in evaluations if e.feasible and e.fidelity >= 1.0]
    if not able:
        return []
    values = losses(able, objectives)
    keep = moocore.is_nondominated(values, keep_weakly=True)
    rows = sorted(
        (i for i in range(len(able)) if keep[i]),
        key=lambda i: (*values[i].tolist(), able[i].architecture.hash),
    )
    return [able[i] for i in rows]


def knee(
    evaluations: Sequence[Evaluation], objectives: Mapping[str, Direction]
) -> Evaluation | None:
    """Return the front member nearest to the ideal point.

    Each objective is scaled by its range over *all* feasible full evaluations. The range of
    the front alone would call a tenth of a percent of energy as much as ten points of recall,
    where the front happens to be that narrow.
    """
    members = front(evaluations, objectives)
    if not members:
        return None
    able = [e for e in evaluations if e.feasible and e.fidelity >= 1.0]
    everything = losses(able, objectives)
    low, high = everything.min(0), everything.max(0)
    scaled = (losses(members, objectives) - low) / np.where(high > low, high - low, 1.0)
    return members[int(np.argmin((scaled**2).sum(1)))]


def nadir(values: Matrix) -> Matrix:
    """Return the worst value of every column of ``[N, M]`` losses."""
    worst: Matrix = values.max(0)
    return worst


def hypervolume(values: Matrix, reference: npt.ArrayLike) -> float:
    """Return the volume that ``[N, M]`` losses dominate up to a reference point."""
    import moocore

    if len(values) == 0:
        return 0.0
    return float(moocore.hypervolume(values, ref=np.asarray(reference, np.float64)))
