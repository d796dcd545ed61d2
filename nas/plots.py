"""Pages with plots: one HTML file, its JavaScript inside, readable without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; color: #222; }}
table {{ border-collapse: collapse; margin: 1.5rem 0; }}
th, td {{ padding: 0.2rem 0.9rem; text-align: right; border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
SMALLEST_MB = 0.01
COLOURS = (
    "#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd",
    "#8c564b", "#e377c2", "#7f7f7f", "#17becf", "#bcbd22",
)  # fmt: skip
PANELS = (
    ("forward", "latency", "Latency, forward (inference)"),
    ("forward+backward", "latency", "Latency, forward and backward (training)"),
    ("forward", "memory", "Peak memory, forward (inference)"),
    ("forward+backward", "memory", "Peak memory, forward and backward (training)"),
)


def page(title: str, paragraphs: Sequence[str], *html: str) -> str:
    """Return a page.

    Args:
        title: Heading, plain text.
        paragraphs: Plain text under the heading.
        html: What follows, as HTML.
    """
    words = [f"<p>{escape(text)}</p>" for text in paragraphs]
    return PAGE.format(title=escape(title), body="\n".join([*words, *html]))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return an HTML table."""
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    lines = ["".join(f"<td>{escape(str(v))}</td>" for v in row) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def attention_figure(points: Sequence[Mapping[str, Any]]) -> str:
    """Draw latency and memory against length, both axes logarithmic, a line a kind.

    Args:
        points: Of :class:`nas.bench.Point`, as mappings; those without a figure are left out.

    Returns:
        HTML that holds plotly's JavaScript.
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
                    line={"color": COLOURS[i % len(COLOURS)]},
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
    figure.update_layout(template="plotly_white", height=950, legend={"title": "kind"})
    html = figure.to_html(full_html=False, include_plotlyjs=True, include_mathjax=False)
    return str(html)
