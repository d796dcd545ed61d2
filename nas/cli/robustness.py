"""``nas robustness``: an exported network on an imperfect device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nas.cli.fold_options import warn
from nas.cli.options import with_trust
from nas.cli.output import Out, percent, with_output


@click.command()
@click.argument("exported", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", help="Measure on all of another corpus with the same classes.")
@click.option("--classes", "class_map", metavar="FILE", help="YAML: class of each label, or null.")
@click.option(
    "--on",
    "part",
    type=click.Choice(["validation", "test"]),
    help="Speakers of the search's corpus to measure on.  [default: validation]",
)
@click.option("--draws", default=5, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@with_trust
@with_output
def robustness(
    exported: Path,
    data: str | None,
    class_map: str | None,
    part: str | None,
    draws: int,
    seed: int,
    trust: tuple[str, ...],
    out: Out,
) -> None:
    """Measure what an exported network loses to clock steps, jitter, lost spikes, weight bits.

    Jitter is of the spikes' times, as a share of their window; deletion loses spikes at random;
    weight bits rounds the weights of every output channel to signed integers. Steps and jitter
    are of time-to-first-spike networks. The utterances are those of a fold that the weights
    have not seen.

    \b
    Examples:
      nas robustness best/
      nas robustness best/ --on test --draws 20 --json
    """  # noqa: D301
    from nas.cli.confirm import Ticker
    from nas.robustness import measure_robustness

    ticker = Ticker(out, "conditions")
    result = measure_robustness(
        exported,
        data,
        part,
        draws,
        seed,
        class_map=class_map,
        trusted=trust,
        say=out.say,
        step=ticker,
    )

    def human() -> None:
        out.line(f"{result['hash']} on {result['utterances']} utterances: {result['measured_on']}")
        out.table(["condition", "amount", "wa %", "ua %", "as undisturbed %"], _table(result))
        out.line(f"+- is the standard deviation over {draws} draws")
        warn(out, result)

    out.result(result, human)


def _table(result: dict[str, Any]) -> list[list[str]]:
    return [
        [
            row["condition"],
            row["amount"],
            _spread(row["wa"], row["wa_sd"], row["draws"]),
            _spread(row["ua"], row["ua_sd"], row["draws"]),
            percent(row["agreement"]),
        ]
        for row in result["rows"]
    ]


def _spread(mean: float, sd: float, draws: int) -> str:
    return f"{percent(mean)} +- {percent(sd)}" if draws > 1 else percent(mean)
