"""How much a unit of budget buys: every searcher against the usual ones.

    python benchmarks/search_quality.py --seeds 30 --jobs 2
    python benchmarks/search_quality.py --only cell --searchers random auto --seeds 10

Hypervolumes are of the true values of what a search took for its front, as shares of the true
front's (of the best front anybody found, where the true one is not known). Objectives are
scaled by their range, and the reference point is the worst value of each. Results of problems
that are not asked for stay in the file, with the day they were measured on; with ``--add`` rows
of searchers that are not asked for stay as well, where the true front is known.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import date
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import optuna
import report
from scipy.stats import mannwhitneyu
from search_problems import Problem, problems, volume
from search_rivals import BUDGET, SEARCHES, SLOW

from nas import pareto
from nas.pareto import Matrix
from search_spaces.architecture import Architecture

EVERY = 5
MARKS = (25, 50, 100, 200)
SLOW_SEEDS = 10
BOOTSTRAPS = 1000
TARGETS = {"random": "random", "deap": "DEAP NSGA-II 50"}


@cache
def problem(name: str) -> Problem:
    return problems()[name]()


# -- measuring ----------------------------------------------------------------------------------


class _Spent(Exception):
    """The budget is."""


def run(job: tuple[str, str, int]) -> tuple[list[Matrix], float]:
    """Search once; return the true losses of the front seen after every five units."""
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a line for every proposal
    name, search, seed = job
    p = problem(name)
    noise = np.random.default_rng([seed, 777])
    seen: dict[str, list[dict[str, float]]] = {}
    true: dict[str, dict[str, float]] = {}
    fronts: list[Matrix] = []
    spent = 0

    def tell(a: Architecture) -> dict[str, float] | None:
        nonlocal spent
        if spent == BUDGET:
            raise _Spent
        spent += 1
        values, truth = p.measure(a, noise), p.truth(a)
        if values is not None and truth is not None:
            seen.setdefault(a.hash, []).append(values)
            true[a.hash] = truth
        if spent % EVERY == 0:
            fronts.append(_front(p, seen, true))
        return values

    began = time.perf_counter()
    with suppress(_Spent):
        SEARCHES[search](p, tell, seed)
    while len(fronts) < BUDGET // EVERY:  # the space was smaller than the budget
        fronts.append(_front(p, seen, true))
    return fronts, time.perf_counter() - began


def _front(
    p: Problem, seen: dict[str, list[dict[str, float]]], true: dict[str, dict[str, float]]
) -> Matrix:
    """Return the true losses of what the means of the measurements say is the front."""
    import moocore

    if not seen:
        return np.empty((0, len(p.space.objectives)))
    means = np.array([p.losses(values).mean(0) for values in seen.values()])
    keep = moocore.is_nondominated(means, keep_weakly=True)
    out: Matrix = p.losses(list(true.values()))[keep]
    return out


def summary(p: Problem, runs: dict[str, list[list[Matrix]]]) -> dict[str, Any]:
    """Turn fronts into shares of the best volume, units to targets, and tests."""
    everything = p.everything
    if not p.exhausted:
        everything = np.concatenate([everything, *(f[-1] for r in runs.values() for f in r)])
    reference = pareto.nadir(everything)
    scale = everything.max(0) - everything.min(0)
    whole = volume(p, everything, reference, scale)
    shares = {
        name: np.array([[volume(p, f, reference, scale) / whole for f in one] for one in many])
        for name, many in runs.items()
    }
    targets = {label: name for label, name in TARGETS.items() if name in shares}
    out: dict[str, Any] = {}
    for name, table in shares.items():
        row: dict[str, Any] = {"seeds": len(table)}
        row["curve"] = [round(float(v), 4) for v in table.mean(0)]  # every five units
        for mark in MARKS:
            column = table[:, mark // EVERY - 1]
            row[f"hv@{mark}"] = [
                float(column.mean()),
                float(column.std(ddof=min(1, len(column) - 1))),
            ]
            if "random" in shares and name != "random" and mark in MARKS[1:]:
                base = shares["random"][:, mark // EVERY - 1]
                row[f"worse@{mark}"] = float(mannwhitneyu(column, base, alternative="less").pvalue)
            if name.startswith("auto, ") and "auto" in shares and mark in MARKS[1:]:
                base = shares["auto"][:, mark // EVERY - 1]
                row[f"worse_than_auto@{mark}"] = float(
                    mannwhitneyu(column, base, alternative="less").pvalue
                )
        for label, target in targets.items():
            last = shares[target][:, -1]
            row[f"to_{label}@200"] = _finite(units_to(table, last))
            if name == target:  # its interval would be that of chance alone
                continue
            bounds = np.quantile(_resampled(table, last), (0.025, 0.975), method="nearest")
            row[f"to_{label}@200_interval"] = [_finite(float(b)) for b in bounds]
        out[name] = row
    return out


def units_to(table: Matrix, last: Matrix) -> float:
    """Return the median units until ``[seeds, marks]`` shares reach the median of others."""
    there = table >= np.median(last)
    return float(np.median(np.where(there.any(1), there.argmax(1) * EVERY + EVERY, np.inf)))


def _resampled(table: Matrix, last: Matrix) -> Matrix:
    """Return :func:`units_to` of bootstrap samples of the seeds, the target's included."""
    rng = np.random.default_rng(0)
    n, m = len(table), len(last)
    return np.array(
        [
            units_to(table[rng.integers(n, size=n)], last[rng.integers(m, size=m)])
            for _ in range(BOOTSTRAPS)
        ]
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def show(name: str, p: Problem, rows: dict[str, Any]) -> None:
    against = "the true front" if p.exhausted else "the best front found"
    print(f"\n{name}: hypervolume in % of {against}'s, mean (s.d.)")
    marks = "".join(f"{f'@{m}':>13}" for m in MARKS)
    print(f"{'':<21}{'seeds':>6}{marks}   to random@200   to DEAP@200   worse than random (p)")
    for search, row in rows.items():
        cells = "".join(
            f"{100 * row[f'hv@{m}'][0]:>7.1f} ({100 * row[f'hv@{m}'][1]:3.1f})" for m in MARKS
        )
        units = "".join(f"{row.get(f'to_{t}@200') or '-':>14}" for t in ("random", "deap"))
        worst = [row[k] for m in MARKS if (k := f"worse@{m}") in row]
        note = f"{min(worst):.3f}" if worst else ""
        if f"worse_than_auto@{MARKS[-1]}" in row:
            lowest = min(row[f"worse_than_auto@{m}"] for m in MARKS[1:])
            note += f"; than auto {lowest:.3f}"
        print(f"{search:<21}{row['seeds']:>6}{cells}{units}   {note}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--only", nargs="+", help="problems, by name", choices=list(problems()))
    parser.add_argument("--searchers", nargs="+", help="searchers, by name", choices=SEARCHES)
    parser.add_argument("--add", action="store_true", help="keep the rows of other searchers")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--name", default="search_quality", help="name of the results file")
    options = parser.parse_args()
    names = options.only or list(problems())
    searches = options.searchers or list(SEARCHES)
    if "pymoo NSGA-II 20" in searches and importlib.util.find_spec("pymoo") is None:
        print("pymoo NSGA-II 20 is left out: pymoo is not installed")
        searches = [s for s in searches if not s.startswith("pymoo")]
    path = report.RESULTS / f"{options.name}.json"
    kept = json.loads(path.read_text("utf-8"))["measured"] if path.is_file() else {}
    measured: dict[str, Any] = {
        "problems": kept.get("problems", {}),
        "dates": kept.get("dates", {}),
    }
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(threads, "1")  # the processes share the cores
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for name in names:
            jobs = [
                (name, search, seed)
                for search in searches
                for seed in range(
                    min(options.seeds, SLOW_SEEDS) if search in SLOW else options.seeds
                )
            ]
            runs: dict[str, list[list[Matrix]]] = {}
            seconds: dict[str, list[float]] = {}
            for (_, search, _), (fronts, took) in zip(jobs, pool.map(run, jobs), strict=True):
                runs.setdefault(search, []).append(fronts)
                seconds.setdefault(search, []).append(took)
            rows = summary(problem(name), runs)
            for search, row in rows.items():
                row["seconds"] = float(np.mean(seconds[search]))
            show(name, problem(name), rows)
            if options.add and problem(name).exhausted:
                rows = measured["problems"].get(name, {}) | rows
                rows = {search: rows[search] for search in SEARCHES if search in rows}
            measured["problems"][name] = rows
            measured["dates"][name] = str(date.today())
            report.write(options.name, measured)  # what is measured is kept, come what may


if __name__ == "__main__":
    main()
