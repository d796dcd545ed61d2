"""``nas confirm``: figures on test speakers."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from nas.cli.fold_options import warn
from nas.cli.output import Out, millijoules, percent, with_output


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--only", multiple=True, metavar="HASH", help='Confirm these only; or "knee".')
@with_output
def confirm(run: Path, seeds: int, only: tuple[str, ...], out: Out) -> None:
    """Retrain the front of a run on every outer fold and report test figures.

    This is where test speakers come in. Only the fold held out by the search (column "held
    out") is unseen in every sense: the speakers of the other folds were validation speakers
    when the architectures were chosen.

    Interrupted, the same command goes on where it stopped.

    \b
    Examples:
      nas confirm runs/pts_snn-2026-11-21-1 --seeds 3
      nas confirm RUN --only knee --seeds 10
    """  # noqa: D301
    from nas.confirm import confirm as run_confirm
    from nas.study import Study

    study = Study.open(run)
    members = study.front()
    if only:
        knee = study.knee()
        members = [knee if h == "knee" and knee else study.find(h) for h in only]
    ticker = Ticker(out)
    try:
        result = run_confirm(study, members, seeds, say=out.say, step=ticker)
    except KeyboardInterrupt:
        out.say(f"interrupted; go on with: nas confirm {run} --seeds {seeds}")
        raise

    def human() -> None:
        what = "utterances" if result["speaker_dependent"] else "speakers"
        out.table(
            ["model", "wa %", "s.d.", "95 % CI", "ua %", "s.d.", "95 % CI", "ua held out %", "mJ"],
            [
                [
                    m["model"],
                    *interval_cells(m["wa"]),
                    *interval_cells(m["ua"]),
                    percent(m["ua_held_out"]),
                    millijoules(m["energy"]["mean"]),
                ]
                for m in result["models"]
            ],
        )
        out.line(
            f"{result['corpus']}, {result['protocol']}: {len(result['folds'])} outer folds x"
            f" {seeds} seeds; the CI is over the folds. Held out by the search:"
            f" {result['held_out']}; the others' test {what} were validation {what} of the search."
        )
        warn(out, result)

    out.result(result, human)


def interval_cells(i: dict[str, float]) -> list[str]:
    """Return mean, s.d. and interval of a share, for a table."""
    return [percent(i["mean"]), percent(i["sd"]), f"{percent(i['low'])} to {percent(i['high'])}"]


class Ticker:
    """Says every 20 seconds, or on one line of a terminal, how far it is.

    Args:
        out: Where to speak.
        what: What is counted.
    """

    def __init__(self, out: Out, what: str = "trainings") -> None:
        self._out = out
        self._what = what
        self._began = self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Tell that ``done`` of ``total`` are made."""
        now = time.monotonic()
        terminal = sys.stderr.isatty() and self._out.mode != "quiet"
        if not terminal and done < total and now - self._said < 20:
            return
        self._said = now
        eta = (now - self._began) / done * (total - done)
        text = f"{done}/{total} {self._what}, {eta:.0f} s left"
        if terminal:
            click.echo(f"\r{text:<60}", nl=done == total, err=True)
        else:
            self._out.say(text)
