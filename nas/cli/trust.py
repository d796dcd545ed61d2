"""``nas trust``: how far the guides of a run agree with its evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nas.cli.output import Out, with_output


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="Also write the course as HTML.")
@with_output
def trust(run: Path, plot: Path | None, out: Out) -> None:
    """Show the rank correlation of surrogate, proxy and first looks with the evaluations.

    The surrogate's is Spearman's with architectures left out of its learning; those of the ReLU
    proxy and of first looks are Kendall's. Below its floor a guide does not steer. A first look
    at one fold is compared with the other folds, among what was trained on all of them; it
    decides in any case.

    \b
    Examples:
      nas trust runs/pts_snn-2026-11-21-1
      nas trust RUN --plot trust.html
    """  # noqa: D301
    from nas.run_config import RunConfig
    from nas.trust import plot_trust, read_trust

    RunConfig.read(run)  # is it a run?
    rows = read_trust(run)
    if plot is not None:
        plot_trust(rows, plot)

    def human() -> None:
        last = rows[-1]["evaluations"]
        out.line(f"after {last} evaluations")
        out.table(
            ["guide", "objective", "correlation", "lower bound", "pairs", "steers"],
            [_cells(r) for r in rows if r["evaluations"] == last],
        )

    out.result(rows, human)


def _cells(row: dict[str, Any]) -> list[str]:
    steers = {None: "", True: "yes", False: "no"}[row["steers"]]
    return [
        row["guide"].replace("_", " "),
        row["objective"],
        *("-" if row[k] is None else f"{row[k]:+.2f}" for k in ("correlation", "low")),
        str(row["pairs"]),
        steers,
    ]
