"""What first looks buy: searches of the trained table with and without successive halving.

    python benchmarks/halving.py --seeds 10

Every search goes through the driver. Twice: an evaluation sees one of the three trainings, and a
first look is at an eighth of its epochs; and an evaluation is the mean of the three, as one on a
corpus is of its folds, and a first look is at the first of them, a third of a unit. Volumes are of
the true values (means over seeds) of what a search took for its front, as shares of the whole
table's, after so many units were spent; ``p`` is of being worse than random (Mann-Whitney,
one-sided), the lowest of all marks.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import report
from scipy.stats import mannwhitneyu
from search_problems import TABLES

import nas
from nas import jobs, pareto
from nas.archive import Archive
from nas.halving import FullOnly, Halving
from nas.run_config import RunConfig
from nas.tables import TableEvaluator
from search_spaces.schema import load_space

NAME = "synthetic_speech"
MARKS = (25, 50, 100, 200)
# rows of both tables: one training an evaluation, or the three of them
KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "one training": {
        "full trainings": {"remeasure": False},
        "halving": {"remeasure": False, "halving": True},
        "remeasuring": {"remeasure": True},
        "halving, remeasuring": {"halving": True, "remeasure": True},
        "random": {"searcher": "random"},
    },
    "mean of three": {
        "full trainings": {},
        "halving": {"halving": True},
        "random": {"searcher": "random"},
    },
}
BASE, RANDOM = "full trainings", "random"
WARMUP = 60  # as of a search of 200 units


@cache
def table() -> TableEvaluator:
    """Load the table of this process."""
    return TableEvaluator(TABLES / f"{NAME}.csv.gz")


def three(architecture: dict[str, Any], fidelity: float, seed: int) -> Mapping[str, Any]:
    """Evaluate as on three folds, of which a first look is at the first."""
    return table().row(architecture, None if fidelity >= 1.0 else 0).at(1.0)


def thirds(config: RunConfig) -> FullOnly | Halving:
    """Schedule a search as one on a corpus of three folds."""
    return Halving(WARMUP, 1 / 3, doubted=False) if config.halving else FullOnly()


def searched(kind: str, name: str, seed: int) -> tuple[list[float], int]:
    """Search once; return the share of the table's volume at every mark, and who was tried."""
    if kind == "mean of three":
        vars(jobs)["make_schedule"] = thirds
    space = load_space(TABLES / f"{NAME}.yaml")
    truth = {e.architecture.hash: e for e in table().truth()}
    whole = pareto.losses(list(truth.values()), space.objectives)
    low, high = whole.min(0), whole.max(0)

    def volume(evaluations: list[Any]) -> float:
        losses = pareto.losses(evaluations, space.objectives).reshape(-1, len(low))
        return pareto.hypervolume((losses - low) / (high - low), np.ones(len(low)))

    everything = volume(list(truth.values()))
    with tempfile.TemporaryDirectory() as scratch:
        study = nas.search(
            space=space,
            evaluator=f"nas.tables:{NAME}" if kind == "one training" else three,
            budget=MARKS[-1],
            seed=seed,
            out=Path(scratch) / "run",
            **KINDS[kind][name],
        )
        spent = np.cumsum([e.cost for e in study.evaluations])
        out = []
        for mark in MARKS:
            done = study.evaluations[: int((spent <= mark + 1e-9).sum())]
            front = Archive(study.space, done).front
            out.append(volume([truth[e.architecture.hash] for e in front]) / everything)
    return out, len({e.architecture.hash for e in study.evaluations})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    measured: dict[str, Any] = {"seeds": options.seeds, "table": NAME}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for kind, names in KINDS.items():
            under_way = {
                name: [pool.submit(searched, kind, name, s) for s in range(options.seeds)]
                for name in names
            }
            each = {name: [f.result() for f in many] for name, many in under_way.items()}
            measured[kind] = compared(kind, each)
    report.write("halving", measured)


def compared(kind: str, each: dict[str, list[tuple[list[float], int]]]) -> dict[str, Any]:
    """Return the rows of a table, and print them."""
    found = {name: np.array([row for row, _ in many]) for name, many in each.items()}
    rows: dict[str, Any] = {}
    print(f"{kind}: hypervolume in % of the table's, mean (s.d.)")
    print(" " * 22 + "".join(f"{f'@{m}':>14}" for m in MARKS) + "   tried, lowest p")
    for name, volumes in found.items():
        row: dict[str, Any] = {"architectures": float(np.mean([n for _, n in each[name]]))}
        for i, mark in enumerate(MARKS):
            row[f"hv@{mark}"] = [float(volumes[:, i].mean()), float(volumes[:, i].std(ddof=1))]
            if name != BASE:
                test = mannwhitneyu(volumes[:, i], found[BASE][:, i], alternative="two-sided")
                row[f"p@{mark}"] = float(test.pvalue)
            if name != RANDOM:
                test = mannwhitneyu(volumes[:, i], found[RANDOM][:, i], alternative="less")
                row[f"worse@{mark}"] = float(test.pvalue)
        rows[name] = row
        cells = [f"{100 * row[f'hv@{m}'][0]:7.1f} ({100 * row[f'hv@{m}'][1]:4.1f})" for m in MARKS]
        worst = min((row[f"worse@{m}"] for m in MARKS if f"worse@{m}" in row), default=1.0)
        print(f"{name:<22}" + "".join(cells) + f"   {row['architectures']:.0f}, {worst:.2f}")
    return rows


if __name__ == "__main__":
    main()
