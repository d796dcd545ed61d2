"""What a spiking head must be compared with, on the same features and folds.

Baselines are ordinary named architectures, trained and measured by the same loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eval.energy.profile import Spec
from eval.evaluate import evaluate
from eval.folds import Fold
from eval.training import Recipe
from search_spaces.named import BASELINES

if TYPE_CHECKING:
    from eval.features import Dataset

# Quick enough to stand beside every search; `nas baselines` measures the others as well.
SIMPLE = ("linear_probe", "mean_pool_mlp")


def baselines(
    dataset: Dataset, folds: Sequence[Fold], *, seed: int, recipe: Recipe, profile: Spec
) -> dict[str, dict[str, Any]]:
    """Measure the simple baselines on the folds of a search, predictions pooled.

    Returns:
        Baseline name to what ``evaluate`` returns.
    """
    return {
        name: evaluate(
            BASELINES[name].values,
            dataset,
            folds,
            family=BASELINES[name].family,
            seed=seed,
            recipe=recipe,
            profile=profile,
        )
        for name in SIMPLE
    }
