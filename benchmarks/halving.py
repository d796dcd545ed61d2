"""What first looks buy: searches of the trained table with and without successive halving.

    python benchmarks/halving.py --seeds 10

Every search goes through the driver. Volumes are of the true values (means over seeds) of what
a search took for its front, as shares of the whole table's, after so many units were spent;
``p`` is of being worse than random (Mann-Whitney, one-sided), the lowest of all marks.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import report
from scipy.stats import mannwhitneyu
from search_problems import TABLES

import nas
from nas import pareto
from nas.archive import Archive
from nas.tables import TableEvaluator
from search_spaces.schema import load_space

NAME = "synthetic_speech"
MARKS = (25, 50, 100, 200)
KINDS: dict[str, dict[str, Any]] = {
    "full trainings": {"remeasure": False},
    "halving": {"remeasure": False, "halving": True},
    "remeasuring": {"remeasure": True},
    "halving, remeasuring": {"halving": True, "remeasure": True},
    "random": {"searcher": "random"},
}


def shares(
    options: dict[str, Any], seed: int, truth: dict[str, Any], best: Any
) -> tuple[list[float], int]:
    """Search once; return the share of the table's volume at every mark, and who was tried."""
    with tempfile.TemporaryDirectory() as scratch:
        study = nas.search(
            space=TABLES / f"{NAME}.yaml",
            evaluator=f"nas.tables:{NAME}",
            budget=MARKS[-1],
            seed=seed,
            out=Path(scratch) / "run",
            **options,
        )
        spent = np.cumsum([e.cost for e in study.evaluations])
        out = []
        for mark in MARKS:
            done = study.evaluations[: int((spent <= mark + 1e-9).sum())]
            front = Archive(study.space, done).front
            out.append(best([truth[e.architecture.hash] for e in front]))
    return out, len({e.architecture.hash for e in study.evaluations})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    space = load_space(TABLES / f"{NAME}.yaml")
    truth = {e.architecture.hash: e for e in TableEvaluator(TABLES / f"{NAME}.csv.gz").truth()}
    whole = pareto.losses(list(truth.values()), space.objectives)
    low, high = whole.min(0), whole.max(0)

    def volume(evaluations: list[Any]) -> float:
        losses = pareto.losses(evaluations, space.objectives).reshape(-1, len(low))
        return pareto.hypervolume((losses - low) / (high - low), np.ones(len(low)))

    everything = volume(list(truth.values()))
    found: dict[str, np.ndarray[Any, Any]] = {}
    tried: dict[str, float] = {}
    for kind, chosen in KINDS.items():
        each = [
            shares(chosen, seed, truth, lambda front: volume(front) / everything)
            for seed in range(options.seeds)
        ]
        found[kind] = np.array([row for row, _ in each])
        tried[kind] = float(np.mean([count for _, count in each]))
    base, random = found["full trainings"], found["random"]
    measured: dict[str, Any] = {"seeds": options.seeds, "table": NAME, "kinds": {}}
    print(f"hypervolume in % of the table's, mean (s.d.) of {options.seeds} seeds")
    print(" " * 22 + "".join(f"{f'@{m}':>14}" for m in MARKS) + "   tried, lowest p")
    for kind, table in found.items():
        row: dict[str, Any] = {"architectures": tried[kind]}
        for i, mark in enumerate(MARKS):
            row[f"hv@{mark}"] = [float(table[:, i].mean()), float(table[:, i].std(ddof=1))]
            if kind != "full trainings":
                test = mannwhitneyu(table[:, i], base[:, i], alternative="two-sided")
                row[f"p@{mark}"] = float(test.pvalue)
            if kind != "random":
                test = mannwhitneyu(table[:, i], random[:, i], alternative="less")
                row[f"worse@{mark}"] = float(test.pvalue)
        measured["kinds"][kind] = row
        cells = [f"{100 * row[f'hv@{m}'][0]:7.1f} ({100 * row[f'hv@{m}'][1]:4.1f})" for m in MARKS]
        worst = min((row[f"worse@{m}"] for m in MARKS if f"worse@{m}" in row), default=1.0)
        print(f"{kind:<22}" + "".join(cells) + f"   {tried[kind]:.0f}, {worst:.2f}")
    report.write("halving", measured)


if __name__ == "__main__":
    main()
