"""Where one driver stops feeding workers: a simulation in virtual time.

The driver's seconds for each evaluation (record the last result, propose the next candidate) are
measured first, as means over 25 evaluations: between the evaluations of searches of the
packaged space that cost nothing, and between those of a real one on the bundled corpus, whose
proposals are scored by the supernet besides. The simulation then plays an asynchronous search
with 1, 8, 64 and 512 workers: an evaluation takes as long as the operations of its architecture
in ``benchmarks/tables`` are to their mean, times the mean duration asked for; one driver serves
the workers in the order they come. Beyond what was measured a straight line through the last
bins goes on. Ray's own time for a job (``results/executor.json``) is added to each. Efficiency is
given until the last evaluation begins, and over the whole search: at its end workers run out of
work one by one.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import heapq
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import report

import nas
from search_spaces.architecture import Architecture

WORKERS = (1, 8, 64, 512)
MEANS = (2.0, 60.0, 600.0)  # [s] of an evaluation
SEARCHERS = ("random", "nsga2", "auto")
CORPUS = "auto with the supernet on the corpus"
BIN = 25
LAST = 9  # bins that the line beyond is drawn through, if there are as many
ROUNDS = 20  # evaluations for each worker
TABLE = Path(__file__).parent / "tables" / "synthetic_speech.csv.gz"


class Serving:
    """The driver's seconds for an evaluation, by how many there have been.

    Args:
        measured: Of each evaluation of a search.
    """

    def __init__(self, measured: list[float]) -> None:
        parts = [measured[i : i + BIN] for i in range(0, len(measured) - BIN + 1, BIN)]
        self.at = [BIN * i + BIN / 2 for i in range(len(parts))]
        self.means = [float(np.mean(p)) for p in parts]
        self.slope = 0.0
        if len(parts) >= LAST:
            line = np.polyfit(self.at[-LAST:], self.means[-LAST:], 1)
            self.slope = max(0.0, float(line[0]))

    def points(self) -> zip[tuple[float, float]]:
        """Return what was measured."""
        return zip(self.at, self.means, strict=True)

    def seconds(self, n: int) -> float:
        """Return the seconds after ``n`` evaluations."""
        beyond = max(0.0, n - self.at[-1])
        return float(np.interp(n, self.at, self.means)) + self.slope * beyond


def gaps(searcher: str, budget: int) -> list[float]:
    """Return the driver's seconds before each evaluation of a search."""
    ends, begins = [], []

    def free(architecture: dict[str, Any], fidelity: float, seed: int) -> dict[str, Any]:
        begins.append(time.perf_counter())
        rng = np.random.default_rng(int(Architecture(architecture).hash, 16))
        ua, energy = rng.random(2)
        made = {"wa": ua, "ua": ua, "energy": energy, "parameters": 1000}
        ends.append(time.perf_counter())
        return made

    with tempfile.TemporaryDirectory() as scratch:
        nas.search(
            space="pts_snn.yaml",
            evaluator=free,
            searcher=searcher,
            budget=budget,
            out=Path(scratch) / "run",
        )
    return [b - e for e, b in zip(ends, begins[1:], strict=False)]


def corpus_gaps(budget: int) -> list[float]:
    """Return the same of a search on the bundled corpus, guided as it is by default."""
    from nas.record import open_storage

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        study = nas.search(space="pts_snn.yaml", validation_folds=1, budget=budget, out=folder)
        done = [t.datetime_complete for t in open_storage(folder).get_all_trials(0)]
    took = [e.seconds for e in study.evaluations]
    between = [(b - a).total_seconds() for a, b in pairwise(done)]
    return [b - s for b, s in zip(between, took[1:], strict=True)]


def durations() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return how long the table's trainings take, relative to their mean."""
    with gzip.open(TABLE, "rt") as file:
        work = [float(row["macs"]) + float(row["acs"]) for row in csv.DictReader(file)]
    return np.array(work) / np.mean(work)


def play(workers: int, mean: float, serving: Serving, overhead: float) -> dict[str, float]:
    """Simulate a search and return its efficiency and how busy the driver was.

    Args:
        workers: How many.
        mean: Duration of an evaluation [s].
        serving: The driver's seconds.
        overhead: Ray's seconds for a job.
    """
    rng = np.random.default_rng(0)
    relative = durations()
    budget = max(ROUNDS * workers, 200)
    asking = [(0.0, w) for w in range(workers)]  # when each worker is free
    heapq.heapify(asking)
    driver, busy, served, last, late = 0.0, 0.0, 0.0, 0.0, 0.0
    begun: list[tuple[float, float]] = []
    for n in range(budget):
        free, w = heapq.heappop(asking)
        serve = serving.seconds(n)
        driver = max(driver, free) + serve
        served += serve
        took = mean * float(rng.choice(relative))
        busy += took
        late = driver + overhead
        begun.append((late, late + took))
        last = max(last, late + took)
        heapq.heappush(asking, (driver + overhead + took, w))
    return {
        "efficiency": sum(min(end, late) - at for at, end in begun) / (workers * late),
        "efficiency_whole": busy / (workers * last),
        "driver_busy": served / last,
        "evaluations": budget,
        "hours": last / 3600,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=450, help="of the measured searches")
    options = parser.parse_args()
    found = json.loads((report.RESULTS / "executor.json").read_text())["measured"]
    # of the naps without work, for the inline driver's own time is measured here
    overhead = max(0.0, found["naps"]["1.0"]["added_ms"] / 1e3)
    out: dict[str, Any] = {"ray_seconds": overhead, "searchers": {}}
    for searcher in (*SEARCHERS, CORPUS):
        measured = corpus_gaps(60) if searcher == CORPUS else gaps(searcher, options.budget)
        serving = Serving(measured)
        rows = [
            {"workers": w, "mean_seconds": mean, **play(w, mean, serving, overhead)}
            for mean in MEANS
            for w in WORKERS
        ]
        out["searchers"][searcher] = {
            "measured_to": len(measured),
            "means_ms": {str(int(n)): 1e3 * s for n, s in serving.points()},
            "more_each_ms_beyond": 1e3 * serving.slope,
            "rows": rows,
        }
        known = ", ".join(f"{1e3 * s:.0f} at {n:.0f}" for n, s in list(serving.points())[::4])
        print(f"\n{searcher}: ms at evaluations: {known}; {1e3 * serving.slope:.3f} more each")
        print("| evaluation | " + " | ".join(f"{w} workers" for w in WORKERS) + " |")
        print("|---|" + "---|" * len(WORKERS))
        for mean in MEANS:
            cells = [
                f"{100 * r['efficiency']:.0f} / {100 * r['efficiency_whole']:.0f}"
                for r in rows
                if r["mean_seconds"] == mean
            ]
            print(f"| {mean:g} s | " + " | ".join(cells) + " |")
    report.write("scaling", out)


if __name__ == "__main__":
    main()
