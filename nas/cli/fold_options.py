"""The options that say how a corpus is split, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from nas.cli.output import Out
from nas.folding import WARNING, speaker_dependent


def with_folds(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--protocol``, ``--folds`` and ``--speaker-dependent``."""
    for option in (
        click.option(
            "--speaker-dependent",
            is_flag=True,
            help="Let voices known from training be tested on; every result then says so.",
        ),
        click.option(
            "--folds", metavar="PATH", help="Folds out of a file of ours, or EmoBox's folder."
        ),
        click.option(
            "--protocol",
            metavar="NAME",
            help="How the corpus is split; nas data protocols lists them."
            "  [default: the corpus's usual one]",
        ),
    ):
        command = option(command)
    return command


def warn(out: Out, record: Mapping[str, Any]) -> None:
    """Print the warning under results that are of known voices; nothing otherwise."""
    if speaker_dependent(record):
        out.line(WARNING)
