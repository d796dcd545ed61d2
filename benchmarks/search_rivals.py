"""The searches that are compared: ours as the driver runs them, the usual ones as they come."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from search_problems import Problem

from nas.archive import Archive
from nas.evaluation import Evaluation
from nas.optuna_space import suggest
from nas.proxy import Proxy
from nas.searchers import make_searcher
from search_spaces.architecture import Architecture

BUDGET = 200

# Given an architecture, what evaluating it shows; None for a failure.
Tell = Callable[[Architecture], "dict[str, float] | None"]


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
    "auto": _ours("auto"),
    "auto, remeasuring": _ours("auto", remeasure=True),
    "auto, proxy 0.6": _proxied("good"),
    "auto, proxy shuffled": _proxied("shuffled"),
    "auto, proxy inverted": _proxied("inverted"),
}
# by name; with fewer seeds, as a search of it takes minutes
SLOW = ("gp",)
