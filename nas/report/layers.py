"""Figures of chosen architectures: energy and spike rate per layer, confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.cli.output import shown
from nas.evaluation import Evaluation
from nas.report.data import RunData
from nas.report.panel import Panel
from nas.report.style import colour, styled
from nas.report.units import factor, label, unit, with_unit
from nas.repricing import run_profile
from search_spaces.errors import NasError
from search_spaces.space import Space

if TYPE_CHECKING:
    from eval.energy.profile import Profile

WORDS = {"mac": "multiply-accumulates", "ac": "accumulates", "compare": "comparisons"}
PLAIN = {"compares": 0.0}  # which the oldest records lack


def has_layers(e: Evaluation) -> bool:
    """Whether its metrics hold a table of layers; an own evaluator may mean another thing."""
    table = e.metrics.get("layers")
    return isinstance(table, list) and bool(table) and all(isinstance(r, dict) for r in table)


def layer_energies(e: Evaluation, profile: Profile) -> list[dict[str, Any]]:
    """Price the operations of every layer of an evaluation.

    Args:
        e: With a table of operations in its metrics.
        profile: Cost model of its run.

    Returns:
        One row a layer: ``layer``, ``energy`` [J per sample], ``parts`` (the same by kind of
        operation) and ``rate`` (None for a layer without neurons). Empty without a table.

    Raises:
        NasError: The record lacks what the cost model prices.
    """
    from eval.energy.pricing import Tables, charges, missing, needed
    from nas.energy_report import absent

    if not has_layers(e):
        return []
    table = [{**PLAIN, **row} for row in e.metrics["layers"]]
    if lacking := missing(table, needed(profile)):
        raise NasError(f"{e.architecture.hash} cannot be priced: {absent(lacking)}")
    rows: list[dict[str, Any]] = [
        {"layer": str(r.get("layer")), "energy": 0.0, "parts": {}, "rate": r.get("rate")}
        for r in table
    ]
    for charge in charges(Tables.of([table], needed(profile)).columns, profile):
        words = WORDS.get(charge.operation, charge.operation.replace("_", " "))
        words = f"{words} ({charge.part})" if charge.part in ("host", "memory") else words
        for row, joules in zip(rows, charge.joules.tolist(), strict=True):
            row["energy"] += joules
            row["parts"][words] = row["parts"].get(words, 0.0) + joules
    return rows


def profile_of(run: RunData, e: Evaluation) -> Profile:
    """Return the cost model that priced an evaluation: the run's, or what an own evaluator named.

    Raises:
        NasError: It is not known here, or none was named.
    """
    from eval.energy.profile import load_profile

    if run.corpus:
        return run_profile(run.study)
    if "energy_profile" not in e.metrics:
        raise NasError("its evaluator names no cost model of the energy")
    return load_profile(str(e.metrics["energy_profile"]))


def layer_panel(key: str, words: str, run: RunData, e: Evaluation) -> Panel:
    """Return energy by kind of operation, and spike rate, of every layer of an architecture."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    if not has_layers(e):
        return Panel(key, words, missing="Its evaluator gave no table of layers.")
    try:
        profile = profile_of(run, e)
        rows = layer_energies(e, profile)
    except NasError as error:
        return Panel(key, words, missing=f"{error.what[:1].upper()}{error.what[1:]}.")
    names = _distinct([label(r["layer"]) for r in rows])
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, column_widths=[0.66, 0.34], horizontal_spacing=0.03
    )
    kinds = list(dict.fromkeys(k for r in rows for k in r["parts"]))
    for i, kind in enumerate(kinds):
        values = [factor("energy") * r["parts"].get(kind, 0.0) for r in rows]
        if any(values):
            figure.add_trace(
                go.Bar(
                    y=names,
                    x=values,
                    orientation="h",
                    name=kind,
                    marker={"color": colour(i)},
                    hovertemplate="%{y}: %{x:.4g} mJ",
                ),
                row=1,
                col=1,
            )
    rated = [(n, r["rate"]) for n, r in zip(names, rows, strict=True) if r["rate"] is not None]
    figure.add_trace(
        go.Bar(
            y=[n for n, _ in rated],
            x=[100 * rate for _, rate in rated],
            orientation="h",
            showlegend=False,
            marker={"color": "#7b5ea7"},
            hovertemplate="%{y}: %{x:.2f} %<extra>spike rate</extra>",
        ),
        row=1,
        col=2,
    )
    figure.update_xaxes(
        title="energy per sample [mJ]", exponentformat="power", nticks=6, row=1, col=1
    )
    figure.update_xaxes(title="spike rate [%]", rangemode="tozero", row=1, col=2)
    # a layer may be called "0", which is no number
    figure.update_yaxes(
        type="category", automargin=True, categoryorder="array", categoryarray=names[::-1]
    )
    styled(figure, height=150 + 24 * len(rows), barmode="stack", showlegend=True)
    total = sum(r["energy"] for r in rows)
    about = f"Sum of the layers {with_unit('energy', total)}, {profile.name}."
    return Panel(key, words, f"{about}{_first_of(e)}", figure)


def confusion_panel(key: str, words: str, e: Evaluation) -> Panel:
    """Return the confusion matrix of an architecture: counts, and shares of the true class."""
    import plotly.graph_objects as go

    classes, counts = e.metrics.get("classes"), e.metrics.get("confusion")
    if not classes or not counts:
        missing = "Its evaluator gave no confusion matrix."
        return Panel(key, words, missing=missing, wide=False)
    names = _distinct([label(c) for c in classes])
    shares = [[100 * n / sum(row) if sum(row) else 0.0 for n in row] for row in counts]
    text = [
        [f"{n:g}<br>{share:.0f} %" for n, share in zip(row, of, strict=True)]
        for row, of in zip(counts, shares, strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            text=text,
            texttemplate="%{text}",
            zmin=0,
            zmax=100,
            colorscale="Blues",
            colorbar={"title": "%", "thickness": 12},
            hovertemplate="%{y} taken for %{x}: %{text}<extra></extra>",
        )
    )
    side = max(360, 150 + 62 * len(classes))
    styled(
        figure,
        height=side,
        width=side + 140,
        xaxis={"title": "predicted class", "type": "category", "automargin": True},
        yaxis={
            "title": "true class",
            "type": "category",
            "autorange": "reversed",
            "automargin": True,
        },
    )
    return Panel(key, words, _first_of(e).strip(), figure, wide=False)


def _first_of(e: Evaluation) -> str:
    times = e.metrics.get("measurements")
    return f" Of the first of its {times} measurements." if times else ""


def _distinct(names: Sequence[str]) -> list[str]:
    """Names that are equal once they were cut would share one row."""
    return [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names)]


def parameter_rows(space: Space, members: Sequence[Evaluation]) -> list[list[str]]:
    """Return a row a parameter and a column an architecture; a dash where it is not there."""
    names = [p.name for p in space.parameters if any(p.name in e.architecture for e in members)]
    return [[name, *(_value(e.architecture.get(name)) for e in members)] for name in names]


def metric_rows(members: Sequence[Evaluation]) -> list[list[str]]:
    """Return a row a metric that is a number, objectives first."""

    def numbers(e: Evaluation) -> Mapping[str, Any]:
        found = {**e.objectives, **e.metrics}
        return {
            k: v
            for k, v in found.items()
            if isinstance(v, int | float) and not isinstance(v, bool)
        }

    every = [{**numbers(e), **e.objectives} for e in members]
    names = list(dict.fromkeys(k for row in every for k in row))
    return [
        [f"{n} [{unit(n)}]" if unit(n) else n, *(shown(n, row.get(n)) for row in every)]
        for n in names
    ]


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
