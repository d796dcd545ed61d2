"""Figures in the space of the objectives: fronts in the plane and in 3-D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from nas import pareto
from nas.evaluation import Evaluation
from nas.report.attained import NOTHING, natural, staircase, worst
from nas.report.data import RunData
from nas.report.panel import Panel, slug
from nas.report.style import GREY, KNEE, axis, colour, faded, styled
from nas.report.units import factor, label, title, with_unit

PARAMETERS_IN_HOVER = 14


def front_panels(runs: Sequence[RunData]) -> list[Panel]:
    """Return a panel for every pair of objectives, and the one in 3-D."""
    objectives = runs[0].objectives
    names = list(objectives)
    if not any(r.measured for r in runs):
        return [Panel("front", "Pareto front", missing=NOTHING)]
    if len(names) == 1:
        missing = f"{names[0]} is the only objective: there is no trade-off to draw."
        return [Panel("front", "Pareto front", missing=missing)]
    panels = [_plane(runs, (b, a)) for a, b in combinations(names, 2)]
    if len(names) == 3:
        panels.append(_cube(runs))
    return panels


def _plane(runs: Sequence[RunData], pair: tuple[str, str]) -> Panel:
    import plotly.graph_objects as go

    x, y = pair
    objectives = runs[0].objectives
    figure = go.Figure()
    for i, run in enumerate(runs):
        alone = {name: objectives[name] for name in pair}
        best = pareto.front(run.archive.full, alone)
        line = staircase(pareto.losses(best, alone), worst(runs, pair)) if best else []
        raw = [natural(p, alone) for p in line]
        figure.add_scatter(
            x=[factor(x) * p[0] for p in raw],
            y=[factor(y) * p[1] for p in raw],
            mode="lines",
            line={"color": colour(i), "width": 1.5, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
        for kind in _kinds(runs, i):
            figure.add_scatter(**_marks(run, kind, pair), **kind["look"])
    references = _references(runs)
    for at, (name, row) in enumerate(references.items()):
        figure.add_scatter(
            x=[factor(x) * row[x]],
            y=[factor(y) * row[y]],
            mode="markers+text",
            text=[label(name)],
            textposition="bottom center" if at % 2 else "top center",  # they may lie close
            cliponaxis=False,
            textfont={"size": 11, "color": "#555"},
            hovertext=[_hover_reference(name, row, objectives)],
            hoverinfo="text",
            marker={"symbol": "diamond-open", "size": 10, "color": "#333"},
            name="simple models",
            legendgroup="simple models",
            showlegend=at == 0,
        )
    shown = [[e.objectives[n] for r in runs for e in r.archive.full] for n in pair]
    for at, name in enumerate(pair):
        shown[at] += [row[name] for row in references.values()]
    styled(
        figure,
        hovermode="closest",
        xaxis=axis(x, objectives[x], shown[0]),
        yaxis=axis(y, objectives[y], shown[1]),
    )
    several = len(objectives) > 2
    about = "The dotted line is the front of these two objectives alone." if several else ""
    words = f"{title(y)} against {title(x)}"
    return Panel(f"front-{slug(y)}-{slug(x)}", words, about, figure, wide=not several)


def _cube(runs: Sequence[RunData]) -> Panel:
    import plotly.graph_objects as go

    names = list(runs[0].objectives)
    order = (names[2], names[0], names[1])
    figure = go.Figure()
    for i, run in enumerate(runs):
        for kind in _kinds(runs, i):
            look = {**kind["look"], "marker": {**kind["look"]["marker"]}}
            symbol = look["marker"].get("symbol")
            look["marker"]["symbol"] = "diamond" if symbol == "star" else "circle"
            look["marker"]["size"] = 0.55 * look["marker"]["size"]
            look["marker"].pop("line", None)
            figure.add_scatter3d(**_marks(run, kind, order), **look)
    references = _references(runs)
    if references:
        figure.add_scatter3d(
            **{
                axis_: [factor(n) * row[n] for row in references.values()]
                for axis_, n in zip("xyz", order, strict=True)
            },
            mode="markers",
            hovertext=[
                _hover_reference(n, row, runs[0].objectives) for n, row in references.items()
            ],
            hoverinfo="text",
            marker={"symbol": "diamond-open", "size": 6, "color": "#333"},
            name="simple models",
        )
    scene = {}
    for at, name in zip("xyz", order, strict=True):
        values = [e.objectives[name] for r in runs for e in r.archive.full]
        values += [row[name] for row in references.values()]
        made = axis(name, runs[0].objectives[name], values)
        scene[f"{at}axis"] = {k: v for k, v in made.items() if k not in ("automargin", "zeroline")}
        scene[f"{at}axis"]["title"] = {"text": title(name, runs[0].objectives[name])}
    camera = {"eye": {"x": 1.6, "y": -1.6, "z": 0.8}}
    styled(figure, height=620, scene={**scene, "camera": camera}, margin={"l": 0, "r": 0, "b": 0})
    return Panel("front-3d", "All three objectives", "Drag to turn, scroll to zoom.", figure)


def _kinds(runs: Sequence[RunData], i: int) -> list[dict[str, Any]]:
    """What is marked in the plane of a run, the least important first."""
    run, one = runs[i], len(runs) == 1
    front = {e.architecture.hash for e in run.front}
    knee = [run.knee] if run.knee is not None else []
    others = [e for e in run.archive.full if e.architecture.hash not in front]
    infeasible = [e for e in others if not e.feasible]
    members = [e for e in run.front if e.architecture not in [k.architecture for k in knee]]
    tint = colour(i)
    grey = GREY if one else faded(tint, 0.35)
    edge = {"color": "white", "width": 1}
    found = [
        (infeasible, "outside a constraint", {"symbol": "x-thin-open", "size": 7, "color": grey}),
        ([e for e in others if e.feasible], "evaluated", {"size": 7, "color": grey}),
        (members, "front", {"size": 10, "color": tint, "line": edge}),
        (knee, "knee", {"symbol": "star", "size": 16, "color": KNEE if one else tint}),
    ]
    kinds = []
    for members_, words, mark in found:
        look: dict[str, Any] = {"mode": "markers", "name": words, "marker": mark}
        if not one:  # an entry a run, not one a kind
            look |= {"name": label(run.label), "legendgroup": run.label}
            look["showlegend"] = words == "front" or (words == "knee" and not members)
        if members_:
            kinds.append({"members": members_, "look": look})
    return kinds


def _marks(run: RunData, kind: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    members: list[Evaluation] = kind["members"]
    places = {
        at: [factor(n) * e.objectives[n] for e in members]
        for at, n in zip("xyz", names, strict=False)
    }
    return {**places, "hovertext": [hover(run, e) for e in members], "hoverinfo": "text"}


def hover(run: RunData, e: Evaluation) -> str:
    """Return what stands beside a point: hash, objectives, parameters."""
    lines = [f"<b>{e.architecture.hash}</b> {label(run.label)}"]
    spread: Mapping[str, float] = e.metrics.get("sd") or {}
    for name, value in e.objectives.items():
        more = f" (s.d. {with_unit(name, spread[name])})" if name in spread else ""
        lines.append(f"{label(name)}: {with_unit(name, value)}{more}")
    if "measurements" in e.metrics:
        lines.append(f"mean of {e.metrics['measurements']} measurements")
    values = [
        f"{label(k)}: {label(list(v) if isinstance(v, tuple) else v)}"
        for k, v in e.architecture.items()
    ]
    lines += values[:PARAMETERS_IN_HOVER]
    if len(values) > PARAMETERS_IN_HOVER:
        lines.append(f"and {len(values) - PARAMETERS_IN_HOVER} more parameters")
    return "<br>".join(lines)


def _hover_reference(name: str, row: Mapping[str, Any], objectives: Mapping[str, Any]) -> str:
    lines = [f"{label(n)}: {with_unit(n, row[n])}" for n in objectives]
    return "<br>".join([f"<b>{label(name)}</b>", *lines])


def _references(runs: Sequence[RunData]) -> dict[str, Mapping[str, Any]]:
    """The simple models; those of several runs once where they are the same."""
    out: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        for name, row in run.baselines.items():
            if name not in out:
                out[name] = row
            elif any(out[name][o] != row[o] for o in run.objectives):
                out[f"{name}, {run.label}"] = row
    return out
