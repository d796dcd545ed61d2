"""How figures look: one style for the page and for papers."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nas.report.units import factor, logarithmic, title
from search_spaces.space import Direction

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = (
    "#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd",
    "#8c564b", "#e377c2", "#7f7f7f", "#17becf", "#bcbd22",
)  # fmt: skip
FONT = "system-ui, 'Liberation Sans', Arial, sans-serif"
GREY = "#9aa0a6"
KNEE = "#d62728"
HEIGHT = 460
SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def colour(i: int) -> str:
    """Return the colour of the ``i``-th run, line or kind."""
    return COLOURS[i % len(COLOURS)]


def faded(hexadecimal: str, alpha: float) -> str:
    """Return ``#rrggbb`` as a colour one can see through."""
    red, green, blue = (int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def styled(figure: go.Figure, height: int = HEIGHT, **layout: Any) -> go.Figure:
    """Give a figure the style of the house and return it."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        font={"family": FONT, "size": 13, "color": "#222"},
        # the buttons of the page stand above the legend
        margin={"l": 70, "r": 25, "t": 66, "b": 60},
        legend={
            "orientation": "h",
            "traceorder": "normal",
            "yanchor": "bottom",
            "y": 1,
            "xanchor": "left",
            "x": 0,
        },
        hoverlabel={"align": "left"},
    )
    figure.update_layout(**layout)
    return figure


def axis(name: str, direction: Direction | None, values: Iterable[float]) -> dict[str, Any]:
    """Return the axis of a measured quantity.

    Args:
        name: Of the quantity.
        direction: An arrow shows the better end.
        values: As recorded; they decide whether the scale is logarithmic.
    """
    seen = list(values)
    log = logarithmic(seen)
    out: dict[str, Any] = {
        "title": {"text": title(name, direction), "standoff": 12},
        "type": "log" if log else "linear",
        "exponentformat": "power",
        "automargin": True,
        "zeroline": False,
    }
    if log:
        ticks = log_ticks(factor(name) * min(seen), factor(name) * max(seen))
        out |= {"tickvals": ticks, "ticktext": [decimal(v) for v in ticks]}
    return out


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of every decade between two positive values; far apart, only 1."""
    steps = (1, 2, 5) if high <= 100 * low else (1, 3) if high <= 1e4 * low else (1,)
    high = min(high, sys.float_info.max)  # a value in other units may be more than a float
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [float(f"{m}e{k}") for k in decades for m in steps]
    return [v for v in every if low / 2 <= v <= 2 * high and 0.0 < v < math.inf]


def decimal(value: float) -> str:
    """Return a number as a person writes it: ``0.02``, ``2×10⁻⁴``."""
    if 1e-2 <= value < 1e5:
        return f"{value:g}"
    digits, _, exponent = f"{value:e}".partition("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPT)}"
    first = f"{float(digits):g}"
    return power if first == "1" else f"{first}×{power}"
