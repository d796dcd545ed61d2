"""Several measurements of one architecture, taken together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nas.evaluation import Evaluation


def by_architecture(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    """Group successful full evaluations by architecture, in order of the first of each."""
    groups: dict[str, list[Evaluation]] = {}
    for e in evaluations:
        if e.ok and e.fidelity >= 1.0:
            groups.setdefault(e.architecture.hash, []).append(e)
    return list(groups.values())


def merged(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Return one evaluation for each architecture that was measured in full.

    Of several measurements the mean: of the objectives and of every metric that is a number.
    What is no number (tables, confusion) is of the first. A constraint that any of them breaks
    is broken, by as much as in the worst. ``metrics["measurements"]`` says how many there are
    and ``metrics["sd"]`` how far they scatter (standard deviation by objective).
    """
    return [g[0] if len(g) == 1 else _mean(g) for g in by_architecture(evaluations)]


def _mean(group: Sequence[Evaluation]) -> Evaluation:
    first = group[0]
    metrics: dict[str, Any] = dict(first.metrics)
    for name, value in first.metrics.items():
        values = [e.metrics.get(name) for e in group]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(group) and any(v != value for v in numbers):
            metrics[name] = float(np.mean(numbers))
    columns = {name: [e.objectives[name] for e in group] for name in first.objectives}
    metrics["measurements"] = len(group)
    metrics["sd"] = {name: float(np.std(v, ddof=1)) for name, v in columns.items()}
    broken = {name for e in group for name in e.violations}
    return replace(
        first,
        objectives={name: float(np.mean(v)) for name, v in columns.items()},
        metrics=metrics,
        cost=sum(e.cost for e in group),
        seconds=sum(e.seconds for e in group),
        violations={n: max(e.violations.get(n, 0.0) for e in group) for n in sorted(broken)},
    )


def part_of(e: Evaluation, source: Mapping[str, Any]) -> str:
    """Return in words which part of the full training an evaluation is; empty for all of it.

    Args:
        e: The evaluation.
        source: What the configuration of its run says of the evaluator.
    """
    if e.fidelity >= 1.0:
        return ""
    if source.get("looks") == "folds":
        folds = len(source["validation"])
        return f"a first look, {round(e.fidelity * folds)} of {folds} folds"
    return f"a first look, {100 * e.fidelity:.3g} % of the training"
