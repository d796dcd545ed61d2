"""Which parameters decide: PED-ANOVA, as Optuna computes it."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

from nas.archive import Archive

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

LEAST = 10  # full evaluations, below which nothing is said
TOP = 0.1  # share of the evaluations that count as good, Optuna's default
TOP_TRIALS = 5  # at least as many of them, as Optuna's documentation asks for


def quantile(n: int) -> float:
    """Return the share of ``n`` evaluations that count as good."""
    return max(TOP, TOP_TRIALS / n)


def importance(archive: Archive, objective: str) -> dict[str, float]:
    """Return how much each parameter decides whether an architecture is among the best.

    PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255; with conditions, arXiv 2601.20800)
    compares the values of the best architectures with those of all. Of an architecture measured
    several times the mean counts.

    Args:
        archive: Of a run.
        objective: Whose best tenth (five, where that is less) are taken as good.

    Returns:
        Parameter (``name.i`` for block ``i`` of a repeated one) to a share of one, largest
        first. Empty below ``LEAST`` architectures, or where all are equally good.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.samplers import RandomSampler

    from nas.optuna_space import study_of

    n = len(archive.full)
    if n < LEAST or len({e.objectives[objective] for e in archive.full}) < 2:
        return {}
    column = list(archive.space.objectives).index(objective)
    sign = 1.0 if archive.space.objectives[objective] == "minimize" else -1.0

    def loss(trial: FrozenTrial) -> float:
        return sign * float(trial.values[column])

    study = study_of(archive.space, Archive(archive.space, archive.full), RandomSampler(seed=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it minimises, and of parameters seldom active
        found = get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile(n)), target=loss
        )
    if not found or not all(math.isfinite(v) for v in found.values()):
        return {}
    return found
