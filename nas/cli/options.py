"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]

skip_bad = click.option(
    "--skip-bad",
    is_flag=True,
    default=None,
    help="Leave out files and rows that cannot be used.  [default: they are an error]",
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
