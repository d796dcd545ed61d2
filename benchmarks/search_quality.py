"""How much a unit of budget buys: every searcher against the usual ones.

    python benchmarks/search_quality.py --seeds 30 --jobs 2
    python benchmarks/search_quality.py --only cell --searchers random auto --seeds 10

Hypervolumes are of the true values of what a search took for its front, as shares of the true
front's (of the best front anybody found, where the true one is not known). Objectives are
scaled by their range, and the reference point is the worst value of each.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import report
from scipy.stats import mannwhitneyu
from search_problems import Problem, problems, volume

from nas import pareto
from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.optuna_space import suggest
from nas.pareto import Matrix
from nas.proxy import Proxy
from nas.searchers import make_searcher
from search_spaces.architecture import Architecture

BUDGET, EVERY = 200, 5
MARKS = (25, 50, 100, 200)
SLOW_SEEDS = 5

# Given an architecture, what evaluating it shows; None for a failure.
Tell = Callable[[Architecture], "dict[str, float] | None"]


@cache
def problem(name: str) -> Problem:
    return problems()[name]()


# -- searches -----------------------------------------------------------------------------------


def ours(
    p: Problem,
    tell: Tell,
    seed: int,
    name: str,
    proxy: Any = None,
    remeasure: bool = False,
    **options: Any,
) -> None:
    """Search as the driver does: no duplicates, random or enumerated ones as a last resort."""
    if proxy is not None:
        proxy = Proxy(proxy, list(p.space.objectives))
    made = make_searcher(name, p.space, BUDGET, proxy=proxy, **options)
    done: list[Evaluation] = []
    while len(done) < BUDGET:
        rng = np.random.default_rng([seed, len(done)])
        archive = Archive(p.space, done)
        again = made.again(archive, rng) if remeasure else None
        drawn: Iterator[Architecture] = (
            a
            for source in (
                (a for _ in range(20) for a in made.propose(archive, 1, rng)),
                (p.space.sample(rng) for _ in range(2000)),
                p.space.enumerate() if p.space.size().finite else iter(()),
            )
            for a in source
        )
        new = again or next((a for a in drawn if a.hash not in archive.seen), None)
        if new is None:
            return
        values = tell(new)
        wanted = proxy is not None and made.wants_score(archive)
        scores = proxy([new])[0] if wanted else None
        done.append(
            Evaluation(
                number=len(done),
                architecture=new,
                fidelity=1.0,
                cost=1.0,
                seed=0,
                objectives=values or {},
                metrics={"proxy": dict(scores)} if scores else {},
                error=None if values else "not in the table",
            )
        )


def plain_deap(p: Problem, tell: Tell, seed: int, size: int = 50) -> None:
    """NSGA-II as DEAP's example has it: generations of 50, duplicates and all."""
    from deap import base, tools

    weights = tuple(-1.0 if d == "minimize" else 1.0 for d in p.space.objectives.values())
    fitness = type("Fit", (base.Fitness,), {"weights": weights})
    rng = np.random.default_rng(seed)
    random.seed(seed)

    class Individual:
        def __init__(self, a: Architecture) -> None:
            self.a, self.fitness = a, fitness()
            self.fitness.values = tuple((tell(a) or {}).values()) or (1e9,) * len(weights)

    population = tools.selNSGA2([Individual(p.space.sample(rng)) for _ in range(size)], size)
    for _ in range(BUDGET // size - 1):
        mates = tools.selTournamentDCD(population, size - size % 4) + population[: size % 4]
        children = []
        for i, one in enumerate(mates):
            child = one.a
            if rng.random() < 0.9:
                child = p.space.cross(child, mates[i - 1].a, rng)
            children.append(Individual(p.space.mutate(child, rng, rate=1.0)))
        population = tools.selNSGA2(population + children, size)


def optuna_default(p: Problem, tell: Tell, seed: int, kind: str = "default") -> None:
    """Optuna as it comes: its own choice of sampler for several objectives, or its NSGA-II."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = optuna.samplers
    sampler = (samplers.TPESampler if kind == "default" else samplers.NSGAIISampler)(seed=seed)
    study = optuna.create_study(directions=list(p.space.objectives.values()), sampler=sampler)
    for _ in range(BUDGET):
        trial = study.ask()
        values = tell(suggest(p.space, trial))
        if values is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, list(values.values()))


def pymoo_nsga2(p: Problem, tell: Tell, seed: int, size: int = 20) -> None:
    """Run pymoo's mixed-variable NSGA-II on the genes of a space, inactive ones included."""
    from pymoo.algorithms.moo.nsga2 import RankAndCrowdingSurvival
    from pymoo.core.mixed import MixedVariableGA
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.core.variable import Choice, Real
    from pymoo.optimize import minimize

    space, rng = p.space, np.random.default_rng(seed)
    variables: dict[str, Any] = {}
    for q in space.parameters:
        most = max(space.parameter(q.repeat).values or ()) if q.repeat else 1  # type: ignore[type-var]
        for i in range(int(most)):
            values = q.values
            kind = Choice(options=list(values)) if values else Real(bounds=(q.low, q.high))
            variables[f"{q.name}#{i}"] = kind
    signs = [1.0 if d == "minimize" else -1.0 for d in space.objectives.values()]

    class Wrapped(ElementwiseProblem):  # type: ignore[misc]
        def _evaluate(self, x: Any, out: Any, *_: Any, **__: Any) -> None:
            genes = {
                q.name: [x[k] for k in variables if k.rpartition("#")[0] == q.name]
                if q.repeat
                else x[f"{q.name}#0"]
                for q in space.parameters
            }
            values = tell(space.complete(genes, rng))
            out["F"] = [s * v for s, v in zip(signs, (values or {}).values(), strict=True)]

    wrapped = Wrapped(vars=variables, n_obj=len(signs))
    algorithm = MixedVariableGA(pop_size=size, survival=RankAndCrowdingSurvival())
    minimize(wrapped, algorithm, ("n_evals", BUDGET), seed=seed, verbose=False)


def proxy_of(p: Problem, kind: str, seed: int) -> Callable[[Any], list[dict[str, float]]]:
    """Return a proxy of the first objective: of rank correlation 0.6, shuffled, or inverted.

    Its error is the same whenever the same architecture is asked for.
    """
    first = next(iter(p.space.objectives))
    rng = np.random.default_rng(99)
    drawn = [p.truth(p.space.sample(rng)) for _ in range(500)]
    level = np.array([v[first] for v in drawn if v is not None])
    spread = float(level.std())
    share = 2 * np.sin(np.pi * 0.6 / 6)  # of Pearson, for a Spearman of 0.6

    def score(a: Architecture) -> float:
        own = np.random.default_rng([seed, int(a.hash, 16)])
        truth = p.truth(a)
        signal = 0.0 if truth is None else (truth[first] - level.mean()) / spread
        noise = float(own.normal())
        if kind == "shuffled":
            return noise
        sign = -1.0 if kind == "inverted" else 1.0
        return float(sign * share * signal + np.sqrt(1 - share**2) * noise)

    return lambda architectures: [{first: score(a)} for a in architectures]


def _ours(name: str, **options: Any) -> Callable[[Problem, Tell, int], None]:
    return lambda p, tell, seed: ours(p, tell, seed, name, **options)


def _proxied(kind: str) -> Callable[[Problem, Tell, int], None]:
    return lambda p, tell, seed: ours(p, tell, seed, "auto", proxy=proxy_of(p, kind, seed))


SEARCHES: dict[str, Callable[[Problem, Tell, int], None]] = {
    "random": _ours("random"),
    "DEAP NSGA-II 50": plain_deap,
    "Optuna default": optuna_default,
    "Optuna NSGA-II": lambda p, tell, seed: optuna_default(p, tell, seed, "nsga2"),
    "pymoo NSGA-II 20": pymoo_nsga2,
    "nsga2": _ours("nsga2"),
    "tpe": _ours("tpe"),
    "local": _ours("local"),
    "gp": _ours("gp"),
    "nsga2+": _ours("nsga2+"),
    "local+": _ours("local+"),
    "auto unguided": _ours("auto", guided=False),
    "auto": _ours("auto"),
    "auto, remeasuring": _ours("auto", remeasure=True),
    "auto, proxy 0.6": _proxied("good"),
    "auto, proxy shuffled": _proxied("shuffled"),
    "auto, proxy inverted": _proxied("inverted"),
}
SLOW = ("gp",)


# -- measuring ----------------------------------------------------------------------------------


class _Spent(Exception):
    """The budget is."""


def run(job: tuple[str, str, int]) -> tuple[list[Matrix], float]:
    """Search once; return the true losses of the front seen after every five units."""
    warnings.filterwarnings("ignore")
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
    targets = {
        label: float(np.median(shares[name][:, -1]))
        for label, name in (("random", "random"), ("deap", "DEAP NSGA-II 50"))
        if name in shares
    }
    out: dict[str, Any] = {}
    for name, table in shares.items():
        row: dict[str, Any] = {"seeds": len(table)}
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
            reached = (table >= target).argmax(1) * EVERY + EVERY
            reached = np.where((table >= target).any(1), reached, np.inf)
            median = float(np.median(reached))
            row[f"to_{label}@200"] = median if np.isfinite(median) else None
        out[name] = row
    return out


def milliseconds() -> dict[str, float]:
    """Measure the processor time of one proposal of ``auto`` at 200 and 1,000 evaluations."""
    p = problem("landscape")
    rng = np.random.default_rng(0)
    drawn = list({a.hash: a for a in (p.space.sample(rng) for _ in range(1100))}.values())
    done = [
        Evaluation(i, a, 1.0, 1.0, 0, p.measure(a, rng) or {}) for i, a in enumerate(drawn[:1020])
    ]
    out = {}
    for n in (200, 1000):
        made = make_searcher("auto", p.space, n)
        made.propose(Archive(p.space, done[: n - 1]), 1, rng)
        times = []
        for i in range(20):
            archive = Archive(p.space, done[: n + i])
            began = time.process_time()
            made.propose(archive, 1, np.random.default_rng(i))
            times.append(1000 * (time.process_time() - began))
        out[f"mean@{n}"], out[f"median@{n}"] = float(np.mean(times)), float(np.median(times))
    return out


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
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--name", default="search_quality", help="name of the results file")
    options = parser.parse_args()
    names = options.only or list(problems())
    searches = options.searchers or list(SEARCHES)
    if "pymoo NSGA-II 20" in searches and importlib.util.find_spec("pymoo") is None:
        print("pymoo NSGA-II 20 is left out: pymoo is not installed")
        searches = [s for s in searches if not s.startswith("pymoo")]
    measured: dict[str, Any] = {"problems": {}}
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
            measured["problems"][name] = rows
            report.write(options.name, measured)  # what is measured is kept, come what may
    measured["milliseconds"] = milliseconds()
    for key, value in measured["milliseconds"].items():
        print(f"auto, one proposal, {key}: {value:.0f} ms of processor time")
    report.write(options.name, measured)


if __name__ == "__main__":
    main()
