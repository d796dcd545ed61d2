"""``nas confirm``: figures on test speakers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from nas.cli.fold_options import warn
from nas.cli.options import same_command, with_workers, workers_of
from nas.cli.output import Out, millijoules, percent, with_output


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--only", multiple=True, metavar="HASH", help='Confirm these only; or "knee".')
@with_workers("Training")
@with_output
def confirm(run: Path, seeds: int, only: tuple[str, ...], out: Out, **places: Any) -> None:
    """Retrain the front of a run on every outer fold and report test figures.

    This is where test speakers come in. Only the fold held out by the search (column "held
    out") is unseen in every sense: the speakers of the other folds were validation speakers
    when the architectures were chosen.

    Interrupted, the same command goes on where it stopped, with as many workers as you like.

    \b
    Examples:
      nas confirm runs/pts_snn-2026-11-21-1 --seeds 3
      nas confirm RUN --only knee --seeds 10 --workers 4
    """  # noqa: D301
    from nas.cli.look import named
    from nas.confirm import confirm as run_confirm
    from nas.study import Study

    study = Study.open(run)
    members = study.front()
    if only:
        members = [named(study, h) for h in only]
    workers, again = workers_of(places), same_command()
    with told_how_to_go_on(out, again):
        result = run_confirm(
            study, members, seeds, say=out.say, step=Ticker(out), workers=workers, again=again
        )

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


@contextmanager
def told_how_to_go_on(out: Out, again: str) -> Iterator[None]:
    """Name the command that goes on when trainings are interrupted, and say which failed.

    Raises:
        Exit: Some failed; with code 1.
    """
    from nas.outer import TrainingsFailed

    try:
        yield
    except KeyboardInterrupt:
        out.say(f"interrupted; go on with: {again}")
        raise
    except TrainingsFailed as failed:
        click.echo(f"error: {failed}", err=True)
        raise click.exceptions.Exit(1) from None


class Ticker:
    """Says every 20 seconds, or on one line of a terminal, how far it is.

    Args:
        out: Where to speak.
        what: What is counted.
    """

    def __init__(self, out: Out, what: str = "trainings") -> None:
        self._out = out
        self._what = what
        self._said = self._began = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Tell that ``done`` of ``total`` are made."""
        now = time.monotonic()
        if self._first is None:
            # made by an earlier process, and while data was loaded and workers came up
            self._first, self._began = done, now
        terminal = sys.stderr.isatty() and self._out.mode != "quiet"
        if not terminal and done < total and now - self._said < 20:
            return
        self._said = now
        text = f"{done}/{total} {self._what}"
        if done > self._first:
            eta = (now - self._began) / (done - self._first) * (total - done)
            text += f", {eta:.0f} s left"
        if terminal:
            click.echo(f"\r{text:<60}", nl=done == total, err=True)
        else:
            self._out.say(text)
