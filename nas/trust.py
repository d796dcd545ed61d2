"""What a run's guides were worth: rank correlations with its evaluations, as they grew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.run_log import LOG, json_lines
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
    events = [e for e in json_lines(folder / LOG) if e.get("event") == "trust"]
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
    from nas.report.courses import trust_figure
    from nas.report.page import render, write_page
    from nas.report.panel import Panel, Section

    panel = Panel("trust", "Rank correlation with the evaluations", figure=trust_figure(rows))
    write_page(path, render("Trust in the guides", [Section("trust", "Guides", [panel])]))
