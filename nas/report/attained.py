"""What runs attained in two objectives: surfaces of the best, half and all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from nas import pareto
from nas.pareto import Matrix
from nas.report.compare import attainment, differences, seeds_of_one
from nas.report.data import RunData
from nas.report.panel import Panel, slug
from nas.report.style import axis, colour, styled
from nas.report.units import factor, label, title

NOTHING = "No full evaluation succeeded within the constraints, so there is no front."


def attainment_panels(runs: Sequence[RunData]) -> list[Panel]:
    """Return what several runs of one configuration attained, for every pair of objectives."""
    names = list(runs[0].objectives)
    if len(names) < 2:
        return [Panel("attainment", "Attainment", missing="It takes two objectives.")]
    groups = [g for g in seeds_of_one(runs) if len(g) > 1]
    if not groups:
        missing = "It takes two runs or more that differ in nothing but the seed."
        if len(runs) > 1:
            missing += f" These differ in: {', '.join(differences(runs)[:8])}."
        return [Panel("attainment", "Attainment", missing=missing)]
    if not any(r.measured for g in groups for r in g):
        return [Panel("attainment", "Attainment", missing=NOTHING)]
    return [_attained(groups, (b, a)) for a, b in combinations(names, 2)]


def _attained(groups: Sequence[Sequence[RunData]], pair: tuple[str, str]) -> Panel:
    import plotly.graph_objects as go

    x, y = pair
    everyone = [r for g in groups for r in g]
    alone = {name: everyone[0].objectives[name] for name in pair}
    figure = go.Figure()
    looks = {"best": "dash", "median": "solid", "worst": "dot"}
    for i, group in enumerate(groups):
        surfaces = attainment(group, pair)
        named = f"{group[0].study.config.searcher}, {len(group)} runs: " if len(groups) > 1 else ""
        for which, dash in looks.items():
            line = [natural(p, alone) for p in staircase(surfaces[which], worst(everyone, pair))]
            figure.add_scatter(
                x=[factor(x) * p[0] for p in line],
                y=[factor(y) * p[1] for p in line],
                mode="lines",
                line={"color": colour(i), "dash": dash, "width": 3 if which == "median" else 1.5},
                name=label(f"{named}{which}"),
                hovertemplate="%{x:.4g}, %{y:.4g}",
            )
    values = [[e.objectives[n] for r in everyone for e in r.archive.full] for n in pair]
    styled(
        figure,
        xaxis=axis(x, alone[x], values[0]),
        yaxis=axis(y, alone[y], values[1]),
    )
    sizes = " and ".join(str(len(g)) for g in groups)
    about = (
        f"Of {sizes} runs that differ in nothing but the seed: what at least one, at least half,"
        " and all of them found something as good as."
    )
    key = f"attainment-{slug(y)}-{slug(x)}"
    return Panel(key, f"Attained {title(y)} against {title(x)}", about, figure, wide=False)


def staircase(losses: Matrix, worst: Sequence[float]) -> list[tuple[float, float]]:
    """Return the corners of the line between what two-objective losses dominate and the rest.

    Args:
        losses: ``[N, 2]``, non-dominated.
        worst: Where the line ends on both sides.
    """
    rows = sorted({(float(a), float(b)) for a, b in losses})
    if not rows:
        return []
    corners = [(rows[0][0], max(worst[1], rows[0][1]))]
    for (a, b), following in zip(rows, [*rows[1:], None], strict=True):
        end = following[0] if following is not None else max(worst[0], a)
        corners += [(a, b), (end, b)]
    return corners


def worst(runs: Sequence[RunData], pair: tuple[str, str]) -> list[float]:
    """Return the worst feasible value of two objectives among all runs, as losses."""
    alone = {name: runs[0].objectives[name] for name in pair}
    every = [e for r in runs for e in r.archive.full if e.feasible]
    return [float(v) for v in pareto.nadir(pareto.losses(every, alone))] if every else [0.0, 0.0]


def natural(point: Sequence[float], objectives: Mapping[str, str]) -> list[float]:
    """Return losses as values in their natural direction."""
    signs = [1.0 if d == "minimize" else -1.0 for d in objectives.values()]
    return [float(s * v) for s, v in zip(signs, np.asarray(point), strict=True)]
