"""Figures over the course of a run: hypervolume, trust in its guides, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.measurements import part_of
from nas.report.compare import Box, Growth, growth
from nas.report.data import RunData
from nas.report.panel import Panel, slug
from nas.report.style import GREY, KNEE, axis, colour, faded, styled
from nas.report.units import factor, label, title, with_unit
from nas.trust import read_trust
from search_spaces.errors import NasError

if TYPE_CHECKING:
    import plotly.graph_objects as go

NEVER = "No full evaluation succeeded within the constraints of the space."


def growth_panels(runs: Sequence[RunData], box: Box | None) -> list[Panel]:
    """Return hypervolume (of a single objective the best value) over units and over seconds."""
    if not any(r.measured for r in runs):
        return [Panel("hypervolume", "Hypervolume", missing=NEVER)]
    if box is None:
        missing = "An objective has one value only, so that no volume is dominated."
        return [Panel("hypervolume", "Hypervolume", missing=missing)]
    grown = [growth(r, box) for r in runs]
    drawn = _best if len(runs[0].objectives) == 1 else _volume
    name = next(iter(runs[0].objectives))
    words = f"Best {title(name)}" if drawn is _best else "Hypervolume"
    return [
        drawn(runs, grown, "units", f"{words} over the budget", box),
        drawn(runs, grown, "seconds", f"{words} over time", box),
    ]


def _volume(
    runs: Sequence[RunData], grown: Sequence[Growth], over: str, words: str, box: Box
) -> Panel:
    import plotly.graph_objects as go

    figure = go.Figure()
    for i, (run, g) in enumerate(zip(runs, grown, strict=True)):
        for values, dash, what in _lines(g):
            figure.add_scatter(
                x=getattr(g, over),
                y=[100 * v for v in values],
                mode="lines",
                line={"shape": "hv", "color": colour(i), "dash": dash},
                name=label(run.label if len(runs) > 1 else what),
                showlegend=len(runs) == 1 or dash == "solid",
                hovertemplate="%{y:.2f} % at %{x:.5g} " + over,
            )
    styled(
        figure,
        height=400,
        xaxis={"title": _over(over), "rangemode": "tozero"},
        yaxis={"title": "hypervolume [% of the box]", "rangemode": "tozero"},
        showlegend=True,
    )
    return Panel(f"hypervolume-{over}", words, "", figure, wide=False)


def _lines(g: Growth) -> list[tuple[list[float], str, str]]:
    dotted = [(g.front, "dot", "front, of means")] if g.repeated else []
    return [(g.measured, "solid", "all measurements"), *dotted]


def _best(
    runs: Sequence[RunData], grown: Sequence[Growth], over: str, words: str, box: Box
) -> Panel:
    import plotly.graph_objects as go

    [(name, direction)] = runs[0].objectives.items()
    sign = 1.0 if direction == "minimize" else -1.0
    nadir, ideal = float(box.nadir[0]), float(box.ideal[0])
    figure = go.Figure()
    shown: list[float] = []
    for i, (run, g) in enumerate(zip(runs, grown, strict=True)):
        # before the first measurement there is nothing; later the volume is the best value
        able = [e.feasible and e.fidelity >= 1.0 for e in run.archive.evaluations]
        first = able.index(True) if any(able) else None
        if first is None:
            continue
        values = [sign * (nadir - v * (nadir - ideal)) for v in g.measured[first:]]
        shown += values
        figure.add_scatter(
            x=getattr(g, over)[first:],
            y=[factor(name) * v for v in values],
            mode="lines",
            line={"shape": "hv", "color": colour(i)},
            name=label(run.label),
            hovertemplate="%{y:.5g} at %{x:.5g} " + over,
        )
    y = axis(name, direction, shown)
    styled(figure, height=400, xaxis={"title": _over(over), "rangemode": "tozero"}, yaxis=y)
    return Panel(f"best-{over}", words, "", figure, wide=False)


def _over(over: str) -> str:
    return "budget [units]" if over == "units" else "time the run was driven [s]"


def trust_panels(runs: Sequence[RunData]) -> list[Panel]:
    """Return, for every run, how far its guides agreed with its evaluations."""
    panels = []
    for run in runs:
        key = "trust" if len(runs) == 1 else f"trust-{slug(run.label)}"
        words = "Trust in the guides" if len(runs) == 1 else f"Trust in the guides of {run.label}"
        try:
            rows = read_trust(run.study.folder)
        except NasError as error:
            panels.append(Panel(key, words, missing=f"{_sentence(error.what)}"))
            continue
        panels.append(Panel(key, words, "", trust_figure(rows), wide=len(runs) == 1))
    return panels


def trust_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw rows of :func:`nas.trust.read_trust` over the evaluations."""
    import plotly.graph_objects as go

    figure = go.Figure()
    pairs = dict.fromkeys((r["guide"], r["objective"]) for r in rows)
    objectives = list(dict.fromkeys(objective for _, objective in pairs))
    dashes = {"surrogate": "solid", "proxy": "dash", "first_looks": "dot"}
    for guide, objective in pairs:
        mine = [r for r in rows if (r["guide"], r["objective"]) == (guide, objective)]
        figure.add_scatter(
            x=[r["evaluations"] for r in mine],
            y=[r["correlation"] for r in mine],
            mode="lines+markers",
            line={"color": colour(objectives.index(objective)), "dash": dashes.get(guide)},
            name=label(f"{guide.replace('_', ' ')}: {objective}"),
            hovertext=[_pairs(r) for r in mine],
            hovertemplate="%{y:+.2f} after %{x} evaluations%{hovertext}",
        )
    return styled(
        figure,
        height=400,
        xaxis={"title": "evaluations", "rangemode": "tozero"},
        yaxis={"title": "rank correlation", "range": [-1.05, 1.05], "zeroline": True},
        showlegend=True,
    )


def _pairs(row: Mapping[str, Any]) -> str:
    told = {True: ", steers", False: ", does not steer"}.get(row["steers"], "")
    return f", {row['pairs']} pairs{told}"


def curve_panels(runs: Sequence[RunData]) -> list[Panel]:
    """Return, for every objective, how it changed between partial and full trainings."""
    partial = [e for r in runs for e in r.archive.evaluations if e.ok and e.fidelity < 1.0]
    if not partial:
        missing = (
            "Every architecture was trained in full at once;"
            " first looks come with nas search --halving."
        )
        return [Panel("curves", "First looks and full trainings", missing=missing)]
    return [_curves(runs, name) for name in runs[0].objectives]


def _curves(runs: Sequence[RunData], name: str) -> Panel:
    import plotly.graph_objects as go

    figure = go.Figure()
    shown: list[float] = []
    for i, run in enumerate(runs):
        groups: dict[str, list[Any]] = {}
        for e in run.archive.evaluations:
            if e.ok:
                groups.setdefault(e.architecture.hash, []).append(e)
        front = {e.architecture.hash for e in run.front}
        several = [g for g in groups.values() if len({e.fidelity for e in g}) > 1]
        single = [g for g in groups.values() if all(e.fidelity < 1.0 for e in g)]
        best = [g for g in several if g[0].architecture.hash in front]
        rest = [g for g in several if g[0].architecture.hash not in front]
        kinds = [("stopped", single, GREY), ("trained on", rest, colour(i)), ("front", best, KNEE)]
        if len(runs) > 1:
            kinds = [("", single, faded(colour(i), 0.3)), (run.label, several, colour(i))]
        for words, those, tint in kinds:
            members = [sorted(g, key=lambda e: e.fidelity) for g in those]
            if not members:
                continue
            x, y, text = _broken(members, name, run.study.config.evaluator)
            shown += [e.objectives[name] for g in members for e in g]
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines+markers",
                line={"color": tint, "width": 1},
                name=label(words),
                showlegend=bool(words),
                hovertext=text,
                hoverinfo="text",
                connectgaps=False,
            )
    styled(
        figure,
        height=400,
        xaxis={"title": "share of the full training [%]", "rangemode": "tozero"},
        yaxis=axis(name, runs[0].objectives[name], shown),
        showlegend=True,
    )
    words = f"First looks and full trainings: {title(name)}"
    return Panel(f"curves-{slug(name)}", words, "", figure, wide=False)


def _broken(
    groups: Sequence[Sequence[Any]], name: str, source: Mapping[str, Any]
) -> tuple[list[float | None], list[float | None], list[str]]:
    """One line a group, in one trace: a gap between them."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for group in groups:
        for e in group:
            x.append(100 * e.fidelity)
            y.append(factor(name) * e.objectives[name])
            value = with_unit(name, e.objectives[name])
            part = part_of(e, source) or "the whole training"
            text.append(f"<b>{e.architecture.hash}</b><br>{value}, {part}")
        x.append(None)
        y.append(None)
        text.append("")
    return x, y, text


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
