"""Figures on test speakers: every outer fold, several seeds, mean and confidence interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.energy.profile import Spec
from eval.evaluate import measure, train_fold
from eval.folds import Fold
from eval.keeping import Keeper
from eval.training import Recipe, Watch

if TYPE_CHECKING:
    from eval.features import Dataset

REPORTED = ("wa", "ua", "macro_f1", "energy")


@dataclass(frozen=True)
class Interval:
    """A mean over folds and seeds.

    Args:
        mean: Of the means of the folds (of the seeds where there is one fold only).
        sd: Sample standard deviation over all rows, 0 for a single one.
        low: Lower end of the 95 % interval of the mean.
        high: Upper end.
    """

    mean: float
    sd: float
    low: float
    high: float


def test_on_fold(
    architecture: Mapping[str, Any],
    dataset: Dataset,
    fold: Fold,
    *,
    family: str,
    seed: int,
    recipe: Recipe,
    profile: Spec,
    partial: Path | None = None,  # noqa: PT028 - this is no test
    watch: Watch | None = None,  # noqa: PT028
) -> dict[str, Any]:
    """Train on everything an outer fold does not hold out, and measure on what it holds.

    Args:
        architecture: Parameter values; the family's defaults fill the rest.
        dataset: The corpus as frame features.
        fold: Its ``held`` are the test utterances.
        family: Name of the network family.
        seed: Of initial weights and order of utterances.
        recipe: How to train.
        profile: Cost model of the energy.
        partial: Where the state of the training is kept while it lasts. With one there, of the
            same training, it goes on from it, to the same figures.
        watch: Told of every epoch. It learns nothing of the test utterances.

    Returns:
        ``fold``, ``seed`` and the figures of ``REPORTED``.
    """
    keeper = Keeper(partial, fold.name, watch)
    done = train_fold(
        architecture,
        dataset,
        fold,
        family=family,
        fidelity=1.0,
        seed=seed,
        recipe=recipe,
        before=keeper.before(),
        watch=keeper,
    )
    figures = measure([done], dataset, profile)
    return {"fold": fold.name, "seed": seed, **{k: figures[k] for k in REPORTED}}


def interval(rows: Sequence[Mapping[str, Any]], metric: str) -> Interval:
    """Summarise one metric over rows of :func:`test_on_fold`.

    Rows of one fold share their test speakers, so the interval is Student's t over the means
    of the folds; with a single fold it is over its seeds, and a single row has none (NaN).
    """
    from scipy import stats

    values = np.array([row[metric] for row in rows], np.float64)
    folds: dict[str, list[float]] = {}
    for row in rows:
        folds.setdefault(row["fold"], []).append(row[metric])
    samples = np.array([np.mean(v) for v in folds.values()]) if len(folds) > 1 else values
    mean = float(samples.mean())
    if len(samples) < 2:
        return Interval(mean, 0.0, float("nan"), float("nan"))
    half = stats.t.ppf(0.975, len(samples) - 1) * samples.std(ddof=1) / np.sqrt(len(samples))
    return Interval(mean, float(values.std(ddof=1)), mean - half, mean + half)
