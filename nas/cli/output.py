"""The one output sink: human, json or quiet. Results on stdout, the rest on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal

import click

Mode = Literal["human", "json", "quiet"]


@dataclass(frozen=True)
class Out:
    """Where a command's words go.

    Args:
        mode: ``human`` prints tables, ``json`` one document, ``quiet`` bare values only.
    """

    mode: Mode

    def say(self, text: str) -> None:
        """Tell a person about progress, on stderr."""
        if self.mode != "quiet":
            click.echo(text, err=True)

    def result(
        self,
        data: Any,
        human: Callable[[], None],
        quiet: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        """Print a result in the chosen form.

        Args:
            data: The JSON document.
            human: Prints the result for people.
            quiet: Gives the lines of the quiet form; none by default.
        """
        if self.mode == "json":
            click.echo(json.dumps(finite(data), indent=2, ensure_ascii=False))
        elif self.mode == "human":
            human()
        else:
            for line in quiet() if quiet else ():
                click.echo(line)

    def line(self, text: str = "") -> None:
        """Print a line of a result."""
        click.echo(text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table: as wide as it needs, never cut or wrapped."""
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            table.add_column(name, no_wrap=True)
        for row in rows:
            table.add_row(*[str(v) for v in row])
        console = Console(file=sys.stdout, highlight=False)
        if not console.is_terminal:
            console.width = 10_000  # a file or a pipe has no edge to fold at
        console.width = max(console.width, console.measure(table).maximum)
        for text in _lines(console, table):
            click.echo(text)


def _lines(console: Any, table: Any) -> list[str]:
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().strip("\n").split("\n") if line.strip()]


def finite(value: Any) -> Any:
    """Replace what JSON cannot say (NaN, infinity) by null."""
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def with_output(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--json`` and ``--quiet`` and hand it its ``out``."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.option("-q", "--quiet", is_flag=True, help="Print bare values only, no progress.")
    @wraps(command)
    def wrapped(*args: Any, as_json: bool, quiet: bool, **kwargs: Any) -> Any:
        if as_json and quiet:
            raise click.UsageError("--json and --quiet exclude each other")
        mode: Mode = "json" if as_json else "quiet" if quiet else "human"
        return command(*args, out=Out(mode), **kwargs)

    return wrapped


def percent(value: float) -> str:
    """Format a share of one."""
    return f"{100 * value:.1f}"


def millijoules(value: float) -> str:
    """Format joules as mJ to four significant digits."""
    return f"{1e3 * value:#.4g}"


SHARES = {"wa", "ua", "macro_f1", "spike_rate"}


def heading(name: str) -> str:
    """Return a metric's column heading with its unit for people."""
    if name in SHARES:
        return f"{name} %"
    if name.startswith("energy") and name != "energy_profile":
        return f"{name} mJ"
    return f"{name} s" if name in ("latency", "seconds") else name


def shown(name: str, value: Any) -> str:
    """Format a metric for people, in the unit of :func:`heading`."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)  # one's own evaluator may call anything so
    if name in SHARES:
        return percent(value)
    if name.startswith("energy"):
        return millijoules(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
