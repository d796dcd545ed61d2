"""The figure of an attention benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.report.style import colour, styled

if TYPE_CHECKING:
    import plotly.graph_objects as go

SMALLEST_MB = 0.01
PANELS = (
    ("forward", "latency", "Latency, forward (inference)"),
    ("forward+backward", "latency", "Latency, forward and backward (training)"),
    ("forward", "memory", "Peak memory, forward (inference)"),
    ("forward+backward", "memory", "Peak memory, forward and backward (training)"),
)


def attention_figure(points: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw latency and memory against length, both axes logarithmic, a line a kind.

    Args:
        points: Of :class:`nas.bench.Point`, as mappings; those without a figure are left out.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=2, subplot_titles=[title for *_, title in PANELS])
    kinds = list(dict.fromkeys(p["kind"] for p in points))
    frames = sorted({p["frames"] for p in points})
    for at, (phase, value, _) in enumerate(PANELS):
        row, column = at // 2 + 1, at % 2 + 1
        for i, kind in enumerate(kinds):
            drawn = [
                p for p in points
                if p["kind"] == kind and p["phase"] == phase and p[value] is not None
            ]  # fmt: skip
            scale = 1e3 if value == "latency" else 1e-6
            values = [scale * p[value] for p in drawn]
            unit = "ms" if value == "latency" else "MB"
            figure.add_trace(
                go.Scatter(
                    x=[p["frames"] for p in drawn],
                    y=values if unit == "ms" else [max(v, SMALLEST_MB) for v in values],
                    customdata=values,
                    name=kind,
                    legendgroup=kind,
                    showlegend=at == 0,
                    mode="lines+markers",
                    line={"color": colour(i)},
                    marker={"symbol": i, "size": 8},
                    hovertemplate=f"{kind}: %{{customdata:.4g}} {unit} at %{{x}} frames"
                    "<extra></extra>",
                ),
                row=row,
                col=column,
            )
        figure.update_xaxes(
            type="log", title="frames", tickvals=frames, ticktext=frames, row=row, col=column
        )
        figure.update_yaxes(type="log", title=unit, dtick=1, row=row, col=column)
    side = {"title": "kind", "orientation": "v", "yanchor": "top", "x": 1.02, "y": 1}
    return styled(figure, height=950, legend=side)
