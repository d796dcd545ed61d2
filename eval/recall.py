"""WA, UA, macro-F1 and the confusion matrix over a fixed class list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Recall:
    """How well a set of utterances was recognised.

    Args:
        wa: Weighted accuracy: correct / all, in [0, 1].
        ua: Unweighted average recall: the mean of the per-class recalls over *all* classes
            of the list; a class without a true utterance counts as 0.
        macro_f1: Mean of the per-class F1 over all classes.
        confusion: ``[C, C]`` counts, true class by row, predicted class by column.
    """

    wa: float
    ua: float
    macro_f1: float
    confusion: npt.NDArray[np.int64]


def recall(true: npt.ArrayLike, predicted: npt.ArrayLike, n_classes: int) -> Recall:
    """Measure predictions.

    Args:
        true: ``[N]`` class indices.
        predicted: ``[N]`` class indices.
        n_classes: Length of the class list.
    """
    t, p = np.asarray(true, np.int64), np.asarray(predicted, np.int64)
    if t.shape != p.shape or t.ndim != 1 or t.size == 0:
        raise ValueError(f"need two equal, non-empty lists of classes, not {t.shape}, {p.shape}")
    for values in (t, p):
        if values.min() < 0 or values.max() >= n_classes:
            raise ValueError(f"a class outside 0 to {n_classes - 1}")
    cells = np.bincount(t * n_classes + p, minlength=n_classes * n_classes)
    return from_confusion(cells.reshape(n_classes, n_classes).astype(np.int64))


def from_confusion(confusion: npt.NDArray[np.int64]) -> Recall:
    """Derive every figure from a confusion matrix, true class by row."""
    hits = np.diag(confusion).astype(np.float64)
    rows, columns = confusion.sum(1), confusion.sum(0)
    per_class = np.divide(hits, rows, out=np.zeros_like(hits), where=rows > 0)
    both = (rows + columns).astype(np.float64)
    f1 = np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0)
    return Recall(
        wa=float(hits.sum() / confusion.sum()),
        ua=float(per_class.mean()),
        macro_f1=float(f1.mean()),
        confusion=confusion,
    )
