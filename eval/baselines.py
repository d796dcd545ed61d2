"""What a spiking head must be compared with: simple models on the same features and folds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eval.folds import Fold, Indices, inner_folds
from eval.recall import recall

if TYPE_CHECKING:
    from eval.features import Dataset

BASELINES = ("linear_probe", "mean_pool_mlp")

# Inverse regularisation strengths of the probe; the best on validation speakers is taken.
PROBE_STRENGTHS = (1e-3, 1e-2, 1e-1)

Array = npt.NDArray[np.float64]


def pooled_features(dataset: Dataset, indices: Indices | None = None) -> Array:
    """Return ``[N, D]``: the mean of each utterance's frames; NaN where it was not asked for."""
    x = np.full((len(dataset), dataset.dim), np.nan)
    for i in range(len(dataset)) if indices is None else indices:
        x[i] = np.asarray(dataset.utterance(int(i)), np.float64).mean(0)
    return x


def predict_baseline(
    name: str, x: Array, labels: npt.NDArray[np.int64], fold: Fold, *, seed: int, strength: float
) -> npt.NDArray[np.int64]:
    """Fit a baseline on one fold and predict what it holds out.

    Args:
        name: ``linear_probe`` (multinomial logistic regression) or ``mean_pool_mlp`` (one
            hidden layer of 256 ReLU units).
        x: ``[N, D]`` mean-pooled features.
        labels: ``[N]`` classes.
        fold: Which to fit and which to predict.
        seed: Of the MLP's weights and batches.
        strength: Inverse L2 strength of the probe; the MLP ignores it.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "linear_probe":
        model: Any = LogisticRegression(C=strength, max_iter=2000, class_weight="balanced")
    elif name == "mean_pool_mlp":
        # sklearn's own defaults but for the size and a bounded number of epochs
        model = MLPClassifier((256,), alpha=1e-2, max_iter=60, random_state=seed, tol=0.0)
    else:
        raise ValueError(f"no baseline {name!r}")
    pipeline = make_pipeline(StandardScaler(), model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are bounded on purpose
        pipeline.fit(x[fold.fit], labels[fold.fit])
    predicted: npt.NDArray[np.int64] = pipeline.predict(x[fold.held])
    return predicted


def baselines(
    dataset: Dataset, folds: Sequence[Fold], *, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Measure every baseline on the folds of a search, predictions pooled.

    The probe's strength is the best of three *on these folds*, as the search's own choice is:
    both are validation figures.

    Returns:
        Baseline name to ``wa``, ``ua``, ``macro_f1`` and, for the probe, ``strength``.
    """
    # the test speakers are not read, not even to be ignored
    x = pooled_features(dataset, np.concatenate([np.r_[f.fit, f.held] for f in folds]))
    return {name: _best(name, x, dataset, folds, seed) for name in BASELINES}


def baseline_on_outer_fold(
    name: str, x: Array, dataset: Dataset, fold: Fold, *, seed: int
) -> dict[str, Any]:
    """Measure a baseline on an outer fold; its strength is chosen inside the search part."""
    strength = PROBE_STRENGTHS[0]
    if name == "linear_probe":
        chosen = _best(name, x, dataset, inner_folds(dataset, fold.fit), seed)
        strength = chosen["strength"]
    predicted = predict_baseline(name, x, dataset.labels, fold, seed=seed, strength=strength)
    r = recall(dataset.labels[fold.held], predicted, len(dataset.classes))
    return {"wa": r.wa, "ua": r.ua, "macro_f1": r.macro_f1}


def _best(
    name: str, x: Array, dataset: Dataset, folds: Sequence[Fold], seed: int
) -> dict[str, Any]:
    held = np.concatenate([f.held for f in folds])
    strengths = PROBE_STRENGTHS if name == "linear_probe" else PROBE_STRENGTHS[:1]
    best: dict[str, Any] = {}
    for strength in strengths:
        predicted = [
            predict_baseline(name, x, dataset.labels, f, seed=seed, strength=strength)
            for f in folds
        ]
        r = recall(dataset.labels[held], np.concatenate(predicted), len(dataset.classes))
        if not best or r.ua > best["ua"]:
            best = {"wa": r.wa, "ua": r.ua, "macro_f1": r.macro_f1, "strength": strength}
    if name != "linear_probe":
        del best["strength"]
    return best
