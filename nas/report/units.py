"""Names, units and scales of what is measured, as figures show them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from nas.cli.output import heading, shown
from search_spaces.space import Direction

NAMES = {
    "wa": "WA",
    "ua": "UA",
    "macro_f1": "macro F1",
    "energy": "energy per sample",
    "energy_with_encoder": "energy with encoder",
    "spike_rate": "spike rate",
}
FACTORS = {"%": 100.0, "mJ": 1e3}
DECADE = 10.0
LABEL_LIMIT = 60


def unit(name: str) -> str:
    """Return the unit that people see a quantity in; empty for none."""
    return heading(name).removeprefix(name).strip()


def factor(name: str) -> float:
    """Return by what a recorded value is multiplied for people."""
    return FACTORS.get(unit(name), 1.0)


def with_unit(name: str, value: object) -> str:
    """Return a value for people with its unit: ``61.2 %``."""
    return f"{shown(name, value)} {unit(name)}".strip()


def title(name: str, direction: Direction | None = None) -> str:
    """Return the label of an axis: name, unit, and an arrow towards the better."""
    words = label(NAMES.get(name, name))
    words += f" [{unit(name)}]" if unit(name) else ""
    arrow = {"maximize": " ↑", "minimize": " ↓", None: ""}[direction]
    return words + arrow


def label(text: object) -> str:
    """Return text for plotly, which reads its labels as HTML; long ones are cut."""
    words = str(text)
    short = words if len(words) <= LABEL_LIMIT else f"{words[: LABEL_LIMIT - 1]}…"
    return escape(short, quote=False)


def logarithmic(values: Iterable[float]) -> bool:
    """Whether an axis for these reads better in decades: all positive, far apart."""
    seen = list(values)
    return bool(seen) and min(seen) > 0 and max(seen) > DECADE * min(seen)
