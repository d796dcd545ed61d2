"""What a run's guides were worth: rank correlations with its evaluations, as they grew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from search_spaces.errors import NasError

GUIDES = ("surrogate", "proxy", "first_looks")


def read_trust(folder: Path) -> list[dict[str, Any]]:
    """Return what a run's log says about its guides.

    Returns:
        Rows with ``evaluations``, ``guide`` (``surrogate``, ``proxy`` or ``first_looks``),
        ``objective``, ``correlation`` (Spearman's left-out for the surrogate, Kendall's for
        the others; None while it cannot be told), ``low`` (its lower bound), ``pairs``, and
        ``steers`` where the run decides by it.

    Raises:
        NasError: The run has no guide.
    """
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    events = [e for e in map(json.loads, lines) if e["event"] == "trust"]
    rows = []
    for event in events:
        for guide in GUIDES:
            for objective, told in event.get(guide, {}).items():
                rows.append(
                    {
                        "evaluations": event["evaluations"],
                        "guide": guide,
                        "objective": objective,
                        "correlation": told.get("correlation", told.get("tau")),
                        "low": told.get("floor", told.get("low")),
                        "pairs": told.get("n", told.get("pairs")),
                        "steers": told.get("steers"),
                    }
                )
    if not rows:
        raise NasError(
            "nothing guided this run",
            where=str(folder),
            hint="nas search --searcher auto, or --guidance, --halving",
        )
    return rows


def plot_trust(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the correlations over the evaluations as one HTML file that works offline."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for guide, objective in dict.fromkeys((r["guide"], r["objective"]) for r in rows):
        mine = [r for r in rows if (r["guide"], r["objective"]) == (guide, objective)]
        figure.add_scatter(
            x=[r["evaluations"] for r in mine],
            y=[r["correlation"] for r in mine],
            mode="lines+markers",
            name=f"{guide.replace('_', ' ')}: {objective}",
        )
    figure.update_layout(
        title="Rank correlation of the guides with the evaluations",
        xaxis_title="evaluations",
        yaxis_title="rank correlation",
        yaxis_range=[-1, 1],
        template="plotly_white",
    )
    figure.write_html(path, include_plotlyjs=True)
