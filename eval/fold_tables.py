"""What is on either side of the folds of a corpus, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from eval.folds import Fold, Indices, Table, shared_speakers
from eval.protocols import Folding


def fold_rows(folding: Folding, table: Table) -> list[dict[str, Any]]:
    """Sum up every outer fold and the inner ones inside it.

    Returns:
        Of each outer fold ``name``; ``held`` and ``fit`` (numbers of utterances),
        ``held_speakers`` and ``fit_speakers``, ``held_classes`` and ``fit_classes`` (numbers by
        class), ``shared_speakers`` (on both sides, in inner folds too); and ``inner``: ``name``,
        ``held`` and ``fit`` of each inner fold.

    Raises:
        NasError: The folds cannot be made.
    """
    rows = []
    for fold in folding.outer(table):
        inner = folding.inner(table, fold.fit)
        mixed = {s for f in (fold, *inner) for s in shared_speakers(f, table)}
        rows.append(
            {
                "name": fold.name,
                **_side("held", fold.held, table),
                **_side("fit", fold.fit, table),
                "shared_speakers": sorted(mixed),
                "inner": [_inner(f) for f in inner],
            }
        )
    return rows


def _inner(fold: Fold) -> dict[str, Any]:
    return {"name": fold.name, "held": len(fold.held), "fit": len(fold.fit)}


def _side(name: str, indices: Indices, table: Table) -> dict[str, Any]:
    counts = np.bincount(table.labels[indices], minlength=len(table.classes))
    return {
        name: len(indices),
        f"{name}_speakers": sorted({table.speakers[i] for i in indices}),
        f"{name}_classes": dict(zip(table.classes, counts.tolist(), strict=True)),
    }
