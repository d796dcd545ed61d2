"""Options that several commands share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nas.executors.workers import Workers

Command = Callable[..., Any]

skip_bad = click.option(
    "--skip-bad",
    is_flag=True,
    default=None,
    help="Leave out files and rows that cannot be used.  [default: they are an error]",
)

with_trust = click.option(
    "--trust", multiple=True, metavar="MODULE:FAMILY", help="Import this family."
)


def of_recordings(command: Command) -> Command:
    """Give a command ``--precision``, ``--max-seconds`` and ``--skip-bad``."""
    precision = click.option(
        "--precision",
        metavar="KIND",
        help="Of the encoder: fp32, fp16 (CUDA only) or bf16.  [default: fp32]",
    )
    max_seconds = click.option(
        "--max-seconds",
        type=float,
        metavar="S",
        help="Keep the first S seconds of each recording.  [default: the space's, else all]",
    )
    return precision(max_seconds(skip_bad(command)))


def with_workers(what: str) -> Callable[[Command], Command]:
    """Give a command the options that say where it works.

    Args:
        what: One piece of work, as the help calls it.
    """
    options = (
        click.option("--workers", type=int, help=f"{what}s at the same time.  [default: 1]"),
        click.option(
            "--ray-address",
            metavar="HOST:PORT",
            help="A running Ray cluster, or auto.  [default: Ray on this machine, if needed]",
        ),
        click.option(
            "--gpus-per-worker", type=float, help="Such as 0.25: four share one.  [default: 0]"
        ),
        click.option("--cpus-per-worker", type=float, help="And threads of each.  [default: 1]"),
        click.option(
            "--timeout",
            type=float,
            metavar="SECONDS",
            help=f"End {_article(what)} that takes longer; it is tried three times.",
        ),
    )

    def given(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return given


def workers_of(options: Mapping[str, Any]) -> Workers:
    """Return what the options of :func:`with_workers` ask for.

    Raises:
        NasError: A setting nothing can run with.
    """
    from nas.executors.workers import Workers

    return Workers(
        options["workers"],
        options["ray_address"],
        options["gpus_per_worker"],
        options["cpus_per_worker"],
        options["timeout"],
    )


def same_command() -> str:
    """Return the command line of this process, for a person to type again."""
    return shlex.join(["nas", *sys.argv[1:]])


def _article(what: str) -> str:
    noun = what.lower()
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
