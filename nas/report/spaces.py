"""Figures over a space: parallel coordinates and the importance of parameters."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from nas.evaluation import LARGEST, Evaluation
from nas.report.data import RunData
from nas.report.importance import LEAST, importance, quantile
from nas.report.panel import Panel, slug
from nas.report.style import colour, styled
from nas.report.units import factor, label, logarithmic, title
from search_spaces.parameter import Parameter

MOST_SPACES = 3  # a browser keeps some 16 WebGL contexts, a figure takes three
MOST_AXES = 60  # plotly draws no more
MOST_TICKS = 12
PIXELS_PER_AXIS = 92
OFF = "off"


def parallel_panels(runs: Sequence[RunData]) -> list[Panel]:
    """Return parallel coordinates, one figure for the runs of each space."""
    groups: dict[str, list[RunData]] = {}
    for run in runs:
        key = json.dumps(dict(run.study.space.definition), sort_keys=True, default=str)
        groups.setdefault(key, []).append(run)
    panels = []
    for i, group in enumerate(groups.values()):
        key = "parallel" if len(groups) == 1 else f"parallel-{slug(group[0].label)}"
        words = "Parallel coordinates"
        if len(groups) > 1:
            words += f": {', '.join(r.label for r in group)}"
        if i >= MOST_SPACES:
            missing = f"Drawn for the first {MOST_SPACES} spaces only: report this run by itself."
            panels.append(Panel(key, words, missing=missing))
        elif not any(r.archive.full for r in group):
            panels.append(Panel(key, words, missing="No full evaluation succeeded."))
        else:
            panels.append(_parallel(group, key, words))
    return panels


def _parallel(runs: Sequence[RunData], key: str, words: str) -> Panel:
    import plotly.graph_objects as go

    space = runs[0].study.space
    members = [e for r in runs for e in r.archive.full]
    axes = []
    if len(runs) > 1:
        places = [i for i, r in enumerate(runs) for _ in r.archive.full]
        axes.append(_axis("run", places, range(len(runs)), [r.label for r in runs]))
    for name, direction in space.objectives.items():
        axes.append(measured_axis(title(name, direction), name, members))
    fixed = []
    for parameter in space.parameters:
        for name, values in columns(parameter, members):
            if len(set(values)) > 1:
                axes.append(parameter_axis(parameter, name, values))
            else:
                fixed.append(name)
    first, direction = next(iter(space.objectives.items()))
    line = {
        "color": [factor(first) * e.objectives[first] for e in members],
        "colorscale": "Viridis",
        "reversescale": direction == "minimize",
        "showscale": True,
        "colorbar": {"title": {"text": title(first)}, "thickness": 12},
    }
    trace = go.Parcoords(
        dimensions=axes[:MOST_AXES],
        line=line,
        labelangle=-25,
        labelfont={"size": 12},
        tickfont={"size": 10},
        rangefont={"size": 1, "color": "rgba(0,0,0,0)"},  # the ticks say it
    )
    figure = styled(
        go.Figure(trace),
        height=520,
        width=max(900, 160 + PIXELS_PER_AXIS * len(axes[:MOST_AXES])),
        margin={"l": 80, "r": 60, "t": 110, "b": 30},
    )
    about = f"Drag along an axis to select. '{OFF}': the parameter is not there."
    if fixed:
        about += f" Of one value, and left out: {', '.join(fixed)}."
    if len(axes) > MOST_AXES:
        about += f" The last {len(axes) - MOST_AXES} parameters are left out."
    return Panel(key, words, about, figure)


def columns(
    parameter: Parameter, members: Sequence[Evaluation]
) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the values of a parameter, one entry a block; None where it is not there."""
    found = [e.architecture.get(parameter.name) for e in members]
    if parameter.repeat is None:
        return [(parameter.name, tuple(found))]
    blocks = max((len(v) for v in found if isinstance(v, tuple)), default=0)
    return [
        (
            f"{parameter.name}.{i}",
            tuple(v[i] if isinstance(v, tuple) and i < len(v) else None for v in found),
        )
        for i in range(blocks)
    ]


def parameter_axis(parameter: Parameter, name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return a parameter as an axis: even places for few values, else a scale; off below."""
    domain = parameter.values
    if domain is not None and len(domain) <= MOST_TICKS:
        texts = [_text(v) for v in domain]
        places = [-1 if v is None else list(map(_text, domain)).index(_text(v)) for v in values]
        at = list(range(len(texts)))
        if None in values:
            at, texts = [-1, *at], [OFF, *texts]
        return _axis(name, places, at, texts)
    log = parameter.log and parameter.low > 0
    low, high = (_scaled(v, log) for v in (parameter.low, parameter.high))
    off = low - 0.15 * ((high - low) or 1.0)
    known = [_scaled(v, log) if v is not None else off for v in values]
    at_values = [low + (high - low) * k / 4 for k in range(5)]
    texts = [f"{10**v if log else v:.3g}" for v in at_values]
    if None in values:
        at_values, texts = [off, *at_values], [OFF, *texts]
    return _axis(name, known, at_values, texts)


def measured_axis(words: str, name: str, members: Sequence[Evaluation]) -> dict[str, Any]:
    """Return an objective as an axis, its values in the unit of its label."""
    # older records may hold what fails now: 1.8e308 for infinity
    values = [max(-LARGEST, min(e.objectives[name], LARGEST)) for e in members]
    log = logarithmic(values)
    places = [_scaled(factor(name) * v, log) for v in values]
    low, high = min(places), max(places)
    at = [low + (high - low) * k / 4 for k in range(5)] if high > low else [low]
    texts = [f"{10**v if log else v:.3g}" for v in at]
    return {**_axis("", places, at, texts), "label": words}


def _axis(
    name: str, places: Sequence[float], at: Sequence[float], texts: Sequence[str]
) -> dict[str, Any]:
    margin = 0.02 * ((max(at) - min(at)) or 1.0)
    return {
        "label": label(name),
        "values": list(places),
        "tickvals": list(at),
        "ticktext": [t if len(t) <= 18 else f"{t[:17]}…" for t in texts],  # plain to plotly
        "range": [min(*at, *places) - margin, max(*at, *places) + margin],
    }


def _scaled(value: Any, log: bool) -> float:
    return math.log10(float(value)) if log else float(value)


def _text(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def importance_panels(runs: Sequence[RunData]) -> list[Panel]:
    """Return, for every objective, how much each parameter decides."""
    return [_importances(runs, name) for name in runs[0].objectives]


def _importances(runs: Sequence[RunData], name: str) -> Panel:
    import plotly.graph_objects as go

    key, words = f"importance-{slug(name)}", f"Importance for {title(name)}"
    found = [importance(r.archive, name) for r in runs]
    counts = [len(r.archive.full) for r in runs]
    if not any(found):
        missing = (
            f"It takes {LEAST} fully trained architectures that differ;"
            f" here are {' and '.join(map(str, counts))}."
        )
        return Panel(key, words, missing=missing, wide=False)
    order = sorted(
        {p for f in found for p in f}, key=lambda p: (max(f.get(p, 0.0) for f in found), p)
    )
    figure = go.Figure()
    for i, (run, shares) in enumerate(zip(runs, found, strict=True)):
        if not shares:
            continue
        figure.add_bar(
            y=[label(p) for p in order],
            x=[100 * shares.get(p, 0.0) for p in order],
            orientation="h",
            marker={"color": colour(i)},
            name=label(run.label),
            hovertemplate="%{y}: %{x:.1f} %",
        )
    height = 130 + len(order) * (14 + 8 * sum(map(bool, found)))
    styled(
        figure,
        height=height,
        xaxis={"title": "share of the importance [%]"},
        yaxis={"automargin": True, "type": "category"},
        showlegend=len(runs) > 1,
        bargap=0.25,
    )
    used = [n for n, shares in zip(counts, found, strict=True) if shares]
    best = " and ".join(f"{100 * quantile(n):.0f} % of {n}" for n in used)
    about = f"What sets the best {best} apart from the rest."
    if min(used) < 50:
        about += " Fewer than 50 architectures: take it as a hint."
    return Panel(key, words, about, figure, wide=False)
