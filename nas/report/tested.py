"""Figures on test speakers, where ``nas confirm`` measured them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.cli.output import shown
from nas.report.data import RunData
from nas.report.panel import Panel, Table, slug
from nas.report.style import GREY, colour, styled
from nas.report.units import factor, label, title, unit

SHOWN = ("wa", "ua", "macro_f1", "energy")


def summary_of(run: RunData) -> list[dict[str, Any]]:
    """Return means and intervals by model, of what ``confirm.jsonl`` holds so far."""
    if not run.confirmed:
        return []
    from eval.confirmation import REPORTED
    from nas.outer import summarise

    needed = {"model", "fold", "seed", *REPORTED}
    rows = [r for r in run.confirmed if needed <= r.keys()]  # an older run may have fewer
    return summarise(rows, _held_out(run, rows))


def _held_out(run: RunData, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The fold the search never saw, if every model was measured on it."""
    fold = run.study.config.evaluator.get("test")
    models = {r["model"] for r in rows}
    seen = {r["model"] for r in rows if r["fold"] == fold}
    return str(fold) if fold is not None and seen == models else None


def tested_parts(run: RunData, alone: bool) -> list[Panel | Table]:
    """Return the table and the figures of the confirmed architectures of a run."""
    key = "tested" if alone else f"tested-{slug(run.label)}"
    words = "Test speakers" if alone else f"Test speakers, {run.label}"
    models = summary_of(run)
    if not models:
        missing = (
            f"No test figures yet: nas confirm {run.study.folder} measures them."
            if run.corpus
            else "The run used an evaluator of its own, so there are no test speakers."
        )
        return [Panel(key, words, missing=missing)]
    metrics = [m for m in SHOWN if m in models[0]]
    held = [m for m in metrics if f"{m}_held_out" in models[0]]
    rows = [
        [
            m["model"],
            str(m["trainings"]),
            *(_interval(n, m[n]) for n in metrics),
            *(shown(n, m[f"{n}_held_out"]) for n in held),
        ]
        for m in models
    ]
    columns = ["model", "trainings", *(f"{_head(n)}, 95 % CI" for n in metrics)]
    columns += [f"{_head(n)}, unseen" for n in held]
    shares = [n for n in metrics if n != "energy"]
    parts: list[Panel | Table] = [Table(columns, rows, title=words)]
    return [*parts, *(_dots(run, models, n, f"{key}-{n}") for n in shares)]


def _dots(run: RunData, models: Sequence[Mapping[str, Any]], name: str, key: str) -> Panel:
    import plotly.graph_objects as go

    names = [label(m["model"]) for m in models]
    scale = factor(name)
    figure = go.Figure()
    searched = {e.architecture.hash: e.metrics.get(name) for e in run.archive.full}
    searched |= {n: row.get(name) for n, row in run.baselines.items()}
    before = [(label(m["model"]), searched.get(m["model"])) for m in models]
    figure.add_scatter(
        x=[scale * v for _, v in before if isinstance(v, int | float)],
        y=[n for n, v in before if isinstance(v, int | float)],
        mode="markers",
        marker={"symbol": "circle-open", "size": 10, "color": GREY},
        name="validation, in the search",
        hovertemplate="%{y}: %{x:.1f}",
    )
    bounds = [[scale * m[name][k] for k in ("mean", "low", "high")] for m in models]
    figure.add_scatter(
        x=[b[0] for b in bounds],
        y=names,
        mode="markers",
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [_or_zero(b[2] - b[0]) for b in bounds],
            "arrayminus": [_or_zero(b[0] - b[1]) for b in bounds],
        },
        marker={"size": 9, "color": colour(0)},
        name="test, 95 % CI over the folds",
        hovertemplate="%{y}: %{x:.1f}",
    )
    styled(
        figure,
        height=150 + 30 * len(models),
        xaxis={"title": title(name)},
        yaxis={"automargin": True, "autorange": "reversed", "type": "category"},
    )
    return Panel(key, f"{title(name)} on test and validation speakers", "", figure, wide=False)


def _or_zero(value: float) -> float:
    return value if value == value else 0.0  # one fold and one seed have no interval


def _head(name: str) -> str:
    return f"{name} {unit(name)}".strip()


def _interval(name: str, i: Mapping[str, float]) -> str:
    if i["low"] != i["low"]:
        return shown(name, i["mean"])
    low, high = shown(name, i["low"]), shown(name, i["high"])
    return f"{shown(name, i['mean'])} ({low} to {high})"
