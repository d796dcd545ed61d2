"""What search is measured on: a made-up landscape, test functions on grids, trained tables."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nas import pareto
from nas.pareto import Matrix
from nas.tables import TableEvaluator
from search_spaces.architecture import Architecture
from search_spaces.schema import load_space
from search_spaces.space import Space

TABLES = Path(__file__).parent / "tables"
ENUMERATED = 20_000


@dataclass(frozen=True)
class Problem:
    """A space, and what its architectures are worth.

    Args:
        name: Of the problem.
        space: Where to search.
        truth: Objectives of an architecture, free of noise; None when it is not in the table.
        observed: One noisy measurement, given a generator; None for the truth.
        logs: Objectives whose volume is measured on a logarithmic scale.
        best: Losses of the true front, where it is known by theory.
    """

    name: str
    space: Space
    truth: Callable[[Architecture], dict[str, float] | None]
    observed: Callable[[Architecture, np.random.Generator], dict[str, float]] | None = None
    logs: tuple[str, ...] = ()
    best: Matrix | None = None

    def measure(self, a: Architecture, rng: np.random.Generator) -> dict[str, float] | None:
        """Return what an evaluation of ``a`` gives."""
        truth = self.truth(a)
        if truth is None or self.observed is None:
            return truth
        return self.observed(a, rng)

    def losses(self, values: list[dict[str, float]]) -> Matrix:
        """Return ``[N, M]`` losses on the scale the volume is measured on."""
        columns = []
        for name, direction in self.space.objectives.items():
            column = np.array([v[name] for v in values], dtype=np.float64)
            column = np.log10(column) if name in self.logs else column
            columns.append(column if direction == "minimize" else -column)
        return np.column_stack(columns)

    @cached_property
    def everything(self) -> Matrix:
        """Losses of the whole space, or of what stands for it where that is too large."""
        size = self.space.size()
        if size.finite and size.discrete <= ENUMERATED:
            drawn = list(self.space.enumerate())
        else:
            rng = np.random.default_rng(12345)
            drawn = [self.space.sample(rng) for _ in range(5000)]
        values = [v for v in map(self.truth, drawn) if v is not None]
        losses = self.losses(values)
        return losses if self.best is None else np.concatenate([losses, self.best])

    @property
    def exhausted(self) -> bool:
        """Whether the true front is known."""
        size = self.space.size()
        return self.best is not None or (size.finite and size.discrete <= ENUMERATED)


def problems() -> dict[str, Callable[[], Problem]]:
    """Return every problem by name, unmade."""
    made: dict[str, Callable[[], Problem]] = {
        "landscape": lambda: landscape("landscape"),
        "landscape-noisy": lambda: landscape("landscape-noisy", noise=0.02),
        "landscape-rugged": lambda: landscape("landscape-rugged", rugged=0.03),
        "cell": lambda: cell("cell"),
        "zdt1": lambda: grid("zdt1", zdt1),
        "zdt3": lambda: grid("zdt3", zdt3),
        "dtlz2": lambda: grid("dtlz2", dtlz2),
        "zdt1-floats": lambda: grid("zdt1-floats", zdt1, floats=True),
    }
    for path in sorted(TABLES.glob("*.csv.gz")):
        name = path.name.removesuffix(".csv.gz")
        made[name] = lambda path=path: table(path)  # type: ignore[misc]
        made[f"{name}-mean"] = lambda path=path: table(path, noisy=False)  # type: ignore[misc]
    return made


# -- the landscape ----------------------------------------------------------------------------


def _pairs(a: Mapping[str, Any], salt: str) -> float:
    """Sum of made-up interactions of every fourth pair of genes, of variance about 1."""
    genes = sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in a.items())
    genes = [(k, round(math.log(v), 0) if k == "neuron.tau" else v) for k, v in genes]
    total, count = 0.0, 0
    for i, one in enumerate(genes):
        for j, other in enumerate(genes[i + 1 :], i + 1):
            if (i * 7 + j * 3) % 4 == 0:
                digest = hashlib.md5(repr((salt, one, other)).encode()).hexdigest()
                total += int(digest[:8], 16) / 2**31 - 1
                count += 1
    return total * math.sqrt(3 / max(1, count))


def _head(a: Mapping[str, Any], rugged: float) -> dict[str, float]:
    """Recall and energy of an architecture of ``pts_snn``, made up."""
    depth, width, pooling = a["encoder.depth"], a["encoder.width"], a["input.pooling"]
    size = (1 - math.exp(-0.7 * depth)) * (1 - math.exp(-width * a["encoder.expansion"] / 90))
    shift = sum((s - 0.125) ** 2 for s in a["encoder.shift"]) / depth
    time_constant = a.get("neuron.tau", 8.0)  # no leak is like a long one
    threshold = a.get("neuron.threshold", 0.75)
    ua = 0.34 + 0.4 * size - 4 * shift - 0.03 * math.log(time_constant / 2.5) ** 2
    ua += 0.02 * (a["neuron.type"] == "plif") + 0.01 * (a["encoder.direction"] == "both")
    ua += {"none": 0.0, "static": 0.01, "dynamic": 0.03}[a["calibration.kind"]]
    ua -= 0.02 * (pooling - 1) + 0.02 * abs(threshold - 0.75)
    ua -= 0.01 * abs(math.log2(a["input.saturation"]))
    rate = 0.12 / (threshold + 0.5) * (1 + 0.1 * math.log(time_constant))
    if a["neuron.type"] == "ttfs":
        rate *= 0.5 * (8 / a["ttfs.steps"]) ** 0.25
        ua -= 0.02 + 0.02 * abs(math.log2(a["ttfs.steps"] / 16)) + 0.05 * abs(a["ttfs.margin"])
    hidden = width * a["encoder.expansion"]
    calibrated = {"none": 0.0, "static": 1.0, "dynamic": 5.0}[a["calibration.kind"]]
    operations = 384 * width * 4.6 + depth * 2 * width * hidden * rate * 0.9
    operations += calibrated * width * width * rate * 0.9
    if rugged:
        ua += rugged * _pairs(a, "recall")
    return {"ua": ua, "energy": operations * 12 / pooling * 1e-12}


def landscape(name: str, noise: float = 0.006, rugged: float = 0.0) -> Problem:
    """Imitate the trade of a spiking head: recall saturates with size, energy does not."""
    space = replace(
        load_space("pts_snn"),
        objectives={"ua": "maximize", "energy": "minimize"},
        constraints=(),
    )

    def observed(a: Architecture, rng: np.random.Generator) -> dict[str, float]:
        values = _head(a, rugged)
        return {**values, "ua": values["ua"] + noise * float(rng.normal())}

    return Problem(name, space, lambda a: _head(a, rugged), observed, logs=("energy",))


# -- a cell -----------------------------------------------------------------------------------

COST = {"none": 0.0, "skip": 0.3, "conv1": 1.0, "conv3": 2.5, "pool": 0.6}
WORTH = {"none": 0.0, "skip": 0.35, "conv1": 0.7, "conv3": 1.0, "pool": 0.3}


def _cell(a: Mapping[str, Any]) -> dict[str, float]:
    """Error and energy of a cell of four nodes: what counts is what reaches the last one."""
    edges = {(0, 1): "a", (0, 2): "b", (1, 2): "c", (0, 3): "d", (1, 3): "e", (2, 3): "f"}
    flow, convolved, energy = [1.0, 0.0, 0.0, 0.0], [0.0] * 4, 0.5
    for target in (1, 2, 3):
        for (source, end), key in edges.items():
            if end == target and flow[source] > 0:
                op = a[key]
                passed = flow[source] * WORTH[op]
                flow[target] += passed * 0.6
                deeper = (convolved[source] + (op in ("conv1", "conv3"))) * (op != "none")
                convolved[target] = max(convolved[target], deeper)
                energy += COST[op] * min(1.0, 0.3 + flow[source])
    if flow[3] == 0.0:
        return {"error": 0.7, "energy": energy}
    signal = 1.2 * math.log1p(flow[3]) + 0.35 * convolved[3]
    signal += 0.3 * _pairs({k: a[k] for k in "abcdef"}, "cell")
    return {"error": 0.05 + 0.65 * math.exp(-0.8 * max(0.0, signal)), "energy": energy}


def cell(name: str) -> Problem:
    """15,625 cells of six edges with five operations each, most of them of no interest."""
    parameters = {k: {"choice": list(COST)} for k in "abcdef"}
    objectives = {"error": "minimize", "energy": "minimize"}
    space = load_space({"name": name, "parameters": parameters, "objectives": objectives})

    def observed(a: Architecture, rng: np.random.Generator) -> dict[str, float]:
        values = _cell(a)
        return {**values, "error": values["error"] + 0.003 * float(rng.normal())}

    return Problem(name, space, _cell, observed)


# -- test functions -------------------------------------------------------------------------


def zdt1(x: Matrix) -> Matrix:
    """Zitzler, Deb and Thiele (2000), test function 1."""
    g = 1 + 9 * x[1:].mean()
    return np.array([x[0], g * (1 - math.sqrt(x[0] / g))])


def zdt3(x: Matrix) -> Matrix:
    """Zitzler, Deb and Thiele (2000), test function 3: a front in pieces."""
    g = 1 + 9 * x[1:].mean()
    return np.array(
        [x[0], g * (1 - math.sqrt(x[0] / g) - x[0] / g * math.sin(10 * math.pi * x[0]))]
    )


def dtlz2(x: Matrix) -> Matrix:
    """Deb, Thiele, Laumanns and Zitzler (2005), function 2 with three objectives."""
    g = ((x[2:] - 0.5) ** 2).sum()
    a, b = x[0] * math.pi / 2, x[1] * math.pi / 2
    return (1 + g) * np.array([math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)])


def grid(name: str, function: Callable[[Matrix], Matrix], floats: bool = False) -> Problem:
    """A test function of ten parameters: floats, or 6 to 8 levels each (ZDT3: 18 the first)."""
    import moocore

    levels = [6 + i % 3 if function is not dtlz2 or i < 2 else 7 for i in range(10)]
    if function is zdt3:
        levels[0] = 18  # on 6 levels, as on 11, its sine is 0 and nothing is left but ZDT1
    names = [f"x{i}" for i in range(10)]
    if floats:
        parameters: dict[str, Any] = {n: {"float": [0.0, 1.0]} for n in names}
    else:
        parameters = {
            n: {"choice": [round(i / (k - 1), 4) for i in range(k)]}
            for n, k in zip(names, levels, strict=True)
        }
    first = np.linspace(0, 1, 200 if floats else levels[0])
    if function is dtlz2:
        second = np.linspace(0, 1, levels[1])
        points = [np.r_[a, b, np.full(8, 0.5)] for a in first for b in second]
    else:
        points = [np.r_[a, np.zeros(9)] for a in first]
    best = np.array([function(p) for p in points])
    best = best[moocore.is_nondominated(best, keep_weakly=True)]
    objectives = {f"f{i}": "minimize" for i in range(best.shape[1])}
    space = load_space({"name": name, "parameters": parameters, "objectives": objectives})

    def truth(a: Architecture) -> dict[str, float]:
        values = function(np.array([a[n] for n in names], dtype=np.float64))
        return {f"f{i}": float(v) for i, v in enumerate(values)}

    return Problem(name, space, truth, best=best)


# -- trained tables ---------------------------------------------------------------------------


def table(path: Path, noisy: bool = True) -> Problem:
    """A trained table: the truth is the mean over its seeds, an evaluation sees one of them.

    Without noise it sees the mean.
    """
    name = path.name.removesuffix(".csv.gz")
    space = replace(load_space(path.with_name(name + ".yaml")), constraints=())
    means, seeds = TableEvaluator(path, "mean"), TableEvaluator(path, "seed")
    held = {a.hash for a in means.architectures()}

    def truth(a: Architecture) -> dict[str, float] | None:
        if a.hash not in held:
            return None
        return {n: means(a.as_dict())[n] for n in space.objectives}

    def observed(a: Architecture, rng: np.random.Generator) -> dict[str, float]:
        values = seeds(a.as_dict(), 1.0, int(rng.integers(2**31)))
        return {n: values[n] for n in space.objectives}

    if not noisy:
        return Problem(f"{name}-mean", space, truth)
    return Problem(name, space, truth, observed)


def volume(problem: Problem, losses: Matrix, reference: Matrix, scale: Matrix) -> float:
    """Return the hypervolume of losses, every objective scaled by its range."""
    return pareto.hypervolume(losses / scale, reference / scale)
