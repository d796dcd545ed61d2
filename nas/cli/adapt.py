"""``nas adapt``: an exported network at another frame rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import with_trust
from nas.cli.output import Out, millijoules, percent, with_output

if TYPE_CHECKING:
    from eval.resolution import Inputs


@click.command()
@click.argument("exported", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=float, metavar="HZ", help="Frames a second to run at.")
@click.option(
    "--from", "rate", type=float, metavar="HZ", help="Those of the export, to be sure of them."
)
@click.option(
    "--method",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="integral, expectation, compensated, euler, decay, substeps, tau or none; auto compares"
    " what the network says.",
)
@click.option(
    "--inputs",
    type=click.Choice(["held", "counts"]),
    help="Frames are means (held) or sums of events (counts).  [default: as the corpus says]",
)
@click.option("--data", help="Compare on all of another corpus with the same classes.")
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@click.option(
    "--on",
    "part",
    type=click.Choice(["validation", "test"]),
    help="Speakers of the search's corpus to measure on.  [default: validation]",
)
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), help="Write the adapted network here."
)
@with_trust
@with_output
def adapt(
    exported: Path,
    to: float,
    rate: float | None,
    method: str,
    inputs: Inputs | None,
    data: str | None,
    class_map: str | None,
    part: str | None,
    folder: Path | None,
    trust: tuple[str, ...],
    out: Out,
) -> None:
    """Run an exported network at another frame rate, without training.

    Neurons get the time constants and gains of the new step. The report has every method
    beside the others: how often it decides as the network did before, and the spikes of the
    layers over those of then, on the same recordings and without a label; and the recall on
    speakers that the weights have not seen. `auto` goes by what is said, not by recall. Without
    --out nothing is written.

    \b
    Examples:
      nas adapt best/ --from 12.5 --to 25 --out fine/
      nas adapt best/ --to 6.25 --method decay --on test --json
    """  # noqa: D301
    from nas.adapt import adapt as change
    from nas.cli.confirm import Ticker

    result = change(
        exported,
        to,
        rate=rate,
        method=method,
        inputs=inputs,
        data=data,
        class_map=class_map,
        part=part,
        folder=folder,
        trusted=trust,
        say=out.say,
        step=Ticker(out, "methods"),
    )
    if folder is not None:
        result = {**result, "folder": str(folder)}

    def human() -> None:
        out.line(f"{result['hash']}: {result['from']:g} to {to:g} frames a second")
        columns = ["method", "same %", "spikes x", "lowest", "highest"]
        columns += ["ua %", "energy mJ", "latency s"]
        out.table(columns, _table(result))
        where = result["measured_on"]
        out.line(f"ua on {where}" if where else "the weights have seen every utterance: no ua")
        for note in _chosen(result)["notes"]:
            out.line(f"note: {note}")
        for row in result["rows"]:
            if row["refusal"]:
                out.line(f"{row['method']} cannot: {row['refusal']}")
        kept = f" -> {folder}" if folder is not None else ""
        out.line(f"method {result['method']}{kept}")

    out.result(result, human, lambda: [result["method"]])


def _chosen(result: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = next(r for r in result["rows"] if r["method"] == result["method"])
    return row


def _table(result: dict[str, Any]) -> list[list[str]]:
    source = {"metrics": result["source"], "layers": {}, "refusal": None}
    rows = [["as it was", "", "", "", "", *_figures(source)]]
    for row in result["rows"]:
        mark = " *" if row["method"] == result["method"] else ""
        ratios = list(row["layers"].values())
        spread = ["", "", ""]
        if ratios:
            logs = [math.log(r) for r in ratios if 0 < r < math.inf]
            mean = math.exp(math.fsum(logs) / len(logs)) if len(logs) == len(ratios) else None
            spread = [f"{mean:.2f}" if mean else "-", f"{min(ratios):.2f}", f"{max(ratios):.2f}"]
        same = "" if row["refusal"] else percent(row["agreement"])
        rows.append([row["method"] + mark, same, *spread, *_figures(row)])
    return rows


def _figures(row: dict[str, Any]) -> list[str]:
    metrics = row["metrics"]
    if metrics is None:
        return ["refused" if row["refusal"] else "-", "-", "-"]
    return [
        percent(metrics["ua"]),
        millijoules(metrics["energy"]),
        f"{metrics['latency']:.3g}",
    ]
